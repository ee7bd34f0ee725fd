"""What a text must hold, from the source by mwparserfromhell: prose and content values, page by page.

    dump.xml  ->  {"key", "title", "lines": [line], "anchors": [line],
                  "values": [{"template", "pieces", "snippet", "anchor"}]}

Runs in mwparserfromhell's environment: ``python -m bench.reference dump.xml reference.jsonl``.

Lines are the page's plain text without tables, captions, references, headings and lists of links. ``HOLE`` stands
where a template was. A value's pieces are what must be found in its paragraph; its anchor is the number of the line
that it stands in.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mwparserfromhell
from mwparserfromhell.nodes import Argument, Comment, ExternalLink, Heading, HTMLEntity, Tag, Template, Text, Wikilink

from bench.dumps import read_articles

HOLE = "\x00"
# Signs that the walk leaves in the text: a value's place, a heading, an external link.
_value_place = re.compile("\x02(\\d+)\x03")
_HEADING, _LINK = "\x04", "\x05"

#: Template -> the parameter that holds what a reader sees; "last": the last one without a name.
VALUES = {
    "convert": "1", "cvt": "1", "val": "1", "frac": "1", "circa": "1", "c.": "1", "ca.": "1", "formatnum": "1",
    "lang": "2", "transl": "last", "transliteration": "last", "zh": "zh", "nihongo": "2",
}  # fmt: skip
_ZH_TEXTS = ("c", "s", "t", "1")
_lang_code = re.compile(r"lang-[a-z-]+")
#: A value inside one of these is still in the prose; inside any other template it may be in a box.
WRAPPERS = frozenset(["nowrap", "nobr", "nobold", "small", "smaller", "big", "larger", "abbr", "quote", "blockquote"])

# fmt: off
_DROPPED_TAGS = frozenset([
    "ref", "references", "gallery", "imagemap", "timeline", "math", "chem", "ce", "score", "graph", "hiero",
    "syntaxhighlight", "source", "templatestyles", "mapframe", "maplink", "categorytree", "inputbox", "includeonly",
])
_BREAKS = frozenset([
    "br", "p", "div", "li", "dd", "dt", "hr", "blockquote", "poem", "center", "ul", "ol", "dl",
])
_media = re.compile(
    r"\.(?:jpe?g|png|svg|gif|tiff?|og[gva]|web[mp]|pdf|djvu|midi?|wav|flac|mp3|xcf|stl)\s*$", re.IGNORECASE
)
_hidden_style = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_other_language = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*")
_magic_word = re.compile(r"__[^\W\d_]+__")
# Small dumps carry the siteinfo of English Wikipedia, whatever their language.
_FILES_AND_CATEGORIES = frozenset([
    "file", "image", "media", "category", "datei", "bild", "kategorie", "fichier", "catégorie", "archivo", "imagen",
    "categoría", "immagine", "categoria", "файл", "картинка", "изображение", "категория", "ملف", "صورة", "تصنيف",
    "پرونده", "تصویر", "رده", "קובץ", "תמונה", "קטגוריה", "चित्र", "श्रेणी", "파일", "그림", "분류", "ไฟล์", "ภาพ",
    "หมวดหมู่", "文件", "檔案", "档案", "图像", "圖像", "分类", "分類",
])
# fmt: on
_list_sign = re.compile(r"[*#:;]")


class PageReader:
    """Walks one page's nodes; gathers its text with signs, and the values in it.

    Args:
        file_names: what stands before the colon of a file or a category, lower case.
    """

    def __init__(self, file_names: frozenset[str]) -> None:
        self._file_names = file_names
        self.values: list[dict[str, Any]] = []

    def read(self, code: Any) -> str:
        """The text of a run of nodes."""
        return "".join(self._show(node) for node in code.nodes)

    def _show(self, node: Any) -> str:
        if isinstance(node, Text):
            return str(node)
        if isinstance(node, HTMLEntity):
            return str(node.normalize())
        if isinstance(node, Comment):
            return ""
        if isinstance(node, Heading):
            return f"\n{_HEADING}{self._places(self.read(node.title))}\n"
        if isinstance(node, Wikilink):
            return self._show_link(node)
        if isinstance(node, ExternalLink):
            return _LINK + (self.read(node.title) if node.brackets and node.title else HOLE)
        if isinstance(node, Template):
            return self._show_template(node)
        if isinstance(node, Tag):
            return self._show_tag(node)
        return HOLE if isinstance(node, Argument) else str(node)

    def _show_link(self, node: Any) -> str:
        title = str(node.title)
        prefix, colon, _ = title.partition(":")
        named = prefix.strip().replace("_", " ").lower()
        if colon and prefix and (named in self._file_names or _media.search(title)):
            return ""
        if colon and _other_language.fullmatch(prefix.strip()):
            return ""
        return self.read(node.text if node.text is not None else node.title)

    def _show_tag(self, node: Any) -> str:
        name = str(node.tag).strip().lower()
        if name == "table":
            return f"\n{HOLE}\n"
        if name in _DROPPED_TAGS or any(_hidden_style.search(str(attribute)) for attribute in node.attributes):
            return HOLE if name in ("math", "chem", "ce") else ""
        inner = self.read(node.contents) if node.contents is not None else ""
        if node.wiki_markup and _list_sign.fullmatch(str(node.wiki_markup)):
            return inner
        return f"\n{inner}\n" if name in _BREAKS else inner

    def _show_template(self, node: Any) -> str:
        name, _, after = str(node.name).strip().partition(":")
        name = name.strip().replace("_", " ").lower()
        argument = self._argument(node, name, after)
        if argument is not None:
            inside = PageReader(self._file_names)
            text = argument if isinstance(argument, str) else inside.read(argument)
            pieces = [piece.strip() for piece in re.split("[\x00-\x05\n]", _value_place.sub(HOLE, text))]
            pieces = [piece for piece in pieces if any(character.isalnum() for character in piece)]
            if pieces:
                self.values.append({"template": name, "pieces": pieces, "snippet": str(node)[:160]})
                return f"\x02{len(self.values) - 1}\x03"
        if name in WRAPPERS:
            return HOLE + "".join(self._places(self.read(param.value)) for param in node.params) + HOLE
        return HOLE

    def _argument(self, node: Any, name: str, after: str) -> Any:
        """The part of a value template that must be found in the text; None for another template, and where it is empty."""
        which = "1" if _lang_code.fullmatch(name) else VALUES.get(name)
        if which is None:
            return None
        if after:
            return after if name == "formatnum" and "{" not in after else None
        params = {str(param.name).strip(): param.value for param in node.params}
        if which == "last":
            numbers = [key for key in params if key.isdecimal()]
            which = max(numbers, key=int) if numbers else ""
        elif which == "zh":
            which = next((key for key in params if key in _ZH_TEXTS), "")
        return params.get(which)

    @staticmethod
    def _places(text: str) -> str:
        """Only the places of values, without the text around them."""
        return HOLE.join(match[0] for match in _value_place.finditer(text))


def read_page(markup: str, file_names: frozenset[str]) -> dict[str, list[Any]]:
    """Lines, anchors and values of one page."""
    reader = PageReader(file_names)
    text = _magic_word.sub("", reader.read(mwparserfromhell.parse(markup)))
    lines: list[str] = []
    anchors: list[str] = []
    values: list[dict[str, Any]] = []
    for line in _without_link_lists(text.split("\n")):
        shown = _value_place.sub(HOLE, line).replace(_LINK, "")
        # What a broken table leaves is no prose.
        if shown.lstrip(HOLE + " ").startswith(("|", "!", "{|")):
            continue
        places = list(_value_place.finditer(line))
        values += ({**reader.values[int(place[1])], "anchor": len(anchors)} for place in places)
        anchors += [shown.replace(_HEADING, "")] if places else []
        if not shown.startswith(_HEADING) and shown.strip(HOLE + " \t"):
            lines.append(shown)
    return {"lines": lines, "anchors": anchors, "values": values}


def _without_link_lists(lines: list[str]) -> Iterator[str]:
    """The lines but those of sections whose lines are mostly external links, under whatever heading."""
    section: list[str] = []
    for line in [*lines, _HEADING]:
        if line.startswith(_HEADING):
            filled = [text for text in section[1:] if text.strip(HOLE + " \t")]
            linked = sum(_LINK in text for text in filled)
            yield from section if 2 * linked <= len(filled) or not section[0].startswith(_HEADING) else section[:1]
            section = []
        section.append(line)


def file_names_of(source: Path) -> frozenset[str]:
    """Names of the file, media and category namespaces in lower case, also those that ``siteinfo`` lists."""
    names = set(_FILES_AND_CATEGORIES)
    with open(source, encoding="utf-8") as file:
        for line in file:
            found = re.search(r'<namespace key="(?:-2|6|14)"[^>]*>([^<]+)<', line)
            if found:
                names.add(found[1].lower())
            if "</siteinfo>" in line or "<page>" in line:
                break
    return frozenset(names)


def main(source: Path, target: Path) -> None:
    """Writes a JSON line for each article."""
    names = file_names_of(source)
    with open(target, "w", encoding="utf-8") as file:
        for article in read_articles(source):
            row = {"key": article.key, "title": article.title, **read_page(article.markup, names)}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
