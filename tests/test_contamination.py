"""What evaluation sets and documents share: windows by script, exact spans, and no decision on a hash alone."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contamination.index import Coverage, build_index, hash_filter
from pipelines.contamination.items import ItemText
from pipelines.contamination.spans import Span, find_spans, widened
from pipelines.contamination.stored import read_index, write_index
from pipelines.contamination.windows import NgramSizes, UnitSums
from pipelines.duplicates import text_units
from pipelines.duplicates.text_units import unit_blocks

SIZES = NgramSizes(words=13, characters=26, min_words=8)
SMALL = NgramSizes(words=3, characters=6, min_words=2)
FOX = "The quick brown fox jumps over the lazy dog while nine wizards quietly box"  # 14 words
ZH = "天安门广场上的人们都很高兴因为今天是一个特别晴朗的日子"  # 27 characters
JA = "昔々あるところにおじいさんとおばあさんが住んでいました。"  # 27 characters and a full stop


def index_of(*sets: Sequence[str], sizes: NgramSizes = SIZES):
    """Sets a, b, ... of those texts, items numbered from 1."""
    named = [
        (name, [ItemText(str(number), text) for number, text in enumerate(texts, 1)])
        for name, texts in zip("abcdef", sets, strict=False)
    ]
    return build_index(named, sizes)[0]


def found(document: str, *sets: Sequence[str], sizes: NgramSizes = SIZES) -> list[tuple[str, str, str]]:
    """(set, item, matched) of each span of one document, whose places are checked against the text."""
    spans = [span for _, spans in find_spans(index_of(*sets, sizes=sizes), pa.array([document]), 0) for span in spans]
    assert all(document[span.start : span.stop] == span.matched for span in spans)
    return [(span.set, span.item, span.matched) for span in spans]


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not() -> None:
    thirteen = "He said that quick brown fox jumps over the lazy dog while nine wizards quietly box again"
    assert found(thirteen, [FOX]) == [
        ("a", "1", "quick brown fox jumps over the lazy dog while nine wizards quietly box"),
    ]  # fmt: skip
    twelve = thirteen.replace("quick brown", "brown")
    assert found(twelve, [FOX]) == []


def test_case_punctuation_and_line_ends_make_no_difference_and_the_match_is_as_the_document_writes_it() -> None:
    document = "«THE QUICK,\nbrown fox; jumps — over the lazy dog: while nine “wizards” quietly box!»"
    assert found(document, [FOX]) == [("a", "1", document[1:-2])]


@pytest.mark.parametrize("changed", ["lazy cat", "lazydog", "lazy, old dog", "dog lazy"])
def test_a_near_miss_in_the_middle_is_no_match(changed: str) -> None:
    assert found(FOX.replace("lazy dog", changed), [FOX]) == []


def test_chinese_is_matched_by_characters() -> None:
    assert found(f"他说：“{ZH}”。", [ZH]) == [("a", "1", ZH)]
    assert found(f"他说：{ZH[:26]}！", [ZH]) == [("a", "1", ZH[:26])]
    assert found(f"他说：{ZH[:25]}！", [ZH]) == []


def test_japanese_is_matched_by_characters_across_its_punctuation() -> None:
    assert found(JA.replace("ところに", "ところに、"), [JA]) == [("a", "1", JA.replace("ところに", "ところに、")[:-1])]
    assert found(JA.replace("おばあさん", "おばさん"), [JA]) == []


def test_words_and_characters_weigh_together() -> None:
    mixed = "東京タワー is a red tower in 東京都港区芝公園 and I went up"  # 9 words of 26, 13 characters of 13
    assert found(f"x {mixed} x", [mixed]) == [("a", "1", mixed)]
    short = "東京タワー is a red tower in 東京都 and"  # 6 words and 8 characters: 260 of 338
    assert found(f"x {short} y went up again", [f"{short} z went down again"]) == []


def test_places_are_code_points_beyond_the_basic_plane_and_after_wide_letters() -> None:
    document = f"🎉🎉 𠮷野家 é 한국 {FOX}! 🎉"
    ((row, (span,)),) = find_spans(index_of([FOX]), pa.array(["nothing", document]), 0)
    assert (row, span.start, span.stop) == (1, 12, 12 + len(FOX))
    assert document[12 : span.stop] == FOX


def test_a_short_item_is_looked_for_whole() -> None:
    eight = "How do you tie a bow without string"
    assert found(f"I asked: {eight.upper()}? Nobody knew.", [[eight][0]]) == [("a", "1", eight.upper())]
    assert found("I asked: how do you tie a bow without a string", [eight]) == []
    assert found("猫は静かな部屋でずっと眠っています", ["静かな部屋でずっと眠っていま"]) == []  # 14 characters
    assert found("猫は静かな部屋でずっと眠っています", ["静かな部屋でずっと眠っています猫"[:15] + "よ"]) == []
    assert found("白猫は静かな部屋でずっと眠っています", ["猫は静かな部屋でずっと眠ってい"]) == []
    assert found("白猫は静かな部屋でずっと眠っています", ["猫は静かな部屋でずっと眠っています"[:16]]) == [
        ("a", "1", "猫は静かな部屋でずっと眠っていま"[:16]),
    ]  # fmt: skip


def test_short_items_that_begin_alike_are_told_apart() -> None:
    items = ["what is the best way to peel a ripe mango", "what is the best way to peel a green one"]
    assert found("so what is the best way to peel a green one then", items) == [
        ("a", "2", "what is the best way to peel a green one"),
    ]  # fmt: skip


def test_thousands_of_short_items_that_begin_alike_cost_no_more_than_one() -> None:
    items = [f"what is the very best way to do it number {number}" for number in range(20_000)]
    document = f"{items[7]}. " * 2000
    ((_, spans),) = find_spans(index_of(items), pa.array([document]), 0)
    assert [(span.item, span.matched) for span in spans] == [("8", items[7])] * 2000


def test_items_that_are_too_short_are_counted_and_not_looked_for() -> None:
    texts = [
        ItemText("1", FOX),
        ItemText("2", "Too short"),
        ItemText("2", FOX),
        ItemText("3", "!?"),
        ItemText("4", "夜"),
    ]
    index, coverage = build_index([("s", texts)], SIZES)
    assert coverage == {"s": Coverage(texts=5, texts_unchecked=3, items=4, items_unchecked=2)}
    assert [row for row, _ in find_spans(index, pa.array(["too short", "!?", "夜", FOX]), 0)] == [3]


def test_matches_that_overlap_are_one_span_and_those_that_only_touch_are_two() -> None:
    parts = ["a b c d", "e f g", "h i j"]
    assert found("x a b c d e f g y", parts, sizes=SMALL) == [("a", "1", "a b c d"), ("a", "2", "e f g")]
    overlapping = ["a b c d", "b c d e f g"]
    assert found("x a b c d e f g y", overlapping, sizes=SMALL) == [("a", "2", "a b c d e f g")]


def test_of_items_with_the_same_text_the_first_is_named_and_all_their_sets_are_known() -> None:
    ((_, (span,)),) = find_spans(index_of(["other words here too"] + [FOX] * 2, [FOX]), pa.array([FOX]), 0)
    assert (span.set, span.item, span.sets) == ("a", "2", frozenset({"a", "b"}))


def test_the_order_in_which_sets_are_given_makes_no_difference(tmp_path: Path) -> None:
    sets = [("b", [ItemText("1", FOX)]), ("a", [ItemText("7", ZH), ItemText("8", FOX)])]
    places = {write_index(build_index(given, SIZES)[0], tmp_path) for given in (sets, sets[::-1])}
    assert len(places) == 1


def test_no_match_crosses_from_one_document_or_item_to_the_next() -> None:
    index = index_of([FOX, "a b c d e f g h i j k l m"])
    words = FOX.split()
    texts = [" ".join(words[:7]), " ".join(words[7:]), "nine wizards quietly box a b c d e f g h i"]
    assert list(find_spans(index, pa.array(texts), 0)) == []


def test_equal_hashes_of_different_text_are_no_match() -> None:
    """A window of the index is given the hash of one that the document has."""
    index, document = (
        index_of([FOX]),
        "thirteen entirely different words that nobody ever wrote in this order before today",
    )
    ((_, _, units),) = unit_blocks([document])
    sums = UnitSums(units, SIZES)
    hashes = sums.hashes(np.array([0]), sums.stops(SIZES.full)[:1])
    one = slice(0, 1)
    starts, stops, sets = index.full.starts[one], index.full.stops[one], index.full.sets[one]
    full = dataclasses.replace(
        index.full, hashes=hashes, starts=starts, stops=stops, sets=sets, filter=hash_filter(hashes)
    )
    assert [part.tolist() for part in full.candidates(hashes)] == [[0], [0]]
    assert list(find_spans(dataclasses.replace(index, full=full), pa.array([document]), 0)) == []
    # The honest hash over the same run is confirmed.
    assert [row for row, _ in find_spans(index, pa.array([document, FOX]), 0)] == [1]


def test_without_sets_or_with_empty_ones_nothing_is_found() -> None:
    for index in (build_index([], SIZES)[0], index_of([]), index_of(["", "!!"])):
        assert list(find_spans(index, pa.array([FOX, ZH, ""]), 0)) == []


def test_an_index_read_back_finds_the_same_and_an_empty_one_can_be_read(tmp_path: Path) -> None:
    index = index_of([FOX, ZH, "How do you tie a bow without string"], [JA])
    texts = pa.array([f"x {FOX}", ZH, JA * 2, "how do you tie a bow without string", "none"])
    read = read_index(write_index(index, tmp_path))
    assert list(find_spans(read, texts, 0)) == list(find_spans(index, texts, 0))
    assert [row for row, _ in find_spans(read, texts, 0)] == [0, 1, 2, 3]
    assert list(find_spans(read_index(write_index(index_of([]), tmp_path)), texts, 0)) == []


def test_a_margin_is_cut_at_the_ends_of_the_text_and_joins_spans_that_then_overlap() -> None:
    text = "0123456789" * 3
    spans = [
        Span(2, 5, "a", "1", "234", frozenset("a")),
        Span(10, 16, "b", "2", "012345", frozenset("b")),
        Span(27, 29, "a", "3", "78", frozenset("a")),
    ]
    assert widened(spans, text, 0) == spans
    assert widened(spans, text, 3) == [
        Span(0, 19, "b", "2", "234 … 012345", frozenset("ab")), Span(24, 30, "a", "3", "78", frozenset("a")),
    ]  # fmt: skip


def test_a_batch_of_many_blocks_equals_its_texts_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"Number {number}. {FOX if number % 3 else ZH} 終わり {number}" for number in range(40)]
    index = index_of([FOX], [ZH])
    whole = list(find_spans(index, pa.array(texts), 0))
    monkeypatch.setattr(text_units, "BLOCK_BYTES", 64)
    assert list(find_spans(index_of([FOX], [ZH]), pa.array(texts), 0)) == whole
    assert [(row, spans[0].matched) for row, spans in whole] == [(n, FOX if n % 3 else ZH) for n in range(40)]


UNITS = ("a", "b", "東", "京")
texts_of = st.lists(st.sampled_from(UNITS), max_size=14).map(" ".join)


def slow_covered(document: list[str], items: list[list[str]], sizes: NgramSizes) -> set[int]:
    """The definition: units inside a run that just weighs enough and that an item holds too, or inside a short item."""

    def weight(run: list[str]) -> int:
        return sum(sizes.words if unit in "東京" else sizes.characters for unit in run)

    covered: set[int] = set()
    for item in items:
        for start in range(len(item)):
            for stop in range(start + 1, len(item) + 1):
                run = item[start:stop]
                whole = (start, stop) == (0, len(item)) and sizes.least <= weight(run) < sizes.full
                if not whole and not weight(run[:-1]) < sizes.full <= weight(run):
                    continue
                for place in range(len(document) - len(run) + 1):
                    if document[place : place + len(run)] == run:
                        covered |= set(range(place, place + len(run)))
    return covered


@given(documents=st.lists(texts_of, max_size=4), items=st.lists(texts_of, max_size=4))
@settings(deadline=None, max_examples=300)
def test_what_is_found_is_exactly_what_the_definition_says(documents: list[str], items: list[str]) -> None:
    spans = dict(find_spans(index_of(items, sizes=SMALL), pa.array(documents, pa.string()), 0))
    for row, document in enumerate(documents):
        units = document.split()
        covered = {place // 2 for span in spans.get(row, []) for place in range(span.start, span.stop)}
        assert covered == slow_covered(units, [item.split() for item in items], SMALL)
