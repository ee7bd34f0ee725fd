"""The quality model: features of texts, their sum, training and measuring; whole numbers, written out."""

import functools
import gzip
import json
import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from corpora import words
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.classifying.examples import Examples, divide, draw_keys, last_drawn, take_rows
from pipelines.classifying.measuring import Measures, measure, runs_seen, strongest
from pipelines.classifying.reading import beginning
from pipelines.classifying.training import train
from pipelines.cleaning.hashing import HASH_FACTOR, hash_word
from pipelines.cleaning.quality_model import (
    INVERSE_BITS,
    ONE,
    Features,
    FeatureSettings,
    QualityModel,
    QualityParams,
    hashed_features,
    inverse_lengths,
    margins,
    sigmoid,
    thousandths,
)
from pipelines.cleaning.quality_rules import low_quality
from pipelines.cleaning.readings import Documents
from pipelines.cleaning.text_table import TextTable

SETTINGS = FeatureSettings(max_chars=3000, max_count=3, num_bits=18)


def table_of(*texts: str, language: str = "en") -> TextTable:
    return TextTable.read(texts, [language] * len(texts))


def features_of(*texts: str, to: FeatureSettings = SETTINGS) -> Features:
    return hashed_features(table_of(*texts), to)


def counts_of(features: Features, text: int) -> dict[int, int]:
    here = slice(features.ends[text], features.ends[text + 1])
    return dict(zip(features.indices[here].tolist(), features.counts[here].tolist(), strict=True))


def run_feature(*run: str) -> int:
    """The first 18 bits of the hash of a run of words, by Python's whole numbers."""
    value = 0
    for word in run:
        value = (value * int(HASH_FACTOR) + int(hash_word(word))) % 2**64
    return value >> 46


def test_features_are_words_and_pairs_of_neighbours_with_their_counts() -> None:
    features = features_of("the cat sat", "the cat,\n\nthe cat")
    assert counts_of(features, 0) == {
        run_feature(*run): 1 for run in [("the",), ("cat",), ("sat",), ("the", "cat"), ("cat", "sat")]
    }
    assert counts_of(features, 1) == {
        run_feature("the"): 2, run_feature("cat,"): 1, run_feature("cat"): 1, run_feature("the", "cat,"): 1,
        run_feature("cat,", "the"): 1, run_feature("the", "cat"): 1,
    }  # fmt: skip


def test_where_letters_are_words_three_of_them_are_a_feature_too() -> None:
    runs = [("东",), ("京",), ("塔",), ("ok",), ("东", "京"), ("京", "塔"), ("塔", "ok"), ("东", "京", "塔")]
    assert counts_of(features_of("东京塔 ok"), 0) == {run_feature(*run): 1 for run in runs}


def test_a_feature_counts_so_many_times_and_no_more() -> None:
    assert counts_of(features_of("a a a a a a"), 0) == {run_feature("a"): 3, run_feature("a", "a"): 3}
    once = FeatureSettings(3000, max_count=1, num_bits=18)
    assert counts_of(features_of("a a a a a a", to=once), 0) == {run_feature("a"): 1, run_feature("a", "a"): 1}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("abc  def ghi jkl", ["abc", "def"]),  # ghi begins after six characters
        ("abc defgh ijk", ["abc", "defgh"]),
        ("中文字", ["中", "文"]),  # an ideogram counts as three
        ("abcdefghijkl mno", ["abcdefghijkl"]),
    ],
)
def test_words_that_begin_after_the_first_characters_are_not_read(text: str, read: list[str]) -> None:
    found = counts_of(features_of(text, to=FeatureSettings(6, 3, 18)), 0)
    assert set(found) == {run_feature(*read[first : first + n]) for n in (1, 2) for first in range(len(read) + 1 - n)}


TEXTS = st.lists(st.text(alphabet="ab c\n東京ก\u3000.Ж", max_size=40), max_size=6)


@functools.cache
def some_weights(bits: int) -> np.ndarray:
    return ((np.arange(1 << bits) * 7919 % 2_000_003 - 1_000_000) * 40).astype(np.int32)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from([6, 3000]), st.sampled_from([4, 18, 22]))
