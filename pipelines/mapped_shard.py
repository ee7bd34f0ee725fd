"""One token shard, memory-mapped: what `pack` wrote, row by row and document by document.

Words (see ``docs``): a *row* holds ``seq_len`` + 1 tokens; a *segment* is one document's run of tokens inside it; a
*continuing* segment starts in the middle of its document (``doc_offset`` > 0) and repeats the token before as context.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Manifest, Shard
from pipelines.spine.shards import ROWS_PER_BATCH

Integers = np.ndarray


@dataclass(frozen=True)
class ShardFacts:
    """What a token shard says about itself; equal in all shards of a folder except for the last two."""

    tokenizer_sha256: str
    seq_len: int
    document_start_id: int
    vocab_size: int
    source: str
    text_bytes: int

    @property
    def common(self) -> tuple[str, int, int, int]:
        return (self.tokenizer_sha256, self.seq_len, self.document_start_id, self.vocab_size)


class MappedShard:
    """One memory-mapped Arrow stream; any row is two divisions away.

    Args:
        path: the file; of an object in a store the local copy.
        name: the shard's in its manifest, which a copy's name need not be; the file's where it is not given.
        place: where it lies, for messages; the path where it is not given.
    Raises:
        CorpusmillError: not an Arrow stream, another one than a token shard, or batches of another size than 1,024.
    """

    def __init__(self, path: Path, name: str = "", place: str = "") -> None:
        self.path, self.name, self.place = path, name or path.name, place or str(path)
        try:
            reader = pa.ipc.open_stream(pa.memory_map(str(path)))
            self.facts = facts_of(reader.schema, self.place)  # before the columns: another program's stream lacks both
            self._batches = [_RowGroup(batch) for batch in reader]
        except (pa.ArrowInvalid, OSError) as error:
            raise CorpusmillError(
                f"not a whole Arrow stream: {' '.join(str(error).split())}", where=self.place,
                hint="run `dvc repro pack`, or `dvc checkout`, to bring the shard back",
            ) from None  # fmt: skip
        self.num_rows = sum(batch.num_rows for batch in self._batches)
        sizes = [batch.num_rows for batch in self._batches]
        if any(size != ROWS_PER_BATCH for size in sizes[:-1]) or max(sizes, default=0) > ROWS_PER_BATCH:
            raise CorpusmillError(
                "record batches of another size", where=self.place, expected=f"{ROWS_PER_BATCH}, the last fewer",
                got=", ".join(map(str, sizes[:5])), hint="write the shard anew with pipelines.pack",
            )  # fmt: skip

    @classmethod
    def of(cls, manifest: Manifest, entry: Shard) -> "MappedShard":
        """A shard of a folder, from wherever it lies."""
        place = manifest.place_of(entry)
        try:
            return cls(manifest.local(entry), entry.name, place)
        except FileNotFoundError:
            raise CorpusmillError(
                "a shard is not in the store", where=place,
                hint="run `dvc repro --force --single-item pack`: only what is missing is computed",
            ) from None  # fmt: skip

    def row(self, index: int) -> "Row":
        return self._batches[index // ROWS_PER_BATCH].row(index % ROWS_PER_BATCH)

    def tokens(self, index: int) -> Integers:
        """The ids of one row alone: a view, and a third of the time that ``row`` takes."""
        return self._batches[index // ROWS_PER_BATCH].tokens[index % ROWS_PER_BATCH]

    def doc_ids(self, index: int) -> list[str]:
        """The document of each segment of a row."""
        return self._batches[index // ROWS_PER_BATCH].doc_ids[index % ROWS_PER_BATCH].as_py()

    @property
    def num_text_tokens(self) -> int:
        """Targets that are text: each segment's tokens but the first."""
        return sum(batch.num_text_tokens for batch in self._batches)

    def documents(self) -> Iterator[Integers]:
        """The ids of each document: ``whole_documents`` without their names."""
        return (tokens for _, tokens in self.whole_documents())

    def whole_documents(self) -> Iterator[tuple[str, Integers]]:
        """(doc_id, ids) of each document, start token first, in the order in which documents begin in the rows.

        Packing is by shard, so a document never leaves its shard. Memory: some 250 bytes for each piece of a document
        that goes on in another row, and 1,024 rows; whole documents of one piece are never gathered.

        Raises:
            CorpusmillError: the pieces of a document overlap or leave a gap.
        """
        continuing = self._continuing()
        for batch in self._batches:
            for place, ids in enumerate(batch.doc_ids.to_pylist()):
                for doc_id, offset, tokens in _segments(batch.row(place), ids):
                    if not offset:
                        yield doc_id, self._joined(doc_id, [(0, tokens), *continuing.pop(doc_id, ())])
        for doc_id, pieces in continuing.items():  # their documents begin nowhere
            self._joined(doc_id, pieces)

    def _continuing(self) -> dict[str, list[tuple[int, Integers]]]:
        """(offset in the document, ids) of each piece that does not begin its document, by document and in order."""
        pieces: dict[str, list[tuple[int, Integers]]] = {}
        for batch in self._batches:
            rows = batch.continuing_rows
            for place, ids in zip(rows.tolist(), batch.doc_ids.take(pa.array(rows)).to_pylist(), strict=True):
                for doc_id, offset, tokens in _segments(batch.row(place), ids):
                    if offset:
                        pieces.setdefault(doc_id, []).append((offset, tokens))
        for found in pieces.values():
            found.sort(key=lambda piece: piece[0])
        return pieces

    def _joined(self, doc_id: str, pieces: list[tuple[int, Integers]]) -> Integers:
        """Each piece but the first repeats one token as context; without it the pieces are the document."""
        length = 1
        for offset, tokens in pieces:
            if offset != length - 1:
                raise CorpusmillError(
                    "a document's pieces overlap or leave a gap", where=f"{self.name}: {doc_id}",
                    expected=f"a piece at token {length - 1}", got=f"one at {offset}", hint="run `dvc repro pack`",
                )  # fmt: skip
            length += len(tokens) - 1
        return np.concatenate([tokens if offset == 0 else tokens[1:] for offset, tokens in pieces])


