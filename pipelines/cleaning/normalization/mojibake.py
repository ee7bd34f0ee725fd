"""Mojibake repair with ftfy, which reads 4 MB/s: a screen of 200 MB/s proves that nearly every text needs none of it.

ftfy repairs a line where its pattern `BADNESS_RE` matches, and C1 control characters anywhere. Each alternative of that
pattern holds neighbours that are all outside ASCII; `neighbour_tables` has, for each code point, one bit an alternative:
may it be the rarest of these neighbours, the one before it, the one after it? Where a bit meets in all three stands a
candidate, and around a candidate ftfy's own pattern decides. The tables are built from that pattern itself, so they
hold for any version of ftfy.
"""

import functools
import re._parser as regex_parser
from typing import Any, Final

import ftfy
import numpy as np
import numpy.typing as npt
from ftfy.badness import BADNESS_RE

from pipelines.cleaning.normalization.code_points import code_points
from pipelines.cleaning.normalization.step import Step

#: Mojibake and nothing else: the other things that ftfy can do are steps and settings of their own.
FTFY: Final = ftfy.TextFixerConfig(
    explain=False,
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_encoding=True,
    fix_c1_controls=True,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=False,
    remove_control_chars=False,
    normalization=None,
)
C1_CONTROLS: Final = range(0x80, 0xA0)
#: A character and the neighbours that `neighbour_tables` looks at; more of them would tell little more apart.
OFFSETS: Final = (0, -1, 1)
_PARSED: Final = regex_parser.parse(BADNESS_RE.pattern, BADNESS_RE.flags)
#: No match of ftfy's pattern is longer.
WIDTH: Final[int] = _PARSED.getwidth()[1]


def mojibake() -> Step:
    """Lines that ftfy changes are repaired; each counts."""
    return Step("repair_mojibake", lambda text, _: repair(text), C1_CONTROLS, on_mojibake=True)


def repair(text: str) -> tuple[str, int]:
    """``ftfy.fix_text(text, FTFY)``, exactly, and the number of lines that it changed.

    ftfy works line by line and loops until a line is stable, so only the lines that can change go through it.
    """
    lines = f"\n{text}\n"
    codes = code_points(lines)
    is_anchor = neighbour_tables()[0].take(codes, mode="clip") != 0
    suspects = find_bad(lines, codes, np.flatnonzero(is_anchor))
    suspects += np.flatnonzero((codes >= 0x80) & (codes < 0xA0)).tolist()
    pieces, done, changes = [], 0, 0
    for place in sorted(suspect - 1 for suspect in suspects):
        if place < done:
            continue
        begin = text.rfind("\n", done, place) + 1 or done
        end = text.find("\n", place) + 1 or len(text)
        repaired = ftfy.fix_text(text[begin:end], FTFY)
        changes += repaired != text[begin:end]
        pieces += [text[done:begin], repaired]
        done = end
    return "".join(pieces) + text[done:], changes


def find_bad(text: str, codes: npt.NDArray[np.uint32], places: npt.NDArray[np.intp]) -> list[int]:
    """Ascending places; each line in which `BADNESS_RE` matches holds one. What other lines hold makes no difference.

    Args:
        text: begins and ends with \\n.
        codes: its code points.
        places: ascending, of all its `anchors`; of other characters too, if that comes cheaper.
    """
    return [place for place in candidates(codes, places).tolist() if _is_bad(text, place)]


def candidates(codes: npt.NDArray[np.uint32], places: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Those of the places around which the neighbours of one of ftfy's alternatives stand."""
    met = np.full(len(places), ~np.uint64(0))
    for table, offset in zip(neighbour_tables(), OFFSETS, strict=True):
        met &= table.take(codes.take(places + offset, mode="clip"), mode="clip")
        alive = np.flatnonzero(met)
        places, met = places[alive], met[alive]
    return places


def anchors() -> list[int]:
    """The code points that can stand at the first of `OFFSETS`; a text without any is good."""
    found: list[int] = np.flatnonzero(neighbour_tables()[0]).tolist()
    return found


def _is_bad(text: str, place: int) -> bool:
    # A match around this place lies in the window, which begins with its line where that is near: "^Ã " is bad.
    # Elsewhere a cut window can only match more, and ftfy decides anyway.
    begin = max(0, place - WIDTH)
    begin = text.rfind("\n", begin, place) + 1 or begin
    end = text.find("\n", place, place + WIDTH) + 1 or place + WIDTH
    return BADNESS_RE.search(text[begin:end]) is not None


@functools.cache
def neighbour_tables() -> npt.NDArray[np.uint64]:
    """uint64 [3, 0x10000]: bit i is set where a code point may stand at that one of `OFFSETS` in alternative i."""
    tables = np.zeros((len(OFFSETS), 0x10000), np.uint64)
    for number, alternative in enumerate(_alternatives(_PARSED)):
        bit = np.uint64(1 << number)
        sets = _longest_run([_code_points(node) for node in alternative])
        # Ordinary text has many letters and few of the signs that betray mojibake: the sparsest set stands at 0.
        letters = [sum(chr(code).isalpha() for code in members) for members in sets]
        anchor = min(range(len(sets)), key=lambda index: (letters[index], -index))
        for table, offset in zip(tables, OFFSETS, strict=True):
            is_known = 0 <= anchor + offset < len(sets)
            table[sorted(sets[anchor + offset]) if is_known else slice(None)] |= bit
    return tables


def _longest_run(sets: list[set[int]]) -> list[set[int]]:
    """The longest run of sets that are not empty."""
    runs: list[list[set[int]]] = [[]]
    for members in sets:
        if members:
            runs[-1].append(members)
        else:
            runs.append([])
    return max(runs, key=len)


def _alternatives(parsed: Any) -> list[list[Any]]:
    """The alternatives of a pattern that is one alternation, common prefix included."""
    *prefix, (kind, value) = parsed
    if str(kind) != "BRANCH":
        return [list(parsed)]
    return [prefix + tail for branch in value[1] for tail in _alternatives(branch)]


def _code_points(node: Any) -> set[int]:
    """The code points that a node of a parsed pattern can match, or none if ASCII is among them or it is no plain set."""
    kind, value = str(node[0]), node[1]
    if kind == "LITERAL":
        points = {value}
    elif kind == "IN" and all(str(item[0]) in ("LITERAL", "RANGE") for item in value):
        points = set().union(*({v} if str(k) == "LITERAL" else range(v[0], v[1] + 1) for k, v in value))
    else:
        points = set()
    return points if points and min(points) >= 0x80 else set()
