"""How much of each text is repeated: lines, paragraphs and runs of words, for a whole batch at once.

What comes again counts, its first time does not: of "a a a" two words are repeats. Counts are of characters of words
(white space and what lies between is left out), so a share never depends on how a text is laid out.

A run of n words is 2n ideograms or 4n letters in a text without spaces, and 2n syllables in Vietnamese: Chinese and
Japanese words are about two characters long, Thai ones four letters, and five characters in a row come again in any
Chinese text where five words do not.

Source: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix A.1.1,
arXiv 2112.11446. The paper leaves open whether the first time counts; as in datatrove, it does not here.
"""

import functools
from dataclasses import dataclass

import numpy as np

from pipelines.cleaning.hashing import HASH_FACTOR, U64, SpanHashes
from pipelines.cleaning.scripts import LETTER
from pipelines.cleaning.text_table import I64, Bools, TextTable, ends_of

#: Words a run: the most frequent one's share is looked at; all repeated ones' share is looked at.
TOP_SIZES = (2, 3, 4)
COVERED_SIZES = (5, 6, 7, 8, 9, 10)

#: Units that make a word in a text without spaces.
IDEOGRAMS_PER_WORD = 2
LETTERS_PER_WORD = 4
#: Languages whose writing parts syllables, not words.
SYLLABLES_PER_WORD = {"vi": 2, "bo": 2, "dz": 2}

#: No batch has as many words.
PLACES = (1 << 32) - 1
#: Odd, so that a text's number times it is that text's alone.
SALT = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Repeats:
    """What comes again in each text; every array ``[n_texts]``."""

    items: I64  # how many items (lines, paragraphs) the text has
    repeated_items: I64
    chars: I64  # characters of the items
    repeated_chars: I64


@dataclass(frozen=True)
class Grams:
    """The shares of runs of words in each text."""

    chars: I64  # [n_texts]: characters of all words
    top_chars: dict[int, I64]  # size -> [n_texts]: characters of the most frequent run x how often it stands there
    covered_chars: dict[int, I64]  # size -> [n_texts]: characters in runs that come again, each once


class Repetition:
    """The repetition of the texts of a table, worked out when first asked for."""

    def __init__(self, table: TextTable):
        self._table = table

    @functools.cached_property
    def spans(self) -> SpanHashes:
        """Hashes of any run of the table's words."""
        return SpanHashes(self._table.words.hashes)

    @functools.cached_property
    def lines(self) -> Repeats:
        """Of lines: the same when their words are the same."""
        ends = self._table.line_words
        return self._of_spans(ends[:-1], ends[1:], self._table.lines.texts)

    @functools.cached_property
    def paragraphs(self) -> Repeats:
        """Of paragraphs: the same when their words are the same."""
        lines, ends = self._table.lines, self._table.line_words
        firsts = np.flatnonzero(np.diff(lines.paragraphs, prepend=-1))
        starts = ends[firsts]
        return self._of_spans(starts, np.append(starts[1:], ends[-1]), lines.texts[firsts])

    @functools.cached_property
    def units_per_word(self) -> I64:
        """How many words of the table make a word of a dictionary, about; int64 ``[n_texts]``."""
        table = self._table
        letters = table.count_words(table.words.kinds == LETTER)
        unspaced = np.where(2 * letters > table.num_words, LETTERS_PER_WORD, IDEOGRAMS_PER_WORD)
        spaced = np.array([SYLLABLES_PER_WORD.get(language, 1) for language in table.languages], np.int64)
        return np.where(table.unspaced, unspaced, spaced)

    @functools.cached_property
    def grams(self) -> Grams:
        """Of runs of 2 to 10 words."""
        num_texts = len(self._table.languages)
        grams = Grams(
            self._table.word_chars,
            {size: np.zeros(num_texts, np.int64) for size in TOP_SIZES},
            {size: np.zeros(num_texts, np.int64) for size in COVERED_SIZES},
        )
        for factor in np.unique(self.units_per_word).tolist():
            self._count_grams(grams, factor)
        return grams

    def _of_spans(self, starts: I64, stops: I64, texts: I64) -> Repeats:
        chars_before = self._table.chars_before
        chars = chars_before.take(stops) - chars_before.take(starts)
        groups = repeated_keys(self.spans.between(starts, stops) + _salt(texts))
        again = groups.order[~groups.is_first]
        num_texts = len(self._table.languages)
        ends = np.searchsorted(texts, np.arange(num_texts + 1))
        return Repeats(
            items=np.diff(ends),
            repeated_items=np.bincount(texts[again], minlength=num_texts),
            chars=np.diff(ends_of(chars)[ends]),
            repeated_chars=_sum_by_text(texts[again], chars[again], num_texts),
        )

    def _count_grams(self, grams: Grams, factor: int) -> None:
        """Fills in the texts with so many units a word.

        A run that comes again begins with a shorter one that does, so the places of one size are enough for the next.
        """
        table = self._table
        # In the other texts no run fits.
        ends = np.where(self.units_per_word == factor, table.text_words[1:], 0)
        words_left = np.repeat(ends, table.num_words) - np.arange(len(table.words.texts))
        runs = Runs.of_one_word(table.words.hashes, table.words.texts)
        for size in (*TOP_SIZES, *COVERED_SIZES):
            runs = runs.longer(table.words.hashes, words_left, size * factor)
            groups = repeated_keys(runs.keys)
            if not len(groups.order):
                break
            if size in TOP_SIZES:
                self._fill_top(grams.top_chars[size], runs, groups)
            else:
                self._fill_covered(grams.covered_chars[size], runs, groups)
            runs = runs.some(groups.order)

    def _fill_top(self, top_chars: I64, runs: "Runs", groups: "Groups") -> None:
        """For each text the most frequent run; of two the one that comes first."""
        firsts = np.flatnonzero(groups.is_first)
        counts = np.diff(firsts, append=len(groups.order))
        places = runs.places.take(groups.order.take(firsts))
        # A higher count, or an earlier place, makes a larger number.
        best = np.zeros(len(top_chars), np.int64)
        np.maximum.at(best, self._table.words.texts.take(places), counts << 32 | PLACES - places)
        texts = np.flatnonzero(best)
        counts, places = best[texts] >> 32, PLACES - (best[texts] & PLACES)
        chars_before = self._table.chars_before
        top_chars[texts] = counts * (chars_before[places + runs.length] - chars_before[places])

    def _fill_covered(self, covered_chars: I64, runs: "Runs", groups: "Groups") -> None:
        """For each text the characters in runs that have come before, each once."""
        again = runs.some(groups.order[~groups.is_first]).places
        # Where two runs overlap, the second counts from the end of the first.
        begins = again.copy()
        begins[1:] = np.maximum(again[1:], again[:-1] + runs.length)
        chars_before = self._table.chars_before
        chars = chars_before.take(again + runs.length) - chars_before.take(begins)
        covered_chars += np.diff(ends_of(chars)[np.searchsorted(again, self._table.text_words)])


