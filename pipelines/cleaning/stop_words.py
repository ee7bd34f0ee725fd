"""Stop words of a language, and how many different ones each text of a table holds.

Lists come from the parameters, or from the package stopwordsiso, which has 58 languages. A stop word is a run of words
of the table, one or more: "the"; two units for Chinese "我们"; two syllables for Vietnamese "bởi vì"; a unit a letter for
Thai. It is found where the words are equal to the byte: in small letters, without punctuation.
"""

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import stopwordsiso

from pipelines.cleaning.hashing import I64, U64, SpanHashes
from pipelines.cleaning.text_table import TextTable

#: Languages whose list stopwordsiso keeps under another code; its list of Kurdish is Sorani, and none is Kurmanji.
LIST_OF = {"nb": "no", "nn": "no", "yue": "zh", "wuu": "zh", "lzh": "zh", "fil": "tl", "ckb": "ku", "ku": ""}
#: A hash is looked up by so many of its first bits.
BUCKET_BITS = 16
BUCKET_SHIFT = np.uint64(64 - BUCKET_BITS)


@dataclass(frozen=True)
class StopWords:
    """A language's stop words, by their hashes."""

    words: "HashList"  # those of one word
    beginnings: "HashList"  # the first words of the others
    runs: dict[int, tuple["HashList", "HashList"]]  # number of words -> first words, and whole ones

    @classmethod
    def of(cls, stop_words: Sequence[str]) -> "StopWords":
        """The stop words of a list; entries without a word are left out."""
        table = TextTable.read(stop_words, [""] * len(stop_words))
        sizes, starts = table.num_words, table.text_words[:-1]
        starts, sizes = starts[sizes > 0], sizes[sizes > 0]
        firsts = table.words.hashes[starts]
        hashes = SpanHashes(table.words.hashes).between(starts, starts + sizes)
        runs = {
            size: (HashList(firsts[sizes == size]), HashList(hashes[sizes == size]))
            for size in np.unique(sizes[sizes > 1]).tolist()
        }
        return cls(HashList(firsts[sizes == 1]), HashList(firsts[sizes > 1]), runs)

    def count(self, table: TextTable, spans: SpanHashes) -> I64:
        """How many different ones stand in each text, int64 ``[n_texts]``; ``spans`` are of the table's words."""
        hashes, texts = table.words.hashes, table.words.texts
        places, numbers = self.words.find(hashes)
        found = self.words.count_different(texts.take(places), numbers, len(table.languages))
        begun = self.beginnings.find(hashes)[0]
        for size, (firsts, stop_words) in self.runs.items():
            starts = begun.take(firsts.find(hashes.take(begun))[0])
            in_text = np.flatnonzero(starts + size <= table.text_words[1:].take(texts.take(starts)))
            starts = starts.take(in_text)
            places, numbers = stop_words.find(spans.between(starts, starts + size))
            found += stop_words.count_different(texts.take(starts.take(places)), numbers, len(table.languages))
        return found


class HashList:
    """Some hashes, each once, in ascending order, in which many others are looked up at once."""

    def __init__(self, hashes: U64):
        self.hashes = np.unique(hashes)
        buckets = (self.hashes >> BUCKET_SHIFT).view(np.int64)
        self._sizes = np.bincount(buckets, minlength=1 << BUCKET_BITS)
        self._filled = self._sizes > 0
        self._firsts = np.cumsum(self._sizes) - self._sizes

    def find(self, hashes: U64) -> tuple[I64, I64]:
        """Which of the given hashes are in the list, and where: two arrays ``[n_found]``, places and places there."""
        buckets = (hashes >> BUCKET_SHIFT).view(np.int64)
        places = np.flatnonzero(self._filled.take(buckets))
        found = [(places[:0], places[:0])]
        for behind in range(int(self._sizes.max())):
            numbers = self._firsts.take(buckets.take(places)) + behind
            equal = np.flatnonzero(self.hashes.take(numbers) == hashes.take(places))
            found.append((places.take(equal), numbers.take(equal)))
            places = places.take(np.flatnonzero(self._sizes.take(buckets.take(places)) > behind + 1))
        return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])

    def count_different(self, texts: I64, numbers: I64, num_texts: int) -> I64:
        """How many different ones each text holds, from the text and the place in the list of each that was found."""
        seen = np.zeros((num_texts, len(self.hashes)), np.bool_)
        seen[texts, numbers] = True
        return np.count_nonzero(seen, axis=1)


@functools.cache
def stop_words_in(language: str, listed: tuple[str, ...] | None, from_package: bool) -> StopWords | None:
    """The stop words of a language: those listed, else the package's; None where there is no list."""
    stop_words = package_stop_words(language) if listed is None and from_package else listed
    return StopWords.of(stop_words) if stop_words else None


@functools.cache
def package_stop_words(language: str) -> tuple[str, ...]:
    """The list of stopwordsiso, in small letters, without what holds a digit or no letter; () where it has none."""
    code = LIST_OF.get(language, language)
    if not stopwordsiso.has_lang(code):
        return ()
    entries = {unicodedata.normalize("NFC", entry).lower() for entry in stopwordsiso.stopwords(code)}
    return tuple(sorted(entry for entry in entries if _is_word(entry)))


def _is_word(entry: str) -> bool:
    return any(map(str.isalpha, entry)) and not any(map(str.isdecimal, entry))
