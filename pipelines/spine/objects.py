"""Objects in a store (``s3://``, ``gs://``): published whole, read by ranges, with retries and errors for people.

Through ``pyarrow.fs``: it comes with pyarrow, so a Beam worker and a trainer need nothing more. The vendors' own
variables say who we are and where the store is: ``AWS_*`` (``AWS_ENDPOINT_URL`` for MinIO and others),
``GOOGLE_APPLICATION_CREDENTIALS``, ``STORAGE_EMULATOR_HOST``.
"""

import errno
import functools
import io
import os
import random
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from pipelines.spine.errors import CorpusmillError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs")
#: Reads ahead by so much: a request costs tens of milliseconds, as long as some megabytes take to arrive.
READ_BYTES = 8 << 20
#: Ranges that lie no farther apart are fetched together: so much arrives while another request is on its way.
GAP_BYTES = 256 << 10
#: One call's patience is the client library's; a whole transfer is begun again so often, with growing pauses.
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5
DELETED_AT_ONCE = 16
ASKED_AT_ONCE = 32
GCS_PATIENCE = timedelta(seconds=30)
#: Words of an answer that another attempt will not change. Source: the texts of AWS's and Google's error codes.
DENIED = ("ACCESS_DENIED", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH",
          "status 401", "status 403", "code: 401", "code: 403", "No AWS credentials", "INVALID_CLIENT_TOKEN_ID",
          "TIME_TOO_SKEWED", "Could not create a OAuth2 access token")  # fmt: skip
#: To a question without a body S3 answers a token that has expired with a bare 400, another region with a bare 301.
EXPIRED_OR_ELSEWHERE = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthorizationHeaderMalformed",
                        "PermanentRedirect", "status 301", "status 400) during Head")  # fmt: skip
#: Numbers that no store's answer has: what is wrong is this machine's.
OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG)
NO_BUCKET = ("NO_SUCH_BUCKET", "bucket does not exist", "BucketNotFound")

Answer = TypeVar("Answer")


def is_remote(place: str | os.PathLike[str]) -> bool:
    """Whether the place is an object in a store: ``s3://bucket/key``, ``gs://bucket/key``."""
    return isinstance(place, str) and place.partition("://")[0] in SCHEMES and "://" in place


def upload(source: Path, place: str) -> None:
    """Publishes the file as one object: a reader sees all of it, or none.

    Raises:
        CorpusmillError: no such bucket, no permission, or the store fails again and again.
    """
    from pyarrow import fs

    store, key = _opened(place)
    wanted = source.stat().st_size

    def put() -> None:
        # One call: a signal between two of ours would have the object closed, and so published, half-written.
        fs.copy_files(
            str(source), key, source_filesystem=fs.LocalFileSystem(), destination_filesystem=store,
            chunk_size=READ_BYTES, use_threads=False,
        )  # fmt: skip
        found = store.get_file_info(key).size
        if found != wanted:
            raise OSError(f"{found} bytes arrived of {wanted}")

    retried(put, place)


def download(place: str, target: Path) -> None:
    """Writes the object's bytes to a local file.

    Raises:
        FileNotFoundError: no such object.
        CorpusmillError: as in `upload`.
    """
    from pyarrow import fs

    store, key = _opened(place)
    retried(
        lambda: fs.copy_files(
            key, str(target), source_filesystem=store, destination_filesystem=fs.LocalFileSystem(),
            chunk_size=READ_BYTES, use_threads=False,
        ),
        place,
    )  # fmt: skip


def open_input(place: str, ahead: int = READ_BYTES, stop: int | None = None) -> BinaryIO:
    """The object as a buffered, seekable file that reads by ranges.

    Args:
        place: of the object.
        ahead: bytes asked for at a time.
        stop: the file ends here for this reader; None: where the object ends.
    Raises:
        FileNotFoundError: no such object.
        CorpusmillError: as in `upload`.
    """
    store, key = _opened(place)
    file = retried(lambda: store.open_input_file(key), place)
    return cast(BinaryIO, io.BufferedReader(_Ranges(file, place, stop), ahead))


def read_bytes(place: str) -> bytes:
    """All of a small object.

    Raises:
        FileNotFoundError: no such object.
        CorpusmillError: as in `upload`.
    """
    store, key = _opened(place)

    def read() -> bytes:
        with store.open_input_file(key) as file:
            return file.read()

    return retried(read, place)


