"""Comma, tab, semicolon or bar separated text -> rows, each with the lines it stood on (RFC 4180)."""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from pipelines.readers.plain import Line
from pipelines.readers.records import MAX_RECORD_BYTES, Quarantined, ReadContext, UnreadableError

DELIMITERS = ",\t;|"
#: A row of more lines has a quote that nobody closes; each line in memory takes more than its bytes.
MAX_ROW_LINES = 200_000
_MAX_READINGS = 3


def sniff_delimiter(header: Line) -> str:
    """The delimiter that cuts the header's line into most fields; the first of ``DELIMITERS`` where several do."""
    text = header.data.decode(header.codec, "replace")
    return max(DELIMITERS, key=lambda delimiter: _count_outside_quotes(text, delimiter))


def _count_outside_quotes(text: str, delimiter: str) -> int:
    return sum(part.count(delimiter) for part in text.split('"')[::2])


class DelimitedRows:
    """Iterates over the rows: a list of fields, or why the row cannot be read. After a bad row the next line is read.

    A row that fails behind its first line has most likely a quote there that nobody closes: that line alone is
    refused, and the others are read anew. Each line is read three times at most, the third time as a row of its own,
    so a file of nothing but such quotes takes no longer than three files.

    Attributes:
        lines: the lines of the row given last.
    """

    def __init__(self, lines: Iterator[Line], delimiter: str) -> None:
        csv.field_size_limit(MAX_RECORD_BYTES)
        self.lines: list[Line] = []
        self._source = _Lines(lines)
        self._reader = csv.reader(self._source, delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[list[str] | UnreadableError]:
        while (row := self._next()) is not None:
            yield row

    def _next(self) -> list[str] | UnreadableError | None:
        self._source.begin()
        self.lines = self._source.taken
        try:
            row = next(self._reader)
        except StopIteration:
            return None
        except UnreadableError as error:  # a line that is none
            return self._source.undecodable or error
        except (csv.Error, _RowTooLongError) as error:
            count = len(self.lines)
            undecodable = self._source.undecodable if count == 1 else None
            self._source.give_back()
            if isinstance(error, _RowTooLongError):
                return UnreadableError("too_long", str(error))
            return undecodable or UnreadableError("malformed_csv", f"{error} ({count:,} lines)")
        return self._source.undecodable or row

    def quarantined(self, error: UnreadableError, context: ReadContext) -> Quarantined:
        """The quarantine entry for the row given last."""
        first = self.lines[0]
        raw = "\n".encode(first.codec).join(line.data for line in self.lines)
        return replace(first, data=raw).quarantined(error, context)


class _RowTooLongError(Exception):
    """A row grows beyond what one record may hold."""


class _Lines:
    """The lines as ``csv`` wants them; an iterator that goes on after an error, which a generator does not."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[tuple[Line, int]] = deque()
        self.begin()

    def begin(self) -> None:
        """A row begins: none of its lines has been taken yet."""
        self.taken: list[Line] = []
        self.undecodable: UnreadableError | None = None
        self._readings: list[int] = []
        self._bytes = 0

    def give_back(self) -> None:
        """The row keeps its first line; the others will be taken again."""
        later = zip(self.taken[1:], self._readings[1:], strict=True)
        self._again.extendleft(reversed([(line, readings + 1) for line, readings in later]))
        del self.taken[1:], self._readings[1:]

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self._readings and self._readings[0] == _MAX_READINGS - 1:
            raise StopIteration  # a row of its own
        line, readings = self._again.popleft() if self._again else (next(self._lines), 0)
        self.taken.append(line)
        self._readings.append(readings)
        self._bytes += len(line.data)
        if line.refused:
            raise UnreadableError(line.refused, line.error)
        # An opening quote that nobody closes would swallow the rest of the file.
        if len(self.taken) > 1 and (self._bytes > MAX_RECORD_BYTES or len(self.taken) > MAX_ROW_LINES):
            raise _RowTooLongError(
                f"a row of more than {MAX_RECORD_BYTES:,} bytes or {MAX_ROW_LINES:,} lines: a quote is not closed"
            )
        try:
            return line.text() + "\n"
        except UnreadableError as error:
            # The row's quotes must still be seen, or its other lines would pass for rows.
            self.undecodable = self.undecodable or error
            return line.data.decode(line.codec, "replace") + "\n"
