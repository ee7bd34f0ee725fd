"""Signing and repeated keys on Beam: every unit by itself, then the documents that share an id or a text.

Elements are (number of a unit, or of a partition, packed records). `pipelines.dedup` says in which order; what a step
leaves for a later pipeline lies in the plan's files.
"""

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.duplicates.decisions import repeated_keys, shared_keys
from pipelines.duplicates.plan import Plan
from pipelines.duplicates.references import DROP, EXACT, KEYED, by_partition, make_refs, split_by, unit_of, unpack
from pipelines.duplicates.signing import SignUnit, fixed_lists_array
from pipelines.spine import faults
from pipelines.spine.units import Unit
from pipelines.spine.work import run_unit

#: Files of this step hold the DROP records of repeated ids and exact copies, by the unit of the dropped.
REPEATS = "repeats"


def near_step(number_of_pass: int) -> str:
    """The step of the DROP records of near copies and contained texts, as they stand after a pass."""
    return f"near{number_of_pass}"


class OnPlan(beam.DoFn):
    """A step that knows the plan; the look-up of signed rows is opened once a worker."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        self._plan.release.expect_here()
        self._signed = self._plan.signed_units()

    def _left(self, index: int, drops: np.ndarray) -> tuple[np.ndarray, pa.Table]:
        """References and signed rows of the unit's documents that ``drops`` do not name."""
        table = self._signed.table(index)
        refs = make_refs(index, table.num_rows)
        left = ~np.isin(refs, drops["ref"])
        return refs[left], table.filter(pa.array(left))


class Sign(beam.DoFn):
    """(number, unit) -> the number, once the unit's signed rows lie in the cache; nothing for one without documents."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        self._plan.release.expect_here()

    def process(self, element: tuple[int, Unit]) -> Iterator[tuple[int, bytes]]:
        index, unit = element
        if run_unit(unit, SignUnit(self._plan.params.signing), self._plan.signed, self._plan.heartbeat).shards:
            yield index, b""


class Keys(OnPlan):
    """A unit's documents that are not dropped yet -> (partition, packed KEYED) by a half of their 128-bit key."""

    def __init__(self, plan: Plan, column: str) -> None:
        super().__init__(plan)
        self._column = column

    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
        index, groups = element
        refs, table = self._left(index, unpack(groups["drops"], DROP))
        if self._column == "id_key" and index < self._plan.num_older:
            refs, table = refs[:0], table.slice(0, 0)  # an article that was changed since keeps its id
        records = np.empty(len(refs), KEYED)
        records["key"], records["ref"] = fixed_lists_array(table[self._column])[:, 0], refs
        yield from by_partition(records["key"], records, self._plan.num_partitions)


class FindRepeated(OnPlan):
    """(partition, KEYED) -> (unit, DROP) for all but one document of each key."""

    def __init__(self, plan: Plan, column: str, measure: int) -> None:
        super().__init__(plan)
        self._column, self._measure = column, measure

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        refs = shared_keys(unpack(element[1], KEYED))
        keys = fixed_lists_array(self._signed.take(refs, [self._column])[self._column])
        # `shard` takes the last rows of a repeated id: there the first reference stays.
        exact = self._measure == EXACT
        rank = self._plan.preference.rank(refs, self._signed) if exact else np.arange(len(refs))
        drops = repeated_keys(keys, refs, rank, self._measure)
        drops = drops[unit_of(drops["ref"]) >= self._plan.num_older]
        yield from split_by(unit_of(drops["ref"]), drops)


class WriteRepeats(OnPlan):
    """A unit's DROP records of both kinds -> a file."""

    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[int]:
        index, groups = element
        drops = unpack([*groups["ids"], *groups["texts"]], DROP)
        self._plan.files.write(REPEATS, index, drops[np.argsort(drops["ref"], kind="stable")])
        faults.reach("dedup:repeats")
        yield index
