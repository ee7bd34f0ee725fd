"""Tables of text: JSON lines, CSV and TSV.

    read_jsonl, read_csv:  bytes  ->  Record | Skipped("empty") | Quarantined, one a row

Which column becomes which field of the document is the source's ``columns``: ``{text: review, key: id}``. Without
it every field is read from the column of its own name, the key from ``id``, and all but ``text`` may be missing.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipelines.readers.plain import text_lines
from pipelines.readers.records import Item, ReadContext, Skipped, UnreadableError
from pipelines.readers.tables.delimited import DelimitedRows, sniff_delimiter
from pipelines.readers.tables.rows import Row, check_columns, columns_of, from_row


def read_jsonl(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a line; a row without a key has the byte offset of its line in its place."""
    columns = columns_of(context)
    for line in text_lines(stream, context):
        locator = line.locator(context)
        try:
            text = line.text()
            if text.strip():
                yield from_row(_json_object(text), columns, context, line.offset, locator)
            else:
                yield Skipped("empty", locator)
        except UnreadableError as error:
            yield line.quarantined(error, context)


def read_csv(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a row after the header; the first line tells the delimiter: comma, tab, semicolon or bar.

    A quoted field may hold line ends. The key of a row without one is the byte offset of its first line. Columns
    mapped by number, as in ``{key: "1", text: "2"}``, mean a table without a header.

    Raises:
        WrongFormatError: the header lacks a mapped column, or names one twice.
    """
    columns = columns_of(context)
    lines = text_lines(stream, context)
    first = next(lines, None)
    if first is None:
        return  # a byte order mark and nothing behind it
    rows = DelimitedRows(itertools.chain([first], lines), sniff_delimiter(first))
    numbered = all(column.isdecimal() for column in columns.values())
    header: list[str] = []
    for row in rows:
        if isinstance(row, UnreadableError):
            yield rows.quarantined(row, context)
            if not header and not numbered:
                return  # the header: without it no row has a meaning
            continue
        if not header:
            header = [str(number) for number in range(1, len(row) + 1)] if numbered else row
            check_columns(columns, header, context)
            if not numbered:
                continue
        first = rows.lines[0]
        if not row:
            yield Skipped("empty", first.locator(context))
        else:
            try:
                yield from_row(_named(header, row), columns, context, first.offset, first.locator(context))
            except UnreadableError as error:
                yield rows.quarantined(error, context)


def _json_object(text: str) -> Row:
    """The JSON object on a line.

    Raises:
        UnreadableError: no JSON, no object, or a key twice.
    """
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("malformed_json", str(error) or "nested too deeply") from None
    if not isinstance(value, dict):
        raise UnreadableError("not_an_object", f"expected an object, got {type(value).__name__}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UnreadableError("duplicate_key", f"{name!r} stands there twice")
        found[name] = value
    return found


def _named(header: list[str], row: list[str]) -> Row:
    if len(row) != len(header):
        raise UnreadableError("wrong_field_count", f"expected {len(header)} fields, as in the header, got {len(row)}")
    return dict(zip(header, row, strict=True))


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
