"""Deduplication: repeated ids, exact copies, near copies and contained texts, each decided by true similarity.

    data/clean/<unit>.parquet  ->  FindRepeats    one document of each id and of each normalised text
                                   FindPairs      those that share a band or a fingerprint, in rounds
                                   Decide         true Jaccard, containment; who stays
                               ->  data/dedup/<unit>.parquet   (doc_id, kept_id, similarity, measure)
                                   data/dedup/index/           what a later run needs of those that stay
                                   data/dedup/search.json      what was proposed, verified and capped

in = kept + dropped.exact + dropped.jaccard + dropped.contained + quarantined.repeated_id

Text never crosses a shuffle: 16 bytes a key do (see ``references``). No copy is dropped for a document that is itself
dropped, and no alike pair that was looked at has both members kept.

Run by ``dvc repro dedup``, or alone:
``python -m pipelines.dedup --input data/clean --output data/dedup --ledger data/dedup/ledger.json``
Against an older corpus: ``--older OLD/dedup OLD/clean``, as often as there are such.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam

from pipelines.duplicates.decide_steps import (
    CANDIDATES,
    VERIFIED_PAIRS,
    GatherCandidates,
    Resolve,
    Verify,
    WriteDrops,
    WriteSets,
    count_measures,
)
from pipelines.duplicates.losses import DEFAULT, judge_losses
from pipelines.duplicates.older import plan_older
from pipelines.duplicates.plan import DedupParams, Plan, Round, SearchFiles, plan_rounds
from pipelines.duplicates.preference import ORDERS, Preference, priorities_of
from pipelines.duplicates.references import EXACT, PAIR, REPEATED_ID, VERIFIED
from pipelines.duplicates.search_steps import COUNTED, Propose, RoundKeys, WriteCounts, WritePairs, add_counts
from pipelines.duplicates.shingles import NORMALIZATIONS
from pipelines.duplicates.steps import REPEATS, FindRepeated, Keys, Sign, WriteRepeats
from pipelines.process import run_pipeline
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump
from pipelines.spine.progress import Display
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Unit, UnitCache, plan_documents


class FindRepeats(beam.PTransform):
    """(number, unit) -> the number, once the unit's repeated ids and exact copies lie in a file.

    Shuffles, a document: 16 bytes for its id and 16 for its content. The largest partition (all keys /
    ``num_partitions``) must fit in one worker's memory, as in every step.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan = self._plan
        signed = units | "Spread" >> beam.Reshuffle() | "Sign" >> beam.ParDo(Sign(plan))
        nothing = signed | "Nothing" >> beam.FlatMap(lambda element: ())
        ids = self._repeated(signed, nothing, "id_key", REPEATED_ID)
        texts = self._repeated(signed, ids, "content_key", EXACT)
        found = {"unit": signed, "ids": ids, "texts": texts}
        return found | "ByUnit" >> beam.CoGroupByKey() | "Write" >> beam.ParDo(WriteRepeats(plan))

    def _repeated(
        self, signed: beam.PCollection, drops: beam.PCollection, column: str, measure: int
    ) -> beam.PCollection:
        return (
            {"unit": signed, "drops": drops}
            | f"Left.{column}" >> beam.CoGroupByKey()
            | f"Keys.{column}" >> beam.ParDo(Keys(self._plan, column))
            | f"ByKey.{column}" >> beam.GroupByKey()
            | f"Repeated.{column}" >> beam.ParDo(FindRepeated(self._plan, column, measure))
        )


class FindPairs(beam.PTransform):
    """(number, unit) -> the number, once the unit's candidate pairs of one round lie in a file.

    Shuffles 16 bytes for each key of the round, and 24 bytes a proposed pair and partition that proposes it.
    """

    def __init__(self, plan: Plan, of: Round) -> None:
        super().__init__()
        self._plan, self._of = plan, of

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan, of = self._plan, self._of
        proposed = (
            units
            | "Spread" >> beam.Reshuffle()
            | "Keys" >> beam.ParDo(RoundKeys(plan, of))
            | "ByKey" >> beam.GroupByKey()
            | "Propose" >> beam.ParDo(Propose(plan)).with_outputs(COUNTED, main="pairs")
        )
        _ = proposed[COUNTED] | "Together" >> beam.GroupByKey() | "Counts" >> beam.ParDo(WriteCounts(plan, of))
        return proposed["pairs"] | "ByUnit" >> beam.GroupByKey() | "Write" >> beam.ParDo(WritePairs(plan, of))


