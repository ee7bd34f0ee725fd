"""Which reason cost which source how many documents: one table, bounded in width and length.

Fifty sources and forty rules make two thousand cells. A reader is shown the reasons that cost most as columns and the
rest of them summed up; each source's own list, which wraps, holds every reason.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.spine.ledger import Ledger

#: Columns that a page of 62 rem holds beside the source and the sums.
REASONS_SHOWN = 6
SOURCES_SHOWN = 12


@dataclass(frozen=True)
class SourceLosses:
    """One row.

    Attributes:
        source: its name.
        taken: documents that came in.
        out: documents that went on.
        numbers: documents lost, one number a column.
        others: documents lost for reasons that have no column.
        reasons: every reason with its number, the most frequent first.
    """

    source: str
    taken: int
    out: int
    numbers: list[int]
    others: int
    reasons: list[tuple[str, int]]

    @property
    def lost(self) -> int:
        return self.taken - self.out


@dataclass(frozen=True)
class Losses:
    """The table; the reason and the source that cost most come first.

    Attributes:
        columns: reasons that have a column.
        num_others: how many have none.
        sources: one row each.
        total: all sources.
    """

    columns: list[str]
    num_others: int
    sources: list[SourceLosses]
    total: SourceLosses

    @property
    def rows(self) -> list[SourceLosses]:
        """What the table shows: `SOURCES_SHOWN` sources, and where there are more the rest of them in one row."""
        shown, rest = self.sources[:SOURCES_SHOWN], self.sources[SOURCES_SHOWN:]
        if not rest:
            return shown
        sums = [sum(numbers) for numbers in zip(*(row.numbers for row in rest), strict=True)]
        taken, out, others = (sum(getattr(row, name) for row in rest) for name in ("taken", "out", "others"))
        return [*shown, SourceLosses(f"{len(rest)} other sources", taken, out, sums, others, [])]

    @property
    def is_cut(self) -> bool:
        """Whether the table leaves anything out."""
        return self.num_others > 0 or len(self.sources) > SOURCES_SHOWN


def losses_by_source(total: Ledger, by_source: Mapping[str, Ledger]) -> Losses:
    """The table of one stage's ledgers."""
    reasons = [reason for reason, _ in most_frequent(total.reasons)]
    columns = reasons[:REASONS_SHOWN]
    rows = [_row(source, ledger, columns) for source, ledger in by_source.items()]
    rows.sort(key=lambda row: (-row.lost, -row.taken, row.source))
    return Losses(columns, len(reasons) - len(columns), rows, _row("all sources", total, columns))


def most_frequent(numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    """What was counted more than never, the most frequent first, equal ones by name."""
    return sorted(((name, n) for name, n in numbers.items() if n), key=lambda pair: (-pair[1], pair[0]))


def _row(source: str, ledger: Ledger, columns: list[str]) -> SourceLosses:
    reasons = Counter(ledger.reasons)
    numbers = [reasons[reason] for reason in columns]
    others = sum(reasons.values()) - sum(numbers)
    return SourceLosses(source, ledger.taken, sum(ledger.given.values()), numbers, others, most_frequent(reasons))
