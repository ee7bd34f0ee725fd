"""Normalisation: each setting does what its name says, sound text of every script stays, and all changes are counted."""

from dataclasses import fields, replace

import pyarrow as pa
import pytest

from pipelines.cleaning.normalize import KNOWN, Normalized, NormalizeParams, check_params, normalize_batch, steps_of
from pipelines.spine.errors import CorpusmillError

DEFAULT = NormalizeParams(
    unify_line_breaks=True,
    repair_mojibake=True,
    remove_control_characters=True,
    unicode_form="NFC",
    remove_invisible_characters=True,
    spaces="keep",
    quotes="keep",
    dashes="keep",
    character_width="keep",
    cjk_punctuation="keep",
    number_spacing="keep",
    remove_punctuation=False,
    remove_stop_words=False,
    space_runs="keep",
    tidy_line_ends=True,
)
NOTHING = replace(
    DEFAULT,
    unify_line_breaks=False,
    repair_mojibake=False,
    remove_control_characters=False,
    unicode_form="none",
    remove_invisible_characters=False,
    tidy_line_ends=False,
)


def normalize(text: str, language: str = "en", params: NormalizeParams = DEFAULT) -> str:
    return normalize_batch([text], [language], params).texts[0]


def changes(result: Normalized) -> dict[str, int]:
    return {name: number for name, number in result.changes.items() if number}


@pytest.mark.parametrize(
    ("broken", "repaired"),
    [
        ("Itâ€™s a â€œquoteâ€\x9d â€” really.", "It’s a “quote” — really."),
        ("The cafÃ© is Ã  la mode.", "The café is à la mode."),
        ("ä¸\xadæ–‡ç»´åŸºç™¾ç§‘", "中文维基百科"),
        ("ã‚¦ã‚£ã‚\xadãƒšãƒ‡ã‚£ã‚¢", "ウィキペディア"),
        ("РљРёС—РІ вЂ” СЃС‚РѕР»РёС†СЏ РЈРєСЂР°С—РЅРё.", "Київ — столиця України."),
        ("Tiáº¿ng Viá»‡t lÃ  ngÃ´n ngá»¯.", "Tiếng Việt là ngôn ngữ."),
        ("one\x85two\x93three\x94", "one…two“three”"),
    ],
)
def test_mojibake_is_repaired(broken, repaired):
    assert normalize(broken) == repaired
    assert normalize(f"Sound before.\n{broken}\n\nПісля — 好。") == f"Sound before.\n{repaired}\n\nПісля — 好。"


