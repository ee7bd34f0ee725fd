"""The last pass: one loop over lines that makes lists, headings and paragraphs, and mends what markers left behind.

Only a line that holds a marker is mended, so ``printf()`` and ``f(x, )`` in running text survive.
"""

import re

from pipelines.readers.mediawiki.marks import MARK
from pipelines.readers.mediawiki.words import LINK_SECTIONS

_SEPARATORS = ",;，；、،؛"
_LOOSE = " \t:：–—-" + _SEPARATORS + MARK
_brackets = re.compile(r"[ \t]?([(（\[])([^()（）\[\]]*+)([)）\]])")
_adjacent_markers = re.compile(r"\x02(?:[ \t]*\x02)+")
_separator = re.compile(f"([{_SEPARATORS}])")
_EMPTY_QUOTES = tuple(f"{pair[0]}{MARK}{pair[1]}" for pair in ("「」", "『』", "«»", "“”", '""', "《》", "„“", "‘’"))
_STOPS = frozenset(".,;:!?)，。；：！？、）،؛؟»]")
_ENDS = frozenset(".!?)。！？）؟")
_ALL_SEPARATORS = frozenset(_SEPARATORS)
# Behind a Latin letter "()" may be a function call; behind another letter it is what somebody forgot to fill in.
_empty_brackets = re.compile(r"(?<![ \t])[ \t]++\([ \t]*+\)|(?:^|(?<=[,;:\u0370-\u2fff]))\([ \t]*+\)")
_spaces = re.compile(r"[ \t\xa0]{2,}")
_SPECIAL_STARTS = frozenset("=*#:;|!{-")


def join_lines(text: str, headings: str = "plain") -> str:
    """Plain text from text whose inline markup is resolved.

    Paragraphs, headings and lists are apart by an empty line; a list item begins with ``"- "``; a heading stands on a
    line, and only where text follows before the next heading of its level; sections of ``LINK_SECTIONS`` are left out.

    Args:
        text: of the page.
        headings: plain; markdown: behind ``"## "``; none: left out.
    """
    out: list[str] = []
    pending: list[tuple[int, str]] = []  # headings seen, not yet printed
    skipped_level = 0
    after_blank = False
    for raw_line in text.split("\n"):
        line = raw_line.strip()
        if not line:
            after_blank = True
            continue
        if line[0] in _SPECIAL_STARTS:
            if line[0] == "=" and (heading := _heading(line)):
                level, title = heading
                if not skipped_level or level <= skipped_level:
                    skipped_level = level if title.lower() in LINK_SECTIONS else 0
                    while pending and pending[-1][0] >= level:
                        pending.pop()
                    pending.append(heading)
                continue
            line = _without_line_mark(line)
        if skipped_level or not (line := _mended(line)):
            continue
        if pending:
            if headings != "none":
                for level, title in pending:
                    shown = f"{'#' * level} {title}" if headings == "markdown" else title
                    out += ["", shown] if out else [shown]
            pending.clear()
            after_blank = True
        if after_blank and out:
            out.append("")
        out.append(line)
        after_blank = False
    return "\n".join(out)


def _heading(line: str) -> tuple[int, str] | None:
    """``(level, title)`` of ``== title ==``; None where the line is no heading or an empty one."""
    line = line.rstrip(" \t" + MARK)
    level = min(len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("=")), 6, (len(line) - 1) // 2)
    if level < 1:
        return None
    title = _spaces.sub(" ", line[level:-level].replace(MARK, " ")).strip(" =")
    return (level, title) if title else None


def _without_line_mark(line: str) -> str:
    """The line without its list mark, ``"- "`` in its place for an item; "" for what is left of tables and rules."""
    first = line[0]
    if first in "*#:;":
        text = line.lstrip("*#:; \t")
        mark = line[: len(line) - len(text)].rstrip()
        return f"- {text}" if text and mark[-1] in "*#" else text
    if first == "|" or line.startswith("{|"):
        return ""
    if line.startswith("----"):
        return line.lstrip("-").lstrip(" \t")
    if first == "!" and ("!!" in line or "|" in line or line.startswith("! ")):
        return ""
    return line


def _mended(line: str) -> str:
    if MARK in line:
        line = _without_markers(line)
        if not line or not any(map(str.isalnum, line)):
            return ""
    if "()" in line or "( )" in line:
        line = _empty_brackets.sub("", line)
    if "  " in line:
        line = _spaces.sub(" ", line)
    return line.strip()


def _without_markers(line: str) -> str:
    """``A (·, b; ·) ·, c`` -> ``A (b), c``: the line as if nothing had stood where the markers (``·`` here) are."""
    if "(" in line or "（" in line or "[" in line:
        line = _brackets.sub(_mended_brackets, line)
    for empty in _EMPTY_QUOTES:
        if empty in line:
            line = line.replace(empty, "")
    pieces = _adjacent_markers.sub(MARK, line).split(MARK)
    out = [pieces[0]]
    for piece in pieces[1:]:
        _append_after_marker(out, piece)
    line = "".join(out).strip()
    return "" if line == "-" else line


def _append_after_marker(out: list[str], piece: str) -> None:
    """Appends ``piece`` to ``out``, with the space and the separator that a dropped thing between them leaves double."""
    while out and not out[-1]:
        out.pop()
    before = out[-1].rstrip(" \t") if out else ""
    ending, following = before[-1:], piece.lstrip(" \t")
    if not before or ending in "(（":
        piece = following.lstrip(_LOOSE)
    elif following[:1] in _ALL_SEPARATORS and ending in _ALL_SEPARATORS:
        piece = following[1:]
    elif following[:1] in _STOPS:
        out[-1] = before.rstrip(_SEPARATORS) if following[0] in _ENDS else before
        piece = following
    elif len(following) < len(piece) and len(before) < len(out[-1]):
        piece = following  # a marker between two spaces leaves one
    out.append(piece)


def _mended_brackets(match: re.Match[str]) -> str:
    inner = match[2]
    if MARK not in inner:
        return match[0]
    kept: list[str] = []
    pieces = _separator.split(inner)
    for index in range(0, len(pieces), 2):
        piece = pieces[index]
        if MARK in piece:
            if not (piece := piece.strip(_LOOSE)):
                continue
            piece = piece.replace(MARK, "")
            piece = f" {piece}" if pieces[index][:1] in " \t" + MARK and kept else piece
        if kept and index:
            kept.append(pieces[index - 1])
        kept.append(piece)
    shown = "".join(kept).strip(" \t" + _SEPARATORS)
    if not shown:
        return ""
    before = match[0][: match.start(1) - match.start()]
    return f"{before}{match[1]}{shown}{match[3]}"
