"""The processes that train together: joining them, agreeing among them, and ending with the one that started them.

One process by plain ``python``; several by ``CORPUSMILL_PROCESSES=N``, ``torchrun``, ``deepspeed`` or ``srun``, with the
same command (``train/launch.py``). How many there are is no parameter: it changes speed, and the results by rounding
alone.
"""

import contextlib
import dataclasses
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import torch
import torch.distributed as dist

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from train.rendezvous import is_slurm_task, meet, read_slurm


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


def join_world() -> World:
    """Joins the processes that a launcher started, or makes a world of this one alone.

    Raises:
        CorpusmillError: there are more processes on this machine than GPUs, or the others do not come.
    """
    if from_slurm := is_slurm_task():
        read_slurm()
    cuda = torch.cuda.is_available()
    local, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if cuda and local >= devices:
        raise CorpusmillError(
            "more processes than GPUs on this machine", where=socket.gethostname(), expected=f"at most {devices}",
            got=local + 1, hint="CUDA_VISIBLE_DEVICES= (empty) trains on the CPU; under Slurm every task must see all "
            "GPUs of its machine: --gpus-per-node, not --gpus-per-task",
        )  # fmt: skip
    if not cuda:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    else:
        torch.cuda.set_device(local)
    backend = "nccl" if cuda else "gloo"
    if "RANK" in os.environ:
        if not from_slurm:  # which ends all tasks of a step itself
            _end_with_launcher()
        meet(backend)
    else:
        # DeepSpeed would ask mpi4py for these; the store in memory needs no port.
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    return World(dist.get_rank(), dist.get_world_size(), torch.device(f"cuda:{local}" if cuda else "cpu"))


@contextlib.contextmanager
def left_at_end(world: World) -> Iterator[None]:
    """Leaves the world after the block; one of several processes ends there, however the block ended.

    At once, because the interpreter's own end aborts now and then on the communication's threads.
    """
    if world.size == 1:
        try:
            yield
        finally:  # however it ended: else the interpreter's end aborts now and then (status -6 instead of 75)
            dist.destroy_process_group()
        return
    try:
        yield
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except CorpusmillError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except OSError as error:
        print(f"error: {storage.explained(error, error.filename or 'a file')}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
        status = 1
    _end(status)


def leave(world: World) -> None:
    """Leaves the world when all is done; one of several processes ends here."""
    if world.size > 1:
        _end(0)
    dist.destroy_process_group()


def _end(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


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
    errors: list[tuple[Exception, str] | None] = [None] * dist.get_world_size()
    dist.all_gather_object(errors, None if error is None else (error, socket.gethostname()))
    found = [(rank, *told) for rank, told in enumerate(errors) if told is not None]
    if not found:
        return
    rank, first, host = found[0]
    if dist.get_rank() == 0:
        if rank and isinstance(first, CorpusmillError):
            first.where = f"process {rank} on {host}: {first.where}"
        raise first
    end_after_leader()


def end_after_leader() -> NoReturn:
    """Ends a process that does not lead, a moment later than the one that says what is wrong.

    The launcher ends all as soon as one ends.
    """
    time.sleep(5.0)
    raise SystemExit(1)


def any_of(world: World, flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return bool(sum_over(world, float(flag))[0])


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
