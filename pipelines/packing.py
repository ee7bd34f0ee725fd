"""Token ids of documents -> rows of one length, every text token a target exactly once.

Words: a *row* has ``row_len = seq_len + 1`` ids (inputs ``row[:-1]``, targets ``row[1:]``); a *segment* is one
document's run of ids inside a row; *padding* (the document-start id) fills what is left at a row's end.

Worked example, ``row_len`` 5, the document start is 0, documents ``0 a b c d e f`` and ``0 x``:

    split   0 a b c d | d e f | 0 x        a continuing piece repeats the last id of the piece before it (context)
    rows    0 a b c d                      segment lengths [5]     document offsets [0]
            d e f 0 x                      segment lengths [3, 2]  document offsets [4, 0]

Targets: a b c d; e f and x (``d`` and ``0`` at the head of a segment are no targets): each text token once.
9 tokens in + 1 repeated = 10 in rows, 0 padding. Source of the packing: best-fit decreasing, as in "Fewer
Truncations Improve Language Modeling" (Ding et al. 2024).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import SCHEMA_VERSION
from pipelines.spine.shards import ROWS_PER_BATCH

#: The largest vocabulary whose ids fit in uint16.
UINT16_IDS = 1 << 16


@dataclass(frozen=True)
class Pieces:
    """Runs of at most a row's length, in document order. All arrays int64 ``[pieces]``.

    Attributes:
        start: where the piece begins in the ids of all documents.
        length: its ids.
        document: the index of its document.
        doc_offset: where it begins in its document; > 0 for a continuing piece, whose first id is repeated context.
    """

    start: np.ndarray
    length: np.ndarray
    document: np.ndarray
    doc_offset: np.ndarray

    @property
    def num_repeated(self) -> int:
        """How many ids stand twice: one for each continuing piece."""
        return int(np.count_nonzero(self.doc_offset))


@dataclass(frozen=True)
class PackedRows:
    """Rows and the segments inside them, in row order and left to right.

    Attributes:
        tokens: ``[rows, row_len]``, uint16 or uint32.
        row_offsets: int32 ``[rows + 1]``; the segments of row r are ``row_offsets[r]:row_offsets[r + 1]``.
        segments: one piece a segment, in that order.
    """

    tokens: np.ndarray
    row_offsets: np.ndarray
    segments: Pieces

    @property
    def segment_starts(self) -> np.ndarray:
        """Where each segment begins in its row, int64."""
        ends = np.cumsum(self.segments.length)
        starts = ends - self.segments.length
        return starts - np.repeat(starts[self.row_offsets[:-1]], np.diff(self.row_offsets))

    @property
    def num_padding(self) -> int:
        """Ids that belong to no segment."""
        return self.tokens.size - int(self.segments.length.sum())


def split_documents(offsets: np.ndarray, row_len: int) -> Pieces:
    """Cuts documents longer than a row; each continuing piece begins with the last id of the one before.

    Args:
        offsets: int64 ``[documents + 1]``; document d is ``ids[offsets[d]:offsets[d + 1]]``. Empty ones give no piece.
        row_len: at least 2, since a continuing piece holds its context and one target.
    Raises:
        CorpusmillError: ``row_len`` is below 2.
    """
    if row_len < 2:
        raise CorpusmillError("a row holds no target", where="seq_len", expected="1 or more", got=row_len - 1)
    lengths = np.diff(offsets)
    step = row_len - 1
    # A document of n ids has n - 1 targets, and a row has room for row_len - 1; a lone document start is a piece too.
    num_pieces = np.where(lengths > 1, -(-(lengths - 1) // step), lengths)
    document = np.repeat(np.arange(len(lengths)), num_pieces)
    index = np.arange(len(document)) - np.repeat(np.cumsum(num_pieces) - num_pieces, num_pieces)
    doc_offset = index * step
    length = np.minimum(row_len, lengths[document] - doc_offset)
    return Pieces(np.asarray(offsets)[:-1][document] + doc_offset, length, document, doc_offset)


def pack_rows(ids: np.ndarray, pieces: Pieces, row_len: int, pad_id: int, vocab_size: int) -> PackedRows:
    """Rows filled by best-fit decreasing; nothing is dropped.

    A row's segments stand in document order, and rows are ordered by their first segment: the rows are a function
    of the ids and ``row_len`` alone.

    Args:
        ids: of all documents, one after another, each in ``[0, vocab_size)``.
        pad_id: fills the rest of a row.
        vocab_size: up to 65,536 the rows are uint16, above it uint32.
    """
    num_pieces = len(pieces.length)
    row = _rows_by_first_piece(_best_fit_decreasing(pieces.length, row_len))
    order = np.argsort(row, kind="stable")
    num_rows = int(row.max()) + 1 if num_pieces else 0
    row_offsets = np.zeros(num_rows + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=num_rows), out=row_offsets[1:])

    segments = Pieces(*(part[order] for part in (pieces.start, pieces.length, pieces.document, pieces.doc_offset)))
    filled = np.cumsum(segments.length) - segments.length
    row = row[order]
    target = row * row_len + filled - filled[row_offsets[:-1]][row]
    flat = np.full(num_rows * row_len, pad_id, token_dtype(vocab_size))
    ids = ids.astype(flat.dtype, copy=False)
    # A slice copy a segment moves 2 GB/s; one gather over all ids is 15 times slower.
    for to, start, length in zip(target.tolist(), segments.start.tolist(), segments.length.tolist(), strict=True):
        flat[to : to + length] = ids[start : start + length]
    return PackedRows(flat.reshape(num_rows, row_len), row_offsets.astype(np.int32), segments)


def token_dtype(vocab_size: int) -> np.dtype:
    """uint16 up to 65,536 ids, else uint32."""
    return np.dtype(np.uint16 if vocab_size <= UINT16_IDS else np.uint32)


def token_shard_schema(seq_len: int, vocab_size: int, metadata: Mapping[str, str | int]) -> pa.Schema:
    """The schema of a token shard.

    Args:
        seq_len: targets a row; rows hold one id more.
        vocab_size: decides uint16 or uint32.
        metadata: the shard's own facts: tokenizer_sha256, document_start_id, split, source, text_bytes.
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
    """The rows as record batches of exactly 1,024, the last fewer.

    Args:
        doc_ids: string ``[documents]``: the id of each document that was split.
        schema: from ``token_shard_schema``.
    """
    for first in range(0, len(rows.tokens), ROWS_PER_BATCH):
        tokens = rows.tokens[first : first + ROWS_PER_BATCH]
        borders = rows.row_offsets[first : first + len(tokens) + 1]
        inside = slice(int(borders[0]), int(borders[-1]))
        starts = pa.array(borders - borders[0], pa.int32())
        values = (
            pa.array(rows.segment_starts[inside], pa.int32()),
            pa.array(rows.segments.length[inside], pa.int32()),
            pa.array(rows.segments.doc_offset[inside], pa.int32()),
            doc_ids.take(pa.array(rows.segments.document[inside])),
        )
        kinds = [schema.field(name).type for name in ("segment_starts", "segment_lengths", "doc_offsets", "doc_ids")]
        lists = [pa.ListArray.from_arrays(starts, v, type=kind) for v, kind in zip(values, kinds, strict=True)]
        fixed = pa.FixedSizeListArray.from_arrays(pa.array(tokens.reshape(-1)), type=schema.field("tokens").type)
        source = pa.array([schema.metadata[b"source"].decode()] * len(tokens), pa.string())
        yield pa.RecordBatch.from_arrays([fixed, *lists, source], schema=schema)


def _best_fit_decreasing(length: np.ndarray, row_len: int) -> np.ndarray:
    """The row of each piece, int64: longest first, each to the row with the least space that suffices.

    Rows of equal space are interchangeable, so the state is one stack of rows per space and a bitmask (a Python
    integer) of the stacks that are not empty: the least sufficient space is its lowest bit from ``length`` on.
    """
    order = np.argsort(-length, kind="stable")
    row = np.empty(len(length), np.int64)
    stacks: list[list[int]] = [[] for _ in range(row_len)]
    spaces, num_rows = 0, 0
    for piece, size in zip(order.tolist(), length[order].tolist(), strict=True):
        enough = spaces >> size
        if enough:
            space = size + (enough & -enough).bit_length() - 1
            chosen = stacks[space].pop()
            if not stacks[space]:
                spaces ^= 1 << space
        else:
            space, chosen = row_len, num_rows
            num_rows += 1
        row[piece] = chosen
        space -= size
        if space:
            stacks[space].append(chosen)
            spaces |= 1 << space
    return row


def _rows_by_first_piece(row: np.ndarray) -> np.ndarray:
    """The same assignment with rows renumbered in the order of their first pieces."""
    _, first, inverse = np.unique(row, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse]
