"""Plain text, one document a line, a file, or between two markers; and the lines that other readers stand on too.

    read_text:  bytes  ->  Record (key "<file key>:<byte offset>", no title) | Skipped("empty") | Quarantined

Only ``\\n`` and ``\\r\\n`` end a line: U+2028, form feeds and the like stay text. Lines are cut in the file's own
bytes, so offsets are the file's and a line that its encoding does not allow is refused alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from pipelines.readers.charset import UTF_8, Charset, charset_of, decode, hinted
from pipelines.readers.compression import PIECE_BYTES, DamagedStream, open_decompressed, read_head
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

# What people hand in under the wrong name, by the first bytes.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"%PDF-", "a PDF"),
    (b"PAR1", "a Parquet file (kind: parquet)"),
    (b"ARROW1", "an Arrow IPC file (kind: arrow)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file, or several that belong together.

    Args:
        number: counted from 1, of the stream; 0 where the whole file is one line.
        offset: of its first byte in the uncompressed stream.
        data: its bytes without the final newline; of a refused line at most the first 64 KiB.
        refused: why it is no whole line: "", ``too_long``, ``damaged``, ``wrong_format``, ``empty_file``.
        error: what exactly is wrong with a refused line.
        codec: what its bytes are written in.
    """

    number: int
    offset: int
    data: bytes
    refused: str = ""
    error: str = ""
    codec: str = UTF_8

    def text(self) -> str:
        """The line as text.

        Raises:
            UnreadableError: it is refused, or its bytes are no text.
        """
        if self.refused:
            raise UnreadableError(self.refused, self.error)
        try:
            return decode(self.data, self.codec)
        except UnreadableError as error:
            raise hinted(error) from None

    def locator(self, context: ReadContext) -> str:
        """Where it lies, as lists of skipped and refused records say it."""
        return context.line_at(self.number, self.offset) if self.number else context.byte_at(self.offset)

    def quarantined(self, error: UnreadableError, context: ReadContext) -> Quarantined:
        """The quarantine entry for the line."""
        return Quarantined(self.locator(context), error.reason, error.error, self.data)


