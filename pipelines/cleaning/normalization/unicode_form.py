"""Unicode normalisation forms, only where a text needs them, and with every changed place counted.

Unicode Standard Annex 15: a character that its form leaves alone, of combining class 0, that composes with none before
it, is a boundary; so text can only change in a run of other characters and the one before it.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipelines.cleaning.normalization.code_points import code_points, membership
from pipelines.cleaning.normalization.step import CJK_LANGUAGES, Step

Form = Literal["NFC", "NFKC"]
HANGUL_VOWELS_AND_FINALS = range(0x1161, 0x11C3)


def unicode_form(form: Form, spared: str) -> Step:
    """Text in that form; each run of characters that changes counts.

    Args:
        form: NFC or NFKC.
        spared: characters that stay as they are in Chinese and Japanese, since another step asks for them.
    """

    def apply(text: str, language: str) -> tuple[str, int]:
        kept = spared if language in CJK_LANGUAGES else ""
        pieces, done, changes = [], 0, 0
        for begin, end in _runs(text, form):
            begin = max(done, begin - 1)
            after = _normalize(form, text[begin:end], kept)
            if after != text[begin:end]:
                pieces += [text[done:begin], after]
                done = end
                changes += 1
        return "".join(pieces) + text[done:], changes

    return Step("unicode_form", apply, unstable(form))


def _runs(text: str, form: Form) -> Iterator[tuple[int, int]]:
    """The longest ranges of characters that are all `unstable`."""
    is_unstable = np.zeros(len(text) + 2, np.int8)
    is_unstable[1:-1] = _unstable_table(form).take(code_points(text))
    steps = np.diff(is_unstable)
    return zip(np.flatnonzero(steps > 0).tolist(), np.flatnonzero(steps < 0).tolist(), strict=True)


@functools.cache
def _unstable_table(form: Form) -> npt.NDArray[np.int8]:
    return membership(unstable(form))


@functools.cache
def unstable(form: Form) -> frozenset[int]:
    """Code points that the form may change, or that may compose with the character before them or change places."""
    found = set(HANGUL_VOWELS_AND_FINALS)
    for code in (*range(0x80, 0xD800), *range(0xE000, 0x30000), *range(0xE0000, 0xE1000)):
        character = chr(code)
        if unicodedata.combining(character) or not unicodedata.is_normalized(form, character):
            found.add(code)
        decomposed = unicodedata.decomposition(character)
        if decomposed and not decomposed.startswith("<"):
            found.update(int(part, 16) for part in decomposed.split()[1:])
    return frozenset(found)


def _normalize(form: Form, text: str, kept: str) -> str:
    if not any(character in text for character in kept):
        return unicodedata.normalize(form, text)
    pieces = re.split(f"([{re.escape(kept)}])", text)
    return "".join(piece if piece in kept else unicodedata.normalize(form, piece) for piece in pieces)
