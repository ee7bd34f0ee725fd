"""Reuters-21578 SGML: newswire stories from 1987, ``<REUTERS ...>`` to ``</REUTERS>``.

    read_sgml:  bytes  ->  Record (key NEWID) | Skipped("headline_only", "empty") | Quarantined, one a story

    <REUTERS ... NEWID="1"> <DATE>26-FEB-1987 15:01:01.79</DATE> ...
    <TEXT>&#2; <TITLE>BAHIA COCOA REVIEW</TITLE> <AUTHOR>    By Ann Doe, Reuters</AUTHOR>
    <DATELINE>    SALVADOR, Feb 26 - </DATELINE><BODY>Showers continued ... Reuter &#3;</BODY></TEXT> </REUTERS>

The text is what stands in TEXT beside title and author, so the dateline opens it. Of 21,578 stories 1,798 are
``TYPE="BRIEF"``: a headline and the placeholder "Blah blah blah.", no document. 737 are ``TYPE="UNPROC"``: text
without any markup, kept line by line.
"""

import html
import re
from collections.abc import Iterator
from typing import BinaryIO

from pipelines.readers.plain import Line, LineBlock, text_lines
from pipelines.readers.records import Item, ReadContext, Record, Skipped, UnreadableError

_START, _END = "<REUTERS", "</REUTERS>"
_NEWID = re.compile(r'<REUTERS\b[^<>]*\bNEWID="(\w{1,20})"')
_TEXT = re.compile(r"<TEXT([^<>]*)>(.*)</TEXT>", re.DOTALL)
_ELEMENTS = {name: re.compile(rf"<{name}>(.*?)</{name}>", re.DOTALL) for name in ("DATE", "TITLE", "AUTHOR")}
_TAG = re.compile(r"</?[A-Z][A-Z0-9-]*>")  # what stands in the text itself is written &lt;
# Wire codes: STX and ETX around a story, DEL and others inside of it. html.unescape drops those written as &#3;.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SIGN_OFF = re.compile(r"(?:^|\n|[ \t]{4})[ \t]*reuters?\.{0,3}\s*\Z", re.IGNORECASE)
_DATE = re.compile(r"\s*(\d{1,2})-([A-Z]{3})-(\d{4})(?:\s+(\d\d):(\d\d):(\d\d)(?:\.\d+)?\b)?")
_BYLINE = re.compile(r"\s*by\s+|,\s*reuters?\s*$", re.IGNORECASE)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def read_sgml(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a story. What stands between stories but the DOCTYPE is one quarantine entry a place.

    Args:
        stream: the file's bytes, compressed or not.
        context: option ``encoding`` names what is not UTF-8; without it a story with other bytes is refused alone.
    Raises:
        CorpusmillError: the option ``encoding`` names no text encoding.
    """
    for block in _stories(text_lines(stream, context)):
        try:
            yield _story(block.text(), block, context)
        except UnreadableError as error:
            yield block.quarantined(error, context)


def _stories(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines of each story as one, and what lies between stories likewise."""
    block = LineBlock()
    for line in lines:
        shown = line.data.decode(line.codec, "replace")
        if block and f"{_START} " in shown:
            yield from _closed(block)
            block = LineBlock()
        block.add(line)
        if _END in shown:
            yield block.finish()
            block = LineBlock()
    if block:
        yield from _closed(block)


def _closed(block: LineBlock) -> Iterator[Line]:
    """A block that no ``</REUTERS>`` ended: a cut story or rubbish; nothing for blank lines and the DOCTYPE."""
    line = block.finish()
    shown = line.data.decode(line.codec, "replace").strip()
    if line.refused or (shown and not re.fullmatch(r"<!DOCTYPE[^<>]*>", shown)):
        yield line


def _story(markup: str, block: Line, context: ReadContext) -> Item:
    newid, found = _NEWID.search(markup), _TEXT.search(markup)
    if _START not in markup:
        raise UnreadableError("wrong_format", "expected <REUTERS ...>: this is no story of Reuters-21578")
    if not markup.rstrip().endswith(_END):
        raise UnreadableError("truncated", f"the story ends without {_END}")
    if found is None:
        raise UnreadableError("missing_text", "the story has no TEXT")
    kind, content = found.groups()
    title = " ".join(_plain(_element("TITLE", content)).split())
    for name in ("TITLE", "AUTHOR"):
        content = _ELEMENTS[name].sub("", content, count=1)
    text = _plain(content) if "UNPROC" in kind else _unwrapped(_plain(content))
    locator = block.locator(context)
    if "BRIEF" in kind:
        return Skipped("headline_only", locator, title)
    if not text:
        return Skipped("empty", locator, title)
    key = newid[1] if newid else context.key_at(block.offset)
    author = _BYLINE.sub("", _plain(_element("AUTHOR", markup)))
    return Record(key, title, text, date=_iso_date(_element("DATE", markup)), author=" ".join(author.split()))


def _element(name: str, markup: str) -> str:
    found = _ELEMENTS[name].search(markup)
    return found[1] if found else ""


def _plain(markup: str) -> str:
    """The text without tags, wire codes and the closing "Reuter" line; entities resolved once, after the tags."""
    text = html.unescape(_TAG.sub("", markup).replace("\r\n", "\n"))
    return _SIGN_OFF.sub("", _CONTROLS.sub("", text)).rstrip().lstrip("\n")


def _unwrapped(text: str) -> str:
    """A paragraph a line: one begins with an indented line; lines at the margin go on with it. Table rows stay rows."""
    return re.sub(r"[ \t]*\n(?=\S)", " ", text).replace("\n    ", "\n").strip()


def _iso_date(text: str) -> str:
    """ISO 8601 of "26-FEB-1987 15:01:01.79"; the day alone where the time is none, "" where the date is none.

    >>> _iso_date(" 1-APR-1987 01:02:03.45"), _iso_date("31-MAR-1987 605:12:19.12"), _iso_date("spring")
    ('1987-04-01T01:02:03', '1987-03-31', '')
    """
    found = _DATE.match(html.unescape(text))
    if not found or found[2] not in _MONTHS:
        return ""
    day = f"{found[3]}-{_MONTHS.index(found[2]) + 1:02}-{int(found[1]):02}"
    return f"{day}T{found[4]}:{found[5]}:{found[6]}" if found[4] else day
