"""MediaWiki markup to plain text, in a fixed order of passes over the whole page.

A page goes through these passes; each is skipped where its sign does not occur, each is linear in the page's length:

1. literals    ``<!-- -->``, references, galleries go; nowiki, pre, code, formulas are hidden from the later passes
2. templates   innermost first: ``{{convert|5|km}}`` shows "5 km"; an unknown one leaves a marker
3. tables      ``{| … |}`` go
4. links       ``[[target|label]]`` shows its label; files, categories, links to other languages leave a marker
5. inline      external links, language variants, bold and italic, HTML tags, entities, magic words, stray brackets
6. lines       lists, headings, paragraphs; brackets emptied by markers are closed up
7. reveal      what pass 1 hid comes back

Worked example (``·`` is the marker), the line that each pass leaves::

    Aikido ({{IPA-ja|a.i.ki.doː}}; {{audio|a.ogg}})<ref>x</ref> is ''[[Budo|budō]]'', {{cvt|5|km}} <nowiki>[[1]]</nowiki>
    Aikido ({{IPA-ja|a.i.ki.doː}}; {{audio|a.ogg}}) is ''[[Budo|budō]]'', {{cvt|5|km}} ‹‹1››          literals
    Aikido ([a.i.ki.doː]; ·) is ''[[Budo|budō]]'', 5 km ‹‹1››                                         templates
    Aikido ([a.i.ki.doː]; ·) is ''budō'', 5 km ‹‹1››                                                  links
    Aikido ([a.i.ki.doː]; ·) is budō, 5 km ‹‹1››                                                      inline
    Aikido ([a.i.ki.doː]) is budō, 5 km [[1]]                                                         lines, reveal

Splitting the whole page on two-character signs, with a stack, is three times as fast as one scan by a master expression.
"""

import re
from collections.abc import Mapping, Sequence
from html import unescape

from pipelines.readers.templates import Page
from pipelines.readers.wikitext_calls import TemplateRenderer
from pipelines.readers.wikitext_lines import join_lines
from pipelines.readers.wikitext_marks import MARK, hide, is_hidden, reveal
from pipelines.readers.wikitext_spans import (
    drop_tables,
    resolve_links,
    resolve_literals,
    resolve_templates,
    without_invisible,
)
from pipelines.readers.wikitext_values import superscript

MEDIA_NAMESPACE, FILE_NAMESPACE, TEMPLATE_NAMESPACE, CATEGORY_NAMESPACE = -2, 6, 10, 14

