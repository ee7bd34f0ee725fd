"""Whether the other machines are still there: without it a machine that loses its power is waited for half an hour.

A process that dies takes its connections with it, so that the others learn of it at once. A machine that is cut off
says nothing, and a collective waits for it until its time-out. So the first process of each machine leaves a beat in
the store where the processes met, process 0 looks at all of them, and the others look at process 0's.
"""

import contextlib
import dataclasses
import datetime
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping

import torch.distributed as dist

from pipelines.spine.errors import CorpusmillError
from train.world import World

#: Names the seconds of silence after which a machine counts as lost.
LOST_SECONDS = "CORPUSMILL_LOST_SECONDS"
LONGEST_SILENCE = 60
#: Beats that may be missed.
BEATS = 6
LEFT = "left"


@contextlib.contextmanager
def pulse(world: World, machines: Mapping[int, str]) -> Iterator[None]:
    """Ends this process within the block, with a message, when another machine falls silent.

    Args:
        machines: number of the first process on each machine -> its host.
    Raises:
        CorpusmillError: the variable is no number of seconds.
    """
    seconds = _seconds()
    if len(machines) < 2:
        yield
        return
    if world.rank not in machines:
        dist.barrier()
        yield
        return
    # A connection of its own: those of the processes are theirs.
    store = dist.PrefixStore("pulse", dist.TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, wait_for_workers=False,
        timeout=datetime.timedelta(seconds=seconds),
    ))  # fmt: skip
    stop = threading.Event()
    watched = {rank: host for rank, host in machines.items() if rank != world.rank and (world.leads or rank == 0)}
    beat = _Beat(store, world.rank, watched, seconds, stop)
    store.set(str(world.rank), "0")
    dist.barrier()  # a machine that takes longer to read its checkpoint has no beat yet, and is not lost
    for target in (beat.exchange, beat.supervise):
        threading.Thread(target=target, daemon=True).start()
    try:
        yield
        store.set(str(world.rank), LEFT)
    finally:
        stop.set()


@dataclasses.dataclass
class _Beat:
    """The beats of this machine, and what it hears of the others; counted in rounds and not by the clock, since this
    process may have been held up itself."""

    store: dist.Store
    rank: int
    watched: Mapping[int, str]
    seconds: int
    stop: threading.Event
    rounds: int = 0

    def exchange(self) -> None:
        """Leaves a beat and reads those of the watched; ends with the store, which `supervise` finds then."""
        last, missed = dict.fromkeys(self.watched, b""), dict.fromkeys(self.watched, 0)
        with contextlib.suppress(RuntimeError):
            while not self.stop.wait(self.seconds / BEATS):
                self.store.set(str(self.rank), str(self.rounds))
                for rank, host in self.watched.items():
                    beat = self.store.get(str(rank))
                    missed[rank] = 0 if beat != last[rank] or beat == LEFT.encode() else missed[rank] + 1
                    last[rank] = beat
                    if missed[rank] > BEATS and not self.stop.is_set():
                        self.end(f"process {rank} on {host} has said nothing for {self.seconds} s")
                self.rounds += 1

    def supervise(self) -> None:
        """Ends this process when no round is made: a request to a machine that is cut off comes back never."""
        last, missed = -1, 0
        while not self.stop.wait(self.seconds / BEATS):
            missed = missed + 1 if self.rounds == last else 0
            last = self.rounds
            if missed > BEATS:
                self.end(f"the place where the processes met has not answered for {self.seconds} s")

    def end(self, message: str) -> None:
        """At once: this process waits inside a collective, and its launcher ends those beside it."""
        error = CorpusmillError(
            message, where=f"process {self.rank} on {socket.gethostname()}",
            hint=f"look whether that machine and its network are up; {LOST_SECONDS} allows a longer silence; run again: "
            "training goes on from the last checkpoint",
        )  # fmt: skip
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _seconds() -> int:
    text = os.environ.get(LOST_SECONDS, str(LONGEST_SILENCE))
    if not text.isdigit() or int(text) < 1:
        raise CorpusmillError("no number of seconds", where=LOST_SECONDS, expected="1, 2, 3, ...", got=repr(text))
    return int(text)
