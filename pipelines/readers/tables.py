"""Tables as documents: JSON lines, CSV and TSV, Parquet, and datasets of the Hugging Face hub or of a folder.

    read_jsonl, read_csv, read_parquet:  bytes         ->  Record | Skipped("empty") | Quarantined, one a row
    read_hf:                             dataset name  ->  the same

Which column becomes which field of the document is the source's ``columns``: ``{text: review, key: id}``. Without
it every field is read from the column of its own name, the key from ``id``, and all but ``text`` may be missing.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.readers.delimited import DelimitedRows, sniff_delimiter
from pipelines.readers.plain import Line, decode, foreign_format, split_lines
from pipelines.readers.records import Item, Quarantined, ReadContext, Skipped, UnreadableError
from pipelines.readers.rows import Row, check_columns, columns_of, from_row
from pipelines.spine.errors import CorpusmillError

BATCH_ROWS = 256


def read_jsonl(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a line; a row without a key has the byte offset of its line in its place."""
    columns = columns_of(context)
    for line in split_lines(stream):
        if not line.refused and not line.data.strip():
            yield Skipped("empty")
            continue
        try:
            yield from_row(_json_object(line), columns, context, line.offset)
        except UnreadableError as error:
            yield Quarantined(f"line {line.number}", error.reason, error.error, line.data)


def read_csv(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a row after the header; the first line tells the delimiter: comma, tab, semicolon or bar.

    A quoted field may hold line ends. The key of a row without one is the byte offset of its first line. Columns
    mapped by number, as in ``{key: "1", text: "2"}``, mean a table without a header.

    Raises:
        CorpusmillError: the header lacks a mapped column, or names one twice.
    """
    columns = columns_of(context)
    lines = split_lines(stream)
    first = next(lines, None)
    if first is None:
        return  # a byte order mark and nothing behind it
    rows = DelimitedRows(itertools.chain([first], lines), sniff_delimiter(first.data))
    numbered = all(column.isdecimal() for column in columns.values())
    header: list[str] = []
    for row in rows:
        if isinstance(row, UnreadableError):
            yield rows.quarantined(row)
            if not header and not numbered:
                return  # the header: without it no row has a meaning
            continue
        if not header:
            header = [str(number) for number in range(1, len(row) + 1)] if numbered else row
            check_columns(columns, header, context)
            if not numbered:
                continue
        if not row:
            yield Skipped("empty")
        else:
            try:
                yield from_row(_named(header, row), columns, context, rows.lines[0].offset)
            except UnreadableError as error:
                yield rows.quarantined(error)


def read_parquet(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a row, a few hundred rows in memory; the rest of a damaged row group is one quarantine entry.

    Args:
        stream: a seekable file.
        context: the key of a row without one is its number in the file, from 0.
    Raises:
        CorpusmillError: the file lacks a mapped column.
    """
    columns = columns_of(context)
    try:
        file = pq.ParquetFile(stream)
        there = file.schema_arrow.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        yield _no_parquet(stream, error)
        return
    names = check_columns(columns, there, context)
    row_number = 0
    for group in range(file.num_row_groups):
        group_end = row_number + file.metadata.row_group(group).num_rows
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names, use_threads=False):
                for row in _rows(batch):
                    yield _row_item(row, columns, context, row_number)
                    row_number += 1
        except (pa.ArrowException, OSError) as error:
            yield Quarantined(f"rows {row_number} to {group_end - 1}", "damaged", str(error), b"")
        row_number = group_end


