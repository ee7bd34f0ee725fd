"""Tables of columns: Parquet, and Arrow IPC in its file and its stream format.

    read_parquet, read_arrow:  bytes  ->  Record | Skipped("empty") | Quarantined, one a row

Columns are mapped as in ``pipelines.readers.tables.reader``. Both formats promise valid UTF-8 and check nothing: texts are
taken as bytes, and what a file says of its own buffers is checked before anything is read through it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.readers.compression import PIECE_BYTES, DamagedStream, open_decompressed
from pipelines.readers.plain import foreign_format
from pipelines.readers.records import QUARANTINE_RAW_BYTES, Item, Quarantined, ReadContext, UnreadableError
from pipelines.readers.tables.failures import is_passing
from pipelines.readers.tables.rows import Row, check_columns, columns_of, from_row

BATCH_ROWS = 256
#: What pyarrow raises over a damaged file, unless the failure ``is_passing``; names of columns may be no UTF-8.
_FILE_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError)
#: What it raises over values that Python cannot hold: years past 9999, unknown time zones, texts inside of lists.
_VALUE_ERRORS = (pa.ArrowException, ValueError, OverflowError, KeyError, RecursionError)
_AS_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
_ARROW_FILE = b"ARROW1"
_ARROW_PADDING_BYTES = 8


def read_parquet(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a row, a few hundred rows in memory; the rest of a damaged row group is one quarantine entry.

    Args:
        stream: a seekable file.
        context: ``part`` says which row groups; the key of a row without one is its number in the file, from 0.
    Raises:
        WrongFormatError: the file lacks a mapped column.
    """
    columns = columns_of(context)
    if not stream.seekable():
        error = "a Parquet file is read from its end, so not inside of an archive or a compressed file: unpack it"
        yield Quarantined("byte 0", "not_seekable", error, b"")
        return
    try:
        file = pq.ParquetFile(stream)
        there = file.schema_arrow.names
    except _FILE_ERRORS as error:
        if is_passing(error):
            raise
        yield _no_parquet(stream, error)
        return
    names = check_columns(columns, there, context)
    group_rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    first, end = context.part or (0, len(group_rows))
    row_number = sum(group_rows[:first])
    for group in range(first, end):
        group_end = row_number + group_rows[group]
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names, use_threads=False):
                yield from _batch_items(batch, columns, context, row_number)
                row_number += batch.num_rows
        except _FILE_ERRORS as error:
            if is_passing(error):
                raise
            yield Quarantined(f"rows {row_number} to {group_end - 1}", "damaged", _first_line(error), b"")
        row_number = group_end