# Names of the file and category namespaces, aliases included, which ``siteinfo`` does not list and some dumps lack.
_FILE_NAMES = (
    "file|image|media|datei|bild|fichier|archivo|imagen|immagine|ficheiro|imagem|arquivo|bestand|afbeelding|fil|bilde|"
    "billede|tiedosto|kuva|plik|grafika|soubor|súbor|obrázok|fájl|kép|fișier|imagine|dosya|resim|berkas|gambar|fail|imej|"
    "fitxer|imatge|fitxategi|irudi|imaxe|vaizdas|attēls|pilt|slika|datoteka|tập tin|hình|файл|изображение|зображення|"
    "картинка|датотека|слика|выява|αρχείο|εικόνα|ファイル|画像|文件|檔案|档案|图像|圖像|圖片|파일|그림|ملف|صورة|پرونده|تصویر|"
    "קובץ|תמונה|ไฟล์|ภาพ|चित्र|চিত্র|படிமம்"
)
_CATEGORY_NAMES = (
    "category|kategorie|catégorie|categoría|categoria|categorie|kategori|luokka|kategoria|kategória|kategorija|kategória|"
    "categorie|thể loại|категория|категорія|катэгорыя|категорија|κατηγορία|カテゴリ|分类|分類|분류|تصنيف|رده|קטגוריה|"
    "หมวดหมู่|श्रेणी|वर्ग|বিষয়শ্রেণী|பகுப்பு"
)
_media_target = re.compile(
    r"[^|]*\.(?:jpe?g|png|svg|gif|tiff?|og[gva]|web[mp]|pdf|djvu|midi?|wav|flac|mp3|xcf|stl)\s*(?:\||$)", re.IGNORECASE
)
_language_code = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*")
_NOT_LANGUAGES = frozenset(["doi", "wmf", "mw", "rfc", "voy", "hdl", "mos"])
_external_link = re.compile(
    r"\[(?:https?://|ftp://|//(?=\w)|mailto:|news:|ircs?://)[^\s\[\]<>\"]*+[ \t]*+((?:[^\[\]\n]|\[[^\[\]\n]*\])*+)\]"
)
_parameter = re.compile(r"(?<!-)\{\{\{[^{}|]*(?:\|([^{}]*))?\}\}\}")
_variant = re.compile(r"-\{([^{}]*)\}-")
# French and Italian write l'''Avenir'': an apostrophe, then italic.
_elided_italic = re.compile(r"'''(?<=\b[cdjlmnstCDJLMNST]''')(?=\w[^'\n]*''(?!'))")
_numeric_power = re.compile(r"<sup>\s*([-+−–]?\d{1,4})\s*</sup>", re.IGNORECASE)
_tag = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)\b[^<>]*>")
_entity_name = re.compile(r"#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31}")
_magic_word = re.compile(r"__[^\sa-z0-9_\[\]{}|<>]+(?:_[^\sa-z0-9_\[\]{}|<>]+)*__")
_stray_sign = re.compile(r"\[\[|\]\]|\{\{|\}\}|\{\||\|\}")
# fmt: off
_LINE_TAGS = dict.fromkeys(
    ("br", "div", "ul", "ol", "dl", "dd", "dt", "tr", "td", "th", "hr", "center", "table", "caption"), "\n"
)
_PARAGRAPH_TAGS = dict.fromkeys(("p", "blockquote", "poem", "h1", "h2", "h3", "h4", "h5", "h6"), "\n\n")
_INLINE_TAGS = dict.fromkeys((
    "a", "abbr", "b", "bdi", "bdo", "big", "ce", "chem", "cite", "code", "data", "del", "dfn", "em", "font", "gallery",
    "i", "imagemap", "img", "includeonly", "indicator", "ins", "kbd", "mark", "math", "noinclude", "nowiki",
    "onlyinclude", "phonos", "pre", "q", "rb", "rbc", "ref", "references", "rp", "rt", "rtc", "ruby", "s", "samp",
    "section", "small", "source", "span", "strike", "strong", "sub", "sup", "syntaxhighlight", "tbody",
    "templatestyles", "tfoot", "thead", "time", "timeline", "tt", "u", "var", "wbr",
), "")
# fmt: on
_TAG_TEXT = {**_LINE_TAGS, **_PARAGRAPH_TAGS, **_INLINE_TAGS, "li": "\n* "}
_SPACES = frozenset("\xa0\u2002\u2003\u2009\u200a\u202f")
# Which variant a reader is shown first; the others follow as second best.
_VARIANT_ORDER = {
    "zh": ("zh-hans", "zh-cn", "zh-sg", "zh-my", "zh", "zh-hant", "zh-tw", "zh-hk", "zh-mo"),
    "zh-hant": ("zh-hant", "zh-tw", "zh-hk", "zh-mo", "zh", "zh-hans", "zh-cn", "zh-sg", "zh-my"),
    "sr": ("sr-ec", "sr-cyrl", "sr", "sr-el", "sr-latn"),
}


