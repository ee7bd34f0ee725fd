"""Chunks: cuts that every pattern makes, seen in the bytes; and counting by them, equal to the pattern's own cuts."""

import pyarrow as pa
import pytest
from corpora import pre_token_counts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokenizer import chunks as chunks_module
from tokenizer.chunks import chunks, text_buffer
from tokenizer.counting import add_counts, count_pre_tokens
from tokenizer.patterns import PATTERNS, cuts_after_punctuation, split

#: Each border's neighbours and look-alikes: spaces of every width, marks, signs that are no letters, contractions.
PARTS = [
    *"abZ1'.,/\n\r\t ，。《“’—…１９ー漢々あアヺー゙×÷éжѐ🏴", " ", "\n", " a", "'s", "ZZ", "\u0301", "\u00a0", "\u3000",
    "\u2028", "\u202f", "\u205f", "\u1680", "\u200b", "\x85", "\x1c", "\u4dc0", "\u9fa5", "\u9fff", "\u3099", "ʰ", "ǅ",
    "Ⅷ", "٣", "ไม้", "ſ",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)


def found_in(texts: list[str], after: bool = False) -> list[str]:
    return [chunk.decode() for chunk in chunks(pa.array(texts, pa.string()), after).to_pylist()]


def counted(texts: list[str], pattern: str) -> list[tuple[bytes, int]]:
    table = count_pre_tokens(pa.array(texts, pa.string()), pattern)
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_english_falls_into_words_and_signs() -> None:
    text = "The cat, the cat.\nIt ran  off\n\nAnd it's 3.5 naïve, ."
    assert found_in([text]) == [
        "The", " cat", ",", " the", " cat", ".\n", "It", " ran  off\n\nAnd", " it's", " 3", ".", "5", " naïve", ",", " .",
    ]  # fmt: skip


def test_chinese_and_japanese_fall_into_clauses_and_for_some_patterns_signs_stand_apart() -> None:
    text = "我们在，见面。「東京」へ、らーめん"
    assert found_in([text]) == ["我们在", "，见面", "。「", "東京", "」へ", "、らーめん"]
    assert found_in([text], after=True) == ["我们在", "，", "见面", "。「", "東京", "」", "へ", "、", "らーめん"]


def test_a_sign_at_a_texts_end_is_none_before_the_next_text() -> None:
    assert found_in(["a`", "-b", " ", "-c", "--d", "//e"]) == ["a", "`", "-b", " ", "-c", "--", "d", "//e"]


def test_numbers_stand_alone_and_for_some_patterns_words_after_signs() -> None:
    text = "x2026b (a-1) 'tis"
    assert found_in([text]) == ["x", "2026", "b", " (", "a", "-", "1", ")", " 'tis"]
    assert found_in([text], after=True) == ["x", "2026", "b", " (", "a", "-", "1", ")", " 'tis"]


def test_full_width_digits_and_quotes_part_chinese_too() -> None:
    assert found_in(["从１５日起“菜篮子”2026年"]) == ["从", "１５", "日起", "“菜篮子", "”", "2026", "年"]
    assert found_in([" “你 \u3000“你"]) == [" “", "你 \u3000“你"]


def test_russian_words_are_told_from_their_signs() -> None:
    assert found_in(["Это дом, и всё."]) == ["Это", " дом", ",", " и", " всё", "."]


def test_each_text_begins_a_chunk_and_empty_ones_have_none() -> None:
    assert found_in(["", "a", "", "b c", " "]) == ["a", "b", " c", " "]
    assert found_in([]) == []
    assert found_in(["", ""]) == []


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_slice_of_a_column_is_read_from_where_it_begins(kind: pa.DataType) -> None:
    column = pa.array(["zero", "one two", "three", "four"], kind).slice(1, 2)
    data, offsets = text_buffer(column)
    assert (bytes(data), offsets.tolist()) == (b"one twothree", [0, 7, 12])
    assert chunks(column, False).to_pylist() == [b"one", b" two", b"three"]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXT, max_size=3))
@example(texts=["'\n/.a"])  # o200k's match of "'" goes on to the slash, so "." begins a word
def test_a_text_may_be_cut_apart_at_every_border(pattern: str, texts: list[str]) -> None:
    found = found_in(texts, cuts_after_punctuation(pattern))
    assert "".join(found) == "".join(texts)
    assert [p for chunk in found for p in split(chunk, pattern)] == [p for text in texts for p in split(text, pattern)]
    assert counted(texts, pattern) == pre_token_counts(texts, pattern)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXT, max_size=3), size=st.integers(1, 9), after=st.booleans())
def test_where_blocks_end_changes_nothing(texts: list[str], size: int, after: bool) -> None:
    whole = found_in(texts, after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks_module, "_BLOCK", size)
        assert found_in(texts, after) == whole


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(), max_size=4))
def test_counts_of_any_texts_are_those_of_the_pattern(pattern: str, texts: list[str]) -> None:
    assert counted(texts, pattern) == pre_token_counts(texts, pattern)


def test_counts_of_several_columns_add_up() -> None:
    tables = [count_pre_tokens(pa.array([text]), "cjk-1") for text in ("你好, the the", "the 你好")]
    rows = add_counts(tables).sort_by("pre_token").to_pylist()
    assert [(row["pre_token"].decode(), row["count"]) for row in rows] == [
        (" ", 1), (" the", 2), (",", 1), ("the", 1), ("你好", 2),
    ]  # fmt: skip
