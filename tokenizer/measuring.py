"""A sample of documents by source and language, and how many tokens, characters and words it has.

    documents  ->  the first by a hash of their ids, until a group has so many bytes  ->  a row a vocabulary and group

A word is a run of letters and digits between white space in scripts that part words by it ("don't", "e-mail" and
"3.14" are one each). Chinese, kana, Thai, Lao, Khmer, Burmese and the like do not: there each letter is a word. So
tokens per word compare vocabularies on one language, and not languages with each other.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from pipelines.cleaning.scripts import CLOSE, IDEOGRAM, KIND, LETTER, SPACE, WORD, character_tables


class Vocabulary(Protocol):
    """What is measured: our tokenizers and those of others."""

    @property
    def name(self) -> str: ...

    @property
    def vocab_size(self) -> int: ...

    def tokens_per_text(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True, order=True)
class Group:
    """The documents of one source and language."""

    source: str
    language: str


@dataclass
class GroupSample:
    """The documents with the smallest hashes, as many as it takes to reach ``max_bytes``. Memory: their texts.

    A pure function of the documents given, in whatever order: one that is left out has a larger hash than enough
    others, and more documents only add to those.
    """

    max_bytes: int
    num_bytes: int = 0
    _heap: list[tuple[int, str, int, str]] = field(default_factory=list)  # the largest hash first

    def add(self, doc_id: str, text: str) -> None:
        """Offers a document."""
        rank = int.from_bytes(hashlib.blake2b(doc_id.encode(), digest_size=8).digest(), "big")
        size = len(text.encode())
        heapq.heappush(self._heap, (-rank, doc_id, size, text))
        self.num_bytes += size
        while self.num_bytes - self._heap[0][2] >= self.max_bytes:
            self.num_bytes -= heapq.heappop(self._heap)[2]

    @property
    def texts(self) -> list[str]:
        """The texts, by hash."""
        return [text for _, _, _, text in sorted(self._heap, reverse=True)]


def sample_groups(batches: Iterable[pa.RecordBatch], max_bytes: int) -> tuple[dict[Group, list[str]], int]:
    """The sampled texts of each group, groups in order, and how many bytes of text were offered in all."""
    samples: dict[Group, GroupSample] = {}
    offered = 0
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("doc_id", "source", "language", "text")]
        for doc_id, source, language, text in zip(*columns, strict=True):
            offered += len(text.encode())
            samples.setdefault(Group(source, language), GroupSample(max_bytes)).add(doc_id, text)
    return {group: samples[group].texts for group in sorted(samples)}, offered


def count_words(texts: Iterable[str]) -> int:
    """Words, as the module says.

    >>> count_words(["Don't e-mail 3.14!", "漢字かな", "ไทย 1"])
    11
    """
    kinds = character_tables().kinds
    total = 0
    for text in texts:
        kind = kinds[np.frombuffer(text.encode("utf-32-le"), np.uint32)] & KIND
        alone = (kind == IDEOGRAM) | (kind == LETTER)
        # Without punctuation and marks, a word begins at each WORD character that does not follow another one.
        kept = kind[(kind == WORD) | alone | (kind == SPACE) | (kind == CLOSE)]
        in_word = kept == WORD
        total += int(alone.sum()) + int(in_word[:1].sum()) + int((in_word[1:] & ~in_word[:-1]).sum())
    return total


def measure_groups(
    groups: Mapping[Group, Sequence[str]], vocabularies: Sequence[Vocabulary]
) -> list[dict[str, object]]:
    """A row for each group and vocabulary: documents, bytes, characters, words, tokens."""
    rows = []
    for group, texts in groups.items():
        size = {
            "source": group.source, "language": group.language, "documents": len(texts),
            "bytes": sum(len(text.encode()) for text in texts), "characters": sum(map(len, texts)),
            "words": count_words(texts),
        }  # fmt: skip
        for vocabulary in vocabularies:
            tokens = int(vocabulary.tokens_per_text(texts).sum())
            rows.append({"vocabulary": vocabulary.name, **size, "tokens": tokens})
    return rows


def ratios(rows: Iterable[Mapping[str, object]]) -> dict[str, float]:
    """Bytes and characters per token and tokens per word of all the rows together; one that has no divisor is left out."""
    sums = dict.fromkeys(("bytes", "characters", "words", "tokens"), 0)
    for row in rows:
        for name in sums:
            sums[name] += int(str(row[name]))
    parts = {
        "bytes_per_token": ("bytes", "tokens"), "characters_per_token": ("characters", "tokens"),
        "tokens_per_word": ("tokens", "words"),
    }  # fmt: skip
    return {name: round(sums[up] / sums[down], 4) for name, (up, down) in parts.items() if sums[down]}
