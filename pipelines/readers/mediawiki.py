"""MediaWiki XML exports to records: one item for each ``<page>``.

bytes  ->  mediawiki_pages: Page | Quarantined  ->  read_mediawiki: Record | Skipped | Quarantined
"""

import re
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from pipelines.readers.mediawiki_pages import Page, Site, read_pages
from pipelines.readers.records import Item, Quarantined, Record, Skipped
from pipelines.readers.wikitext import WikitextConverter

# What MediaWiki leaves unescaped in a page's URL. Source: wfUrlencode, includes/GlobalFunctions.php
_URL_SAFE = ";@$!*(),/~:"
# Only for pages whose <redirect> element is missing (exports before 0.4, and tools that drop it).
_redirect = re.compile(
    r"\s*#(?:redirect|redirection|redirección|rinvia|weiterleitung|redirecionamento|doorverwijzing|patrz|перенаправление|"
    r"перенаправлення|виправлення|đổi|重定向|転送|リダイレクト|넘겨주기|تحويل|تغییر[ _]مسیر|הפניה|เปลี่ยนทาง|अनुप्रेषित|"
    r"पुनर्प्रेषित|पुनर्निर्देशन)\s*:?\s*\[\[",
    re.IGNORECASE,
)


def read_mediawiki(stream: BinaryIO, language: str) -> Iterator[Item]:
    """One item for each page of an export, in its order.

    An article is a Record; a redirect, another namespace, an empty page is Skipped; a broken page is Quarantined.

    Args:
        stream: uncompressed bytes of an export 0.3-0.11, whole or a run of ``<page>`` elements; UTF-8, or UTF-16 with BOM.
        language: the source's language; decides templates, and URLs where ``siteinfo`` is missing.
    Raises:
        CorpusmillError: the stream is something else than a MediaWiki export.
    """
    site = Site()
    converter: WikitextConverter | None = None
    for page in read_pages(stream, site):
        if isinstance(page, Quarantined):
            yield page
        elif not page.key.strip() or not page.title:
            missing = "id" if page.title else "title"
            yield Quarantined(
                f"byte {page.offset}", f"missing_{missing}", f"The page has no {missing}.", page.text.encode()
            )
        elif reason := _skip_reason(page, site):
            yield Skipped(reason)
        else:
            # siteinfo stands before the first page, so the namespaces are known here.
            converter = converter or WikitextConverter(site.namespaces, language)
            text = converter.to_text(page.text, page.timestamp, page.title)
            if text:
                yield Record(page.key, page.title, text, page_url(page.title, site.base, language), page.timestamp)
            else:
                yield Skipped("empty")


def page_url(title: str, base: str, language: str) -> str:
    """The page's address: beside the main page that ``siteinfo`` names, else on the language's Wikipedia.

    Exports made by tools copy the siteinfo of English Wikipedia, so that one is believed only of English.
    """
    host = urlsplit(base).hostname or ""
    if not host or (host == "en.wikipedia.org" and language.partition("-")[0] != "en"):
        base = f"https://{language}.wikipedia.org/wiki/"
    return base[: base.rindex("/") + 1] + quote(title.replace(" ", "_"), safe=_URL_SAFE)


def _skip_reason(page: Page, site: Site) -> str:
    """Why a whole page is no document; "" if it is one. A redirect is counted as one in whatever namespace it stands."""
    if page.redirect or _redirect.match(page.text):
        return "redirect"
    if page.namespace:
        main = page.namespace.strip() == "0"
    else:
        prefix, colon, _ = page.title.partition(":")
        main = not colon or not any(prefix in names for number, names in site.namespaces.items() if number)
    if not main:
        return "namespace"
    return "content_model" if page.model not in ("", "wikitext") else ""
