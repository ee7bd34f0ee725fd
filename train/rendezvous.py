"""How a process that somebody started finds the others: the variables of torchrun, of DeepSpeed, or of Slurm.

| | torchrun, deepspeed, mpirun | ``srun`` |
|---|---|---|
| this process's number | ``RANK`` | ``SLURM_PROCID`` |
| how many there are | ``WORLD_SIZE`` | ``SLURM_STEP_NUM_TASKS`` |
| its number on its machine | ``LOCAL_RANK`` | ``SLURM_LOCALID`` |
| where process 0 listens | ``MASTER_ADDR``, ``MASTER_PORT`` | the same, set by the script (``runners/slurm.sh``) |
"""

import datetime
import os
import socket
import sys

import torch.distributed as dist

from pipelines.spine.errors import CorpusmillError

#: Long enough for one process to evaluate or save while the others wait.
TIMEOUT = datetime.timedelta(minutes=30)
#: Names the seconds that processes wait for each other at the start: machines of a job do not start at once.
JOIN_SECONDS = "CORPUSMILL_JOIN_SECONDS"
LONGEST_JOIN = 600
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


def is_started() -> bool:
    """Whether this process is one of several that a launcher started."""
    return "RANK" in os.environ or is_slurm_task()


def number_here() -> int:
    """This process's number among those that a launcher started; 0 where none did."""
    return int(os.environ.get("RANK") or (os.environ["SLURM_PROCID"] if is_slurm_task() else 0))


def is_slurm_task() -> bool:
    """Whether ``srun`` started this process as one of several tasks, and nothing in between it.

    ``SLURM_NTASKS`` does not tell: a batch script, which is no task of a step, sees it too.
    """
    return "RANK" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS") or 1) > 1


def read_slurm() -> None:
    """Gives a Slurm task the variables that the other launchers set.

    Raises:
        CorpusmillError: the script did not say where process 0 listens.
    """
    missing = [name for name in ADDRESS if not os.environ.get(name)]
    if missing:
        raise CorpusmillError(
            f"{' and '.join(missing)} not set: the tasks do not know where to meet",
            where=f"Slurm task {os.environ['SLURM_PROCID']} of {os.environ['SLURM_STEP_NUM_TASKS']}",
            expected="the first machine's name and a free port",
            hint="start from runners/slurm.sh, or export MASTER_PORT=29500 and "
            'MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        )  # fmt: skip
    os.environ.update(
        RANK=os.environ["SLURM_PROCID"], LOCAL_RANK=os.environ["SLURM_LOCALID"],
        WORLD_SIZE=os.environ["SLURM_STEP_NUM_TASKS"],
    )  # fmt: skip


def meet(backend: str) -> None:
    """Joins the processes that a launcher started.

    Raises:
        CorpusmillError: they did not all come, or the place to meet is none.
    """
    seconds = _join_seconds()
    host = os.environ.get("MASTER_ADDR", "")
    if not _resolves(host):
        print(f"waiting for {host}: no such host yet", file=sys.stderr)
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=datetime.timedelta(seconds=seconds)))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
        dist.barrier()
        store.set_timeout(TIMEOUT)
    except (RuntimeError, ValueError) as error:  # gloo's have no class of their own
        raise _did_not_meet(error, seconds) from None


def _join_seconds() -> int:
    text = os.environ.get(JOIN_SECONDS, str(LONGEST_JOIN))
    if not text.isdigit() or int(text) < 1:
        raise CorpusmillError("no number of seconds", where=JOIN_SECONDS, expected="1, 2, 3, ...", got=repr(text))
    return int(text)


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _did_not_meet(error: Exception, seconds: int) -> CorpusmillError:
    names = ("RANK", "WORLD_SIZE", *ADDRESS)
    rank, size, host, port = (os.environ.get(name, "(not set)") for name in names)
    text = str(error)
    if not _resolves(host):
        hint = (
            f"{socket.gethostname()} finds no address for {host}: give MASTER_ADDR (torchrun: --master-addr) as an IP"
        )
    elif "address already in use" in text.lower():
        hint = f"port {port} is taken, perhaps by a run that is still ending: give another MASTER_PORT"
    else:
        hint = (
            f"have all {size} started, and does a firewall let them through? Where a machine has several networks, "
            "NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME name the one to use"
        )
    return CorpusmillError(
        "the processes did not meet", where=f"process {rank} of {size} on {socket.gethostname()}",
        expected=f"all {size} at {host}:{port} within {seconds:,} s ({JOIN_SECONDS})",
        got=text.splitlines()[0] if text else type(error).__name__, hint=hint,
    )  # fmt: skip
