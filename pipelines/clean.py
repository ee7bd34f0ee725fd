"""Cleaning: documents are normalised, lose lines, and are dropped where a published rule says so.

    data/extract/<unit>.parquet  ->  CleanDocuments  ->  data/clean/<unit>.parquet
                                                         data/clean/dropped/<unit>.parquet  (rule, value, threshold, text)
                                                         data/clean/repeated_lines/<unit>.parquet

in = out + dropped(rule); apart: lines removed by rule, texts changed by normalisation

Run by ``dvc repro clean``, or alone:
``python -m pipelines.clean --input data/extract --output data/clean --ledger data/clean/ledger.json``
What each rule says of one document: ``python -m pipelines.clean --explain enwiki:12`` (or a file of text).
"""

import hashlib
import sys
from collections.abc import Sequence

import apache_beam as beam

from pipelines.cleaning.explaining import OPTION, explain_command
from pipelines.cleaning.halves import CleanParams
from pipelines.cleaning.rules import check_params
from pipelines.cleaning.steps import CleanUnit, CountLines, Finish, Plan, Prepare, SpreadLines
from pipelines.process import run_pipeline, run_units
from pipelines.spine.command import run_module
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
    with opened(STAGE, argv) as job:
        check_params(job.params.rules)
        units = plan_documents(job.inputs)
        if not job.params.rules.repeated_lines.max_documents:
            run_units(job, units, CleanUnit(job.params))
            return
        plan = _plan(job, units)
        with Display("clean", "documents", units, plan.heartbeat):
            run_pipeline(job, lambda root: root | beam.Create(list(enumerate(units))) | CleanDocuments(plan))
        job.publish_units(plan.finished_units(), "documents", cache=plan.finished)


def _plan(job: Job, units: Sequence[Unit]) -> Plan:
    prepared, finished = job.unit_cache(".prepared"), job.unit_cache()
    run = hashlib.sha256("".join(unit.fingerprint(finished.recipe) for unit in units).encode()).hexdigest()[:32]
    pointers = job.cache_root / "units" / "clean.runs" / run
    return Plan(tuple(units), prepared, finished, str(pointers), job.params, job.heartbeat(), job.versions)


STAGE = Stage("pipelines.clean", CleanParams, ("python", "pyarrow", "numpy", "ftfy"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.clean"))
