"""Which rows hold a document, and which documents a row holds, by bisection in an index beside the token shards.

    data/pack/index/<unit>.arrow    doc_hash uint64, row int32, one record batch, sorted by both

``doc_hash`` is BLAKE2b with an 8-byte digest of the id's UTF-8 bytes, read as little-endian; ``row`` counts in the
unit's shard. A document in n rows has n entries. Two ids may share a hash: the ids in the row decide.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Manifest, Shard, read_manifest
from pipelines.token_shards import SPLITS, MappedShard

#: The kind of the index files among what lies beside the shards: their folder.
INDEX = "index"
SCHEMA = pa.schema([pa.field("doc_hash", pa.uint64(), False), pa.field("row", pa.int32(), False)])


@dataclass(frozen=True)
class Place:
    """A segment: one document's run of tokens in one row.

    Attributes:
        split, shard: where the row is; the shard by its file name.
        row: its number in the shard.
        split_row: its number in the split, as training counts rows.
        start, length: the segment's places in the row.
        doc_offset: the token of the document at ``start``; > 0: it continues, and that token is repeated context.
    """

    doc_id: str
    split: str
    shard: str
    row: int
    split_row: int
    start: int
    length: int
    doc_offset: int


def hash_ids(doc_ids: list[str]) -> np.ndarray:
    """The hash of each id, uint64."""
    digests = [hashlib.blake2b(doc_id.encode(), digest_size=8).digest() for doc_id in doc_ids]
    return np.frombuffer(b"".join(digests), "<u8")


def index_rows(doc_ids: pa.Array, document: np.ndarray, row_offsets: np.ndarray, where: str) -> pa.RecordBatch:
    """The index of a shard.

    Args:
        doc_ids: of the unit's documents, string.
        document: the index in ``doc_ids`` of each segment's document, in row order.
        row_offsets: the segments of row r are ``row_offsets[r]:row_offsets[r + 1]``.
        where: names the unit in errors.
    Raises:
        CorpusmillError: two documents have one id.
    """
    hashes = hash_ids(doc_ids.to_pylist())
    _expect_unique(doc_ids, hashes, where)
    row = np.repeat(np.arange(len(row_offsets) - 1, dtype=np.int32), np.diff(row_offsets))
    order = np.argsort(hashes[document], kind="stable")  # rows ascend already
    arrays = [pa.array(hashes[document][order]), pa.array(row[order])]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def find_document(folder: str | Path, doc_id: str) -> list[Place]:
    """Every segment of the document, from its first token to its last; of each shard's, where several hold the id.

    Memory: a few pages of each shard's index, and the columns of the rows found.

    Raises:
        CorpusmillError: no shard holds it, or there is no index.
    """
    manifest = read_manifest(folder)
    try:
        (wanted,) = hash_ids([doc_id])
    except UnicodeEncodeError:  # bytes of a command line that are not UTF-8
        raise CorpusmillError("no doc_id: not Unicode", where="--doc", got=repr(doc_id)) from None
    found = []
    for split in SPLITS:
        for shard, first_row in _with_first_rows(manifest, split):
            rows = _rows_of(manifest, f"{INDEX}/{shard.stem}.arrow", wanted)
            if len(rows):
                mapped = MappedShard.of(manifest, shard)
                found += [p for row in rows.tolist() for p in _places(mapped, shard, row, first_row)]
    places = [place for place in found if place.doc_id == doc_id]
    if not places:
        raise CorpusmillError(
            "no row holds this document", where=str(manifest.folder), got=doc_id,
            hint="ids are source:key; `python -m pipelines.dedup --explain ID` says whether it was dropped as a copy",
        )  # fmt: skip
    return sorted(places, key=lambda place: (place.split, place.shard, place.doc_offset))


def documents_of_row(folder: str | Path, split: str, split_row: int) -> list[Place]:
    """The segments of one row of a split, left to right; opens the one shard that holds it.

    Raises:
        CorpusmillError: no such row or split.
    """
    manifest = read_manifest(folder)
    num_rows = 0
    for shard, first_row in _with_first_rows(manifest, split):
        num_rows = first_row + shard.rows
        if first_row <= split_row < num_rows:
            return _places(MappedShard.of(manifest, shard), shard, split_row - first_row, first_row)
    got = f"{split}:{split_row}"
    if not num_rows:
        held = ", ".join(sorted({shard.split for shard in manifest.shards})) or "no rows at all"
        raise CorpusmillError("no rows in this split", where=str(manifest.folder), expected=held, got=got)
    raise CorpusmillError("no such row", where=str(manifest.folder), expected=f"{split}:0 to {num_rows - 1:,}", got=got)


def _with_first_rows(manifest: Manifest, split: str) -> Iterator[tuple[Shard, int]]:
    """The shards of a split, and the number in the split of each one's first row."""
    first_row = 0
    for shard in manifest.of_split(split):
        yield shard, first_row
        first_row += shard.rows


def _rows_of(manifest: Manifest, index: str, wanted: np.uint64) -> np.ndarray:
    """Rows that the index file of a shard names under the hash."""
    try:
        (batch,) = pa.ipc.open_stream(pa.memory_map(str(manifest.local_evidence(index))))
        hashes, rows = (np.frombuffer(batch.column(name).buffers()[1], kind) for name, kind in _VIEWS)
    except (pa.ArrowInvalid, OSError, ValueError, KeyError):
        raise CorpusmillError(
            "no index of this shard, or a damaged one", where=manifest.places.get(index) or str(manifest.folder / index),
            hint="run `dvc repro pack`, or `dvc checkout`, to bring it back",
        ) from None  # fmt: skip
    hashes = hashes[: batch.num_rows]
    first, last = np.searchsorted(hashes, wanted), np.searchsorted(hashes, wanted, side="right")
    return np.unique(rows[first:last])  # two ids of one hash in one row name it twice


#: The columns as numpy sees them in place; pyarrow's own ``to_numpy`` imports pandas.
_VIEWS = (("doc_hash", np.dtype("<u8")), ("row", np.dtype("<i4")))


def _places(mapped: MappedShard, shard: Shard, row: int, first_row: int) -> list[Place]:
    view = mapped.row(row)
    columns = zip(mapped.doc_ids(row), view.starts.tolist(), view.lengths.tolist(), view.offsets.tolist(), strict=True)
    return [Place(name, shard.split, shard.name, row, first_row + row, *numbers) for name, *numbers in columns]


def _expect_unique(doc_ids: pa.Array, hashes: np.ndarray, where: str) -> None:
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    suspects = np.unique(np.concatenate([order[same], order[same + 1]]))
    seen: set[str] = set()
    for doc_id in doc_ids.take(pa.array(suspects)).to_pylist():
        if doc_id in seen:
            raise CorpusmillError(
                "two documents of one text shard have one id", where=where, got=doc_id,
                hint="the rows of a document could not be told from the other's: make the ids unique",
            )  # fmt: skip
        seen.add(doc_id)