class Decide(beam.PTransform):
    """(number, unit) -> the number, once the unit's drop list lies in the cache.

    Shuffles 8 bytes a candidate document. Memory: the shingle sets of a block of pairs (32 MB) a worker; one process
    resolves the verified pairs (26 bytes each, at most ``max_verified_pairs``).
    """

    def __init__(self, plan: Plan, rounds: Sequence[Round]) -> None:
        super().__init__()
        self._plan, self._rounds = plan, rounds

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan = self._plan
        units = units | "Spread" >> beam.Reshuffle()
        sets = (
            units
            | "Candidates" >> beam.ParDo(GatherCandidates(plan, self._rounds))
            | "ByUnit" >> beam.GroupByKey()
            | "Sets" >> beam.ParDo(WriteSets(plan))
        )
        resolved = (
            units
            | "Verify" >> beam.ParDo(Verify(plan), beam.pvalue.AsIter(sets))
            | "One" >> beam.Map(lambda index: (None, index))
            | "Together" >> beam.GroupByKey()
            | "Resolve" >> beam.ParDo(Resolve(plan))
        )
        return units | "Write" >> beam.ParDo(WriteDrops(plan), beam.pvalue.AsIter(resolved))


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv, _add_options) as job:
        _check(job.params)
        older = plan_older(job.args.older, job.params)
        job.also_read += [place for corpus in job.args.older for place in corpus]
        plan = _plan(job, older, plan_documents(job.inputs))
        with storage.exclusive(Path(f"{plan.files.folder}.lock"), "a search of these documents"):
            counts = _search(job, plan)
            _publish(job, plan, counts)
            shutil.rmtree(plan.files.folder, ignore_errors=True)


def _search(job: Job, plan: Plan) -> str:
    """The text of ``search.json``; runs the steps that no earlier run has finished."""
    found = Path(plan.decided.root) / f"search-{Path(plan.files.folder).name}.json"
    new = plan.units[plan.num_older :]
    if found.exists() and all(plan.decided.is_sound(unit) for unit in new if plan.signed.receipt(unit) is not None):
        return found.read_text(encoding="utf-8")
    numbered = list(enumerate(plan.units))

    def run(step: str, transform: beam.PTransform) -> None:
        if plan.files.finished(step) is None:
            run_pipeline(job, lambda root: root | beam.Create(numbered) | transform)
            plan.files.finish(step)

    with Display("dedup", "documents", plan.units, plan.heartbeat):
        run(REPEATS, FindRepeats(plan))
        rounds = _rounds(plan)
        for of in rounds:
            run(of.name, FindPairs(plan, of))
        run_pipeline(job, lambda root: root | beam.Create(numbered) | Decide(plan, rounds))
    storage.write_text(found, dump(_counts(plan, rounds)))
    return found.read_text(encoding="utf-8")


def _rounds(plan: Plan) -> list[Round]:
    receipts = [receipt for unit in plan.units if (receipt := plan.signed.receipt(unit)) is not None]
    num_documents = sum(receipt.ledger.taken for receipt in receipts)
    num_fingerprints = sum(receipt.ledger.beside["fingerprints"] for receipt in receipts)
    return plan_rounds(plan.params, num_documents, num_fingerprints) if num_documents else []


