"""A page's main text: what its author wrote, without menus, teasers and notices. One extractor a setting.

    main_lines(tree, extractor, language)  ->  (lines, rule -> number of lines left out)

``trafilatura`` is trafilatura's fast mode, checked against resiliparse, which fails differently. An article laid out in
several pieces is joined before (of a body split by advertisements trafilatura takes the first piece). A text whose
paragraphs ran together is resiliparse's, and so is that of a page of very many elements. Lines at the beginning and
the end that resiliparse does not take for main text go; where it takes little of the text, trafilatura's slow mode is
asked, and believed if resiliparse agrees. ``python -m bench.html`` shows what each extractor is worth.
"""

import functools
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lxml.html import tostring
from resiliparse.extract.html2text import extract_plain_text

from pipelines.readers.web.boilerplate import is_sentence
from pipelines.spine.errors import CorpusmillError

EXTRACTORS = ("trafilatura", "resiliparse", "justext")
#: Below this many characters trafilatura takes the rest of the page too, menus included. Its own 250 are some 40
#: English words; as many Chinese or Japanese ones take about 60.
MIN_ARTICLE_CHARS = {"spaced": 250, "dense": 60}
#: A longer sentence at the edge of a text is the author's, whatever the second reader says.
MAX_EDGE_SENTENCE_CHARS = 120
#: Where the second reader finds less than this share of the text, the two have read different parts of the page.
MIN_AGREED_PERCENT = 60
#: A line longer than this that makes up most of a text is a page whose paragraphs ran together.
MAX_PARAGRAPH_CHARS = 1_000
#: trafilatura's time grows with the square of the elements: 25 seconds for 120,000. The gold pages have up to 1,600.
MAX_ELEMENTS = 50_000
#: Of more equal containers a page is a list, not one article.
MAX_PIECES = 50
_PIECE_CHARS = 16
_DENSE_LETTERS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ROW_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+\s*")
_BODY_NAME = re.compile(r"article|body|content|text|story|entry|post", re.IGNORECASE)

Lines = tuple[list[str], Counter[str]]


@dataclass(frozen=True)
class HtmlSettings:
    """``params.yaml: extract.html``.

    Args:
        extractor: trafilatura, resiliparse or justext; the module's words say what they do.
    """

    extractor: str

    def __post_init__(self) -> None:
        if self.extractor not in EXTRACTORS:
            raise CorpusmillError(
                "unknown extractor of web pages",
                where="extract.html.extractor",
                expected=", ".join(EXTRACTORS),
                got=repr(self.extractor),
            )


def main_lines(tree: Any, extractor: str, language: str) -> Lines:
    """The lines of the main text, tables as tab-separated rows, and what was left out of it by rule.

    Args:
        tree: the page as lxml's tree; may be changed.
        extractor: one of ``EXTRACTORS``.
        language: of the page, "" unknown; jusText chooses its stop words by it.
    """
    return _EXTRACTORS[extractor](tree, language)


def is_dense(text: str) -> bool:
    """Whether a quarter of the letters stand for a syllable or a word each: Chinese, Japanese, Korean."""
    return 4 * len(_DENSE_LETTERS.findall(text)) > sum(map(str.isalpha, text))


def _by_trafilatura(tree: Any, language: str) -> Lines:
    second = _plain_lines(tree)
    if tree.xpath("count(//*)") > MAX_ELEMENTS:
        return second, Counter()
    join_pieces(tree)
    lines = _extracted(tree, second, fast=True)
    if _ran_together(lines) and not _ran_together(second) and _agrees(" ".join(lines), _bare(second)):
        return second, Counter()
    trimmed = trim_edges(lines, second) or trim_edges(_extracted(tree, second, fast=False), second)
    return trimmed or (lines, Counter())


def _by_resiliparse(tree: Any, language: str) -> Lines:
    return _plain_lines(tree), Counter()


def _by_justext(tree: Any, language: str) -> Lines:
    import justext

    paragraphs = justext.justext(_serialized(tree), _stop_words(language.partition("-")[0]))
    return [paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate], Counter()


_EXTRACTORS: dict[str, Callable[[Any, str], Lines]] = {
    "trafilatura": _by_trafilatura,
    "resiliparse": _by_resiliparse,
    "justext": _by_justext,
}


