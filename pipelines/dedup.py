"""Deduplication: repeated ids, exact copies, near copies proposed by MinHash bands and decided by true Jaccard.

    data/clean/<unit>.parquet  ->  FindDuplicates  ->  data/dedup/<unit>.parquet  (doc_id, kept_id, similarity, measure)

in = kept + dropped.exact + dropped.jaccard + quarantined.repeated_id

Text never crosses a shuffle: keys and references do (see ``references``). No document is dropped for one that is
itself dropped, and no verified pair has both members kept.

Run by ``dvc repro dedup``, or alone:
``python -m pipelines.dedup --input data/clean --output data/dedup --ledger data/dedup/ledger.json``
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    MEASURES,
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
from pipelines.process import check_worker, run_pipeline
from pipelines.spine import faults
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.progress import Display, Heartbeat
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Unit, UnitCache, plan_documents
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


class FindDuplicates(beam.PTransform):
    """(unit number, unit) -> the number, once the unit's drop list lies in the cache.

    Shuffles, a document: 40 bytes for its id, 40 for its content, 20 a band; a candidate pair: 16 bytes; a drop: 25.
    One process gathers the verified pairs (24 bytes each, at most ``max_verified_pairs``); apart from them the
    largest partition of keys (all keys / ``num_partitions``) must fit in one worker's memory.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan = self._plan
        signed = units | "Spread" >> beam.Reshuffle() | "Sign" >> beam.ParDo(_Sign(plan))
        same_id = signed | "SameId" >> _FindRepeated(plan, "id_key", ())
        same_text = signed | "SameText" >> _FindRepeated(plan, "content_key", (same_id,))
        pairs = (
            {"unit": signed, "drops": (same_id, same_text) | "Dropped" >> beam.Flatten()}
            | "Left" >> beam.CoGroupByKey()
            | "Bands" >> beam.ParDo(_Bands(plan))
            | "ByBand" >> beam.GroupByKey()
            | "Propose" >> beam.ParDo(_Propose(plan))
            | "ByPair" >> beam.GroupByKey()
            | "Verify" >> beam.ParDo(_Verify(plan))
        )
        near = pairs | "Together" >> beam.GroupByKey() | "Resolve" >> beam.ParDo(_Resolve(plan))
        exact = (
            {"copies": same_text | "ByKept" >> beam.FlatMap(by_kept_unit), "near": near}
            | "WithFate" >> beam.CoGroupByKey()
            | "Repoint" >> beam.FlatMap(repoint_group)
        )
        drops = (same_id, exact, near) | "Drops" >> beam.Flatten()
        return (
            {"unit": signed, "drops": drops}
            | "ByUnit" >> beam.CoGroupByKey()
            | "Write" >> beam.ParDo(_WriteDrops(plan))
        )


class _FindRepeated(beam.PTransform):
    """(unit number, unit) -> (unit number, packed DROP records): all but the best-ranked holder of each key."""

    def __init__(self, plan: Plan, column: str, dropped: Sequence[beam.PCollection]) -> None:
        super().__init__()
        self._plan, self._column, self._dropped = plan, column, dropped

    def expand(self, signed: beam.PCollection) -> beam.PCollection:
        inputs = {"unit": signed, "drops": self._dropped[0] if self._dropped else signed | _nothing()}
        measure = MEASURES.index("repeated_id" if self._column == "id_key" else "exact")
        return (
            inputs
            | "Left" >> beam.CoGroupByKey()
            | "Keys" >> beam.ParDo(_Keys(self._plan, self._column))
            | "ByKey" >> beam.GroupByKey()
            | "Repeated" >> beam.FlatMap(_repeated_group, measure=measure)
        )


def _nothing() -> beam.PTransform:
    return "Nothing" >> beam.FlatMap(lambda element: ())


def _repeated_group(element: tuple[int, Iterable[bytes]], measure: int) -> Iterator[tuple[int, bytes]]:
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


class _OnPlan(beam.DoFn):
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


class _Sign(beam.DoFn):
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        check_worker(self._plan.versions)

    def process(self, element: tuple[int, Unit]) -> Iterator[tuple[int, Unit]]:
        index, unit = element
        receipt = run_unit(unit, SignUnit(self._plan.params.signing), self._plan.signed, self._plan.heartbeat)
        if receipt.shards:  # a unit without documents takes no part
            yield index, unit


class _Keys(_OnPlan):
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


class _Bands(_OnPlan):
    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
        refs, table = self._left(element)
        bands = fixed_lists_array(table["bands"])
        chars = np.minimum(table["chars"].to_numpy(), 0xFFFFFFFF)
        for band in range(bands.shape[1]):
            records = np.empty(len(refs), BANDED)
            records["key"], records["ref"], records["chars"] = bands[:, band], refs, chars
            yield from by_partition(records["key"], records, self._plan.params.num_partitions)


