"""Where two texts differ: both cut into the stretches that they share and those that one has and the other has not.

    "The cat sat."  "The dog sat."  ->  align  ->  The_ = The_ | cat / dog | _sat. = _sat.
    "我很高興"       "我不高興"       ->  align  ->  我 = 我 | 很 / 不 | 高興 = 高興

Compared are words where a script has spaces and single characters where it has none, as they are written. A plain
longest-match search is quadratic; so runs of pieces that stand once in either text are matched first, in order
(patience diff), and only what lies between them is searched: two novels of 400,000 characters take a second or two.
"""

import bisect
import difflib
import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from pipelines.duplicates.text_units import UNSPACED

#: Pieces that stand once in both texts are looked for in runs of so many: the longer the run, the less by chance.
ANCHOR_SIZES = (8, 3, 1)
#: Between two anchors, so many pairs of pieces are searched for the longest match: 200 words by 200.
SEARCHED_PAIRS = 40_000
#: Anchors are looked for again between anchors, so often at most: each round reads all that is left once.
ANCHOR_ROUNDS = 12

Match: TypeAlias = tuple[int, int, int]


class Stretch(NamedTuple):
    """A piece of both texts: the same on both sides, or different; one side may be empty."""

    left: str
    right: str

    @property
    def is_equal(self) -> bool:
        return self.left == self.right


@dataclass(frozen=True)
class Alignment:
    """Two texts as stretches; joined, the left sides are the left text and the right sides the right one.

    Attributes:
        stretches: in order.
        unsearched: characters of both texts inside stretches that were taken as different without a search, because
            they are long and hold nothing that stands once in both.
    """

    stretches: list[Stretch]
    unsearched: int


def pieces(text: str) -> list[str]:
    """The text in words, characters of scripts without spaces, runs of white space, and single other characters.

    >>> pieces("Tokyo, 東京 2026")
    ['Tokyo', ',', ' ', '東', '京', ' ', '2026']
    """
    return _pattern().findall(text)


@functools.cache
def _pattern() -> re.Pattern[str]:
    marks = _char_class(code for code in range(0x20000) if unicodedata.category(chr(code)).startswith("M"))
    unspaced = "".join(f"{chr(first)}-{chr(end - 1)}" for first, end in UNSPACED) + "\U00020000-\U0003ffff"
    word = rf"(?:(?![{unspaced}])[\w{marks}])+"
    return re.compile(rf"{word}|\s+|.[{marks}\u200d\ufe0f]*", re.DOTALL)


def _char_class(codes: Iterable[int]) -> str:
    """Ascending code points as ranges of a character class."""
    runs = itertools.groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0])
    ends = [[code for _, code in run] for _, run in runs]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in ends)