def read_hf(name: str, context: ReadContext) -> Iterator[Item]:
    """One item a row of a dataset, streamed; nothing is copied to disk where the format can be streamed.

    Args:
        name: a folder (files that ``datasets`` knows, or made by ``save_to_disk``), a file that holds a hub name, or
            a hub name ``owner/name[:configuration[:split]][@revision]``; the split is ``train`` when not given.
        context: the key of a row without one is its number, from 0.
    Raises:
        CorpusmillError: there is no such dataset, or it lacks a mapped column.
    """
    columns = columns_of(context)
    dataset = _dataset(name)
    if dataset.column_names is not None:
        check_columns(columns, dataset.column_names, context)
    rows = enumerate(dataset)
    for row_number in itertools.count():
        try:
            _, row = next(rows)
        except StopIteration:
            return
        except (pa.ArrowException, OSError, ValueError) as error:
            # The type alone: the messages name files of this machine.
            yield Quarantined(f"row {row_number} and all after it", "damaged", type(error).__name__, b"")
            return
        yield _row_item(row, columns, context, row_number)


def _json_object(line: Line) -> Row:
    """The JSON object on a line.

    Raises:
        UnreadableError: the line is refused, is not UTF-8, no JSON, no object, or has a key twice.
    """
    if line.refused:
        raise UnreadableError(line.refused, line.error)
    text = decode(line.data)
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("malformed_json", str(error) or "nested too deeply") from None
    if not isinstance(value, dict):
        raise UnreadableError("not_an_object", f"expected an object, got {type(value).__name__}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError("duplicate_key", f"{twice!r} stands there twice")
    return found


def _named(header: list[str], row: list[str]) -> Row:
    if len(row) != len(header):
        raise UnreadableError("wrong_field_count", f"expected {len(header)} fields, as in the header, got {len(row)}")
    return dict(zip(header, row, strict=True))


def _rows(batch: pa.RecordBatch) -> Iterator[Row]:
    """The rows of a batch, texts as UTF-8 bytes: Parquet promises valid UTF-8 and does not check it."""
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = column.cast(pa.large_binary())
        columns[name] = column.to_pylist()
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


def _row_item(row: Row, columns: Mapping[str, str], context: ReadContext, row_number: int) -> Item:
    try:
        return from_row(row, columns, context, row_number)
    except UnreadableError as error:
        text = row.get(columns["text"])
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return Quarantined(f"row {row_number}", error.reason, error.error, raw if isinstance(raw, bytes) else b"")


def _no_parquet(stream: BinaryIO, error: Exception) -> Quarantined:
    stream.seek(0)
    head = stream.read(1 << 16)
    if not head:
        return Quarantined("byte 0", "empty_file", "the file holds no bytes", head)
    if head.startswith(b"PAR1"):
        return Quarantined("byte 0", "damaged", f"the Parquet file breaks off or is damaged: {error}", head)
    got = foreign_format(head) or "its first bytes are not PAR1"
    return Quarantined("byte 0", "wrong_format", f"no Parquet file: {got}", head)


def _dataset(name: str) -> Any:
    """The dataset, streaming wherever it can."""
    # Imported here: it takes seconds, and nothing else needs it.
    import datasets

    path = Path(name)
    try:
        if path.is_dir():
            if any((path / marker).exists() for marker in ("state.json", "dataset_dict.json")):
                found = datasets.load_from_disk(str(path))
                return found["train"] if isinstance(found, datasets.DatasetDict) else found
            return datasets.load_dataset(str(path), split="train", streaming=True)
        hub_name, configuration, split, revision = parse_hub_name(path.read_text().strip() if path.is_file() else name)
        return datasets.load_dataset(hub_name, configuration, split=split, revision=revision, streaming=True)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        raise CorpusmillError(
            f"the dataset cannot be opened: {' '.join(str(error).split())}", where=name,
            hint="check the name, configuration, split and revision; without a network set HF_HUB_OFFLINE=1",
        ) from error  # fmt: skip


def parse_hub_name(name: str) -> tuple[str, str | None, str, str | None]:
    """``owner/name[:configuration[:split]][@revision]`` -> (name, configuration, split, revision).

    >>> parse_hub_name("wikimedia/wikipedia:20231101.simple@b04c8d1")
    ('wikimedia/wikipedia', '20231101.simple', 'train', 'b04c8d1')
    """
    rest, _, revision = name.partition("@")
    parts = [*rest.split(":"), "", ""]
    return parts[0], parts[1] or None, parts[2] or "train", revision or None
