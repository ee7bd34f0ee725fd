"""Comma, tab, semicolon or bar separated text -> rows, each with the lines it stood on (RFC 4180)."""

import csv
from collections.abc import Iterator
from dataclasses import replace

from pipelines.readers.plain import Line
from pipelines.readers.records import MAX_RECORD_BYTES, Quarantined, ReadContext, UnreadableError

DELIMITERS = ",\t;|"


def sniff_delimiter(header: Line) -> str:
    """The delimiter that cuts the header's line into most fields; the first of ``DELIMITERS`` where several do."""
    text = header.data.decode(header.codec, "replace")
    return max(DELIMITERS, key=lambda delimiter: _count_outside_quotes(text, delimiter))


def _count_outside_quotes(text: str, delimiter: str) -> int:
    return sum(part.count(delimiter) for part in text.split('"')[::2])


class DelimitedRows:
    """Iterates over the rows: a list of fields, or why the row cannot be read. After a bad row the next line is read.

    Attributes:
        lines: the lines of the row given last.
    """

    def __init__(self, lines: Iterator[Line], delimiter: str) -> None:
        csv.field_size_limit(MAX_RECORD_BYTES)
        self.lines: list[Line] = []
        self._source = _Lines(lines)
        self._reader = csv.reader(self._source, delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[list[str] | UnreadableError]:
        while True:
            row = self._next()
            self.lines = self._source.taken
            if row is None:
                return
            yield self._source.undecodable or row

    def _next(self) -> list[str] | UnreadableError | None:
        self._source.begin()
        try:
            return next(self._reader)
        except StopIteration:
            return None
        except UnreadableError as error:
            return error
        except csv.Error as error:
            return UnreadableError("malformed_csv", f"{error} ({len(self._source.taken):,} lines)")

    def quarantined(self, error: UnreadableError, context: ReadContext) -> Quarantined:
        """The quarantine entry for the row given last."""
        first = self.lines[0]
        raw = "\n".encode(first.codec).join(line.data for line in self.lines)
        return replace(first, data=raw).quarantined(error, context)


class _Lines:
    """The lines as ``csv`` wants them; an iterator that goes on after an error, which a generator does not."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self.begin()

    def begin(self) -> None:
        """A row begins: none of its lines has been taken yet."""
        self.taken: list[Line] = []
        self.undecodable: UnreadableError | None = None
        self._bytes = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        self._bytes += len(line.data)
        if line.refused:
            raise UnreadableError(line.refused, line.error)
        # An opening quote that nobody closes would swallow the rest of the file.
        if self._bytes > MAX_RECORD_BYTES:
            raise UnreadableError("too_long", f"a row of more than {MAX_RECORD_BYTES:,} bytes: a quote is not closed")
        try:
            return line.text() + "\n"
        except UnreadableError as error:
            # The row's quotes must still be seen, or its other lines would pass for rows.
            self.undecodable = self.undecodable or error
            return line.data.decode(line.codec, "replace") + "\n"
