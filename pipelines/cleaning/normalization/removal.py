"""Steps of older recipes that take words and marks out of a text: punctuation and stop words.

Neither suits a model that is to write text. They are here for corpora that are compared with older ones.
"""

import functools
import re
import unicodedata
from typing import Final

import stopwordsiso

from pipelines.cleaning.normalization.step import Step

#: One of these between two digits belongs to the number or date: 3.14, 1,000, 12:30, 2020-01-31, 1/2.
IN_NUMBERS: Final = ".,:/'’·٫٬．，：／-"
#: One of these between two letters belongs to the word: don't, об’єкт, col·lecció, צה״ל.
IN_WORDS: Final = "'’·׳״"
#: Languages whose list stopwordsiso keeps under another code.
LIST_OF: Final = {"nb": "no", "nn": "no", "yue": "zh", "wuu": "zh", "lzh": "zh", "fil": "tl"}


def remove_punctuation() -> Step:
    """Punctuation (Unicode category P) becomes a space, runs of spaces one, none at line ends; each mark counts.

    What belongs to a number or word stays: a mark between two digits, a sign before and a percent sign behind them, an
    apostrophe or middle dot between two letters.
    """
    kept = rf"(?<=\d)[{re.escape(IN_NUMBERS)}](?=\d)|(?<=\w)[{IN_WORDS}](?=\w)|(?<!\w)-(?=\d)|(?<=\d)[%‰٪％]"
    marks = re.compile(f"(?!{kept}){_category_class('P')}")
    spaces = re.compile(" {2,}")

    def apply(text: str, _: str) -> tuple[str, int]:
        text, changes = marks.subn(" ", text)
        if changes:
            text = spaces.sub(" ", text).replace(" \n", "\n").replace("\n ", "\n").strip(" ")
        return text, changes

    return Step("remove_punctuation", apply)


def remove_stop_words() -> Step:
    """The words of the language's list in stopwordsiso go, whatever their case, and the spaces after them; each counts.

    A word is what stands between spaces and punctuation: letters, marks and digits, joined by hyphens, apostrophes or
    dots. In text without spaces between words, as in Chinese, Japanese and Thai, that is a clause; so a stop word goes
    only where it stands alone, and single characters are never cut out of words. Segmented text loses its stop words.
    Entries of several words (Vietnamese has many) and languages without a list change nothing.
    """
    letters = rf"[\w{_category_class('M')[1:]}"
    words = re.compile(rf"({letters}+(?:[-'’ʼ·.@/:]+{letters}+)*) *")

    def apply(text: str, language: str) -> tuple[str, int]:
        stop_words = stop_words_of(language)
        changes = 0

        def without(match: re.Match[str]) -> str:
            nonlocal changes
            if match[1].lower().replace("’", "'") not in stop_words:
                return match[0]
            changes += 1
            return ""

        return (words.sub(without, text), changes) if stop_words else (text, 0)

    return Step("remove_stop_words", apply)


@functools.cache
def stop_words_of(language: str) -> frozenset[str]:
    """The list of stopwordsiso without numbers and marks; empty where there is none."""
    code = LIST_OF.get(language, language)
    if not stopwordsiso.has_lang(code):
        return frozenset()
    return frozenset(word for word in stopwordsiso.stopwords(code) if any(map(str.isalpha, word)))


@functools.cache
def _category_class(category: str) -> str:
    """A class of a regular expression: the characters of a Unicode category, given by its first letter.

    Only those of the Basic Multilingual Plane; beyond it `re` is 100 times slower, and scripts are historic.
    """
    members = [code for code in range(0x10000) if unicodedata.category(chr(code))[0] == category]
    return f"[{re.escape(''.join(map(chr, members)))}]"
