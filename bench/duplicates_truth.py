"""What is true of duplicates: an independent reading of our shingles, all pairs by brute force, and how drops are judged.

    texts  ->  shingle_sets  ->  true_pairs  ->  judge(dropped)  ->  Judgement

The reading follows the docstring of `pipelines.duplicates.shingles` and shares no code with it: sets of tuples of folded
units in place of hashes, names of characters in place of blocks of code points. The pairs are exact: a pair at or above
the threshold shares one of the rarest shingles of both (the prefix filter of Chaudhuri, Ganti, Kaushik 2006), so an
index of those finds every candidate, and sets decide.
"""

import functools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, TypeAlias

Pair: TypeAlias = tuple[int, int]
Shingles: TypeAlias = frozenset[tuple[str, ...]]

#: How names of characters begin in scripts without spaces between words.
UNSPACED = (
    *("CJK", "HIRAGANA", "HENTAIGANA", "KATAKANA", "HALFWIDTH KATAKANA", "COMBINING KATAKANA", "VERTICAL KANA", "MASU"),
    *("IDEOGRAPHIC ITERATION", "IDEOGRAPHIC NUMBER", "IDEOGRAPHIC CLOSING", "VERTICAL IDEOGRAPHIC"),
    *("BOPOMOFO", "HANGZHOU"),
    *("THAI", "LAO", "KHMER", "MYANMAR", "YI ", "TAI ", "NEW TAI", "TANGUT", "KHITAN", "NUSHU", "OLD CHINESE"),
)
#: How names of marks begin that belong to the character before, whatever it is.
ATTACHED = ("VARIATION SELECTOR", "HALFWIDTH KATAKANA VOICED", "HALFWIDTH KATAKANA SEMI-VOICED")


class _Character(NamedTuple):
    """A character as a shingle sees it: its kind ("word", "unit", "mark", "") and its folded form."""

    kind: str
    form: str


@functools.cache
def _look_up(character: str) -> _Character:
    category, name = unicodedata.category(character), unicodedata.name(character, "")
    if name.startswith(ATTACHED):
        return _Character("mark", character)
    if name.startswith(UNSPACED):
        kinds = dict.fromkeys(("Lo", "Lm", "Nl", "No"), "unit") | dict.fromkeys(("Mn", "Mc"), "mark") | {"Nd": "word"}
        return _Character(kinds.get(category, ""), character)
    if category[0] not in "LMN":
        return _Character("", character)
    # A form that is longer or shorter, such as "ss" of a sharp s, does not take the letter's place.
    fitting = [f for f in (character.casefold(), character.lower()) if len(f) == 1 and _size(f) == _size(character)]
    return _Character("word", fitting[0] if fitting else character)


def _size(text: str) -> int:
    return len(text.encode())


def read_units(text: str) -> list[str]:
    """What shingles count: words where a script has spaces, characters with their marks where it has none."""
    units: list[str] = []
    before = ""
    for character in text:
        kind, form = _look_up(character)
        if kind and before and (kind == "mark" or before == kind == "word"):
            units[-1] += form
        elif kind:
            units.append(form)
        before = kind
    return units


def read_shingles(text: str, size: int) -> Shingles:
    """The set of runs of ``size`` units; of fewer units the whole text is one; of none there is none."""
    units = read_units(text)
    if len(units) < size:
        return frozenset([tuple(units)] if units else [])
    return frozenset(zip(*(units[start:] for start in range(size)), strict=False))


def similarity(a: Collection[object], b: Collection[object]) -> Fraction:
    """Jaccard similarity of two sets, exactly; 0 if neither holds anything."""
    shared = len(set(a) & set(b))
    union = len(a) + len(b) - shared
    return Fraction(shared, union) if union else Fraction(0)


def contained_share(a: Collection[object], b: Collection[object]) -> Fraction:
    """How much of the first set stands in the second, exactly; 0 if it holds nothing."""
    return Fraction(len(set(a) & set(b)), len(a)) if a else Fraction(0)


def true_pairs(sets: Sequence[Collection], threshold: Fraction) -> dict[Pair, Fraction]:
    """All pairs (a < b) whose similarity is at or above the threshold, with it."""
    frequency = Counter(shingle for one in sets for shingle in one)
    # Numbers in order of rarity: the rarest shingles of a set are its smallest numbers, and sets of numbers are fast.
    number = {shingle: place for place, (shingle, _) in enumerate(sorted(frequency.items(), key=lambda item: item[1]))}
    numbered = [frozenset(number[shingle] for shingle in one) for one in sets]
    found: dict[Pair, Fraction] = {}
    index: defaultdict[int, list[int]] = defaultdict(list)
    for document, one in enumerate(numbered):
        rarest = sorted(one)[: len(one) - _ceil(threshold * len(one)) + 1]
        for other in {other for shingle in rarest for other in index[shingle]}:
            few, many = sorted((len(one), len(numbered[other])))
            if few >= threshold * many:
                shared = len(one & numbered[other])
                if shared >= threshold * (few + many - shared):
                    found[other, document] = Fraction(shared, few + many - shared)
        for shingle in rarest:
            index[shingle].append(document)
    return found


def equal_texts(texts: Sequence[str]) -> Iterator[Pair]:
    """Each text that equals an earlier one but for white space, with the first such."""
    first: dict[str, int] = {}
    for document, text in enumerate(texts):
        earlier = first.setdefault(" ".join(text.split()), document)
        if earlier != document:
            yield earlier, document


@dataclass(frozen=True)
class Judgement:
    """How a tool's drops compare with the true pairs.

    Attributes:
        dropped: documents.
        wrong: of them, those that resemble no kept document at or above the threshold, nor equal one.
        resolved: by mark, true pairs at or above it of which a member was dropped.
        pairs: by mark, true pairs at or above it.
    """

    dropped: int
    wrong: int
    resolved: tuple[int, ...]
    pairs: tuple[int, ...]

    def recall(self, mark: int) -> float:
        """Resolved true pairs / true pairs at the mark; 1 where there are none."""
        return self.resolved[mark] / self.pairs[mark] if self.pairs[mark] else 1.0


def judge(
    dropped: set[int], pairs: Mapping[Pair, Fraction], equal: Iterable[Pair], marks: Sequence[Fraction]
) -> Judgement:
    """Judges which documents a tool dropped; ``equal`` are pairs without shingles to compare, which may be dropped."""
    neighbours: defaultdict[int, set[int]] = defaultdict(set)
    for a, b in [*pairs, *equal]:
        neighbours[a].add(b)
        neighbours[b].add(a)
    wrong = sum(1 for document in dropped if not neighbours[document] - dropped)
    above = [[pair for pair, value in pairs.items() if value >= mark] for mark in marks]
    resolved = tuple(sum(1 for a, b in some if a in dropped or b in dropped) for some in above)
    return Judgement(len(dropped), wrong, resolved, tuple(map(len, above)))


def found_share(found: set[Pair], pairs: Mapping[Pair, Fraction], mark: Fraction) -> float:
    """Of the true pairs at or above the mark, the share that is in ``found`` (a < b); 1 where there are none."""
    above = [pair for pair, value in pairs.items() if value >= mark]
    return sum(pair in found for pair in above) / len(above) if above else 1.0


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)