def read_text(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a line, one for the whole file, or one for all lines between two markers.

    Args:
        stream: the file's bytes, compressed or not.
        context: option ``split`` is ``line``, ``file`` or ``marker``; then option ``marker`` is the line, trailing
            spaces apart, that stands between two documents; option ``encoding`` names what is not UTF-8.
    Raises:
        CorpusmillError: a wrong option.
    """
    split = context.options.get("split", "")
    if split == "line":
        return (_item(line, context) for line in text_lines(stream, context))
    if split == "file":
        return (_item(line, context) for line in text_lines(stream, context, whole=True))
    if split == "marker" and context.options.get("marker", "").strip():
        return (
            _item(block, context)
            for block in _between_markers(text_lines(stream, context), context.options["marker"].rstrip())
        )
    if split == "marker":
        raise CorpusmillError(
            "option marker is missing", where="options", expected="marker: the line between documents"
        )
    raise CorpusmillError(
        "unknown split of plain text", where="options: split", expected="line, file or marker", got=repr(split)
    )


def text_lines(stream: BinaryIO, context: ReadContext, whole: bool = False) -> Iterator[Line]:
    """The lines of a text file in its own encoding, each once; what cannot be a line comes as one that is refused.

    An empty file, a file of another format, and the rest of a damaged file are one refused line each. In memory
    lies one line, of an over-long one its beginning.

    Args:
        stream: the file's bytes, compressed or not.
        context: of the file; in a part of a file nothing is expected of the first bytes.
        whole: the file is one line.
    Raises:
        CorpusmillError: the option ``encoding`` names no text encoding.
    """
    return _lines(stream, context, MAX_RECORD_BYTES, whole)


def split_lines(stream: BinaryIO, max_bytes: int = MAX_RECORD_BYTES, ending: bytes = b"\n") -> Iterator[Line]:
    """The lines of a file whose encoding somebody else finds out; otherwise as ``text_lines``.

    Args:
        stream: the file's bytes, compressed or not.
        max_bytes: a longer line is refused.
        ending: ``\\n``; or b"", which makes the whole file one line.
    """
    return _lines(stream, None, max_bytes, whole=not ending)


def foreign_format(head: bytes) -> str:
    """What a file is when its first bytes show that it cannot be text; "" when it can."""
    if not head:
        return "the file holds no bytes"
    return next((f"expected text, got {name}" for magic, name in _FOREIGN if head.startswith(magic)), "")


def _item(line: Line, context: ReadContext) -> Item:
    try:
        text = line.text().removesuffix("\r")
    except UnreadableError as error:
        return line.quarantined(error, context)
    if not text.strip():
        return Skipped("empty", line.locator(context))
    return Record(key=context.key_at(line.offset), title="", text=text)


def _between_markers(lines: Iterator[Line], marker: str) -> Iterator[Line]:
    """The lines between two markers as one line each; nothing for a marker that begins or ends the file."""
    block, number = LineBlock(), 0
    for line in lines:
        if line.refused or not _is_marker(line, marker):
            block.add(line)
            continue
        if block or number:
            yield block.finish() if block else replace(line, data=b"")
        block, number = LineBlock(), line.number
    if block:
        yield block.finish()


def _is_marker(line: Line, marker: str) -> bool:
    # A longer line is no marker; comparing text spares knowing how the encoding writes a space.
    return len(line.data) < 4 * len(marker) + 1000 and line.data.decode(line.codec, "replace").rstrip() == marker


def _lines(stream: BinaryIO, context: ReadContext | None, max_bytes: int, whole: bool) -> Iterator[Line]:
    source = open_decompressed(stream)
    start, line = Line(0 if whole else 1, 0, b""), _Gathering(max_bytes)
    try:
        piece = read_head(source)
        if (context is None or not context.begin) and (foreign := foreign_format(piece)):
            yield replace(start, data=piece, refused="wrong_format" if piece else "empty_file", error=foreign)
            return
        charset = charset_of(piece, context) if context else Charset(UTF_8, 0, b"\n")
        start = replace(start, offset=charset.mark_bytes, codec=charset.codec)
        newline = b"" if whole else charset.newline
        for ended, part in _cut(source, piece[charset.mark_bytes :], newline):
            line.add(part)
            if ended:
                yield line.finish(start)
                place = start.offset + line.size + len(newline)
                start, line = Line(start.number + 1, place, b"", codec=charset.codec), _Gathering(max_bytes)
    except DamagedStream as damage:
        yield replace(start, data=line.data(), refused="damaged", error=f"{damage.message}, at byte {damage.offset}")
        return
    if line.size or whole:
        yield line.finish(start)


def _cut(source: BinaryIO, piece: bytes, newline: bytes) -> Iterator[tuple[bool, bytes]]:
    """The stream's bytes in pieces that end at a newline (True) or anywhere (False); newlines are left out."""
    unit = len(newline) or 1
    rest = b""
    while piece:
        piece = rest + piece
        whole_units = len(piece) - len(piece) % unit
        piece, rest = piece[:whole_units], piece[whole_units:]
        *ended, tail = _split_units(piece, newline) if newline else [piece]
        yield from ((True, part) for part in ended)
        yield False, tail
        piece = source.read(PIECE_BYTES)
    yield False, rest


def _split_units(piece: bytes, newline: bytes) -> list[bytes]:
    """``bytes.split`` for encodings of two or four bytes a unit, where a newline's bytes may lie across two units."""
    if len(newline) == 1:
        return piece.split(newline)
    parts, start, found = [], 0, piece.find(newline)
    while found >= 0:
        if found % len(newline):
            found = piece.find(newline, found + 1)
            continue
        parts.append(piece[start:found])
        start = found + len(newline)
        found = piece.find(newline, start)
    return [*parts, piece[start:]]


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

    def finish(self, start: Line) -> Line:
        """The line that begins where ``start`` does, with all that was added."""
        if self.size <= self._max_bytes:
            return Line(start.number, start.offset, self.data(), codec=start.codec)
        error = f"{self.size:,} bytes; at most {self._max_bytes:,} are read as one record"
        return replace(start, data=self.data(), refused="too_long", error=error)


class LineBlock:
    """Lines that make one record; false while there is none."""

    def __init__(self, max_bytes: int = MAX_RECORD_BYTES) -> None:
        self._gathered = _Gathering(max_bytes)
        self._first: Line | None = None
        self._refused: Line | None = None

    def __bool__(self) -> bool:
        return self._first is not None

    def add(self, line: Line) -> None:
        """The next line of the record."""
        if self._first:
            self._gathered.add("\n".encode(line.codec))
        self._first = self._first or line
        self._gathered.add(line.data)
        if line.refused:
            self._refused = self._refused or line

    def finish(self) -> Line:
        """The record as one line, which begins where its first one does; refused when one of them or the whole is.

        Raises:
            ValueError: there is none.
        """
        if self._first is None:
            raise ValueError("a block without lines")
        whole = self._gathered.finish(replace(self._first, refused="", error=""))
        if self._refused:
            whole = replace(whole, refused=self._refused.refused, error=self._refused.error)
        return whole
