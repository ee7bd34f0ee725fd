"""Signing: what deduplication must know of each document, made in one pass over a unit and kept beside it.

    data/clean/<unit>.parquet           ->  <cache>/<unit>.arrow  (doc_id, row, id_key, content_key, chars, bands, …)
    <older>/dedup/index/<unit>.parquet  ->  <cache>/<unit>.arrow  the same, of an earlier run: no text is read

The documents that stay have their signed rows published as the index, for a later run to search in.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.duplicates.fingerprints import winnow
from pipelines.duplicates.minhash import band_keys, signatures
from pipelines.duplicates.shingles import normalized_hashes, shingle_hashes
from pipelines.spine.schema import as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.units import Unit
from pipelines.spine.work import Outcome


@dataclass(frozen=True)
class SignParams:
    """The part of ``params.yaml: dedup`` that shapes signed rows: two runs can meet only where it is the same."""

    normalization: str
    shingle_size: int
    num_bands: int
    rows_per_band: int
    seed: int
    with_fingerprints: bool


#: Shingles of which one becomes a fingerprint: a passage of so many, standing in two documents, is always found. 32
#: words are two sentences; one shingle in 17 is shuffled.
FINGERPRINT_WINDOW = 32


def signed_schema(num_bands: int) -> pa.Schema:
    """Row: in the document shard. Keys are little-endian uint64: two for the id, two for the content, one a band."""
    key = pa.field("item", pa.uint64(), False)
    return pa.schema(
        [
            pa.field("doc_id", pa.string(), False),
            pa.field("row", pa.int64(), False),
            pa.field("id_key", pa.list_(key, 2), False),
            pa.field("content_key", pa.list_(key, 2), False),
            pa.field("chars", pa.int64(), False),
            pa.field("bands", pa.list_(key, num_bands), False),
            pa.field("fingerprints", pa.list_(key), False),
        ]
    )


def id_keys(doc_ids: list[str]) -> np.ndarray:
    """128-bit digests of the ids, uint64 ``[n, 2]``."""
    digests = b"".join(hashlib.blake2b(doc_id.encode(), digest_size=16).digest() for doc_id in doc_ids)
    return np.frombuffer(digests, "<u8").reshape(-1, 2)


def sign(batch: pa.RecordBatch, first_row: int, params: SignParams) -> pa.RecordBatch:
    """The signed rows of a batch of documents, the first of which is row ``first_row`` of its shard."""
    doc_ids, texts = batch.column("doc_id").to_pylist(), batch.column("text")
    hashes, offsets = shingle_hashes(texts, params.shingle_size)
    signed = signatures(hashes, offsets, params.num_bands * params.rows_per_band, params.seed)
    bands = band_keys(signed, params.num_bands, params.rows_per_band)
    if not params.with_fingerprints:
        hashes, offsets = hashes[:0], 0 * offsets
    prints, ends = winnow(hashes, offsets, FINGERPRINT_WINDOW)
    schema = signed_schema(params.num_bands)
    columns = [
        pa.array(doc_ids, pa.string()),
        pa.array(np.arange(first_row, first_row + batch.num_rows), pa.int64()),
        _fixed_lists(id_keys(doc_ids), schema.field("id_key").type),
        _fixed_lists(normalized_hashes(texts, params.normalization), schema.field("content_key").type),
        pc.utf8_length(texts).cast(pa.int64()),
        _fixed_lists(bands, schema.field("bands").type),
        pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(prints), type=schema.field("fingerprints").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _fixed_lists(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, np.uint64).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=kind)


def fixed_lists_array(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column of fixed-size lists of uint64 as an array ``[rows, list size]``."""
    chunk = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    size = chunk.type.list_size
    return chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, size)


def lists_arrays(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """A column of lists of uint64 as ``(values, lengths)``: uint64, and int64 ``[rows]``."""
    lists = column.combine_chunks()
    return lists.flatten().to_numpy(zero_copy_only=False), pc.list_value_length(lists).to_numpy().astype(np.int64)


@dataclass(frozen=True)
class SignUnit:
    """Work: one unit of documents -> its signed rows, in row order. Memory: one row group.

    A unit of an older corpus gives those that its index holds.
    """

    params: SignParams
    stage: ClassVar[str] = "dedup"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".arrow"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a row group."""
        path, row = unit.inputs[0].path, 0
        for batch in read_batches(path, sha256=unit.inputs[0].sha256):
            if is_older(unit):
                rows = batch.cast(signed_schema(self.params.num_bands))
            else:
                rows = sign(as_documents(batch, path), row, self.params)
            row += batch.num_rows
            yield Outcome(taken=batch.num_rows, outputs={"": rows}, apart=_num_keys(rows))


def _num_keys(rows: pa.RecordBatch) -> dict[str, int]:
    return {"fingerprints": len(rows.column("fingerprints").flatten())}


#: Setting of a unit whose documents an earlier run has decided: its inputs are the index and the documents.
OLDER = ("older", "yes")


def is_older(unit: Unit) -> bool:
    """Whether the unit's documents were decided by an earlier run."""
    return OLDER in unit.settings
