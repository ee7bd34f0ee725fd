"""Runs of ``python -m train.<stage>`` that start in milliseconds: one process imports torch, each run is its fork.

Started by ``TrainRuns``; as a script it reads one JSON request a line (module, argv, env, log) and answers with the
run's exit status, negative for a signal, as ``subprocess`` has it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[1]


class TrainRuns:
    """A process from which runs fork; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "run.log"

    def __enter__(self) -> Self:
        environment = {**os.environ, "DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            cwd=self.log.parent, stderr=subprocess.DEVNULL,
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


def serve() -> None:
    # What every run would import; nothing is computed here, since a fork after threads have run can hang.
    import deepspeed  # noqa: F401

    from pipelines.spine.stage import run_module

    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.environ.update(request["env"])
            sys.argv = [request["module"], *request["argv"]]
            status = 1
            try:
                status = run_module(request["module"])
            except SystemExit as leaving:
                status = int(leaving.code or 0)
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
