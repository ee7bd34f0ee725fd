"""Plain text: one document a line, or one document a file; and the lines that the table readers stand on too.

    read_text:  bytes  ->  Record (key "<file key>:<byte offset>", no title) | Skipped("empty") | Quarantined

Only ``\\n`` and ``\\r\\n`` end a line: U+2028, form feeds and the like stay text. UTF-8 alone is text; a byte order
mark is removed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipelines.readers.compression import PIECE_BYTES, DamagedStream, open_decompressed
from pipelines.readers.records import (
    MAX_RECORD_BYTES,
    QUARANTINE_RAW_BYTES,
    Item,
    Quarantined,
    ReadContext,
    Record,
    Skipped,
    UnreadableError,
)
from pipelines.spine.errors import CorpusmillError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What people hand in under the wrong name, by the first bytes.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive (unpack it first)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive (unpack it first)"),
    (b"%PDF-", "a PDF"),
    (b"PAR1", "a Parquet file (kind: parquet)"),
    (b"ARROW1", "an Arrow IPC file"),
    (b"\xff\xfe", "UTF-16 text (convert it to UTF-8 first)"),
    (b"\xfe\xff", "UTF-16 text (convert it to UTF-8 first)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file.

    Args:
        number: counted from 1.
        offset: of its first byte in the uncompressed file.
        data: its bytes without the final newline; of a refused line at most the first 64 KiB.
        refused: why it is no whole line: "", ``too_long``, ``damaged``, ``wrong_format``, ``empty_file``.
        error: what exactly is wrong with a refused line.
    """

    number: int
    offset: int
    data: bytes
    refused: str = ""
    error: str = ""


def read_text(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a line, or one for the whole file.

    Args:
        stream: the file's bytes, compressed or not.
        context: ``split`` is ``line`` or ``file``.
    Raises:
        CorpusmillError: ``split`` is neither.
    """
    if context.split == "line":
        return (_item(line, context, f"line {line.number}") for line in split_lines(stream))
    if context.split == "file":
        return (_item(line, context, "byte 0") for line in split_lines(stream, ending=b""))
    raise CorpusmillError("unknown split of plain text", where="split", expected="line or file", got=context.split)


def split_lines(stream: BinaryIO, max_bytes: int = MAX_RECORD_BYTES, ending: bytes = b"\n") -> Iterator[Line]:
    """The lines of a file, each once; what cannot be a line comes as one that is refused.

    An empty file, a file of another format, and the rest of a damaged file are one refused line each. In memory
    lies one line, of an over-long one its beginning.

    Args:
        stream: the file's bytes, compressed or not.
        max_bytes: a longer line is refused.
        ending: what ends a line; b"" makes the whole file one line.
    """
    source = open_decompressed(stream)
    number, offset, line = 1, 0, _Gathering(max_bytes)
    try:
        piece = source.read(PIECE_BYTES)
        if foreign := foreign_format(piece):
            yield Line(1, 0, piece, "wrong_format" if piece else "empty_file", foreign)
            return
        offset = len(BYTE_ORDER_MARK) if piece.startswith(BYTE_ORDER_MARK) else 0
        piece = piece[offset:]
        while piece:
            *ended, rest = piece.split(ending) if ending else (piece,)
            for end in ended:
                line.add(end)
                yield line.finish(number, offset)
                number, offset, line = number + 1, offset + line.size + 1, _Gathering(max_bytes)
            line.add(rest)
            piece = source.read(PIECE_BYTES)
    except DamagedStream as damage:
        yield Line(number, offset, line.data(), "damaged", f"{damage.message}, at byte {damage.offset}")
        return
    if line.size or not ending:
        yield line.finish(number, offset)


def decode(data: bytes) -> str:
    """The text of UTF-8 bytes without NUL.

    Raises:
        UnreadableError: ``invalid_utf8`` or ``nul``, with the place in the record.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError("invalid_utf8", f"byte {error.start} of the record: {error.reason}") from None
    if "\0" in text:
        raise UnreadableError("nul", f"a NUL stands at character {text.index(chr(0))} of the record")
    return text


def _item(line: Line, context: ReadContext, locator: str) -> Item:
    if line.refused:
        return Quarantined(locator, line.refused, line.error, line.data)
    try:
        text = decode(line.data).removesuffix("\r")
    except UnreadableError as error:
        return Quarantined(locator, error.reason, error.error, line.data)
    if not text.strip():
        return Skipped("empty")
    return Record(key=context.key_at(line.offset), title="", text=text)


def foreign_format(head: bytes) -> str:
    """What a file is when its first bytes show that it cannot be text; "" when it can."""
    if not head:
        return "the file holds no bytes"
    return next((f"expected text, got {name}" for magic, name in _FOREIGN if head.startswith(magic)), "")


class _Gathering:
    """A line that may lie over several pieces; keeps no more of it than may be a line."""

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        self.size += len(part)
        if self.size <= self._max_bytes or not self._parts:
            self._parts.append(part)

    def data(self) -> bytes:
        """The bytes, of a line that is too long its beginning."""
        if self.size > self._max_bytes:
            return b"".join(self._parts)[:QUARANTINE_RAW_BYTES]
        return b"".join(self._parts)

    def finish(self, number: int, offset: int) -> Line:
        if self.size <= self._max_bytes:
            return Line(number, offset, self.data())
        error = f"{self.size:,} bytes; at most {self._max_bytes:,} are read as one record"
        return Line(number, offset, self.data(), "too_long", error)
