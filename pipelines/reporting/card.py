"""The sections of the data card as plain values: what the template shows, one function a section.

A section is None when the stage that it needs has not run; the template then says which command to run. Nothing
here knows of HTML but the charts, which are drawn where their numbers are.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.reporting import charts, facts, funnel
from pipelines.reporting.duplicates import MEASURE_NAMES
from pipelines.reporting.flow import Flow, StageFolder
from pipelines.reporting.funnel import DOCUMENT_STAGES, SPLITS
from pipelines.reporting.gathered import Readings, fetched_files
from pipelines.reporting.losses import losses_by_source, most_frequent
from pipelines.spine.ledger import REST, Ledger

TALLIED_SHOWN = 20
#: Stages whose sources, edits and tallies have a section of their own.
TOLD_BELOW = ("clean",)
#: Stages that read documents and pass none on.
BESIDE = ("quality", "decontaminate")

#: The row of the evaluation that is no baseline.
OURS = "this model"

Section = dict[str, Any] | None


def funnel_section(flow: Flow, readings: Readings) -> Section:
    """A bar for each stage's documents, and for each reason why some did not go on."""
    if not readings.counts:
        return None
    bars = list(funnel.steps(readings.counts))
    whole = bars[0][1].taken
    keeps_all = _params_of(flow["clean"]).get("dropped_text_percent", 100) == 100
    no_text = "no text" if keeps_all else "text not kept"
    steps = [{**_step(stage, ledger, whole, readings), "no_text": no_text} for stage, ledger in bars]
    beside = (*DOCUMENT_STAGES, *BESIDE)
    later = [(s.name, s.ledger) for s in flow if s.name not in beside and s.ledger and s.ledger.taken]
    files = fetched_files(flow)
    return {
        "steps": steps, "taken": whole, "out": steps[-1]["out"], "later": later, "names": MEASURE_NAMES,
        "files": len(files), "file_bytes": sum(file["bytes"] for file in files),
    }  # fmt: skip


def _step(stage: str, ledger: Ledger, whole: int, readings: Readings) -> dict[str, Any]:
    """One stage of the funnel; what it left behind is drawn to the right of what goes on, most first."""
    out = sum(ledger.given.values())
    left, reasons = out, []
    for reason, number in sorted(ledger.reasons.items(), key=lambda item: (-item[1], item[0])):
        kind, _, name = reason.partition(".")
        label = f"{stage}, {reason}: {number:,} of {ledger.taken:,}"
        bar = charts.span_bar(left, number, whole, f"lost {kind}", label)
        examples = readings.evidence[stage].examples.get(reason, [])
        reasons.append({"kind": kind, "name": name, "number": number, "bar": bar, "examples": examples})
        left += number
    names = (*SPLITS, *sorted({*ledger.given} - {*SPLITS}))
    counts = readings.counts[stage]
    told_below, several = stage in TOLD_BELOW, len(counts.by_source) > 1
    return {
        "stage": stage, "taken": ledger.taken, "out": out, "reasons": reasons,
        "given": [(name, ledger.given[name]) for name in names if ledger.given[name]],
        "apart": [] if told_below else sorted((name, n) for name, n in counts.total.beside.items() if n),
        "tallies": [] if told_below else [(name, _most_tallied(n)) for name, n in sorted(counts.total.tallies.items())],
        "bar": charts.span_bar(0, out, whole, "kept", f"{stage} gives {out:,} of {ledger.taken:,}"),
        "losses": losses_by_source(counts.total, counts.by_source) if several and not told_below else None,
        "below": stage if told_below else None,
    }  # fmt: skip


