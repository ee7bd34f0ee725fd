"""Deduplication: repeated ids, exact copies, near copies and contained texts, each decided by true similarity.

    data/clean/<unit>.parquet  ->  FindRepeats    one document of each id and of each normalised text
                                   FindPairs      those that share a band or a fingerprint, in rounds
                                   VerifyPairs    true Jaccard, containment; who stays
                                                  (both again for what was too much at once)
                                   DecideUnits
                               ->  data/dedup/<unit>.parquet   (doc_id, kept_id, similarity, measure)
                                   data/dedup/index/           what a later run needs of those that stay
                                   data/dedup/search.json      what was proposed, verified and capped

in = kept + dropped.exact + dropped.jaccard + dropped.contained + quarantined.repeated_id

Text never crosses a shuffle: 16 bytes a key do (see ``references``). No copy is dropped for a document that is itself
dropped, and no alike pair that was looked at has both members kept.

Run by ``dvc repro dedup``, or alone:
``python -m pipelines.dedup --input data/clean --output data/dedup --ledger data/dedup/ledger.json``
Against an older corpus: ``--older OLD/dedup OLD/clean``, as often as there are such (--input goes before it).
Why one document went, beside the one that stays: ``python -m pipelines.dedup --explain enwiki:12``
"""

import argparse
import hashlib
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import apache_beam as beam

from pipelines.duplicates.decide_steps import AskExact, AskNear, TellIds, TellKept, WriteDrops
from pipelines.duplicates.explaining import OPTION, explain_command
from pipelines.duplicates.losses import judge_losses
from pipelines.duplicates.older import INDEX, list_index, plan_older
from pipelines.duplicates.parameters import DedupParams, check_params, expect_sources
from pipelines.duplicates.passes import describe_search, first_rounds, next_pass
from pipelines.duplicates.plan import Plan, Round, SearchFiles, count_partitions
from pipelines.duplicates.preference import Preference, priorities_of
from pipelines.duplicates.references import EXACT, REPEATED_ID
from pipelines.duplicates.search_steps import (
    COUNTED,
    FULL,
    Propose,
    ProposeFull,
    RoundKeys,
    TellFull,
    WriteCounts,
    WritePairs,
)  # fmt: skip
from pipelines.duplicates.steps import REPEATS, AskHolders, FindRepeated, Keys, Sign, TellHolders, WriteRepeats
from pipelines.duplicates.verify_steps import GatherCandidates, Order, Resolve, Verify, WriteNear, WriteSets
from pipelines.process import NumberUnits, run_pipeline
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump
from pipelines.spine.progress import Display
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Unit, UnitCache, plan_documents


