"""What each character is to one who counts words: white space, part of a word, or a word of its own.

Most scripts part words by spaces. Chinese, kana, Thai, Lao, Khmer, Burmese, Yi and some more do not; there a letter is
the word that can be counted without a dictionary, and holds the marks and the wide punctuation after it.

The tables follow the Unicode version of the Python in use (3.11: 14.0, 3.12: 15.0).
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: SPACE parts words. WORD: letters and digits of scripts with spaces. CLOSE: marks, punctuation and symbols of scripts
#: without, which end the unit before them. IDEOGRAM and LETTER: the letters of those scripts. OTHER: all the rest.
SPACE, OTHER, WORD, CLOSE, IDEOGRAM, LETTER = range(6)

#: Blocks that are written without spaces between words, and what their letters are: an ideogram says as much as three
#: letters and is about half a word; the others spell words out.
UNSPACED = (
    (0x0E00, 0x0F00, LETTER),  # Thai, Lao
    (0x1000, 0x10A0, LETTER),  # Burmese
    (0x1780, 0x1800, LETTER),  # Khmer
    (0x1950, 0x19E0, LETTER),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AB0, LETTER),  # Tai Tham
    (0x2E80, 0x3130, IDEOGRAM),  # radicals, 、。, kana, bopomofo
    (0x3190, 0xA4D0, IDEOGRAM),  # kana extensions, Chinese characters, Yi
    (0xA9E0, 0xAA00, LETTER),  # Burmese extension B
    (0xAA60, 0xAAE0, LETTER),  # Burmese extension A, Tai Viet
    (0xF900, 0xFB00, IDEOGRAM),  # compatibility Chinese characters
    (0xFE30, 0xFE70, IDEOGRAM),  # vertical and small punctuation
    (0xFF00, 0xFF10, IDEOGRAM),  # full-width punctuation; the letters and digits between are WORD
    (0xFF1A, 0xFF21, IDEOGRAM),
    (0xFF3B, 0xFF41, IDEOGRAM),
    (0xFF5B, 0xFFA0, IDEOGRAM),  # and half-width katakana
    (0x16FE0, 0x1B300, IDEOGRAM),  # Tangut, Khitan, kana supplements, Nushu
)
#: Planes 2 and 3 hold Chinese characters alone, assigned or yet to come.
IDEOGRAPHIC_PLANES = slice(0x20000, 0x40000)


#: The class of a character is its kind, and this bit where it is a letter (`str.isalpha`).
LETTERED = 8
KIND = np.uint8(LETTERED - 1)


class CharacterTables(NamedTuple):
    """What is known of each code point."""

    kinds: npt.NDArray[np.uint8]  # [0x110000]
    classes: npt.NDArray[np.uint8]  # [0x110000]


#: Behind these planes nothing but private characters and tags is assigned, and no letter or digit is among them.
ASSIGNED = 0x40000


@functools.cache
def character_tables() -> CharacterTables:
    """The tables, built on first use (0.1 s)."""
    categories = list(map(unicodedata.category, map(chr, range(ASSIGNED))))
    is_letter, kinds = np.zeros(0x110000, np.bool_), np.full(0x110000, OTHER, np.uint8)
    is_letter[:ASSIGNED] = [category[0] == "L" for category in categories]
    kinds[:ASSIGNED] = [WORD if category[0] in "LN" else OTHER for category in categories]
    for begin, end, letter in UNSPACED:
        of_category = {"Lo": letter, "Lm": letter, "Nl": letter, "Nd": WORD, "No": WORD}
        kinds[begin:end] = [of_category.get(category, CLOSE) for category in categories[begin:end]]
    kinds[IDEOGRAPHIC_PLANES] = IDEOGRAM
    kinds[[code for code in range(0x3001) if chr(code).isspace()]] = SPACE
    kinds[0x0F0B:0x0F0D] = SPACE  # Tibetan puts a tsheg between syllables and no space between words
    # No text has a NUL (`pipelines.cleaning.normalize`): it stands between the texts of a batch.
    kinds[0] = SPACE
    classes = kinds | (LETTERED * is_letter).astype(np.uint8)
    return CharacterTables(kinds, classes)
