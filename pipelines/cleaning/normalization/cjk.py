"""Steps for Chinese and Japanese alone: widths of characters, punctuation, and spaces around numbers and Latin words."""

import re
import unicodedata
from typing import Final

from pipelines.cleaning.normalization.step import Step

#: Ideographs, their iteration marks, and kana: a class of a regular expression, without its brackets.
LETTERS: Final = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
FULL_WIDTH: Final = "".join(map(chr, (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))))
#: In numbers alone: "３．１４", "１，０００", "１２：３０", "－５％".
FULL_WIDTH_IN_NUMBERS: Final = "．，：／"
HALF_WIDTH_KATAKANA: Final = "\uff61-\uff9f"

FULL_MARKS: Final = {",": "，", ";": "；", ":": "：", "?": "？", "!": "！"}
ASCII_MARKS: Final = str.maketrans("，、；：？！。．（）", ",,;:?!..()")
#: What `full_punctuation` writes and NFKC would undo.
SPARED_BY_NFKC: Final = "，；：？！（）"


def standard_width() -> Step:
    """Full-width letters and digits become ASCII, with the marks inside numbers; half-width katakana becomes full."""
    pattern = re.compile(
        f"[{HALF_WIDTH_KATAKANA}]+|[{FULL_WIDTH}]"
        f"|(?<=[0-9０-９])[{FULL_WIDTH_IN_NUMBERS}](?=[0-9０-９])|(?<=[0-9０-９])％"
    )

    def standard(match: re.Match[str]) -> str:
        return unicodedata.normalize("NFKC", match[0])

    triggers = {*range(0xFF61, 0xFFA0), *map(ord, FULL_WIDTH + FULL_WIDTH_IN_NUMBERS + "％")}
    return Step("character_width", lambda text, _: pattern.subn(standard, text), triggers, cjk_only=True)


def full_punctuation() -> Step:
    """ASCII marks after an ideograph, kana or closing bracket become full-width ones.

    Japanese has "、" for the comma. A full stop counts as one before white space, a closing mark or the end, so names
    and addresses stay; round brackets become full in pairs, where an ideograph stands before or first in them. Spaces
    go between a mark and a following ideograph.
    """
    # The rare class stands first: `re` then skips at its fastest.
    marks = re.compile(rf"[,;:?!.](?<=[{LETTERS}」』》〉）】〕？！].)(?:(?<!\.)|(?![.\w]))(?: +(?=[{LETTERS}]))?")
    brackets = re.compile(rf"\((?:(?<=[{LETTERS}].)|(?=[{LETTERS}]))([^()\n]*)\)")

    def apply(text: str, language: str) -> tuple[str, int]:
        full = {**FULL_MARKS, ".": "。", **({",": "、"} if language == "ja" else {})}
        text, pairs = brackets.subn(r"（\1）", text)
        text, singles = marks.subn(lambda match: full[match[0][0]], text)
        return text, 2 * pairs + singles

    return Step("cjk_punctuation", apply, cjk_only=True)


def ascii_punctuation() -> Step:
    """Full-width and ideographic marks become ASCII ones."""
    pattern = re.compile(f"[{''.join(map(chr, ASCII_MARKS))}]")

    def apply(text: str, _: str) -> tuple[str, int]:
        return pattern.subn(lambda match: chr(ASCII_MARKS[ord(match[0])]), text)

    return Step("cjk_punctuation", apply, ASCII_MARKS.keys(), cjk_only=True)


def number_spacing(is_spaced: bool) -> Step:
    """Between ideographs or kana and ASCII letters or digits stands one space everywhere, or none; each counts."""
    if is_spaced:
        before = re.compile(f"[0-9A-Za-z](?<=[{LETTERS}].)"), r" \g<0>"
        after = re.compile(f"[0-9A-Za-z%](?=[{LETTERS}])"), r"\g<0> "
    else:
        before = re.compile(f"[ \xa0](?<=[{LETTERS}].)[ \xa0]*(?=[0-9A-Za-z])"), ""
        after = re.compile(f"[ \xa0](?<=[0-9A-Za-z%].)[ \xa0]*(?=[{LETTERS}])"), ""

    def apply(text: str, _: str) -> tuple[str, int]:
        changes = 0
        for pattern, replacement in (before, after):
            text, places = pattern.subn(replacement, text)
            changes += places
        return text, changes

    return Step("number_spacing", apply, cjk_only=True)
