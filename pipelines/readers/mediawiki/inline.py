"""The inline pass: external links, bold and italic, HTML tags, stray brackets, magic words; and character references."""

import re
from html import unescape

from pipelines.readers.mediawiki.marks import MARK, hide, is_hidden
from pipelines.readers.mediawiki.values import superscript

_external_link = re.compile(
    r"\[(?:https?://|ftp://|//(?=\w)|mailto:|news:|ircs?://)[^\s\[\]<>\"]*+[ \t]*+((?:[^\[\]\n]|\[[^\[\]\n]*\])*+)\]"
)
# French and Italian write l'''Avenir'': an apostrophe, then italic.
_elided_italic = re.compile(r"'''(?<=\b[cdjlmnstCDJLMNST]''')(?=\w[^'\n]*''(?!'))")
_numeric_power = re.compile(r"<sup>\s*([-+−–]?\d{1,4})\s*</sup>", re.IGNORECASE)
# The author's own: "(, 1850)" is what is left where somebody deleted a word; "(," in code has no space around it.
_opened_by_separator = re.compile(r"\((?<=[ \t]\()\s{0,9}[,;،؛]\s{1,9}(?=[^\s)])")
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
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "ce", "chem", "cite", "code", "col", "colgroup", "data", "del",
    "dfn", "em", "font", "gallery", "i", "imagemap", "img", "includeonly", "indicator", "ins", "kbd", "mark", "math",
    "noinclude", "nowiki", "onlyinclude", "phonos", "pre", "q", "rb", "rbc", "ref", "references", "rp", "rt", "rtc",
    "ruby", "s", "samp", "section", "small", "source", "span", "strike", "strong", "sub", "sup", "syntaxhighlight",
    "tbody", "templatestyles", "tfoot", "thead", "time", "timeline", "tt", "u", "var", "wbr",
), "")
# fmt: on
_TAG_TEXT = {**_LINE_TAGS, **_PARAGRAPH_TAGS, **_INLINE_TAGS, "li": "\n* "}
# A tag whose > was forgotten: nothing but attributes up to the next tag or the line's end. Not <b: that may compare.
_TAGS_BY_NAME = "|".join(sorted(name for name in _TAG_TEXT if len(name) > 2 or name == "br"))
_ATTRIBUTE = r"""\s++[\w:-]{1,40}\s*+=\s*+(?:"[^"<>\n]*"|'[^'<>\n]*'|[^\s<>"']++)"""
_unended_tag = re.compile(rf"</?(?:{_TAGS_BY_NAME})(?:{_ATTRIBUTE})*+[ \t]*+/?(?=<|\n|$)", re.IGNORECASE)
_SPACES = frozenset("\xa0\u2002\u2003\u2009\u200a\u202f")


def resolve_inline(text: str) -> str:
    """``text`` without external links' addresses, quotes' signs, tags, stray brackets and magic words."""
    if "[" in text:
        text = _external_link.sub(lambda match: match[1].strip() or MARK, text)
    if "''" in text:
        if "'''" in text:
            text = _elided_italic.sub("'", text).replace("'''''", "").replace("'''", "")
        text = text.replace("''", "")
    if "<" in text:
        if "<sup" in text:
            text = _numeric_power.sub(lambda match: superscript(match[1]), text)
        text = _tag.sub(_show_tag, text)
        if "<" in text:
            text = _unended_tag.sub("", text)
    if "{{" in text or "}}" in text or "[[" in text or "]]" in text or "{|" in text or "|}" in text:
        text = _stray_sign.sub("", text)
    if "(," in text or "(;" in text or "( ," in text or "( ;" in text:
        text = _opened_by_separator.sub("(", text)
    if "__" in text:
        text = _magic_word.sub("", text)
    return text


def _show_tag(match: re.Match[str]) -> str:
    """The line break that an HTML tag makes, or nothing; what is no tag of MediaWiki's stays (``x <y and z> 0``)."""
    return _TAG_TEXT.get(match[1].lower(), match[0])


_entities: dict[str, str] = {}
_MAX_ENTITY_CHARS = 32


def resolve_entities(text: str) -> tuple[str, bool]:
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
        hidden = hidden or is_hidden(shown[:1])
        out.append(shown)
        out.append(rest)
    return "".join(out), hidden


def _show_entity(name: str) -> str:
    """The character that ``&name;`` stands for, hidden if it is markup; "" where it stands for none."""
    if len(name) > _MAX_ENTITY_CHARS or not _entity_name.fullmatch(name):
        return ""
    shown = unescape(f"&{name};")
    if len(shown) > 1 and shown.endswith(";"):  # none, or one of HTML's without a semicolon and more: &ltt;
        return ""
    return " " if shown in _SPACES else "" if shown == "\xad" else hide(shown)
