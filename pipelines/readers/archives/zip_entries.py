"""The files of a zip archive, from the list at its end; without that list, from the header before each file."""

import io
import itertools
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from pipelines.readers.archives.entry import Entries, Entry
from pipelines.readers.compression import LOOK_BYTES
from pipelines.readers.records import QUARANTINE_RAW_BYTES, Quarantined
from pipelines.spine import storage

_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_LIST_ERRORS = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error)
#: Signature, version, flags, method, time, date, CRC, packed and unpacked size, lengths of name and extra field.
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1 | 0x40
_SIZE_COMES_LATER = 0x8
_SIZE_IS_ELSEWHERE = 0xFFFFFFFF


def zip_entries(path: str | Path, part: tuple[int, int] | None) -> Entries:
    """The files ``[first, end)`` of the archive by offset, all without a part; one entry more for what is damaged."""
    with storage.open_input(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except _LIST_ERRORS:
            yield from _without_list(file)
            return
        files = _files(archive)
        # Behind the last member (and in an archive without any) lies the list, so that nothing can lie in it.
        ends = [info.header_offset for info in files[1:]] + [archive.start_dir]
        for info, end in itertools.islice(zip(files, ends, strict=False), *(part or (0, None))):
            yield _entry(archive, info, end)


def count_members(path: str | Path) -> int:
    """How many files the zip archive lists, which are what a part counts; 0 where its list is damaged."""
    try:
        with storage.open_input(path, LOOK_BYTES) as file, zipfile.ZipFile(file) as archive:
            return len(_files(archive))
    except _LIST_ERRORS:
        return 0


def _files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    files = [info for info in archive.infolist() if not info.filename.endswith("/")]
    return sorted(files, key=lambda info: info.header_offset)


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, end: int) -> Entry:
    refused, error = _refusal(info)
    if not refused and info.header_offset + _LOCAL_HEADER.size + info.compress_size > end:
        # A bomb may list the same bytes as a thousand members.
        refused, error = "damaged", "its bytes are those of another member too"
    return Entry(info.filename, info.header_offset, info.file_size, lambda: archive.open(info), refused, error)


def _refusal(info: zipfile.ZipInfo) -> tuple[str, str]:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted", "the member is encrypted"
    if info.compress_type not in _READABLE:
        return "unsupported_compression", f"compression method {info.compress_type}: pack the archive again"
    return "", ""


def _without_list(file: BinaryIO) -> Entries:
    """The files of an archive without its list, each found behind the one before, and one entry for the rest."""
    offset = 0
    while (found := _local_header(file, offset)) is not None:
        info, data_start = found
        if not info.filename.endswith("/"):
            # ZipExtFile reads from where the file stands, so it is placed when the member is opened.
            yield Entry(info.filename, offset, info.file_size, lambda: _opened(file, *found), *_refusal(info))
        offset = data_start + info.compress_size
    file.seek(0, io.SEEK_END)
    place = min(offset, file.tell())
    file.seek(place)
    raw = file.read(QUARANTINE_RAW_BYTES)
    yield Quarantined(f"byte {place}", "damaged", "the zip archive breaks off here, or its list is damaged", raw)


def _local_header(file: BinaryIO, offset: int) -> tuple[zipfile.ZipInfo, int] | None:
    """What a member's own header says of it and where its data begin; None where there is no header that says enough."""
    file.seek(offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        return None
    _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    name = file.read(name_bytes)
    if len(name) < name_bytes or flags & _SIZE_COMES_LATER or packed == _SIZE_IS_ELSEWHERE:
        return None
    info = zipfile.ZipInfo(name.decode("utf-8" if flags & 0x800 else "cp437", "replace"))
    info.flag_bits, info.compress_type, info.CRC, info.compress_size, info.file_size = flags, method, crc, packed, size
    return info, offset + _LOCAL_HEADER.size + name_bytes + extra_bytes


def _opened(file: BinaryIO, info: zipfile.ZipInfo, data_start: int) -> zipfile.ZipExtFile:
    file.seek(data_start)
    return zipfile.ZipExtFile(file, "r", info)
