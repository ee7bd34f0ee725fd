"""Large dumps out of small ones: the pages of a dump again and again, each time under other ids, streamed."""

import bz2
import gzip
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

PAGES_PER_STREAM = 100  # as Wikimedia's multistream dumps have them
_page_id = re.compile(rb"<id>(\d+)</id>")
#: Larger than any page id, so that ids of different copies never meet.
_SHIFT = 1_000_000_000


def repeated_pages(xml: Path, copies: int) -> Iterator[bytes]:
    """The dump's head; then its pages, ``copies`` times, the ids of copy i shifted by i billion; then its foot."""
    yield from itertools.takewhile(lambda piece: b"<page>" not in piece, _pieces(xml))
    foot = b""
    for copy in range(copies):
        for piece in itertools.dropwhile(lambda piece: b"<page>" not in piece, _pieces(xml)):
            if b"<page>" in piece:
                yield _page_id.sub(lambda found: b"<id>%d</id>" % (int(found[1]) + copy * _SHIFT), piece, count=1)  # noqa: B023
            else:
                foot = piece
    yield foot


def _pieces(xml: Path) -> Iterator[bytes]:
    """The file cut behind each line that ends a page, and in front of each that begins one."""
    lines: list[bytes] = []
    with open(xml, "rb") as file:
        for line in file:
            if b"<page>" in line and lines:
                yield b"".join(lines)
                lines = []
            lines.append(line)
            if b"</page>" in line:
                yield b"".join(lines)
                lines = []
    yield b"".join(lines)


def write_xml(xml: Path, copies: int, target: Path) -> int:
    """Writes the repeated dump without compression; its size in bytes."""
    with open(target, "wb") as file:
        return sum(file.write(piece) for piece in repeated_pages(xml, copies))


def write_gzip(xml: Path, copies: int, target: Path) -> int:
    """Writes the repeated dump as one gzip stream, which cannot be cut into parts; the size of its XML in bytes."""
    with gzip.open(target, "wb", compresslevel=1) as file:
        return sum(file.write(piece) for piece in repeated_pages(xml, copies))


def write_multistream(xml: Path, copies: int, target: Path) -> int:
    """Writes the repeated dump as bz2 multistream, as Wikimedia does; the size of its XML in bytes."""
    size, pages = 0, repeated_pages(xml, copies)
    with open(target, "wb") as file:
        head = next(pages)
        file.write(bz2.compress(head))
        while stream := b"".join(itertools.islice(pages, PAGES_PER_STREAM)):
            file.write(bz2.compress(stream))
            size += len(stream)
    return size + len(head)
