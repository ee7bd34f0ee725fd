"""Tables of characters leave out what Unicode has not assigned, or must not decompose: that this Python agrees."""

import unicodedata

from pipelines.cleaning.normalization.unicode_form import DECOMPOSABLE
from pipelines.cleaning.scripts import ASSIGNED, IDEOGRAM, OTHER, SPACE, WORD, character_tables


def test_no_letter_and_no_digit_is_assigned_behind_the_planes_that_are_looked_at() -> None:
    assert {unicodedata.category(chr(code)) for code in range(ASSIGNED, 0x110000)} == {"Cn", "Co", "Cf", "Mn"}


def test_characters_that_are_left_out_are_in_normal_form_and_no_marks() -> None:
    listed = {code for part in DECOMPOSABLE for code in part}
    left_out = [chr(code) for code in range(0x80, 0x110000) if code not in listed and not 0xD800 <= code < 0xE000]
    assert len(left_out) > 900_000
    assert not any(map(unicodedata.combining, left_out))
    assert not any(map(unicodedata.decomposition, left_out))
    text = "".join(left_out)
    assert unicodedata.normalize("NFC", text) == unicodedata.normalize("NFKC", text) == text


def test_characters_are_what_their_script_makes_them() -> None:
    kinds = character_tables().kinds
    found = [kinds[ord(character)] for character in "a９é中の \u3000\n.—\U000e0020\U0010ffff"]
    assert found == [WORD, WORD, WORD, IDEOGRAM, IDEOGRAM, SPACE, SPACE, SPACE, OTHER, OTHER, OTHER, OTHER]