def read_arrow(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a row, one record batch of the file in memory; what follows damage is one quarantine entry.

    The file format is the stream format between two marks, and is read as such: from any stream, to the damage.

    Args:
        stream: the file's bytes, compressed or not.
        context: the key of a row without one is its number in the file, from 0.
    Raises:
        WrongFormatError: the file lacks a mapped column.
    """
    columns = columns_of(context)
    source, row_number = _Source(open_decompressed(stream)), 0
    try:
        is_file = source.begins_with(_ARROW_FILE, _ARROW_PADDING_BYTES)
        reader = pa.ipc.open_stream(source)
        there = reader.schema.names
    except (*_FILE_ERRORS, DamagedStream) as error:
        if is_passing(error):
            raise
        yield _no_arrow(source, error)
        return
    names = check_columns(columns, there, context)
    try:
        while (batch := _next_batch(reader)) is not None:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                piece = batch.select(names).slice(start, BATCH_ROWS)
                yield from _batch_items(piece, columns, context, row_number)
                row_number += piece.num_rows
        if is_file and not source.ends_with(_ARROW_FILE):
            yield Quarantined(f"row {row_number} and all after it", "truncated", "the file's end is missing", b"")
    except (*_FILE_ERRORS, DamagedStream) as error:
        if is_passing(error):
            raise
        yield Quarantined(f"row {row_number} and all after it", "damaged", _first_line(error), b"")


def _next_batch(reader: pa.RecordBatchStreamReader) -> pa.RecordBatch | None:
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None


def _batch_items(batch: pa.RecordBatch, columns: Mapping[str, str], context: ReadContext, first: int) -> Iterator[Item]:
    """The items of some rows; where values cannot be read, each row is tried alone."""
    try:
        rows = _rows(batch)
    except _VALUE_ERRORS as error:
        if is_passing(error):
            raise
        if batch.num_rows == 1:
            yield Quarantined(f"row {first}", "damaged", _first_line(error), b"")
        else:
            for index in range(batch.num_rows):
                yield from _batch_items(batch.slice(index, 1), columns, context, first + index)
        return
    for index, row in enumerate(rows):
        yield row_item(row, columns, context, first + index)


def row_item(row: Row, columns: Mapping[str, str], context: ReadContext, row_number: int) -> Item:
    """The document of a row that has no place but its number; of a refused one the quarantine keeps the text."""
    try:
        return from_row(row, columns, context, row_number, f"row {row_number}")
    except UnreadableError as error:
        text = row.get(columns["text"])
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return Quarantined(f"row {row_number}", error.reason, error.error, raw if isinstance(raw, bytes) else b"")


def _rows(batch: pa.RecordBatch) -> list[Row]:
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.Array) -> list[Any]:
    """The values of a column, texts as UTF-8 bytes, once its offsets and indices are known to stay inside of it."""
    if pa.types.is_dictionary(column.type):
        column = pa.DictionaryArray.from_arrays(column.indices, _as_bytes(column.dictionary), safe=False)
        column.validate(full=True)
        return column.dictionary_decode().to_pylist()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)  # Python's own resolution
    column = _as_bytes(column)
    column.validate(full=True)
    return column.to_pylist()


def _as_bytes(column: pa.Array) -> pa.Array:
    return column.view(_AS_BYTES[column.type]) if column.type in _AS_BYTES else column


class _Source:
    """A stream as pyarrow reads it: as many bytes as it asks for, taking memory only for those that are there."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead = b""
        self.head = b""
        self._last = b""

    def begins_with(self, mark: bytes, padded_bytes: int) -> bool:
        """Whether the stream begins so; then stands behind the mark and its padding."""
        self.head = self._ahead = self.read(padded_bytes)
        if self.head.startswith(mark):
            self._ahead = b""
        return not self._ahead

    def ends_with(self, mark: bytes) -> bool:
        """Reads to the end; whether the stream ends so."""
        while self.read(PIECE_BYTES):
            pass
        return self._last == mark

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end only."""
        parts, self._ahead = [self._ahead[:size]], self._ahead[size:]
        missing = size - len(parts[0])
        while missing and (part := self._stream.read(min(missing, PIECE_BYTES))):
            parts.append(part)
            missing -= len(part)
        data = b"".join(parts)
        self._last = (self._last + data[-len(_ARROW_FILE) :])[-len(_ARROW_FILE) :]
        return data


def _no_parquet(stream: BinaryIO, error: Exception) -> Quarantined:
    stream.seek(0)
    head = stream.read(QUARANTINE_RAW_BYTES)
    if not head:
        return Quarantined("byte 0", "empty_file", "the file holds no bytes", head)
    if head.startswith(b"PAR1"):
        return Quarantined("byte 0", "damaged", f"the Parquet file breaks off or is damaged: {error}", head)
    got = foreign_format(head) or "its first bytes are not PAR1"
    return Quarantined("byte 0", "wrong_format", f"no Parquet file: {got}", head)


def _no_arrow(source: _Source, error: Exception) -> Quarantined:
    if not source.head and not isinstance(error, DamagedStream):
        return Quarantined("byte 0", "empty_file", "the file holds no bytes", b"")
    if source.head.startswith((_ARROW_FILE, b"\xff\xff\xff\xff")) or isinstance(error, DamagedStream):
        return Quarantined("byte 0", "damaged", f"the Arrow file breaks off or is damaged: {_first_line(error)}", b"")
    got = foreign_format(source.head) or "its first bytes are not those of an Arrow IPC file or stream"
    return Quarantined("byte 0", "wrong_format", f"no Arrow file: {got}", source.head)


def _first_line(error: Exception) -> str:
    """What is wrong; the other lines name pyarrow's own sources."""
    return (str(error) or type(error).__name__).splitlines()[0]