class WikitextConverter:
    """Turns the markup of one wiki's pages into plain text.

    Args:
        namespaces: number -> the names that stand before the colon ("File", "Файл"), from the dump's ``siteinfo``;
            names that are not given are covered by a built-in list of some forty languages.
        language: code of the wiki; chooses the language's templates and its variant of ``-{ }-``.
    """

    def __init__(self, namespaces: Mapping[int, Sequence[str]], language: str = "") -> None:
        dropped = set(_FILE_NAMES.split("|") + _CATEGORY_NAMES.split("|"))
        for number in (MEDIA_NAMESPACE, FILE_NAMESPACE, CATEGORY_NAMESPACE):
            dropped.update(name.lower() for name in namespaces.get(number, ()))
        self._dropped_namespaces = frozenset(dropped - {""})
        self._renderer = TemplateRenderer(language, namespaces.get(TEMPLATE_NAMESPACE, ()))
        self._variants = _VARIANT_ORDER.get(language.lower(), _VARIANT_ORDER["zh"])

    def to_text(self, markup: str, timestamp: str = "", title: str = "") -> str:
        """Plain text of one page: paragraphs apart by ``"\\n\\n"``, list items behind ``"- "``.

        Args:
            markup: wikitext as it stands in a dump (so without control characters; see ``wikitext_marks``).
            timestamp: when the revision was written, ISO 8601; what depends on today is told as of then.
            title: the page's title, for ``{{PAGENAME}}``.
        """
        text, hidden = markup, False
        if "<" in text:
            if "display" in text:
                text = without_invisible(text)
            text, hidden = resolve_literals(text)
        if "{{" in text:
            text = self._without_templates(text, Page(title, timestamp))
        if "{|" in text:
            text = drop_tables(text)
        if "[[" in text:
            text = resolve_links(text, self._show_link, self._is_dropped)
        text = self._resolve_inline(text)
        if "&" in text:
            text, entity_hidden = _resolve_entities(text)
            hidden = hidden or entity_hidden
        text = join_lines(text.replace("\xa0", " "))
        # Templates hide pipes ({{!}}), one sign of the twenty-two: looking for it alone is cheap.
        return reveal(text).strip() if hidden or hide("|") in text else text

    def _without_templates(self, text: str, page: Page) -> str:
        if "{{{" in text:
            # Chinese pages write -{{{lang|ja|…}}}-: a template inside variant signs, not a parameter.
            text = text.replace("-{{{", "-{ {{").replace("}}}-", "}} }-") if "-{{{" in text else text
            text = _parameter.sub(r"\1", text)
        return resolve_templates(text, self._renderer, page)

    def _is_dropped(self, body: str) -> bool:
        colon = body.find(":", 0, 60)
        return colon > 0 and body[:colon].strip().replace("_", " ").lower() in self._dropped_namespaces

    def _show_link(self, body: str) -> str:
        """What ``[[body]]`` shows: the label, the target, or ``MARK`` for a file, a category, another language."""
        pipe, colon = body.find("|"), body.find(":")
        if colon > 0 and (pipe < 0 or colon < pipe):
            if self._is_dropped(body) or _media_target.match(body):
                return MARK
            prefix = body[:colon].strip()
            if _language_code.fullmatch(prefix) and prefix not in _NOT_LANGUAGES:
                return MARK
        if pipe < 0:
            return body.lstrip(":#") if body[:1] in (":", "#") else body
        if "\n\n" in body:
            return body
        return body[body.rfind("|") + 1 :]

    def _resolve_inline(self, text: str) -> str:
        if "[" in text:
            text = _external_link.sub(lambda match: match[1].strip() or MARK, text)
        if "-{" in text:
            text = self._resolve_variants(text)
        if "''" in text:
            if "'''" in text:
                text = _elided_italic.sub("'", text).replace("'''''", "").replace("'''", "")
            text = text.replace("''", "")
        if "<" in text:
            if "<sup" in text:
                text = _numeric_power.sub(lambda match: superscript(match[1]), text)
            text = _tag.sub(_show_tag, text)
        if "{{" in text or "}}" in text or "[[" in text or "]]" in text or "{|" in text or "|}" in text:
            text = _stray_sign.sub("", text)
        if "__" in text:
            text = _magic_word.sub("", text)
        return text

    def _resolve_variants(self, text: str) -> str:
        # Variants may hold variants: twice covers what zh pages do, and stays linear.
        for _ in range(2):
            text = _variant.sub(self._show_variant, text)
        return text

    def _show_variant(self, match: re.Match[str]) -> str:
        """``-{zh-hans:A;zh-hant:B}-`` -> ``A`` or ``B``. Source: https://www.mediawiki.org/wiki/Writing_systems/Syntax"""
        flags, pipe, rule = match[1].partition("|")
        if not pipe:
            flags, rule = "", flags
        kinds = {flag.strip() for flag in flags.split(";")}
        if kinds & {"T", "H", "-", "D"} or "NA" in kinds:
            return ""
        texts: dict[str, str] = {}
        for choice in rule.split(";"):
            code, colon, shown = choice.rpartition("=>")[2].partition(":")
            if (
                colon
                and code.strip().lower().replace("-", "").isascii()
                and _language_code.fullmatch(code.strip().lower())
            ):
                texts[code.strip().lower()] = shown.strip()
        if not texts or "R" in kinds:
            return rule.strip()
        return next((texts[code] for code in self._variants if code in texts), next(iter(texts.values())))


def _show_tag(match: re.Match[str]) -> str:
    """The line break that an HTML tag makes, or nothing; what is no tag of MediaWiki's stays (``x <y and z> 0``)."""
    return _TAG_TEXT.get(match[1].lower(), match[0])


_entities: dict[str, str] = {}
_MAX_ENTITY_CHARS = 32


def _resolve_entities(text: str) -> tuple[str, bool]:
    """``text`` with its character references read, and whether one of them had to be hidden.

    Hidden, so that the line pass never takes ``&#42;`` or ``&lt;`` for markup. A name without a semicolon is no reference.
    """
    pieces = text.split("&")
    out, hidden = [pieces[0]], False
    for piece in pieces[1:]:
        name, semicolon, rest = piece.partition(";")
        shown = _entities.get(name)
        if shown is None:
            shown = _show_entity(name)
            if len(_entities) < 10_000 and len(name) <= _MAX_ENTITY_CHARS:
                _entities[name] = shown
        if not semicolon or (not shown and name != "shy"):
            out.append(f"&{piece}")
            continue
        hidden = hidden or is_hidden(shown)
        out.append(shown)
        out.append(rest)
    return "".join(out), hidden


def _show_entity(name: str) -> str:
    """The character that ``&name;`` stands for, hidden if it is markup; "" where it stands for none."""
    if len(name) > _MAX_ENTITY_CHARS or not _entity_name.fullmatch(name):
        return ""
    shown = unescape(f"&{name};")
    if shown.startswith("&") and shown.endswith(";"):
        return ""
    return " " if shown in _SPACES else "" if shown == "\xad" else hide(shown)
