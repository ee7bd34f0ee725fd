"""The search for candidate pairs on Beam: the keys of one round, the pairs under each key, and the pairs of each unit.

Pairs under a key that too many documents have depend on the order of preference, which the documents' units know: such
keys go there, and come back with what ranks them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import apache_beam as beam
import numpy as np

from pipelines.duplicates.answers import Packed, gathered
from pipelines.duplicates.minhash import NO_KEY
from pipelines.duplicates.plan import Plan, Round
from pipelines.duplicates.proposals import Proposals, propose_pairs
from pipelines.duplicates.references import (
    BANDED,
    DROP,
    KEYED,
    PAIR,
    RANKED,
    SIZE_MASK,
    by_partition,
    partition_of,
    sharing,
    split_by,
    unit_of,
    unpack,
    with_sizes,
    without_sizes,
)  # fmt: skip
from pipelines.duplicates.signing import fixed_lists_array, lists_arrays
from pipelines.duplicates.steps import REPEATS, OnPlan, near_step
from pipelines.duplicates.text_units import I64
from pipelines.duplicates.verify import merge_pairs
from pipelines.spine import faults

BANDS, FINGERPRINTS = range(2)
#: The tags of what `Propose` says of its buckets, and of the keys that it leaves to `ProposeFull`.
COUNTED, FULL = "counted", "full"
Partition = tuple[int, int]  # (kind, number)


class RoundKeys(OnPlan):
    """Number of a unit -> ((kind, partition), packed KEYED): the round's keys of the documents that are left.

    In a later pass those keys that the pass before found under too many documents.
    """

    def __init__(self, plan: Plan, of: Round, before: Sequence[Round]) -> None:
        super().__init__(plan)
        self._of, self._before = of, before

    def process(self, index: int) -> Iterator[tuple[Partition, bytes]]:
        for kind, records in self._again(index) if self._before else self._first(index):
            for partition, packed in by_partition(records["key"], records, self._plan.num_partitions):
                yield (kind, partition), packed

    def _first(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        if self._plan.signed_table(index) is None:
            return
        repeats = self._plan.files.read(REPEATS, index, DROP)
        refs, table = self._left(index, repeats, ["bands", "fingerprints"])
        values, lengths = lists_arrays(table["fingerprints"])
        refs = with_sizes(refs, lengths)
        bands = fixed_lists_array(table["bands"]) if self._of.last_band else np.empty((0, 0))
        # Together: at 10 TB a unit has a few records for each of thousands of partitions.
        mine = [_keyed(bands[:, band], refs) for band in range(self._of.first_band, self._of.last_band)]
        yield BANDS, np.concatenate([np.empty(0, KEYED), *mine])
        if self._of.part >= 0:
            here = (values >> np.uint64(32)) % np.uint64(self._of.num_parts) == self._of.part
            yield FINGERPRINTS, _keyed(values[here], np.repeat(refs, lengths)[here])

    def _again(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        files = self._plan.files
        gone = files.read(near_step(self._of.number_of_pass - 1), index, DROP)["ref"]
        for kind in (BANDS, FINGERPRINTS):
            records = files.read_all([(full_keys(of, kind), index) for of in self._before], KEYED)
            yield kind, records[~np.isin(without_sizes(records["ref"]), gone)]


def _keyed(keys: np.ndarray, refs: np.ndarray) -> np.ndarray:
    records = np.empty(len(refs), KEYED)
    records["key"], records["ref"] = keys, refs
    return records[records["key"] != NO_KEY]


class Propose(OnPlan):
    """((kind, partition), KEYED) -> (unit, PAIR); beside them (unit, (kind, KEYED)) of full buckets, and counts."""

    def process(self, element: tuple[Partition, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        (kind, _), packed = element
        few, full = by_crowd(unpack(packed, KEYED), self._plan.params.max_bucket)
        yield from _told(self._plan, kind, *pairs_of(few, np.zeros(len(few), np.int64), self._plan.params.max_bucket))
        for unit, part in split_by(unit_of(full["ref"]), full):
            yield beam.pvalue.TaggedOutput(FULL, (unit, (kind, part)))  # type: ignore[misc]  # as below


class TellFull(OnPlan):
    """(unit, KEYED by kind) -> ((kind, partition), RANKED), and files of the unit's keys that too many documents have."""

    def __init__(self, plan: Plan, of: Round) -> None:
        super().__init__(plan)
        self._of = of

    def process(self, element: tuple[int, Iterable[tuple[int, bytes]]]) -> Iterator[tuple[Partition, Packed]]:
        index, parts = element
        by_kind = list(parts)
        for kind in (BANDS, FINGERPRINTS):
            keyed = np.sort(unpack((packed for of, packed in by_kind if of == kind), KEYED), order=["ref", "key"])
            self._plan.files.write(full_keys(self._of, kind), index, keyed)
            known, _ = self._known(index, keyed["ref"], RANKED)
            known.records["key"] = keyed["key"]
            for partition, part in known.by(partition_of(keyed["key"], self._plan.num_partitions)):
                yield (kind, partition), part.packed()


