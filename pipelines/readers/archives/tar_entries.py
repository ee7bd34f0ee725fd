"""The files of a tar archive, compressed or not, read from its first byte to its last.

Walked here and not by tarfile, which takes a damaged header in the middle, or the end of a file that breaks off
between two members, for the end of the archive and says nothing. It still reads the fields of a header.
"""

import tarfile
from pathlib import Path
from typing import BinaryIO

from pipelines.readers.archives.entry import Entries, Entry
from pipelines.readers.compression import PIECE_BYTES, DamagedStream, open_decompressed
from pipelines.readers.records import Quarantined
from pipelines.spine import storage

_BLOCK = tarfile.BLOCKSIZE
#: GNU and pax headers that say more of the next member; longer ones are damage.
_MAX_EXTENSION_BYTES = 1 << 20
_SPARSE_GOES_ON = 482, 504  # where a GNU sparse header, and each of its continuations, says that one follows


def is_tar(stream: BinaryIO) -> bool:
    """Whether the first block of the stream, uncompressed, is a tar header."""
    try:
        block = _Blocks(stream).read(_BLOCK)
        return len(block) == _BLOCK and bool(tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape"))
    except (DamagedStream, tarfile.HeaderError, ValueError):
        return False


def tar_entries(path: str | Path, part: tuple[int, int] | None) -> Entries:
    """Every file of the archive; what is behind damage is one quarantine entry.

    Raises:
        ValueError: a part was asked for; a tar is one stream.
    """
    if part is not None:
        raise ValueError("a tar archive has no parts")
    with storage.open_input(path) as file:
        blocks = _Blocks(file)
        try:
            yield from _walk(blocks)
        except DamagedStream as damage:
            yield _broken(blocks, f"{damage.message}, at byte {damage.offset}")


def _walk(blocks: "_Blocks") -> Entries:
    extended: dict[str, bytes] = {}
    start, ended = 0, False
    while header := blocks.read(_BLOCK):
        if not header.strip(b"\0"):
            ended = True  # more may follow: `cat a.tar b.tar`
            continue
        start, ended = (start if extended else blocks.position - len(header)), False
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            size = _size(info, extended)
        except (tarfile.HeaderError, ValueError):
            yield Quarantined(
                f"byte {blocks.position - len(header)}", "damaged", "no tar header where one must be", header
            )
            return
        if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            extended |= _extension(info.type, blocks.read(min(size, _MAX_EXTENSION_BYTES)))
            blocks.skip(-size % _BLOCK)
            continue
        if info.type == tarfile.GNUTYPE_SPARSE:
            blocks.skip_continuations(header)
        data = _MemberData(blocks, size)
        if info.type in tarfile.REGULAR_TYPES or info.type not in tarfile.SUPPORTED_TYPES:
            yield _entry(info, extended, start, data)
        elif not info.isdir() and info.type not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            yield Entry(info.name, start, 0, lambda: None, is_file=False)
        extended = {}
        if not data.passed_over():
            return  # the member's reader has said so
    if not ended:
        yield _broken(blocks, "the tar archive ends without its end mark")


def _entry(info: tarfile.TarInfo, extended: dict[str, bytes], start: int, data: "_MemberData") -> Entry:
    name = extended["path"].decode("utf-8", "surrogateescape") if "path" in extended else info.name
    is_sparse = info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in extended)
    refused, error = ("sparse_file", "the member is stored with holes: unpack it") if is_sparse else ("", "")
    return Entry(name, start, data.size, lambda: data, refused, error)


def _size(info: tarfile.TarInfo, extended: dict[str, bytes]) -> int:
    """Bytes of a member as they lie there.

    Raises:
        ValueError: it is no number, or below 0.
    """
    has_data = info.type in (
        *tarfile.REGULAR_TYPES, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )  # fmt: skip
    size = int(extended.get("size", info.size)) if has_data or info.type not in tarfile.SUPPORTED_TYPES else 0
    if size < 0:
        raise ValueError(size)
    return size


def _extension(kind: bytes, data: bytes) -> dict[str, bytes]:
    """What a GNU or pax header says of the next member: pax has ``27 path=a/long/name\\n`` many times."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0")}
    found: dict[str, bytes] = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            return found
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value
        data = data[int(length) :]
    return found


def _broken(blocks: "_Blocks", error: str) -> Quarantined:
    return Quarantined(f"byte {blocks.position}", "damaged", error, b"")


class _Blocks:
    """The uncompressed bytes of an archive, and how many of them have been read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = open_decompressed(stream)
        self.position = 0

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end only."""
        parts, missing = [], size
        while missing and (part := self._stream.read(min(missing, PIECE_BYTES))):
            parts.append(part)
            missing -= len(part)
            self.position += len(part)
        return b"".join(parts)

    def skip(self, size: int) -> int:
        """Moves over the next bytes; returns how many there were."""
        left = size
        while left and (piece := self.read(min(left, PIECE_BYTES))):
            left -= len(piece)
        return size - left

    def skip_continuations(self, header: bytes) -> None:
        """Moves over what continues the header of a GNU sparse file."""
        place = _SPARSE_GOES_ON[0]
        while len(header) == _BLOCK and header[place]:
            header, place = self.read(_BLOCK), _SPARSE_GOES_ON[1]


class _MemberData:
    """The bytes of one member, to be read before the walk goes on."""

    def __init__(self, blocks: _Blocks, size: int) -> None:
        self.size = size
        self._blocks = blocks
        self._left = size
        self._failed = False

    def read(self, size: int) -> bytes:
        """The next bytes; none behind the last.

        Raises:
            EOFError: the archive ends inside of the member.
            DamagedStream: its compressed bytes are damaged.
        """
        self._failed = True
        data = self._blocks.read(min(size, self._left))
        if len(data) < min(size, self._left) and not data:
            raise EOFError
        self._failed = False
        self._left -= len(data)
        return data

    def passed_over(self) -> bool:
        """Moves behind the member and its padding; False where its reader has met the archive's end.

        Raises:
            DamagedStream: the archive ends here, and nobody has said so yet.
        """
        if self._failed:
            return False
        rest = self._left + -self.size % _BLOCK
        if self._blocks.skip(rest) < rest:
            raise DamagedStream("the tar archive ends inside of a member", self._blocks.position)
        return True

    def close(self) -> None:
        """Nothing to close: the archive stays open."""
