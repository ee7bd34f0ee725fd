"""What deduplication did, as plain values for the data card: clusters, similarities, pairs, and what the search found.

Read are the drop lists, ``search.json``, the ids of the cleaned documents, and the texts of the few that are shown.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.duplicates.lookup import find_documents
from pipelines.duplicates.minhash import proposal_probability
from pipelines.reporting import charts, clusters
from pipelines.reporting.charts import Markup, Series
from pipelines.reporting.flow import Flow, StageFolder
from pipelines.reporting.funnel import Counts
from pipelines.reporting.losses import Losses, losses_by_source
from pipelines.reporting.pairs import telling_pairs, with_texts
from pipelines.reporting.samples import excerpt
from pipelines.spine.errors import CorpusmillError

MEASURE_NAMES = {
    "exact": "exact copies", "jaccard": "near copies", "contained": "contained texts", "repeated_id": "repeated ids",
}  # fmt: skip
PAIRS_SHOWN = 3
LARGEST_SHOWN = 10
TITLE_CHARS = 120
SOURCE_PAIRS_SHOWN = 12
SEARCH = "search.json"
#: Points of the S-curve: one for each hundredth of similarity.
CURVE_STEPS = 100


def duplicates_section(flow: Flow, counts: Counts | None, example_chars: int) -> dict[str, Any] | None:
    """What the section on duplicates shows; None where `dedup` has not run."""
    stage = flow["dedup"]
    if not stage.has_run:
        return None
    search, drops = _search_of(stage), clusters.read_drops(stage, flow["clean"])
    largest = clusters.largest(drops, LARGEST_SHOWN)
    pairs = [pair for measure in MEASURE_NAMES for pair in telling_pairs(drops.rows, measure, PAIRS_SHOWN)]
    wanted = {name for pair in pairs for name in (pair.doc_id, pair.kept_id)} | {name for name, _, _ in largest}
    paths = [place for _, place in flow["clean"].shard_places()]
    found = find_documents(wanted, paths, ["title", "text"])
    titles = {name: excerpt(rows[0]["title"], TITLE_CHARS) for name, rows in found.items()}
    by_sources = clusters.by_sources(drops)
    taken = counts.total.taken if counts else 0
    return {
        "taken": taken,
        "kept": taken - drops.rows.num_rows,
        "num_clusters": len(drops.kept_ids),
        "names": MEASURE_NAMES,
        "measures": _measures(drops),
        "losses": _losses(counts) if counts and len(counts.by_source) > 1 else None,
        "sizes": clusters.by_size(drops),
        "sources": by_sources[:SOURCE_PAIRS_SHOWN] if len(drops.sources) > 2 or by_sources[1:] else [],
        "more_sources": (len(by_sources[SOURCE_PAIRS_SHOWN:]), sum(n for *_, n in by_sources[SOURCE_PAIRS_SHOWN:])),
        "largest": [(name, source, number, titles.get(name, "")) for name, source, number in largest],
        "similarities": _similarities(drops, search),
        "pairs": with_texts(pairs, found, example_chars),
        "search": search,
        "curve": curve(search),
        "chance": chance(search, search["threshold"]),
    }


def _search_of(stage: StageFolder) -> dict[str, Any]:
    search = stage.json(SEARCH)
    if not isinstance(search, dict):
        raise CorpusmillError(
            "what the search found is missing",
            where=f"dedup/{SEARCH}",
            hint="an older run left it out: `dvc repro dedup`",
        )
    return search


def _measures(drops: clusters.Drops) -> list[tuple[str, int]]:
    numbers = {entry["values"]: entry["counts"] for entry in drops.rows["measure"].value_counts().to_pylist()}
    return [
        (name, numbers[name]) for name in (*MEASURE_NAMES, *sorted({*numbers} - {*MEASURE_NAMES})) if name in numbers
    ]


def _losses(counts: Counts) -> Losses:
    """The table by source; the ledger's reasons as the section calls the measures."""
    losses = losses_by_source(counts.total, counts.by_source)
    names = [reason.rpartition(".")[2] for reason in losses.columns]
    return replace(losses, columns=[MEASURE_NAMES.get(name, name) for name in names])


def _similarities(drops: clusters.Drops, search: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """(what is drawn, columns) for near copies and for contained texts, where there are any."""
    drawn = []
    for measure, threshold, said in (
        ("jaccard", search["threshold"], "Near copies by similarity"),
        ("contained", search["containment_threshold"], "Contained texts by how much of them the longer one has"),
    ):
        labels, numbers = clusters.similarity_bars(drops, measure, threshold)
        if numbers:
            told = "; ".join(f"from {label}: {n:,}" for label, n in zip(labels, numbers, strict=True))
            name = MEASURE_NAMES[measure]
            drawn.append((said, charts.columns(labels, [(name, "after", numbers)], f"{name} by similarity: {told}")))
    return drawn


def curve(search: Mapping[str, Any]) -> Markup:
    """The chance that a pair is proposed, by its similarity, and where the threshold lies."""
    bands, rows, threshold = search["num_bands"], search["rows_per_band"], search["threshold"]
    points = [(s / CURVE_STEPS, proposal_probability(s / CURVE_STEPS, bands, rows)) for s in range(CURVE_STEPS + 1)]
    series = [
        Series("threshold", "limit", [(threshold, 0.0), (threshold, 1.0)]),
        Series(f"{bands} bands of {rows} rows", "line", points),
        Series("at the threshold", "points", [(threshold, proposal_probability(threshold, bands, rows))]),
    ]
    return charts.lines(series, f"chance that a pair is proposed, by similarity; threshold at {threshold}", True)


def chance(search: Mapping[str, Any], similarity: float) -> str:
    """In percent with two decimals, rounded down: what is not certain is never shown as 100.

    >>> chance({"num_bands": 20, "rows_per_band": 5}, 0.8)
    '99.96'
    """
    hundredths = int(10_000 * proposal_probability(similarity, search["num_bands"], search["rows_per_band"]))
    hundredths = hundredths if similarity >= 1 else min(hundredths, 9999)
    return f"{hundredths // 100}.{hundredths % 100:02}"
