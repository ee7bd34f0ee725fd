"""Runs of ``python -m <stage>`` that start in milliseconds: one process imports what they need, each run is its fork.

``PipelineRuns`` and ``TrainRuns`` start it; as a script it reads one JSON request a line (module, argv, env, log) and
answers with the run's exit status, negative for a signal, as ``subprocess`` has it. A run that is killed is killed:
it is a process of its own, and only the imports are shared.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[1]


class WarmRuns:
    """A process from which runs fork; a context manager. Its runs start in ``folder``."""

    #: Imported before the first run. Nothing is computed there, since a fork after threads have run can hang.
    modules: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.log = folder / "run.log"

    def __enter__(self) -> Self:
        environment = {**os.environ, "DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self.modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment, cwd=self.log.parent, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.communicate(timeout=30)

    def run(self, module: str, argv: Sequence[str], **env: str) -> tuple[int, str]:
        """(exit status, what it said)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"module": module, "argv": list(argv), "env": env, "log": str(self.log)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()), self.log.read_text()


class PipelineRuns(WarmRuns):
    """Runs of the stages that make the corpus."""

    modules = ("apache_beam", "pipelines.extract", "pipelines.clean", "pipelines.dedup", "pipelines.shard",
               "pipelines.count", "pipelines.pack", "tokenizer.learn")  # fmt: skip


def serve(modules: Sequence[str]) -> None:
    """Answers requests until there are none."""
    for module in modules:
        importlib.import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(**request)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(module: str, argv: list[str], env: dict[str, str], log: str) -> None:
    """What a fork does; it never comes back."""
    from pipelines.spine.stage import run_module

    signal.alarm(300)  # a run that hangs ends, and its test fails
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.environ.update(env)
    sys.argv = [module, *argv]
    status = 1
    try:
        status = run_module(module)
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1:])
