"""One HTML page -> its title, date and main text. Pure: bytes in, values out.

The main text comes from trafilatura without its slow fallbacks, tables included (two gold pages lay their whole
article out in a table). Measured on the 181 gold pages of Zyte's article-extraction benchmark, mean F1 of 4-grams
and pages a CPU second: trafilatura fast 0.957, 53; with fallbacks 0.950, 28; resiliparse 0.907, 271; jusText 0.706, 36.
"""

import functools
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from pipelines.readers.records import UnreadableError

#: A longer page is no article; parsing takes about 20 times its bytes in memory.
MAX_PAGE_BYTES = 16 << 20
#: Below this many characters trafilatura takes the rest of the page too, menus included. Its own 250 are some 40
#: English words; as many Chinese or Japanese ones take about 60.
MIN_ARTICLE_CHARS = {"spaced": 250, "dense": 60}
_DENSE_LETTERS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# Pages that declare these are written with their supersets, which are also what browsers use.
_SUPERSETS = {"gbk": "gb18030", "gb2312": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949", "big5": "big5hkscs"}
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_META_TITLES = ("og:title", "twitter:title")
_META_DATES = (
    "article:published_time", "og:published_time", "datepublished", "date", "pubdate", "publishdate",
    "publish_date", "dc.date", "dc.date.issued", "dcterms.created", "parsely-pub-date", "sailthru.date",
)  # fmt: skip
_JSON_DATE = re.compile(r'"datePublished"\s*:\s*"([^"\\]{4,40})"')
_ISO_DATE = re.compile(r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?)?)?", re.IGNORECASE)
_ROW_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+\s*")


@dataclass(frozen=True, slots=True)
class Page:
    """What a reader of the page would call it, when it says it was published, and what it says."""

    title: str
    date: str
    text: str


def read_page(raw: bytes, charset: str = "") -> Page:
    """The page's title, date as it gives it (ISO 8601, else ""), and main text ("" where there is none).

    Args:
        raw: the page's bytes.
        charset: what the server said.
    Raises:
        UnreadableError: too_long, not_html, extraction_failed.
    """
    if len(raw) > MAX_PAGE_BYTES:
        raise UnreadableError("too_long", f"{len(raw):,} bytes; at most {MAX_PAGE_BYTES:,} are read as one page")
    load_html, extract, settings = _trafilatura()
    try:
        tree = load_html(decode_page(raw, charset))
        if tree is None or len(tree) == 0:
            raise UnreadableError("not_html", "no element was found in it")
        title, date = _title(tree), _date(tree)
        options = settings["dense" if _is_dense(_visible(tree)) else "spaced"]
        text = extract(tree, fast=True, include_comments=False, include_tables=True, config=options) or ""
    except (ValueError, TypeError, AttributeError, RecursionError, KeyError, IndexError) as error:
        # The type alone: messages name objects by their address, which no declared output may hold.
        raise UnreadableError("extraction_failed", type(error).__name__) from error
    return Page(
        title, date, "\n".join(_without_bars(line) for line in text.splitlines() if not _ROW_RULE.fullmatch(line))
    )


def decode_page(raw: bytes, charset: str = "") -> str:
    """The page as text: by byte order mark, else UTF-8 when it is that, else what the server, the page or its bytes say.

    UTF-8 comes before what is declared: bytes that are valid UTF-8 by chance are far rarer than wrong declarations.
    Where nothing fits, the first declared encoding is used and bytes that it does not know become U+FFFD.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    declared = [_codec(name) for name in (charset, detect_encoding(raw, from_html_meta=True)) if name]
    # ISO-2022-JP is written in ASCII bytes, so it is valid UTF-8 too.
    certain = [] if any(name.startswith("iso2022") for name in declared) else ["utf-8"]
    names = [*certain, *declared, _codec(detect_encoding(raw) or "")]
    for name in names:
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue
    return raw.decode([*declared, "utf-8"][0], "replace")


def _codec(name: str) -> str:
    """Python's codec for an encoding's name on the web; UTF-8 for an unknown one."""
    known = map_encoding_to_html5(name) or "utf-8"
    return _SUPERSETS.get(known, known)


@functools.cache
def _trafilatura() -> tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]:
    # Imported here: 0.7 s, and only web pages need it. It logs every page without text; we count them.
    import trafilatura
    from trafilatura.settings import use_config

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    settings = {name: use_config() for name in MIN_ARTICLE_CHARS}
    for name, config in settings.items():
        config["DEFAULT"]["MIN_EXTRACTED_SIZE"] = str(MIN_ARTICLE_CHARS[name])
    return trafilatura.load_html, trafilatura.extract, settings


def _visible(tree: Any) -> str:
    return "".join(tree.xpath("//text()[not(parent::script or parent::style)]"))


def _is_dense(text: str) -> bool:
    """Whether a quarter of the letters stand for a syllable or a word each: Chinese, Japanese, Korean."""
    letters = sum(map(str.isalpha, text))
    return 4 * len(_DENSE_LETTERS.findall(text)) > letters


def _title(tree: Any) -> str:
    metas = dict(_metas(tree))
    titles = [metas.get(name, "") for name in _META_TITLES]
    titles += ["".join(element.itertext()) for element in tree.iter("title", "h1")]
    return next((clean for title in titles if (clean := " ".join(title.split()))), "")


def _date(tree: Any) -> str:
    """The first publication date that is ISO 8601: meta elements, JSON-LD, then ``<time datetime>``."""
    metas = dict(_metas(tree))
    given = [metas.get(name, "") for name in _META_DATES]
    given += [m[1] for script in tree.iter("script") for m in _JSON_DATE.finditer(script.text or "")]
    given += [element.get("datetime", "") for element in tree.iter("time")]
    return next((date.strip() for date in given if _ISO_DATE.fullmatch(date.strip())), "")


def _metas(tree: Any) -> Iterator[tuple[str, str]]:
    """Name and content of the meta elements, in reverse: in a dict the first of a name wins."""
    for element in reversed(list(tree.iter("meta"))):
        name = element.get("property") or element.get("name") or element.get("itemprop") or ""
        yield name.lower(), element.get("content") or ""


def _without_bars(line: str) -> str:
    """A table row's cells apart by tabs; any other line as it is."""
    if not line.startswith("|"):
        return line
    return "\t".join(cell for part in line.strip().strip("|").split("|") if (cell := part.strip()))
