"""The sha256 of many files and objects; of objects several at a time, since a stream waits more than it works.

Results come in the order of what went in. The first failure, and Ctrl-C, end the other streams at their next piece.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from pipelines.spine import storage

#: Streams from a store; each holds some 25 MB: what is read ahead, and the client's copies of it.
OBJECTS_AT_ONCE = 8
#: Files of a disk: two at once were no faster on two busy cores, and a disk with a head is slower when that jumps.
FILES_AT_ONCE = 1
#: How much is hashed between two looks at whether to go on.
PIECE_BYTES = 1 << 20

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Stop:
    """Tells threads to end; those that hash ask it after every piece."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """From now on `check` raises."""
        self._event.set()

    def check(self) -> None:
        """Raises `StoppedError` once `set` was called."""
        if self._event.is_set():
            raise StoppedError


class StoppedError(Exception):
    """A thread ended because another one failed, or the run was interrupted; nobody is told."""


def sha256_each(places: Sequence[str | Path]) -> list[str]:
    """Hex sha256 of each file or object, in their order.

    Raises:
        FileNotFoundError, OSError: of a file that cannot be read.
        CorpusmillError: the store refuses or fails.
    """
    return each(sha256_until, places, at_once(places))


def at_once(places: Sequence[str | Path]) -> int:
    """How many of them to read at a time."""
    return OBJECTS_AT_ONCE if any(map(storage.is_remote, places)) else FILES_AT_ONCE


def sha256_until(place: str | Path, stop: Stop) -> str:
    """Hex sha256 of one file or object, unless it is told to stop before the end; raises as `sha256_each` does."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(PIECE_BYTES))
    with storage.open_input(place) as file:
        while size := file.readinto(piece):  # type: ignore[attr-defined]  # open binary files have it
            digest.update(piece[:size])
            stop.check()
    return digest.hexdigest()


def each(call: Callable[[Item, Stop], Answer], items: Sequence[Item], threads: int) -> list[Answer]:
    """What the call returns for each item, in their order; so many run at a time.

    Args:
        call: takes an item, and a `Stop` to ask from time to time.
        items: whatever the call takes.
        threads: how many calls run at once.
    Raises:
        Whatever a call raises first; those that run are told to stop, and the others do not begin.
    """
    if min(threads, len(items)) < 2:
        return [call(item, Stop()) for item in items]
    stop = Stop()
    futures: list[Future[Answer]] = []
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        try:
            futures += (pool.submit(call, item, stop) for item in items)
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # after a failure, or an interruption of the waiting; after the last answer it changes nothing
            stop.set()
            for future in futures:
                future.cancel()
    _raise_first(futures)
    return [future.result() for future in futures]


def _raise_first(futures: Sequence[Future[Answer]]) -> None:
    """Raises what ended the run; of several failures at once that of the first item."""
    for future in futures:
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, StoppedError):
            raise error
