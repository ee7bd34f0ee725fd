"""The processes that train together: joining them, starting them, and ending with the one that started them.

One process by plain ``python``; several by ``CORPUSMILL_PROCESSES=N``, ``torchrun`` or the ``deepspeed`` launcher,
with the same command. How many there are is no parameter: it changes speed, and the results by rounding alone.
"""

import contextlib
import dataclasses
import datetime
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist

from pipelines.spine.errors import CorpusmillError

PROCESSES = "CORPUSMILL_PROCESSES"
#: Long enough for one process to evaluate or save while the others wait.
TIMEOUT = datetime.timedelta(minutes=30)


@dataclasses.dataclass(frozen=True)
class World:
    """This process among all: its number, how many there are, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True in the one process that talks, saves and publishes."""
        return self.rank == 0


def wanted_processes() -> int:
    """How many processes this one is to start; 0 when it is a worker already or trains alone.

    Raises:
        CorpusmillError: the variable is no whole number above zero.
    """
    text = os.environ.get(PROCESSES, "1")
    if "RANK" in os.environ:
        return 0
    if not text.isdigit() or int(text) < 1:
        raise CorpusmillError("no number of processes", where=PROCESSES, expected="1, 2, 3, ...", got=repr(text))
    return int(text) if int(text) > 1 else 0


def launch(module: str, argv: Sequence[str], processes: int) -> None:
    """Runs ``python -m module`` in that many processes on this machine and waits for them.

    Raises:
        SystemExit: one of them failed (it has said why); the others are ended at once.
        KeyboardInterrupt: this process was told to stop; all of them are ended.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the worker says what is wrong
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # until each worker reads `num_threads`
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


def join_world() -> World:
    """Joins the processes that a launcher started, or makes a world of this one alone.

    Raises:
        CorpusmillError: there are more processes on this machine than GPUs.
    """
    cuda = torch.cuda.is_available()
    local, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if cuda and local >= devices:
        raise CorpusmillError(
            "more processes than GPUs on this machine", where=PROCESSES, expected=f"at most {devices}", got=local + 1,
            hint="CUDA_VISIBLE_DEVICES= (empty) trains on the CPU",
        )  # fmt: skip
    if not cuda:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    backend = "nccl" if cuda else "gloo"
    if "RANK" in os.environ:
        _end_with_launcher()
        dist.init_process_group(backend, timeout=TIMEOUT)
    else:
        # DeepSpeed would ask mpi4py for these; the store in memory needs no port.
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    if cuda:
        torch.cuda.set_device(local)
    return World(dist.get_rank(), dist.get_world_size(), torch.device(f"cuda:{local}" if cuda else "cpu"))


def leave(world: World) -> None:
    """Leaves the world when all is done; one of several processes ends here.

    At once, because the interpreter's own end aborts now and then on the communication's threads.
    """
    if world.size > 1:
        sys.stderr.flush()
        os._exit(0)
    dist.destroy_process_group()


def share(value: Any) -> Any:
    """The leading process's value, in every process."""
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def sum_over(world: World, *numbers: float) -> list[float]:
    """Each number summed over all processes, in float64."""
    if world.size == 1:
        return list(numbers)
    sums = torch.tensor(numbers, dtype=torch.float64, device=world.device)
    dist.all_reduce(sums)
    return [float(number) for number in sums]


def agree(error: Exception | None) -> None:
    """Raises in every process when one of them failed, so that none waits for it in the next collective.

    Raises:
        Exception: in the leading process, the first one's error.
        SystemExit: in the others; the leading one says what is wrong.
    """
    errors: list[Exception | None] = [None] * dist.get_world_size()
    dist.all_gather_object(errors, error)
    first = next((found for found in errors if found is not None), None)
    if first is None:
        return
    if dist.get_rank() == 0:
        raise first
    time.sleep(5.0)  # the launcher ends all as soon as one ends
    raise SystemExit(1)


@contextlib.contextmanager
def lost_partners(world: World) -> Iterator[None]:
    """What a process says when another one died while it waited for it: little, since it is not the one that is ill.

    Raises:
        CorpusmillError: another process has gone, and no launcher ended this one for it.
    """
    try:
        yield
    except RuntimeError as error:
        # gloo's have no class of their own.
        lost = isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "by peer"))
        if world.size == 1 or not lost:
            raise
        time.sleep(2.0)  # the launcher ends all as soon as one ends, and says which it was
        raise CorpusmillError(
            "another process has ended", where=f"process {world.rank} of {world.size}",
            got=str(error).splitlines()[0],
            hint="it has said why, or was killed; run again: training goes on from the last checkpoint",
        ) from None  # fmt: skip


def _end_with_launcher() -> None:
    """Ends this worker when its launcher is gone, were it by SIGKILL, so that none goes on alone.

    At once and without unwinding: it may be waiting inside a collective, and training survives any kill.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # the launcher has the last word
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            stop.wait(1.0)
        os._exit(1)

    stop = threading.Event()
    threading.Thread(target=watch, daemon=True).start()
