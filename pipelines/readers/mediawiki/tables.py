"""Tables, ``{| … |}``: dropped, or as rows of text, cells apart by tabs; and infoboxes as ``label: value``.

    {| class="wikitable"
    |+ Rivers                        Rivers
    ! Name !! Length           ->    Name⇥Length
    |-                               Dnipro⇥2201 km
    | [[Dnieper|Dnipro]] || 2201 km

A cell over several columns or rows keeps its place: the others that it covers are empty.
"""

import re
from collections.abc import Callable

from pipelines.readers.mediawiki.calls import split_arguments
from pipelines.readers.mediawiki.marks import MARK, hide

_table_edge = re.compile(r"\n[ \t:*#;\x02]*(\{\|)|\|\}")
# Deeper ones are dropped: each level costs a copy of what is in it.
_MAX_NESTING = 5
# Cells that cover more rows or columns than this are no table's: without a bound ten bytes could ask for gigabytes.
_MAX_SPAN = 100
_LIST_SIGNS = tuple("*#:;=")
_span = re.compile(r"\b(col|row)span\s{0,9}=\s{0,9}[\"']?\s{0,9}(\d{1,3})", re.IGNORECASE)
# {{yes|Won}} is style="…" | Won: the attributes before such a call end at the marker that it leaves, not at a pipe.
_bare_attributes = re.compile(
    r"\s*+(?:(?:style|class|id|title|lang|dir|v?align|(?:col|row)span|width|height|bgcolor|scope|abbr|data-[a-z-]+)"
    r"\s*+=\s*+(?:\"[^\"\n]*+\"|'[^'\n]*+'|[^\s\"'\x02]++)\s*+)++(?=\x02|$)",
    re.IGNORECASE,
)
_html_tag = re.compile(r"<(/?)(table|tr|td|th|caption)\b([^<>]*)>", re.IGNORECASE)
_HTML_SIGNS = {"table": "\n{|", "tr": "\n|-", "td": "\n|", "th": "\n!", "caption": "\n|+"}
_media_file = re.compile(
    r"[^\s|]{1,200}(?: [^|\n]{1,200})?\.(?:jpe?g|png|svg|gif|tiff?|og[gva]|web[mp]|pdf)", re.IGNORECASE
)
# What says how a box looks, not what it holds.
_layout_key = re.compile(
    r"(?:^|[_ ])(?:alt|caption|(?:image)?size|width|upright|colou?r|style|align|lat[dms]?|long?[dms]?|latNS|longEW)\d*$"
)

#: The markup of a cell -> its text on one line, its lines joined by the second argument.
ShowCell = Callable[[str, str], str]


def drop_tables(text: str) -> str:
    """``text`` without tables, nested ones included. An opening that is never closed takes only its own line."""
    return _replace_tables(text, lambda markup: "")


def show_tables(text: str, show_cell: ShowCell) -> str:
    """``text`` with every table as rows, hidden from the later passes; a nested one is part of its cell."""
    return _replace_tables(text, lambda markup: f"\n\n{_rows(markup, show_cell)}\n\n")


def without_html_tables(text: str) -> str:
    """``text`` with ``<table>`` written as ``{|``, so that one function reads both."""

    def sign(match: re.Match[str]) -> str:
        closing, name, attributes = match[1], match[2].lower(), match[3].strip()
        if closing:
            return "\n|}\n" if name == "table" else ""
        if name in ("td", "th", "caption"):
            return f"{_HTML_SIGNS[name]} {attributes} | "
        return f"{_HTML_SIGNS[name]} {attributes}\n"

    return _html_tag.sub(sign, text)


def _replace_tables(text: str, show: Callable[[str], str]) -> str:
    text = f"\n{text}"
    stack: list[tuple[list[str], int]] = []
    out: list[str] = []
    position = 0
    for edge in _table_edge.finditer(text):
        if not edge[1] and not stack:
            continue
        out.append(text[position : edge.start()])
        position = edge.end()
        if edge[1]:
            stack.append((out, edge.start()))
            out = []
        else:
            markup = "".join(out)
            out, _ = stack.pop()
            out.append(show(markup) if len(stack) < _MAX_NESTING else MARK)
            out.append("\n")
    out.append(text[position:])
    for outer, _ in reversed(stack):  # never closed
        rest = "".join(out)
        line_end = rest.find("\n")
        outer.append(rest[line_end:] if line_end >= 0 else "")
        out = outer
    return "".join(out)


def _rows(markup: str, show_cell: ShowCell) -> str:
    """Rows of what stands between ``{|`` and ``|}``, hidden."""
    rows: list[list[str]] = [[]]
    for line in markup.split("\n")[1:]:
        start = line.lstrip(" \t:" + MARK)
        if start.startswith("|-"):
            rows.append([])
        elif start.startswith("|+"):
            rows += [[start[2:]], []]
        elif start.startswith("!"):
            rows[-1] += start[1:].replace("!!", "||").split("||")
        elif start.startswith("|"):
            rows[-1] += start[1:].split("||")
        elif rows[-1]:
            rows[-1][-1] += f"\n{line}"
    return "\n".join(_laid_out(rows, show_cell))


def _laid_out(rows: list[list[str]], show_cell: ShowCell) -> list[str]:
    """The rows' lines, each cell in its column; rows without text are left out."""
    lines: list[str] = []
    covered: dict[int, int] = {}  # column -> rows that a cell above still covers
    for row in rows:
        cells: list[str] = []
        for cell in row:
            attributes, shown = _split_cell(cell)
            _skip_covered(cells, covered)
            spans = {name.lower(): int(number) for name, number in _span.findall(attributes)}
            width = max(min(spans.get("col", 1), _MAX_SPAN - len(cells)), 1)
            if spans.get("row", 1) > 1:
                covered |= dict.fromkeys(range(len(cells), len(cells) + width), min(spans["row"], _MAX_SPAN))
            if shown.lstrip(" \t")[:1] in _LIST_SIGNS:
                shown = MARK + shown  # behind a cell's sign no line begins, so no list
            cells += [show_cell(shown, " "), *[""] * (width - 1)]
        covered = {column: left - 1 for column, left in covered.items() if left > 1} if row else covered
        if any(any(map(str.isalnum, cell)) for cell in cells):
            lines.append(hide("\t".join(cells).rstrip()))
    return lines


def _split_cell(cell: str) -> tuple[str, str]:
    """``(attributes, content)`` of what stands behind a cell's sign."""
    attributes, pipe, content = cell.partition("|")
    if pipe and "[[" not in attributes:
        return attributes, content
    bare = _bare_attributes.match(cell)
    end = bare.end() if bare else 0
    return cell[:end], cell[end:]


def _skip_covered(cells: list[str], covered: dict[int, int]) -> None:
    while len(cells) in covered:
        cells.append("")


def infobox_rows(arguments: str, show_cell: ShowCell) -> str:
    """``name = value|other=value`` -> lines ``name: value``, hidden; what is no text (a picture, a size) is left out."""
    lines: list[str] = []
    for argument in split_arguments(arguments):
        key, equals, markup = argument.partition("=")
        label, value = key.replace("_", " ").strip(), markup.strip()
        if not equals or not label or not value or _media_file.fullmatch(value) or _layout_key.search(key.strip()):
            continue
        shown = show_cell(value, ", ")
        if any(map(str.isalnum, shown)) and any(map(str.isalnum, label)):
            lines.append(hide(f"{label}: {shown}"))
    return "\n\n" + "\n".join(lines) + "\n\n" if lines else MARK
