"""What a page says of itself: its titles, date, authors and language. Nothing here is guessed.

Read, in this order: meta elements, JSON-LD (schema.org), the elements that HTML has for it. A date is one only in
ISO 8601, a language only as a well-formed tag.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_META_TITLES = ("og:title", "twitter:title")
_META_DATES = (
    "article:published_time", "og:published_time", "datepublished", "date", "pubdate", "publishdate",
    "publish_date", "dc.date", "dc.date.issued", "dcterms.created", "parsely-pub-date", "sailthru.date",
)  # fmt: skip
_META_AUTHORS = (
    "author",
    "article:author",
    "dc.creator",
    "dcterms.creator",
    "parsely-author",
    "sailthru.author",
    "byl",
)
_META_LANGUAGES = ("content-language", "language", "dc.language", "og:locale")
_JSON_DATE = re.compile(r'"datePublished"\s*:\s*"([^"\\]{4,40})"')
_ISO_DATE = re.compile(r"[12]\d{3}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?)?)?", re.IGNORECASE)
_ARTICLE_TYPE = re.compile(r"Article|Posting|Report|Review|Recipe")
_REFRESH_URL = re.compile(r"\s*(\d{1,5})[\d.]*\s*[;,]\s*url\s*=\s*['\"]?([^'\"]{1,2000})", re.IGNORECASE)
_BYLINE = re.compile(r"^(?:by|von|par|por|di|автор|作者|記者|记者)\s*[:：]?\s+", re.IGNORECASE)
_TAG = re.compile(r"([a-z]{2,3})(?:-[a-z]{3})?(-[a-z]{4})?(-(?:[a-z]{2}|\d{3}))?(?:-[a-z0-9]{1,8})*")
# Withdrawn codes and country codes that are written for languages; none of these is another language's code.
_CODES = {"iw": "he", "in": "id", "ji": "yi", "jp": "ja", "cn": "zh", "cz": "cs", "ua": "uk"}
_NO_LANGUAGE = ("und", "mul", "zxx", "mis", "xx")
_MAX_AUTHOR_CHARS = 80
_MAX_AUTHORS = 50
#: What is longer is no title.
_MAX_TITLE_CHARS = 500
_MAX_TITLES = 10
#: Of a script with more nodes than this the rest is not looked at.
_MAX_JSON_NODES = 5_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page gives, "" where it gives nothing.

    Args:
        titles: every title it has, the one meant for readers first.
        date: of publication, ISO 8601.
        author: names apart by ", ".
        language: ``language[-script][-region]`` in lower case: "en", "pt-br", "zh-hant".
        refresh: where it sends the reader at once, by ``<meta http-equiv="refresh">``.
    """

    titles: tuple[str, ...]
    date: str
    author: str
    language: str
    refresh: str


def page_facts(tree: Any, header_language: str) -> Facts:
    """The facts of a page.

    Args:
        tree: lxml's tree.
        header_language: the server's ``Content-Language``, "" for none.
    """
    metas = dict(_metas(tree))
    scripts = [script.text or "" for script in tree.iter("script") if "ld+json" in script.get("type", "").lower()]
    items = sorted((item for text in scripts for item in _json_items(text)), key=lambda item: not _is_article(item))
    titles = map(_line, _titles(tree, metas))
    return Facts(
        titles=tuple(dict.fromkeys(title for title in titles if 0 < len(title) <= _MAX_TITLE_CHARS))[:_MAX_TITLES],
        date=_date(tree, metas, items),
        author=_author(tree, metas, items),
        language=_language(tree, metas, items, header_language),
        refresh=_refresh(metas.get("refresh", "")),
    )


def language_tag(given: str) -> str:
    """``language[-script][-region]`` in lower case, "" for what is no well-formed tag of one language.

    Source: RFC 5646; ``_`` for ``-`` and an encoding behind it, as in ``pt_BR.UTF-8``, are understood.
    """
    tag = _TAG.fullmatch(given.strip().partition(".")[0].replace("_", "-").lower())
    if tag is None or tag[1] in _NO_LANGUAGE:
        return ""
    return _CODES.get(tag[1], tag[1]) + (tag[2] or "") + (tag[3] or "")


