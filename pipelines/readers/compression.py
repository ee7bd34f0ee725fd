"""Bytes as the author wrote them, whatever the file was compressed with: bz2, gzip, xz, zstd or not at all.

The first bytes decide, never the name. Every format may hold several streams one after another, as multistream
dumps and ``.warc.gz`` do. Where the data break off or are damaged, all bytes before that place are delivered
first; only the next ``read`` raises, so a reader gives every whole record and one quarantine entry for the rest.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import zstandard

from pipelines.spine.errors import CorpusmillError

#: Uncompressed bytes handed out at a time: a bomb of a thousandfold compression stays at this in memory.
PIECE_BYTES = 1 << 20
#: Unpacked at a time: what a decoder had made before it met damage in the same step is lost.
_STEP_BYTES = 1 << 16
#: Of an object in a store, what a look at its beginning or end asks for.
LOOK_BYTES = 1 << 16
#: As many as the longest magic that a reader looks for, SQLite's.
MAGIC_BYTES = 16
#: A file that grows more than so many times and to more than so many bytes is a bomb: text shrinks to a thirtieth at
#: best, zeros under deflate to a thousandth, and bz2 in bz2 could keep a worker busy for years.
BOMB_RATIO = 1_000
BOMB_BYTES = 1 << 30
#: `zstd --long=31`, as large public dumps use it; the library's own limit is 2**27.
ZSTD_MAX_WINDOW_BYTES = 1 << 31


class DamagedStream(CorpusmillError):  # noqa: N818 (says what the stream is)
    """The file breaks off or is damaged after ``offset`` good uncompressed bytes."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, where=f"byte {offset}", hint="fetch the file again")
        self.offset = offset

    def __reduce__(self) -> tuple[object, ...]:
        return (DamagedStream, (self.message, self.offset))


@dataclass(frozen=True)
class Codec:
    """One compression: how a stream of it begins, a fresh decoder, and how bytes go through that decoder."""

    name: str
    magics: tuple[bytes, ...]
    fresh: Callable[[], Any]
    feed: Callable[[Any, bytes], Iterator[bytes]]
    chunk_bytes: int = 1 << 16


def open_decompressed(stream: BinaryIO) -> BinaryIO:
    """The uncompressed bytes of the stream; opening them once more changes nothing.

    Args:
        stream: read from where it stands; needs ``read`` alone.
    Returns:
        A stream whose ``read(n)`` may give fewer than ``n`` bytes before the end; a plain file as it was handed in.
    Raises:
        DamagedStream: from ``read``, once every good byte has been read.
    """
    try:
        head = _read_magic(stream)
    except DamagedStream as damage:  # a member of a damaged archive
        return _PieceStream(_damaged(damage))  # type: ignore[return-value]
    codec = next((codec for codec in CODECS if head.startswith(codec.magics)), None)
    if codec is not None:
        return _PieceStream(_decompressed(codec, head, stream))  # type: ignore[return-value]
    if stream.seekable():
        stream.seek(-len(head), io.SEEK_CUR)
        return stream
    return _PieceStream(_chunks(head, stream, PIECE_BYTES))  # type: ignore[return-value]


def read_head(stream: BinaryIO) -> bytes:
    """The stream's first bytes, ``MAGIC_BYTES`` at least where it has so many, and what came with them."""
    head = b""
    while len(head) < MAGIC_BYTES and (piece := stream.read(PIECE_BYTES)):
        head += piece
    return head


def _read_magic(stream: BinaryIO) -> bytes:
    head = b""
    while len(head) < MAGIC_BYTES and (piece := stream.read(MAGIC_BYTES - len(head))):
        head += piece
    return head


def _damaged(damage: DamagedStream) -> Iterator[bytes]:
    yield from ()
    raise damage


class _PieceStream(io.RawIOBase):
    """A readable stream over an iterator of byte pieces; an error of the iterator comes after its last piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size


def _decompressed(codec: Codec, head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """The pieces of all streams of one file."""
    taken, delivered = 0, 0
    decoder = codec.fresh()
    for chunk in _chunks(head, stream, codec.chunk_bytes):
        taken += len(chunk)
        while chunk:
            if decoder.eof:
                # gzip and xz files may be padded with zeros after a stream.
                chunk = chunk.lstrip(b"\0")
                if not chunk:
                    break
                decoder = codec.fresh()
            try:
                for piece in codec.feed(decoder, chunk):
                    delivered += len(piece)
                    if delivered > max(BOMB_BYTES, BOMB_RATIO * taken):
                        raise DamagedStream(f"{codec.name} data that grow more than {BOMB_RATIO:,}fold", delivered)
                    yield piece
            except DECODER_ERRORS as error:
                raise DamagedStream(f"damaged {codec.name} data: {error}", delivered) from error
            chunk = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise DamagedStream(f"the {codec.name} data break off before their end", delivered)


def _chunks(head: bytes, stream: BinaryIO, size: int) -> Iterator[bytes]:
    yield head  # apart from what follows, which may be damaged
    while chunk := stream.read(size):
        yield chunk


def _feed_limited(decoder: Any, data: bytes) -> Iterator[bytes]:
    yield decoder.decompress(data, _STEP_BYTES)
    while not decoder.eof and not decoder.needs_input:
        yield decoder.decompress(b"", _STEP_BYTES)


def _feed_zlib(decoder: Any, data: bytes) -> Iterator[bytes]:
    piece = decoder.decompress(data, _STEP_BYTES)
    yield piece
    while not decoder.eof and (decoder.unconsumed_tail or len(piece) == _STEP_BYTES):
        piece = decoder.decompress(decoder.unconsumed_tail, _STEP_BYTES)
        yield piece


def _feed_zstd(decoder: Any, data: bytes) -> Iterator[bytes]:
    yield decoder.decompress(data)


DECODER_ERRORS = (OSError, ValueError, EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError)
# The level, then a block or the end of a stream that holds none: a text may begin with "BZh".
_BZ2_MAGICS = tuple(b"BZh%d%b" % (level, mark) for level in range(1, 10) for mark in (b"1AY&SY", b"\x17rE8P\x90"))
CODECS = (
    Codec("bz2", _BZ2_MAGICS, bz2.BZ2Decompressor, _feed_limited),
    Codec("gzip", (b"\x1f\x8b",), lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), _feed_zlib),
    Codec("xz", (b"\xfd7zXZ\0",), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), _feed_limited),
    # The second magic is the skippable frame that pzstd begins with. zstandard cannot limit its output: 4 bytes of
    # input make at most 128 KiB, so 1 KiB at a time makes at most 32 MiB.
    Codec(
        "zstd",
        (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"),
        lambda: zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW_BYTES).decompressobj(),
        _feed_zstd,
        chunk_bytes=1 << 10,
    ),
)
