"""MediaWiki markup to plain text, in a fixed order of passes over the whole page.

A page goes through these passes; each is skipped where its sign does not occur, each is linear in the page's length:

1. literals    ``<!-- -->``, references, galleries go; nowiki, pre, code, formulas are hidden from the later passes
2. templates   innermost first: ``{{convert|5|km}}`` shows "5 km"; an unknown one leaves a marker
3. tables      ``{| … |}`` go, or are rows of text
4. links       ``[[target|label]]`` shows its label; files, categories, links to other languages leave a marker
5. inline      language variants, external links, bold and italic, HTML tags, entities, magic words, stray brackets
6. lines       lists, headings, paragraphs; brackets emptied by markers are closed up
7. reveal      what pass 1 hid comes back; OpenCC, if wanted

Worked example (``·`` is the marker), the line that each pass leaves::

    Aikido ({{IPA-ja|a.i.ki.doː}}; {{audio|a.ogg}})<ref>x</ref> is ''[[Budo|budō]]'', {{cvt|5|km}} <nowiki>[[1]]</nowiki>
    Aikido ({{IPA-ja|a.i.ki.doː}}; {{audio|a.ogg}}) is ''[[Budo|budō]]'', {{cvt|5|km}} ‹‹1››          literals
    Aikido ([a.i.ki.doː]; ·) is ''[[Budo|budō]]'', 5 km ‹‹1››                                         templates
    Aikido ([a.i.ki.doː]; ·) is ''budō'', 5 km ‹‹1››                                                  links
    Aikido ([a.i.ki.doː]; ·) is budō, 5 km ‹‹1››                                                      inline
    Aikido ([a.i.ki.doː]) is budō, 5 km [[1]]                                                         lines, reveal

Which function does what: ``spans`` (1, 2, 4), ``calls`` with ``templates`` (2), ``tables`` (3),
``variants`` and ``inline`` (5), ``lines`` (6).

Splitting the whole page on two-character signs, with a stack, is three times as fast as one scan by a master expression.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.readers.mediawiki.calls import TemplateRenderer
from pipelines.readers.mediawiki.dates import Page
from pipelines.readers.mediawiki.inline import resolve_entities, resolve_inline
from pipelines.readers.mediawiki.lines import join_lines
from pipelines.readers.mediawiki.marks import MARK, hide, reveal
from pipelines.readers.mediawiki.spans import resolve_links, resolve_literals, resolve_templates, without_invisible
from pipelines.readers.mediawiki.tables import drop_tables, infobox_rows, show_tables, without_html_tables
from pipelines.readers.mediawiki.templates import handler_of
from pipelines.readers.mediawiki.variants import VARIANTS, VariantChooser, check_script, script_converter
from pipelines.readers.mediawiki.words import CATEGORY_NAMES, DISAMBIGUATION_MAGIC_WORDS, FILE_NAMES
from pipelines.spine.errors import CorpusmillError

MEDIA_NAMESPACE, FILE_NAMESPACE, TEMPLATE_NAMESPACE, CATEGORY_NAMESPACE = -2, 6, 10, 14
_media_target = re.compile(
    r"[^|]*\.(?:jpe?g|png|svg|gif|tiff?|og[gva]|web[mp]|pdf|djvu|midi?|wav|flac|mp3|xcf|stl)\s*(?:\||$)", re.IGNORECASE
)
_language_code = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*")
_NOT_LANGUAGES = frozenset(["doi", "wmf", "mw", "rfc", "voy", "hdl", "mos"])
_parameter = re.compile(r"(?<!-)\{\{\{[^{}|]*(?:\|([^{}]*))?\}\}\}")
_disambiguation = re.compile(f"__(?:{DISAMBIGUATION_MAGIC_WORDS})__", re.IGNORECASE)
_HIDDEN_PIPE, _HIDDEN_EQUALS = hide("|"), hide("=")
_SECTION = "params.yaml: extract.wikitext"
_CHOICES = {
    "headings": ("plain", "markdown", "none"),
    "tables": ("drop", "rows"),
    "infoboxes": ("drop", "rows"),
    "ipa": ("keep", "drop"),
    "disambiguation": ("keep", "skip"),
}


@dataclass(frozen=True)
class WikitextSettings:
    """``params.yaml: extract.wikitext``.

    Args:
        headings: plain (a line of its own), markdown (``## Title``) or none.
        tables: drop, or rows (a row a line, cells apart by tabs).
        infoboxes: drop, or rows (``label: value``).
        ipa: keep or drop: pronunciations.
        disambiguation: keep or skip such pages; they are counted either way.
        variant: of ``-{zh-hans:…;zh-hant:…}-``: "" follows the source's language, else a code such as zh-tw.
        opencc: an OpenCC configuration (t2s, s2twp, …) that converts the script of the text; "" converts nothing.
        templates: name -> what it shows (``templates.WORDS``), beside and before the built-in tables.
    Raises:
        CorpusmillError: a value is none of these; it names those that there are.
    """

    headings: str
    tables: str
    infoboxes: str
    ipa: str
    disambiguation: str
    variant: str
    opencc: str
    templates: dict[str, str]

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise CorpusmillError(
                    "unknown value",
                    where=f"{_SECTION}.{name}",
                    expected=", ".join(known),
                    got=repr(getattr(self, name)),
                )
        if self.variant.lower() not in {"", *VARIANTS}:
            raise CorpusmillError(
                "unknown variant",
                where=f"{_SECTION}.variant",
                expected=f'"" or one of {", ".join(sorted(VARIANTS))}',
                got=repr(self.variant),
            )
        check_script(self.opencc, f"{_SECTION}.opencc")
        for name, word in self.templates.items():
            handler_of(word, f"{_SECTION}.templates.{name}")


class Converted(NamedTuple):
    """What became of a page: its text, whether it is a disambiguation page, and dropped templates by name."""

    text: str
    is_disambiguation: bool
    dropped: Mapping[str, int]


class WikitextConverter:
    """Turns the markup of one wiki's pages into plain text.

    Args:
        namespaces: number -> the names that stand before the colon ("File", "Файл"), from the dump's ``siteinfo``;
            names that are not given are covered by a built-in list of some forty languages.
        language: code of the wiki; chooses the language's templates and its variant of ``-{ }-``.
        settings: how it is shown.
    """

    def __init__(self, namespaces: Mapping[int, Sequence[str]], language: str, settings: WikitextSettings) -> None:
        dropped = set(FILE_NAMES.split("|") + CATEGORY_NAMES.split("|"))
        for number in (MEDIA_NAMESPACE, FILE_NAMESPACE, CATEGORY_NAMESPACE):
            dropped.update(name.lower() for name in namespaces.get(number, ()))
        self._dropped_namespaces = frozenset(dropped - {""})
        self._renderer = TemplateRenderer(
            language,
            namespaces.get(TEMPLATE_NAMESPACE, ()),
            rules={name: handler_of(word, f"{_SECTION}.templates.{name}") for name, word in settings.templates.items()},
            keeps_pronunciations=settings.ipa == "keep",
            show_infobox=self._show_infobox if settings.infoboxes == "rows" else None,
        )
        self._variants = VariantChooser(language, settings.variant)
        self._script = script_converter(settings.opencc, language)
        self._headings = settings.headings
        self._keeps_tables = settings.tables == "rows"
        self._keeps_infoboxes = settings.infoboxes == "rows"

    def convert(self, markup: str, timestamp: str = "", title: str = "") -> Converted:
        """The text of one page, and what is worth counting about it.

        Args:
            markup: wikitext as it stands in a dump (so without control characters; see ``marks``).
            timestamp: when the revision was written, ISO 8601; what depends on today is told as of then.
            title: the page's title, for ``{{PAGENAME}}``.
        """
        text, hidden = markup, self._keeps_infoboxes or self._keeps_tables
        if "<" in text:
            if "display" in text:
                text = without_invisible(text)
            text, hidden_literals = resolve_literals(text, self._keeps_tables)
            hidden = hidden or hidden_literals
        if "{{" in text:
            text = self._without_templates(text, Page(title, timestamp))
        if self._keeps_tables:
            text = show_tables(without_html_tables(text) if "<t" in text.lower() else text, self._show_cell)
        elif "{|" in text:
            text = drop_tables(text)
        dropped, is_disambiguation = self._renderer.take_tally()
        is_disambiguation = is_disambiguation or ("__" in text and _disambiguation.search(text) is not None)
        text, hidden_entities = self._without_inline(text)
        text = join_lines(text, self._headings)
        # Templates hide {{!}} and {{=}}, two signs of the twenty-two: looking for them alone is cheap.
        if hidden or hidden_entities or _HIDDEN_PIPE in text or _HIDDEN_EQUALS in text:
            text = reveal(text).strip()
        return Converted(self.in_script(text), is_disambiguation, dropped)

    def to_text(self, markup: str, timestamp: str = "", title: str = "") -> str:
        """Plain text of one page: paragraphs apart by ``"\\n\\n"``, list items behind ``"- "``; see ``convert``."""
        return self.convert(markup, timestamp, title).text

    def in_script(self, text: str) -> str:
        """``text`` in the script that the settings ask for."""
        return self._script(text) if self._script else text

    def _without_templates(self, text: str, page: Page) -> str:
        if "{{{" in text:
            # Chinese pages write -{{{lang|ja|…}}}-: a template inside variant signs, not a parameter.
            text = text.replace("-{{{", "-{ {{").replace("}}}-", "}} }-") if "-{{{" in text else text
            text = _parameter.sub(r"\1", text)
        return resolve_templates(text, self._renderer, page)

    def _without_inline(self, text: str) -> tuple[str, bool]:
        """``text`` after the passes 4 and 5, and whether a character reference had to be hidden."""
        if "[[" in text:
            text = resolve_links(text, self._show_link, self._is_dropped)
        if "-{" in text:
            text = self._variants.resolve(text)
        text = resolve_inline(text)
        hidden = False
        if "&" in text:
            text, hidden = resolve_entities(text)
        return text.replace("\xa0", " "), hidden

    def _show_infobox(self, arguments: str) -> str:
        if self._keeps_tables and "{|" in arguments:  # before pipes part the arguments
            arguments = show_tables(arguments, self._show_cell)
        return infobox_rows(arguments, self._show_cell)

    def _show_cell(self, markup: str, separator: str) -> str:
        """A cell's or an infobox value's text on one line; still hidden is what must be."""
        text, _ = self._without_inline(drop_tables(markup) if "{|" in markup else markup)
        lines = join_lines(text, "none").split("\n")
        items = sum(line.startswith("- ") for line in lines)
        if items:
            separator = ", "
        return separator.join(line.removeprefix("- ") for line in lines if line)

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
        if 0 < colon < pipe and body[colon + 1] != " ":  # a file perhaps, of a wiki whose names nobody gave
            return body[body.rfind("|") + 1 :]
        return body[pipe + 1 :].lstrip("|")  # [[A||b]] is a slip, and a line that begins with a pipe is a table's
