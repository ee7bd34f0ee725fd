"""Parts of a large file: where it may be cut, and the stream through which a part is read.

A part begins where a record begins, so whoever reads it needs nothing of its neighbours:

    bz2 multistream dump     at a stream that begins with <page>
    dump without compression at a <page>
    lines of JSON or text    at the first byte of a line
    Parquet                  at a row group
    zip                      at a member

Cutting looks behind each wanted place until it finds one, which in such files takes some hundred kilobytes. (The index that
Wikimedia puts beside a multistream dump would tell the same places; reading it takes longer than looking.)
What depends on the machine, such as the number of workers, has no say in it.
"""

import bz2
import contextlib
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.readers.archives.reader import archive_format
from pipelines.readers.archives.zip_entries import count_members
from pipelines.readers.compression import CODECS, LOOK_BYTES, MAGIC_BYTES, DamagedStream, open_decompressed
from pipelines.sources import OPTIONS
from pipelines.spine import storage

Part = tuple[int, int]
#: Main-text extraction reads some 50 pages a second: a unit of so many is done within the minute.
MAX_MEMBERS = 1024
_SCAN_BYTES = 1 << 20
_STREAMS_TRIED = 4
#: ``<siteinfo>`` of the largest wikis takes some 5 KB.
_MAX_HEAD_BYTES = 1 << 20
_bz2_stream = re.compile(rb"BZh[1-9]1AY&SY")
_BZ2_START_BYTES = 10
_PAGE = b"<page>"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class PartSizes:
    """How a large file is cut: into ``max_parts`` at most, of ``min_bytes`` each at least."""

    max_parts: int
    min_bytes: int

    def wanted(self, size: int) -> range:
        """The places at which a file of that many bytes should be cut; the cut is made at the next possible one."""
        step = max(self.min_bytes, -(-size // self.max_parts), 1)
        return range(step, size, step)


@dataclass(frozen=True)
class PartStream:
    """An open part: its stream, and what ``ReadContext`` must know to tell offsets of the file from it."""

    stream: BinaryIO
    begin: int = 0
    head_bytes: int = 0
    packed: bool = False


def plan_parts(path: str | Path, kind: str, options: Mapping[str, str], sizes: PartSizes) -> list[Part]:
    """The parts of the file, in order and without gaps; none where it cannot or need not be cut.

    Args:
        path: of the file; of an object some hundred kilobytes are read for each part.
        kind: of its source.
        options: of its source.
        sizes: how large the parts should be.
    """
    size = storage.size_of(path) or 0
    if "members" in OPTIONS[kind] and (archive := archive_format(path)):
        # Other archives must be read from their beginning.
        return _members(count_members(path), len(sizes.wanted(size)) + 1) if archive == "zip" else []
    if not sizes.wanted(size):
        return []
    with storage.open_input(path, _SCAN_BYTES) as file:
        head = file.read(MAGIC_BYTES)
        if kind == "parquet":
            return _join(_row_groups(file), sizes)
        cut = _cutter(kind, options, head)
        if cut is None:
            return []
        cuts = [place for wanted in sizes.wanted(size) if (place := cut(file, wanted, sizes.wanted(size).step))]
    places = sorted({0, *cuts, size})
    return list(itertools.pairwise(places)) if len(places) > 2 else []


def uncut_compression(path: str | Path, kind: str) -> str:
    """The compression that keeps a dump from being cut, "" where nothing does."""
    with storage.open_input(path, LOOK_BYTES) as file:
        head = file.read(MAGIC_BYTES)
    return next((codec.name for codec in CODECS if head.startswith(codec.magics)), "") if kind == "mediawiki" else ""


@contextlib.contextmanager
def open_part(path: str, kind: str, part: Part | None) -> Iterator[PartStream]:
    """The stream of a part of the file, or of all of it; uncompressed.

    A part of a dump reads like a small dump: the file's ``<siteinfo>``, the part's pages, ``</mediawiki>``.
    """
    in_bytes = part is not None and kind in ("mediawiki", "jsonl", "text")
    with storage.open_input(path, stop=part[1] if part is not None and in_bytes else None) as file:
        if part is None or not in_bytes:
            yield PartStream(file if kind in ("parquet", "arrow") else open_decompressed(file))
        elif kind == "mediawiki":
            yield _open_pages(file, path, part)
        else:
            yield PartStream(_Window(file, *part), part[0])  # type: ignore[arg-type]


def _members(number: int, wanted_parts: int) -> list[Part]:
    """Parts of about as many members each, so many parts or more: ``5, 2`` -> ``[(0, 3), (3, 5)]``."""
    step = max(-(-number // max(wanted_parts, -(-number // MAX_MEMBERS))), 1)
    parts = [(first, min(first + step, number)) for first in range(0, number, step)]
    return parts if len(parts) > 1 else []


def _join(group_bytes: Sequence[int], sizes: PartSizes) -> list[Part]:
    """Parts of whole groups, each of about the wanted size: ``[3, 3, 3, 9], 6`` -> ``[(0, 2), (2, 4)]``."""
    step = sizes.wanted(sum(group_bytes)).step
    parts: list[Part] = []
    first, gathered = 0, 0
    for index, group in enumerate(group_bytes, 1):
        gathered += group
        if gathered >= step:
            parts.append((first, index))
            first, gathered = index, 0
    if first < len(group_bytes):
        parts.append((first, len(group_bytes)))
    return parts if len(parts) > 1 else []


def _row_groups(file: BinaryIO) -> list[int]:
    """Stored bytes of each row group; none of a file that is no sound Parquet file (its reader will say so)."""
    try:
        metadata = pq.ParquetFile(file).metadata
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return []
    return [metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)]


Cut = Callable[[BinaryIO, int, int], int]


def _cutter(kind: str, options: Mapping[str, str], head: bytes) -> Cut | None:
    """What finds the next place to cut a file that begins so; None where no place may be trusted."""
    compressed = head.startswith(tuple(magic for codec in CODECS for magic in codec.magics))
    if kind == "mediawiki" and head.startswith(b"BZh"):
        return _next_stream
    if compressed or head.startswith(_UTF16_MARKS) or options.get("encoding"):
        return None
    if kind == "mediawiki":
        return _next_page
    if kind == "jsonl" or (kind == "text" and options.get("split") == "line"):
        return _next_line
    return None


def _next_stream(file: BinaryIO, start: int, within: int) -> int:
    """The first bz2 stream at or behind ``start`` that begins with a page; 0 where there is none nearby."""
    streams = _found(file, start, within, _bz2_stream, _BZ2_START_BYTES)
    # Streams that end at pages do so everywhere; each look unpacks a block.
    for place, _ in itertools.islice(streams, _STREAMS_TRIED):
        if _begins_with_page(file, place):
            return place
    return 0


def _begins_with_page(file: BinaryIO, place: int) -> bool:
    """Whether the bz2 stream there is one, and its first bytes are a page's."""
    file.seek(place)
    decoder, text = bz2.BZ2Decompressor(), b""
    while not text and not decoder.eof and (data := file.read(_SCAN_BYTES)):
        try:
            text = decoder.decompress(data, 256)
        except (OSError, ValueError, EOFError):
            return False
    return text.lstrip().startswith(_PAGE)


def _next_page(file: BinaryIO, start: int, within: int) -> int:
    return next((place for place, _ in _found(file, start, within, re.compile(_PAGE), len(_PAGE))), 0)


def _next_line(file: BinaryIO, start: int, within: int) -> int:
    # From the byte before: a line may begin at ``start`` itself.
    return next((place + 1 for place, _ in _found(file, start - 1, within, re.compile(rb"\n"), 1)), 0)


def _found(
    file: BinaryIO, start: int, within: int, pattern: re.Pattern[bytes], length: int
) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of every match that begins in ``[start, start + within)``; matches are ``length`` bytes long."""
    position, kept = start, b""
    while position < start + within:
        file.seek(position)
        data = file.read(_SCAN_BYTES)
        if not data:
            return
        window, offset = kept + data, position - len(kept)
        for match in pattern.finditer(window):
            if offset + match.start() < start + within:
                yield offset + match.start(), match[0]
        position += len(data)
        kept = window[-(length - 1) :] if length > 1 else b""


def _open_pages(file: BinaryIO, path: str, part: Part) -> PartStream:
    """Head, pages and end tag of a part of a dump; the first part has the head already, the last the end."""
    begin, end = part
    with storage.open_input(path, LOOK_BYTES) as beginning:
        size = beginning.seek(0, io.SEEK_END)
        beginning.seek(0)
        packed = beginning.read(MAGIC_BYTES).startswith(b"BZh")
        beginning.seek(0)
        head = _head(open_decompressed(beginning))
    if b"<mediawiki" not in head:
        head = b""  # a run of pages without a root
    opening = head if begin else b""
    closing = b"</mediawiki>\n" if head and end < size else b""
    pages = open_decompressed(_Window(file, begin, end))  # type: ignore[arg-type]
    stream = _Chain([io.BytesIO(opening), pages, io.BytesIO(closing)])
    return PartStream(stream, begin, len(opening), packed)  # type: ignore[arg-type]


def _head(stream: BinaryIO) -> bytes:
    """What stands before the first page, "" where that is not to be found."""
    head = b""
    with contextlib.suppress(DamagedStream):
        while len(head) < _MAX_HEAD_BYTES and (piece := stream.read(1 << 16)):
            head += piece
            if (found := head.find(_PAGE)) >= 0:
                return head[:found]
    return b""


class _Window(io.RawIOBase):
    """The bytes ``[begin, end)`` of a file, as a stream that cannot seek."""

    def __init__(self, file: BinaryIO, begin: int, end: int) -> None:
        file.seek(begin)
        self._file, self._left = file, end - begin

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


class _Chain(io.RawIOBase):
    """Streams one after another."""

    def __init__(self, streams: Sequence[BinaryIO]) -> None:
        self._streams = list(streams)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._streams:
            data = self._streams[0].read(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            self._streams.pop(0)
        return 0
