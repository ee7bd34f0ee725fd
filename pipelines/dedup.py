"""Deduplication: repeated ids, exact copies, near copies proposed by MinHash bands and decided by true Jaccard.

    data/clean/<unit>.parquet  ->  FindDuplicates  ->  data/dedup/<unit>.parquet  (doc_id, kept_id, similarity, measure)

in = kept + dropped.exact + dropped.jaccard + quarantined.repeated_id

Text never crosses a shuffle: keys and references do (see ``references``). No copy is dropped for a document
that is itself dropped, and no verified pair has both members kept. Of documents with one id the first stays, the others
go to the quarantine whole, whatever they hold.

Run by ``dvc repro dedup``, or alone:
``python -m pipelines.dedup --input data/clean --output data/dedup --ledger data/dedup/ledger.json``
"""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence

import apache_beam as beam

from pipelines.duplicates.references import MEASURES
from pipelines.duplicates.steps import (
    Bands,
    DedupParams,
    Keys,
    Plan,
    Propose,
    Resolve,
    Sign,
    Verify,
    WriteDrops,
    by_kept_unit,
    repeated_group,
    repoint_group,
)
from pipelines.process import run_pipeline
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.progress import Display
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Unit, UnitCache, plan_documents


class FindDuplicates(beam.PTransform):
    """(unit number, unit) -> the number, once the unit's drop list lies in the cache.

    Shuffles, a document: 40 bytes for its id, 40 for its content, 28 a band; a candidate pair: 16 bytes; a drop: 25.
    One process gathers the verified pairs (24 bytes each, at most ``max_verified_pairs``); apart from them the
    largest partition of keys (all keys / ``num_partitions``) must fit in one worker's memory.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan = self._plan
        signed = units | "Spread" >> beam.Reshuffle() | "Sign" >> beam.ParDo(Sign(plan))
        same_id = signed | "SameId" >> _FindRepeated(plan, "id_key", ())
        same_text = signed | "SameText" >> _FindRepeated(plan, "content_key", (same_id,))
        pairs = (
            {"unit": signed, "drops": (same_id, same_text) | "Dropped" >> beam.Flatten()}
            | "Left" >> beam.CoGroupByKey()
            | "Bands" >> beam.ParDo(Bands(plan))
            | "ByBand" >> beam.GroupByKey()
            | "Propose" >> beam.ParDo(Propose(plan))
            | "ByPair" >> beam.GroupByKey()
            | "Verify" >> beam.ParDo(Verify(plan))
        )
        near = pairs | "Together" >> beam.GroupByKey() | "Resolve" >> beam.ParDo(Resolve(plan))
        exact = (
            {"copies": same_text | "ByKept" >> beam.FlatMap(by_kept_unit), "near": near}
            | "WithFate" >> beam.CoGroupByKey()
            | "Repoint" >> beam.FlatMap(repoint_group)
        )
        drops = (same_id, exact, near) | "Drops" >> beam.Flatten()
        return (
            {"unit": signed, "drops": drops} | "ByUnit" >> beam.CoGroupByKey() | "Write" >> beam.ParDo(WriteDrops(plan))
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
            | "Keys" >> beam.ParDo(Keys(self._plan, self._column))
            | "ByKey" >> beam.GroupByKey()
            | "Repeated" >> beam.FlatMap(repeated_group, measure=measure)
        )


def _nothing() -> beam.PTransform:
    return "Nothing" >> beam.FlatMap(lambda element: ())


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
    signed = job.unit_cache(".signed", job.params.signing)  # a limit or a threshold signs nothing anew
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
