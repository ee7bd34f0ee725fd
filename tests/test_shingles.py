"""Shingles by script, exact Jaccard, and what makes two texts exact duplicates."""

import hashlib
import unicodedata
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.duplicates import shingles, text_units
from pipelines.duplicates.shingles import jaccard, normalized_hashes, shingle_hashes


def of(text: str, shingle_size: int = 5) -> list[int]:
    return shingle_hashes([text], shingle_size)[0].tolist()


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("The cat, the CAT! x_1", ["the", "cat", "the", "cat", "x", "1"]),
        ("ÉCOLE naïve Привет ΣΊΣΥΦΟΣ", ["école", "naïve", "привет", "σίσυφος"]),
        ("2014年，本院认为", ["2014", "年", "本", "院", "认", "为"]),
        ("二〇〇八年𠮷野家", ["二", "〇", "〇", "八", "年", "𠮷", "野", "家"]),
        ("東京タワー tower、です。", ["東", "京", "タ", "ワ", "ー", "tower", "で", "す"]),
        ("東京tower", ["東", "京", "tower"]),
        ("ที่นี่abc ๑๒", ["ที่", "นี่", "abc", "๑๒"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("ភាសាខ្មែរ", ["ភា", "សា", "ខ្", "មែ", "រ"]),
        ("ພາສາ", ["ພ", "າ", "ສ", "າ"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("ﾊﾟﾘ", ["ﾊﾟ", "ﾘ"]),
    ],
)
def test_a_unit_is_a_word_or_where_no_spaces_are_written_a_character(text: str, units: list[str]):
    hashes, offsets = shingle_hashes([text], 1)
    expected, one_each = shingle_hashes(units, 1)
    assert one_each.tolist() == list(range(len(units) + 1))
    assert hashes.tolist() == expected.tolist()
    assert offsets.tolist() == [0, len(units)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the cat the cat", ["the cat", "cat the", "the cat"]),
        ("东京大学", ["东京", "京大", "大学"]),
        ("東京 no 塔", ["東京", "京 no", "no 塔"]),
    ],
)
def test_a_shingle_is_neighbouring_units_whatever_separates_them(text: str, expected: list[str]):
    assert of(text, 2) == shingle_hashes(expected, 2)[0].tolist()
    assert len(set(of(text, 2))) == len(set(expected))


def test_case_and_punctuation_make_no_difference_and_order_does():
    assert of("One, two: THREE four five!") == of("one two three four five")
    assert of("a b c d e") != of("e d c b a")
    assert of("ab c d e f") != of("a bc d e f")


def test_a_text_shorter_than_a_shingle_is_one_shingle_of_all_its_units():
    hashes, offsets = shingle_hashes(["Good morning", "good MORNING!", "good evening", "早上好", "早上", "good"], 5)
    assert offsets.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 5


def test_a_text_without_units_has_no_shingle():
    assert shingle_hashes(["", "?!", "🎉🎉", " \n", "x"], 5)[1].tolist() == [0, 0, 0, 0, 0, 1]
    assert shingle_hashes([], 5)[1].tolist() == [0]


def test_no_shingle_crosses_from_one_document_to_the_next():
    texts = ["a b c d e f", "g", "", "早上好", "\u0e35", "ที่", "h i j k l m"]
    hashes, offsets = shingle_hashes(texts, 3)
    for number, text in enumerate(texts):
        assert hashes[offsets[number] : offsets[number + 1]].tolist() == of(text, 3)


def test_hashes_are_the_same_on_every_machine():
    """Renew: print the hex of shingle_hashes for these texts; every cached signature becomes invalid."""
    hashes, _ = shingle_hashes(["The quick brown fox", "人人生而", "すべての", "ภาษา", "x" * 70], 4)
    assert [f"{value:016x}" for value in hashes.tolist()] == [
        "fc4f96664d2856f5",
        "136f1ddafec09b5a",
        "3136e23c87ccea68",
        "37f5689a2c76bbfe",
        "ccbe720fcfccc721",
    ]


def slow_units(text: str) -> list[str]:
    """The definition, character by character."""
    units: list[str] = []
    kinds: list[str] = []
    for character in text:
        code, category = ord(character), unicodedata.category(character)
        unspaced = any(begin <= code < end for begin, end in text_units.UNSPACED) or 0x20000 <= code < 0x40000
        if any(attached.start <= code < attached.stop for attached in text_units.ATTACHED):
            kind = "mark"
        elif category[0] not in "LMN":
            kind = "separator"
        elif not unspaced or category == "Nd":
            kind = "word"
        else:
            kind = "mark" if category[0] == "M" else "unit"
        joins = kinds[-1:] == ["word"] if kind == "word" else kind == "mark" and kinds[-1:] not in ([], ["separator"])
        if kind != "separator":
            lower = character.lower()
            letter = lower if len(lower.encode()) == len(character.encode()) else character
            if joins:
                units[-1] += letter
            else:
                units.append(letter)
        kinds.append(kind)
    return units


def test_units_say_where_they_lie_and_which_stand_alone():
    texts = ["", "The 東京 ที่, X🎉", "é"]
    ((first, last, units),) = text_units.unit_blocks(texts)
    assert (first, last) == (0, 3)
    assert [units.folded[a:b].tobytes().decode() for a, b in zip(units.starts, units.stops, strict=True)] == [
        "the", "東", "京", "ที่", "x", "é",
    ]  # fmt: skip
    assert units.alone.tolist() == [False, True, True, True, False, False]
    assert units.text_ends.tolist() == [0, 0, 5, 6]
    assert (units.starts[:5] - units.byte_ends[1]).tolist() == [0, 4, 7, 11, 22]
    assert units.hashes[:5].tolist() == next(iter(text_units.unit_blocks(["the 東 京 ที่ x"])))[2].hashes.tolist()


ALPHABET = "abAB19 .,\n_\0éÉяЯ東京ター々ｱﾞａ𠮷𐐀한क्ा้ทีက်🎉\u0301\ufe0f\u3000\u00ad"


@given(texts=st.lists(st.text(ALPHABET, max_size=20), max_size=8), shingle_size=st.integers(1, 6))
@settings(deadline=None, max_examples=150)
def test_shingles_are_equal_exactly_where_the_definition_says(texts: list[str], shingle_size: int):
    hashes, offsets = shingle_hashes(texts, shingle_size)
    expected: list[tuple[str, ...]] = []
    for number, units in enumerate(map(slow_units, texts)):
        starts = range(max(len(units) - shingle_size + 1, min(len(units), 1)))
        expected += [tuple(units[start : start + shingle_size]) for start in starts]
        assert offsets[number + 1] == len(expected)
    assert len(set(hashes.tolist())) == len(set(expected)) == len(set(zip(hashes.tolist(), expected, strict=True)))


def test_arrow_arrays_slices_and_lists_give_the_same_hashes():
    texts = ["one two three", "", "四五六七八九", "ten", "十一"]
    expected = shingle_hashes(texts[1:4], 2)
    for kind in (pa.string(), pa.large_string()):
        for array in (pa.array(texts, kind)[1:4], pa.array(texts[1:4], kind)):
            for got, want in zip(shingle_hashes(array, 2), expected, strict=True):
                assert got.tolist() == want.tolist()
            assert normalized_hashes(array).tolist() == normalized_hashes(texts[1:4]).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shingle_hashes(pa.array(["a", None]), 5), "1 of 2 texts are null"),
        (lambda: shingle_hashes(pa.array([1, 2]), 5), "texts are of type int64"),
        (lambda: shingle_hashes(["a"], 0), "shingle_size is 0, expected at least 1"),
        (lambda: normalized_hashes(["a"], "nfkc"), "'nfkc' is not one of none, whitespace, letters"),
    ],
)
def test_what_is_no_text_is_refused(call: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_batch_of_many_blocks_equals_its_texts_one_by_one(monkeypatch: pytest.MonkeyPatch):
    texts = [f"Text number {number}: {'words and 言葉 ' * (number % 7)}" for number in range(60)]
    whole = shingle_hashes(texts, 5), normalized_hashes(texts)
    for module in (shingles, text_units):
        monkeypatch.setattr(module, "BLOCK_BYTES", 64)
    pieces = shingle_hashes(texts, 5), normalized_hashes(texts)
    assert pieces[0][0].tolist() == whole[0][0].tolist()
    assert pieces[0][1].tolist() == whole[0][1].tolist()
    assert pieces[1].tolist() == whole[1].tolist()


def test_long_units_differ_where_their_last_character_does():
    lengths = (7, 8, 9, 16, 63, 64, 65, 200)
    units = ["x" * (length - 1) + end for length in lengths for end in "xy"]
    assert len(set(shingle_hashes(units, 1)[0].tolist())) == len(units)
    assert of("prefix " + "x" * 200, 1)[1] == of("X" * 200, 1)[0]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3], [2, 3, 4, 5], (2, 5)),
        ([1, 2], [1, 2], (2, 2)),
        ([1], [2**64 - 1], (0, 2)),
        ([], [7, 8], (0, 2)),
        ([], [], (0, 0)),
    ],
)
def test_jaccard_is_two_integers(a: list[int], b: list[int], expected: tuple[int, int]):
    first, second = np.array(a, np.uint64), np.array(b, np.uint64)
    assert jaccard(first, second) == jaccard(second, first) == expected