class FindRepeats(beam.PTransform):
    """Number of a unit -> the number, once the unit's repeated ids and exact copies lie in a file.

    Shuffles, a document: 16 bytes for its id and 16 for its content; for one that shares a half of either, 48 more. The
    largest partition (all keys / ``num_partitions``) must fit in one worker's memory, as in every step.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan = self._plan
        signed = units | "Sign" >> beam.ParDo(Sign(plan))
        nothing = signed | "Nothing" >> beam.FlatMap(lambda element: ())
        ids = self._repeated(signed, nothing, "id_key", REPEATED_ID)
        texts = self._repeated(signed, ids, "content_key", EXACT)
        found = {"unit": signed, "ids": ids, "texts": texts}
        return found | "ByUnit" >> beam.CoGroupByKey() | "Write" >> beam.ParDo(WriteRepeats(plan))

    def _repeated(
        self, signed: beam.PCollection, drops: beam.PCollection, column: str, measure: int
    ) -> beam.PCollection:
        plan = self._plan
        return (
            {"unit": signed, "drops": drops}
            | f"Left.{column}" >> beam.CoGroupByKey()
            | f"Keys.{column}" >> beam.ParDo(Keys(plan, column))
            | f"ByHalf.{column}" >> beam.GroupByKey()
            | f"Ask.{column}" >> beam.ParDo(AskHolders(plan))
            | f"ByHolder.{column}" >> beam.GroupByKey()
            | f"Tell.{column}" >> beam.ParDo(TellHolders(plan, column))
            | f"ByKey.{column}" >> beam.GroupByKey()
            | f"Repeated.{column}" >> beam.ParDo(FindRepeated(plan, measure))
        )


class FindPairs(beam.PTransform):
    """Number of a unit -> the number, once the unit's candidate pairs of one round lie in a file.

    Shuffles 16 bytes for each key of the round, 48 more for one that too many documents have, and 18 bytes a proposed
    pair and partition that proposes it.
    """

    def __init__(self, plan: Plan, of: Round, before: Sequence[Round]) -> None:
        super().__init__()
        self._plan, self._of, self._before = plan, of, before

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan, of = self._plan, self._of
        proposed = (
            units
            | "Keys" >> beam.ParDo(RoundKeys(plan, of, self._before))
            | "ByKey" >> beam.GroupByKey()
            | "Propose" >> beam.ParDo(Propose(plan)).with_outputs(COUNTED, FULL, main="pairs")
        )
        full = (
            proposed[FULL]
            | "ByHolder" >> beam.GroupByKey()
            | "Tell" >> beam.ParDo(TellFull(plan, of))
            | "FullByKey" >> beam.GroupByKey()
            | "ProposeFull" >> beam.ParDo(ProposeFull(plan)).with_outputs(COUNTED, main="pairs")
        )
        counted = (proposed[COUNTED], full[COUNTED]) | "AllCounts" >> beam.Flatten()
        _ = counted | "Together" >> beam.GroupByKey() | "Counts" >> beam.ParDo(WriteCounts(plan, of))
        pairs = (proposed["pairs"], full["pairs"]) | "AllPairs" >> beam.Flatten()
        return pairs | "ByUnit" >> beam.GroupByKey() | "Write" >> beam.ParDo(WritePairs(plan, of))


class VerifyPairs(beam.PTransform):
    """Number of a unit -> numbers of units, once the near copies that are known by now lie in files by unit.

    Shuffles, a candidate document and unit that asks for it, 8 bytes there and 40 back; a verified pair, 25 bytes and 40
    for each of its documents; 25 bytes a drop. Memory: the shingle sets of a block of pairs (32 MB) a worker, and the
    verified pairs whose worse documents are about as long; one process decides, and holds a bit a document.
    """

    def __init__(self, plan: Plan, passes: Sequence[Sequence[Round]]) -> None:
        super().__init__()
        self._plan, self._passes, self._pass = plan, passes, len(passes) - 1

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan, number = self._plan, self._pass
        return (
            units
            | "Candidates" >> beam.ParDo(GatherCandidates(plan, self._passes))
            | "ByUnit" >> beam.GroupByKey()
            | "Sets" >> beam.ParDo(WriteSets(plan, number))
            | "ByAsker" >> beam.GroupByKey()
            | "Verify" >> beam.ParDo(Verify(plan, number))
            | "ByStretch" >> beam.GroupByKey()
            | "Order" >> beam.ParDo(Order(plan, number))
            | "Together" >> beam.GroupByKey()
            | "Resolve" >> beam.ParDo(Resolve(plan, number))
            | "DropsByUnit" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(WriteNear(plan, number))
        )


class DecideUnits(beam.PTransform):
    """Number of a unit -> the number, once the unit's drop list lies in the cache.

    Shuffles, a dropped document, 8 bytes to whom it goes for, and 33 and that one's id back.
    """

    def __init__(self, plan: Plan, last_pass: int) -> None:
        super().__init__()
        self._plan, self._last_pass = plan, last_pass

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan, last = self._plan, self._last_pass
        near = (
            units
            | "AskNear" >> beam.ParDo(AskNear(plan, last))
            | "NearByKept" >> beam.GroupByKey()
            | "TellIds" >> beam.ParDo(TellIds(plan))
        )
        asked = units | "AskExact" >> beam.ParDo(AskExact(plan))
        exact = (
            {"near": near, "asked": asked}
            | "ExactByKept" >> beam.CoGroupByKey()
            | "TellKept" >> beam.ParDo(TellKept(plan, last))
        )
        numbers = units | "Number" >> beam.Map(lambda index: (index, None))
        return (
            {"unit": numbers, "near": near, "exact": exact}
            | "ByUnit" >> beam.CoGroupByKey()
            | "Write" >> beam.ParDo(WriteDrops(plan, last))
        )


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    if any(word.partition("=")[0] == OPTION for word in argv):
        explain_command(argv)
        return
    with opened(STAGE, argv, _add_options) as job:
        check_params(job.params)
        older = plan_older(job.args.older, job.params)
        job.also_read += [place for corpus in job.args.older for place in corpus]
        plan = _plan(job, older, plan_documents(job.inputs))
        with storage.exclusive(_note(job, plan.digest, "lock"), "a search of these documents"):
            counts = _search(job, plan)
            _publish(job, plan, counts)
            plan.files.end()
            _note(job, plan.digest, "run").unlink(missing_ok=True)


def _search(job: Job, plan: Plan) -> str:
    """The text of ``search.json``; runs the steps that no earlier run has finished."""
    found = storage.join(plan.decided.root, f"search-{plan.digest}.json")
    if storage.exists(found) and _are_decided(plan):
        return storage.read_text(found)
    # What a killed run found stands on signed units.
    plan.files.begin(goes_on=all(plan.signed.are_sound(plan.units)))

    def run(step: str, transform: beam.PTransform) -> None:
        if plan.files.finished(step) is None:
            run_pipeline(job, lambda root: root | NumberUnits(plan.units) | transform, plan.units)
            plan.files.finish(step)

    with Display("dedup", "documents", plan.units, plan.heartbeat):
        run(REPEATS, FindRepeats(plan))
        passes = [rounds] if (rounds := first_rounds(plan)) else []
        for rounds in passes:
            before = passes[-2] if len(passes) > 1 else ()
            for of in rounds:
                run(of.name, FindPairs(plan, of, before))
            run(f"pass{len(passes)}", VerifyPairs(plan, tuple(passes)))
            passes += next_pass(plan, rounds)
        # Never marked as done: a unit that is whole costs a look, one that was damaged since is decided again.
        decide = DecideUnits(plan, len(passes) - 1)
        run_pipeline(job, lambda root: root | NumberUnits(plan.units) | decide, plan.units)
    text = dump(describe_search(plan, passes))
    storage.write_text(found, text)
    return text


def _are_decided(plan: Plan) -> bool:
    units = plan.units[plan.num_older :]
    signed = plan.signed.receipts(units)
    with_documents = [unit for unit, receipt in zip(units, signed, strict=True) if receipt and receipt.shards]
    return None not in signed and all(plan.decided.are_sound(with_documents))


def _publish(job: Job, plan: Plan, counts: str) -> None:
    units = plan.units[plan.num_older :]
    receipts = plan.decided.receipts(units)
    decided = [unit for unit, receipt in zip(units, receipts, strict=True) if receipt is not None]
    _expect_all(plan, decided)
    judge = judge_losses(job.params.max_dropped_percent, decided, lambda unit: _drop_list(plan, unit))
    texts = {"search.json": counts}
    if job.params.write_index:
        texts[INDEX] = list_index(plan, decided)
    job.publish_units(decided, "documents", judge, plan.decided, texts)


def _drop_list(plan: Plan, unit: Unit) -> str | None:
    receipt = plan.decided.receipt(unit)
    return plan.decided.place(unit, receipt.shards[0].name) if receipt and receipt.shards else None


def _plan(job: Job, older: Sequence[Unit], new: Sequence[Unit]) -> Plan:
    params, units = job.params, job.unit_list(job.units_for_workers([*older, *new]))
    signed = job.unit_cache(".signed", params.signing)  # a limit or a threshold signs nothing anew
    # Decisions depend on all units together: what is keyed by a unit alone is keyed by the whole plan here.
    recipe = job.unit_cache("", _deciding(params)).recipe
    whole = hashlib.sha256("".join(unit.fingerprint(recipe) for unit in units).encode()).hexdigest()[:32]
    decided = UnitCache(storage.join(job.store, "units", "dedup.decided"), f"{recipe}-{whole}")
    files = SearchFiles(_search_folder(job, whole))
    expect_sources(params.source_priority, {unit.source for unit in units})
    asked = params.survivor == "source_priority"
    priorities = priorities_of([unit.source for unit in units], params.source_priority) if asked else ()
    sources = tuple(sorted({unit.source for unit in units})) if params.survivor == "first_id" else ()
    preference = Preference(params.survivor, priorities, len(older), sources)
    partitions = count_partitions(params, units)
    shared = job.heartbeat(), job.release
    return Plan(units, len(older), signed, decided, files, params, preference, partitions, *shared, whole)


def _search_folder(job: Job, digest: str) -> str:
    """Where the steps of this search meet: in a root, a folder that no other workspace has.

    Two workspaces may search the same documents in one root, and no lock holds between machines: the one that ends first
    must not take the other's files away. A note here remembers the folder, so that a run after a kill goes on in it.
    """
    folder = storage.join(job.store, "units", "dedup.search", digest)
    if not job.root:
        return folder
    note = _note(job, digest, "run")
    if not note.exists():
        storage.write_text(note, uuid.uuid4().hex)
    return f"{folder}-{storage.read_text(note)}"


def _note(job: Job, digest: str, kind: str) -> Path:
    """A file of this machine about one search."""
    return job.cache_root / "units" / "dedup.search" / f"{digest}.{kind}"


def _deciding(params: DedupParams) -> DedupParams:
    """The parameters without those that only bound memory or refuse a result: another limit decides nothing anew."""
    return replace(params, bands_per_round=0, num_partitions=0, max_dropped_percent={})


def _expect_all(plan: Plan, decided: Sequence[Unit]) -> None:
    """Every unit that has signed documents must have been decided."""
    names = {unit.name for unit in decided}
    units = plan.units[plan.num_older :]
    for unit, receipt in zip(units, plan.signed.receipts(units), strict=True):
        if receipt is None or (receipt.shards and unit.name not in names):
            raise CorpusmillError("the unit was not decided", where=unit.name, hint="run again")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older", nargs="+", action="append", default=[], metavar="DIR",
        help="an older corpus: what its dedup wrote, then the folders or files of documents that it read; all of it stays",
    )  # fmt: skip


STAGE = Stage("pipelines.dedup", DedupParams, ("python", "pyarrow", "numpy"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.dedup"))