@pytest.mark.parametrize(
    "text",
    [
        "“Curly” ‘quotes’, oﬃce ligatures, R&amp;D, ½ × 2 — and … that’s it.",
        "他说：“１９９８年，ＡＢＣ公司……”——《新华社》「台灣」",
        "「ウィキペディア」は、ﾊﾝｶｸもＯＫ！　全角空白。",
        "Україна — держава у Східній Європі; ґанок, їжак, об’єкт.",
        "Tiếng Việt: Nguyễn Phú Trọng, đồng bằng sông Cửu Long.",
        "می‌خواهم و نمی‌دانم",  # U+200C parts the stem from the ending
        "क्‍ष और र्‍य",  # U+200D shapes a conjunct
        "👩‍👩‍👧 and 🏴󠁧󠁢󠁷󠁬󠁳󠁿",
        "ភាសា\u200bខ្មែរ กรุงเทพ\u200bมหานคร",  # U+200B parts words
        "tabs\tand  runs  of spaces,\xa0no-break\u2003em\u3000ideographic",
    ],
)
def test_by_default_sound_text_stays_as_it_is(text):
    for language in ("en", "zh", "ja"):
        assert normalize(text, language) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\u2028d\u2029e\x0bf\x0cg", "a\nb\nc\nd\ne\nf\ng"),
        ("  one  \n\t\n\n\n\ntwo \u3000\n", "one\n\ntwo"),
        ("  indented\n    more", "indented\n    more"),
        ("nul\0 bell\x07 \x1b[1mbold\x1b[0m del\x7f", "nul bell bold del"),
        (
            "soft\u00adhyphen zero\u200bwidth \u200eleft\u200f join\u2060er \ufeffbom",
            "softhyphen zerowidth left joiner bom",
        ),
        ("cafe\u0301 ガ", "café ガ"),
        ("e\u00ad\u0301", "é"),
        ("lone \ud800 surrogate, pair \ud83d\ude00", "lone \ufffd surrogate, pair 😀"),
        ("\ufeff \n \u200b", ""),
        ("", ""),
    ],
)
def test_by_default_line_breaks_controls_and_invisible_characters_are_put_right(text, expected):
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("setting", "value", "language", "text", "expected", "places"),
    [
        ("unify_line_breaks", True, "en", "a\r\nb\rc\u2028d", "a\nb\nc\nd", 3),
        ("unify_line_breaks", True, "en", "no repair here:\x85next line", "no repair here:\nnext line", 1),
        ("repair_mojibake", True, "en", "cafÃ© naÃ¯ve\nsound\nItâ€™s\r\n", "café naïve\nsound\nIt’s\r\n", 2),
        ("remove_control_characters", True, "en", "\ufeffa\x07b\x1b[1mc\x85", "abc", 4),
        ("unicode_form", "NFC", "en", "e\u0301 E ﬁ \u1112\u1161\u11ab e\u0301", "é E ﬁ 한 é", 3),
        ("unicode_form", "NFKC", "en", "ﬁ e\u0301 Ａ①㎏ x²", "fi é A1kg x2", 4),
        ("remove_invisible_characters", True, "en", "soft\u00adhyphen\u200b", "softhyphen", 2),
        ("spaces", "ascii", "en", "a\xa0b\u2003c\u3000d\te f", "a b c d e f", 4),
        ("quotes", "straight", "en", "“a” ‘b’ it’s «c» 「d」", "\"a\" 'b' it's «c» 「d」", 5),
        ("dashes", "hyphen", "en", "1990–2000 — a‑b −5 ー", "1990-2000 - a-b -5 ー", 4),
        ("character_width", "standard", "zh", "ＡＢｃ１９９８年，３．１４％", "ABc1998年，3.14%", 12),
        ("character_width", "standard", "ja", "ﾊﾝｶｸ ｶﾞｷﾞ｡ 全角、１，０００円", "ハンカク ガギ。 全角、1,000円", 7),
        ("character_width", "standard", "en", "ＡＢｃ ﾊﾝｶｸ", "ＡＢｃ ﾊﾝｶｸ", 0),
        ("cjk_punctuation", "full", "zh", "你好, 世界(World)!真的?是.", "你好，世界（World）！真的？是。", 6),
        (
            "cjk_punctuation",
            "full",
            "zh-TW",
            "共3,000人 f(x) a,b 3.14 好... 卡.com",
            "共3,000人 f(x) a,b 3.14 好... 卡.com",
            0,
        ),
        ("cjk_punctuation", "full", "ja", "はい,そう.", "はい、そう。", 2),
        ("cjk_punctuation", "full", "en", "你好,世界", "你好,世界", 0),
        ("cjk_punctuation", "ascii", "ja", "はい、そう。（笑）！", "はい,そう.(笑)!", 5),
        ("number_spacing", "none", "zh", "共 32 人用 Linux 系统 a b", "共32人用Linux系统a b", 5),
        ("number_spacing", "space", "zh", "共32人，占5%的Linux用户 3", "共 32 人，占 5% 的 Linux 用户 3", 6),
        ("number_spacing", "space", "ko", "제32회 共32人", "제32회 共32人", 0),
        ("space_runs", "collapse", "en", "a  b   c\t\td", "a b c\t\td", 2),
        ("tidy_line_ends", True, "en", " a \n\n\n\nb\n", "a\n\nb", 5),
    ],
)
def test_each_setting_does_its_own_work_and_counts_the_places(setting, value, language, text, expected, places):
    result = normalize_batch([text], [language], replace(NOTHING, **{setting: value}))
    assert result.texts == [expected]
    assert changes(result) == ({f"changes.{setting}": places, f"texts_changed.{setting}": 1} if places else {})


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Hello, world! (3.14 and 1,000; -5 °C, 12:30, 50%)", "Hello world 3.14 and 1,000 -5 °C 12:30 50%"),
        ("en", "It’s a well-known “fact”…\n— so: there.", "It’s a well known fact\nso there"),
        ("en", "in 2020-01-31, 1.,2", "in 2020-01-31 1 2"),
        ("zh", "“你好，世界！”共１，０００人。", "你好 世界 共１，０００人"),
        ("uk", "об'єкт, «слово»", "об'єкт слово"),
        ("hi", "नमस्ते।", "नमस्ते"),
    ],
)
def test_punctuation_removal_leaves_numbers_and_words_whole(language, text, expected):
    assert normalize(text, language, replace(NOTHING, remove_punctuation=True)) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The cat is on the mat.", "cat mat."),
        ("en", "State-of-the-art, Don’t, https://the.com/and 10 a.", "State-of-the-art, , https://the.com/and 10 ."),
        ("uk", "він був героєм", "героєм"),
        ("vi", "tôi biết Hà Nội", "Hà Nội"),
        ("zh", "但是我们不知道他的名字。", "但是我们不知道他的名字。"),  # without spaces nothing is cut out
        ("zh", "但是 我们 去 北京", "北京"),  # segmented
        ("th", "ที่กรุงเทพ", "ที่กรุงเทพ"),
        ("ltg", "the i un", "the i un"),  # no list
    ],
)
def test_stop_words_go_where_they_stand_alone(language, text, expected):
    assert normalize(text, language, replace(NOTHING, remove_stop_words=True)) == expected


