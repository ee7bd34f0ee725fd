"""A batch of texts as arrays of words and lines, so that a rule is arithmetic over columns, not a loop over characters.

    texts  ->  TextTable  ->  what `pipelines.cleaning.rules` and `pipelines.cleaning.repetition` count

A *word* is a run of characters without white space between them; punctuation belongs to the word that it touches. In a
script without spaces (Chinese, kana, Thai, Lao, Khmer, Burmese, Yi, ...) each letter begins a word of its own, a *unit*,
and holds the marks and the punctuation after it:

    "The cat, the CAT!"      ->  The  cat,  the  CAT!
    "东京タワー（1958年）。"  ->  东 京 タ ワ ー（ 1958 年）。

A *line* is what stands between two \\n and holds a word, without the white space around it; two lines are the same when
their words are. A *paragraph* is a run of lines without a blank line between them. Nothing crosses the edge of a text.

Only characters outside ASCII are decoded; the rest is work on bytes, as in `TextTable.read`. All numbers are integers.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.cleaning.hashing import hash_words
from pipelines.cleaning.scripts import CLOSE, IDEOGRAM, OTHER, SPACE, WORD, character_tables

Bools = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

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


class TextTable:
    """Words and lines of a batch of texts, and what the characters outside ASCII are.

    Attributes:
        languages: one a text.
        data: the UTF-8 bytes of all texts, end to end, and some zeros.
        words, lines: columns.
        text_words, text_lines: where each text's words and lines begin and end in those, int64 ``[n_texts + 1]``.
        line_words: where each line's words begin and end, int64 ``[n_lines + 1]``.
    """

    def __init__(self, languages: Sequence[str], data: bytes, wide: "WideCharacters", words: Words, lines: Lines):
        self.languages = languages
        self.data = data
        self.words = words
        self.lines = lines
        self._wide = wide
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
        encoded = [text.encode() for text in texts]
        text_starts = ends_of(np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1)
        # A zero between texts, so that nothing is found across an edge; more at the end, for those who look ahead.
        data = b"%b%b" % (b"\0".join(encoded), bytes(9))
        wide = WideCharacters.find(data)
        starts, stops = _word_places(data, wide)
        chars_before = _chars_before(data, wide)
        words = Words(
            texts=np.repeat(np.arange(len(texts)), np.diff(np.searchsorted(starts, text_starts))),
            stops=stops,
            chars=chars_before[stops] - chars_before[starts],
            hashes=hash_words(data, starts, stops),
            kinds=wide.unit_kinds(starts),
            alphabetic=_any_letter(data, wide, starts, stops),
        )
        lines = _lines(data, text_starts, words, starts, chars_before)
        return cls(languages, data, wide, words, lines)

    def keep_lines(self, keep: Bools) -> "TextTable":
        """The table of the same texts without some lines; ``keep`` bool ``[n_lines]``."""
        if keep.all():
            return self
        words = take(self.words, np.repeat(keep, self.lines.num_words))
        return TextTable(self.languages, self.data, self._wide, words, take(self.lines, keep))

    def count_words(self, chosen: Bools | I64) -> I64:
        """How many of the chosen words each text has; bool ``[n_words]`` or places of words; int64 ``[n_texts]``."""
        return np.bincount(self.words.texts[chosen], minlength=len(self.languages))

    def count_lines(self, chosen: Bools | I64) -> I64:
        """How many of the chosen lines each text has; bool ``[n_lines]`` or places of lines, one more than once, too."""
        return np.bincount(self.lines.texts[chosen], minlength=len(self.languages))

    def sum_words(self, values: I64) -> I64:
        """The sum of each text's words' values; int64 ``[n_words]`` to ``[n_texts]``."""
        return np.diff(ends_of(values)[self.text_words])

    def sum_lines(self, values: I64) -> I64:
        """The sum of each text's lines' values; int64 ``[n_lines]`` to ``[n_texts]``."""
        return np.diff(ends_of(values)[self.text_lines])

    def first_characters(self) -> I64:
        """The code point that each line begins with."""
        return self._wide.at(self.data, self.lines.starts)

    def last_characters(self) -> I64:
        """The code point that each line ends with."""
        return self._wide.before(self.data, self.lines.stops)

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
    def _lower_data(self) -> bytes:
        return self.data.lower()

    @functools.cached_property
    def unspaced(self) -> Bools:
        """Whether more than half of a text's words are units; bool ``[n_texts]``."""
        return 2 * self.count_words(self.words.kinds >= IDEOGRAM) > self.num_words