@dataclass(frozen=True)
class Runs:
    """Runs of words of one length; every array ``[n_runs]``."""

    length: int  # in words of the table
    places: I64  # the first word, ascending
    keys: U64  # hashes, equal for equal runs of one text

    @classmethod
    def of_one_word(cls, hashes: U64, texts: I64) -> "Runs":
        return cls(1, np.arange(len(hashes)), hashes + _salt(texts))

    def longer(self, hashes: U64, words_left: I64, length: int) -> "Runs":
        """Those that have so many words more after them in their text, so much longer.

        Args:
            hashes: of all words.
            words_left: from each word to the end of its text.
        """
        fit = np.flatnonzero(words_left.take(self.places) >= length)
        places, keys = self.places.take(fit), self.keys.take(fit)
        for behind in range(self.length, length):
            keys *= HASH_FACTOR
            keys += hashes.take(places + behind)
        return Runs(length, places, keys)

    def some(self, chosen: I64) -> "Runs":
        """The chosen ones, given in any order, in order of place."""
        is_chosen = np.zeros(len(self.places), np.bool_)
        is_chosen[chosen] = True
        ascending = np.flatnonzero(is_chosen)
        return Runs(self.length, self.places.take(ascending), self.keys.take(ascending))


@dataclass(frozen=True)
class Groups:
    """Keys that occur more than once, those of one key side by side; both arrays ``[n]``."""

    order: I64  # their places, ascending within a key
    is_first: Bools  # whether the place is its key's first


def repeated_keys(keys: U64) -> Groups:
    """The places of repeated keys.

    Numbers are sorted ten times faster than the order of numbers is found. So each key gives up its low bits to its
    place; that no two keys differ in these bits alone is checked, for such keys would be mixed up.
    """
    places = np.uint64((1 << len(keys).bit_length()) - 1)
    packed = keys & ~places
    packed |= np.arange(len(keys), dtype=np.uint64)
    # All are different: any way of sorting gives the same.
    packed.sort()
    groups = _repeated((packed & places).astype(np.int64), (packed[1:] ^ packed[:-1]) <= places)
    found = keys.take(groups.order)
    if np.any((found[1:] != found[:-1]) & ~groups.is_first[1:]):
        order = np.argsort(keys, kind="stable")
        found = keys.take(order)
        return _repeated(order, found[1:] == found[:-1])
    return groups


def _repeated(order: I64, like_before: Bools) -> Groups:
    """The groups of places in order of key, given for each but the first whether its key is that of the place before."""
    is_first = np.append(True, ~like_before)[: len(order)]
    repeated = ~is_first
    repeated[:-1] |= like_before
    chosen = np.flatnonzero(repeated)
    return Groups(order.take(chosen), is_first.take(chosen))


def _salt(texts: I64) -> U64:
    """What is added to hashes, so that they differ from text to text."""
    return texts.astype(np.uint64) * SALT


def _sum_by_text(texts: I64, values: I64, num_texts: int) -> I64:
    # Sums of whole numbers below 2^53 are exact in the float64 of bincount.
    return np.bincount(texts, values, minlength=num_texts).astype(np.int64)
