"""The tokens of a vocabulary: how often each stands in the train text, the longest, those that are no text alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from pipelines.spine.schema import COUNT
from pipelines.spine.shards import read_batches
from tokenizer.counting import gathered
from tokenizer.encoding import Encoder

#: Code points that are characters: all but the surrogates.
CODE_POINTS = 0x110000 - 0x800
_BLOCK = 4096


class Ours:
    """One of our tokenizers, as it is measured beside others."""

    def __init__(self, name: str, encoder: Encoder, special: Sequence[int]) -> None:
        self.name, self.encoder, self.special = name, encoder, frozenset(special)

    @property
    def vocab_size(self) -> int:
        return self.encoder.vocab_size

    @property
    def learned(self) -> list[int]:
        """The ids of bytes and merges."""
        return [index for index in range(self.vocab_size) if index not in self.special]

    def tokens_per_text(self, texts: Sequence[str]) -> np.ndarray:
        """How many tokens each text has, int64 ``[texts]``."""
        return np.diff(self.encoder.encode_batch(texts)[1])


def read_counts(folder: str | Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """Pre-tokens and how often each stands in the train text, int64, some hundred thousand at a time.

    Raises:
        CorpusmillError: the folder is not the output of `count`.
    """
    for table in gathered(_count_batches(folder)):
        yield table.column(0).cast(pa.string()).to_pylist(), table.column(1).to_numpy()


def _count_batches(folder: str | Path) -> Iterator[pa.RecordBatch]:
    manifest = read_manifest(folder).check()
    for shard in manifest.shards:
        for batch in read_batches(manifest.place_of(shard), sha256=shard.sha256):
            if batch.schema.names != COUNT.names:
                raise CorpusmillError(
                    "not a table of pre-token counts", where=str(manifest.place_of(shard)), expected=COUNT.names,
                    got=batch.schema.names, hint="give the output of `count` as --counts",
                )  # fmt: skip
            yield batch


def count_occurrences(batches: Iterable[tuple[list[str], np.ndarray]], ours: Sequence[Ours]) -> list[np.ndarray]:
    """How often each id stands in the train text, int64 ``[vocab_size]`` a vocabulary.

    Exact without reading the text: no token crosses a pre-token, so each different one is encoded once and weighted.
    """
    found = [np.zeros(vocabulary.vocab_size, np.int64) for vocabulary in ours]
    for pre_tokens, counts in batches:
        for vocabulary, occurrences in zip(ours, found, strict=True):
            ids, offsets = vocabulary.encoder.encode_batch(pre_tokens)
            np.add.at(occurrences, ids, np.repeat(counts, np.diff(offsets)))
    return found


def describe_tokens(ours: Ours, occurrences: np.ndarray, rare_below: int, num_listed: int) -> dict[str, object]:
    """What is known of one vocabulary's tokens.

    Args:
        rare_below: a token is rare that stands less often in the train text, but does stand there.
        num_listed: how many of the longest and of the most frequent are listed, as ``[hex of the bytes, number]``.
    """
    tokens, learned = ours.encoder.tokens, ours.learned
    times = occurrences[learned]
    longest = sorted(learned, key=lambda index: (-len(tokens[index]), index))[:num_listed]
    frequent = sorted(learned, key=lambda index: (-occurrences[index], index))[:num_listed]
    return {
        "vocab_size": ours.vocab_size,
        "train_tokens": int(times.sum()),
        "unused_bytes": sum(not occurrences[index] and len(tokens[index]) == 1 for index in learned),
        "unused_merges": sum(not occurrences[index] and len(tokens[index]) > 1 for index in learned),
        "rare_tokens": int(((times > 0) & (times < rare_below)).sum()),
        "not_utf8_tokens": sum(not _is_text(tokens[index]) for index in learned),
        "longest": [[tokens[index].hex(), len(tokens[index])] for index in longest],
        "most_frequent": [[tokens[index].hex(), int(occurrences[index])] for index in frequent if occurrences[index]],
    }


def expect_round_trip(ours: Ours) -> int:
    """How many code points were encoded and decoded to themselves: all of Unicode.

    Raises:
        CorpusmillError: a block of them does not come back; it names the first code point that differs.
    """
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    done = 0
    for start in range(0, len(characters), _BLOCK):
        text = "".join(characters[start : start + _BLOCK])
        decoded = ours.encoder.decode(ours.encoder.encode_batch([text])[0])
        if decoded != text:
            pairs = zip(text, decoded, strict=False)
            code = next((ord(char) for char, got in pairs if char != got), ord(text[min(len(decoded), len(text) - 1)]))
            raise CorpusmillError(
                "a text does not come back from its ids", where=ours.name, got=f"U+{code:04X}",
                hint="this is a fault of the encoder, not of your data: please report it with the tokenizer",
            )  # fmt: skip
        done += len(text)
    return done


def _is_text(token: bytes) -> bool:
    try:
        token.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
