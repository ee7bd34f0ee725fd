"""The one storage layer: open, publish, link, hash. Everything that reads or writes files goes through here.

Publishing is: write under a temporary name that is unique to the attempt, flush to disk, rename. A reader sees
the whole file or none, and two attempts that write equal bytes may both publish.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipelines.spine.errors import CorpusmillError

CHUNK_BYTES = 1 << 20
TEMPORARY = ".tmp-"


def sha256_file(path: str | Path) -> str:
    """Hex sha256 of the file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex sha256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def temporary_name(path: str | Path) -> Path:
    """A name beside ``path`` that no other attempt, process or machine uses."""
    path = Path(path)
    return path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}-{path.name}")


@contextlib.contextmanager
def publishing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write that appears under ``path`` whole when the block ends well, and not at all otherwise.

    Raises:
        CorpusmillError: no space left, or no permission.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        # After a good publish the name is gone already; after a failure nothing half-written stays.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Publishes the text as UTF-8."""
    with publishing(path) as file:
        file.write(text.encode("utf-8"))


def link(source: str | Path, target: str | Path) -> None:
    """Makes ``target`` hold the bytes of ``source``: a hard link where the disk allows it, else a copy."""
    target = Path(target)
    temporary = temporary_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise explained(error, target) from error
    finally:
        # os.replace leaves the temporary name when both names are already the same file.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(lock: str | Path, what: str) -> Iterator[None]:
    """Holds the lock file for the block; the kernel frees it when the process dies.

    Raises:
        CorpusmillError: another process holds it.
    """
    lock = Path(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "w")  # noqa: SIM115 (held open for the block)
    except OSError as error:
        raise explained(error, lock) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusmillError(
                "another process is writing here", where=what, hint="wait until it has finished, then run again"
            ) from None
        yield


def explained(error: OSError, path: str | Path) -> CorpusmillError:
    """The operating system's error as one that says what to do."""
    hints = {
        errno.ENOSPC: "free some space, then run again: finished units are kept",
        errno.EDQUOT: "the quota is used up; free some space, then run again",
        errno.EACCES: "check the owner and the permissions",
        errno.EROFS: "the file system is mounted read-only",
        errno.ENOENT: "check the path",
        errno.ENOTDIR: "a part of the path is a file, not a folder",
        errno.EEXIST: "a part of the path is a file, not a folder",
    }
    words = os.strerror(error.errno).lower() if error.errno else str(error)
    return CorpusmillError(words, where=str(path), hint=hints.get(error.errno or 0, ""))
