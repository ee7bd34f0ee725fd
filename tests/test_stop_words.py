"""Stop words: whose list holds for a language, and how many different ones a text holds, against a plain count."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from real_texts import LANGUAGES, real_texts
from test_rules_plain import looping, split

from pipelines.cleaning.halves import CleanParams
from pipelines.cleaning.hashing import SpanHashes
from pipelines.cleaning.stop_words import HashList, StopWords, package_stop_words, stop_words_in
from pipelines.cleaning.text_table import TextTable
from pipelines.spine.params import load_params


def counted(stop_words: Sequence[str], texts: Sequence[str]) -> list[int]:
    table = TextTable.read(texts, [""] * len(texts))
    return StopWords.of(stop_words).count(table, SpanHashes(table.words.hashes)).tolist()


def counted_plainly(stop_words: Sequence[str], texts: Sequence[str]) -> list[int]:
    entries = {tuple(word for word, _ in split(entry)) for entry in stop_words}
    sizes = {len(entry) for entry in entries if entry}
    counts = []
    for text in texts:
        words = [word for word, _ in split(text)]
        runs = {tuple(words[place : place + size]) for size in sizes for place in range(len(words) - size + 1)}
        counts.append(len(runs & entries))
    return counts


@pytest.mark.parametrize(
    ("stop_words", "text", "number"),
    [
        (["the", "of"], "the end of the end", 2),
        (["the", "of"], "The end, of, the.", 0),
        (["the"], "", 0),
        ([], "the end", 0),
        (["", "  "], "the end", 0),
        (["我们", "的"], "我们的书", 2),
        (["我们", "们"], "我们的书", 2),
        (["我们"], "我 们的书", 1),
        (["我们"], "我，们的书", 0),
        (["我们", "们我们"], "我们我们", 2),
        (["これ", "から"], "これからのこと", 2),
        (["ที่", "และ"], "และที่", 2),
        (["bởi vì", "vì"], "bởi vì mưa", 2),
        (["bởi vì"], "vì bởi mưa", 0),
    ],
)
def test_how_many_different_stop_words_a_text_holds(stop_words, text, number):
    assert counted(stop_words, [text]) == [number]


def test_a_stop_word_never_crosses_the_edge_of_a_text():
    assert counted(["我们", "a b c"], ["我", "们", "a b", "c", "a b c 我们"]) == [0, 0, 0, 0, 2]


def test_a_language_without_an_explicit_list_takes_that_of_the_package():
    assert _counted_in("我们的书", "zh", None, from_package=True) == 4  # 我, 们, 我们 and 的
    assert _counted_in("我们的书", "zh", ("的",), from_package=True) == 1
    assert _counted_in("我们的书", "zh", (), from_package=True) is None
    assert _counted_in("我们的书", "zh", None, from_package=False) is None
    assert _counted_in("សៀវភៅ", "km", None, from_package=True) is None


def _counted_in(text: str, language: str, listed: tuple[str, ...] | None, from_package: bool) -> int | None:
    stop_words = stop_words_in(language, listed, from_package)
    table = TextTable.read([text], [language])
    return None if stop_words is None else int(stop_words.count(table, SpanHashes(table.words.hashes))[0])


def test_the_packages_lists_lose_punctuation_and_numbers_and_go_by_other_codes():
    assert {"the", "of", "don't"} <= set(package_stop_words("en"))
    assert {"一", "我们", "这个"} <= set(package_stop_words("zh"))
    assert package_stop_words("yue") == package_stop_words("zh")
    assert package_stop_words("nb") == package_stop_words("no") != ()
    assert package_stop_words("km") == ()
    assert "لە" in package_stop_words("ckb")
    assert package_stop_words("ku") == ()  # the package's list is Sorani, in Arabic letters
    for language in ("en", "es", "fa", "ko", "zh"):
        for entry in package_stop_words(language):
            assert entry == entry.lower()
            assert any(map(str.isalpha, entry))
            assert not any(map(str.isdecimal, entry))


def test_the_shipped_parameters_know_the_most_frequent_words_of_ukrainian():
    params = load_params(CleanParams, "clean", Path(__file__).parents[1] / "params.yaml").rules
    biography = "Народився 4 лютого 1924 у селі. Закінчив інститут. Працював на заводі «Арсенал» і викладав."
    assert _counted_in(biography, "uk", None, from_package=True) == 0
    assert _counted_in(biography, "uk", params.stop_words["uk"], from_package=True) == 3  # у, на, і


def test_hashes_that_begin_alike_are_told_apart():
    listed = np.array([5 << 48, (5 << 48) + 1, (5 << 48) + 7, 9 << 48, (1 << 64) - 1], np.uint64)
    asked = np.array([(5 << 48) + 2, 9 << 48, (5 << 48) + 7, 5 << 48, 0, (1 << 64) - 1, (1 << 64) - 2], np.uint64)
    places, numbers = HashList(np.concatenate([listed[::-1], listed])).find(asked)
    assert sorted(zip(places.tolist(), numbers.tolist(), strict=True)) == [(1, 3), (2, 2), (3, 0), (5, 4)]
    assert [len(found) for found in HashList(listed[:0]).find(asked)] == [0, 0]
    assert [len(found) for found in HashList(listed).find(asked[:0])] == [0, 0]


@pytest.mark.parametrize("language", ["en", "ja", "ko", "th", "uk", "vi", "zh"])
def test_the_packages_stop_words_are_counted_alike_in_random_texts(language):
    stop_words = package_stop_words(language)
    generator = random.Random(language)
    texts = [
        "".join(
            generator.choice(stop_words) + generator.choice(["", "", " ", "\n", "，", ", "]) for _ in range(size % 30)
        )
        for size in range(300)
    ]
    texts += looping(7)
    assert sum(counted(stop_words, texts)) > 1000
    assert counted(stop_words, texts) == counted_plainly(stop_words, texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_packages_stop_words_are_counted_alike_in_real_texts_and_nearly_all_hold_two(language, shared_data: Path):
    texts = real_texts(shared_data, language)
    counts = counted(package_stop_words(language), texts)
    assert counts == counted_plainly(package_stop_words(language), texts)
    assert sum(count < 2 for count in counts) <= len(texts) // 50
