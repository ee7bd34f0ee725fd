"""Which Beam runner runs a pipeline. No stage's bytes, cache or dependencies know of it.

By default the in-process runner, asked for by name (Beam's "DirectRunner" would first try to download another).
``CORPUSMILL_WORKERS=4`` runs that many local processes; ``CORPUSMILL_RUNNER=runners/dataflow.yaml`` names a file of
Beam options in the runner's own terms. Options on the command line go before the file's.
"""

import argparse
import functools
import logging
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

import yaml
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.warm_workers import WarmStart

WORKERS = "CORPUSMILL_WORKERS"
RUNNER = "CORPUSMILL_RUNNER"
IN_PROCESS = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
WORKER_LOG = Path("logs") / "beam-workers.log"
#: What the runner files hold where only their reader knows the value.
PLACEHOLDER = "YOUR-"
#: Loggers and threads of Beam that speak when a worker's connection breaks.
TALKATIVE = ("worker.data_plane", "portability.fn_api_runner.worker_handlers")
OF_WORKERS = ("beam_control_read", "read_grpc_client_inputs")
#: Runners whose job server may know options that Python's Beam does not: nothing of theirs is refused here.
WITH_JOB_SERVER = ("portable", "flink", "spark")


def runner_options(arguments: Sequence[str], workers: int = 1) -> PipelineOptions:
    """Beam's options from the command line, the runner file and the number of workers.

    Args:
        arguments: of the command line.
        workers: local processes where no variable says how many.
    Raises:
        CorpusmillError: the runner file is missing, no mapping, holds an option that Beam does not know or a
            placeholder, or the number of workers is no number.
    """
    given, file = list(arguments), os.environ.get(RUNNER, "")
    if file:
        _refuse_unknown(given)
        named = _from_file(Path(file))
        options = PipelineOptions([*named, *given])  # of two values the last one counts
        if kind_of(options) not in WITH_JOB_SERVER:
            _refuse_unknown(named, where=file)
        _refuse_placeholders(options, file)
    elif any(argument.startswith("--runner") for argument in given):
        options = PipelineOptions(given)
    else:
        _refuse_unknown(given)
        options = PipelineOptions([*_local(os.environ.get(WORKERS, str(workers))), *given])
    # Our functions are pickled by reference. What __main__ holds, which Beam would send to Dataflow, is not needed.
    options.view_as(SetupOptions).save_main_session = False
    return options


def kind_of(options: PipelineOptions) -> str:
    """The runner in one word, as Beam's own table has it: dataflow, flink, spark, portable, fnapi."""
    return (options.view_as(StandardOptions).runner or "").rpartition(".")[2].lower().removesuffix("runner")


def _refuse_unknown(arguments: Sequence[str], where: str = "") -> None:
    """Beam only warns of an option it does not know: a misspelt one of ours would be dropped without a word."""

    def refuse(parser: argparse.ArgumentParser) -> None:
        _, unknown = parser.parse_known_args(list(arguments))
        if unknown:
            hint = (
                "see runners/, or --help of a stage" if where else "--help shows the stage's own; Beam's are taken too"
            )
            raise CorpusmillError(f"unknown options: {' '.join(unknown)}", where=where, hint=hint)

    PipelineOptions([]).get_all_options(add_extra_args_fn=refuse)


def _refuse_placeholders(options: PipelineOptions, file: str) -> None:
    for name, value in options.get_all_options(drop_default=True, retain_unknown_options=True).items():
        for item in value if isinstance(value, list) else [value]:
            if PLACEHOLDER in str(item):
                raise CorpusmillError(
                    "a placeholder is left", where=f"{file}: {name}", got=item,
                    hint="write your own value there, or copy the file and write it into the copy",
                )  # fmt: skip


def _local(workers: str) -> list[str]:
    if not workers.isdecimal() or int(workers) < 1:
        raise CorpusmillError("not a number of workers", where=f"environment variable {WORKERS}", got=repr(workers))
    return [f"--runner={IN_PROCESS}", f"--direct_num_workers={workers}"]


def local_processes(options: PipelineOptions) -> FnApiRunner | None:
    """The runner of several local processes, where the options ask for them; None leaves the choice to Beam.

    Beam's own mode for this (``direct_running_mode: multi_processing``) lets every worker write some 15 lines about
    itself to the terminal; these write to ``logs/beam-workers.log``. What a worker raises still comes back.
    """
    direct = options.view_as(DirectOptions)
    if options.view_as(StandardOptions).runner != IN_PROCESS or direct.direct_num_workers == 1:
        return None
    if direct.direct_running_mode not in (None, "in_memory"):
        return None
    for name in ("portability.local_job_service", "portability.fn_api_runner.fn_runner"):
        logging.getLogger(f"apache_beam.runners.{name}").setLevel(logging.ERROR)
    WORKER_LOG.parent.mkdir(parents=True, exist_ok=True)
    _end_with_a_worker()
    # exec: the worker takes the shell's place, so that ending it ends the worker.
    command = f"exec {_warm_start().command} 2>>{shlex.quote(str(WORKER_LOG.resolve()))}"
    return FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command))


@functools.cache
def _warm_start() -> WarmStart:
    """The server of workers of this process, once it is ready."""
    return WarmStart(WORKER_LOG)


@functools.cache
def _end_with_a_worker() -> None:
    """Ends this process when a worker process dies: Beam's thread that waits for it raises, and the runner hangs.

    What Beam's other threads have to say of it, tracebacks of four kinds, goes to the workers' log.
    """
    others, log = threading.excepthook, WORKER_LOG.resolve()
    for name in TALKATIVE:
        logger = logging.getLogger(f"apache_beam.runners.{name}")
        logger.propagate = False
        logger.addHandler(logging.FileHandler(log, delay=True))

    def hook(told: threading.ExceptHookArgs) -> None:
        name = told.thread.name if told.thread else ""
        if name == "run_worker":
            print(
                f"error: {str(told.exc_value)[:1].lower()}{str(told.exc_value)[1:]}\n"
                f"  hint: it was killed, perhaps for memory: run again with fewer {WORKERS}; see {WORKER_LOG}",
                file=sys.stderr,
            )
            os.kill(os.getpid(), signal.SIGTERM)
        elif name in OF_WORKERS:
            with open(log, "a", encoding="utf-8") as file:
                traceback.print_exception(told.exc_type, told.exc_value, told.exc_traceback, file=file)
        else:
            others(told)

    threading.excepthook = hook


def _from_file(path: Path) -> list[str]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CorpusmillError(
            "no such runner file", where=str(path), hint=f"{RUNNER} names a YAML file of Beam options, see runners/"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CorpusmillError(f"not valid YAML: {' '.join(str(error).split())}", where=str(path)) from None
    except OSError as error:  # a folder, or no right to read it
        raise storage.explained(error, path) from None
    if not isinstance(document, dict):
        raise CorpusmillError("not a mapping of Beam options", where=str(path), expected="runner: FlinkRunner")
    options = []
    for name, value in document.items():
        for item in value if isinstance(value, list) else [value]:
            # Beam's switches take no value: `true` gives the bare option, `false` and nothing leave it out.
            if item is not False and item is not None:
                options.append(f"--{name}" if item is True else f"--{name}={item}")
    return options
