"""The web: WARC archives, and HTML files.

read_warc:  bytes  ->  one item a WARC record: a page, or why it is none
read_html:  bytes  ->  one item for the file, which is one page
"""

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from fastwarc.warc import ArchiveIterator

from pipelines.readers.page import read_page
from pipelines.readers.plain import split_lines
from pipelines.readers.records import Item, Quarantined, ReadContext, Record, Skipped, UnreadableError
from pipelines.readers.warc import WarcRecord, split_warc

HTML_TYPES = ("text/html", "application/xhtml+xml")
OTHER_TYPES = ("warcinfo", "request", "metadata", "revisit", "resource", "conversion", "continuation")
_HTML_STARTS = (b"<!doctype html", b"<html")


def read_warc(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a record: the pages of 200 responses are documents, everything else is skipped by its reason.

    Reasons: ``warc_<type>`` (all but responses), ``warc_other``, ``http_status``, ``not_html``, ``empty`` (no main text).
    The key is the WARC-Record-ID without ``urn:uuid:``; the date is the page's own, never that of the crawl.
    """
    for record in split_warc(stream, wanted_type="response"):
        try:
            if record.refused:
                raise UnreadableError(record.refused, record.error)
            if record.kind == "response":
                yield _from_response(record, context)
            else:
                yield Skipped(f"warc_{record.kind}" if record.kind in OTHER_TYPES else "warc_other")
        except UnreadableError as error:
            yield Quarantined(f"byte {record.offset}", error.reason, error.error, record.data)


def read_html(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item: the file's page, keyed by the file's content."""
    for file in split_lines(stream, ending=b""):
        try:
            if file.refused:
                raise UnreadableError(file.refused, file.error)
            yield _document(file.data, "", context.key_at(0), "")
        except UnreadableError as error:
            yield Quarantined("byte 0", error.reason, error.error, file.data)


def _from_response(record: WarcRecord, context: ReadContext) -> Item:
    http, payload = _response(record.data)
    if http.http_headers.status_code != 200:
        return Skipped("http_status")
    kind = (http.http_content_type or "").lower()
    if kind not in HTML_TYPES and (kind or not payload.lstrip()[:16].lower().startswith(_HTML_STARTS)):
        return Skipped("not_html")
    key = record.headers.get("warc-record-id", "").strip("<>").removeprefix("urn:uuid:")
    url = record.headers.get("warc-target-uri", "").strip("<>")
    charset = (http.http_charset or "").strip("\"' ")
    return _document(payload, charset, key or context.key_at(record.offset), url)


def _response(data: bytes) -> tuple[Any, bytes]:
    """The HTTP headers of a record and its body, with chunks joined and compression undone.

    Many archives undo the transfer encodings and keep the headers that name them: then the body is as it lies there.
    """
    for decode in ("all", "none"):
        try:
            http = next(iter(ArchiveIterator(io.BytesIO(data), auto_decode=decode)))
            payload = http.reader.read()
            break
        except (OSError, StopIteration) as error:
            failure = str(error) or "no record"
    else:
        raise UnreadableError("malformed_http", failure)
    if http.http_headers is None or http.http_headers.status_code is None:
        raise UnreadableError("malformed_http", "the response has no HTTP status line")
    return http, payload


def _document(raw: bytes, charset: str, key: str, url: str) -> Record | Skipped:
    page = read_page(raw, charset)
    if not page.text.strip():
        return Skipped("empty")
    return Record(key=key, title=page.title, text=page.text, url=url, date=page.date)
