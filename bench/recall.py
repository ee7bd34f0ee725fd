"""Prose recall: how many words of the reference's sentences a text still has.

Words are counted page by page, each as often as it stands there; in scripts without spaces 5-grams of letters are.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.residue import count_marks

HOLE = "\x00"
UNSPACED = frozenset(["ja", "zh", "th", "lo", "km", "my"])
GRAM = 5
_left_markup = frozenset(["[[", "]]", "{{", "}}", "<tag", "''"])
_sentence_end = re.compile(r"(?<=[.!?।؟])\s+|(?<=[。！？])")


class _Letters(dict[int, str | None]):
    """Code point -> itself where it is a letter, a mark or a number; nothing for invisible ones; else a space."""

    def __missing__(self, code: int) -> str | None:
        category = unicodedata.category(chr(code))
        self[code] = chr(code) if category[0] in "LMN" else None if category == "Cf" else " "
        return self[code]


_letters = _Letters()


def letters(text: str) -> str:
    """``text`` with a space for every character that is no letter, mark or number; powers and other forms made plain.

    >>> letters("it's 5 km² (wide)")
    'it s 5 km2  wide '
    """
    return unicodedata.normalize("NFKC", text).translate(_letters)


def grams(text: str, language: str) -> list[str]:
    """The words of ``text``, or its 5-grams of letters in a language that is written without spaces."""
    if language not in UNSPACED:
        return letters(text).split()
    run = letters(text).replace(" ", "")
    return [run[start : start + GRAM] for start in range(max(len(run) - GRAM + 1, 0))]


@dataclass(frozen=True)
class Sentence:
    """A sentence of the reference, and how many of its words, in their order, the text lacks."""

    text: str
    lost: int
    words: int


def sentences(lines: Sequence[str]) -> Iterator[str]:
    """The sentences of a page's reference, holes included; without those that mwparserfromhell left markup in."""
    for line in lines:
        for sentence in _sentence_end.split(line):
            left = _left_markup & count_marks(sentence).keys() or "-{" in sentence
            if sentence.strip() and not left:
                yield sentence


def count_kept(text: str, reference: Mapping[str, Any], language: str) -> tuple[int, int]:
    """``(kept, all)`` words of the page's sentences; a word that the text has twice is kept twice at most."""
    wanted: Counter[str] = Counter()
    for sentence in sentences(reference["lines"]):
        for piece in sentence.split(HOLE):
            wanted.update(grams(piece, language))
    return (wanted & Counter(grams(text, language))).total(), wanted.total()


def lost_sentences(text: str, reference: Mapping[str, Any], language: str) -> list[Sentence]:
    """Sentences of which some three words in a row (in scripts without spaces: five letters) are not in the text."""
    there = set(_runs(grams(text, language), language))
    found = []
    for sentence in sentences(reference["lines"]):
        runs = [run for piece in sentence.split(HOLE) for run in _runs(grams(piece, language), language)]
        lost = sum(run not in there for run in runs)
        if lost:
            found.append(Sentence(sentence.replace(HOLE, "□"), lost, len(runs)))
    return found


def _runs(words: Sequence[str], language: str) -> list[str]:
    if language in UNSPACED:
        return list(words)
    return [" ".join(words[start : start + 3]) for start in range(max(len(words) - 2, 0))]
