"""Many texts as one ASCII string with the same positions, and the few places in it that are worth a closer look.

    texts  ->  Block(original, folded, codes)  ->  number_spans, long_tokens, ...  ->  the finders

Folding turns each character into one of ASCII, so that finders need one spelling of digits and punctuation: the
full-width digits, hyphens and brackets of Chinese and Japanese, the digits of Arabic and of Indic scripts, every dash
and every space. Letters of other alphabets become `LETTER`, all else `OTHER`. The places are found by numpy over the
folded bytes, in time proportional to them; a regular expression over all of the text would take thrice the time.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]
I64: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

LETTER = "\xff"  # of an alphabet other than ASCII: a number that touches it is part of a name
OTHER = "\x7f"  # of a script without spaces, or a sign: it ends a number
BETWEEN = "\0"  # between two texts; no pattern matches it

#: For character classes: what a number or an address must not touch.
WORD = rf"0-9A-Za-z{LETTER}"
#: What may stand between the digits of one number, two at most.
SEPARATORS = " -./()"
#: The digit 0 of the scripts whose digits are folded: Arabic, Persian, Devanagari, Bengali, full-width.
ZEROS = (0x660, 0x6F0, 0x966, 0x9E6, 0xFF10)
#: Spaces and dashes.
SPACES = (0xA0, *range(0x2000, 0x200B), 0x202F, 0x3000)
DASHES = (*range(0x2010, 0x2016), 0x2212)
#: Marks that join the character before them: a number that they follow is left alone.
MARKS = (*range(0x20D0, 0x2100), 0x3099, 0x309A, *range(0xFE00, 0xFE10), *range(0xFE20, 0xFE30))
#: Blocks of scripts that part words by no space: Thai and Lao, Burmese, Khmer.
UNSPACED = ((0xE00, 0xF00), (0x1000, 0x10A0), (0x1780, 0x1800))

MIN_DIGITS = 7
MIN_TOKEN_CHARS = 20
#: Where more than one character in so many is not ASCII, looking up all of them is faster than finding those.
DENSE = 8


class Found(NamedTuple):
    """One piece of personal data."""

    start: int  # in the block
    end: int
    kind: str


class Block:
    """Texts joined, with `BETWEEN` after each.

    Attributes:
        original: the joined texts.
        folded: the same, a folded character for each.
        codes: ``folded`` in bytes, uint8 ``[n_chars]``.
        starts: where each text begins.
        languages: of each text, the code's part before the hyphen, in lower case.
    """

    def __init__(self, texts: Sequence[str], languages: Sequence[str]) -> None:
        self.original = "".join([text + BETWEEN for text in texts])
        self.starts = list(accumulate([len(text) + 1 for text in texts], initial=0))[:-1]
        self.languages = [language.partition("-")[0].lower() for language in languages]
        self.codes = _fold(self.original)
        ascii_only = self.original.isascii()
        self.folded = self.original if ascii_only else self.codes.tobytes().decode("latin-1")

    def text_at(self, place: int) -> int:
        """The number of the text that holds the place."""
        return bisect_right(self.starts, place) - 1

    def language_at(self, place: int) -> str:
        """The language of the text that holds the place."""
        return self.languages[self.text_at(place)]

    def before(self, place: int, chars: int) -> str:
        """Up to so many original characters before the place, in its line."""
        begin = max(0, place - chars)
        begin = max(begin, self.folded.rfind("\n", begin, place) + 1, self.folded.rfind(BETWEEN, begin, place) + 1)
        return self.original[begin:place]


def places_of(codes: U8, character: str) -> list[int]:
    """Where an ASCII character stands, ascending."""
    return np.flatnonzero(codes == ord(character)).tolist()


def number_spans(codes: U8) -> list[tuple[int, int]]:
    """(start, end) of each run of digits with at most two `SEPARATORS` between neighbours that may hold a number.

    That is: it has `MIN_DIGITS` digits, or three dots, as an IP address has. A run begins and ends with a digit.
    """
    digits = np.flatnonzero(is_digit(codes))
    if not len(digits):
        return []
    gaps = np.diff(digits)
    after = codes[digits[:-1] + 1]
    joined = (gaps == 1) | ((gaps <= 3) & IS_SEPARATOR[after] & IS_SEPARATOR[codes[digits[1:] - 1]])
    dots = np.concatenate([[0], np.cumsum((gaps == 2) & (after == ord(".")))])
    breaks = np.flatnonzero(~joined)
    firsts = np.concatenate([[0], breaks + 1])
    lasts = np.concatenate([breaks, [len(digits) - 1]])
    wanted = (lasts - firsts >= MIN_DIGITS - 1) | (dots[lasts] - dots[firsts] >= 3)
    return list(zip(digits[firsts[wanted]].tolist(), (digits[lasts[wanted]] + 1).tolist(), strict=True))


def coded_numbers(codes: U8) -> list[int]:
    """Where a digit follows two capital letters, as in an IBAN or a tax code of letters and digits."""
    capitals = (codes - np.uint8(ord("A"))) < 26
    return (np.flatnonzero(capitals[:-2] & capitals[1:-1] & is_digit(codes[2:])) + 2).tolist()


def long_tokens(codes: U8) -> Iterator[int]:
    """Where each run of `MIN_TOKEN_CHARS` or more of ``A-Za-z0-9_-`` begins."""
    runs = (((codes | 0x20) - np.uint8(ord("a"))) < 26) | is_digit(codes) | (codes == ord("_")) | (codes == ord("-"))
    for step in (1, 2, 4, 8, 4):  # runs of 2, 4, 8, 16, 20 characters
        runs = runs[:-step] & runs[step:]
    begins = runs.copy()
    begins[1:] &= ~runs[:-1]
    yield from np.flatnonzero(begins).tolist()


def is_digit(codes: U8) -> Bools:
    """Which of the codes are 0 to 9."""
    return (codes - np.uint8(ord("0"))) < 10


def _members(characters: str) -> Bools:
    table = np.zeros(256, np.bool_)
    table[np.frombuffer(characters.encode("ascii"), np.uint8)] = True
    return table


def _fold(joined: str) -> U8:
    if joined.isascii():
        return np.frombuffer(joined.encode("ascii"), np.uint8)
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    others = np.flatnonzero(points >= 0x80)
    if len(others) * DENSE > len(points):
        return FOLDED.take(points, mode="clip")
    codes = points.astype(np.uint8)
    codes[others] = FOLDED.take(points[others], mode="clip")
    return codes


def _folding() -> U8:
    """Code point -> code of its folded character, for the Basic Multilingual Plane; the last entry is for all beyond."""
    table = np.full(0x10000, ord(OTHER), np.uint8)
    table[:0x80] = np.arange(0x80)
    table[0xC0:0x2000] = ord(LETTER)
    for begin, end in UNSPACED:
        table[begin:end] = ord(OTHER)
    table[0xFF01:0xFF5F] = np.arange(0x21, 0x7F)
    for zero in ZEROS:
        table[zero : zero + 10] = np.arange(ord("0"), ord("9") + 1)
    table[list(MARKS)] = ord(LETTER)
    table[list(SPACES)] = ord(" ")
    table[list(DASHES)] = ord("-")
    return table


FOLDED = _folding()
IS_SEPARATOR = _members(SEPARATORS)
