"""Signing and repeated keys on Beam: every unit by itself, then the documents that share an id or a text.

Elements are (number of a unit, or of a partition, packed records). `pipelines.dedup` says in which order; what a step
leaves for a later pipeline lies in the plan's files.
"""

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.duplicates.answers import Known, Packed, gathered
from pipelines.duplicates.decisions import by_ref, repeated_keys, shared_keys
from pipelines.duplicates.plan import Plan
from pipelines.duplicates.references import (
    DROP,
    EXACT,
    HOLDER,
    KEYED,
    by_partition,
    make_refs,
    partition_of,
    row_of,
    split_by,
    unit_of,
    unpack,
)  # fmt: skip
from pipelines.duplicates.signing import SignUnit, fixed_lists_array
from pipelines.spine import faults
from pipelines.spine.work import run_unit

REF = np.dtype("<u8")
#: Files of this step hold the DROP records of repeated ids and exact copies, by the unit of the dropped.
REPEATS = "repeats"


def near_step(number_of_pass: int) -> str:
    """The step of the DROP records of near copies and contained texts, as they stand after a pass."""
    return f"near{number_of_pass}"


class OnPlan(beam.DoFn):
    """A step that knows the plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        self._plan.release.expect_here()

    def _left(self, index: int, drops: np.ndarray, columns: list[str]) -> tuple[np.ndarray, pa.Table]:
        """References and columns of the unit's documents that ``drops`` do not name; it has some documents."""
        table = self._plan.signed_table(index)
        assert table is not None
        refs = make_refs(index, table.num_rows)
        left = ~np.isin(refs, drops["ref"])
        return refs[left], table.select(columns).filter(pa.array(left))

    def _known(self, index: int, refs: np.ndarray, dtype: np.dtype, *columns: str) -> tuple[Known, pa.Table]:
        """What ranks some documents of a unit, in their order, with 0 in all other fields; their signed rows too."""
        ids = ["doc_id"] if self._plan.preference.wants_ids else []
        table = self._plan.signed_table(index)
        assert table is not None
        rows = table.select(list(dict.fromkeys(["chars", "id_key", *ids, *columns]))).take(row_of(refs))
        records = np.zeros(len(refs), dtype)
        records["ref"], records["chars"] = refs, rows["chars"].to_numpy()
        records["tie"] = fixed_lists_array(rows["id_key"])[:, 0]
        return Known(records, rows["doc_id"].to_pylist() if ids else []), rows


class Sign(OnPlan):
    """Number of a unit -> the number, once its signed rows lie in the cache; nothing for one without documents."""

    def process(self, index: int) -> Iterator[tuple[int, bytes]]:
        unit = self._plan.units[index]
        if run_unit(unit, SignUnit(self._plan.params.signing), self._plan.signed, self._plan.heartbeat).shards:
            yield index, b""


class Keys(OnPlan):
    """A unit's documents that are not dropped yet -> (partition, packed KEYED) by a half of their 128-bit key."""

    def __init__(self, plan: Plan, column: str) -> None:
        super().__init__(plan)
        self._column = column

    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
        index, groups = element
        refs, table = self._left(index, unpack(groups["drops"], DROP), [self._column])
        if self._column == "id_key" and index < self._plan.num_older:
            refs, table = refs[:0], table.slice(0, 0)  # an article that was changed since keeps its id
        records = np.empty(len(refs), KEYED)
        records["key"], records["ref"] = fixed_lists_array(table[self._column])[:, 0], refs
        yield from by_partition(records["key"], records, self._plan.num_partitions)


class AskHolders(OnPlan):
    """(partition, KEYED) -> (unit, packed references) of the documents whose half another one has too."""

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        refs = shared_keys(unpack(element[1], KEYED))
        yield from split_by(unit_of(refs), refs)


class TellHolders(OnPlan):
    """(unit, packed references) -> (partition, HOLDER): the whole key of each, and what ranks it."""

    def __init__(self, plan: Plan, column: str) -> None:
        super().__init__(plan)
        self._column = column

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, Packed]]:
        index, packed = element
        known, rows = self._known(index, np.sort(unpack(packed, REF)), HOLDER, self._column)
        keys = fixed_lists_array(rows[self._column])
        known.records["first"], known.records["second"] = keys.T
        for partition, part in known.by(partition_of(keys[:, 0], self._plan.num_partitions)):
            yield partition, part.packed()


class FindRepeated(OnPlan):
    """(partition, HOLDER) -> (unit, DROP) for all but one document of each key."""

    def __init__(self, plan: Plan, measure: int) -> None:
        super().__init__(plan)
        self._measure = measure

    def process(self, element: tuple[int, Iterable[Packed]]) -> Iterator[tuple[int, bytes]]:
        holders = gathered(element[1], HOLDER).distinct()
        # `shard` takes the last rows of a repeated id: there the first reference stays.
        exact = self._measure == EXACT
        rank = self._plan.preference.rank(holders) if exact else np.arange(len(holders.records))
        drops = repeated_keys(holders.records, rank, self._measure)
        drops = drops[unit_of(drops["ref"]) >= self._plan.num_older]
        yield from split_by(unit_of(drops["ref"]), drops)


class WriteRepeats(OnPlan):
    """A unit's DROP records of both kinds -> a file."""

    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[int]:
        index, groups = element
        self._plan.files.write(REPEATS, index, by_ref(unpack([*groups["ids"], *groups["texts"]], DROP)))
        faults.reach("dedup:repeats")
        yield index