def _most_tallied(numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    return [pair for pair in most_frequent(numbers) if pair[0] != REST][:TALLIED_SHOWN]


def documents_section(flow: Flow, readings: Readings) -> Section:
    """Lengths before and after, languages, sources, splits."""
    after = readings.after if readings.after is not None else readings.before
    if after is None:
        return None
    before = readings.before if readings.before is not None else after
    compares = readings.before is not None and readings.after is not None
    labels, (old, new) = facts.octaves(before.all_lengths, after.all_lengths)
    groups = [("as extracted", "before", old), ("in the splits", "after", new)]
    chart = charts.columns(labels, groups if compares else groups[:1], "documents by length")
    tables = {}
    for name in ("language", "source", "split"):
        names = after.values(name)
        names = [split for split in SPLITS if split in names] or names if name == "split" else names
        tables[name] = [(value or "unknown", after.select(**{name: value})) for value in names]
    legends = {
        name: [(f"c{place % 6}", value) for place, (value, _) in enumerate(rows)] for name, rows in tables.items()
    }
    bars = {
        name: charts.share_bar([(v, f.num_bytes, f"c{i % 6}") for i, (v, f) in enumerate(rows)], f"bytes by {name}")
        for name, rows in tables.items()
    }
    return {
        "chart": chart, "before": before, "after": after, "compares": compares, "tables": tables, "bars": bars,
        "legends": legends, "files": fetched_files(flow), "sources": before.values("source"),
    }  # fmt: skip


def packing_section(readings: Readings) -> Section:
    """What the rows of each split hold."""
    if not readings.tokens:
        return None
    bars = {}
    for split, f in readings.tokens.items():
        parts = [("text", f.text, "kept"), ("document starts", f.starts, "c1"), ("context", f.context, "c3"),
                 ("padding", f.padding, "lost")]  # fmt: skip
        bars[split] = charts.share_bar(parts, f"{split}: places of the rows")
    total = facts.TokenFacts(row_len=next(iter(readings.tokens.values())).row_len)
    for name in ("rows", "documents", "segments", "text", "starts", "context", "text_bytes"):
        setattr(total, name, sum(getattr(f, name) for f in readings.tokens.values()))
    return {"splits": readings.tokens, "bars": bars, "total": total, "row_len": total.row_len}


def evaluation_section(flow: Flow) -> Section:
    """The model beside the n-gram models and its ensembles, by split, best first; and its score by source and language."""
    stage = flow["evaluate"]
    if not stage.has_run:
        return None
    metrics = stage.json("metrics.json") or {}
    splits = {}
    for split in SPLITS:
        scores = metrics.get(split)
        if not isinstance(scores, dict) or "bits_per_byte" not in scores:
            continue
        beside = {**scores.get("baselines", {}), **scores.get("ensemble", {})}
        rows = [_row(OURS, scores), *(_row(name.replace("_", " "), score) for name, score in beside.items())]
        rows.sort(key=lambda row: (row["bits_per_byte"], row["model"]))
        worst = round(1000 * rows[-1]["bits_per_byte"])
        sources, languages = (_rows(scores.get(name, {})) for name in ("by_source", "by_language"))
        splits[split] = {
            "rows": [(row, _score_bar(row, worst)) for row in rows],
            "tokens": scores.get("tokens"),
            "parts": [("source", row) for row in sources] + [("language", row) for row in languages],
        }
    return {"splits": splits, "ours": OURS}


def headline(evaluation: Section) -> Section:
    """The model's score on test (on val where there is no test) and the baselines', in words."""
    for split in ("test", "val"):
        rows = (
            [row for row, _ in evaluation["splits"][split]["rows"]]
            if evaluation and split in evaluation["splits"]
            else []
        )
        for ours in (row for row in rows if row["model"] == OURS):
            beside = [f"{row['model']}\xa0{row['bits_per_byte']:.3f}" for row in reversed(rows) if row is not ours]
            return {"split": split, "bits_per_byte": ours["bits_per_byte"], "beside": ", ".join(beside)}
    return None


def lineage_section(flow: Flow) -> list[dict[str, Any]]:
    """Stage by stage: manifest, shards, parents (and whether they still are what they were), parameters, versions."""
    current = {stage.name: stage.manifest_sha256 for stage in flow if stage.has_run}
    entries = []
    for stage in flow:
        lineage = stage.json("lineage.json") or {}
        manifest = stage.json("manifest.json") or {}
        shards = [*manifest.get("shards", []), *manifest.get("files", [])]  # fetch lists files
        parents = [(p["stage"], p["manifest_sha256"], current.get(p["stage"], p["manifest_sha256"]) == p["manifest_sha256"])
                   for p in lineage.get("parents", [])]  # fmt: skip
        entries.append({
            "stage": stage.name, "manifest": current.get(stage.name), "parents": parents, "shards": len(shards),
            "bytes": sum(shard.get("bytes", 0) for shard in shards), "params": list(flat(lineage.get("params", {}))),
            "versions": lineage.get("versions", {}), "modules": lineage.get("modules_sha256", ""),
        })  # fmt: skip
    return entries


def flat(value: object, name: str = "") -> list[tuple[str, str]]:
    """Nested parameters as (dotted name, value) pairs, in their order."""
    if isinstance(value, Mapping):
        return [pair for key, part in value.items() for pair in flat(part, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, str(value))] if name else []


def _score_bar(row: Mapping[str, Any], worst: int) -> charts.Markup:
    label = f"{row['model']}: {row['bits_per_byte']:.3f} bits per byte"
    return charts.span_bar(
        0, round(1000 * row["bits_per_byte"]), worst, "kept" if row["model"] == OURS else "before", label
    )


def _row(name: str, score: Mapping[str, Any]) -> dict[str, Any]:
    # An older evaluation counted neither; n-gram models have no accuracy.
    return {"accuracy": None, "tokens": None, **score, "model": name}


def _rows(scores: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By name, where there is more than one: a single one is the whole."""
    return [_row(name, score) for name, score in sorted(scores.items())] if len(scores) > 1 else []


def _params_of(stage: StageFolder) -> dict[str, Any]:
    return (stage.json("lineage.json") or {}).get("params", {})