def test_features_and_scores_do_not_depend_on_the_other_texts(texts: list[str], chars: int, bits: int) -> None:
    to = FeatureSettings(chars, 3, bits)
    model = QualityModel(some_weights(bits), to, ("en",))
    # So many texts that a text and a feature of 22 bits together need more than 32.
    together = table_of(*texts, *[""] * 1100)
    features, scores = hashed_features(together, to), model.scores(together)
    for place, text in enumerate(texts):
        alone = table_of(text)
        assert counts_of(features, place) == counts_of(hashed_features(alone, to), 0)
        assert scores[place] == model.scores(alone)[0]
    assert scores[len(texts) :].tolist() == [500] * 1100


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="abcdef \n東京ก\u3000Ж", max_size=300), st.sampled_from([1, 6, 20, 100]))
def test_the_beginning_of_a_text_has_the_features_of_the_whole(text: str, max_chars: int) -> None:
    to = FeatureSettings(max_chars, 3, 18)
    head = beginning(text, max_chars)
    assert text.startswith(head)
    # White space without end is not read through, and a last word of more than a hundred characters is cut.
    if len(text) <= 4 * max_chars and max(map(len, text.split()), default=0) < 100:
        assert counts_of(features_of(head, to=to), 0) == counts_of(features_of(text, to=to), 0)


def test_of_a_book_no_more_is_read_than_can_matter() -> None:
    assert len(beginning("word " * 1_000_000, 3000)) == 3749 - 1 + 100
    assert len(beginning("中" * 1_000_000, 3000)) == 999 + 100
    assert len(beginning(" " * 1_000_000, 3000)) == 12_000


