"""What text shards and token shards hold, counted from the shards themselves: lengths, languages, tokens, padding.

Lengths of documents are in characters (Unicode code points): words need spaces, and not every language writes them.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.shards import read_batches
from tokenizer.bpe import byte_chars

QUANTILES = (10, 50, 90)


@dataclass(frozen=True)
class TextGroup:
    """The documents of one split, source and language."""

    split: str
    source: str
    language: str


@dataclass
class TextFacts:
    """Lengths in characters (int64) and UTF-8 bytes of documents, by group. Memory: 8 bytes a document."""

    lengths: dict[TextGroup, np.ndarray] = field(default_factory=dict)
    bytes: Counter[TextGroup] = field(default_factory=Counter)

    def add(self, split: str, batch: pa.RecordBatch) -> None:
        """Counts the batch's documents; it has the columns source, language and text."""
        chars = pc.utf8_length(batch.column("text")).to_numpy().astype(np.int64)
        sizes = pc.binary_length(batch.column("text")).to_numpy().astype(np.int64)
        names = list(zip(batch.column("source").to_pylist(), batch.column("language").to_pylist(), strict=True))
        for source, language in sorted(set(names)):
            group = TextGroup(split, source, language)
            here = np.array([name == (source, language) for name in names], bool)
            self.lengths[group] = np.concatenate([self.lengths.get(group, np.empty(0, np.int64)), chars[here]])
            self.bytes[group] += int(sizes[here].sum())

    def select(self, **wanted: str) -> "TextFacts":
        """The groups whose split, source or language is the wanted one."""
        chosen = [g for g in self.lengths if all(getattr(g, name) == value for name, value in wanted.items())]
        return TextFacts({g: self.lengths[g] for g in chosen}, Counter({g: self.bytes[g] for g in chosen}))

    def values(self, name: str) -> list[str]:
        """The splits, sources or languages that occur, those with most bytes first."""
        sizes: Counter[str] = Counter()
        for group, size in self.bytes.items():
            sizes[getattr(group, name)] += size
        return sorted(sizes, key=lambda value: (-sizes[value], value))

    @property
    def all_lengths(self) -> np.ndarray:
        """All lengths, ascending."""
        return np.sort(np.concatenate([np.empty(0, np.int64), *self.lengths.values()]), kind="stable")

    @property
    def num_documents(self) -> int:
        return sum(len(lengths) for lengths in self.lengths.values())

    @property
    def num_chars(self) -> int:
        return int(self.all_lengths.sum())

    @property
    def num_bytes(self) -> int:
        return sum(self.bytes.values())

    @property
    def quantiles(self) -> list[int]:
        """The lengths at 10, 50 and 90 % of the documents, each the length of a document that is there."""
        lengths = self.all_lengths
        return [int(lengths[(len(lengths) - 1) * percent // 100]) if len(lengths) else 0 for percent in QUANTILES]


def text_facts(paths: Iterator[tuple[str, Path]]) -> TextFacts:
    """The facts of document shards, read a row group at a time; ``paths`` are (split, path)."""
    facts = TextFacts()
    for split, path in paths:
        for batch in read_batches(path, ["source", "language", "text"]):
            facts.add(split, batch)
    return facts


def octaves(*lengths: np.ndarray) -> tuple[list[str], list[list[int]]]:
    """Counts by powers of two, over the octaves that any of the arrays reaches.

    Returns:
        (labels, counts): a label is the octave's lower end, ``64`` for 64 to 127; counts, one list per array.
    """
    filled = [values for values in lengths if len(values)]
    if not filled:
        return [], [[] for _ in lengths]
    low = min(int(values.min()) for values in filled).bit_length()
    high = max(int(values.max()) for values in filled).bit_length()
    edges = np.array([1 << bits for bits in range(low, high)], np.int64)
    labels = [f"{1 << bits >> 1:,}" for bits in range(low, high + 1)]
    counts = [np.bincount(np.searchsorted(edges, v, side="right"), minlength=len(labels)).tolist() for v in lengths]
    return labels, counts


@dataclass
class TokenFacts:
    """What the rows of one split hold, all in tokens unless named otherwise.

    Attributes:
        row_len: tokens a row.
        text: text tokens, each a target once.
        starts: document starts.
        context: repeated tokens at the head of continuing segments.
        text_bytes: UTF-8 bytes of the split's documents.
    """

    row_len: int = 0
    rows: int = 0
    documents: int = 0
    segments: int = 0
    text: int = 0
    starts: int = 0
    context: int = 0
    text_bytes: int = 0

    @property
    def places(self) -> int:
        return self.rows * self.row_len

    @property
    def padding(self) -> int:
        return self.places - self.text - self.starts - self.context


def add_token_shard(facts: TokenFacts, path: Path, counts: np.ndarray | None = None) -> None:
    """Adds a token shard to its split's facts.

    Args:
        counts: occurrences by id, int64 ``[vocab_size]``, grown in place by text tokens and document starts.
    Raises:
        CorpusmillError: not a token shard.
    """
    try:
        reader = pa.ipc.open_stream(pa.memory_map(str(path)))
        metadata = {key.decode(): value.decode() for key, value in (reader.schema.metadata or {}).items()}
        facts.row_len = int(metadata["seq_len"]) + 1
        facts.text_bytes += int(metadata["text_bytes"])
        for batch in reader:
            _add_rows(facts, batch, counts)
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise CorpusmillError(f"not a token shard: {error!r}", where=str(path), hint="run `dvc repro pack`") from None


def _add_rows(facts: TokenFacts, batch: pa.RecordBatch, counts: np.ndarray | None) -> None:
    lengths, offsets = batch.column("segment_lengths"), batch.column("doc_offsets").flatten().to_numpy()
    sizes, segments_of_row = lengths.flatten().to_numpy(), pc.list_value_length(lengths).to_numpy()
    continuing = int(np.count_nonzero(offsets))
    facts.rows += batch.num_rows
    facts.segments += len(sizes)
    facts.documents += len(sizes) - continuing
    facts.starts += len(sizes) - continuing
    facts.context += continuing
    facts.text += int(sizes.sum()) - len(sizes)
    if counts is None:
        return
    tokens = batch.column("tokens").flatten().to_numpy().reshape(batch.num_rows, facts.row_len)
    row = np.repeat(np.arange(batch.num_rows), segments_of_row)
    used = np.bincount(row, weights=sizes, minlength=batch.num_rows).astype(np.int64)
    real = np.arange(facts.row_len) < used[:, None]
    # A continuing segment's first token was counted in the row before: find where each segment begins in its row.
    before = np.cumsum(sizes) - sizes
    first_of_row = np.concatenate([[0], np.cumsum(used)[:-1]])
    heads = before - first_of_row[row]
    real[row[offsets > 0], heads[offsets > 0]] = False
    counts += np.bincount(tokens[real], minlength=len(counts))


def token_bytes(tokenizer: Mapping[str, object]) -> tuple[list[bytes], list[bool]]:
    """(bytes of each id, whether it is a special token) of a parsed byte-level ``tokenizer.json``."""
    byte_of = {char: byte for byte, char in byte_chars().items()}
    model, added = tokenizer.get("model"), tokenizer.get("added_tokens")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict) or not isinstance(added, list):
        raise CorpusmillError("not a byte-level BPE tokenizer", where="tokenizer.json", hint="run `dvc repro learn`")
    vocabulary: dict[str, int] = model["vocab"]
    special = {entry["id"]: entry["content"] for entry in added}
    size = max([*vocabulary.values(), *special], default=-1) + 1
    spelled = [b""] * size
    for token, index in vocabulary.items():
        spelled[index] = bytes(byte_of.get(char, 0x3F) for char in token)
    for index, content in special.items():
        spelled[index] = content.encode()
    return spelled, [index in special for index in range(size)]


def parse_tokenizer(path: Path) -> tuple[list[bytes], list[bool]]:
    """``token_bytes`` of a file.

    Raises:
        CorpusmillError: it is no byte-level BPE tokenizer.
    """
    try:
        return token_bytes(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusmillError(f"not a tokenizer: {error!r}", where=str(path), hint="run `dvc repro learn`") from None
