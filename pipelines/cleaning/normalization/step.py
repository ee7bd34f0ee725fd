"""What a step of normalisation is: a function over one text, and what a text must hold for it to do anything."""

from collections.abc import Callable, Collection
from typing import NamedTuple

#: (text, language code without script and region) -> (the text after the step, how many places changed)
Apply = Callable[[str, str], tuple[str, int]]

#: The Chinese languages, which are written with ideographs, and Japanese.
CJK_LANGUAGES = frozenset(("zh", "ja", "cdo", "gan", "hak", "hsn", "lzh", "nan", "wuu", "yue"))


class Step(NamedTuple):
    """One step.

    Attributes:
        name: the parameter that asks for it, and its name in the ledger.
        apply: gives the text back, and the number of places that changed: 0 exactly where the text stays as it is.
        triggers: code points, none of them in 0x20 to 0x7E; a text without any of them stays as it is. None: no such
            set, every text may change.
        cjk_only: only texts in Chinese or Japanese take the step.
        on_mojibake: only texts that `mojibake.find_bad` points at, or that hold a trigger, may change.
        on_untidy_lines: only texts may change whose lines or ends have loose white space, or with two blank lines in a
            row.
    """

    name: str
    apply: Apply
    triggers: Collection[int] | None = None
    cjk_only: bool = False
    on_mojibake: bool = False
    on_untidy_lines: bool = False


def base_language(code: str) -> str:
    """The code without script and region, lower case: ``zh-Hant-TW`` -> ``zh``."""
    return code.replace("_", "-").partition("-")[0].lower()
