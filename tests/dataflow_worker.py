"""Runs submitted pipelines where this project is not installed: the workers of `dataflow_service`, one process a job.

Started by the Python of a clean environment, it reads one JSON request a line (the arguments of `_run_job`) and answers
each with the exit status of a fork that has run it. Beam is imported once; nothing of the project ever is
before a job's own packages are in place.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner


def serve() -> None:
    """Answers requests until there are none."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run_job(**request)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run_job(pipeline: str, packages: list[str], folder: str, failure: str, dies_at: str) -> None:
    """What a fork does; it never comes back.

    Args:
        pipeline: the submitted proto.
        packages: folders that hold the installed packages of the job.
        folder: an empty one, to run in.
        failure: the file that takes the traceback of what fails.
        dies_at: a point of `pipelines.spine.faults`, or "".
    """
    signal.alarm(120)  # a job that hangs ends, and its test fails
    os.chdir(folder)
    if dies_at:
        os.environ["CORPUSMILL_KILL_AT"] = dies_at
    sys.path[:0] = packages
    status = 1
    try:
        run_pipeline(Path(pipeline).read_bytes())
        status = 0
    except BaseException:
        Path(failure).write_text(traceback.format_exc())
    finally:
        os._exit(status)


def run_pipeline(serialized: bytes) -> None:
    """Runs a submitted pipeline to its end, its steps in this process instead of the image that it names."""
    proto = beam_runner_api_pb2.Pipeline.FromString(serialized)
    for environment in proto.components.environments.values():
        environment.urn = python_urns.EMBEDDED_PYTHON
        environment.payload = b""
        del environment.dependencies[:]
    FnApiRunner().run_via_runner_api(proto, PipelineOptions([])).wait_until_finish()


if __name__ == "__main__":
    serve()
