"""Counting lines on Beam: in rounds over ranges of hashes, each of which reads a unit's part of the range once.

    numbers of units -> ReadLines -> (by partition) -> CountLines -> (by unit) -> WriteLines, a file a unit and round

What crosses the first shuffle is 24 bytes a line of the round; the second one carries the same for each line and unit
that holds it where too many documents do. Rounds bound what a runner holds at once. They change no byte.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.cleaning.line_files import LINES_A_ROW, read_lines
from pipelines.cleaning.repeated_lines import (
    LINE,
    NO_LINES,
    Lines,
    among,
    hash_range,
    merge_lines,
    place_of,
    too_frequent,
)
from pipelines.cleaning.steps import OnPlan, Plan
from pipelines.spine import faults, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.units import Receipt

#: Lines that are shuffled together. Beam's in-process runner holds them three to four times, 50 MB each time, with worker
#: processes more often: 2.4 million at once were more than all the rest of the stage takes (``bench.scale_up``).
LINES_PER_ROUND = 1 << 21
#: The same where the runner keeps on disks what it shuffles: 26 GB.
LINES_PER_ROUND_ON_DISK = 1 << 30
#: Lines that one worker counts at a time, 24 bytes each and some four times that to sort.
LINES_PER_PARTITION = 1 << 20
#: However large the corpus: each round opens the files of all units once. Beyond 64 full rounds, rounds grow.
MAX_ROUNDS = 64


@dataclass(frozen=True)
class LineRound:
    """One range of hashes of ``num_rounds``: number ``number`` of them.

    Attributes:
        partitions: by source, in how many parts its lines of the round are counted; sources that are not here hold too
            few documents for any line to be too frequent.
    """

    number: int
    num_rounds: int
    partitions: Mapping[str, int]

    @property
    def name(self) -> str:
        """How its files are called."""
        return f"lines-{self.number}-{self.num_rounds}"

    def ranges(self, source: str) -> list[tuple[int, int]]:
        """The first and the last hash of each partition of a source, ascending."""
        within, number = hash_range(self.number, self.num_rounds), self.partitions.get(source, 0)
        return [hash_range(partition, number, within) for partition in range(number)]


def plan_rounds(lines: Mapping[str, int], lines_per_round: int) -> list[LineRound]:
    """The rounds in which the lines are counted; none where there are none.

    Args:
        lines: number of lines by source, of those that are counted.
        lines_per_round: about so many are shuffled together, unless that took more than ``MAX_ROUNDS``.
    """
    num_rounds = min(MAX_ROUNDS, -(-sum(lines.values()) // lines_per_round))
    if not num_rounds:
        return []
    partitions = {source: -(-number // (num_rounds * LINES_PER_PARTITION)) for source, number in lines.items()}
    return [LineRound(number, num_rounds, partitions) for number in range(num_rounds)]


def lines_to_count(plan: Plan, receipts: Sequence[Receipt]) -> dict[str, int]:
    """About how many lines each source has, at most a row of a file too many a unit; of those with enough documents.

    Args:
        plan: of the run.
        receipts: what the first half left of each unit.
    """
    documents: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for unit, receipt in zip(plan.units, receipts, strict=True):
        documents[unit.source] += receipt.ledger.taken
        name = storage.name_of(plan.lines_file(unit))
        lines[unit.source] += sum(LINES_A_ROW * shard.rows for shard in receipt.shards if shard.name == name)
    most = plan.params.rules.repeated_lines.max_documents
    return {source: number for source, number in lines.items() if documents[source] > most and number}


class ReadLines(OnPlan):
    """Number of a unit -> ((source, partition), (number, packed LINE records)) of its lines in the round."""

    def __init__(self, plan: Plan, of: LineRound) -> None:
        super().__init__(plan)
        self._of = of

    def process(self, index: int) -> Iterator[tuple[tuple[str, int], tuple[int, bytes]]]:
        source = self._plan.units[index].source
        ranges = self._of.ranges(source)
        if not ranges:
            return
        lines = self._lines(index, ranges[0][0], ranges[-1][1])
        firsts = np.array([first for first, _ in ranges], np.uint64)
        borders = np.append(np.searchsorted(lines["hash"], firsts), len(lines)).tolist()
        for partition, (begin, end) in enumerate(itertools.pairwise(borders)):
            if end > begin:
                yield (source, partition), (index, lines[begin:end].tobytes())

    def _lines(self, index: int, first: int, last: int) -> Lines:
        """The LINE records of a unit within a range of hashes."""
        unit = self._plan.units[index]
        try:
            return read_lines(self._plan.lines_file(unit), first, last)
        except FileNotFoundError:
            if self._plan.has_lines(unit):
                raise CorpusmillError(
                    "the lines of a prepared unit are gone", where=self._plan.lines_file(unit), hint="run again"
                ) from None
            return NO_LINES


class CountLines(OnPlan):
    """((source, partition), (number, packed LINE records) of its units) -> (number, those that the unit must know)."""

    def process(self, element: tuple[tuple[str, int], Iterable[tuple[int, bytes]]]) -> Iterator[tuple[int, bytes]]:
        parts = [(index, np.frombuffer(blob, LINE)) for index, blob in element[1]]
        most = self._plan.params.rules.repeated_lines.max_documents
        repeated = too_frequent(merge_lines(lines for _, lines in parts), most)
        for index, lines in parts:
            hashes = lines["hash"]
            known = hashes[among(hashes, repeated)]
            if len(known):
                yield index, repeated[place_of(known, repeated)].tobytes()


class WriteLines(OnPlan):
    """(number, packed LINE records) -> the number, once they lie in a file of the round."""

    def __init__(self, plan: Plan, of: LineRound) -> None:
        super().__init__(plan)
        self._of = of

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[int]:
        index, blobs = element
        self._plan.files.write(self._of.name, index, merge_lines(np.frombuffer(blob, LINE) for blob in blobs))
        faults.reach("clean:lines")
        yield index
