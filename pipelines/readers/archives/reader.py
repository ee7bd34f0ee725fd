"""Zip, tar and 7z archives: their files as streams, in the order in which they lie there; nothing is written to disk.

    read_archive:  path, kind  ->  every item of every member that its reader gives, and one for each other member
    iter_members:  path, kind  ->  Member | Skipped("other_member") | Quarantined, one a file

    corpus.zip                      member at 0: "line 3"                 the place of a record
      a.txt      at byte 0          <file key>:0:17                       its key: the archive's, the member's offset,
      b.txt      at byte 1335       <file key>:1335:0                     and where in the member it lies

The first bytes decide, never the name; tar may lie in gzip, bz2, xz or zstd. Names of members choose which are read
and reach no output. A member is read as it is unpacked, so a bomb costs time and never memory.
"""

import contextlib
import fnmatch
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pipelines.readers.archives.entry import MemberStream
from pipelines.readers.archives.sevenzip_entries import sevenzip_entries
from pipelines.readers.archives.tar_entries import is_tar, tar_entries
from pipelines.readers.archives.zip_entries import zip_entries
from pipelines.readers.compression import LOOK_BYTES
from pipelines.readers.records import Item, Quarantined, ReadContext, Record, Skipped, WrongFormatError
from pipelines.spine import storage

_ENTRIES = {"zip": zip_entries, "tar": tar_entries, "7z": sevenzip_entries}
_PACKED = ("", ".gz", ".bz2", ".xz", ".zst")
_MEMBERS = {"html": ("*.html", "*.htm", "*.xhtml"), "sgml": ("*.sgm", "*.sgml"), "mediawiki": ("*.xml*",)}
#: What macOS and Windows put into archives beside the files.
_LITTER = ("__MACOSX/*", "*/__MACOSX/*", "._*", "*/._*", ".DS_Store", "*/.DS_Store", "Thumbs.db", "*/Thumbs.db")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Args:
        name: its path there, to choose by; never part of an output.
        offset: where it lies: of its header in a zip or an (uncompressed) tar, of its first byte in what a 7z holds.
        size: unpacked, as the archive says it, in bytes.
        stream: its bytes, to be read before the next member is asked for; damage comes as ``DamagedStream``.
    """

    name: str
    offset: int
    size: int
    stream: BinaryIO


def archive_format(path: str | Path) -> str:
    """``zip``, ``tar`` or ``7z``, by the file's first bytes; "" for what is no archive."""
    with storage.open_input(path, LOOK_BYTES) as file:
        head = file.read(512)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return "zip"
        if head.startswith(b"7z\xbc\xaf\x27\x1c"):
            return "7z"
        file.seek(0)
        return "tar" if is_tar(file) else ""


def read_archive(
    path: str | Path, kind: str, read: Callable[[BinaryIO, ReadContext], Iterator[Item]], context: ReadContext
) -> Iterator[Item]:
    """Every item of the archive's members, with places and keys that name the member.

    A member that is not what the kind says is one Quarantined("wrong_format"), and the others are read.

    Args:
        path: of the archive.
        kind: of the members; says which are read where ``options`` do not.
        read: the kind's reader.
        context: of the archive; option ``members`` is a pattern of names, ``part`` the members ``[first, end)``.
    Raises:
        CorpusmillError: the archive is a 7z and py7zr is not installed, or what the reader raises.
    """
    for member in iter_members(path, kind, context.options, context.part):
        if not isinstance(member, Member):
            yield member
            continue
        file_key = f"{context.file_key}:{member.offset}"
        locator = f"member at {member.offset}"
        try:
            for item in read(member.stream, replace(context, file_key=file_key, part=None)):
                yield item if isinstance(item, Record) else replace(item, locator=f"{locator}: {item.locator}")
        except WrongFormatError as error:
            yield Quarantined(f"{locator}: byte 0", "wrong_format", " ".join(str(error).split()), b"")


def iter_members(
    path: str | Path, kind: str, options: Mapping[str, str], part: tuple[int, int] | None = None
) -> Iterator[Member | Skipped | Quarantined]:
    """One item a file of the archive, in the order of their offsets.

    Args:
        path: of the archive.
        kind: chooses the members where ``options["members"]``, a pattern such as ``*.txt``, does not.
        options: of the source.
        part: the files ``[first, end)`` of a zip, in that order; of other archives all.
    Raises:
        CorpusmillError: the archive is a 7z and py7zr is not installed.
    """
    entries = _ENTRIES[archive_format(path)](path, part)
    entry = None
    with contextlib.closing(entries):
        for entry in entries:
            if isinstance(entry, Quarantined):
                yield entry
                continue
            locator = f"member at {entry.offset}"
            if not entry.is_file or not is_wanted(entry.name, kind, options.get("members", "")):
                yield Skipped("other_member", locator)
            elif entry.refused:
                yield Quarantined(locator, entry.refused, entry.error, b"")
            else:
                with MemberStream(entry.open) as stream:
                    yield Member(entry.name, entry.offset, entry.size, stream)  # type: ignore[arg-type]
    if entry is None and part is None:
        yield Quarantined("byte 0", "empty_file", "the archive holds no file", b"")


def is_wanted(name: str, kind: str, pattern: str) -> bool:
    """Whether a member of that name is read.

    >>> is_wanted("news/1.html.gz", "html", ""), is_wanted("news/1.css", "html", ""), is_wanted("a/1.TXT", "text", "*.txt")
    (True, False, True)
    """
    name = name.lower()
    if any(fnmatch.fnmatchcase(name, litter.lower()) for litter in _LITTER):
        return False
    patterns = (pattern.lower(),) if pattern else tuple(p + end for p in _MEMBERS.get(kind, ("*",)) for end in _PACKED)
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
