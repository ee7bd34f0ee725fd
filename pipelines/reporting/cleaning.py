"""What cleaning did, as plain values for the data card: losses by source, edits, lengths and languages.

All of it comes from the ledger of `clean`. Whatever a ledger lacks (one of an older run, or a step that is off) is
left out of the page, not shown as zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipelines.reporting import charts, samples
from pipelines.reporting.funnel import Counts
from pipelines.reporting.losses import losses_by_source, most_frequent
from pipelines.spine.ledger import REST, Ledger

#: Sources, the largest, whose lengths and languages can be looked at beside those of all.
SOURCES_DRAWN = 6
LANGUAGES_SHOWN = 12
LINES_SHOWN, LINE_CHARS = 20, 160
#: A repeated line names so many of the sources that it was removed from.
SOURCES_NAMED = 3
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class LanguageRow:
    """How many documents are in a language before and after cleaning."""

    language: str
    before: int
    after: int
    bar: Markup


@dataclass(frozen=True)
class Distributions:
    """Lengths and languages of one source, or of all; ``chart`` is None and ``languages`` empty where not counted."""

    name: str
    taken: int
    out: int
    chart: Markup | None
    languages: list[LanguageRow]


def cleaning_section(counts: Counts | None) -> dict[str, Any] | None:
    """What the section on cleaning shows; None where `clean` has not run."""
    if counts is None:
        return None
    total = counts.total
    return {
        "taken": total.taken,
        "out": sum(total.given.values()),
        "losses": losses_by_source(total, counts.by_source),
        "edits": edits_of(total),
        "repeated_lines": repeated_lines(counts),
        "distributions": distributions(counts),
    }


def edits_of(total: Ledger) -> dict[str, Any]:
    """What was changed in texts, by kind of edit; each the most frequent first.

    Returns:
        ``normalized``: (step, texts changed, changes or None where a step counts none); ``lines_removed``: (rule, lines);
        ``personal_data``: (kind, number); ``others``: counts of other names; ``loops_cut``: a number.
    """
    texts, changes, lines, personal = (
        _below(prefix, total.beside) for prefix in ("texts_changed", "changes", "lines_removed", "personal_data")
    )
    known = ("texts_changed.", "changes.", "lines_removed.", "personal_data.", "loops_cut")
    return {
        "normalized": [(step, texts.get(step), changes.get(step)) for step, _ in most_frequent({**changes, **texts})],
        "lines_removed": most_frequent(lines),
        "personal_data": most_frequent(personal),
        "loops_cut": sum(number for name, number in total.beside.items() if name.startswith("loops_cut")),
        "others": most_frequent({name: n for name, n in total.beside.items() if not name.startswith(known)}),
    }


def repeated_lines(counts: Counts) -> list[tuple[str, int, list[str], int]]:
    """The lines that were removed most often: (line cut to what is shown, times, some of its sources, how many more)."""
    shown = []
    for line, times in _without_rest(_tally(counts.total, "repeated_lines"))[:LINES_SHOWN]:
        by_source = {s: _tally(ledger, "repeated_lines").get(line, 0) for s, ledger in counts.by_source.items()}
        sources = [source for source, _ in most_frequent(by_source)]
        more = max(0, len(sources) - SOURCES_NAMED)
        shown.append((samples.excerpt(line, LINE_CHARS), times, sources[:SOURCES_NAMED], more))
    return shown


def distributions(counts: Counts) -> list[Distributions]:
    """Lengths and languages of all sources, then of the largest; none where neither was counted."""
    parts = [("all sources", counts.total)]
    if len(counts.by_source) > 1:
        largest = sorted(counts.by_source.items(), key=lambda item: (-item[1].taken, item[0]))
        parts += largest[:SOURCES_DRAWN]
    drawn = [
        Distributions(name, ledger.taken, sum(ledger.given.values()), _lengths(name, ledger), _languages(ledger))
        for name, ledger in parts
    ]
    return drawn if drawn[0].chart or drawn[0].languages else []


def _lengths(name: str, ledger: Ledger) -> Markup | None:
    """Columns by powers of two; the text alternative says every number."""
    before, after = (_by_octave(_tally(ledger, f"chars.{side}")) for side in (BEFORE, AFTER))
    if not before and not after:
        return None
    octaves = range(min({*before, *after}), max({*before, *after}) + 1)
    labels = [f"{1 << octave >> 1:,}" for octave in octaves]
    groups = [(side, side, [n.get(octave, 0) for octave in octaves]) for side, n in ((BEFORE, before), (AFTER, after))]
    told = "; ".join(
        f"from {label}: {old:,} {BEFORE}, {new:,} {AFTER}"
        for label, old, new in zip(labels, groups[0][2], groups[1][2], strict=True)
    )
    return charts.columns(labels, groups, f"{name}, documents by characters: {told}")


def _by_octave(tally: Mapping[str, int]) -> dict[int, int]:
    """Numbers by place: 0 for empty texts, 1 for one character, 2 for 2 and 3, 3 for 4 to 7."""
    return {int(low).bit_length(): number for low, number in tally.items() if low.isdecimal() and number}


def _languages(ledger: Ledger) -> list[LanguageRow]:
    """The most frequent languages before and after, the rest of them in one row."""
    before, after = (_tally(ledger, f"languages.{side}") for side in (BEFORE, AFTER))
    order = _without_rest({name: max(before.get(name, 0), after.get(name, 0)) for name in {*before, *after}})
    shown = [name for name, _ in order[:LANGUAGES_SHOWN]]
    rows = [(name or "unknown", before.get(name, 0), after.get(name, 0)) for name in shown]
    old, new = (sum(n for name, n in numbers.items() if name not in shown) for numbers in (before, after))
    if old or new:
        rows.append((f"{len(order) - len(shown)} others" if len(order) > len(shown) else "others", old, new))
    most = max((max(old, new) for _, old, new in rows), default=0)
    return [
        LanguageRow(name, old, new, charts.pair_bar(old, new, most, f"{name}: {old:,} {BEFORE}, {new:,} {AFTER}"))
        for name, old, new in rows
    ]


def _below(prefix: str, numbers: Mapping[str, int]) -> dict[str, int]:
    """The numbers whose name begins with ``<prefix>.``, without it."""
    return {name[len(prefix) + 1 :]: n for name, n in numbers.items() if name.startswith(f"{prefix}.") and n}


def _tally(ledger: Ledger, name: str) -> Mapping[str, int]:
    return ledger.tallies.get(name, {})


def _without_rest(tally: Mapping[str, int]) -> list[tuple[str, int]]:
    return [pair for pair in most_frequent(tally) if pair[0] != REST]
