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

from pipelines.cleaning.hashing import HASH_FACTOR, U64, SpanHashes, mix64
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
        self._spans = SpanHashes(table.words.hashes)

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
        words, num_texts = self._table.words, len(self._table.languages)
        sizes = (*TOP_SIZES, *COVERED_SIZES)
        grams = Grams(
            self._table.sum_words(words.chars),
            {size: np.zeros(num_texts, np.int64) for size in TOP_SIZES},
            {size: np.zeros(num_texts, np.int64) for size in COVERED_SIZES},
        )
        factors = self.units_per_word
        for factor in np.unique(factors).tolist():
            places = np.flatnonzero((factors == factor)[words.texts])
            for size in sizes:
                places = self._count_grams(grams, places, size, factor)
        return grams

    def _of_spans(self, starts: I64, stops: I64, texts: I64) -> Repeats:
        chars_before = ends_of(self._table.words.chars)
        chars = chars_before[stops] - chars_before[starts]
        again = _groups(_salted(self._spans.between(starts, stops), texts)).later()
        num_texts = len(self._table.languages)
        ends = np.searchsorted(texts, np.arange(num_texts + 1))
        return Repeats(
            items=np.diff(ends),
            repeated_items=np.bincount(texts[again], minlength=num_texts),
            chars=np.diff(ends_of(chars)[ends]),
            repeated_chars=_sum_by_text(texts[again], chars[again], num_texts),
        )

    def _count_grams(self, grams: Grams, places: I64, size: int, factor: int) -> I64:
        """Fills in one size for the texts of the places; gives the places whose run is a repeated one.

        A run that comes again begins with a shorter one that does, so the places of one size are enough for the next.
        """
        words, length = self._table.words, size * factor
        places = places[places + length <= self._table.text_words[1:][words.texts[places]]]
        runs = _groups(_salted(self._spans.between(places, places + length), words.texts[places]))
        chars_before = ends_of(words.chars)
        if size in TOP_SIZES:
            firsts = places[runs.order[runs.starts]]
            self._fill_top(grams.top_chars[size], words.texts[firsts], firsts, runs.sizes, chars_before, length)
        else:
            again = np.sort(places[runs.later()])
            # Where two runs overlap, the second counts from the end of the first.
            begins = again.copy()
            begins[1:] = np.maximum(again[1:], again[:-1] + length)
            chars = chars_before[again + length] - chars_before[begins]
            grams.covered_chars[size][:] += _sum_by_text(words.texts[again], chars, len(self._table.languages))
        return np.sort(places[runs.order])

    @staticmethod
    def _fill_top(top_chars: I64, texts: I64, firsts: I64, counts: I64, chars_before: I64, length: int) -> None:
        """For each text the most frequent run; of two the one that comes first."""
        order = np.lexsort((firsts, -counts, texts))
        best = order[np.diff(texts[order], prepend=-1) > 0]
        run_chars = chars_before[firsts[best] + length] - chars_before[firsts[best]]
        top_chars[texts[best]] = counts[best] * run_chars


@dataclass(frozen=True)
class Groups:
    """Places of keys that occur more than once, those of one key side by side, ascending."""

    order: I64  # [n_places]
    starts: I64  # [n_groups]: where each key's places begin in `order`
    sizes: I64  # [n_groups]

    def later(self) -> I64:
        """All places but each key's first."""
        later: Bools = np.ones(len(self.order), np.bool_)
        later[self.starts] = False
        return self.order[later]


def _groups(keys: U64) -> Groups:
    """The places of repeated keys. Only those whose top bits are met twice are sorted: few, for long runs."""
    num_bits = max(8, (4 * len(keys)).bit_length())
    buckets = (keys >> np.uint64(64 - num_bits)).astype(np.int64)
    places = np.flatnonzero(np.bincount(buckets, minlength=1 << num_bits)[buckets] > 1)
    order = places[np.argsort(keys[places], kind="stable")]
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.append(True, sorted_keys[1:] != sorted_keys[:-1])[: len(order)])
    sizes = np.diff(np.append(starts, len(order)))
    repeated = sizes > 1
    order = order[np.repeat(repeated, sizes)]
    sizes = sizes[repeated]
    return Groups(order, np.cumsum(sizes) - sizes, sizes)


def _salted(hashes: U64, texts: I64) -> U64:
    """Hashes that differ from text to text."""
    return mix64(hashes + texts.astype(np.uint64) * HASH_FACTOR)


def _sum_by_text(texts: I64, values: I64, num_texts: int) -> I64:
    # Sums of whole numbers below 2^53 are exact in the float64 of bincount.
    return np.bincount(texts, values, minlength=num_texts).astype(np.int64)
