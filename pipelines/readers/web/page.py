"""One HTML page -> its title, date, author, language and main text. Pure: bytes in, values out.

    bytes  ->  decode_page  ->  page_facts, main_lines  ->  drop_boilerplate  ->  Page

What each extractor reaches on the 181 gold pages of Zyte's article-extraction benchmark, and at which speed, is
printed by ``python -m bench.html``.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.readers.records import UnreadableError
from pipelines.readers.web.boilerplate import drop_boilerplate
from pipelines.readers.web.charset import decode_page
from pipelines.readers.web.facts import page_facts
from pipelines.readers.web.main_text import HtmlSettings, is_dense, main_lines

#: A longer page is no article; parsing takes about 20 times its bytes in memory.
MAX_PAGE_BYTES = 16 << 20
#: Both parsers compare each attribute of a tag with all others: of 20,000 each makes 2 seconds, of 100,000 a minute.
MAX_ATTRIBUTES = 1_000
_ATTRIBUTE = r"""(?>[\s/]*+[^\s<>="'/]++(?>\s*+=\s*+(?>"[^"]*+"|'[^']*+'|[^\s"'<>]*+))?+)"""
_CROWDED_TAG = re.compile(f"<[a-z]{_ATTRIBUTE}{{{MAX_ATTRIBUTES}}}", re.IGNORECASE)
#: Languages written in letters that stand for a syllable or a word each.
DENSE_LANGUAGES = frozenset({"zh", "ja", "ko", "yue", "wuu", "nan", "hak", "gan", "lzh", "cdo", "hsn"})


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says and what it says of itself; "" where it gives nothing.

    Args:
        title: what a reader would call it.
        date: of publication, ISO 8601.
        author: names apart by ", ".
        language: ``language[-script][-region]``: "en", "pt-br", "zh-hant".
        text: the main text, a paragraph or table row a line.
        refresh: the address to which the page sends its reader at once.
        dropped: rule -> number of lines of the text that were left out as boilerplate.
    """

    title: str
    date: str
    author: str
    language: str
    text: str
    refresh: str
    dropped: Mapping[str, int]


def read_page(raw: bytes, charset: str, settings: HtmlSettings, header_language: str = "") -> Page:
    """The page's main text ("" where there is none) and what it says of itself.

    Args:
        raw: the page's bytes.
        charset: what the server said, "" for nothing.
        settings: how the main text is found.
        header_language: the server's ``Content-Language``.
    Raises:
        UnreadableError: too_long, not_html, extraction_failed.
    """
    if len(raw) > MAX_PAGE_BYTES:
        raise UnreadableError("too_long", f"{len(raw):,} bytes; at most {MAX_PAGE_BYTES:,} are read as one page")
    try:
        html = decode_page(raw, charset)
        if _CROWDED_TAG.search(html):
            raise UnreadableError("not_html", f"a tag has more than {MAX_ATTRIBUTES:,} attributes")
        tree = _tree(html)
        if tree is None or len(tree) == 0:
            raise UnreadableError("not_html", "no element was found in it")
        facts = page_facts(tree, header_language)
        found, left_out = main_lines(tree, settings.extractor, facts.language)
    except (ValueError, TypeError, AttributeError, RecursionError, KeyError, IndexError) as error:
        # The type alone: messages name objects by their address, which no declared output may hold.
        raise UnreadableError("extraction_failed", type(error).__name__) from error
    lines, dropped = drop_boilerplate(found, facts.titles)
    text = "\n".join(lines)
    return Page(
        title=next(iter(facts.titles), ""),
        date=facts.date,
        author=facts.author,
        language=facts.language if _is_believable(facts.language, text) else "",
        text=text,
        refresh=facts.refresh,
        dropped=Counter(left_out) + dropped,
    )


def _tree(html: str) -> Any:
    # Imported here: 0.7 s, and only web pages need it.
    from trafilatura import load_html

    return load_html(html)


def _is_believable(language: str, text: str) -> bool:
    """Whether the text is in letters of the declared language: many Chinese pages declare their software's English."""
    return (language.partition("-")[0] in DENSE_LANGUAGES) == is_dense(text)
