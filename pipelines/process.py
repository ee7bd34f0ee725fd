"""The one way a stage maps shards to shards on Beam: numbers of units in, receipts out; records never cross a shuffle."""

from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam

from pipelines import remote_jobs
from pipelines.local_workers import default_workers
from pipelines.runner import kind_of, local_processes, runner_options
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import Release
from pipelines.spine.progress import Display, Heartbeat
from pipelines.spine.stage import Job, Judge
from pipelines.spine.unit_list import UnitList
from pipelines.spine.units import Unit, UnitCache
from pipelines.spine.work import Work, run_unit

#: Runners that do; Beam's own, the job server among them, hold it in memory.
SHUFFLE_ON_DISK = ("dataflow", "flink", "spark")


class NumberUnits(beam.PTransform):
    """A pipeline's root -> the numbers of its units, spread over workers; the job holds how many there are, not them."""

    def __init__(self, units: Sequence[Unit]) -> None:
        super().__init__()
        self._num_units = len(units)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        return root | beam.Create([self._num_units]) | "Numbers" >> beam.FlatMap(_below) | "Spread" >> beam.Reshuffle()


def _below(number: int) -> Iterator[int]:
    yield from range(number)


class ProcessUnits(beam.PTransform):
    """A pipeline's root -> the names of the units, once their shards and receipts lie in the cache.

    Shuffles the numbers of the units, to spread them over workers, which read the plan from its file. Memory: one row
    group a worker. Retried and duplicated bundles are harmless: equal bytes are published again.
    """

    def __init__(self, units: UnitList, work: Work, cache: UnitCache, heartbeat: Heartbeat, release: Release) -> None:
        super().__init__()
        self._units, self._doer = units, _ProcessUnit(units, work, cache, heartbeat, release)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        return root | NumberUnits(self._units) | "Process" >> beam.ParDo(self._doer)


class _ProcessUnit(beam.DoFn):
    def __init__(self, units: UnitList, work: Work, cache: UnitCache, heartbeat: Heartbeat, release: Release) -> None:
        self._units, self._work, self._cache, self._heartbeat, self._release = units, work, cache, heartbeat, release

    def setup(self) -> None:
        self._release.expect_here()

    def process(self, index: int) -> Iterator[str]:
        unit = self._units[index]
        run_unit(unit, self._work, self._cache, self._heartbeat)
        yield unit.name


def run_units(
    job: Job,
    units: Sequence[Unit],
    work: Work,
    judge: Judge | None = None,
    cache: UnitCache | None = None,
    takes: str = "",
) -> None:
    """Runs a stage that is nothing but units, and publishes its folder unless the judge refuses the counts.

    Args:
        job: the run.
        units: the plan.
        work: what is done with each.
        judge: as in ``Job.publish_units``.
        cache: of finished units; the stage's own, which all its parameters shape, when not given.
        takes: what goes in, a plural, where that is not what the ledger counts; for the progress line.
    """
    cache = cache or job.unit_cache()
    process_units(job, units, work, cache, takes)
    job.publish_units(units, work.counts, judge, cache)


def process_units(job: Job, units: Sequence[Unit], work: Work, cache: UnitCache, takes: str = "") -> None:
    """Brings every unit into the cache and publishes nothing: a pass of a stage that makes several.

    Args:
        job: the run.
        units: the plan.
        work: what is done with each.
        cache: of finished units.
        takes: as in `run_units`.
    """
    heartbeat = job.heartbeat()
    transform = ProcessUnits(job.unit_list(units), work, cache, heartbeat, job.release)
    left = [unit for unit, receipt in zip(units, cache.receipts(units), strict=True) if receipt is None]
    with Display(job.stage.name, takes or work.counts, units, heartbeat):
        run_pipeline(job, lambda root: root | transform, left)


def shuffles_on_disk(job: Job) -> bool:
    """Whether the job's runner keeps what crosses a shuffle on the disks of a cluster, and not in memory."""
    return kind_of(runner_options(job.runner_args)) in SHUFFLE_ON_DISK


def run_pipeline(job: Job, build: Callable[[beam.Pipeline], object], units: Sequence[Unit] = ()) -> None:
    """Builds and runs a pipeline to its end; an error of ours in a worker surfaces as itself.

    Args:
        job: the run, with the runner's options.
        build: a function from the pipeline's root to its last collection.
        units: those that it works on; how large they are says whether several local processes are worth starting.
    """
    options = runner_options(job.runner_args, default_workers(job.stage.name, units))
    remote_jobs.prepare(options, job.stage.name, job.store, job.progress_folder)
    try:
        with remote_jobs.messages(options):
            pipeline = beam.Pipeline(runner=local_processes(options), options=options)
            build(pipeline)
            remote_jobs.wait(pipeline.run())
    except CorpusmillError:
        raise
    except Exception as error:
        raise remote_jobs.explained(error, options) from error