def join_pieces(tree: Any) -> None:
    """Puts an article's pieces together: equal containers of paragraphs in one ``<article>``, side by side."""
    groups: dict[tuple[Any, str, str], list[Any]] = {}
    for element in tree.iter("div", "section"):
        name = element.get("class", "")
        if _BODY_NAME.search(name) and len(element.findall("p")) > 1:
            article = next(element.iterancestors("article"), None)
            if article is not None:
                groups.setdefault((article, element.tag, name), []).append(element)
    for first, *others in groups.values():
        if len(others) < MAX_PIECES and not any(first in other.iterancestors() for other in others):
            for other in others:
                first.extend(list(other))


def trim_edges(lines: list[str], second: Sequence[str]) -> Lines | None:
    """The lines from the first to the last that the second reader has too; the others are counted as ``not_main``.

    A long sentence is never trimmed away.

    Returns:
        None where the second reader has so few of the lines that the two have read different parts of the page.
    """
    text = _bare(second)
    if 100 * sum(len(line) for line in lines if _agrees(line, text)) < MIN_AGREED_PERCENT * sum(map(len, lines)):
        return None
    first, last = 0, len(lines)
    while first < last and _may_go(lines[first], text):
        first += 1
    while last > first and _may_go(lines[last - 1], text):
        last -= 1
    return lines[first:last], +Counter(not_main=len(lines) - last + first)


def _may_go(line: str, second: str) -> bool:
    return not (len(line) > MAX_EDGE_SENTENCE_CHARS and is_sentence(line)) and not _agrees(line, second)


def _agrees(line: str, second: str) -> bool:
    """Whether half of the line, cut into pieces of 16 characters, stands in the other text; spaces do not count."""
    bare = "".join(line.split())
    pieces = [bare[start : start + _PIECE_CHARS] for start in range(0, len(bare), _PIECE_CHARS)]
    return 2 * sum(piece in second for piece in pieces) >= len(pieces)


def _bare(lines: Sequence[str]) -> str:
    return "".join("".join(line.split()) for line in lines)


def _ran_together(lines: Sequence[str]) -> bool:
    longest = max(map(len, lines), default=0)
    return longest > MAX_PARAGRAPH_CHARS and 2 * longest > sum(map(len, lines))


def _plain_lines(tree: Any) -> list[str]:
    text = extract_plain_text(
        _serialized(tree), main_content=True, comments=False, post_meta=False, alt_texts=False, list_bullets=False
    )
    return [line.strip() for line in text.splitlines() if line.strip()]


def _extracted(tree: Any, second: Sequence[str], fast: bool) -> list[str]:
    """trafilatura's lines; what the second reader found tells the script."""
    extract, settings = _trafilatura()
    config = settings["dense" if is_dense("".join(second)) else "spaced"]
    text = extract(tree, fast=fast, include_comments=False, include_tables=True, config=config) or ""
    return [_without_bars(line) for line in text.splitlines() if line.strip() and not _ROW_RULE.fullmatch(line)]


def _serialized(tree: Any) -> str:
    """The page as lxml understood it, at most 255 elements deep: of 20,000, resiliparse makes 17 seconds."""
    return str(tostring(tree, encoding="unicode"))


@functools.cache
def _trafilatura() -> tuple[Callable[..., Any], dict[str, Any]]:
    # Imported here: 0.7 s, and only web pages need it. It logs every page without text; we count them.
    import trafilatura
    from trafilatura.settings import use_config

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    settings = {name: use_config() for name in MIN_ARTICLE_CHARS}
    for name, config in settings.items():
        config["DEFAULT"]["MIN_EXTRACTED_SIZE"] = str(MIN_ARTICLE_CHARS[name])
    return trafilatura.extract, settings


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    """jusText's list for the language, for an unknown one all of its lists together."""
    import justext
    from trafilatura.settings import JUSTEXT_LANGUAGES

    names = [JUSTEXT_LANGUAGES[language]] if language in JUSTEXT_LANGUAGES else justext.get_stoplists()
    return frozenset().union(*map(justext.get_stoplist, names))


def _without_bars(line: str) -> str:
    """A table row's cells apart by tabs; any other line as it is."""
    if not line.startswith("|"):
        return line
    return "\t".join(cell for part in line.strip().strip("|").split("|") if (cell := part.strip()))
