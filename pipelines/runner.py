"""Which Beam runner runs a pipeline. No stage's bytes, cache or dependencies know of it.

By default the in-process runner, asked for by name (Beam's "DirectRunner" would first try to download another).
``CORPUSMILL_WORKERS=4`` runs that many local processes; ``CORPUSMILL_RUNNER=runners/portable.yaml`` names a file of
Beam options in the runner's own terms. Options on the command line go before the file's.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import yaml
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.spine.errors import CorpusmillError

WORKERS = "CORPUSMILL_WORKERS"
RUNNER = "CORPUSMILL_RUNNER"


def runner_options(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options from the command line, the runner file and the number of workers.

    Raises:
        CorpusmillError: the runner file is missing or no mapping, or the number of workers is no number.
    """
    given = list(arguments)
    file = os.environ.get(RUNNER, "")
    if file:
        return PipelineOptions([*_from_file(Path(file)), *given])  # of two values the last one counts
    if any(argument.startswith("--runner") for argument in given):
        return PipelineOptions(given)
    _refuse_unknown(given)
    return PipelineOptions([*_local(os.environ.get(WORKERS, "1")), *given])


def _refuse_unknown(arguments: Sequence[str]) -> None:
    """Beam only warns of an option it does not know: a misspelt one of ours would be dropped without a word."""

    def refuse(parser: argparse.ArgumentParser) -> None:
        _, unknown = parser.parse_known_args(list(arguments))
        if unknown:
            raise CorpusmillError(
                f"unknown options: {' '.join(unknown)}", hint="--help shows the stage's own; Beam's are taken too"
            )

    PipelineOptions([]).get_all_options(add_extra_args_fn=refuse)


def _local(workers: str) -> list[str]:
    if not workers.isdecimal() or int(workers) < 1:
        raise CorpusmillError("not a number of workers", where=f"environment variable {WORKERS}", got=repr(workers))
    options = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"]
    if int(workers) > 1:
        options += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    return options


def _from_file(path: Path) -> list[str]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CorpusmillError(
            "no such runner file", where=str(path), hint=f"{RUNNER} names a YAML file of Beam options, see runners/"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CorpusmillError(f"not valid YAML: {' '.join(str(error).split())}", where=str(path)) from None
    if not isinstance(document, dict):
        raise CorpusmillError("not a mapping of Beam options", where=str(path), expected="runner: FlinkRunner")
    options = []
    for name, value in document.items():
        for item in value if isinstance(value, list) else [value]:
            # Beam's switches take no value: `true` gives the bare option, `false` and nothing leave it out.
            if item is not False and item is not None:
                options.append(f"--{name}" if item is True else f"--{name}={item}")
    return options
