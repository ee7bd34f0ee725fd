"""Runs of ``python -m <stage>`` that start in milliseconds: one process imports what they need, each run is its fork.

``PipelineRuns`` and ``TrainRuns`` start it; as a script it reads one JSON list of requests a line (module, argv, env,
folder, log), runs them at once, and answers with their exit statuses, negative for a signal, as ``subprocess`` has it.
A run that is killed is killed: it is a process of its own, and only the imports are shared.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[1]


class WarmRuns:
    """A process from which runs fork; a context manager.

    Args:
        folder: in which runs start.
        worker: the Python of Beam's local workers.
    """

    #: Imported before the first run. Nothing is computed there, since a fork after threads have run can hang.
    modules: tuple[str, ...] = ()

    def __init__(self, folder: Path, worker: Path = Path(sys.executable)) -> None:
        self.log, self.worker = folder / "run.log", worker

    def __enter__(self) -> Self:
        environment = {**os.environ, "DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.worker), *self.modules], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=environment, cwd=self.log.parent, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.communicate(timeout=30)

    def run(self, module: str, argv: Sequence[str], **env: str) -> tuple[int, str]:
        """(exit status, what it said)."""
        (answer,) = self.together([Asked(module, argv, env, self.log.parent)])
        return answer

    def together(self, asked: Sequence["Asked"]) -> list[tuple[int, str]]:
        """(exit status, what it said) of runs that are started at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        logs = [run.folder / (f"run-{number}.log" if number else self.log.name) for number, run in enumerate(asked)]
        requests = [
            {
                "module": run.module,
                "argv": list(run.argv),
                "env": dict(run.env),
                "folder": str(run.folder),
                "log": str(log),
            }
            for run, log in zip(asked, logs, strict=True)
        ]
        self._process.stdin.write(json.dumps(requests) + "\n")
        self._process.stdin.flush()
        statuses = json.loads(self._process.stdout.readline())
        return [(status, log.read_text()) for status, log in zip(statuses, logs, strict=True)]


@dataclass(frozen=True)
class Asked:
    """A run to start: ``python -m module argv`` with these variables more, in a folder."""

    module: str
    argv: Sequence[str]
    env: Mapping[str, str]
    folder: Path


class PipelineRuns(WarmRuns):
    """Runs of the stages that make the corpus."""

    modules = ("apache_beam", "pipelines.extract", "pipelines.clean", "pipelines.dedup", "pipelines.shard",
               "pipelines.count", "pipelines.pack", "tokenizer.learn")  # fmt: skip


def serve(worker: str, modules: Sequence[str]) -> None:
    """Answers requests until there are none."""
    from pipelines.spine.lineage import OUR_PACKAGES, module_files

    for module in modules:
        importlib.import_module(module)
        if module.partition(".")[0] in OUR_PACKAGES:
            module_files(module)  # reads each source once, a quarter of a short run's CPU
    if "apache_beam" in sys.modules:
        import quick_beam

        quick_beam.quicken(lambda: worker)
    for line in sys.stdin:
        children = []
        for request in json.loads(line):
            children.append(os.fork())
            if children[-1] == 0:
                _run(**request)
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)


def _run(module: str, argv: list[str], env: dict[str, str], folder: str, log: str) -> None:
    """What a fork does; it never comes back."""
    from pipelines.spine.stage import run_module

    signal.alarm(300)  # a run that hangs ends, and its test fails
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(folder)
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
    serve(sys.argv[1], sys.argv[2:])