def _titles(tree: Any, metas: dict[str, str]) -> Iterator[str]:
    yield from (metas.get(name, "") for name in _META_TITLES)
    yield from ("".join(element.itertext()) for element in tree.iter("title", "h1"))


def _date(tree: Any, metas: dict[str, str], items: list[dict[str, Any]]) -> str:
    given = [metas.get(name, "") for name in _META_DATES]
    given += [date for item in items if isinstance(date := item.get("datePublished"), str)]
    given += [m[1] for script in tree.iter("script") for m in _JSON_DATE.finditer(script.text or "")]
    given += [element.get("datetime", "") for element in tree.iter("time")]
    return next((date.strip() for date in given if _ISO_DATE.fullmatch(date.strip())), "")


def _author(tree: Any, metas: dict[str, str], items: list[dict[str, Any]]) -> str:
    """The names of the first place that has any."""
    places = [
        [name for item in items if _is_article(item) for name in _names(item.get("author"))],
        *([metas.get(name, "")] for name in _META_AUTHORS),
        ["".join(element.itertext()) for element in tree.xpath("//*[@itemprop='author'][not(*[@itemprop])]")],
        ["".join(element.itertext()) for element in tree.xpath("//a[@rel='author']")],
    ]
    for place in places:
        names: dict[str, str] = {}
        for name in filter(None, map(_name, place)):
            names.setdefault(name.casefold(), name)
        if names:
            return ", ".join(list(names.values())[:_MAX_AUTHORS])
    return ""


def _name(given: str) -> str:
    """An author's name as it is, without what stands behind a bar; "" for an address or a whole biography."""
    name = _BYLINE.sub("", _line(given)).partition(" | ")[0]
    is_name = (
        1 < len(name) <= _MAX_AUTHOR_CHARS and "://" not in name and "@" not in name and any(map(str.isalpha, name))
    )
    return name if is_name else ""


def _names(given: Any) -> Iterator[str]:
    """The names in a schema.org ``author``: a name, a thing with one, or a list of those."""
    for one in given if isinstance(given, list) else [given]:
        name = one.get("name") if isinstance(one, dict) else one
        yield from (part for part in (name if isinstance(name, list) else [name]) if isinstance(part, str))


def _language(tree: Any, metas: dict[str, str], items: list[dict[str, Any]], header: str) -> str:
    given = [element.get("lang") or element.get("xml:lang") or "" for element in tree.iter("html")]
    given += [metas.get(name, "") for name in _META_LANGUAGES]
    given += [name for item in items if _is_article(item) and isinstance(name := item.get("inLanguage"), str)]
    return next((tag for name in [*given, header] if (tag := language_tag(name))), "")


def _refresh(content: str) -> str:
    match = _REFRESH_URL.match(content)
    return match[2].strip() if match and int(match[1]) <= 10 else ""


def _metas(tree: Any) -> Iterator[tuple[str, str]]:
    """Name and content of the meta elements, in reverse: in a dict the first of a name wins."""
    for element in reversed(list(tree.iter("meta"))):
        name = next(filter(None, (element.get(key) for key in ("property", "name", "itemprop", "http-equiv"))), "")
        yield name.lower(), element.get("content") or ""


def _json_items(text: str) -> Iterator[dict[str, Any]]:
    """The objects at the head of a JSON-LD script, those of lists and ``@graph`` included; none of a broken one."""
    try:
        waiting = deque([json.loads(text, strict=False)])
    except (ValueError, RecursionError):
        return
    for _ in range(_MAX_JSON_NODES):
        if not waiting:
            return
        node = waiting.popleft()
        if isinstance(node, dict):
            yield node
            waiting.extend(node[key] for key in ("@graph", "mainEntity") if key in node)
        elif isinstance(node, list):
            waiting.extend(node[:_MAX_JSON_NODES])


def _is_article(item: dict[str, Any]) -> bool:
    return bool(_ARTICLE_TYPE.search(str(item.get("@type", ""))))


def _line(text: str) -> str:
    return " ".join(text.split())
