"""The files of a 7z archive, by py7zr, which is no dependency: ``pip install corpusmill[7z]``.

py7zr writes each file, in the archive's order, into an object that it asks for. Here that object is a queue of a few
megabytes between its thread and the reader, so neither waits for more than the other's pace and nothing is kept.
"""

import contextlib
import queue
import threading
from pathlib import Path
from typing import Any

from pipelines.readers.archives.entry import Entries, Entry
from pipelines.readers.compression import PIECE_BYTES, DamagedStream
from pipelines.readers.records import Quarantined
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError

_QUEUED_PIECES = 4
_FILE_END = b""


def sevenzip_entries(path: str | Path, part: tuple[int, int] | None) -> Entries:
    """Every file of the archive; an offset counts the bytes of the files before it. What damage hides is one entry.

    Raises:
        CorpusmillError: py7zr is not installed.
        ValueError: a part was asked for; a 7z is one stream.
    """
    if part is not None:
        raise ValueError("a 7z archive has no parts")
    try:
        import py7zr
    except ImportError:
        raise CorpusmillError(
            "7z archives need py7zr", hint="pip install 'corpusmill[7z]', or pack it as zip"
        ) from None
    # A copy of an object: py7zr takes any failure for damage, and reads the whole of it anyway.
    with open(storage.local_copy(path), "rb") as file:
        try:
            # An open file and not its path: from a path py7zr would unpack several files at a time.
            archive = py7zr.SevenZipFile(file)
            needs_password, files = archive.needs_password(), [info for info in archive.list() if not info.is_directory]
        except py7zr.exceptions.PasswordRequired:
            needs_password, files = True, []
        except Exception as error:  # it raises whatever its parser meets
            yield Quarantined(
                "byte 0", "damaged", f"the 7z archive breaks off or is damaged: {type(error).__name__}", b""
            )
            return
        if needs_password:
            yield Quarantined("byte 0", "encrypted", "the 7z archive is encrypted", b"")
            return
        with contextlib.closing(_unpacked(archive, files)) as entries:
            yield from entries


def _unpacked(archive: Any, files: list[Any]) -> Entries:
    unpacking = _Unpacking(archive)
    offset = 0
    try:
        for info in files:
            size = info.uncompressed
            data = _MemberData(unpacking, size)
            yield Entry(info.filename, offset, size, lambda data=data: data)  # type: ignore[misc]
            if not data.passed_over():
                break
            offset += size
    except DamagedStream as damage:
        yield Quarantined(f"byte {offset}", "damaged", damage.message, b"")
    finally:
        unpacking.stop()


class _Unpacking(threading.Thread):
    """Unpacks an archive into a queue: the pieces of each file that holds any and ``_FILE_END``, then an exception."""

    def __init__(self, archive: Any) -> None:
        super().__init__(daemon=True)
        self._archive = archive
        self._pieces: queue.Queue[bytes | Exception] = queue.Queue(_QUEUED_PIECES)
        self._stopped = threading.Event()
        self._left = b""

    def run(self) -> None:
        try:
            self._archive.extractall(factory=_Writers(self))
            self.put(EOFError())
        except _Stopped:
            pass
        except Exception as error:  # for the reader to see
            with contextlib.suppress(_Stopped):
                self.put(error)

    def put(self, piece: bytes | Exception) -> None:
        """From the thread: hands over a piece once there is room.

        Raises:
            _Stopped: nobody wants it any more.
        """
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._pieces.put(piece, timeout=0.1)
                return
        raise _Stopped

    def read(self, size: int) -> bytes:
        """From the reader: the next bytes of a file, at most ``size``; none at its end, where its checksum was right.

        Raises:
            DamagedStream: the archive cannot be unpacked further.
        """
        if self.ident is None:
            self.start()
        if not self._left:
            piece = self._pieces.get()
            if isinstance(piece, Exception):
                self._pieces.put(piece)  # whoever asks again is told again
                raise DamagedStream(f"the 7z archive breaks off or is damaged: {type(piece).__name__}", 0)
            self._left = piece
        data, self._left = self._left[:size], self._left[size:]
        return data

    def stop(self) -> None:
        """Ends the thread, whatever it has left to do."""
        self._stopped.set()
        if self.ident is not None:
            self.join()


class _Stopped(Exception):  # noqa: N818 (no error: the reader had enough)
    """Ends py7zr's work from inside of it."""


class _Writers:
    """What py7zr asks for a file to write into."""

    def __init__(self, unpacking: _Unpacking) -> None:
        self._unpacking = unpacking

    def create(self, filename: str) -> "_Writer":
        """A file that hands its bytes on and keeps none."""
        del filename
        return _Writer(self._unpacking)


class _Writer:
    """Takes the bytes of one file (py7zr's ``Py7zIO``)."""

    def __init__(self, unpacking: _Unpacking) -> None:
        self._unpacking = unpacking
        self._is_empty = True

    def write(self, data: bytes) -> int:
        """Hands the bytes on in pieces."""
        self._is_empty = self._is_empty and not data
        for start in range(0, len(data), PIECE_BYTES):
            self._unpacking.put(bytes(data[start : start + PIECE_BYTES]))
        return len(data)

    def read(self, size: int | None = None) -> bytes:
        """Nothing: what was written is gone."""
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Stays where it is."""
        return 0

    def flush(self) -> None:
        """Nothing waits."""

    def size(self) -> int:
        """Nothing is kept."""
        return 0

    def close(self) -> None:
        """The file is whole. Empty ones come first, in whatever place they stand, and say nothing."""
        if not self._is_empty:
            self._unpacking.put(_FILE_END)


class _MemberData:
    """The bytes of one file out of those of all."""

    def __init__(self, unpacking: _Unpacking, size: int) -> None:
        self._unpacking = unpacking
        self._ended = not size
        self._failed = False

    def read(self, size: int) -> bytes:
        """The next bytes of the file.

        Raises:
            DamagedStream: the archive cannot be unpacked further.
        """
        if self._ended or not size:
            return b""
        self._failed = True
        data = self._unpacking.read(size)
        self._failed = False
        self._ended = not data
        return data

    def passed_over(self) -> bool:
        """Moves behind the file; False where its reader has met the damage.

        Raises:
            DamagedStream: the archive cannot be unpacked further, and nobody has said so yet.
        """
        while not self._failed and self.read(PIECE_BYTES):
            pass
        return not self._failed

    def close(self) -> None:
        """Nothing to close: the archive stays open."""
