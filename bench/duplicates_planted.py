"""Synthetic documents with planted copies: any document is a pure function of its number, so no truth need be stored.

Of 100 numbers 90 are *fresh* documents, 4 *exact* copies (half of them with other white space), 4 *near* copies, and
one pair is the *chain*: B edits a fresh document A, C edits B. What a copy is of is any fresh document of a smaller
number, so copies lie in other units than their originals. Three of four documents are words, the fourth is Chinese
characters; both vocabularies follow Zipf's law. More documents leave those before them as they are.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.duplicates_ours import write_unit
from bench.duplicates_truth import Pair

CYCLE = 100
EXACT, NEAR, CHAIN_B, CHAIN_C = range(90, 94), range(94, 98), 98, 99
NUM_WORDS, NUM_CHARACTERS = 50_000, 3_000
MIN_UNITS, MAX_UNITS = 60, 200  # words or characters of a document
#: One edit of a word costs up to five of the shingles: of 130 words, one to four leave a similarity of 0.93 to 0.73.
MAX_EDITS_PER_UNIT = 1 / 32
DOCUMENTS_PER_UNIT = 25_000


@dataclass(frozen=True)
class Planted:
    """A planted corpus.

    Attributes:
        seed: of everything.
        num_documents: it has.
        length: how many times as long its documents are.
    """

    seed: int
    num_documents: int
    length: int = 1

    def text(self, number: int) -> str:
        """The text of a document."""
        units, joint = self._units(number)
        text = joint.join(units)
        if number % CYCLE in EXACT and number % 2:
            return f" {text.replace(' ', '  ')}\n"
        return text

    def original(self, number: int) -> int | None:
        """The document that this one is a copy of; None for a fresh one."""
        role = number % CYCLE
        if role < EXACT.start:
            return None
        if role == CHAIN_C:
            return number - 1
        place = int(self._draw(number, "original").integers(max(1, number // CYCLE * EXACT.start)))
        return place // EXACT.start * CYCLE + place % EXACT.start

    def pairs(self) -> Iterator[Pair]:
        """Copy and original, and both ends of each chain: the smaller number first."""
        for number in range(self.num_documents):
            original = self.original(number)
            if original is not None:
                yield original, number
                if number % CYCLE == CHAIN_C:
                    first = self.original(original)
                    assert first is not None
                    yield first, number

    def write(self, folder: Path) -> int:
        """Writes the corpus in units as `clean` would; returns the bytes of all texts."""
        size = 0
        for number, first in enumerate(range(0, self.num_documents, DOCUMENTS_PER_UNIT)):
            last = min(first + DOCUMENTS_PER_UNIT, self.num_documents)
            size += write_unit(folder / f"unit-{number}.parquet", ((str(n), self.text(n)) for n in range(first, last)))
        return size

    def _units(self, number: int) -> tuple[list[str], str]:
        """Words or characters of a document, and what joins them."""
        original = self.original(number)
        if original is None:
            draw = self._draw(number, "text")
            count = int(draw.integers(MIN_UNITS, MAX_UNITS + 1)) * self.length
            chinese = number % 4 == 3
            known = _characters() if chinese else _words()
            return known.draw(draw, count), "" if chinese else " "
        units, joint = self._units(original)
        return (units if number % CYCLE in EXACT else self._edited(units, joint, number)), joint

    def _edited(self, units: list[str], joint: str, number: int) -> list[str]:
        """Some units replaced, doubled or gone."""
        draw, edited = self._draw(number, "edit"), list(units)
        known = _words() if joint else _characters()
        for _ in range(int(draw.integers(1, max(2, int(len(units) * MAX_EDITS_PER_UNIT) + 1)))):
            place, kind = int(draw.integers(len(edited))), int(draw.integers(3))
            edited[place : place + 1] = [known.draw(draw, 1), edited[place : place + 1] * 2, []][kind]
        return edited

    def _draw(self, number: int, what: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, number, ["text", "original", "edit"].index(what)])


@dataclass(frozen=True)
class _Vocabulary:
    """Words and the running sum of their shares."""

    words: tuple[str, ...]
    shares: np.ndarray

    def draw(self, draw: np.random.Generator, count: int) -> list[str]:
        return [self.words[place] for place in np.searchsorted(self.shares, draw.random(count)).tolist()]


def _vocabulary(words: list[str]) -> _Vocabulary:
    sums = np.cumsum(1 / np.arange(1, len(words) + 1))
    return _Vocabulary(tuple(words), sums / sums[-1])


@functools.cache
def _words() -> _Vocabulary:
    syllables = [first + second for first in "bdfghklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er")]
    counted = itertools.chain.from_iterable(itertools.product(syllables, repeat=length) for length in (1, 2, 3))
    return _vocabulary(["".join(parts) for parts in itertools.islice(counted, NUM_WORDS)])


@functools.cache
def _characters() -> _Vocabulary:
    return _vocabulary([chr(0x4E00 + place) for place in range(NUM_CHARACTERS)])
