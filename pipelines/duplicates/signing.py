"""Signing: what deduplication must know of each document, made in one pass over a unit and kept beside it.

data/clean/<unit>.parquet  ->  <cache>/<unit>.arrow  (doc_id, id_key, content_key, chars, bands)
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.duplicates.minhash import band_keys, signatures
from pipelines.duplicates.shingles import normalized_hashes, shingle_hashes
from pipelines.spine.schema import as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.units import Unit
from pipelines.spine.work import Outcome


@dataclass(frozen=True)
class SignParams:
    """The part of ``params.yaml: dedup`` that shapes signatures."""

    shingle_size: int
    num_bands: int
    rows_per_band: int
    seed: int


def signed_schema(num_bands: int) -> pa.Schema:
    """Keys are little-endian uint64: two for the id, two for the content, one a band."""
    return pa.schema(
        [
            pa.field("doc_id", pa.string(), False),
            pa.field("id_key", pa.list_(pa.field("item", pa.uint64(), False), 2), False),
            pa.field("content_key", pa.list_(pa.field("item", pa.uint64(), False), 2), False),
            pa.field("chars", pa.int64(), False),
            pa.field("bands", pa.list_(pa.field("item", pa.uint64(), False), num_bands), False),
        ]
    )


def id_keys(doc_ids: list[str]) -> np.ndarray:
    """128-bit digests of the ids, uint64 ``[n, 2]``."""
    digests = b"".join(hashlib.blake2b(doc_id.encode(), digest_size=16).digest() for doc_id in doc_ids)
    return np.frombuffer(digests, "<u8").reshape(-1, 2)


def sign(batch: pa.RecordBatch, params: SignParams) -> pa.RecordBatch:
    """The signed rows of a batch of documents."""
    doc_ids, texts = batch.column("doc_id").to_pylist(), batch.column("text")
    hashes, offsets = shingle_hashes(texts, params.shingle_size)
    signed = signatures(hashes, offsets, params.num_bands * params.rows_per_band, params.seed)
    bands = band_keys(signed, params.num_bands, params.rows_per_band)
    schema = signed_schema(params.num_bands)
    columns = [
        pa.array(doc_ids, pa.string()),
        _fixed_lists(id_keys(doc_ids), schema.field("id_key").type),
        _fixed_lists(normalized_hashes(texts), schema.field("content_key").type),
        pc.utf8_length(texts).cast(pa.int64()),
        _fixed_lists(bands, schema.field("bands").type),
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


@dataclass(frozen=True)
class SignUnit:
    """Work: one unit of documents -> its signed rows, in row order. Memory: one row group."""

    params: SignParams
    stage: ClassVar[str] = "dedup"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".arrow"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a row group."""
        path = unit.inputs[0].path
        for batch in read_batches(path):
            documents = as_documents(batch, path)
            yield Outcome(taken=documents.num_rows, outputs={"": sign(documents, self.params)})
