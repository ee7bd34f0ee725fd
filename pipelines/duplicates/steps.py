"""The steps of deduplication on Beam: each unpacks keys or references, calls pure functions, and packs what comes out.

`pipelines.dedup` says in which order; elements are (number of a unit, or of a partition, packed records).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.duplicates.decisions import DropsOfUnit, near_drops, repeated_keys, repoint
from pipelines.duplicates.minhash import propose_pairs
from pipelines.duplicates.references import (
    BANDED,
    DROP,
    KEYED,
    PAIR,
    VERIFIED,
    SignedUnits,
    by_partition,
    make_refs,
    split_by,
    unit_of,
    unpack,
)  # fmt: skip
from pipelines.duplicates.signing import SignParams, SignUnit, fixed_lists_array
from pipelines.duplicates.verify import distinct_pairs, shingle_sets, verify_pairs
from pipelines.process import check_worker
from pipelines.spine import faults
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.progress import Heartbeat
from pipelines.spine.units import Unit, UnitCache
from pipelines.spine.work import run_unit


@dataclass(frozen=True)
class DedupParams:
    """``params.yaml: dedup``."""

    threshold: float
    shingle_size: int
    num_bands: int
    rows_per_band: int
    seed: int
    max_bucket: int
    num_partitions: int
    max_verified_pairs: int
    max_dropped_percent: int

    @property
    def signing(self) -> SignParams:
        return SignParams(self.shingle_size, self.num_bands, self.rows_per_band, self.seed)


@dataclass(frozen=True)
class Plan:
    """What every worker must know of a run: the units, where their signed rows lie, and the parameters."""

    units: tuple[Unit, ...]
    signed: UnitCache
    decided: UnitCache
    params: DedupParams
    heartbeat: Heartbeat
    versions: dict[str, str]

    def signed_units(self) -> SignedUnits:
        """Look-up of ids and ranks; ask only once every unit is signed."""
        return SignedUnits(tuple(str(self.signed.folder(unit) / f"{unit.name}.arrow") for unit in self.units))


def repeated_group(element: tuple[int, Iterable[bytes]], measure: int) -> Iterator[tuple[int, bytes]]:
    drops = repeated_keys(unpack(element[1], KEYED), measure)
    yield from split_by(unit_of(drops["ref"]), drops)


def by_kept_unit(element: tuple[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """(unit of the dropped, drops) -> (unit of the kept, drops): the copies meet the fate of what they copy."""
    drops = unpack([element[1]], DROP)
    yield from split_by(unit_of(drops["kept"]), drops)


def repoint_group(element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
    """Copies and near drops of one unit -> the copies' drops by their own unit, pointing at documents that stay."""
    drops = repoint(unpack(element[1]["copies"], DROP), unpack(element[1]["near"], DROP))
    yield from split_by(unit_of(drops["ref"]), drops)


class OnPlan(beam.DoFn):
    """A step that knows the plan; the look-up of signed rows is opened once a worker."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        check_worker(self._plan.versions)
        self._signed = self._plan.signed_units()

    def _left(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> tuple[np.ndarray, pa.Table]:
        """References and signed rows of the unit's documents that are not dropped yet."""
        index, groups = element
        table = self._signed.table(index)
        refs = make_refs(index, table.num_rows)
        left = ~np.isin(refs, unpack(groups["drops"], DROP)["ref"])
        return refs[left], table.filter(pa.array(left))


class Sign(beam.DoFn):
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        check_worker(self._plan.versions)

    def process(self, element: tuple[int, Unit]) -> Iterator[tuple[int, Unit]]:
        index, unit = element
        receipt = run_unit(unit, SignUnit(self._plan.params.signing), self._plan.signed, self._plan.heartbeat)
        if receipt.shards:  # a unit without documents takes no part
            yield index, unit


class Keys(OnPlan):
    def __init__(self, plan: Plan, column: str) -> None:
        super().__init__(plan)
        self._column = column

    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
        refs, table = self._left(element)
        keys = fixed_lists_array(table[self._column])
        records = np.empty(len(refs), KEYED)
        records["key"], records["key2"], records["ref"] = keys[:, 0], keys[:, 1], refs
        records["chars"] = table["chars"].to_numpy()
        records["order"] = fixed_lists_array(table["id_key"])[:, 0]
        yield from by_partition(records["key"], records, self._plan.params.num_partitions)


class Bands(OnPlan):
    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
        refs, table = self._left(element)
        bands = fixed_lists_array(table["bands"])
        chars = np.minimum(table["chars"].to_numpy(), 0xFFFFFFFF)
        order = fixed_lists_array(table["id_key"])[:, 0]
        for band in range(bands.shape[1]):
            records = np.empty(len(refs), BANDED)
            records["key"], records["ref"] = bands[:, band], refs
            records["order"], records["chars"] = order, chars
            yield from by_partition(records["key"], records, self._plan.params.num_partitions)


class Propose(beam.DoFn):
    def __init__(self, plan: Plan) -> None:
        self._params = plan.params

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        banded = unpack(element[1], BANDED)
        refs, first, documents = np.unique(banded["ref"], return_index=True, return_inverse=True)
        # propose_pairs wants the preferred document first: the one that would survive.
        preferred = np.lexsort((refs, banded["order"][first], -banded["chars"][first].astype(np.int64)))
        rank = np.empty(len(refs), np.int64)
        rank[preferred] = np.arange(len(refs))
        ranked, capped = propose_pairs(banded["key"], rank[documents], self._params.max_bucket)
        proposed = refs[preferred[ranked]]
        beam.metrics.Metrics.counter("corpusmill", "pairs_capped").inc(int(capped))
        pairs = np.empty(len(proposed), PAIR)
        pairs["a"], pairs["b"] = proposed.min(1), proposed.max(1)
        # A pair lives with its smaller member's unit, so that the unit's texts are read once.
        yield from split_by(unit_of(pairs["a"]), pairs)


class Verify(OnPlan):
    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        pairs = distinct_pairs(element[1])
        paths = [unit.inputs[0].path for unit in self._plan.units]
        refs = np.unique(np.concatenate([pairs["a"], pairs["b"]]))
        sets = shingle_sets(refs, paths, self._plan.params.shingle_size)
        verified = verify_pairs(pairs, sets, Fraction(str(self._plan.params.threshold)))
        yield 0, verified.tobytes()


class Resolve(OnPlan):
    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        pairs = unpack(element[1], VERIFIED)
        limit = self._plan.params.max_verified_pairs
        if len(pairs) > limit:
            raise CorpusmillError(
                f"{len(pairs):,} verified pairs of near copies",
                where="dedup",
                expected=f"at most {limit:,} (dedup.max_verified_pairs)",
                hint="one process holds them, 24 bytes each and about 10 times that to resolve; raise the limit, "
                "or look for boilerplate that makes everything alike",
            )
        refs = np.unique(np.concatenate([pairs["a"], pairs["b"]]))
        if len(refs):
            table = self._signed.take(refs, ["chars", "id_key"])
            drops = near_drops(pairs, refs, table["chars"].to_numpy(), fixed_lists_array(table["id_key"])[:, 0])
            yield from split_by(unit_of(drops["ref"]), drops)


class WriteDrops(OnPlan):
    def process(self, element: tuple[int, Mapping[str, Iterable]]) -> Iterator[int]:
        index, groups = element
        drops = unpack(groups["drops"], DROP)
        work = DropsOfUnit(index, drops, self._signed)
        run_unit(self._plan.units[index], work, self._plan.decided, Heartbeat())
        faults.reach("dedup:decided")
        yield index
