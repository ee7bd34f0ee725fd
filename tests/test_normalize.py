"""Normalisation: mojibake goes, sound text of every script stays, and a second time changes nothing."""

import gzip
import json
from pathlib import Path

import ftfy
import pyarrow as pa
import pytest
from ftfy.badness import BADNESS_RE, is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cleaning.normalize import CANDIDATES, FTFY, STEPS, fix_with_ftfy, normalize_batch


def normalize(text: str) -> str:
    return normalize_batch([text])[0][0]


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
    ],
)
def test_sound_text_stays_as_it_is(text):
    assert normalize(text) == text


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
def test_line_breaks_spaces_and_invisible_characters(text, expected):
    assert normalize(text) == expected


def test_what_each_step_changed_is_counted_by_texts():
    texts = ["plain", "a\r\nb\r\nc", "cafÃ© \nnaÃ¯ve", "soft\u00adhyphen ", "中文。"]
    normalized, changed = normalize_batch(texts)
    assert normalized == ["plain", "a\nb\nc", "café\nnaïve", "softhyphen", "中文。"]
    assert changed == {"line_breaks": 1, "ftfy": 1, "invisible": 1, "tidy_lines": 2}


def test_arrow_arrays_and_lists_give_the_same():
    texts = ["a\r\nb", "日本語。 "]
    assert normalize_batch(pa.array(texts)) == normalize_batch(texts)
    assert normalize_batch(pa.array(texts, pa.large_string()).slice(1)) == normalize_batch(texts[1:])


def test_an_empty_batch_gives_nothing():
    assert normalize_batch([]) == ([], dict.fromkeys(STEPS, 0))


# Letters of mojibake in most encodings, what stands around them, and all that ftfy treats apart.
NASTY = "ÃÂâã€™œ\x9d“”…—–‚Ä√≈×²³ØÙ°±àèéñ¤¦¨«»®©™£¥§┐"
NASTY += "║в€ЂГРВСўђ№ґҐβ€ΒΞāłœŒ\xa0\xad\x80\x85\x90\u0301\u0308\ufffd \n\t\r\x1b[m\ufeff\u200b"
ORDINARY = "abzAZ .,?!1\n中文。ぁがＡｶйїєềậกि\u093e가😀"
WORDS = [
    "Ã©",
    "â€™",
    "â€œ",
    "вЂ",
    "Ã ",
    "Â ",
    "\nÃ x",
    " Â·",
    "ä¸\xadæ–‡",
    "Ð”Ð°",
    "ã‚¦",
    "РљРё",
    "Î±",
    "ГўВЂВ™a",
    "œ\n",
    "ï»¿",
]
texts = st.lists(
    st.one_of(st.sampled_from(NASTY), st.sampled_from(ORDINARY), st.sampled_from(WORDS), st.characters(codec=None)),
    max_size=30,
).map("".join)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(texts)
def test_the_fast_path_equals_ftfy(text):
    assert fix_with_ftfy(text) == ftfy.fix_text(text, FTFY)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(texts)
def test_whatever_ftfy_calls_bad_holds_a_candidate(text):
    assert bool(CANDIDATES.search(text)) >= is_bad(text)


def test_a_candidate_is_found_in_an_example_of_each_of_ftfys_patterns():
    examples = ["Ã©", "a€¦", "b¦é", "éÀ", "╗à", "é€", " À€", "À²", "à“½", "£”“", "€“", "aÀ“", "║ò", "é║", "║”", "é“a"]
    examples += [
        "œ ",
        "À°",
        "Ã€",
        "×²",
        "Ø¹Ø±",
        "à²",
        "√†",
        "≈°",
        "‚Äô",
        "‚âà",
        "вЂ",
        "Г°Р",
        "ГўВЂВ™a",
        "Ã¡",
        "aÃ ",
        "Ã ",
    ]
    examples += ["a Â ", "β€™", "Ξ°Ξ", "ā€", "\x81"]
    bad = [example for example in examples if BADNESS_RE.search(example)]
    assert len(bad) >= 34
    assert [example for example in bad if not CANDIDATES.search(example)] == []


@settings(max_examples=400, deadline=None, derandomize=True)
@given(texts)
def test_normalising_twice_is_normalising_once(text):
    once, _ = normalize_batch([text])
    twice, changed = normalize_batch(once)
    assert twice == once
    assert not any(changed.values())


@settings(max_examples=300, deadline=None, derandomize=True)
@given(texts)
def test_the_result_is_utf8_without_nul_carriage_returns_or_loose_ends(text):
    result = normalize(text)
    assert result.encode().decode() == result
    assert not {"\0", "\r", "\ufeff", "\x7f"} & set(result)
    assert "\n\n\n" not in result
    assert result == result.strip()
    assert all(line == line.rstrip() for line in result.split("\n"))


def test_real_news_and_novels_are_normal_after_one_time(shared_data: Path):
    with gzip.open(shared_data / "wikitext" / "zh-novels.jsonl.gz", "rt", encoding="utf-8") as lines:
        novels = [json.loads(line)["text"] for line, _ in zip(lines, range(20), strict=False)]
    news = (shared_data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines()
    for texts in (novels, news):
        normalized, _ = normalize_batch(texts)
        assert normalize_batch(normalized)[0] == normalized
        assert [fix_with_ftfy(text) for text in texts] == [ftfy.fix_text(text, FTFY) for text in texts]
