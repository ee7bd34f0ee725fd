"""The count that must add up: in = out + reasons, for every unit, source and stage."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.spine.errors import CorpusmillError

#: Names that a tally may hold, and under what the rest of them is summed up.
MAX_TALLIED = 50_000
REST = "(all others)"


class Ledger:
    """What went in, what came out under which name, and why the rest did not.

    Worked example: 206 pages in; 106 documents out; ``skipped.redirect`` 100. 206 = 106 + 100: it closes.

    Args:
        counts: what is counted, a plural: documents, tokens, bytes.
    """

    def __init__(self, counts: str) -> None:
        self.counts = counts
        self.taken = 0
        self.given: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.beside: Counter[str] = Counter()
        self.tallies: dict[str, Counter[str]] = {}

    def take(self, number: int) -> None:
        """Counts what went in."""
        self.taken += int(number)

    def give(self, name: str, number: int) -> None:
        """Counts what came out under a name: documents, train, kept."""
        self.given[name] += int(number)

    def count(self, reason: str, number: int = 1) -> None:
        """Counts what did not come out, by reason: ``skipped.redirect``, ``dropped.too_short``."""
        self.reasons[reason] += int(number)

    def apart(self, name: str, number: int) -> None:
        """Counts something that is no part of the sum: padding, lines edited away."""
        self.beside[name] += int(number)

    def tally(self, name: str, numbers: Mapping[str, int]) -> None:
        """Counts things of an open-ended kind, outside the sum: calls of dropped templates, by the template's name."""
        known = self.tallies.setdefault(name, Counter())
        for key, number in numbers.items():
            known[key if key in known or len(known) < MAX_TALLIED else REST] += int(number)

    def add(self, other: "Ledger") -> None:
        """Adds another ledger of the same kind."""
        self.taken += other.taken
        self.given.update(other.given)
        self.reasons.update(other.reasons)
        self.beside.update(other.beside)
        for name, numbers in other.tallies.items():
            self.tally(name, numbers)

    def check(self, where: str) -> None:
        """Passes when the sum closes.

        Raises:
            CorpusmillError: in is not out + reasons.
        """
        out, lost = sum(self.given.values()), sum(self.reasons.values())
        if self.taken != out + lost:
            raise CorpusmillError(
                f"the ledger does not close: {self.taken:,} {self.counts} in, {out:,} out, {lost:,} under a reason",
                where=where,
                expected=f"{self.taken:,}",
                got=f"{out + lost:,}",
                hint="this is a fault of the stage, not of your data: please report it with this ledger",
            )

    def to_dict(self, most: int | None = None) -> dict[str, Any]:
        """Plain values, for JSON; zero counts are left out, and so are tallies where nothing was tallied.

        Args:
            most: of a tally at most so many names, the most frequent first; the rest are summed up under ``REST``.
        """
        tallies = {name: _most(self.tallies[name], most) for name in sorted(self.tallies) if self.tallies[name]}
        return {
            "counts": self.counts,
            "in": self.taken,
            "out": _sorted(self.given),
            "reasons": _sorted(self.reasons),
            "apart": _sorted(self.beside),
            **({"tallies": tallies} if tallies else {}),
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> "Ledger":
        """The ledger that ``to_dict`` wrote."""
        ledger = cls(document["counts"])
        ledger.taken = document["in"]
        ledger.given.update(document["out"])
        ledger.reasons.update(document["reasons"])
        ledger.beside.update(document["apart"])
        for name, pairs in document.get("tallies", {}).items():
            ledger.tally(name, dict(pairs))
        return ledger


def merge(counts: str, parts: Iterable[tuple[str, Ledger]]) -> tuple[Ledger, dict[str, Ledger]]:
    """The sum of all parts, and the sum by source; parts are (source, ledger)."""
    total = Ledger(counts)
    by_source: dict[str, Ledger] = {}
    for source, part in parts:
        total.add(part)
        by_source.setdefault(source, Ledger(counts)).add(part)
    return total, by_source


def _most(counter: Counter[str], most: int | None) -> list[list[Any]]:
    """``[name, number]`` pairs, the most frequent first, equal ones by name."""
    pairs = sorted(((name, number) for name, number in counter.items() if number), key=lambda pair: (-pair[1], pair[0]))
    if most is not None and len(pairs) > most:
        pairs = [*pairs[:most], (REST, sum(number for _, number in pairs[most:]))]
    return [list(pair) for pair in pairs]


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return {name: counter[name] for name in sorted(counter) if counter[name]}
