"""The search for candidate pairs on Beam: the keys of one round, the pairs under each key, and the pairs of each unit."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import apache_beam as beam
import numpy as np

from pipelines.duplicates.minhash import NO_KEY
from pipelines.duplicates.plan import Plan, Round
from pipelines.duplicates.proposals import Proposals, propose_pairs
from pipelines.duplicates.references import DROP, KEYED, PAIR, by_partition, sharing, split_by, unit_of, unpack
from pipelines.duplicates.signing import fixed_lists_array, lists_arrays
from pipelines.duplicates.steps import REPEATS, OnPlan, near_step
from pipelines.duplicates.text_units import I64, U64
from pipelines.duplicates.verify import merge_pairs
from pipelines.spine import faults
from pipelines.spine.units import Unit

BANDS, FINGERPRINTS = range(2)
KEY = np.dtype("<u8")
COUNTED = "counted"  # the tag of what `Propose` says of its buckets


class RoundKeys(OnPlan):
    """(number, unit) -> ((kind, partition), packed KEYED): the round's keys of the documents that are left."""

    def __init__(self, plan: Plan, of: Round, before: Sequence[Round]) -> None:
        super().__init__(plan)
        self._of, self._before = of, before

    def setup(self) -> None:
        super().setup()
        files = self._plan.files
        self._full = [
            files.read_all([(full_keys(of, kind), 0) for of in self._before], KEY) for kind in (BANDS, FINGERPRINTS)
        ]

    def process(self, element: tuple[int, Unit]) -> Iterator[tuple[tuple[int, int], bytes]]:
        index, _ = element
        if self._signed.paths[index]:
            yield from self._of_unit(index)

    def _of_unit(self, index: int) -> Iterator[tuple[tuple[int, int], bytes]]:
        gone = [self._plan.files.read(REPEATS, index, DROP)]
        if self._before:
            gone.append(self._plan.files.read(near_step(self._of.number_of_pass - 1), index, DROP))
        refs, table = self._left(index, np.concatenate(gone))
        bands = fixed_lists_array(table["bands"]) if self._of.last_band else np.empty((0, 0))
        for band in range(self._of.first_band, self._of.last_band):
            yield from self._packed(BANDS, bands[:, band], refs)
        if self._of.part >= 0:
            values, lengths = lists_arrays(table["fingerprints"])
            holders = np.repeat(refs, lengths)
            mine = (values >> np.uint64(32)) % np.uint64(self._of.num_parts) == self._of.part
            yield from self._packed(FINGERPRINTS, values[mine], holders[mine])

    def _packed(self, kind: int, keys: np.ndarray, refs: np.ndarray) -> Iterator[tuple[tuple[int, int], bytes]]:
        records = np.empty(len(refs), KEYED)
        records["key"], records["ref"] = keys, refs
        records = records[records["key"] != NO_KEY]
        if self._before:
            records = records[np.isin(records["key"], self._full[kind])]
        for partition, packed in by_partition(records["key"], records, self._plan.num_partitions):
            yield (kind, partition), packed


class Propose(OnPlan):
    """((kind, partition), KEYED) -> (unit of the pair's smaller member, PAIR); beside them, what was too much."""

    def process(self, element: tuple[tuple[int, int], Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        (kind, _), packed = element
        keyed = unpack(packed, KEYED)
        proposed, pairs = self._pairs(keyed)
        records = np.zeros(len(pairs), PAIR)
        records["a"], records["b"] = pairs.min(1), pairs.max(1)
        records["banded"] = kind == BANDS
        records = records[unit_of(records["b"]) >= self._plan.num_older]  # older documents were compared already
        # A pair lives with its smaller member's unit.
        yield from split_by(unit_of(records["a"]), records)
        counts = {"full_buckets": len(proposed.full_keys), "pairs_capped": proposed.num_capped}
        counts["largest_bucket"] = proposed.largest
        said = beam.pvalue.TaggedOutput(COUNTED, (None, (counts, kind, proposed.full_keys.tobytes())))
        yield said  # type: ignore[misc]  # Beam checks the main output's type alone

    def _pairs(self, keyed: np.ndarray) -> tuple[Proposals, U64]:
        # Older documents stand among the others in this order: all before them, a new document would meet a few of them
        # and never the ones next to it.
        preference = replace(self._plan.preference, num_older=0)
        return pairs_of(keyed, self._plan.params.max_bucket, lambda refs: preference.rank(refs, self._signed))


def pairs_of(keyed: np.ndarray, max_bucket: int, rank: Callable[[U64], I64]) -> tuple[Proposals, U64]:
    """What the keys of a partition propose, and the pairs as references, uint64 ``[n, 2]``.

    Args:
        keyed: KEYED records, all of each key.
        max_bucket: as in `propose_pairs`, which wants the preferred document first.
        rank: the place of some documents in the order of preference. It matters in full buckets alone, so only their
            documents are looked up.
    """
    keyed = sharing(keyed)  # before all else: nine of ten keys stand alone, and the rest takes five times the memory
    refs, documents = np.unique(keyed["ref"], return_inverse=True)
    _, buckets, sizes = np.unique(keyed["key"], return_inverse=True, return_counts=True)
    full = np.unique(documents[sizes[buckets] > max_bucket])
    place = np.zeros(len(refs), np.int64)
    if len(full):
        place[full] = rank(refs[full])
    order = np.lexsort((refs, place))
    number = np.empty(len(refs), np.int64)
    number[order] = np.arange(len(refs))
    proposed = propose_pairs(keyed["key"], number[documents], max_bucket)
    return proposed, refs[order][proposed.pairs]


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


class WriteCounts(beam.DoFn):
    """What all partitions of a round said of their buckets -> files: sums, the largest bucket; keys of full ones."""

    def __init__(self, plan: Plan, of: Round) -> None:
        self._plan, self._of = plan, of

    def setup(self) -> None:
        self._plan.release.expect_here()

    def process(self, element: tuple[None, Iterable[tuple[dict[str, int], int, bytes]]]) -> Iterator[int]:
        said = list(element[1])
        for kind in (BANDS, FINGERPRINTS):
            keys = unpack((packed for _, of, packed in said if of == kind), KEY)
            self._plan.files.write(full_keys(self._of, kind), 0, np.sort(keys))
        self._plan.files.finish(f"counts-{self._of.name}", json.dumps(add_counts(counts for counts, _, _ in said)))
        yield 0


def full_keys(of: Round, kind: int) -> str:
    """The step of the keys that too many documents shared in a round."""
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
