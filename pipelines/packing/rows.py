"""Planned rows and the ids of a unit -> record batches of a token shard (its columns: ``docs/tokens.md``)."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.packing.pieces import Pieces
from pipelines.packing.strategies import RowPlan, best_fit
from pipelines.packing.token_file import TokenFile
from pipelines.spine.manifest import SCHEMA_VERSION
from pipelines.spine.shards import ROWS_PER_BATCH

#: The largest vocabulary whose ids fit in uint16.
UINT16_IDS = 1 << 16


@dataclass(frozen=True)
class PackedRows:
    """Rows of tokens, filled when they are asked for: the ids of a unit are held once, or lie on disk.

    Attributes:
        plan: which segments stand in which row.
        ids: of all documents, one after another, in the rows' dtype; an array, or a file of them.
        pad_id: fills the rest of a row.
    """

    plan: RowPlan
    ids: np.ndarray | TokenFile
    pad_id: int

    @property
    def row_offsets(self) -> np.ndarray:
        return self.plan.row_offsets

    @property
    def segments(self) -> Pieces:
        return self.plan.segments

    @property
    def num_rows(self) -> int:
        return self.plan.num_rows

    @property
    def num_padding(self) -> int:
        return self.plan.num_padding

    @functools.cached_property
    def tokens(self) -> np.ndarray:
        """All rows, ``[rows, row_len]``: a second copy of the ids."""
        return self.fill(0, self.num_rows)

    def fill(self, first: int, last: int) -> np.ndarray:
        """Rows ``first`` to before ``last``, ``[last - first, row_len]``."""
        row_len = self.plan.row_len
        inside = slice(int(self.row_offsets[first]), int(self.row_offsets[last]))
        starts = self.segments.start[inside].tolist()
        lengths = self.segments.length[inside].tolist()
        targets = self.segment_starts(first, last)
        targets += np.repeat(np.arange(last - first) * row_len, np.diff(self.row_offsets[first : last + 1]))
        flat = np.full((last - first) * row_len, self.pad_id, self.ids.dtype)
        ids = self.ids
        # A slice copy a segment moves 2 GB/s; one gather over all ids is 15 times slower.
        for to, start, length in zip(targets.tolist(), starts, lengths, strict=True):
            flat[to : to + length] = ids[start : start + length]
        return flat.reshape(last - first, row_len)

    def segment_starts(self, first: int, last: int) -> np.ndarray:
        """Where in its row each segment of the rows ``first`` to before ``last`` begins, int64."""
        borders = self.row_offsets[first : last + 1] - self.row_offsets[first]
        length = self.segments.length[int(self.row_offsets[first]) : int(self.row_offsets[last])]
        starts = np.cumsum(length) - length
        return starts - np.repeat(starts[borders[:-1]], np.diff(borders))


def pack_rows(ids: np.ndarray, pieces: Pieces, row_len: int, pad_id: int, vocab_size: int) -> PackedRows:
    """The pieces in rows by best-fit decreasing; nothing is dropped.

    Args:
        ids: of all documents, one after another, each in ``[0, vocab_size)``.
        pad_id: fills the rest of a row.
        vocab_size: up to 65,536 the rows are uint16, above it uint32.
    """
    return PackedRows(best_fit(pieces, row_len), ids.astype(token_dtype(vocab_size), copy=False), pad_id)


def token_dtype(vocab_size: int) -> np.dtype:
    """uint16 up to 65,536 ids, else uint32."""
    return np.dtype(np.uint16 if vocab_size <= UINT16_IDS else np.uint32)


def token_shard_schema(seq_len: int, vocab_size: int, metadata: Mapping[str, str | int]) -> pa.Schema:
    """The schema of a token shard.

    Args:
        seq_len: targets a row; rows hold one id more.
        vocab_size: decides uint16 or uint32.
        metadata: the shard's own facts: tokenizer_sha256, document_start_id, split, source, text_bytes, strategy,
            long_documents.
    """
    facts = {**metadata, "schema_version": SCHEMA_VERSION, "seq_len": seq_len, "vocab_size": vocab_size}
    ids = pa.list_(pa.field("item", pa.from_numpy_dtype(token_dtype(vocab_size)), nullable=False), seq_len + 1)
    offsets = pa.list_(pa.field("item", pa.int32(), nullable=False))
    names = pa.list_(pa.field("item", pa.string(), nullable=False))
    columns = {
        "tokens": ids, "segment_starts": offsets, "segment_lengths": offsets, "doc_offsets": offsets,
        "doc_ids": names, "source": pa.string(),
    }  # fmt: skip
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
    return pa.schema(fields, {name: str(facts[name]) for name in sorted(facts)})


def rows_to_batches(rows: PackedRows, doc_ids: pa.Array, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows as record batches of exactly 1,024, the last fewer, each made when it is asked for.

    Args:
        doc_ids: string ``[documents]``: the id of each document that was packed.
        schema: from ``token_shard_schema``, with the source in its metadata.
    """
    for first in range(0, rows.num_rows, ROWS_PER_BATCH):
        last = min(first + ROWS_PER_BATCH, rows.num_rows)
        borders = rows.row_offsets[first : last + 1]
        inside = slice(int(borders[0]), int(borders[-1]))
        offsets = pa.array(borders - borders[0], pa.int32())
        values = {
            "segment_starts": pa.array(rows.segment_starts(first, last), pa.int32()),
            "segment_lengths": pa.array(rows.segments.length[inside], pa.int32()),
            "doc_offsets": pa.array(rows.segments.doc_offset[inside], pa.int32()),
            "doc_ids": doc_ids.take(pa.array(rows.segments.document[inside])),
        }
        lists = [pa.ListArray.from_arrays(offsets, v, type=schema.field(name).type) for name, v in values.items()]
        flat = pa.array(rows.fill(first, last).reshape(-1))
        fixed = pa.FixedSizeListArray.from_arrays(flat, type=schema.field("tokens").type)
        source = pa.array([schema.metadata[b"source"].decode()] * (last - first), pa.string())
        yield pa.RecordBatch.from_arrays([fixed, *lists, source], schema=schema)
