"""A batch of texts as arrays of words and lines, so that a rule is arithmetic over columns, not a loop over characters.

    texts  ->  TextTable  ->  what `pipelines.cleaning.rules` and `pipelines.cleaning.repetition` count

A *word* is a run of characters without white space between them; punctuation belongs to the word that it touches. In a
script without spaces (Chinese, kana, Thai, Lao, Khmer, Burmese, Yi, ...) each letter begins a word of its own, a *unit*,
and holds the marks and the punctuation after it:

    "The cat, the CAT!"      ->  The  cat,  the  CAT!
    "东京タワー（1958年）。"  ->  东 京 タ ワ ー（ 1958 年）。

A *line* is what stands between two \\n and holds a word, without the white space around it; two lines are the same when
their words are. A *paragraph* is a run of lines without a blank line between them. Nothing crosses the edge of a text.

All numbers are integers.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.cleaning.characters import U8, Bools, Characters
from pipelines.cleaning.hashing import I64, hash_words
from pipelines.cleaning.scripts import IDEOGRAM

Rows = TypeVar("Rows", bound="Words | Lines")


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of a batch in reading order; every array ``[n_words]``."""

    texts: I64  # which text
    stops: I64  # the byte after it
    chars: I64  # code points
    hashes: npt.NDArray[np.uint64]  # of its bytes: equal for equal words
    kinds: U8  # IDEOGRAM or LETTER for a unit, else OTHER
    alphabetic: Bools  # holds a letter (`str.isalpha`)


@dataclasses.dataclass(frozen=True)
class Lines:
    """The lines of a batch that hold a word; every array ``[n_lines]``."""

    texts: I64  # which text
    numbers: I64  # among all lines of its text, blank ones included, from 0
    paragraphs: I64  # which paragraph of the batch
    starts: I64  # its first byte
    stops: I64  # the byte after its last
    chars: I64  # code points, inner white space included
    num_words: I64
    first_codes: I64  # the code point that it begins with
    last_codes: I64  # and ends with


