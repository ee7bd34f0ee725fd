"""The one place where shard bytes are made: the same rows give the same bytes, however they arrive.

Rows are gathered into freshly built row groups whose borders depend on the rows alone, never on how the caller
cut its batches: Parquet and Arrow bytes both change with the chunking of a table.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard

ROWS_PER_GROUP = 1024
#: A row group also ends once its text passes this, so that 1,024 books do not have to fit in memory.
GROUP_BYTES = 32 << 20
#: A schema whose files are read by ranges asks for smaller groups in its metadata.
GROUP_BYTES_KEY = b"row_group_bytes"
#: Token shards: rows a record batch, part of the format that other trainers read.
ROWS_PER_BATCH = 1024
#: Read ahead of what is wanted of a Parquet object: its footer, or a column of ids.
SPARSE_BYTES = 64 << 10


def row_bytes(batch: pa.RecordBatch) -> np.ndarray:
    """Bytes of text and binary columns by row, int64 ``[rows]``."""
    total = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: batch.num_rows + 1]
            total += np.diff(offsets) if batch.num_rows else 0
    return total


class _Shard:
    """Gathers rows into groups of a fixed size and publishes the file when the block ends well."""

    rows_per_group = ROWS_PER_GROUP
    group_bytes = GROUP_BYTES

    def __init__(self, path: str | Path, schema: pa.Schema) -> None:
        self.path = str(path)
        self.schema = schema
        self.group_bytes = int((schema.metadata or {}).get(GROUP_BYTES_KEY, self.group_bytes))
        self.rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._file = stack.enter_context(storage.publishing(self.path))
            self._open()
            stack.push(self._finish)  # before the publishing, which turns its failure into "no space left" too
            self._stack = stack.pop_all()
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the batch's rows; its schema must be the shard's."""
        start = 0
        for index, size in enumerate(row_bytes(batch).tolist(), start=1):
            self._pending_rows += 1
            self._pending_bytes += size
            if self._pending_rows == self.rows_per_group or self._pending_bytes >= self.group_bytes:
                self._pending.append(batch.slice(start, index - start))
                start = index
                self._write_group()
        if start < batch.num_rows:
            self._pending.append(batch.slice(start))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _finish(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            if self._pending_rows:
                self._write_group()
            self._close()
            self._file.flush()
            self._entry = Shard(
                storage.name_of(self.path), self.rows, self._file.tell(), storage.sha256_file(self._file.name)
            )
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Forgets the writer of a file that will not be published."""

    def _write_group(self) -> None:
        # A lone slice would not be copied, and its Arrow bytes end with padding out of the rows that follow it:
        # with an empty batch beside it there are always two chunks to combine.
        empty = pa.RecordBatch.from_pylist([], schema=self.schema)
        table = pa.Table.from_batches([*self._pending, empty], self.schema).combine_chunks()
        for field, column in zip(self.schema, table.columns, strict=True):
            if column.null_count and not field.nullable:
                raise CorpusmillError(f"column {field.name} holds {column.null_count} nulls", where=self.path)
        self.rows += table.num_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        self._write_table(table)

    def published(self) -> Shard:
        """The manifest entry of the published file."""
        return self._entry

    def _open(self) -> None:
        raise AssertionError("a shard is ParquetShard or ArrowShard")

    def _write_table(self, table: pa.Table) -> None:
        raise AssertionError("a shard is ParquetShard or ArrowShard")

    def _close(self) -> None:
        raise AssertionError("a shard is ParquetShard or ArrowShard")


class ParquetShard(_Shard):
    """Parquet, zstd level 3, row groups of 1,024 rows or 32 MiB of text, whichever comes first."""

    def _open(self) -> None:
        few = [n for n in ("source", "language", "licence", "rule", "measure") if n in self.schema.names]
        self._writer = pq.ParquetWriter(
            self._file, self.schema, version="2.6", compression="zstd", compression_level=3, use_dictionary=few
        )

    def _write_table(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=table.num_rows)

    def _close(self) -> None:
        self._writer.close()

    def _abandon(self) -> None:
        self._writer.is_open = False  # else its finalizer writes to the closed file, and says so on the terminal


class ArrowShard(_Shard):
    """Arrow IPC stream, uncompressed (so it can be memory-mapped), record batches of exactly 1,024 rows."""

    rows_per_group = ROWS_PER_BATCH
    group_bytes = 1 << 62

    def _open(self) -> None:
        self._writer = pa.ipc.new_stream(self._file, self.schema)

    def _write_table(self, table: pa.Table) -> None:
        for batch in table.to_batches():
            self._writer.write_batch(batch)

    def _close(self) -> None:
        self._writer.close()


class ArrowIndex(ArrowShard):
    """The same in one record batch, held in memory until the file is closed: what readers search by bisection."""

    rows_per_group = 1 << 62


def open_shard(path: str | Path, schema: pa.Schema) -> ParquetShard | ArrowShard:
    """The writer that the file name's ending asks for."""
    return ArrowShard(path, schema) if str(path).endswith(".arrow") else ParquetShard(path, schema)


@contextlib.contextmanager
def open_parquet(place: str | Path) -> Iterator[pq.ParquetFile]:
    """The Parquet file, to be read in part: of an object the columns and row groups asked for are fetched, no more."""
    with contextlib.ExitStack() as stack:
        remote = storage.is_remote(place)
        source = stack.enter_context(storage.open_input(place, SPARSE_BYTES)) if remote else place
        yield stack.enter_context(pq.ParquetFile(source))


def read_batches(path: str | Path, columns: list[str] | None = None, sha256: str = "") -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, a row group at a time: memory is one group, whatever the file's size.

    Args:
        path: a path or an object; of an object there will be a local copy, checked against ``sha256`` where given.
        columns: those to read; None: all.
    """
    with pq.ParquetFile(storage.local_copy(path, sha256)) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=columns, use_threads=False).combine_chunks()
            yield from table.to_batches()
