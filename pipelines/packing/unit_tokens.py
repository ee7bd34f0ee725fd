"""A text shard -> the ids of all its documents, batch by batch: of the texts themselves nothing is kept."""

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.packing.rows import token_dtype
from pipelines.packing.token_file import TokenFile
from pipelines.spine.errors import CorpusmillError
from tokenizer.encoding import Encoder

#: UTF-8 bytes of text that are encoded at a time: row groups of other writers may hold a whole file.
PART_BYTES = 8 << 20
#: The tallies of a unit: language -> number. Text tokens are those without document starts.
TEXT_BYTES = "text_bytes_by_language"
TALLIES = ("documents_by_language", "text_tokens_by_language", TEXT_BYTES, "chars_by_language")


@dataclass
class UnitTokens:
    """What packing needs to know of a unit's documents.

    Attributes:
        encoder: the tokenizer.
        where: names the unit in errors.
        doc_ids: in the order of the shard, a chunk a batch; so are ``languages``.
        lengths: ids of each document, its start included, int64, an array a batch.
        sources: of the documents; one, or the unit is refused.
    """

    encoder: Encoder
    where: str
    doc_ids: list[pa.Array] = field(default_factory=list)
    languages: list[pa.Array] = field(default_factory=list)
    lengths: list[np.ndarray] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._ids = TokenFile(token_dtype(self.encoder.vocab_size))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ids.__exit__(kind, error, trace)

    @property
    def ids(self) -> TokenFile:
        """Of all documents, one after another, uint16 or uint32; on disk until the ``with`` block ends."""
        return self._ids

    @property
    def offsets(self) -> np.ndarray:
        """Int64 ``[documents + 1]``: document d is ``ids[offsets[d]:offsets[d + 1]]``."""
        return np.concatenate([[0], *self.lengths]).cumsum(dtype=np.int64)

    def take(self, batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, dict[str, int]]]:
        """Encodes the document batches, some MiB of text at a time, and yields the `TALLIES` of each part.

        Raises:
            CorpusmillError: documents of several sources, or a batch that does not fit in memory.
        """
        parts = (part for batch in batches for part in _parts(batch))
        while True:
            part = None
            try:
                part = next(parts, None)
                if part is None:
                    return
                tallies = self._take(part)
            except MemoryError as error:
                raise self._too_large(part) from error
            yield tallies

    def num_text_bytes(self, first: int, last: int) -> int:
        """UTF-8 bytes that the ids ``first`` to before ``last`` spell; document starts spell none."""
        step = 1 << 20  # the sizes of ids are eight bytes each: a window of them at a time
        return sum(int(self._sizes[self.ids[at : min(at + step, last)]].sum()) for at in range(first, last, step))

    @functools.cached_property
    def _sizes(self) -> np.ndarray:
        """UTF-8 bytes of each id: once a unit, since a large vocabulary takes milliseconds."""
        sizes = np.array([len(token) for token in self.encoder.tokens])
        sizes[self.encoder.document_start_id] = 0
        return sizes

    def _take(self, batch: pa.RecordBatch) -> dict[str, dict[str, int]]:
        self.sources.update(batch["source"].unique().to_pylist())
        if len(self.sources) > 1:
            raise CorpusmillError(
                "documents of several sources in one text shard", where=self.where,
                got=", ".join(sorted(self.sources)[:5]), hint="rows never mix sources: write a file for each source",
            )  # fmt: skip
        ids, offsets = self.encoder.encode_documents(batch["text"])
        self._ids.extend(ids)
        self.doc_ids.append(_copied(batch["doc_id"]))
        self.languages.append(_copied(batch["language"]))
        self.lengths.append(np.diff(offsets))
        return _tallies(batch, np.diff(offsets) - 1)

    def _too_large(self, batch: pa.RecordBatch | None) -> CorpusmillError:
        hint = "give the worker more memory, fewer workers to a machine, or cut the document before `extract`"
        if batch is None or not batch.num_rows:
            return CorpusmillError("the next row group does not fit in memory", where=self.where, hint=hint)
        sizes = pc.binary_length(batch["text"])
        longest = int(np.argmax(sizes.to_numpy()))
        return CorpusmillError(
            "a batch of documents does not fit in memory with its tokens", where=self.where,
            got=f"the longest is {batch['doc_id'][longest].as_py()} with {sizes[longest].as_py():,} bytes", hint=hint,
        )  # fmt: skip


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices of `PART_BYTES` of text, or of one document that is longer."""
    sizes = pc.binary_length(batch["text"]).to_numpy()
    part = (np.cumsum(sizes, dtype=np.int64) - sizes) // PART_BYTES
    borders = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), batch.num_rows]
    for first, last in itertools.pairwise(borders):
        if first < last:
            yield batch.slice(first, last - first)


def _copied(array: pa.Array) -> pa.Array:
    """The values alone: a slice would keep the whole row group."""
    return pa.concat_arrays([array, array.slice(0, 0)])


def _tallies(batch: pa.RecordBatch, num_text_tokens: np.ndarray) -> dict[str, dict[str, int]]:
    text = batch["text"]
    columns = (np.ones(len(text), np.int64), num_text_tokens, pc.binary_length(text), pc.utf8_length(text))
    table = pa.table({"language": batch["language"], **dict(zip(TALLIES, columns, strict=True))})
    sums = table.group_by("language").aggregate([(name, "sum") for name in TALLIES]).to_pylist()
    return {name: {row["language"]: row[f"{name}_sum"] for row in sums} for name in TALLIES}
