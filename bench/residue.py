"""Residue: marks of wikitext that are left in extracted text, raw and net, for each MB of text.

Net is raw minus only the marks that the page's own source has inside ``nowiki``, ``code``, ``pre``,
``syntaxhighlight`` or ``math``, or as literal prose where ``LITERAL_PROSE`` names the page.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape

# The one table of patterns: mark -> what counts as one of it.
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "[[": re.compile(r"\[\["),
    "]]": re.compile(r"\]\]"),
    "{{": re.compile(r"\{\{"),
    "}}": re.compile(r"\}\}"),
    "<tag": re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?=[\s/>])"),
    "''": re.compile(r"'{2,}"),
    "thumb|": re.compile(
        r"(?:\b(?:thumb|thumbnail|frame|frameless|mini|vignette|upright|міні|мини|миниатюра|праворуч|ліворуч|nhỏ|đặc biệt|"
        r"इवलेसे)|サムネイル|缩略图|縮圖|تصغير|\d+ ?(?:px|пкс))\s*\|"
    ),
    "&entity;": re.compile(r"&(?:#\d+|#[xX][0-9A-Fa-f]+|[A-Za-z][A-Za-z0-9]{1,31});"),
    "()": re.compile(r"\(\s*\)|（\s*）"),
    "(,": re.compile(r"[(（]\s*[,;،؛、，；]"),
    "|-": re.compile(r"\|-"),
}

# Source shown as it is written. Entities are read in the first group, as MediaWiki does.
_read_literals = re.compile(r"<(nowiki|code|pre)\b[^>]*(?<!/)>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)
_raw_literals = re.compile(r"<(syntaxhighlight|source|math)\b[^>]*(?<!/)>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)

#: (dump, page title, mark) -> how many of it the page's author wrote in its prose, where a reader sees them.
LITERAL_PROSE: Mapping[tuple[str, str, str], int] = {
    # "&amp;#x014C;": the page tells how to write Ō in HTML.
    ("ltgwiki-2017-complete", "Latgaļu alfabets", "&entity;"): 2,
    # A Java program in lines that begin with a space.
    ("ltgwiki-2017-complete", "Zipfa lykums", "<tag"): 1,
}


@dataclass(frozen=True)
class Mark:
    """One mark in a text, with the text around it."""

    name: str
    context: str
    literal: bool


def count_marks(text: str) -> Counter[str]:
    """Mark -> how often it stands in ``text``; marks that do not stand there are missing.

    >>> count_marks("a [[b]] (, c) &nbsp;")
    Counter({'[[': 1, ']]': 1, '&entity;': 1, '(,': 1})
    """
    found = ((name, len(pattern.findall(text))) for name, pattern in PATTERNS.items())
    return Counter({name: number for name, number in found if number})


def count_literal_marks(markup: str) -> Counter[str]:
    """Mark -> how often it stands in the page's source where the source is shown as it is written."""
    marks: Counter[str] = Counter()
    for region in _read_literals.finditer(markup):
        marks += count_marks(unescape(region[2]))
    for region in _raw_literals.finditer(markup):
        marks += count_marks(region[2])
    return marks


def count_net(raw: Mapping[str, int], markup: str, dump: str = "", title: str = "") -> Counter[str]:
    """What remains of a page's raw marks without those that its source shows as they are written."""
    literal = count_literal_marks(markup)
    for name in raw:
        literal[name] += LITERAL_PROSE.get((dump, title, name), 0)
    return Counter({name: number - literal[name] for name, number in raw.items() if number > literal[name]})


def list_marks(text: str, markup: str, radius: int = 40) -> Iterator[Mark]:
    """Every mark in ``text``; ``literal`` where its source holds the same characters, with six more on either side."""
    sources = (markup, unescape(markup))
    for name, pattern in PATTERNS.items():
        for match in pattern.finditer(text):
            near = text[max(match.start() - 6, 0) : match.end() + 6]
            context = text[max(match.start() - radius, 0) : match.end() + radius]
            yield Mark(name, context.replace("\n", "⏎"), any(near in source for source in sources))
