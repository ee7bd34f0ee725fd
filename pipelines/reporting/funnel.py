"""The funnel: what each stage took is what the one before it gave, from the first record to the last split.

    extract: 206 in = 106 documents + 100 skipped.redirect
    clean:   106 in = 104 + 2 dropped.too_short            106 given, 106 taken: closes
    dedup:   104 in = 101 kept + 3 dropped.exact           104 given, 104 taken: closes
    shard:   104 in = 95 + 4 + 2 + 3 dropped.exact         104 given, 104 taken; 101 kept, 101 in splits: closes
    whole:   206 in = 95 train + 4 val + 2 test + 105 under four reasons

Each stage checks its own sum; here the sums of neighbours meet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger

#: Stages that count documents, in order. `dedup` decides and `shard` acts on it, so both take what `clean` gave.
DOCUMENT_STAGES = ("extract", "clean", "dedup", "shard")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Check:
    """Two counts of the same thing, made by two stages.

    Attributes:
        left: what was counted first, and where: "documents that extract gave".
        right: what must be the same: "documents that clean took".
        rerun: the stage to run again when they differ.
    """

    left: str
    left_number: int
    right: str
    right_number: int
    rerun: str

    @property
    def closes(self) -> bool:
        return self.left_number == self.right_number


@dataclass(frozen=True)
class Counts:
    """A stage's total and its share by source, both as the stage wrote them."""

    total: Ledger
    by_source: Mapping[str, Ledger]


def expect_closed(checks: Sequence[Check]) -> None:
    """Passes when all numbers agree.

    Raises:
        CorpusmillError: naming the two numbers of the first pair that does not.
    """
    for check in checks:
        if not check.closes:
            raise CorpusmillError(
                f"the funnel does not close: {check.left_number:,} {check.left}, {check.right_number:,} {check.right}",
                where="report",
                expected=f"{check.left_number:,}",
                got=f"{check.right_number:,}",
                hint=f"the folders come from different runs: run `dvc repro {check.rerun}`; if it stays, a stage is "
                "at fault, please report it with both ledgers",
            )


def document_checks(counts: Mapping[str, Counts]) -> list[Check]:
    """The checks between the stages that count documents; stages that have not run are left out.

    In a source that reaches a stage without a document, the stage may not list it.
    """
    checks = []
    for giver, taker in (("extract", "clean"), ("clean", "dedup"), ("clean", "shard")):
        if giver in counts and taker in counts:
            checks += _neighbours(giver, counts[giver], taker, counts[taker])
    if "dedup" in counts and "shard" in counts:
        checks += _kept_and_placed(counts["dedup"], counts["shard"])
    return checks


def whole_ledger(counts: Mapping[str, Counts]) -> Ledger:
    """From extract's records to train, val and test: every reason on the way, named by the stage that gave it.

    When later stages have not run, what the last one gave stands for the splits.
    """
    whole = Ledger("documents")
    ran = chain(counts)
    if not ran:
        return whole
    whole.take(counts[ran[0]].total.taken)
    for stage in ran:
        for reason, number in counts[stage].total.reasons.items():
            if stage != "shard" or reason in own_reasons(counts):
                whole.count(f"{stage}.{reason}", number)
    for name, number in counts[ran[-1]].total.given.items():
        whole.give(name, number)
    return whole


def steps(counts: Mapping[str, Counts]) -> Iterator[tuple[str, Ledger]]:
    """(stage, ledger) for each bar of the funnel; dedup's drops are shown where they are decided."""
    for stage in chain(counts):
        total = counts[stage].total
        if stage == "shard" and "dedup" in counts:
            total = Ledger(total.counts)
            total.take(_out(counts["dedup"].total))
            total.given.update(counts[stage].total.given)
            total.reasons.update(own_reasons(counts))
        yield stage, total


def chain(counts: Mapping[str, Counts]) -> list[str]:
    """The stages that follow one another without a gap; `shard` can do without `dedup`."""
    found: list[str] = []
    for stage in DOCUMENT_STAGES:
        if stage in counts:
            found.append(stage)
        elif found and stage != "dedup":
            break
    return found


def own_reasons(counts: Mapping[str, Counts]) -> dict[str, int]:
    """Shard's reasons without those that repeat what `dedup` decided: a document leaves once, under dedup's name."""
    decided = {_last(reason) for reason in counts["dedup"].total.reasons} if "dedup" in counts else set()
    return {reason: n for reason, n in counts["shard"].total.reasons.items() if _last(reason) not in decided}


def _kept_and_placed(dedup: Counts, shard: Counts) -> list[Check]:
    """What dedup kept is what shard placed, in all and by source."""
    pairs = [("", dedup.total, shard.total)]
    if dedup.by_source and shard.by_source:
        sources, none = sorted({*dedup.by_source, *shard.by_source}), Ledger("documents")
        pairs += [(f" of {s}", dedup.by_source.get(s, none), shard.by_source.get(s, none)) for s in sources]
    checks = []
    for of, decided, placed in pairs:
        own = own_reasons({"dedup": dedup, "shard": Counts(placed, {})})
        left, right = f"documents that dedup kept{of}", f"documents that shard placed{of}"
        checks.append(Check(left, _out(decided), right, _out(placed) + sum(own.values()), "shard"))
    return checks


def _neighbours(giver: str, given: Counts, taker: str, taken: Counts) -> list[Check]:
    left, right = f"documents that {giver} gave", f"documents that {taker} took"
    checks = [Check(left, _out(given.total), right, taken.total.taken, taker)]
    if given.by_source and taken.by_source:
        for source in sorted({*given.by_source, *taken.by_source}):
            out = _out(given.by_source.get(source, Ledger("documents")))
            took = taken.by_source.get(source, Ledger("documents")).taken
            checks.append(Check(f"{left} of {source}", out, f"{right} of {source}", took, taker))
    return checks


def _out(ledger: Ledger) -> int:
    return sum(ledger.given.values())


def _last(reason: str) -> str:
    return reason.rpartition(".")[2]