def _counts(plan: Plan, rounds: Sequence[Round]) -> dict[str, object]:
    """What the search did, for people; read before its files go."""
    numbers = range(len(plan.units))
    verified = count_measures(plan.files.read(VERIFIED_PAIRS, index, VERIFIED) for index in numbers)
    buckets = [json.loads(text) for of in rounds if (text := plan.files.finished(f"counts-{of.name}"))]
    params = plan.params
    return {
        "candidate_pairs": sum(len(plan.files.read(CANDIDATES, index, PAIR)) for index in numbers),
        "verified_pairs": verified["jaccard"],
        "contained_pairs": verified["contained"],
        **add_counts(buckets),
        **{name: getattr(params, name) for name in ("num_bands", "rows_per_band", "shingle_size", "max_bucket")},
        **{name: getattr(params, name) for name in ("threshold", "containment_threshold")},
    }


def _publish(job: Job, plan: Plan, counts: str) -> None:
    decided = [unit for unit in plan.units[plan.num_older :] if plan.decided.receipt(unit) is not None]
    _expect_all(plan, decided)
    judge = judge_losses(job.params.max_dropped_percent, decided, lambda unit: _drop_list(plan, unit))
    job.publish_units(decided, "documents", judge, plan.decided, {"search.json": counts})


def _drop_list(plan: Plan, unit: Unit) -> Path | None:
    receipt = plan.decided.receipt(unit)
    return plan.decided.folder(unit) / receipt.shards[0].name if receipt and receipt.shards else None


def _plan(job: Job, older: Sequence[Unit], new: Sequence[Unit]) -> Plan:
    params, units = job.params, (*older, *new)
    signed = job.unit_cache(".signed", params.signing)  # a limit or a threshold signs nothing anew
    # Decisions depend on all units together: what is keyed by a unit alone is keyed by the whole plan here.
    whole = hashlib.sha256("".join(unit.fingerprint(job.recipe) for unit in units).encode()).hexdigest()[:32]
    decided = UnitCache(str(job.cache_root / "units" / "dedup.decided"), f"{job.recipe}-{whole}")
    files = SearchFiles(str(job.cache_root / "units" / "dedup.search" / whole))
    priorities = priorities_of([unit.source for unit in units], params.source_priority)
    preference = Preference(params.survivor, priorities, len(older))
    return Plan(units, len(older), signed, decided, files, params, preference, job.heartbeat(), job.versions)


def _expect_all(plan: Plan, decided: Sequence[Unit]) -> None:
    """Every unit that has signed documents must have been decided."""
    names = {unit.name for unit in decided}
    for unit in plan.units[plan.num_older :]:
        receipt = plan.signed.receipt(unit)
        if receipt is None or (receipt.shards and unit.name not in names):
            raise CorpusmillError("the unit was not decided", where=unit.name, hint="run again")


def _check(params: DedupParams) -> None:
    for name in ("shingle_size", "num_bands", "rows_per_band", "bands_per_round", "num_partitions", "max_bucket"):
        _expect(getattr(params, name) >= 1, name, "1 or more", getattr(params, name))
    _expect(0 < params.threshold <= 1, "threshold", "a similarity above 0, at most 1", params.threshold)
    contained = params.containment_threshold
    _expect(0 <= contained <= 1, "containment_threshold", "a share from 0 (off) to 1", contained)
    _expect(params.normalization in NORMALIZATIONS, "normalization", ", ".join(NORMALIZATIONS), params.normalization)
    _expect(params.survivor in ORDERS, "survivor", ", ".join(ORDERS), params.survivor)
    preferred = bool(params.source_priority)
    _expect(preferred or params.survivor != "source_priority", "source_priority", "the names of sources", "none")
    _expect(DEFAULT in params.max_dropped_percent, "max_dropped_percent", f"{DEFAULT}: 30", "no default")


def _expect(right: bool, name: str, expected: str, got: object) -> None:
    if not right:
        raise CorpusmillError("wrong value", where=f"params.yaml: dedup.{name}", expected=expected, got=got)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older", nargs=2, action="append", default=[], metavar=("DEDUP", "DOCUMENTS"),
        help="an older corpus: what its dedup wrote, and the documents that it read; all of it stays",
    )  # fmt: skip


STAGE = Stage("pipelines.dedup", DedupParams, ("python", "pyarrow", "numpy"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.dedup"))
