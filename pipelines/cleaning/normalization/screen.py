"""Which steps may change which text, found for a whole batch at once, at the speed of columns.

    texts  ->  one string, a \\n between two texts  ->  code points  ->  those outside printable ASCII  ->  bits a text

Nearly every text needs nothing, and this proves it: a text without a step's triggers is left as it is without that
step's having been called. What is found for a text depends on that text alone.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipelines.cleaning.normalization.code_points import code_points
from pipelines.cleaning.normalization.mojibake import anchors, find_bad
from pipelines.cleaning.normalization.step import CJK_LANGUAGES, Step

#: Characters joined at a time: 5 bytes each, small enough for a processor's cache.
CHUNK_CHARS = 1 << 18
NEWLINE = 10
#: Bits of characters beside those of the steps.
WHITE_SPACE = np.uint32(1 << 31)
ANCHOR = np.uint32(1 << 30)


class Screen:
    """Tells which steps may change a text.

    Args:
        steps: at most 30.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._flags = np.zeros(0x110000, np.uint32)
        self._flags[[code for code in range(0x3001) if chr(code).isspace()]] = WHITE_SPACE
        self._flags[anchors()] |= ANCHOR
        for number, step in enumerate(steps):
            self._flags[sorted(step.triggers or ())] |= np.uint32(1 << number)
        self._cjk = _bits(step.cjk_only for step in steps)
        self._on_mojibake = _bits(step.on_mojibake for step in steps)
        self._on_untidy_lines = _bits(step.on_untidy_lines for step in steps)
        self._always = _bits(step.triggers is None and not step.on_untidy_lines for step in steps)

    def needs(self, texts: Sequence[str], languages: Sequence[str]) -> list[int]:
        """For each text the sum of ``1 << n`` for each step n that may change it.

        Args:
            texts: any strings.
            languages: codes without script and region, one a text.
        """
        found = np.full(len(texts), self._always, np.uint32)
        for begin, end in _chunks(texts):
            found[begin:end] |= self._of_chunk(texts[begin:end])
        if self._cjk:
            found[[language not in CJK_LANGUAGES for language in languages]] &= ~self._cjk
        return [int(bits) for bits in found]

    def _of_chunk(self, texts: Sequence[str]) -> npt.NDArray[np.uint32]:
        text = "\n".join(["", *texts, ""])
        codes = code_points(text)
        # One unsigned comparison finds what is below U+0020 and what is above U+007E.
        places = np.flatnonzero((codes - np.uint32(0x20)) >= 0x5F)
        flags = self._flags.take(codes.take(places))
        ends = np.cumsum([len(one) + 1 for one in texts])  # of each text: where the \n after it stands
        starts = np.concatenate(([0], ends[:-1])) + 1
        # No range is empty: each text has the \n after it.
        found = np.bitwise_or.reduceat(flags, np.searchsorted(places, starts)) & ~(WHITE_SPACE | ANCHOR)
        if self._on_mojibake:
            bad = find_bad(text, codes, places[flags & ANCHOR != 0])
            found[np.searchsorted(ends, bad)] |= self._on_mojibake
        if self._on_untidy_lines:
            breaks = places[codes.take(places) == NEWLINE][1:]
            found[np.searchsorted(ends, breaks[self._are_loose(codes, breaks)])] |= self._on_untidy_lines
            filled = np.flatnonzero(ends > starts)
            edges = self._flags[codes[starts[filled]]] | self._flags[codes[ends[filled] - 1]]
            found[filled[edges & WHITE_SPACE != 0]] |= self._on_untidy_lines
        return found

    def _are_loose(self, codes: npt.NDArray[np.uint32], breaks: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Before which \n stands other white space, or two more of them.

        If the two belong to the text before, one of the texts is empty, and no step changes that one, or has white
        space at an end anyway.
        """
        before = codes[breaks - 1]
        is_break = before == NEWLINE
        is_space = self._flags[before] & WHITE_SPACE != 0
        return np.where(is_break, codes[breaks - 2] == NEWLINE, is_space)


def _bits(answers: Iterable[bool]) -> np.uint32:
    return np.uint32(sum(answer << number for number, answer in enumerate(answers)))


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of texts, each of `CHUNK_CHARS` characters at most, or of one text."""
    begin = size = 0
    for number, text in enumerate(texts):
        if size and size + len(text) > CHUNK_CHARS:
            yield begin, number
            begin, size = number, 0
        size += len(text) + 1
    if begin < len(texts):
        yield begin, len(texts)