@dataclasses.dataclass(frozen=True)
class WideCharacters:
    """The characters of a batch outside ASCII, in order; every array ``[n_characters]``."""

    starts: I64
    codes: npt.NDArray[np.uint32]
    num_bytes: I64
    kinds: U8

    @classmethod
    def find(cls, data: bytes) -> "WideCharacters":
        raw = np.frombuffer(data, np.uint8)
        high = np.flatnonzero(raw >= 0x80)
        high_bytes = raw.take(high)
        codes = np.frombuffer(high_bytes.tobytes().decode().encode("utf-32-le"), "<u4")
        num_bytes = 2 + (codes >= 0x800).astype(np.int64) + (codes >= 0x10000)
        return cls(high[high_bytes >= 0xC0], codes, num_bytes, character_tables().kinds.take(codes))

    def at(self, data: bytes, starts: I64) -> I64:
        """The code points that begin at some bytes."""
        codes = np.frombuffer(data, np.uint8)[starts].astype(np.int64)
        wide = np.flatnonzero(codes >= 0x80)
        codes[wide] = self.codes[np.searchsorted(self.starts, starts[wide])]
        return codes

    def before(self, data: bytes, stops: I64) -> I64:
        """The code points that end before some bytes."""
        codes = np.frombuffer(data, np.uint8)[stops - 1].astype(np.int64)
        wide = np.flatnonzero(codes >= 0x80)
        codes[wide] = self.codes[np.searchsorted(self.starts, stops[wide]) - 1]
        return codes

    def unit_kinds(self, word_starts: I64) -> U8:
        """IDEOGRAM or LETTER for words that begin with such a character, else OTHER."""
        kinds = np.full(len(word_starts), OTHER, np.uint8)
        units = np.flatnonzero(self.kinds >= IDEOGRAM)
        kinds[np.searchsorted(word_starts, self.starts[units])] = self.kinds[units]
        return kinds


def ends_of(counts: I64) -> I64:
    """Running sums with a zero in front; int64 ``[n]`` to ``[n + 1]``."""
    ends = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    return ends


def take(rows: Rows, chosen: Any) -> Rows:
    """Some rows of all columns."""
    return type(rows)(*(getattr(rows, field.name)[chosen] for field in dataclasses.fields(rows)))


def _word_places(data: bytes, wide: WideCharacters) -> tuple[I64, I64]:
    """The first byte of each word and the byte after its last."""
    raw = np.frombuffer(data, np.uint8)
    byte_kinds = character_tables().byte_kinds
    inside = np.frombuffer(bytearray(data.translate((byte_kinds != SPACE).tobytes())), np.bool_)
    spaces = wide.kinds == SPACE
    for k in range(3):
        inside[wide.starts[spaces & (wide.num_bytes > k)] + k] = False
    split = np.zeros(len(data), np.bool_)
    split[wide.starts[wide.kinds >= IDEOGRAM]] = True
    # After a unit and what closes it a letter or a digit begins the next word.
    closed = np.flatnonzero(wide.kinds >= CLOSE)
    after = (wide.starts + wide.num_bytes)[closed]
    next_kinds = byte_kinds[raw[after]]
    next_is_wide = raw[after] >= 0x80
    next_kinds[next_is_wide] = wide.kinds[closed[next_is_wide] + 1]
    split[after[next_kinds == WORD]] = True

    before = np.zeros(len(inside), np.bool_)
    before[1:] = inside[:-1]
    return np.flatnonzero(inside & (split | ~before)), np.flatnonzero(before & (split | ~inside))


def _chars_before(data: bytes, wide: WideCharacters) -> I64:
    """Code points before each byte, int64 ``[n_bytes]``."""
    if not len(wide.starts):
        return np.arange(len(data))
    return np.cumsum((np.frombuffer(data, np.uint8) & 0xC0) != 0x80) - 1


def _any_letter(data: bytes, wide: WideCharacters, starts: I64, stops: I64) -> Bools:
    """Whether each word holds a letter."""
    is_letter = character_tables().is_letter
    letters = np.frombuffer(bytearray(data.translate(is_letter[:128].tobytes() + bytes(128))), np.uint8)
    letters[wide.starts] = is_letter.take(wide.codes)
    letters_before = np.zeros(len(data) + 1, np.int32)
    np.cumsum(letters, out=letters_before[1:])
    return letters_before[stops] > letters_before[starts]


def _lines(data: bytes, text_starts: I64, words: Words, starts: I64, chars_before: I64) -> Lines:
    breaks = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    breaks_at_word = np.bincount(np.searchsorted(starts, breaks), minlength=len(starts) + 1)
    breaks_before = np.cumsum(breaks_at_word)[: len(starts)]
    place = breaks_before + words.texts
    firsts = np.flatnonzero(np.diff(place, prepend=-1))
    num_words = np.diff(np.append(firsts, len(starts)))
    texts, number = words.texts[firsts], breaks_before[firsts]
    first_stops = words.stops[firsts + num_words - 1]
    new_text = np.diff(texts, prepend=-1) > 0
    return Lines(
        texts=texts,
        numbers=number - np.searchsorted(breaks, text_starts)[texts],
        paragraphs=np.cumsum(new_text | (np.diff(number, prepend=-2) > 1)) - 1,
        starts=starts[firsts],
        stops=first_stops,
        chars=chars_before[first_stops] - chars_before[starts[firsts]],
        num_words=num_words,
    )