class TextTable:
    """Words and lines of a batch of texts.

    Attributes:
        languages: one a text.
        data: the UTF-8 bytes of all texts, end to end, and some zeros.
        words, lines: columns.
        text_words, text_lines: where each text's words and lines begin and end in those, int64 ``[n_texts + 1]``.
        line_words: where each line's words begin and end, int64 ``[n_lines + 1]``.
    """

    def __init__(self, languages: Sequence[str], data: bytes, words: Words, lines: Lines):
        self.languages = languages
        self.data = data
        self.words = words
        self.lines = lines
        edges = np.arange(len(languages) + 1)
        self.text_words: I64 = np.searchsorted(words.texts, edges)
        self.text_lines: I64 = np.searchsorted(lines.texts, edges)
        self.line_words = ends_of(lines.num_words)
        self.num_words: I64 = np.diff(self.text_words)
        self.num_lines: I64 = np.diff(self.text_lines)

    @classmethod
    def read(cls, texts: Sequence[str], languages: Sequence[str]) -> "TextTable":
        """The table of some texts; up to 40 times their bytes in memory, so a megabyte or so at a time.

        Raises:
            UnicodeEncodeError: a text holds a lone surrogate (`pipelines.cleaning.normalize` takes them out).
        """
        characters = Characters.of(texts)
        start_chars, stop_chars = characters.words()
        starts, stops = characters.offsets(start_chars), characters.offsets(stop_chars)
        words = Words(
            texts=np.repeat(np.arange(len(texts)), np.diff(np.searchsorted(start_chars, characters.text_starts))),
            stops=stops,
            chars=stop_chars - start_chars,
            hashes=hash_words(characters.data, starts, stops),
            kinds=characters.unit_kinds(start_chars),
            alphabetic=characters.any_letter(start_chars, stop_chars),
        )
        return cls(languages, characters.data, words, _lines(characters, words, start_chars, stop_chars))

    def keep_lines(self, keep: Bools) -> "TextTable":
        """The table of the same texts without some lines; ``keep`` bool ``[n_lines]``."""
        if keep.all():
            return self
        words = take(self.words, np.flatnonzero(np.repeat(keep, self.lines.num_words)))
        lines = take(self.lines, np.flatnonzero(keep))
        return TextTable(self.languages, self.data, words, lines)

    def count_words(self, chosen: Bools | I64) -> I64:
        """How many of the chosen words each text has; bool ``[n_words]`` or places of words; int64 ``[n_texts]``."""
        if chosen.dtype == np.bool_:
            return np.diff(np.searchsorted(np.flatnonzero(chosen), self.text_words))
        return np.bincount(self.words.texts.take(chosen), minlength=len(self.languages))

    def count_lines(self, chosen: Bools | I64) -> I64:
        """How many of the chosen lines each text has; bool ``[n_lines]`` or places of lines, one more than once, too."""
        return np.bincount(self.lines.texts[chosen], minlength=len(self.languages))

    def sum_words(self, values: I64) -> I64:
        """The sum of each text's words' values; int64 ``[n_words]`` to ``[n_texts]``."""
        return np.diff(ends_of(values)[self.text_words])

    def sum_lines(self, values: I64) -> I64:
        """The sum of each text's lines' values; int64 ``[n_lines]`` to ``[n_texts]``."""
        return np.diff(ends_of(values)[self.text_lines])

    def lines_ending(self, ending: str) -> Bools:
        """Whether each line ends with a string without white space; bool ``[n_lines]``."""
        raw = np.frombuffer(self.data, np.uint8)
        wanted = ending.encode()
        # What stands before a line is white space: a line shorter than the ending cannot match.
        equal = [raw[self.lines.stops - len(wanted) + k] == byte for k, byte in enumerate(wanted)]
        return np.logical_and.reduce(equal)

    def find(self, needle: str, ignore_case: bool = False) -> I64:
        """The line of each place where a string stands, from left to right, without overlaps.

        Args:
            needle: a string without white space at its ends; whole words are not asked for.
            ignore_case: take ASCII capitals for small letters.
        Returns:
            int64 ``[n_places]``: places in `lines`.
        """
        data = self._lower_data if ignore_case else self.data
        wanted = (needle.lower() if ignore_case else needle).encode()
        places = []
        place = data.find(wanted)
        while place >= 0:
            places.append(place)
            place = data.find(wanted, place + len(wanted))
        found = np.array(places, np.int64)
        line = np.searchsorted(self.lines.starts, found, side="right") - 1
        # Some lie in lines that were removed.
        inside = (line >= 0) & (found + len(wanted) <= np.append(self.lines.stops, 0)[line])
        return line[inside]

    @functools.cached_property
    def word_chars(self) -> I64:
        """Characters of the words of each text, int64 ``[n_texts]``."""
        return np.diff(self.chars_before[self.text_words])

    @functools.cached_property
    def chars_before(self) -> I64:
        """Characters of the words before each word, int64 ``[n_words + 1]``."""
        return ends_of(self.words.chars)

    @functools.cached_property
    def _lower_data(self) -> bytes:
        return self.data.lower()

    @functools.cached_property
    def units(self) -> tuple[I64, I64]:
        """Characters of the units of each text, and how many they are; both int64 ``[n_texts]``."""
        units = np.flatnonzero(self.words.kinds >= IDEOGRAM)
        ends = np.searchsorted(units, self.text_words)
        return np.diff(ends_of(self.words.chars.take(units))[ends]), np.diff(ends)

    @functools.cached_property
    def unspaced(self) -> Bools:
        """Whether more than half of a text's words are units; bool ``[n_texts]``."""
        return 2 * self.units[1] > self.num_words


def ends_of(counts: I64) -> I64:
    """Running sums with a zero in front; int64 ``[n]`` to ``[n + 1]``."""
    ends = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    return ends


def take(rows: Rows, places: I64) -> Rows:
    """Some rows of all columns."""
    return type(rows)(*(getattr(rows, field.name).take(places) for field in dataclasses.fields(rows)))


def _lines(characters: Characters, words: Words, start_chars: I64, stop_chars: I64) -> Lines:
    breaks = np.flatnonzero(characters.codes == ord("\n"))
    # A line begins with the first word after a line break or the beginning of a text.
    edges = np.sort(np.searchsorted(start_chars, np.concatenate([breaks, characters.text_starts])))
    edges = edges.take(np.flatnonzero(np.diff(edges, prepend=-1)))
    firsts, lasts = edges[:-1], edges[1:] - 1
    starts, stops = start_chars.take(firsts), stop_chars.take(lasts)
    texts = words.texts.take(firsts)
    number = np.searchsorted(breaks, starts)
    new_text = np.diff(texts, prepend=-1) > 0
    return Lines(
        texts=texts,
        numbers=number - np.searchsorted(breaks, characters.text_starts)[texts],
        paragraphs=np.cumsum(new_text | (np.diff(number, prepend=-2) > 1)) - 1,
        starts=characters.offsets(starts),
        stops=characters.offsets(stops),
        chars=stops - starts,
        num_words=np.diff(edges),
        first_codes=characters.codes.take(starts).astype(np.int64),
        last_codes=characters.codes.take(stops - 1).astype(np.int64),
    )
