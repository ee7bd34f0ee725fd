"""Repeated keys and runs of words: what is found where hashes nearly agree, and where texts and lengths differ."""

import numpy as np
import pytest

from pipelines.cleaning.repetition import Repetition, repeated_keys
from pipelines.cleaning.text_table import TextTable


def found(keys: list[int]) -> tuple[list[int], list[bool]]:
    groups = repeated_keys(np.array(keys, np.uint64))
    return groups.order.tolist(), groups.is_first.tolist()


TOP = 1 << 63


@pytest.mark.parametrize(
    ("keys", "order", "is_first"),
    [
        ([], [], []),
        ([7 << 32], [], []),
        ([7 << 32, 5 << 32], [], []),
        ([7 << 32, 5 << 32, 7 << 32], [0, 2], [True, False]),
        ([9 << 32, 5 << 32, 9 << 32, 5 << 32, 9 << 32], [1, 3, 0, 2, 4], [True, False, True, False, False]),
        # Alike but for the bits that a place takes in the first sort.
        ([TOP, TOP + 1], [], []),
        ([TOP, TOP + 1, TOP], [0, 2], [True, False]),
        ([TOP + 1, TOP, TOP + 1, TOP, TOP + 2], [1, 3, 0, 2], [True, False, True, False]),
        ([0, 0], [0, 1], [True, False]),
        ([2**64 - 1, 2**64 - 1, 2**64 - 2], [0, 1], [True, False]),
    ],
)
def test_places_of_repeated_keys_lie_side_by_side(keys, order, is_first):
    assert found(keys) == (order, is_first)


def test_many_keys_of_few_values_are_grouped_as_a_dictionary_would():
    generator = np.random.default_rng(1)
    for top in (1, 1 << 40):
        keys = generator.integers(0, 300, 1000).astype(np.uint64) * np.uint64(top)
        places: dict[int, list[int]] = {}
        for place, key in enumerate(keys.tolist()):
            places.setdefault(key, []).append(place)
        groups = [places[key] for key in sorted(places) if len(places[key]) > 1]
        assert found(keys.tolist())[0] == [place for group in groups for place in group]


def test_texts_of_all_kinds_of_languages_in_one_batch_are_counted_as_alone():
    texts = [
        "a b a b c a b",
        "我们学习我们学习",
        "ab cd ef gh ab cd ef gh",
        "",
        "กขคงจฉชซกขคงจฉชซ",
        "a b a b c a b",
        "x",
    ]
    languages = ["en", "zh", "vi", "en", "th", "en", "en"]
    together = Repetition(TextTable.read(texts, languages)).grams
    for place, (text, language) in enumerate(zip(texts, languages, strict=True)):
        alone = Repetition(TextTable.read([text], [language])).grams
        for size, chars in (together.top_chars | together.covered_chars).items():
            assert chars[place] == (alone.top_chars | alone.covered_chars)[size][0]
    assert together.top_chars[2].tolist() == [6, 8, 16, 0, 16, 6, 0]
