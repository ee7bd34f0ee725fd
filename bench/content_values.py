"""Content values: what the arguments of ``convert``, ``lang`` and their like say, looked for in their paragraph.

A value's paragraph is the one that shares the most 5-grams of letters with the line of the source that the value
stands in; where the line is nothing but templates, any paragraph of the page will do.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.recall import HOLE, letters

GRAM = 5
_digit_grouping = re.compile(r"(?<=\d)[.,'’٬٫+](?=\d)")


def normalize(text: str) -> str:
    """``text`` without spaces, signs between digits and invisible characters; other forms of a letter made one.

    >>> normalize("12,345.5 km²"), normalize("−5 ½"), normalize("12 345,5")
    ('123455km2', '-51/2', '123455')
    """
    text = unicodedata.normalize("NFKC", text).translate({0x2212: "-", 0x2013: "-", 0x2044: "/"})
    text = "".join(char for char in text if not char.isspace() and unicodedata.category(char) != "Cf")
    return _digit_grouping.sub("", text)


class Paragraphs:
    """A page's paragraphs, which a line of the source can be looked up in.

    Args:
        text: the page's extracted text; a paragraph is a line of it.
    """

    def __init__(self, text: str) -> None:
        lines = [line for line in text.split("\n") if line.strip()]
        self._normalized = [normalize(line) for line in lines]
        self._holding: dict[str, set[int]] = defaultdict(set)
        for number, line in enumerate(lines):
            shown = letters(line).replace(" ", "")
            for start in range(max(len(shown) - GRAM + 1, 0)):
                self._holding[shown[start : start + GRAM]].add(number)

    def nearest(self, anchor: str) -> Sequence[int]:
        """The paragraphs that share the most 5-grams with ``anchor``; all where none shares any."""
        shared: Counter[int] = Counter()
        for piece in anchor.split(HOLE):
            shown = letters(piece).replace(" ", "")
            for gram in {shown[start : start + GRAM] for start in range(max(len(shown) - GRAM + 1, 0))}:
                shared.update(self._holding.get(gram, ()))
        best = max(shared.values(), default=0)
        return [number for number, score in shared.items() if score == best] or range(len(self._normalized))

    def hold(self, pieces: Sequence[str], anchor: str) -> bool:
        """Whether a paragraph nearest to ``anchor`` has all ``pieces``."""
        wanted = [normalize(piece) for piece in pieces]
        near = self.nearest(anchor)
        return any(all(piece in self._normalized[number] for piece in wanted) for number in near)


def missing_values(text: str, reference: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The values of a page that its text lacks.

    Args:
        text: the page as it was extracted; "" where it was not.
        reference: a row of ``bench.reference``.
    """
    if not reference["values"]:
        return []
    paragraphs = Paragraphs(text)
    anchors = reference["anchors"]
    return [v for v in reference["values"] if not paragraphs.hold(v["pieces"], anchors[v["anchor"]])]
