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
from dataclasses import replace
from typing import BinaryIO

from pipelines.readers.plain import Line, LineBlock, text_lines
from pipelines.readers.records import Item, ReadContext, Record, Skipped, UnreadableError

_START, _END = "<REUTERS", "</REUTERS>"
_NEWID = re.compile(r'<REUTERS\b[^<>]*\bNEWID="(\w{1,20})"')
_TEXT, _TEXT_END = re.compile(r"<TEXT([^<>]*)>"), "</TEXT>"
_TAG = re.compile(r"</?[A-Z][A-Z0-9-]*>")  # what stands in the text itself is written &lt;
# Wire codes: STX and ETX around a story, DEL and others inside of it. html.unescape drops those written as &#3;.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SIGN_OFF = re.compile(r"reuters?\.{0,3}\Z", re.IGNORECASE)
_SIGN_OFF_CHARACTERS = 10
_SIGN_OFF_MARGIN = 4
_DATE = re.compile(r"\s*(\d{1,2})-([A-Z]{3})-(\d{4})(?:\s+(\d\d):(\d\d):(\d\d)(?:\.\d+)?\b)?")
_BYLINE = re.compile(r"^by |, ?reuters?$", re.IGNORECASE)
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
    for line in (piece for whole in lines for piece in _cut_at_ends(whole)):
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


def _cut_at_ends(line: Line) -> list[Line]:
    """The line, cut behind every ``</REUTERS>`` that something follows."""
    mark, unit = _END.encode(line.codec), len("\n".encode(line.codec))
    cuts, place = [0], line.data.find(mark)
    while place >= 0:
        if place % unit:  # across two characters
            place = line.data.find(mark, place + 1)
            continue
        cuts.append(place + len(mark))
        place = line.data.find(mark, cuts[-1])
    if not line.data[cuts[-1] :].decode(line.codec, "replace").strip() and len(cuts) > 1:
        cuts.pop()
    if line.refused or len(cuts) == 1:
        return [line]
    ends = [*cuts[1:], len(line.data)]
    return [
        replace(line, offset=line.offset + begin, data=line.data[begin:end])
        for begin, end in zip(cuts, ends, strict=True)
    ]


def _closed(block: LineBlock) -> Iterator[Line]:
    """A block that no ``</REUTERS>`` ended: a cut story or rubbish; nothing for blank lines and the DOCTYPE."""
    line = block.finish()
    shown = line.data.decode(line.codec, "replace").strip()
    if line.refused or (shown and not re.fullmatch(r"<!DOCTYPE[^<>]*>", shown)):
        yield line


def _story(markup: str, block: Line, context: ReadContext) -> Item:
    newid, found, text_end = _NEWID.search(markup), _TEXT.search(markup), markup.rfind(_TEXT_END)
    if _START not in markup:
        raise UnreadableError("wrong_format", "expected <REUTERS ...>: this is no story of Reuters-21578")
    if not markup.rstrip().endswith(_END):
        raise UnreadableError("truncated", f"the story ends without {_END}")
    if found is None or text_end < found.end():
        raise UnreadableError("missing_text", "the story has no TEXT")
    kind, content = found[1], markup[found.end() : text_end]
    title, content = _cut_out("TITLE", content)
    title = " ".join(_plain(title).split())
    _, content = _cut_out("AUTHOR", content)
    text = _plain(content) if "UNPROC" in kind else _unwrapped(_plain(content))
    locator = block.locator(context)
    if "BRIEF" in kind:
        return Skipped("headline_only", locator, title)
    if not text:
        return Skipped("empty", locator, title)
    key = newid[1] if newid else context.key_at(block.offset)
    author = _BYLINE.sub("", " ".join(_plain(_cut_out("AUTHOR", markup)[0]).split()))
    return Record(key, title, text, date=_iso_date(_cut_out("DATE", markup)[0]), author=author)


def _cut_out(name: str, markup: str) -> tuple[str, str]:
    """The content of the first element of that name, "" where there is none, and the markup without the element."""
    before, _, behind = markup.partition(f"<{name}>")
    content, end, rest = behind.partition(f"</{name}>")
    return (content, before + rest) if end else ("", markup)


def _plain(markup: str) -> str:
    """The text without tags, wire codes and the closing "Reuter" line; entities resolved once, after the tags."""
    text = html.unescape(_TAG.sub("", markup).replace("\r\n", "\n"))
    text = _CONTROLS.sub("", text).rstrip()
    if found := _SIGN_OFF.search(text, max(0, len(text) - _SIGN_OFF_CHARACTERS)):
        before = text[: found.start()]
        margin = before.rstrip(" \t")
        if not margin or margin.endswith("\n") or len(before) - len(margin) >= _SIGN_OFF_MARGIN:
            text = margin
    return text.rstrip().lstrip("\n")


def _unwrapped(text: str) -> str:
    """A paragraph a line: one begins with an indented line; lines at the margin go on with it. Table rows stay rows."""
    # From a run's first space alone: tried from each of them, long runs would take their length squared.
    return re.sub(r"(?<![ \t])[ \t]*\n(?=\S)", " ", text).replace("\n    ", "\n").strip()


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