def align(left: str, right: str) -> Alignment:
    """The stretches of two texts.

    >>> align("The cat sat.", "The dog sat.").stretches
    [Stretch(left='The ', right='The '), Stretch(left='cat', right='dog'), Stretch(left=' sat.', right=' sat.')]
    """
    a, b = (pieces(text) for text in (left, right))
    matches, unsearched = _matches(a, b)
    found: list[Stretch] = []
    at_a = at_b = 0
    for start_a, start_b, length in [*matches, (len(a), len(b), 0)]:
        if start_a > at_a or start_b > at_b:
            found.append(Stretch("".join(a[at_a:start_a]), "".join(b[at_b:start_b])))
        at_a, at_b = start_a + length, start_b + length
        if length:
            found.append(Stretch(same := "".join(a[start_a:at_a]), same))
    return Alignment(_joined(found), unsearched)


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Neighbours of a kind as one; spaces and punctuation between two differences belong to them.

    "red big" beside "blue small" differ as a whole, not by two words around a space.
    """
    found: list[Stretch] = []
    for place, stretch in enumerate(stretches):
        equal = stretch.is_equal
        between = equal and found and not found[-1].is_equal and place + 1 < len(stretches)
        if between and not stretches[place + 1].is_equal and not any(map(str.isalnum, stretch.left)):
            equal = False
        if found and found[-1].is_equal == equal:
            before = found.pop()
            stretch = Stretch(before.left + stretch.left, before.right + stretch.right)
        found.append(stretch)
    return found


def _matches(a: Sequence[str], b: Sequence[str]) -> tuple[list[Match], int]:
    """Equal runs as (start in a, start in b, length), ascending in both and not adjacent; characters not searched."""
    found: list[Match] = []
    unsearched = 0
    pending = [(0, len(a), 0, len(b), ANCHOR_ROUNDS)]
    while pending:
        a1, a2, b1, b2, rounds = pending.pop()
        head = _common(a, b, a1, b1, min(a2 - a1, b2 - b1), 1)
        found.append((a1, b1, head))
        a1, b1 = a1 + head, b1 + head
        tail = _common(a, b, a2 - 1, b2 - 1, min(a2 - a1, b2 - b1), -1)
        a2, b2 = a2 - tail, b2 - tail
        found.append((a2, b2, tail))
        if a1 == a2 or b1 == b2:
            continue
        if (a2 - a1) * (b2 - b1) <= SEARCHED_PAIRS:
            blocks = difflib.SequenceMatcher(None, a[a1:a2], b[b1:b2], autojunk=False).get_matching_blocks()
            found += [(a1 + block.a, b1 + block.b, block.size) for block in blocks]
        elif anchors := rounds and _anchors(a[a1:a2], b[b1:b2]):
            ends = [(a1 - 1, b1 - 1), *((a1 + i, b1 + j) for i, j in anchors), (a2, b2)]
            found += [(i, j, 1) for i, j in ends[1:-1]]
            pending += [(i + 1, p, j + 1, q, rounds - 1) for (i, j), (p, q) in itertools.pairwise(ends)]
        else:
            unsearched += sum(map(len, a[a1:a2])) + sum(map(len, b[b1:b2]))
    return _adjacent_joined(sorted(match for match in found if match[2])), unsearched


def _common(a: Sequence[str], b: Sequence[str], at_a: int, at_b: int, limit: int, step: int) -> int:
    """How many pieces are the same from there on, going forward or back."""
    for length in range(limit):
        if a[at_a + step * length] != b[at_b + step * length]:
            return length
    return limit


def _adjacent_joined(matches: Sequence[Match]) -> list[Match]:
    found: list[Match] = []
    for start_a, start_b, length in matches:
        if found and found[-1][0] + found[-1][2] == start_a and found[-1][1] + found[-1][2] == start_b:
            first_a, first_b, before = found.pop()
            found.append((first_a, first_b, before + length))
        else:
            found.append((start_a, start_b, length))
    return found


def _anchors(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Where runs that stand once in either begin, as many of them as have one order in both."""
    for size in ANCHOR_SIZES:
        once_a, once_b = (_places_of_unique(side, size) for side in (a, b))
        pairs = [(place, once_b[run]) for run, place in once_a.items() if run in once_b]
        if pairs:
            return _longest_ascending(sorted(pairs))
    return []


def _places_of_unique(side: Sequence[str], size: int) -> dict[tuple[str, ...], int]:
    runs = list(zip(*(side[start:] for start in range(size)), strict=False))
    counts = Counter(runs)
    return {run: place for place, run in enumerate(runs) if counts[run] == 1}


def _longest_ascending(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest choice of the pairs, which ascend in the first number, that ascends in the second too.

    >>> _longest_ascending([(0, 5), (1, 1), (2, 2), (3, 0), (4, 9)])
    [(1, 1), (2, 2), (4, 9)]
    """
    tops: list[int] = []  # the smallest second number that ends a choice of each length
    holders: list[int] = []
    before = [-1] * len(pairs)
    for place, (_, second) in enumerate(pairs):
        length = bisect.bisect_left(tops, second)
        before[place] = holders[length - 1] if length else -1
        tops[length : length + 1] = [second]
        holders[length : length + 1] = [place]
    chosen, place = [], holders[-1] if holders else -1
    while place >= 0:
        chosen.append(pairs[place])
        place = before[place]
    return chosen[::-1]