def read_ranges(place: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes [start, stop) of the object for each range, which ascend; near ones are fetched together.

    Raises:
        FileNotFoundError: no such object.
        CorpusmillError: as in `upload`.
    """
    store, key = _opened(place)
    found: list[bytes] = []
    with retried(lambda: store.open_input_file(key), place) as file:
        for group in _near(ranges):
            first, last = group[0][0], group[-1][1]
            packed = retried(functools.partial(file.read_at, last - first, first), place) if last > first else b""
            found += [packed[start - first : stop - first] for start, stop in group]
    return found


def _near(ranges: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The ranges in groups that one request fetches.

    >>> _near([(0, 10), (10, 20), (30, 40), (1_000_000, 1_000_010)])
    [[(0, 10), (10, 20), (30, 40)], [(1000000, 1000010)]]
    >>> [len(group) for group in _near([(n * 200_000, n * 200_000 + 4096) for n in range(100)])]  # 8 MiB at a time
    [42, 42, 16]
    """
    groups: list[list[tuple[int, int]]] = []
    for start, stop in ranges:
        near = groups and start - groups[-1][-1][1] <= GAP_BYTES
        if near and stop - groups[-1][0][0] <= READ_BYTES:
            groups[-1].append((start, stop))
        else:
            groups.append([(start, stop)])
    return groups


def sizes_of(places: Sequence[str]) -> list[int | None]:
    """Bytes of each object, None where there is none; asked for many at a time.

    Raises:
        CorpusmillError: as in `upload`.
    """
    return [None if version is None else version[0] for version in versions_of(places)]


def version_of(place: str) -> tuple[int, int] | None:
    """Size and time of the last change in ns, None for what is no object: a change of either betrays other bytes.

    Raises:
        CorpusmillError: as in `upload`.
    """
    from pyarrow.fs import FileType

    store, key = _opened(place)
    info = retried(lambda: store.get_file_info(key), place)
    return (info.size, info.mtime_ns or 0) if info.type == FileType.File else None


def versions_of(places: Sequence[str]) -> list[tuple[int, int] | None]:
    """`version_of` each; the store is asked for many at a time."""
    # The client's own call for many asks one after another.
    with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        return list(threads.map(version_of, places))


def listed(place: str, deep: bool = True) -> list[str]:
    """The objects under a folder or bucket, sorted. Nothing that is declared is built from a listing.

    Args:
        place: of the folder.
        deep: also those in folders below it.
    """
    from pyarrow.fs import FileSelector, FileType

    store, key = _opened(place)
    selector = FileSelector(key.rstrip("/"), recursive=deep, allow_not_found=True)
    scheme = place.partition("://")[0]
    found = retried(lambda: store.get_file_info(selector), place)
    return sorted(f"{scheme}://{info.path}" for info in found if info.type == FileType.File)


def delete(place: str) -> None:
    """Takes the object away; nothing happens where there is none."""
    store, key = _opened(place)
    try:
        retried(lambda: store.delete_file(key), place)
    except FileNotFoundError:
        return


def delete_tree(place: str) -> None:
    """Takes away all objects under a folder, many at a time; nothing happens where there is none."""
    store, key = _opened(place)
    found = listed(place)
    if found and place.startswith("s3://"):
        retried(lambda: store.delete_dir(key.rstrip("/")), place)  # a thousand a request, and the marks of folders too
        return
    with ThreadPoolExecutor(DELETED_AT_ONCE) as threads:
        list(threads.map(delete, found))


def retried(call: Callable[[], Answer], place: str) -> Answer:
    """What the call returns; begun again, after growing pauses, when the store fails in passing.

    Raises:
        FileNotFoundError: no such object.
        CorpusmillError: no such bucket, no permission, or ``ATTEMPTS`` failures.
        OSError: one ``OF_A_DISK``.
    """
    from pyarrow import ArrowException, ArrowInvalid

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except (OSError, ArrowException) as error:
            if getattr(error, "errno", None) in OF_A_DISK:
                raise
            if isinstance(error, FileNotFoundError) and not _says(error, NO_BUCKET) and has_bucket(place):
                raise FileNotFoundError(2, "no such object", place) from None
            lasting = isinstance(error, FileNotFoundError | ArrowInvalid)
            lasting |= _says(error, (*NO_BUCKET, *DENIED, *EXPIRED_OR_ELSEWHERE))
            if lasting or attempt == ATTEMPTS:
                raise _explained(error, place) from error
            pause = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * (0.5 + random.random())
            print(f"{place}: {_words(error)}; trying again in {pause:.1f} s", file=sys.stderr, flush=True)
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


class _Ranges(io.RawIOBase):
    """A file of ``pyarrow.fs`` for `io.BufferedReader`; a range that fails in passing is asked for again."""

    def __init__(self, file: Any, place: str, stop: int | None) -> None:
        self._file, self._place, self._at, self.name = file, place, 0, place
        self._size = file.size() if stop is None else min(stop, file.size())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        found = self._range(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def readall(self) -> bytes:
        # The inherited one asks for 8 KB at a time.
        parts = []
        while part := self._range(self._size):
            parts.append(part)
        return b"".join(parts)

    def _range(self, most: int) -> bytes:
        """The bytes from here on, at most so many; none at the end alone."""
        wanted = min(most, max(0, self._size - self._at))
        if not wanted:
            return b""
        try:
            found: bytes = retried(lambda: self._file.read_at(wanted, self._at), self._place)
        except FileNotFoundError:  # to whoever reads, an error of the system's would mean damaged data
            found = b""
        if not found:
            raise CorpusmillError(
                "the object went while it was read", where=self._place, hint="bring it back, then run again"
            )
        self._at += len(found)
        return found

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _opened(place: str) -> "tuple[FileSystem, str]":
    return _store_of(place.partition("://")[0], os.getpid()), _key_of(place)


def _key_of(place: str) -> str:
    return place.partition("://")[2]


@functools.cache
def _store_of(scheme: str, pid: int) -> "FileSystem":
    """The client; another one in a forked process, since their threads and connections do not survive a fork."""
    from pyarrow import fs

    if scheme == "s3":
        server = _server("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        patience = fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
        # background_writes: else all of a file waits in memory, since it is read faster than it is sent
        return fs.S3FileSystem(
            retry_strategy=patience, connect_timeout=10, request_timeout=60, background_writes=False, **server
        )
    server = _server("STORAGE_EMULATOR_HOST")
    return fs.GcsFileSystem(anonymous=bool(server), retry_time_limit=GCS_PATIENCE, **server)


def _server(*variables: str) -> dict[str, str]:
    """The server that the first of the variables that is set names, as the clients want it; nothing where none is.

    Raises:
        CorpusmillError: no address; whoever sets one does not mean the vendor's own server.
    """
    for variable in variables:
        given = os.environ.get(variable, "")
        if not given:
            continue
        parts = urllib.parse.urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            raise CorpusmillError(
                "not the address of a store", where=f"environment variable {variable}", expected="http://host:port",
                got=given,
            )  # fmt: skip
        return {"scheme": parts.scheme, "endpoint_override": parts.netloc}
    return {}


def has_bucket(place: str) -> bool:
    """Whether the place's bucket is there; one that we may not look into counts as there."""
    from pyarrow.fs import FileType

    store, key = _opened(place)
    try:
        return store.get_file_info(key.partition("/")[0]).type != FileType.NotFound
    except OSError:
        return True  # what is forbidden is there


def _says(error: Exception, words: Iterable[str]) -> bool:
    return any(word.lower() in str(error).lower() for word in words)


def _words(error: Exception) -> str:
    """The beginning and the end of what may be a page of a client's own words: the reason stands at either."""
    text = " ".join(str(error).split())
    text = text[max(text.find("AWS Error"), 0) :]  # before it the key stands again, which we name ourselves
    return text if len(text) <= 500 else f"{text[:200]} ... {text[-250:]}"


def _explained(error: Exception, place: str) -> CorpusmillError:
    scheme, _, key = place.partition("://")
    bucket = f"{scheme}://{key.partition('/')[0]}"
    if _says(error, DENIED):
        who = "AWS_PROFILE or AWS_ACCESS_KEY_ID" if scheme == "s3" else "GOOGLE_APPLICATION_CREDENTIALS"
        may = "s3:GetObject, s3:PutObject, s3:ListBucket" if scheme == "s3" else "storage.objects.get, create, list"
        return CorpusmillError(
            "the store refuses", where=place, got=_words(error),
            hint=f"check {who}, and that this account may {may} on {bucket}",
        )  # fmt: skip
    if _says(error, EXPIRED_OR_ELSEWHERE):
        return CorpusmillError(
            "the store does not take the request", where=place, got=_words(error),
            hint="the credentials may have expired: renew them; or the bucket is in another region: set AWS_DEFAULT_REGION",
        )  # fmt: skip
    if isinstance(error, ValueError):
        return CorpusmillError("not a place that can be read or written", where=place, got=_words(error))
    if isinstance(error, FileNotFoundError) or _says(error, NO_BUCKET):
        return CorpusmillError(
            "no such bucket", where=bucket, hint="create it (we never do), or correct storage.root in params.yaml"
        )
    return CorpusmillError(
        f"the store failed {ATTEMPTS} times", where=place, got=_words(error),
        hint="check the network and the store's state, then run again: finished units are kept",
    )  # fmt: skip
