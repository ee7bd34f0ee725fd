"""The records of a WARC file, each bounded by its own Content-Length (ISO 28500).

Framed here and not by fastwarc, which (2.0.1) ends the file at the first bad header, gives a record that breaks off
as an empty one without a word, and aborts on streams that cannot seek.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from pipelines.readers.compression import PIECE_BYTES, DamagedStream, open_decompressed
from pipelines.readers.records import MAX_RECORD_BYTES, QUARANTINE_RAW_BYTES
from pipelines.readers.web.http_response import header_fields

MAX_HEADER_BYTES = 1 << 16
MAX_HEADER_LINES = 1000
_BLANK = (b"\r\n", b"\n")


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """One record, or why it is none.

    Args:
        offset: of its first byte in the uncompressed file.
        headers: its named fields, names in lower case; the first of a name.
        data: the whole record, header included; only the header of a type that nobody asked for.
        header_bytes: how much of ``data`` is the header.
        refused: "", ``malformed_warc``, ``too_long``, ``truncated``, ``damaged``, ``empty_file``, ``wrong_format``.
        error: what exactly is wrong with a refused one.
    """

    offset: int
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes = b""
    refused: str = ""
    error: str = ""
    header_bytes: int = 0

    @property
    def content(self) -> bytes:
        """What stands behind the header."""
        return self.data[self.header_bytes :]

    @property
    def kind(self) -> str:
        """Its WARC-Type: response, request, warcinfo, ..."""
        return self.headers.get("warc-type", "").lower()


def split_warc(stream: BinaryIO, wanted_type: str) -> Iterator[WarcRecord]:
    """Every record in file order; the contents of those of another type are passed over.

    What cannot be a record is refused, up to the next line that begins one. Memory: one record of at most 64 MiB.
    """
    source = _Source(stream)
    head = source.peek(16)
    if head and not head.startswith((b"WARC/", *_BLANK)):
        yield WarcRecord(0, {}, source.peek(QUARANTINE_RAW_BYTES), "wrong_format", "a WARC file begins with WARC/")
        return
    empty = True
    while source.skip_blank_lines():
        empty = False
        yield _next_record(source, wanted_type)
    if source.damage:
        yield WarcRecord(source.position, {}, b"", *source.end_reason())
    elif empty:
        yield WarcRecord(0, {}, b"", "empty_file", "the file holds no record")


def _next_record(source: "_Source", wanted_type: str) -> WarcRecord:
    offset, header = source.position, source.header()
    headers = header_fields(header)
    length = headers.get("content-length", "")
    if not header.endswith(b"\n\n") and not header.endswith(b"\n\r\n"):
        if not source.peek(1):
            return WarcRecord(offset, headers, header, *source.end_reason())
        return _resynced(source, WarcRecord(offset, headers, header, "malformed_warc", "no record header"))
    if not length.isdecimal() or len(length) > 15:
        error = f"Content-Length: expected a number, got {length!r}"
        return _resynced(source, WarcRecord(offset, headers, header, "malformed_warc", error))
    size = int(length)
    is_wanted = headers.get("warc-type", "").lower() == wanted_type
    kept = source.take(size) if is_wanted and size <= MAX_RECORD_BYTES else b""
    if source.skip(size - len(kept)) < size - len(kept):
        return WarcRecord(offset, headers, header + kept, *source.end_reason())
    if not source.peek(1).startswith((b"\r", b"\n")) and source.peek(1):
        error = f"the record does not end after its Content-Length of {size:,} bytes"
        return _resynced(source, WarcRecord(offset, headers, header + kept, "malformed_warc", error))
    if is_wanted and size > MAX_RECORD_BYTES:
        error = f"{size:,} bytes; at most {MAX_RECORD_BYTES:,} are read as one record"
        return WarcRecord(offset, headers, header, "too_long", error)
    return WarcRecord(offset, headers, header + kept, header_bytes=len(header))


def _resynced(source: "_Source", refused: WarcRecord) -> WarcRecord:
    """The refused record, once the source stands at the next line that begins one."""
    while (head := source.peek(5)) and head != b"WARC/":
        source.line()
    return refused


class _Source:
    """The uncompressed bytes from a place on; where the file is damaged it ends, and ``damage`` says so."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = open_decompressed(stream)
        self._buffer = b""
        self._index = 0
        self.position = 0
        self.damage = ""

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the end, without moving."""
        while len(self._buffer) - self._index < size and self._fill():
            pass
        return self._buffer[self._index : self._index + size]

    def take(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        parts, wanted = [], size
        while wanted and (part := self.peek(1) and self._buffer[self._index : self._index + wanted]):
            parts.append(part)
            wanted -= len(part)
            self._advance(len(part))
        return b"".join(parts)

    def skip(self, size: int) -> int:
        """Moves over the next bytes; returns how many there were."""
        skipped = 0
        while skipped < size and self.peek(1):
            step = min(size - skipped, len(self._buffer) - self._index)
            self._advance(step)
            skipped += step
        return skipped

    def line(self) -> bytes:
        """The rest of the line with its end; of a longer one the first 64 KiB."""
        head = self.peek(1)
        end = self._buffer.find(b"\n", self._index, self._index + MAX_HEADER_BYTES)
        if head and end < 0:
            head = self.peek(MAX_HEADER_BYTES)
            end = self._buffer.find(b"\n", self._index, self._index + MAX_HEADER_BYTES)
        return self.take(end + 1 - self._index if end >= 0 else len(head))

    def header(self) -> bytes:
        """A record's header with the blank line that ends it; without one, what there is of it."""
        lines, begin = [self.line()], self.position
        while lines[0].startswith(b"WARC/") and lines[-1] not in _BLANK and self.peek(5) != b"WARC/":
            lines.append(self.line())
            size = len(lines[0]) + self.position - begin
            if not lines[-1] or size > MAX_HEADER_BYTES or len(lines) > MAX_HEADER_LINES:
                break
        return b"".join(lines)

    def skip_blank_lines(self) -> bool:
        """Moves to the next line that holds something; False at the end."""
        while (head := self.peek(2)) and (head.startswith(b"\n") or head == b"\r\n"):
            self.skip(1 if head.startswith(b"\n") else 2)
        return bool(head)

    def end_reason(self) -> tuple[str, str]:
        """Why the file ended inside a record: slug and message."""
        damage, self.damage = self.damage, ""
        return ("damaged", damage) if damage else ("truncated", "the file ends inside this record")

    def _fill(self) -> bool:
        try:
            piece = self._stream.read(PIECE_BYTES)
        except DamagedStream as damage:
            self.damage = f"{damage.message}, at byte {damage.offset}"
            return False
        self._buffer = self._buffer[self._index :] + piece
        self._index = 0
        return bool(piece)

    def _advance(self, size: int) -> None:
        self._index += size
        self.position += size