@dataclass(frozen=True)
class Row:
    """Views into the map: tokens ``[seq_len + 1]``; of each segment its length and its offset in its document."""

    tokens: Integers
    lengths: Integers
    offsets: Integers

    @property
    def starts(self) -> Integers:
        """Where in the row each segment begins: the column ``segment_starts``."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def num_scored(self) -> int:
        """Text tokens that are targets here: every segment's but its first."""
        return int(self.lengths.sum()) - len(self.lengths)

    @property
    def num_trained(self) -> int:
        """Targets that count in training: the scored ones and the document starts after another segment."""
        return self.num_scored + int((self.offsets[1:] == 0).sum())


def _segments(row: Row, doc_ids: list[str]) -> Iterator[tuple[str, int, Integers]]:
    """(doc_id, offset in the document, ids) of each segment, left to right."""
    columns = (row.starts.tolist(), row.lengths.tolist(), row.offsets.tolist())
    for doc_id, start, length, offset in zip(doc_ids, *columns, strict=True):
        yield doc_id, offset, row.tokens[start : start + length]


class _RowGroup:
    """A record batch as numpy views; nothing is copied."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        tokens, lengths, offsets = (batch.column(name) for name in ("tokens", "segment_lengths", "doc_offsets"))
        self.num_rows = batch.num_rows
        self.doc_ids = batch.column("doc_ids")
        self.tokens = _view(tokens.values).reshape(batch.num_rows, -1)
        self._starts = _view(lengths.offsets)
        self._lengths = _view(lengths.values)
        self._offsets = _view(offsets.values)

    @property
    def num_text_tokens(self) -> int:
        return int(self._lengths.sum()) - len(self._lengths)

    @property
    def continuing_rows(self) -> Integers:
        """The rows that hold a piece of a document that began in another row."""
        return np.unique(np.searchsorted(self._starts, np.flatnonzero(self._offsets), side="right") - 1)

    def row(self, index: int) -> Row:
        segments = slice(self._starts[index], self._starts[index + 1])
        return Row(self.tokens[index], self._lengths[segments], self._offsets[segments])


def _view(array: pa.Array) -> Integers:
    """The array's numbers without a copy; pyarrow's own ``to_numpy`` would import pandas, half a second."""
    dtype = np.dtype(str(array.type))
    return np.frombuffer(array.buffers()[1], dtype)[array.offset : array.offset + len(array)]


def expect_common(shard: MappedShard, first: ShardFacts, name: str) -> None:
    """Passes when the shard was packed as the first one of the folder was, whose name is given.

    Raises:
        CorpusmillError: it was not.
    """
    if shard.facts.common != first.common:
        raise CorpusmillError(
            "shards of one folder were packed in different ways", where=shard.place,
            expected=f"{first.common} as in {name}", got=shard.facts.common,
            hint="(tokenizer sha256, seq_len, document start, vocabulary) must agree: run `dvc repro pack`",
        )  # fmt: skip


def facts_of(schema: pa.Schema, place: str) -> ShardFacts:
    """What the head of a shard says.

    Raises:
        CorpusmillError: it is no token shard's.
    """
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    try:
        return ShardFacts(
            metadata["tokenizer_sha256"], int(metadata["seq_len"]), int(metadata["document_start_id"]),
            int(metadata["vocab_size"]), metadata["source"], int(metadata["text_bytes"]),
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise CorpusmillError(
            f"schema metadata lack or garble {error}", where=place, hint="token shards come from pipelines.pack"
        ) from None
