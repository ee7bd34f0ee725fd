"""Windows: the shortest runs of units that carry enough text to prove a copy, from every unit on.

A word weighs ``ngram_characters``, a character of a script without spaces ``ngram_words``, and a window weighs at least
their product: with 13 and 26 it is 13 words, or 26 characters, or 7 words and 12 characters. So a text that mixes
scripts needs no rule of its own.

Each window has a polynomial hash (Karp and Rabin 1987) over the hashes of its units, all of them at once from two running
sums; it proposes, and the units decide (``index``).
"""

import functools
from dataclasses import dataclass

import numpy as np

from pipelines.duplicates.text_units import I64, U64, TextUnits, constants64, mix64

_BASE = int(constants64(1, seed=2)[0])
_INVERSE = pow(_BASE, -1, 1 << 64)
#: Powers are kept for so many units: those of a block of texts, unless one text is longer.
_KEPT_POWERS = 1 << 18


@dataclass(frozen=True)
class NgramSizes:
    """How much text must be shared.

    Attributes:
        words: of scripts with spaces.
        characters: of scripts without.
        min_words: a shorter text is looked for whole from so many words on, or the same share of ``characters``.
    """

    words: int
    characters: int
    min_words: int

    @property
    def full(self) -> int:
        """The weight of a window."""
        return self.words * self.characters

    @property
    def least(self) -> int:
        """The weight from which on a whole text is looked for."""
        return self.min_words * self.characters


class UnitSums:
    """Running sums over the units of some texts, from which any window is read."""

    def __init__(self, units: TextUnits, sizes: NgramSizes) -> None:
        self._sizes, self._has_alone = sizes, bool(units.alone.any())
        weights = np.where(units.alone, sizes.words, sizes.characters)
        self.weight = _running(weights.astype(np.int64))
        self._powers, inverses = _powers(len(units.hashes))
        self._hashed = _running(units.hashes * inverses)
        counts = np.diff(units.text_ends)
        self.text_stops = np.repeat(units.text_ends[1:], counts)

    def stops(self, weight: int) -> I64:
        """Where the window of at least that weight that begins at each unit ends; past the last unit: there is none.

        A window may run into the next text: compare with ``text_stops``.
        """
        starts = np.arange(len(self.weight) - 1)
        stops = starts + -(-weight // self._sizes.characters)
        if self._has_alone:
            # Of words alone, or characters alone, the number is known; only windows of both are searched for.
            for each in (self._sizes.characters, self._sizes.words):
                number = -(-weight // each)
                stops[starts] = starts + number
                reached = self.weight.take(starts + number, mode="clip") - self.weight[starts]
                starts = starts[(reached != number * each) | (starts + number >= len(self.weight))]
            stops[starts] = np.searchsorted(self.weight, self.weight[starts] + weight)
        return stops

    def hashes(self, starts: I64, stops: I64) -> U64:
        """The hashes of windows; equal units, equal hashes."""
        return mix64((self._hashed[stops] - self._hashed[starts]) * self._powers[starts])


def _running(values: np.ndarray) -> np.ndarray:
    sums = np.zeros(len(values) + 1, values.dtype)
    np.cumsum(values, out=sums[1:])
    return sums


def _powers(number: int) -> tuple[U64, U64]:
    """Powers 0, 1, ... of the base and of its inverse modulo 2**64."""
    if number > _KEPT_POWERS:
        return _compute_powers(_BASE, number), _compute_powers(_INVERSE, number)
    return _kept_powers(_BASE)[:number], _kept_powers(_INVERSE)[:number]


@functools.cache
def _kept_powers(base: int) -> U64:
    return _compute_powers(base, _KEPT_POWERS)


def _compute_powers(base: int, number: int) -> U64:
    powers = np.full(number, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers)
