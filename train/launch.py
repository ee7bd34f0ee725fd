"""Who starts the processes that train together: this one, another program, or nobody because one is enough.

| environment | who starts them |
|---|---|
| ``CORPUSMILL_PROCESSES=4`` | this process: four on this machine |
| ``CORPUSMILL_LAUNCHER="srun python -m"`` | the program named there, with the stage's module and options after it |
| ``RANK``, or a Slurm step of several tasks | somebody did: this is one of them |

So ``dvc repro`` runs the one command of ``dvc.yaml`` on a laptop and on a cluster: ``docs/cluster.md``.
"""

import argparse
import contextlib
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pipelines.spine.command import GRACE_SECONDS
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import NAME
from train.asked import STATUS, listen
from train.rendezvous import is_started

PROCESSES = "CORPUSMILL_PROCESSES"
LAUNCHER = "CORPUSMILL_LAUNCHER"


def started_others(module: str, argv: Sequence[str]) -> bool:
    """Whether the environment asked this process to start others, and those have done the work.

    Raises:
        CorpusmillError: a variable is no number of processes or no command, or a process died without a word.
        SystemExit: one of them failed (it has said why), or training is asked to stop.
        KeyboardInterrupt: this process was told to stop; all of them are ended.
    """
    if is_started() or asks_for_help(argv):  # what is asked here is answered here
        return False
    if command := os.environ.get(LAUNCHER, ""):
        if PROCESSES in os.environ:
            raise CorpusmillError(
                "two variables say who starts the processes", where=f"{LAUNCHER}, {PROCESSES}", expected="one of them",
                hint=f"unset {PROCESSES}: the launcher has an option for the number",
            )  # fmt: skip
        _hand_over(command, module, argv)
        return True
    if processes := _wanted_processes():
        _launch(module, argv, processes)
        return True
    return False


def asks_for_help(argv: Sequence[str]) -> bool:
    """Whether the options ask what options there are."""
    return not {"-h", "--help"}.isdisjoint(argv)


def without_rank(argv: Sequence[str]) -> list[str]:
    """The options without DeepSpeed's own: its launcher says the local rank in the environment and again there."""
    return [option for option in argv if not option.startswith("--local_rank=")]


def _wanted_processes() -> int:
    text = os.environ.get(PROCESSES, "1")
    if not text.isdigit() or int(text) < 1:
        raise CorpusmillError("no number of processes", where=PROCESSES, expected="1, 2, 3, ...", got=repr(text))
    return int(text) if int(text) > 1 else 0


def _launch(module: str, argv: Sequence[str], processes: int) -> None:
    """Runs ``python -m module`` in that many processes on this machine and waits for them."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the worker says what is wrong
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # until each worker reads `num_threads`
    _pass_on_to_children()
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
        run_id=uuid.uuid4().hex, monitor_interval=0.2, max_restarts=0,
    )  # fmt: skip
    try:
        elastic_launch(config, sys.executable)("-m", module, *argv)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            raise SystemExit(failure.exitcode) from None
        # Killed: it could say nothing itself.
        raise CorpusmillError(
            f"process {rank} of {processes} was ended by signal {-failure.exitcode}; the others were stopped",
            where=module, hint="run again: it goes on from the last checkpoint",
        ) from None  # fmt: skip
    except SignalException:
        raise KeyboardInterrupt from None


def _pass_on_to_children() -> None:
    """Gives SIGUSR1 to each process that this one has started or will start.

    The signal is held back here, and so in each of them up to its first line, where it asks for it (`asked.listen`).
    """
    asked, parent = listen(), os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    if asked.yes:  # before the block
        raise SystemExit(STATUS)

    def pass_on() -> None:
        # A thread of torch's that is older than the block may have heard it instead.
        while not (asked.yes or signal.sigtimedwait({signal.SIGUSR1}, 0.5)):
            pass
        told: set[str] = set()
        while True:
            for pid in set(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()) - told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGUSR1)
                told.add(pid)
            time.sleep(0.2)

    threading.Thread(target=pass_on, daemon=True).start()


def _hand_over(command: str, module: str, argv: Sequence[str]) -> None:
    """Runs the launcher with the module and its options at its end, and waits for it."""
    # Its processes follow it and not DVC, of which this process watches: theirs may be on another machine.
    environment = {name: value for name, value in os.environ.items() if name not in (LAUNCHER, "DVC_STAGE")}
    asked = listen()
    if asked.yes:
        raise SystemExit(STATUS)
    try:
        child = subprocess.Popen([*shlex.split(command), module, *argv], env=environment)
    except (OSError, ValueError) as error:
        raise CorpusmillError(
            f"the launcher does not start: {error}", where=LAUNCHER, got=repr(command),
            expected="a command to which the module is added: srun python -m | deepspeed --hostfile FILE --module",
        ) from None  # fmt: skip

    def pass_on(number: int, frame: FrameType | None) -> None:
        asked.yes = True
        child.send_signal(number)

    # srun and mpirun give it to their processes; without this it would end this one and leave them alone.
    signal.signal(signal.SIGUSR1, pass_on)
    if asked.yes:  # while the launcher was started
        child.send_signal(signal.SIGUSR1)
    try:
        status = child.wait()
    except KeyboardInterrupt:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
    if status == -signal.SIGUSR1 and asked.yes:  # torchrun and deepspeed die of it, and their processes with them
        print("the launcher died of the signal; run again to go on from the last checkpoint", file=sys.stderr)
        raise SystemExit(STATUS)
    if status:
        raise SystemExit(status if status > 0 else 128 - status)
    _expect_output(argv)


def _expect_output(argv: Sequence[str]) -> None:
    """Passes when the output lies on this machine: the leading process publishes where it runs."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--output")
    output = parser.parse_known_args(argv)[0].output
    if output is not None and not Path(output, NAME).exists():
        raise CorpusmillError(
            "the launcher has ended well, and the output is not here", where=str(output),
            got="process 0 ran on another machine, or in another folder",
            hint="start on the machine of process 0, or work on a disk that all machines see: docs/cluster.md",
        )  # fmt: skip