class ProposeFull(OnPlan):
    """((kind, partition), RANKED) -> (unit, PAIR); beside them, what was too much."""

    def process(self, element: tuple[Partition, Iterable[Packed]]) -> Iterator[tuple[int, bytes]]:
        (kind, _), answers = element
        known = gathered(answers, RANKED)
        # Older documents stand among the others in this order: all before them, a new document would meet a few of them
        # and never the ones next to it.
        place = replace(self._plan.preference, num_older=0).rank(known)
        yield from _told(self._plan, kind, *pairs_of(known.records, place, self._plan.params.max_bucket))


def _told(plan: Plan, kind: int, proposed: Proposals, pairs: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """The pairs by unit, but for those of older documents, which were compared already; and the counts, tagged."""
    if kind == BANDS:
        pairs["shared"] = BANDED
    pairs = pairs[np.maximum(unit_of(pairs["a"]), unit_of(pairs["b"])) >= plan.num_older]
    yield from split_by(unit_of(pairs["a"]), pairs)
    counts = {"full_buckets": len(proposed.full_keys), "pairs_capped": proposed.num_capped}
    counts["largest_bucket"] = proposed.largest
    yield beam.pvalue.TaggedOutput(COUNTED, (None, counts))  # type: ignore[misc]  # Beam checks the main output alone


def by_crowd(keyed: np.ndarray, max_bucket: int) -> tuple[np.ndarray, np.ndarray]:
    """The records whose key a few others have too, and those whose key too many have; those alone are in neither.

    Args:
        keyed: KEYED records, all of each key.
        max_bucket: documents under one key that give all their pairs.
    """
    keyed = sharing(keyed)  # before all else: nine of ten keys stand alone, and the rest takes five times the memory
    _, buckets, sizes = np.unique(keyed["key"], return_inverse=True, return_counts=True)
    full = sizes[buckets] > max_bucket
    return keyed[~full], keyed[full]


def pairs_of(keyed: np.ndarray, place: I64, max_bucket: int) -> tuple[Proposals, np.ndarray]:
    """What the keys of a partition propose, and the pairs as PAIR records.

    Args:
        keyed: records with ``key`` and ``ref``, all of each key.
        place: of each record's document in the order of preference. It matters in full buckets alone.
        max_bucket: as in `propose_pairs`, which wants the preferred document first.
    """
    refs, first, documents = np.unique(keyed["ref"], return_index=True, return_inverse=True)
    order = np.lexsort((refs, place[first]))
    number = np.empty(len(refs), np.int64)
    number[order] = np.arange(len(refs))
    proposed = propose_pairs(keyed["key"], number[documents], max_bucket)
    one, other = refs[order][proposed.pairs].T
    turned = _lives_before(other, one)
    pairs = np.empty(len(one), PAIR)
    pairs["a"], pairs["b"] = without_sizes(np.where(turned, other, one)), without_sizes(np.where(turned, one, other))
    pairs["shared"] = np.minimum(proposed.shared, BANDED)
    return proposed, pairs


def _lives_before(refs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each is in a lower size class than the other, or in the same one and the smaller reference; bool."""
    size, other_size = refs & np.uint64(SIZE_MASK), others & np.uint64(SIZE_MASK)
    return (size < other_size) | ((size == other_size) & (refs < others))


class WritePairs(OnPlan):
    """(unit, PAIR of a round) -> a file of distinct pairs."""

    def __init__(self, plan: Plan, of: Round) -> None:
        super().__init__(plan)
        self._of = of

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[int]:
        index, packed = element
        self._plan.files.write(self._of.name, index, merge_pairs(unpack(packed, PAIR)))
        faults.reach("dedup:pairs")
        yield index


class WriteCounts(OnPlan):
    """What all partitions of a round said of their buckets -> a file: sums, and the largest bucket."""

    def __init__(self, plan: Plan, of: Round) -> None:
        super().__init__(plan)
        self._of = of

    def process(self, element: tuple[None, Iterable[dict[str, int]]]) -> Iterator[int]:
        self._plan.files.finish(f"counts-{self._of.name}", json.dumps(add_counts(element[1])))
        yield 0


def full_keys(of: Round, kind: int) -> str:
    """The step of the keys, by unit, that too many documents shared in a round."""
    return f"full{kind}-{of.name}"


def add_counts(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The counts of several partitions or rounds together.

    >>> add_counts([{"full_buckets": 1, "pairs_capped": 5, "largest_bucket": 9}] * 2)
    {'full_buckets': 2, 'pairs_capped': 10, 'largest_bucket': 9}
    """
    total = {"full_buckets": 0, "pairs_capped": 0, "largest_bucket": 0}
    for part in parts:
        for name in ("full_buckets", "pairs_capped"):
            total[name] += part[name]
        total["largest_bucket"] = max(total["largest_bucket"], part["largest_bucket"])
    return total
