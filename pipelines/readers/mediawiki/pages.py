"""The pages of a MediaWiki XML export, in constant memory, whatever is broken.

expat reads 256 KiB at a time. Where a page is broken, it goes to the quarantine and a fresh parser starts at the next
``<page>``, so one bad byte costs one page.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from pipelines.readers.compression import DamagedStream
from pipelines.readers.mediawiki.page_parser import ROOT, Break, Locate, Page, PageParser, Site
from pipelines.readers.records import QUARANTINE_RAW_BYTES, Quarantined, WrongFormatError

CHUNK_BYTES = 256 << 10
_HEAD_BYTES = 256
# A line of the index that Wikimedia puts beside a multistream dump: ``600:10:AccessibleComputing``.
_index_line = re.compile(rb"\d+:\d+:[^\n]")


def read_pages(stream: BinaryIO, site: Site, locate: Locate) -> Iterator[Page | Quarantined]:
    """Every page, whole or broken, in the file's order; ``site`` is filled before the first one comes.

    Args:
        stream: of the export's uncompressed bytes.
        site: filled from ``<siteinfo>``.
        locate: where in the file a byte of the stream lies.
    Raises:
        WrongFormatError: the stream is something else than a MediaWiki export.
    """
    source = _Source(stream)
    data = source.read_first()
    if not data:
        error = f"{source.damage}, at {locate(0)}." if source.damage else "The file is empty."
        yield Quarantined(locate(0), "truncated", error, b"")
        return
    encoding = _utf16_encoding(data)
    page_tag = "<page>".encode(encoding or "utf-8")
    fragment = data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(page_tag)
    parser = PageParser(site, locate, 0, encoding, inside_root=fragment)
    offset = 0
    while data:
        broken = parser.feed(data, offset)
        yield from parser.take_pages()
        if broken is None:
            offset += len(data)
            data = source.read()
            continue
        if not parser.seen_root and broken.reason != "entity_declaration":
            raise _not_an_export(parser.root_name, data)
        raw = parser.raw_from(broken)
        data, offset = _seek_page(source, parser.window, parser.window_offset, broken.offset, page_tag, raw)
        yield parser.quarantine(broken, raw, offset)
        if not data:
            return
        parser = PageParser(site, locate, offset, encoding or parser.declared_encoding, inside_root=True)
    cut = parser.close(offset, fragment)
    yield from parser.take_pages()
    if not parser.seen_root and not source.damage:
        raise _not_an_export(parser.root_name, parser.head)
    if source.damage:
        cut = Break(offset, "damaged", f"{source.damage}, at {locate(offset)}.")
    if cut is not None:
        yield parser.quarantine(cut, parser.raw_from(cut), offset)


class _Source:
    """The stream in chunks; where it is damaged it ends, and ``damage`` says why."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.damage = ""

    def read_first(self) -> bytes:
        """The beginning, enough of it to see what the file is: a stream may give its first bytes one by one."""
        data = self.read()
        while 0 < len(data) < _HEAD_BYTES and (more := self.read()):
            data += more
        return data

    def read(self) -> bytes:
        try:
            return self._stream.read(CHUNK_BYTES)
        except DamagedStream as damaged:
            self.damage = damaged.message
            return b""


def _utf16_encoding(data: bytes) -> str:
    """expat's name of the UTF-16 that a byte order mark declares; "" without one."""
    return {b"\xff\xfe": "utf-16le", b"\xfe\xff": "utf-16be"}.get(data[:2], "")


def _not_an_export(root_name: str, data: bytes) -> WrongFormatError:
    if _index_line.match(data):
        return WrongFormatError(
            "this is the index of a multistream dump, not a dump",
            where="byte 0",
            expected=f"<{ROOT} …> with <page> elements",
            got=repr(data.partition(b"\n")[0][:60].decode("utf-8", "replace")),
            hint="name only the dump in the source's path, as in *-pages-articles-multistream.xml.bz2; "
            "its parts are found without the index",
        )
    return WrongFormatError(
        "this is not a MediaWiki XML export",
        where="byte 0",
        expected=f"<{ROOT} …> with <page> elements",
        got=f"<{root_name} …>" if root_name else repr(data[:60]),
        hint="give the source the kind that it is, or fetch the file again",
    )


def _seek_page(
    source: _Source, data: bytes, offset: int, start: int, page_tag: bytes, raw: bytearray
) -> tuple[bytes, int]:
    """``(bytes, their offset)`` from the first ``<page>`` at or after byte ``start`` on; ``(b"", end)`` if there is none.

    What is read on the way is added to ``raw``, as far as the quarantine keeps it.
    """
    position = max(start - offset, 0)
    while (found := data.find(page_tag, position)) < 0:
        kept = data[max(position, len(data) - len(page_tag) + 1) :]
        offset += len(data) - len(kept)
        if not (more := source.read()):
            return b"", offset + len(kept)
        raw += more[: QUARANTINE_RAW_BYTES - len(raw)]
        data, position = kept + more, 0
    return data[found:], offset + found
