"""Leaks across splits: what the index finds is what comparing every pair finds."""

from fractions import Fraction

import numpy as np
import pytest
from corpora import shingle_sets, words

from pipelines.duplicates.shingles import distinct_sets
from pipelines.splitting.index import Index, Limits, build_index, text_shingles
from pipelines.splitting.leaks import find_leaks

LIMITS = Limits(Fraction(8, 10), Fraction(9, 10))
SIZE = 5


def index_of(texts: list[str], limits: Limits = LIMITS) -> Index:
    return build_index(*distinct_sets(*text_shingles(texts, SIZE)), limits)


def leaks(held_out: list[str], texts: list[str], limits: Limits = LIMITS) -> list[tuple[int, int, float, str]]:
    """(text, held-out text, similarity, measure) of each text that leaks."""
    hashes, offsets = text_shingles(texts, SIZE)
    found = find_leaks(hashes, offsets, index_of(held_out, limits), limits, np.ones(len(held_out), bool))
    measures = ["contained" if contained else "jaccard" for contained in found.contained.tolist()]
    return list(zip(found.documents.tolist(), found.kept.tolist(), found.similarity.tolist(), measures, strict=True))


def by_brute_force(held_out: list[str], texts: list[str], limits: Limits = LIMITS) -> list[tuple[int, int, float, str]]:
    """The same from Python sets and fractions, every pair compared."""
    kept_sets, sets = (shingle_sets(some, SIZE) for some in (held_out, texts))
    found = []
    for number, one in enumerate(sets):
        near, contained = [], []
        for place, other in enumerate(kept_sets):
            shared, smaller = len(one & other), min(len(one), len(other))
            if Fraction(shared, len(one | other)) >= limits.jaccard:
                near.append((Fraction(shared, len(one | other)), -place))
            if limits.containment and smaller >= 8 and Fraction(shared, smaller) >= limits.containment:
                contained.append((Fraction(shared, smaller), -place))
        if near or contained:
            similarity, place = max(near or contained)
            found.append((number, -place, float(similarity), "jaccard" if near else "contained"))
    return found


def hanzi(seed: int, number: int) -> str:
    return "".join(chr(0x4E00 + int(word[1:], 16) % 3000) for word in words(seed, number))


def kana(seed: int, number: int) -> str:
    return "".join(chr(0x3042 + int(word[1:], 16) % 80) for word in words(seed, number))


def changed(text: str, every: int, by: str) -> str:
    """The text with every so many-th word, or letter where there are no words, changed."""
    units = text.split(" ") if " " in text else list(text)
    glue = " " if " " in text else ""
    return glue.join(by if number % every == every - 1 else unit for number, unit in enumerate(units))


ENGLISH, CHINESE, JAPANESE = " ".join(words(1, 300)), hanzi(2, 300), kana(3, 300)


@pytest.mark.parametrize(("text", "by"), [(ENGLISH, "other"), (CHINESE, "変"), (JAPANESE, "ん")])
def test_near_copies_are_found_down_to_the_threshold_and_no_further(text: str, by: str) -> None:
    # 296 shingles. Of six changes five cost five of them each, the last one costs one; of eleven the last costs four.
    assert leaks([text], [changed(text, 50, by)]) == [(0, 0, 270 / 322, "jaccard")]
    assert leaks([text], [changed(text, 27, by)]) == []


def test_the_threshold_itself_is_reached() -> None:
    assert leaks([" ".join(words(1, 8))], [" ".join(words(1, 9))]) == [(0, 0, 4 / 5, "jaccard")]
    assert leaks([" ".join(words(1, 7))], [" ".join(words(1, 8))]) == []  # 3 of 4


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, JAPANESE])
def test_a_text_that_lies_in_a_larger_one_is_found_from_either_side(text: str) -> None:
    half = text[: len(text) // 2]
    assert [leak[3] for leak in leaks([text], [half])] == ["contained"]
    assert [leak[3] for leak in leaks([half], [text])] == ["contained"]
    assert leaks([half], [text], Limits(Fraction(8, 10), Fraction(0))) == []
    assert leaks([text], [half], Limits(Fraction(8, 10), Fraction(0))) == []


def test_of_fewer_than_eight_shingles_containment_says_nothing() -> None:
    text = " ".join(words(1, 100))
    assert leaks([text], [" ".join(words(1, 11))]) == []  # 7 shingles
    assert leaks([text], [" ".join(words(1, 12))]) == [(0, 0, 1.0, "contained")]


def test_short_texts_and_texts_without_a_unit_leak_when_they_are_equal() -> None:
    held_out = ["Good day!", "😀 😀", "!!!", "第1回"]
    texts = ["good DAY", "good night", "😀\u3000😀", "😀😀", "!!! ", "???", "第 1 回", "第2回"]
    assert leaks(held_out, texts) == [
        (0, 0, 1.0, "jaccard"), (2, 1, 1.0, "jaccard"), (4, 2, 1.0, "jaccard"), (6, 3, 1.0, "jaccard"),
    ]  # fmt: skip


def test_the_most_similar_document_is_named_and_of_equal_ones_the_first() -> None:
    held_out = [changed(ENGLISH, 100, "other"), ENGLISH, ENGLISH + " and more"]
    assert [leak[1] for leak in leaks(held_out, [ENGLISH])] == [1]
    assert [leak[1] for leak in leaks([held_out[0], held_out[1], ENGLISH.upper()], [ENGLISH])] == [1]


def test_only_documents_that_count_are_named() -> None:
    hashes, offsets = text_shingles([ENGLISH], SIZE)
    index = index_of([ENGLISH, ENGLISH + " and more"])
    assert find_leaks(hashes, offsets, index, LIMITS, np.array([False, True])).kept.tolist() == [1]
    assert find_leaks(hashes, offsets, index, LIMITS, np.array([False, False])).kept.tolist() == []


def collage(seed: int, boilerplate: list[str]) -> str:
    """A text out of pieces of a few others, some of it the same in all: many pairs near the thresholds."""
    draws = [int(word[1:], 16) for word in words(1000 + seed, 40)]
    pieces = [" ".join(words(draw % 12, 40)[: 5 + draw % 36]) for draw in draws[: 1 + draws[0] % 5]]
    return " ".join([*boilerplate[: draws[1] % len(boilerplate)], *pieces, *words(seed, draws[2] % 12)])


@pytest.mark.parametrize("threshold", ["0.8", "0.5", "1", "0.05"])
@pytest.mark.parametrize("containment", ["0.9", "0", "0.3", "1"])
def test_the_index_finds_what_comparing_all_pairs_finds(threshold: str, containment: str) -> None:
    limits = Limits(Fraction(threshold), Fraction(containment))
    boilerplate = words(99, 60)
    made = [collage(seed, boilerplate) for seed in range(200)]
    made += [hanzi(seed % 9, 20 + seed) + kana(seed % 7, 20) for seed in range(60)]
    held_out, texts = made[::3], made[1::3] + made[2::3]
    for number, text in enumerate(held_out):  # equal but for the case, near, or a part
        texts.append([text.upper(), changed(text, 15 + number, "other"), text[: len(text) * 3 // 4]][number % 3])
    expected = by_brute_force(held_out, texts, limits)
    assert leaks(held_out, texts, limits) == expected
    assert len(expected) > 20