def groups(texts: list[str], normalization: str) -> list[int]:
    """For each text the number of the first text that it equals."""
    keys = [tuple(row) for row in normalized_hashes(texts, normalization).tolist()]
    return [keys.index(key) for key in keys]


def test_white_space_alone_is_forgiven_by_default():
    texts = ["a b", " a\n\t b\u3000", "a\u00a0b\r\n", "ab", "A b", "a b!", "東京 都", "東京\n都", "東京都"]
    assert groups(texts, "whitespace") == [0, 0, 0, 3, 4, 5, 6, 6, 8]
    assert groups(texts, "none") == list(range(9))
    assert groups(texts, "letters") == [0, 0, 0, 3, 0, 0, 6, 6, 8]


def test_texts_of_which_nothing_would_remain_are_compared_as_written():
    assert groups(["!!!", "???", "🎉", "!!!", "", " "], "letters") == [0, 1, 2, 0, 4, 5]
    assert groups(["", " ", "\n", ""], "whitespace") == [0, 1, 2, 0]


SPACES = "ab!東é \n\t\0\x1c\x85\u00a0\u2028\u3000"


@given(st.lists(st.text(SPACES, max_size=12), max_size=6))
@settings(deadline=None, max_examples=150)
def test_the_default_is_blake2b_of_the_text_with_its_white_space_closed(texts: list[str]):
    closed = [(" ".join(text.split()) or text).encode() for text in texts]
    digests = [hashlib.blake2b(text, digest_size=16).digest() for text in closed]
    assert normalized_hashes(texts).shape == (len(texts), 2)
    assert [row.astype("<u8").tobytes() for row in normalized_hashes(texts)] == digests


@given(st.lists(st.text("aB0 .\n中文。カﾞก้éÉßİK😀\u0301𠮷Д\u3000ｶﾟーſ𝔘\u200d가", max_size=30), min_size=1, max_size=6))
@settings(deadline=None)
def test_going_by_bytes_and_going_by_characters_give_the_same_hashes(texts: list[str]) -> None:
    found = []
    for dense in (0, 10**9):  # never by characters, always
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_units, "DENSE", dense)
            hashes, offsets = shingle_hashes(texts, 3)
            found.append((hashes.tolist(), offsets.tolist(), normalized_hashes(texts).tolist()))
    assert found[0] == found[1]
