"""The web: WARC archives, and HTML files.

read_warc:  bytes  ->  one item a WARC record: a page, or why it is none
read_html:  bytes  ->  one item for the file, which is one page
"""

from collections.abc import Iterator
from typing import BinaryIO

from pipelines.readers.plain import split_lines
from pipelines.readers.records import Item, Quarantined, ReadContext, Record, Skipped, UnreadableError
from pipelines.readers.web.http_response import HttpResponse, parse_response
from pipelines.readers.web.page import MAX_PAGE_BYTES, read_page
from pipelines.readers.web.warc import WarcRecord, split_warc

HTML_TYPES = ("text/html", "application/xhtml+xml")
OTHER_TYPES = ("warcinfo", "request", "metadata", "revisit", "resource", "conversion", "continuation")
#: A page that sends its reader elsewhere may say so in this many characters; with more it is a page.
MAX_REFRESH_CHARS = 200
_HTML_STARTS = (b"<!doctype html", b"<html")


def read_warc(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a record: the pages of 200 responses are documents, everything else is skipped by its reason.

    Reasons: ``warc_<type>`` (all but responses), ``warc_other``, ``http_status``, ``not_html``, ``redirect`` (a page
    that only sends its reader on), ``empty`` (no main text); the detail is the status, media type, or target. The key
    is the WARC-Record-ID without ``urn:uuid:``; the date is the page's own, never that of the crawl.
    """
    for record in split_warc(stream, wanted_type="response"):
        locator = context.byte_at(record.offset)
        try:
            if record.refused:
                raise UnreadableError(record.refused, record.error)
            if record.kind == "response":
                yield _from_response(record, context)
            else:
                kind = record.kind if record.kind in OTHER_TYPES else "other"
                yield Skipped(f"warc_{kind}", locator, "" if kind != "other" else record.kind[:80])
        except UnreadableError as error:
            yield Quarantined(locator, error.reason, error.error, record.data)


def read_html(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item: the file's page, keyed by the file's content."""
    for file in split_lines(stream, ending=b""):
        try:
            if file.refused:
                raise UnreadableError(file.refused, file.error)
            yield _document(HttpResponse(200, {}, file.data), context, 0, context.key_at(0), "")
        except UnreadableError as error:
            yield Quarantined(context.byte_at(0), error.reason, error.error, file.data)


def _from_response(record: WarcRecord, context: ReadContext) -> Item:
    response = parse_response(record.content, MAX_PAGE_BYTES)
    locator = context.byte_at(record.offset)
    if response.status != 200:
        target = response.headers.get("location", "")[:2000] if 300 <= response.status < 400 else ""
        return Skipped("http_status", locator, f"{response.status} {target}".strip())
    kind = response.media_type
    if kind not in HTML_TYPES and (kind or not response.body.lstrip()[:16].lower().startswith(_HTML_STARTS)):
        return Skipped("not_html", locator, kind[:80])
    key = record.headers.get("warc-record-id", "").strip("<>").removeprefix("urn:uuid:")
    url = record.headers.get("warc-target-uri", "").strip("<>")
    return _document(response, context, record.offset, key or context.key_at(record.offset), url)


def _document(response: HttpResponse, context: ReadContext, offset: int, key: str, url: str) -> Record | Skipped:
    locator = context.byte_at(offset)
    if not response.body.strip():
        return Skipped("empty", locator, "no body")
    page = read_page(response.body, response.charset, context.html, response.headers.get("content-language", ""))
    if page.refresh and len(page.text) <= MAX_REFRESH_CHARS:
        return Skipped("redirect", locator, page.refresh)
    if not page.text.strip():
        return Skipped("empty", locator, "no main text")
    return Record(
        key=key,
        title=page.title,
        text=page.text,
        url=url,
        date=page.date,
        language=page.language,
        author=page.author,
        counts={"boilerplate_lines": page.dropped} if page.dropped else {},
    )