class _Propose(beam.DoFn):
    def __init__(self, plan: Plan) -> None:
        self._params = plan.params

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        banded = unpack(element[1], BANDED)
        refs, first, documents = np.unique(banded["ref"], return_index=True, return_inverse=True)
        # propose_pairs wants the preferred document first: the one that would survive.
        preferred = np.lexsort((refs, -banded["chars"][first].astype(np.int64)))
        rank = np.empty(len(refs), np.int64)
        rank[preferred] = np.arange(len(refs))
        ranked, capped = propose_pairs(banded["key"], rank[documents], self._params.max_bucket)
        proposed = refs[preferred[ranked]]
        beam.metrics.Metrics.counter("corpusmill", "pairs_capped").inc(int(capped))
        pairs = np.empty(len(proposed), PAIR)
        pairs["a"], pairs["b"] = proposed.min(1), proposed.max(1)
        # A pair lives with its smaller member's unit, so that the unit's texts are read once.
        yield from split_by(unit_of(pairs["a"]), pairs)


class _Verify(_OnPlan):
    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        pairs = distinct_pairs(element[1])
        paths = [unit.inputs[0].path for unit in self._plan.units]
        refs = np.unique(np.concatenate([pairs["a"], pairs["b"]]))
        sets = shingle_sets(refs, paths, self._plan.params.shingle_size)
        verified = verify_pairs(pairs, sets, Fraction(str(self._plan.params.threshold)))
        yield 0, verified.tobytes()


class _Resolve(_OnPlan):
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


class _WriteDrops(_OnPlan):
    def process(self, element: tuple[int, Mapping[str, Iterable]]) -> Iterator[int]:
        index, groups = element
        drops = unpack(groups["drops"], DROP)
        work = DropsOfUnit(index, drops, self._signed)
        run_unit(self._plan.units[index], work, self._plan.decided, Heartbeat())
        faults.reach("dedup:decided")
        yield index


def judge_losses(limit_percent: int) -> Callable[[Ledger, Mapping[str, Ledger]], None]:
    """A check that no source loses more than the limit's share of its documents."""

    def judge(total: Ledger, by_source: Mapping[str, Ledger]) -> None:
        for source, ledger in sorted(by_source.items()):
            lost = sum(ledger.reasons.values())
            if 100 * lost > limit_percent * ledger.taken:
                raise CorpusmillError(
                    f"deduplication would drop {lost:,} of {ledger.taken:,} documents: {dict(ledger.reasons)}",
                    where=f"source {source}",
                    expected=f"at most {limit_percent} %",
                    hint="if the source really repeats itself so much, raise dedup.max_dropped_percent",
                )

    return judge


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv) as job:
        _check(job.params)
        units = plan_documents(job.inputs)
        plan = _plan(job, units)
        with Display("dedup", "documents", units, plan.heartbeat):
            counters = run_pipeline(job, lambda root: root | beam.Create(list(enumerate(units))) | FindDuplicates(plan))
        if counters.get("pairs_capped"):
            print(f"dedup    {counters['pairs_capped']:,} pairs of full buckets were not proposed", file=sys.stderr)
        present = [unit for unit in units if plan.decided.receipt(unit) is not None]
        _expect_all(plan, units, present)
        job.publish_units(present, "documents", judge_losses(job.params.max_dropped_percent), plan.decided)


def _plan(job: Job, units: Sequence[Unit]) -> Plan:
    signed = job.unit_cache(".signed")
    # Decisions depend on all units together: their cache is keyed by the whole plan.
    whole = hashlib.sha256("".join(unit.fingerprint(signed.recipe) for unit in units).encode()).hexdigest()
    decided = job.unit_cache(f".decided-{whole}")
    decided = UnitCache(str(job.cache_root / "units" / "dedup.decided"), decided.recipe)
    return Plan(tuple(units), signed, decided, job.params, job.heartbeat(), job.versions)


def _expect_all(plan: Plan, units: Sequence[Unit], present: Sequence[Unit]) -> None:
    """Every unit that has signed documents must have been decided."""
    decided = {unit.name for unit in present}
    for unit in units:
        receipt = plan.signed.receipt(unit)
        if receipt is None or (receipt.shards and unit.name not in decided):
            raise CorpusmillError("the unit was not decided", where=unit.name, hint="run again")


def _check(params: DedupParams) -> None:
    if not 0 < params.threshold <= 1:
        raise CorpusmillError(
            "not a similarity",
            where="params.yaml: dedup.threshold",
            expected="above 0, at most 1",
            got=params.threshold,
        )
    for name in ("shingle_size", "num_bands", "rows_per_band", "num_partitions", "max_bucket"):
        if getattr(params, name) < 1:
            raise CorpusmillError("too few", where=f"params.yaml: dedup.{name}", expected="1 or more")


STAGE = Stage("pipelines.dedup", DedupParams, ("python", "pyarrow", "numpy"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.dedup"))
