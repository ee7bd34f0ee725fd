"""What the list of an archive says of one file, and that file's bytes."""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from pipelines.readers.compression import DamagedStream
from pipelines.readers.records import Quarantined

#: What zipfile and its decoders raise over a damaged member.
_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive, not opened yet.

    Args:
        name: its path there.
        offset: of its header in a zip or an (uncompressed) tar, of its first byte in what a 7z holds.
        size: unpacked, as the archive says it, in bytes.
        open: its bytes; raises what the archive's library raises.
        refused: why it cannot be read: "", ``encrypted``, ``damaged``, ``unsupported_compression``, ``sparse_file``.
        error: what exactly is wrong with a refused one.
        is_file: False for links and devices.
    """

    name: str
    offset: int
    size: int
    open: Callable[[], Any]
    refused: str = ""
    error: str = ""
    is_file: bool = True


#: What walking an archive gives; closing it closes the archive.
Entries = Generator[Entry | Quarantined, None, None]


class MemberStream(io.RawIOBase):
    """A member's bytes; whatever the archive's library raises over them comes as ``DamagedStream``."""

    def __init__(self, opener: Callable[[], Any]) -> None:
        self._opener = opener
        self._stream: Any = None
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            self._stream = self._stream or self._opener()
            data = self._stream.read(len(buffer))
        except _ERRORS as error:
            raise DamagedStream(f"damaged member of an archive: {_what(error)}", self._offset) from error
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()


def _what(error: Exception) -> str:
    """What is wrong, without the library's own words: they name the member."""
    if "CRC" in str(error).upper():
        return "its checksum is wrong"
    return f"it breaks off or cannot be unpacked ({type(error).__name__})"
