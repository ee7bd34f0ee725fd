"""A row of any table -> the document that it holds. Pure: no file, no format.

{"id": 7, "review": "很好"}, columns {key: id, text: review}  ->  Record(key="7", title="", text="很好")
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.readers.charset import decode
from pipelines.readers.records import MAX_RECORD_BYTES, ReadContext, Record, Skipped, UnreadableError, WrongFormatError
from pipelines.spine.errors import CorpusmillError

#: Document field -> column, for a source that maps none.
OWN_COLUMNS = {
    "key": "id", "title": "title", "text": "text", "url": "url", "date": "date", "language": "language",
    "author": "author", "revision": "revision",
}  # fmt: skip

Row = Mapping[str, Any]


def columns_of(context: ReadContext) -> Mapping[str, str]:
    """Document field -> column, as the source maps it.

    Raises:
        CorpusmillError: the mapping has no ``text``, or names a field that documents do not have.
    """
    if not context.columns:
        return OWN_COLUMNS
    unknown = sorted(set(context.columns) - set(OWN_COLUMNS))
    if unknown or "text" not in context.columns:
        raise CorpusmillError(
            f"{unknown[0]} is not a field of a document" if unknown else "no column is named for the text",
            where="columns", expected=f"text, and any of {', '.join(f for f in OWN_COLUMNS if f != 'text')}",
            got=dict(context.columns), hint="write document field: column, as in {text: review, key: id}",
        )  # fmt: skip
    return context.columns


def check_columns(columns: Mapping[str, str], there: Iterable[str], context: ReadContext) -> list[str]:
    """The columns to read: the mapped ones, once the table has them; of an unmapped source those that are there.

    Raises:
        WrongFormatError: a needed column is missing, or a needed name stands there twice.
    """
    names = list(there)
    needed = sorted(set(columns.values())) if context.columns else [columns["text"]]
    for name in needed:
        if names.count(name) != 1:
            raise WrongFormatError(
                f"the table has no column {name}" if name not in names else f"the table has two columns {name}",
                where="columns", expected=", ".join(needed), got=", ".join(names),
                hint="map the source's columns: document field: column, as in {text: review, key: id}",
            )  # fmt: skip
    return sorted(set(columns.values()) & set(names))


def from_row(row: Row, columns: Mapping[str, str], context: ReadContext, offset: int, locator: str) -> Record | Skipped:
    """The document that a row holds.

    Args:
        row: column -> value; a text may be ``str`` or UTF-8 ``bytes``, the author a list of texts.
        columns: document field -> column.
        context: of the file.
        offset: stands in the key of a row that has none.
        locator: where the row lies.
    Raises:
        UnreadableError: missing_text, missing_key, wrong_type, too_long, invalid_utf8, nul, lone_surrogate.
    """
    text = row.get(columns["text"])
    if text is None:
        raise UnreadableError("missing_text", f"column {columns['text']} is missing or null")
    if context.joins_lists and isinstance(text, list):
        text = "\n".join(_text(one, "one of a list") for one in text if one)
    if not isinstance(text, str | bytes):
        raise UnreadableError("wrong_type", f"text: expected a string, got {type(text).__name__}")
    if len(text) > MAX_RECORD_BYTES:
        raise UnreadableError("too_long", f"{len(text):,} long; at most {MAX_RECORD_BYTES:,} are read as one record")
    text = _text(text, "text")
    others = {
        field: _text(value, field)
        for field, column in columns.items()
        if field != "text" and (value := row.get(column)) is not None
    }
    if not text.strip():
        return Skipped("empty", locator)
    key = others.pop("key", "")
    if not key and "key" in context.columns:
        raise UnreadableError("missing_key", f"column {columns['key']} is missing, null or empty")
    title = others.pop("title", "")
    return Record(key or context.key_at(offset), title, text, **others)  # type: ignore[arg-type]


def _text(value: Any, field: str) -> str:
    """A value of a row as text that UTF-8 can hold."""
    if field == "author" and isinstance(value, list):
        return ", ".join(_text(name, "one author") for name in value if name)
    if isinstance(value, datetime.date):  # datetime.datetime too
        return value.isoformat()
    if isinstance(value, bytes):
        return decode(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise UnreadableError("wrong_type", f"{field}: expected a string, got {type(value).__name__}")
    if "\0" in value:
        raise UnreadableError("nul", f"{field}: a NUL stands at character {value.index(chr(0))}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnreadableError("lone_surrogate", f"{field}: half a character at {error.start}") from None
    return value
