"""The vocabulary, as plain values for the data card: its tokens, and how it fares beside others, by language and source.

Reads what `learn`, `measure` and `pack` left. Any of them may not have run: then there is less to show.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.reporting import charts
from pipelines.reporting.flow import Flow, StageFolder
from pipelines.reporting.gathered import Readings

TOKENS_SHOWN = 24
#: Groups of one source and language that have a row, those with most text first.
GROUPS_SHOWN = 40
SPACES = {" ": "␣", "\n": "⏎", "\t": "⇥"}
#: What the tables of groups show: (title, what is divided, by what).
MEASURES = (
    ("Bytes per token", "bytes", "tokens"), ("Characters per token", "characters", "tokens"),
    ("Tokens per word", "tokens", "words"),
)  # fmt: skip

Section = dict[str, Any] | None
Row = Mapping[str, Any]


def tokenizer_section(flow: Flow, readings: Readings) -> Section:
    """The vocabulary, how much text a token spells, and tokens to look at."""
    if readings.vocabulary is None:
        return None
    spelled, special = readings.vocabulary
    learned = [index for index in range(len(spelled)) if not special[index]]
    longest = sorted(learned, key=lambda index: (-len(spelled[index]), index))[:TOKENS_SHOWN]
    section: dict[str, Any] = {
        "size": len(spelled),
        "special": [spelled[index].decode() for index in range(len(spelled)) if special[index]],
        "merges": sum(len(spelled[index]) > 1 for index in learned),
        "metrics": {"bytes_per_token": None, **(flow["learn"].json("metrics.json") or {})},
        "longest": [(show_token(spelled[index]), len(spelled[index])) for index in longest],
        "ratios": [(split, f.text_bytes, f.text) for split, f in readings.tokens.items() if f.text],
        "frequent": [],
        "total": 0,
    }
    sizes = np.bincount([len(spelled[index]) for index in learned])[1:]
    labels = [str(size) for size in range(1, len(sizes) + 1)]
    section["measured"] = measured_section(flow["measure"])
    section["chart"] = charts.columns(labels, [("tokens", "after", sizes.tolist())], "tokens by bytes")
    if readings.token_counts is not None and (total := int(readings.token_counts[learned].sum())):
        counts = readings.token_counts
        most = sorted(learned, key=lambda index: (-counts[index], index))[:TOKENS_SHOWN]
        section["frequent"] = [(show_token(spelled[index]), int(counts[index])) for index in most]
        section["total"] = total
        section["unused"] = sum(counts[index] == 0 for index in learned)
    return section


def measured_section(stage: StageFolder) -> Section:
    """Each vocabulary over the whole sample and by group, and the tokens of ours; None before `measure` has run."""
    groups, tokens = stage.json("groups.json"), stage.json("vocabulary.json")
    if groups is None or tokens is None:
        return None
    sizes = dict(groups["vocabularies"])
    rows: list[Row] = groups["rows"]
    by_group: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        by_group.setdefault((row["source"], row["language"]), {})[row["vocabulary"]] = row
    most = sorted(by_group, key=lambda group: (-next(iter(by_group[group].values()))["bytes"], group))
    ours = tokens["vocabularies"]
    return {
        "splits": groups["splits"], "names": list(sizes), "bytes": _sum(_of(rows, next(iter(sizes))), "bytes"),
        "totals": [_total(name, size, _of(rows, name), ours.get(name)) for name, size in sizes.items()],
        "tables": [(title, [_line(group, by_group[group], list(sizes), up, down) for group in most[:GROUPS_SHOWN]])
                   for title, up, down in MEASURES],
        "more": max(0, len(most) - GROUPS_SHOWN), "rare_below": tokens["rare_below"],
        "round_trip": min(tokens["round_trips"].values(), default=0),
    }  # fmt: skip


def packing_told(stage: StageFolder) -> dict[str, Any]:
    """What the ledger and the parameters of `pack` tell beside its rows; what an older one does not is None."""
    ledger, lineage = stage.ledger, stage.json("lineage.json") or {}
    beside = {} if ledger is None else ledger.beside
    params = lineage.get("params", {})
    return {
        "documents": beside.get("documents"), "cut": beside.get("documents.cut", 0),
        "truncated": beside.get("documents.truncated", 0),
        **{name: params.get(name) for name in ("strategy", "long_documents")},
    }  # fmt: skip


def _of(rows: Iterable[Row], name: str) -> list[Row]:
    return [row for row in rows if row["vocabulary"] == name]


def _sum(rows: Iterable[Row], name: str) -> int:
    return sum(row[name] for row in rows)


def _total(name: str, size: int, rows: Sequence[Row], tokens: Row | None) -> dict[str, Any]:
    """One vocabulary over the whole sample; ``tokens`` is what is known of ours alone."""
    ratios = [_ratio(_sum(rows, up), _sum(rows, down)) for _, up, down in MEASURES]
    return {"name": name, "size": size, "ratios": ratios, "tokens": tokens}


def _line(
    group: tuple[str, str], rows: Mapping[str, Row], names: Sequence[str], up: str, down: str
) -> tuple[str, str, int, list[float | None]]:
    """(source, language, bytes, the ratio of each vocabulary)."""
    ratios = [_ratio(rows[name][up], rows[name][down]) if name in rows else None for name in names]
    return (*group, next(iter(rows.values()))["bytes"], ratios)


def _ratio(up: int, down: int) -> float | None:
    return up / down if down else None


def show_token(token: bytes) -> str:
    """A token as text with visible spaces, long runs of them counted; bytes that are no whole characters as hexadecimal.

    >>> show_token(b" the\\n"), show_token(b" " * 8), show_token(b"\\xe3\\x81")
    ('␣the⏎', '␣×8', '\\\\xe3\\\\x81')
    """
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in token)
    shown = []
    for char, run in itertools.groupby(text):
        length = sum(1 for _ in run)
        name = SPACES.get(char, char if char.isprintable() else f"⟨{ord(char):x}⟩")
        shown.append(name * length if name == char or length < 4 else f"{name}×{length}")
    return "".join(shown)
