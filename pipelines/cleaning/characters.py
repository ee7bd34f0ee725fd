"""The characters of a batch of texts side by side: what each is, and where words begin and end."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.cleaning.hashing import I64
from pipelines.cleaning.scripts import CLOSE, IDEOGRAM, KIND, LETTERED, OTHER, SPACE, WORD, character_tables

Bools = npt.NDArray[np.bool_]
U8 = npt.NDArray[np.uint8]

#: Stands between the texts of a batch, so that nothing is found across an edge; no text has a NUL.
EDGE = "\0"


@dataclass(frozen=True)
class Characters:
    """The characters of a batch, an `EDGE` after each text.

    Attributes:
        data: their UTF-8 bytes, and some zeros for those who look ahead.
        codes: code points, ``[n_chars]``.
        classes: kind, and whether it is a letter (`pipelines.cleaning.scripts`), ``[n_chars]``.
        text_starts: the first character of each text, ``[n_texts + 1]``.
    """

    data: bytes
    codes: npt.NDArray[np.uint32]
    classes: U8
    text_starts: I64

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Characters":
        """Raises UnicodeEncodeError where a text holds a lone surrogate."""
        text_starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1, out=text_starts[1:])
        # As many as make a multiple of eight.
        joined = EDGE.join([*texts, EDGE * (8 - int(text_starts[-1]) % 8)])
        data = joined.encode() + bytes(8)
        codes = np.frombuffer(joined.encode("utf-32-le"), "<u4")
        # Every code point is in the table: "clip" only spares the check.
        return cls(data, codes, character_tables().classes.take(codes, mode="clip"), text_starts)

    def offsets(self, places: I64) -> I64:
        """The first byte of some characters."""
        eights, in_eight = self._more_bytes
        return places + eights.take(places >> 3) + in_eight.take(places)

    @functools.cached_property
    def _more_bytes(self) -> tuple[I64, U8]:
        """Bytes beyond one a character: of those before each eight, and of those in the same eight before each."""
        more = (self.codes >= 0x80).view(np.uint8)
        for code in (0x800, 0x10000):
            more += (self.codes >= code).view(np.uint8)
        # A product with 0x0101... puts the sum of a number's first k bytes into its byte k.
        sums = more.view("<u8") * np.uint64(0x0101010101010101)
        eights = np.zeros(len(sums), np.int64)
        np.cumsum(sums[:-1] >> np.uint64(56), out=eights[1:])
        return eights, (sums << np.uint64(8)).view(np.uint8)

    def words(self) -> tuple[I64, I64]:
        """The first character of each word and the one after its last; both int64 ``[n_words]``.

        Words are runs without white space, parted before each unit, and after it where a letter or digit follows.
        """
        inside = self.classes != SPACE
        before = np.zeros_like(inside)
        before[1:] = inside[:-1]
        kinds = self.classes & KIND
        if kinds.max() < CLOSE:
            edges = np.flatnonzero(inside != before)
            return edges[::2].copy(), edges[1::2].copy()
        parted = kinds >= IDEOGRAM
        parted[1:] |= (kinds[1:] == WORD) & (kinds[:-1] >= CLOSE)
        return np.flatnonzero((inside > before) | parted), np.flatnonzero((before > inside) | (before & parted))

    def unit_kinds(self, starts: I64) -> U8:
        """IDEOGRAM or LETTER for words that begin with such a character, else OTHER."""
        kinds = self.classes.take(starts) & KIND
        kinds[kinds < IDEOGRAM] = OTHER
        return kinds

    def any_letter(self, starts: I64, stops: I64) -> Bools:
        """Whether each word holds a letter."""
        found = self.classes.take(starts) >= LETTERED
        # Few words begin with anything else.
        others = np.flatnonzero(~found)
        if len(others):
            edges = np.stack([starts.take(others), stops.take(others)], axis=1).ravel()
            found[others] = np.maximum.reduceat(self.classes, edges)[::2] >= LETTERED
        return found