def test_full_width_punctuation_and_nfkc_do_not_undo_each_other():
    params = replace(DEFAULT, unicode_form="NFKC", cjk_punctuation="full")
    result = normalize_batch(["你好，ＡＢＣ(中)；\u0338 ﬁ", "你好，ＡＢＣ"], ["zh", "en"], params)
    assert result.texts == ["你好，ABC（中）；\u0338 fi", "你好,ABC"]
    assert changes(normalize_batch(result.texts, ["zh", "en"], params)) == {}


def test_without_any_step_only_nul_and_surrogates_go():
    text = " a\r\n\0\x07Ã©\x85e\u0301\u200b \ud83d\ude00\udc00 \n\n\n"
    result = normalize_batch([text], ["en"], NOTHING)
    assert result.texts == [" a\r\n\x07Ã©\x85e\u0301\u200b 😀\ufffd \n\n\n"]
    assert result.changes == {"texts_changed.valid_characters": 1, "changes.valid_characters": 3}


def test_what_each_step_changed_is_counted_by_texts_and_by_places():
    texts = ["plain", "a\r\nb\r\nc", "cafÃ© \nnaÃ¯ve", "soft\u00adhy\u00adphen ", "中文。"]
    result = normalize_batch(texts, ["en"] * 5, DEFAULT)
    assert result.texts == ["plain", "a\nb\nc", "café\nnaïve", "softhyphen", "中文。"]
    steps = [step.name for step in steps_of(DEFAULT)]
    assert list(result.changes) == [f"{count}.{step}" for count in ("texts_changed", "changes") for step in steps]
    assert changes(result) == {
        "texts_changed.unify_line_breaks": 1,
        "texts_changed.repair_mojibake": 1,
        "texts_changed.remove_invisible_characters": 1,
        "texts_changed.tidy_line_ends": 2,
        "changes.unify_line_breaks": 2,
        "changes.repair_mojibake": 2,
        "changes.remove_invisible_characters": 2,
        "changes.tidy_line_ends": 2,
    }


def test_arrow_arrays_and_lists_give_the_same():
    texts = ["a\r\nb", "日本語。 "]
    expected = normalize_batch(texts, ["en", "ja"], DEFAULT)
    assert normalize_batch(pa.array(texts), ["en", "ja"], DEFAULT) == expected
    part = pa.array(texts, pa.large_string()).slice(1)
    assert normalize_batch(part, ["ja"], DEFAULT) == normalize_batch(texts[1:], ["ja"], DEFAULT)


def test_an_empty_batch_gives_nothing():
    result = normalize_batch([], [], DEFAULT)
    assert result.texts == []
    assert changes(result) == {}


@pytest.mark.parametrize("setting", sorted(KNOWN))
def test_an_unknown_value_is_refused_with_the_known_ones(setting):
    with pytest.raises(CorpusmillError) as refusal:
        check_params(replace(DEFAULT, **{setting: "always"}))
    assert str(refusal.value) == (
        f"params.yaml: clean.normalize.{setting}: not a value of this parameter\n"
        f"  expected: {', '.join(KNOWN[setting])}\n"
        "  got: always"
    )


def test_every_known_value_is_taken_and_every_word_has_known_values():
    assert {field.name for field in fields(NormalizeParams) if field.type is str} == set(KNOWN)
    for setting, values in KNOWN.items():
        for value in values:
            check_params(replace(DEFAULT, **{setting: value}))
