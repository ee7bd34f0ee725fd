"""The one storage layer: open, publish, link, hash. Everything that reads or writes files goes through here.

A place is a local path, or an object in a store (``s3://bucket/key``, ``gs://bucket/key``). Publishing is: write under
a temporary name that is unique to the attempt, flush to disk, rename; or write a local temporary file, and upload it
as one object. A reader sees the whole file or none, and two attempts that write equal bytes may both publish.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from pipelines.spine import local_cache, objects
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.objects import is_remote as is_remote

CHUNK_BYTES = 1 << 20
TEMPORARY = ".tmp-"


def sha256_file(path: str | Path) -> str:
    """Hex sha256 of the bytes of a file, or of an object, which passes through memory alone."""
    with open_input(path) as file:
        return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex sha256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def temporary_name(path: str | Path) -> Path:
    """A name beside ``path`` that no other attempt, process or machine uses."""
    path = Path(path)
    return path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}-{path.name}")


def join(place: str | Path, *parts: str) -> str:
    """A place below another.

    >>> join("s3://bucket/corpus/", "units", "extract")
    's3://bucket/corpus/units/extract'
    """
    if is_remote(place):
        return "/".join([str(place).rstrip("/"), *parts])
    return str(Path(place, *parts))


def absolute(place: str | Path) -> str:
    """The place as another process, with another working directory, may name it; links followed."""
    return str(place) if is_remote(place) else str(Path(place).resolve())


def name_of(place: str | Path) -> str:
    """The last part of a place."""
    return str(place).rpartition("/")[2]


def open_input(place: str | Path, ahead: int = objects.READ_BYTES, stop: int | None = None) -> BinaryIO:
    """The file to read, seekable; of an object only what is asked for is fetched.

    Args:
        place: a path or an object.
        ahead: bytes of an object that are asked for at a time: few where one looks here and there.
        stop: what lies behind so many bytes of an object is not asked for.
    Raises:
        FileNotFoundError: nothing is there.
        CorpusmillError: the store refuses or fails.
    """
    return objects.open_input(str(place), ahead, stop) if is_remote(place) else open(place, "rb")


def read_bytes(place: str | Path) -> bytes:
    """All bytes of a small file; raises as `open_input` does."""
    return objects.read_bytes(str(place)) if is_remote(place) else Path(place).read_bytes()


def read_ranges(place: str | Path, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes [start, stop) for each range, which ascend; of an object near ones are fetched together.

    Raises:
        FileNotFoundError: nothing is there.
        CorpusmillError: the file ends before a range does, or the store refuses or fails.
    """
    if is_remote(place):
        found = objects.read_ranges(str(place), ranges)
    else:
        with open(place, "rb", buffering=0) as file:
            found = [os.pread(file.fileno(), stop - start, start) for start, stop in ranges]
    for (start, stop), packed in zip(ranges, found, strict=True):
        if len(packed) != stop - start:
            raise CorpusmillError(
                "the file ends too early", where=str(place), expected=f"bytes {start:,} to {stop:,}",
                got=f"{len(packed):,} of them", hint="delete it and run again",
            )  # fmt: skip
    return found


def read_text(place: str | Path) -> str:
    """All of a small UTF-8 file; raises as `open_input` does."""
    return read_bytes(place).decode("utf-8")


def local_copy(place: str | Path, sha256: str = "") -> Path:
    """A local file with the place's bytes, to be memory-mapped: the path itself, or a copy of the object.

    Args:
        place: a path or an object.
        sha256: what an object's bytes must have; "" takes them as they are.
    Raises:
        FileNotFoundError: no such object.
        CorpusmillError: other bytes than declared, the store refuses or fails, or the disk is full.
    """
    if not is_remote(place):
        return Path(place)
    try:
        return local_cache.local_copy(str(place), sha256)
    except FileNotFoundError:
        raise
    except OSError as error:
        hint = f"free some space there, or name another folder in {local_cache.FOLDER}; then run again"
        raise explained(error, local_cache.cache_folder(), hint) from error


def sizes_of(places: Sequence[str]) -> list[int | None]:
    """Bytes of the file at each place, None where there is none."""
    remote = [place for place in places if is_remote(place)]
    found = dict(zip(remote, objects.sizes_of(remote), strict=True))
    return [found[place] if place in found else _local_size(place) for place in places]


def size_of(place: str | Path) -> int | None:
    """Bytes of the file, None where there is none."""
    return sizes_of([str(place)])[0]


def exists(place: str | Path) -> bool:
    """Whether a file is there."""
    return size_of(place) is not None


def delete(place: str | Path) -> None:
    """Takes a file away; nothing happens where there is none."""
    if is_remote(place):
        objects.delete(str(place))
    else:
        Path(place).unlink(missing_ok=True)


def delete_tree(place: str | Path) -> None:
    """Takes a folder away with all that lies in it."""
    if is_remote(place):
        objects.delete_tree(str(place))
    else:
        shutil.rmtree(place, ignore_errors=True)


def copy_in(source: str | Path, place: str) -> None:
    """Publishes a copy of a local file, unless one of its size is there already: for places named by content.

    A copy also on the same disk: through a link, whoever edits the file would change what lies under its old hash.
    """
    if size_of(place) == Path(source).stat().st_size:
        return
    if is_remote(place):
        objects.upload(Path(source), place)
        return
    with publishing(place) as file, open(source, "rb") as copied:
        shutil.copyfileobj(copied, file, CHUNK_BYTES)


def _local_size(place: str | Path) -> int | None:
    path = Path(place)
    return path.stat().st_size if path.is_file() else None


@contextlib.contextmanager
def publishing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write that appears under ``path`` whole when the block ends well, and not at all otherwise.

    The file has a local name (``file.name``) until then.

    Raises:
        CorpusmillError: no space left, no permission, or the store fails.
    """
    if is_remote(path):
        with _uploading(str(path)) as whole:
            yield whole
        return
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


@contextlib.contextmanager
def _uploading(place: str) -> Iterator[BinaryIO]:
    folder = tempfile.gettempdir()
    try:
        with tempfile.NamedTemporaryFile(prefix="corpusmill-", dir=folder) as file:
            yield cast(BinaryIO, file)
            file.flush()
            objects.upload(Path(file.name), place)
    except OSError as error:
        hint = "free some space there, or name another folder in TMPDIR; finished units are kept"
        raise explained(error, error.filename or folder, hint) from error


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
    if is_remote(lock):  # no lock of a store's outlives us: this one holds on this machine, and objects never change
        lock = local_cache.cache_folder() / f".lock-{sha256_text(str(lock))[:16]}"
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


def explained(error: OSError, path: str | Path, space: str = "") -> CorpusmillError:
    """The operating system's error as one that says what to do; ``space``: where a disk is full."""
    hints = {
        errno.ENOSPC: space or "free some space, then run again: finished units are kept",
        errno.EDQUOT: "the quota is used up; free some space, then run again",
        errno.EACCES: "check the owner and the permissions",
        errno.EROFS: "the file system is mounted read-only",
        errno.ENOENT: "check the path",
        errno.ENOTDIR: "a part of the path is a file, not a folder",
        errno.EEXIST: "a part of the path is a file, not a folder",
    }
    words = os.strerror(error.errno).lower() if error.errno else str(error)
    return CorpusmillError(words, where=str(path), hint=hints.get(error.errno or 0, ""))
