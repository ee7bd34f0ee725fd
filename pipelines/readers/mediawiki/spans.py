"""The passes that look at pairs over a whole page: tags with literal content, templates, links.

Each takes the page's text and returns it, in time linear in its length whatever is left unclosed: pairs are found by
``str.split`` and a stack, or by one scan, and what stays open at the end is unwound once.
"""

import re
from collections.abc import Callable
from html import unescape

from pipelines.readers.mediawiki.calls import TemplateRenderer, split_arguments
from pipelines.readers.mediawiki.dates import Page
from pipelines.readers.mediawiki.marks import MARK, hide

# Extension tags whose content is not running text.
# fmt: off
_DROPPED_TAGS = (
    "ref", "gallery", "timeline", "score", "imagemap", "hiero", "templatedata", "graph", "mapframe", "maplink",
    "inputbox", "indicator", "references", "table", "includeonly", "categorytree",
)
_SHOWN_TAGS = ("nowiki", "math", "chem", "ce", "pre", "syntaxhighlight", "source", "code")
# fmt: on


def _openings(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(?:!--|({'|'.join(names)})(?=[\s/>])([^<>]*)>)", re.IGNORECASE)


_opening = _openings(_DROPPED_TAGS + _SHOWN_TAGS)
_opening_but_table = _openings(tuple(name for name in _DROPPED_TAGS if name != "table") + _SHOWN_TAGS)
# MediaWiki reads the markup inside <code>; without any of these it holds none.
_code_markup = re.compile(r"\[\[|\{\{|''|-\{|<|\n")
_closing = {name: re.compile(rf"</{name}\s{{0,99}}>", re.IGNORECASE) for name in _DROPPED_TAGS + _SHOWN_TAGS}
_table_tag = re.compile(r"<table\b", re.IGNORECASE)
# Bounded on both sides: an unclosed tag that repeats the words must not be searched again and again.
_invisible = re.compile(
    r"<(\w{1,12})\b[^<>]{0,300}?display\s{0,9}:\s{0,9}none[^<>]{0,300}>[^<]{0,500}</\1\s*>", re.IGNORECASE
)
# A call that runs over a heading is not a call but one that somebody forgot to close.
_MAX_TEMPLATE_CHARS_BEFORE_HEADING = 2_000
# MediaWiki itself expands no deeper than 40; without a bound, n nested calls that keep their text cost n copies of it.
_MAX_NESTING = 40


def without_invisible(text: str) -> str:
    """``text`` without short elements styled ``display:none`` (sort keys, mostly)."""
    return _invisible.sub("", text)


def resolve_literals(text: str, keep_tables: bool = False) -> tuple[str, bool]:
    """Comments, references and galleries removed; nowiki, pre, code and formulas hidden from the later passes.

    Args:
        text: of the page.
        keep_tables: ``<table>`` stays as it is; else it goes too.
    Returns:
        ``(text, hidden)``: whether anything was hidden, so that the caller must ``reveal`` at the end.
    """
    out: list[str] = []
    position, hidden = 0, False
    closing = _ClosingTags(text)
    opening = _opening_but_table if keep_tables else _opening
    while match := opening.search(text, position):
        out.append(text[position : match.start()])
        inner = match.end()
        name = (match[1] or "").lower()
        if not name:
            end = text.find("-->", inner)
            position = end + 3 if end >= 0 else len(text)
            continue
        position = inner
        if text[inner - 2] == "/":
            if name == "ref" and _is_in_brackets(text, match.start(), inner):
                out.append(MARK)
            continue
        if (close := closing.find(name, inner)) is None:
            continue
        if name == "code" and _code_markup.search(text, inner, close.start()):
            continue
        if name == "table":
            close = _outer_table_close(text, inner, close, closing)
        position = close.end()
        if name in _SHOWN_TAGS:
            out.append(_literal(name, match[2], text[inner : close.start()]))
            hidden = True
        elif _is_in_brackets(text, match.start(), position):
            out.append(MARK)
    if not out:
        return text, False
    out.append(text[position:])
    return "".join(out), hidden


def _is_in_brackets(text: str, start: int, end: int) -> bool:
    """Whether a bracket stands beside the reference ``text[start:end]``, which may have to be closed up.

    Only there does a reference leave a marker: lines with markers are mended, which takes time.
    """
    return text[max(start - 1, 0)] in "(（" or text[end : end + 1] in (")", "）")


class _ClosingTags:
    """Finds ``</name>`` from a position on, as MediaWiki does: ``</ref name>`` closes nothing.

    Asks for a missing name only once, so that many unclosed tags stay linear.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._missing: set[str] = set()

    def find(self, name: str, start: int) -> re.Match[str] | None:
        if name in self._missing:
            return None
        close = _closing[name].search(self._text, start)
        if close is None:
            self._missing.add(name)
        return close


def _outer_table_close(text: str, start: int, close: re.Match[str], closing: _ClosingTags) -> re.Match[str]:
    """From the first ``</table>`` to the one that closes the table whose content begins at ``start``.

    Not past a heading: there an inner table was left open, and prose would go with it.
    """
    while inner := _table_tag.search(text, start, close.start()):
        start = inner.end()
        further = closing.find("table", close.end())
        if further is None or text.find("\n==", close.end(), further.start()) >= 0:
            break
        close = further
    return close


def _literal(tag: str, attributes: str, content: str) -> str:
    if tag in ("nowiki", "code"):
        return hide(unescape(content)) if "&" in content else hide(content)
    if tag in ("math", "chem", "ce"):
        # TeX ignores a space between braces; doubled ones would be taken for a template by whatever reads the text next.
        formula = (
            " ".join(content.split())
            .replace("{{", "{ {")
            .replace("{{", "{ {")
            .replace("}}", "} }")
            .replace("}}", "} }")
        )
        return hide(formula) or MARK
    code = unescape(content).strip("\n")
    return hide(code) if "inline" in attributes else f"\n\n{hide(code)}\n\n"


def resolve_templates(text: str, renderer: TemplateRenderer, page: Page) -> str:
    """Every ``{{…}}`` replaced by what it shows, innermost first."""
    segments = text.split("{{")
    out = [segments[0]]
    stack: list[list[str]] = []
    for segment in segments[1:]:
        stack.append(out)
        if "}}" not in segment:
            out = [segment]
            continue
        body, *rest = segment.split("}}")
        out = [body]
        for tail in rest:
            if stack:
                body = out[0] if len(out) == 1 else "".join(out)
                out = stack.pop()
                if len(stack) >= _MAX_NESTING:
                    out.append(MARK)
                elif len(body) > _MAX_TEMPLATE_CHARS_BEFORE_HEADING and "\n==" in body:
                    out.append(_after_unclosed(body))
                else:
                    out.append(renderer.render(body, page))
            out.append(tail)
    return "".join(out) if not stack else _unwind([*stack, out], _after_unclosed)


def _unwind(frames: list[list[str]], rescue: Callable[[str], str]) -> str:
    """The text of frames that were never closed: the outermost as it is, each inner one by ``rescue``."""
    flat = list(frames[0])
    flat.extend(rescue("".join(frame)) for frame in frames[1:])
    return "".join(flat)


def _after_unclosed(body: str) -> str:
    """What follows a call that was never closed: the text from the first blank line on, else from the next line.

    Where it fills one line, its last argument.
    """
    end = body.find("\n\n")
    if end < 0:
        end = body.find("\n")
    return body[end:] if end >= 0 else split_arguments(body)[-1]


def resolve_links(text: str, show_link: Callable[[str], str], is_dropped: Callable[[str], bool]) -> str:
    """Every ``[[…]]`` replaced by ``show_link`` of its content, innermost first.

    ``is_dropped`` says of an unclosed link's content whether it is a file or a category; then its line goes.
    """
    segments = text.split("[[")
    out = [segments[0]]
    stack: list[list[str]] = []
    del segments[0]
    for segment in segments:
        body, closed, rest = segment.partition("]]")
        if closed and not stack:
            # The common case, inlined: no colon means no namespace, so the label is what follows the first pipe.
            out.append(show_link(body) if ":" in body or "\n" in body else body[body.find("|") + 1 :].lstrip("|"))
            out.append(rest)
            continue
        stack.append(out)
        body, *tails = segment.split("]]")
        out = [body]
        for tail in tails:
            if stack:
                body = "".join(out)
                out = stack.pop()
                out.append(show_link(body) if len(stack) < _MAX_NESTING else MARK)
            out.append(tail)
    if not stack:
        return "".join(out)

    def rescue(body: str) -> str:
        if is_dropped(body):
            return _after_unclosed(body)
        pipe, line_end = body.find("|", 0, 120), body.find("\n", 0, 120)
        return body[pipe + 1 :] if pipe > 0 and (line_end < 0 or pipe < line_end) else body

    return _unwind([*stack, out], rescue)
