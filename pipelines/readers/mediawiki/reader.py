"""MediaWiki XML exports to records: one item for each ``<page>``.

bytes  ->  mediawiki_pages: Page | Quarantined  ->  wikitext: plain text  ->  Record | Skipped | Quarantined
"""

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from pipelines.readers.compression import open_decompressed
from pipelines.readers.mediawiki.page_parser import Page, Site
from pipelines.readers.mediawiki.pages import read_pages
from pipelines.readers.mediawiki.wikitext import WikitextConverter
from pipelines.readers.mediawiki.words import REDIRECT_WORDS
from pipelines.readers.records import Item, Quarantined, ReadContext, Record, Skipped

# What MediaWiki leaves unescaped in a page's URL. Source: wfUrlencode, includes/GlobalFunctions.php
_URL_SAFE = ";@$!*(),/~:"
# Only for pages whose <redirect> element is missing (exports before 0.4, and tools that drop it).
_redirect = re.compile(rf"\s*#(?:{REDIRECT_WORDS})\s*+(?::\s*+)?\[\[([^\]|#\n]*)", re.IGNORECASE)
_MAX_LOCATOR_CHARS = 200
# Wikipedias whose hosts have a hyphen; a tag such as zh-hant belongs to the wiki of its first part.
# fmt: off
_HYPHENATED_WIKIS = frozenset((
    "bat-smg", "be-tarask", "be-x-old", "cbk-zam", "fiu-vro", "map-bms", "nds-nl", "roa-rup", "roa-tara",
    "zh-classical", "zh-min-nan", "zh-yue",
))
# fmt: on


def read_mediawiki(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item for each page of an export, in its order.

    An article is a Record; a redirect, another namespace, an empty page is Skipped under its title; a broken page is
    Quarantined. A record counts ``dropped_templates`` by name, and itself among ``pages`` when it is a disambiguation page.

    Args:
        stream: of an export 0.3-0.11, whole or a run of ``<page>`` elements; UTF-8, or UTF-16 with BOM;
            compressed or not.
        context: ``language`` decides templates, and URLs where ``siteinfo`` is missing.
    Raises:
        WrongFormatError: the stream is something else than a MediaWiki export.
    """
    site = Site()
    converter: WikitextConverter | None = None
    for page in read_pages(open_decompressed(stream), site, context.byte_at):
        if isinstance(page, Quarantined):
            yield page
        elif not page.key.strip() or not page.title:
            missing = "id" if page.title else "title"
            yield Quarantined(
                context.byte_at(page.offset), f"missing_{missing}", f"The page has no {missing}.", page.text.encode()
            )
        elif skipped := _skip(page, site):
            yield skipped
        else:
            # siteinfo stands before the first page, so the namespaces are known here.
            converter = converter or WikitextConverter(site.namespaces, context.language, context.wikitext)
            yield _convert(page, site, converter, context)


def _convert(page: Page, site: Site, converter: WikitextConverter, context: ReadContext) -> Record | Skipped:
    text, is_disambiguation, dropped = converter.convert(page.text, page.timestamp, page.title)
    if is_disambiguation and context.wikitext.disambiguation == "skip":
        return _skipped("disambiguation", page)
    if not text:
        return _skipped("empty", page)
    counts: dict[str, Mapping[str, int]] = {}
    if dropped:
        counts["dropped_templates"] = dropped
    if is_disambiguation:
        counts["pages"] = {"disambiguation": 1}
    return Record(
        key=page.key,
        title=converter.in_script(page.title),
        text=text,
        url=page_url(page.title, site.base, context.language),
        date=page.timestamp,
        revision=page.revision,
        counts=counts,
    )


def page_url(title: str, base: str, language: str) -> str:
    """The page's address: beside the main page that ``siteinfo`` names, else on the language's Wikipedia, else "".

    Exports made by tools copy the siteinfo of English Wikipedia, so that of another language it is not believed.
    """
    language = language.lower()
    wiki = language if language in _HYPHENATED_WIKIS else language.partition("-")[0]
    host = urlsplit(base).hostname or ""
    if not host and not wiki:
        return ""
    if not host or (host == "en.wikipedia.org" and wiki not in ("", "en")):
        base = f"https://{wiki}.wikipedia.org/wiki/"
    return base[: base.rindex("/") + 1] + quote(title.replace(" ", "_"), safe=_URL_SAFE)


def _skip(page: Page, site: Site) -> Skipped | None:
    """Why a whole page is no document; None if it is one. A redirect is one in whatever namespace it stands."""
    found = _redirect.match(page.text)
    if page.redirect is not None or found:
        return _skipped("redirect", page, page.redirect or (found[1].strip() if found else ""))
    if page.namespace:
        main = page.namespace.strip() == "0"
    else:
        prefix, colon, _ = page.title.partition(":")
        main = not colon or not any(prefix in names for number, names in site.namespaces.items() if number)
    if not main:
        return _skipped("namespace", page, page.namespace.strip())
    return None if page.model in ("", "wikitext") else _skipped("content_model", page, page.model)


def _skipped(reason: str, page: Page, detail: str = "") -> Skipped:
    return Skipped(reason, page.title[:_MAX_LOCATOR_CHARS], detail[:_MAX_LOCATOR_CHARS])
