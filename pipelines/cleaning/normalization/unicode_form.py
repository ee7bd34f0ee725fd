"""Unicode normalisation forms, only where a text needs them, and with every changed place counted.

Unicode Standard Annex 15: a character that its form leaves alone, of combining class 0, that composes with none before
it, is a boundary; so text can only change in a run of other characters ("unstable" here) and the one before it.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.cleaning.normalization.code_points import code_points
from pipelines.cleaning.normalization.step import CJK_LANGUAGES, Step

Form = Literal["NFC", "NFKC"]
HANGUL_VOWELS_AND_FINALS = slice(0x1161, 0x11C3)


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

    tables = _tables(form)
    return Step("unicode_form", apply, np.flatnonzero((tables.changes > 0) | (tables.classes > 0)).tolist())


def _runs(text: str, form: Form) -> Iterator[tuple[int, int]]:
    """The longest ranges of unstable characters, but those that are made of marks in their order alone."""
    codes, tables = code_points(text), _tables(form)
    changes, classes = tables.changes.take(codes), tables.classes.take(codes)
    is_unstable = np.zeros(len(codes) + 2, np.int8)
    is_unstable[1:-1] = changes | (classes > 0)
    edges = np.diff(is_unstable)
    starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    changes[1:] |= (classes[1:] > 0) & (classes[:-1] > classes[1:])
    doubtful = np.unique(np.searchsorted(starts, np.flatnonzero(changes), side="right") - 1)
    return zip(starts[doubtful].tolist(), ends[doubtful].tolist(), strict=True)


#: All that is assigned but the unified ideographs, which no version of Unicode may decompose, and private characters.
DECOMPOSABLE = (
    range(0x80, 0x3400), range(0xA000, 0xD800), range(0xF900, 0x20000), range(0x2F800, 0x30000), range(0xE0000, 0xE1000),
)  # fmt: skip


class Tables(NamedTuple):
    """What the Unicode database says of each code point: int8 and uint8 [0x110000]."""

    changes: npt.NDArray[np.int8]  # 1 where the form changes it, or may compose it with the character before it
    classes: npt.NDArray[np.uint8]  # combining class: marks above 0 are sorted by it


@functools.cache
def _tables(form: Form) -> Tables:
    changes, classes = bytearray(0x110000), bytearray(0x110000)
    changes[HANGUL_VOWELS_AND_FINALS] = b"\1" * len(range(0x110000)[HANGUL_VOWELS_AND_FINALS])
    for code in itertools.chain.from_iterable(DECOMPOSABLE):
        character = chr(code)
        classes[code] = unicodedata.combining(character)
        changes[code] |= not unicodedata.is_normalized(form, character)
        decomposed = unicodedata.decomposition(character)
        if decomposed and decomposed[0] != "<":
            for part in decomposed.split()[1:]:
                changes[int(part, 16)] = 1
    return Tables(np.frombuffer(changes, np.int8), np.frombuffer(classes, np.uint8))


def _normalize(form: Form, text: str, kept: str) -> str:
    if not any(character in text for character in kept):
        return unicodedata.normalize(form, text)
    pieces = re.split(f"([{re.escape(kept)}])", text)
    return "".join(piece if piece in kept else unicodedata.normalize(form, piece) for piece in pieces)
