"""Where each pattern cuts, and that the pieces are the whole text."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.spine.errors import CorpusmillError
from tokenizer.bpe import byte_chars
from tokenizer.patterns import PATTERNS, pattern_of, pattern_regex, pre_tokenizer, split

ENGLISH = "Hello world's 2026  IT\n\n don'T"
CHINESE = "我们在2026年，见面。"
JAPANESE = "東京タワーへ、らーめん漢字"


def pieces(text: str, pattern: str) -> list[str]:
    """The pre-tokens in order, as text."""
    byte_of = {char: byte for byte, char in byte_chars().items()}
    return [bytes(byte_of[c] for c in piece).decode() for piece, _ in pre_tokenizer(pattern).pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("gpt2", ["Hello", " world", "'s", " 2026", " ", " IT", "\n\n", " don", "'", "T"]),
        ("cl100k-3", ["Hello", " world", "'s", " ", "202", "6", " ", " IT", "\n\n", " don", "'T"]),
        ("cl100k-2", ["Hello", " world", "'s", " ", "20", "26", " ", " IT", "\n\n", " don", "'T"]),
        ("cl100k-1", ["Hello", " world", "'s", " ", "2", "0", "2", "6", " ", " IT", "\n\n", " don", "'T"]),
        ("o200k-3", ["Hello", " world's", " ", "202", "6", " ", " IT", "\n\n", " don'T"]),
        ("cjk-3", ["Hello", " world", "'s", " ", "202", "6", " ", " IT", "\n\n", " don", "'T"]),
    ],
)
def test_english_is_cut_at_words_contractions_and_digits(pattern: str, expected: list[str]) -> None:
    assert pieces(ENGLISH, pattern) == expected


def test_chinese_punctuation_stays_off_the_words_only_in_the_cjk_pattern() -> None:
    assert pieces(CHINESE, "cl100k-3") == ["我们在", "202", "6", "年", "，见面", "。"]
    assert pieces(CHINESE, "cjk-3") == ["我们在", "202", "6", "年", "，", "见面", "。"]


def test_japanese_is_cut_where_the_script_changes() -> None:
    assert pieces(JAPANESE, "gpt2") == ["東京タワーへ", "、", "らーめん漢字"]
    assert pieces(JAPANESE, "cjk-1") == ["東京", "タワー", "へ", "、", "らーめん", "漢字"]


def test_marks_do_not_cut_thai_and_hindi_words_in_the_cjk_pattern() -> None:
    assert pieces("ไทยไม้ हिन्दी", "cjk-1") == ["ไทยไม้", " हिन्दी"]


def test_a_special_token_in_a_text_is_cut_like_any_text() -> None:
    assert pieces("a<|endoftext|>", "gpt2") == ["a", "<|", "endoftext", "|>"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_split_is_cut_as_encoding_cuts(pattern: str) -> None:
    text = f"{ENGLISH}\r\n\t {CHINESE}{JAPANESE} ４５６ e\u0301 <|endoftext|>\u3000 \x00 a/b//\n "
    assert split(text, pattern) == pieces(text, pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=30, deadline=None)
@given(text=st.text())
def test_no_character_is_lost_and_a_pre_token_is_never_cut_again(pattern: str, text: str) -> None:
    found = split(text, pattern)
    assert "".join(found) == text
    assert [split(piece, pattern) for piece in found] == [[piece] for piece in found]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_known_again_in_a_tokenizer(pattern: str) -> None:
    found = json.loads(pre_tokenizer(pattern).__getstate__())
    assert pattern_of(found) == pattern
    assert pattern_of({**found, "pretokenizers": []}) is None
    assert pattern_of(None) is None


def test_an_unknown_pattern_is_refused_by_name() -> None:
    with pytest.raises(CorpusmillError, match="gpt2, cl100k-1") as error:
        pattern_regex("gpt-2")
    assert "got: gpt-2" in str(error.value)
