"""Two aligned texts as two columns of a terminal, differences marked: colours on a terminal, else [-left-] {+right+}."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from pipelines.duplicates.differences import Stretch, pieces
from pipelines.terminal import printable

SEPARATOR = " │ "
#: An equal stretch of more characters than both ends together is folded to them.
END_CHARS = 80
#: Reversed red and green are told apart on dark and on light, and show spaces too.
COLOURS = ("\x1b[7;31m", "\x1b[7;32m")
PLAIN = "\x1b[0m"
MARKS = (("[-", "-]"), ("{+", "+}"))

#: Pieces of one line, and whether each is marked.
Line: TypeAlias = list[tuple[str, bool]]
_LINE_END = re.compile(r"(\n)")


def display_width(text: str) -> int:
    """Columns of a terminal: two for a wide character, none for one that joins the one before it.

    >>> display_width("東京 x"), display_width("e\\u0301")
    (6, 1)
    """
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def side_by_side(stretches: Sequence[Stretch], width: int, colours: bool) -> Iterator[str]:
    """The lines of both columns; long equal stretches are folded to a count.

    Args:
        stretches: of an alignment, in order.
        width: columns of the terminal, for both sides and what parts them.
        colours: mark by colour, not by brackets.
    """
    column = max(8, (width - len(SEPARATOR)) // 2)
    rows: tuple[Line, Line] = ([], [])
    for place, stretch in enumerate(stretches):
        if not stretch.is_equal:
            for row, text, side in zip(rows, stretch, (0, 1), strict=True):
                row += _marked(text, side, colours)
            continue
        for part in _folded(stretch.left, place == 0, place == len(stretches) - 1):
            if isinstance(part, int):
                yield from _drain(rows, column, colours)
                yield f"… {part:,} equal characters …".center(2 * column + len(SEPARATOR)).rstrip()
            elif part == "\n":
                yield from _drain(rows, column, colours, ended=True)
            else:
                for row in rows:
                    row += [(piece, False) for piece in pieces(printable(part))]
    yield from _drain(rows, column, colours)


def columns_of(left: str, right: str, width: int) -> str:
    """Two short texts in the same columns, wrapped where they are too long: a heading."""
    column = max(8, (width - len(SEPARATOR)) // 2)
    sides = [list(_wrapped([(piece, False) for piece in pieces(text)], column)) for text in (left, right)]
    return "\n".join(_paired(sides[0], sides[1], column, False))


def _folded(text: str, is_first: bool, is_last: bool) -> Iterator[str | int]:
    """An equal stretch in parts: text without line ends, single line ends, and the number of characters not shown."""
    head = 0 if is_first and not is_last else _cut(text, END_CHARS)
    tail = len(text) if is_last else max(head, _cut(text, len(text) - END_CHARS))
    if tail - head <= END_CHARS:
        head = tail = len(text)
    yield from filter(None, _LINE_END.split(text[:head]))
    if tail > head or tail < len(text):
        yield tail - head
    yield from filter(None, _LINE_END.split(text[tail:]))


def _cut(text: str, place: int) -> int:
    """A place near the given one that parts no word (where there is a space) and no composed character."""
    place = min(max(place, 0), len(text))
    space = text.find(" ", place, place + 20)
    place = space if space >= 0 else place
    while place < len(text) and not _char_width(text[place]):
        place += 1
    return place


def _marked(text: str, side: int, colours: bool) -> Line:
    """A difference as pieces; line ends in it are shown, for they may be all that differs."""
    found = pieces(printable(text.replace("\n", "⏎\n")))
    if found and not colours:
        found[0] = MARKS[side][0] + found[0]
        found[-1] += MARKS[side][1]
    return [(piece, True) for piece in found]


def _drain(rows: tuple[Line, Line], column: int, colours: bool, ended: bool = False) -> Iterator[str]:
    """The lines of what was gathered, which is forgotten; an empty line too where a line of both texts has ended."""
    if rows[0] or rows[1] or ended:
        left, right = (list(_wrapped(row, column)) for row in rows)
        yield from _paired(left, right, column, colours)
    for row in rows:
        row.clear()


def _wrapped(row: Line, column: int) -> Iterator[Line]:
    line: Line = []
    used = 0
    for piece, marked in row:
        for part in _LINE_END.split(piece):
            if part == "\n":
                yield line
                line, used = [], 0
                continue
            for text in _fitting(part, column, column - used):
                if used + display_width(text) > column:
                    yield line
                    line, used = [], 0
                    if text.isspace() and not marked:
                        continue
                line.append((text, marked))
                used += display_width(text)
    yield line


def _fitting(text: str, column: int, left: int) -> Iterator[str]:
    """The text whole if a line holds it, else cut to what is left of this line and then to whole lines."""
    if display_width(text) <= column:
        yield from [text] if text else []
        return
    start, used, limit = 0, 0, left if left > 1 else column
    for place, char in enumerate(text):
        if used + _char_width(char) > limit:
            yield text[start:place]
            start, used, limit = place, 0, column
        used += _char_width(char)
    yield text[start:]


def _paired(left: Sequence[Line], right: Sequence[Line], column: int, colours: bool) -> Iterator[str]:
    for place in range(max(len(left), len(right))):
        sides = [side[place] if place < len(side) else [] for side in (left, right)]
        padding = " " * (column - sum(display_width(text) for text, _ in sides[0]))
        shown = [
            "".join(_shown(text, marked and colours, side) for text, marked in line) for side, line in enumerate(sides)
        ]
        yield f"{shown[0]}{padding}{SEPARATOR}{shown[1]}".rstrip()


def _shown(text: str, coloured: bool, side: int) -> str:
    return f"{COLOURS[side]}{text}{PLAIN}" if coloured else text