def test_lengths_are_those_of_the_counts() -> None:
    features = Features(
        np.array([0, 1, 5, 5, 6]), np.arange(6, dtype=np.uint32), np.array([1, 1, 1, 1, 1, 3], np.uint8)
    )
    whole = 1 << INVERSE_BITS
    assert inverse_lengths(features).tolist() == [whole, whole // 2, 0, whole // 3]


def test_the_sigmoid_is_that_of_the_textbook_and_symmetric() -> None:
    values = np.array([-40, -20, -3, -1, 0, 1, 3, 20, 40])
    assert thousandths(values * ONE).tolist() == [0, 0, 47, 269, 500, 731, 953, 1000, 1000]
    fine = np.arange(-16 * ONE, 16 * ONE, 99_991)
    exact = 1 / (1 + np.exp(-fine / ONE))
    assert np.abs(sigmoid(fine) / ONE - exact).max() < 0.001
    assert (sigmoid(fine) + sigmoid(-fine))[fine != 0].tolist() == [ONE] * np.count_nonzero(fine)


def test_a_score_is_the_sum_of_weights_by_the_length_of_the_features() -> None:
    weights = np.zeros(1 << 18, np.int32)
    for run, weight in ((("good",), 3), (("bad",), -3), (("good", "good"), 1)):
        weights[run_feature(*run)] = weight * ONE
    table = table_of("good", "bad", "good good good good", "bad good", "", "other")
    # 3 and 1 each three times: 12 / sqrt(18) = 2.83; then 0 / sqrt(3).
    assert margins(weights, hashed_features(table, SETTINGS))[2] / ONE == pytest.approx(12 / math.sqrt(18), abs=1e-4)
    assert QualityModel(weights, SETTINGS, ("en",)).scores(table).tolist() == [953, 47, 944, 500, 500, 500]


def test_one_step_of_training_by_hand() -> None:
    features = features_of("good", "bad")
    weights = train(features, [0], [1], epochs=1, learning_rate=2, num_bits=18)
    # Both margins are 0, both errors a half; the first step is 2, the second 1.
    assert {f: int(weights[f]) for f in np.flatnonzero(weights).tolist()} == {
        run_feature("good"): ONE, run_feature("bad"): -ONE // 2,
    }  # fmt: skip


def synthetic(number: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts of 30 words; one in ten comes from the class's own twenty words, the others from those of both."""
    common, own = words(seed, 300), (words(seed + 1, 20), words(seed + 2, 20))
    numbers = [int(word[1:], 16) for word in words(seed + 3, 60 * number)]

    def text(place: int, mine: list[str]) -> str:
        drawn = numbers[30 * place : 30 * place + 30]
        return " ".join(mine[n % 20] if n % 10 == 0 else common[n % 300] for n in drawn)

    return [text(place, own[0]) for place in range(number)], [text(number + place, own[1]) for place in range(number)]


def test_training_is_logistic_regression() -> None:
    positive, negative = synthetic(60, seed=5)
    features = features_of(*positive, *negative)
    weights = train(features, range(60), range(60, 120), epochs=3, learning_rate=8, num_bits=18)
    plain: Counter[int] = Counter()
    num_steps = 3 * 120
    for step in range(num_steps):
        text = step // 2 % 60 + 60 * (step % 2)
        counts = counts_of(features, text)
        length = math.sqrt(sum(count**2 for count in counts.values()))
        margin = sum(plain[feature] * count for feature, count in counts.items()) / length
        error = (step % 2 == 0) - 1 / (1 + math.exp(-margin))
        for feature, count in counts.items():
            plain[feature] += 8 * (num_steps - step) / num_steps * error * count / length
    found = {feature: weights[feature] / ONE for feature in plain}
    assert found == pytest.approx(dict(plain), abs=0.02)
    assert max(found.values()) > 3
    assert set(np.flatnonzero(weights).tolist()) <= set(plain)


def test_two_classes_that_differ_in_one_word_in_ten_are_told_apart() -> None:
    positive, negative = synthetic(400, seed=11)
    features = features_of(*positive, *negative)
    weights = train(features, range(300), range(400, 700), epochs=5, learning_rate=8, num_bits=18)
    held = margins(weights, take_rows(features, [*range(300, 400), *range(700, 800)]))
    assert measure(held[:100], held[100:]) == Measures(accuracy=9650, precision=9429, recall=9900, roc_auc=9983)


def test_a_smaller_class_is_gone_through_as_often_as_makes_it_even() -> None:
    positive, negative = synthetic(200, seed=17)
    features = features_of(*positive, *negative)
    weights = train(features, range(10), range(200, 400), epochs=2, learning_rate=8, num_bits=18)
    again = train(features, [*range(10)] * 20, range(200, 400), epochs=2, learning_rate=8, num_bits=18)
    assert weights.tolist() == again.tolist()


def test_measures_written_out() -> None:
    positive, negative = np.array([2, 1, -1]) * ONE, np.array([-2, 1]) * ONE
    # Pairs: 4 right, 1 tie of 6. Good ones found: 2 of 3; bad ones taken for good: 1 of 2.
    assert measure(positive, negative) == Measures(accuracy=5833, precision=5714, recall=6667, roc_auc=7500)
    assert measure(positive[:2], negative[:1]) == Measures(10_000, 10_000, 10_000, 10_000)


def test_texts_are_drawn_ordered_and_held_out_by_their_hash_alone() -> None:
    texts = [f"text {number}" for number in range(1000)]
    keys = draw_keys(texts).tolist()
    assert keys[:2] == draw_keys(["text 0", "text 1"]).tolist()
    assert sum(key <= last_drawn(100, 1000) for key in keys) == 106
    assert last_drawn(5, 3) == last_drawn(3, 3) == 2**64 - 1
    assert last_drawn(0, 3) == last_drawn(5, 0) == -1
    sources = ["good" if number % 2 else "bad" for number in range(1000)]
    examples = Examples(keys, sources, ["en"] * 1000, features_of(*texts))
    classes = {"good": "positive", "bad": "negative"}
    division = divide(examples, classes, 200)
    assert [len(rows) for part in (division.train, division.held_out) for rows in part.values()] == [413, 406, 87, 94]
    used = [row for part in (division.train, division.held_out) for rows in part.values() for row in rows]
    assert sorted(used) == list(range(1000))
    for rows in (*division.train.values(), *division.held_out.values()):
        assert [keys[row] for row in rows] == sorted(keys[row] for row in rows)
    few = divide(examples, {"good": "positive"}, 200)
    assert few.held_out["positive"] == division.held_out["positive"]
    assert len(few.scored) == 500


def test_a_text_of_both_classes_is_left_out_and_one_of_several_alike_is_used() -> None:
    texts = ["a", "b", "b", "c", "c", "c", "d", "b"]
    sources = ["good", "good", "also good", "good", "bad", "bad", "bad", "elsewhere"]
    examples = Examples(draw_keys(texts).tolist(), sources, ["en"] * 8, features_of(*texts))
    classes = {"good": "positive", "also good": "positive", "bad": "negative"}
    division = divide(examples, classes, 1)
    assert {name: sorted(texts[row] for row in rows) for name, rows in division.train.items()} == {
        "positive": ["a", "b"], "negative": ["d"],
    }  # fmt: skip
    assert [sources[row] for row in division.scored] == ["elsewhere"]
    # "b" once and "c" once too often; "c" in either class.
    assert (division.num_repeated, division.num_in_both) == (2, 2)


def test_strong_features_are_shown_by_the_words_behind_them() -> None:
    table = table_of("the cat. The cat", "漢字は漢字 ok", "x" * 70)
    wanted = {run_feature("cat"): {"cat": 1}, run_feature("The", "cat"): {"The cat": 1},
              run_feature("漢", "字"): {"漢字": 2}, run_feature("漢", "字", "は"): {"漢字は": 1},
              run_feature("字", "ok"): {"字 ok": 1}, run_feature("x" * 70): {"x" * 60 + "…": 1},
              run_feature("漢"): {"漢": 2}}  # fmt: skip
    assert runs_seen(table, SETTINGS, list(wanted)) == wanted


def test_the_strongest_features_are_those_that_several_texts_hold() -> None:
    texts = ["a b c"] * 3 + ["a d"] * 2 + ["e"]
    weights = np.zeros(1 << 18, np.int32)
    for word, weight in (("a", 1), ("b", 5), ("c", -2), ("d", 3), ("e", 9)):
        weights[run_feature(word)] = weight
    assert strongest(weights, features_of(*texts), 10) == [run_feature(word) for word in "bda"]
    assert strongest(weights, features_of(*texts), 1) == [run_feature("b")]


def test_a_low_score_breaks_the_rule_in_the_languages_that_the_model_knows() -> None:
    weights = np.zeros(1 << 18, np.int32)
    weights[run_feature("good")], weights[run_feature("bad")] = ONE, -ONE
    table = TextTable.read(["good", "bad", "other", "", "bad"], ["en", "en", "en", "en", "fr"])
    documents = Documents(table, quality_model=QualityModel(weights, SETTINGS, ("de", "en")))
    params = SimpleNamespace(quality=QualityParams(min_score=500))
    reading = low_quality(documents, params)
    assert reading.broken.tolist() == [False, True, False, False, False]
    assert reading.applies.tolist() == [True, True, True, False, False]
    assert (reading.value(1), reading.threshold(1)) == ("269", "< 500")


def test_without_a_model_no_text_is_judged() -> None:
    documents, params = Documents(table_of("bad", "")), SimpleNamespace(quality=QualityParams(min_score=500))
    reading = low_quality(documents, params)
    assert (reading.applies.tolist(), reading.broken.tolist()) == ([False, False], [False, False])


def test_real_reviews_are_told_from_real_news(shared_data: Path) -> None:
    with gzip.open(shared_data / "news" / "peoples-daily-zh-199801a.jsonl.gz", "rt", encoding="utf-8") as lines:
        news = [json.loads(line)["text"] for line, _ in zip(lines, range(600), strict=False)]
    lines = (shared_data / "eval" / "ChnSentiCorp_htl_all.csv").read_text(encoding="utf-8-sig").splitlines()
    reviews = [line[2:] for line in lines if line[:2] in ("0,", "1,")][:600]
    features = features_of(*news, *reviews)
    weights = train(features, range(480), range(600, 1080), epochs=5, learning_rate=8, num_bits=18)
    held = margins(weights, take_rows(features, [*range(480, 600), *range(1080, 1200)]))
    found = measure(held[:120], held[120:])
    assert found.accuracy >= 9700
    assert found.roc_auc >= 9900
