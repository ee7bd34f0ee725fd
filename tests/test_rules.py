"""Rules: what each reads from a text, where it draws the line, and what a batch makes of line and document rules."""

import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.clean import CleanParams
from pipelines.cleaning.document_rules import DOCUMENT_RULES
from pipelines.cleaning.line_rules import LINE_RULES
from pipelines.cleaning.readings import Batch, RuleParams
from pipelines.cleaning.repeated_lines import RepeatedLineParams
from pipelines.cleaning.repetition import Repetition
from pipelines.cleaning.rules import RULES, Finding, Verdict, apply_rules, check_params, explain
from pipelines.cleaning.text_table import TextTable
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params

FILE = load_params(CleanParams, "clean", Path(__file__).parents[1] / "params.yaml").rules
PARAMS = dataclasses.replace(
    FILE,
    loops=dataclasses.replace(FILE.loops, action="keep"),
    languages=dataclasses.replace(FILE.languages, keep={"default": ()}),
    skip=("c4.unpunctuated_line", "c4.curly_brackets"),
    min_words=10,
    max_words=1000,
    min_mean_word_chars={"default": 3, "vi": 2},
    max_mean_word_chars={"default": 10},
    max_hash_percent=10,
    max_ellipsis_percent=10,
    max_bullet_lines_percent=90,
    max_ellipsis_lines_percent=30,
    min_alphabetic_words_percent=80,
    min_stop_words=2,
    stop_words={"en": ("the", "be", "to", "of", "and", "that", "have", "with"), "zh": ("的", "是", "了")},
    max_duplicate_lines_percent=30,
    max_duplicate_line_chars_percent=20,
    max_duplicate_paragraphs_percent=30,
    max_duplicate_paragraph_chars_percent=20,
    stop_words_from_package=False,
    min_judged_words=0,
    max_top_run_percents=(20, 18, 16),
    max_repeated_run_percents=(15, 14, 13, 12, 11, 10),
    javascript_phrases=("javascript",),
    policy_phrases=("terms of use", "use of cookies"),
    placeholder_phrases=("lorem ipsum",),
    min_line_words=3,
    min_judged_lines=3,
    min_punctuated_lines_percent=12,
    unpunctuated_languages=("th",),
    short_line_chars=30,
    max_short_lines_percent=67,
    max_repeated_line_chars_percent=10,
    max_line_breaks_percent=30,
    repeated_lines=RepeatedLineParams(max_documents=0, min_words=3),
)

ENGLISH = """The harbour of the old town lies north of the river, and most of its houses date from the 17th century.

Fishermen sold herring here until 1932; since then the market hall has served as a museum with a small library.
In winter the ferry to the islands runs twice a day, unless the wind is stronger than 8 Beaufort."""
CHINESE = """杭州西湖位于浙江省杭州市西部，是中国著名的风景名胜区。湖面面积约为六平方公里，三面环山。

2011年，西湖文化景观被列入世界遗产名录，每年吸引了数千万游客前来参观。"""
JAPANESE = """富士山は、静岡県と山梨県に跨る活火山である。標高3776メートル、日本最高峰の独立峰である。
その優美な風貌は国内外に知られる。

2013年に世界文化遺産に登録された。"""
UKRAINIAN = """Дніпро — найбільша річка України, четверта за довжиною в Європі. Витік — на Валдайській височині.

Річка впадає в Чорне море; її довжина в межах України — 981 км."""
VIETNAMESE = """Hà Nội là thủ đô của nước Việt Nam, nằm ở đồng bằng sông Hồng. Thành phố có lịch sử hơn một nghìn năm.

Năm 1010, vua Lý Thái Tổ dời đô về đây và đặt tên là Thăng Long."""
THAI = "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย เป็นศูนย์กลางการปกครอง การศึกษา และการคมนาคมขนส่ง"
GOOD = [(ENGLISH, "en"), (CHINESE, "zh"), (JAPANESE, "ja"), (UKRAINIAN, "uk"), (VIETNAMESE, "vi"), (THAI, "th")]


# No line is edited away.
UNEDITED = dataclasses.replace(PARAMS, min_line_words=0)


def batch_of(text: str, language: str) -> Batch:
    return Batch([text], [language], ["s"], {})


def finding(rule: str, text: str, language: str, params: RuleParams = UNEDITED) -> Finding:
    return next(found for found in explain(batch_of(text, language), params) if found.rule == rule)


def words_of(text: str) -> list[str]:
    """The words of a text's table, cut out of the text again."""
    words = TextTable.read([text], ["en"]).words
    encoded = text.encode()
    return [
        encoded[:stop].decode()[-chars:] for stop, chars in zip(words.stops.tolist(), words.chars.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, the\tCAT!\n- 3.5 —", ["The", "cat,", "the", "CAT!", "-", "3.5", "—"]),
        ("东京タワー（1958年）。", ["东", "京", "タ", "ワ", "ー（", "1958", "年）。"]),
        ("他说：“Hello，world！”——对　吗", ["他", "说：“Hello，", "world！”——", "对", "吗"]),
        ("がパ", ["が", "パ"]),
        ("Київ — столиця", ["Київ", "—", "столиця"]),
        ("Hà Nội, 2024", ["Hà", "Nội,", "2024"]),
        ("ที่กิน 5บาท", ["ที่", "กิ", "น", "5", "บ", "า", "ท"]),
        ("བོད་ཡིག", ["བོད", "ཡིག"]),
        ("ＡＢＣ１２　한국어 문장", ["ＡＢＣ１２", "한국어", "문장"]),
        ("𠀀𠀁x👩‍👩‍👧", ["𠀀", "𠀁", "x👩‍👩‍👧"]),
        ("", []),
        (" \n \u3000", []),
    ],
)
def test_words_are_runs_between_spaces_or_letters_of_scripts_without_spaces(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(("text", "language"), GOOD)
def test_good_text_of_every_script_is_kept_as_it_is(text, language):
    assert apply_rules([text], [language], PARAMS) == [Verdict(text, None, "", "", {})]


LINES = "The first line says a little.\n\n{}\nThe last line says as much."


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("c4.javascript_line", "Please enable JavaScript to see this page."),
        ("c4.policy_line", "By going on you accept the Use of Cookies on it."),
        ("c4.short_line", "Read more…"),
        ("c4.short_line", "历史"),
    ],
)
def test_a_line_rule_takes_its_line_and_nothing_else(rule, line):
    params = dataclasses.replace(PARAMS, min_judged_words=50)
    text = LINES.format(line)
    (verdict,) = apply_rules([text], ["en"], params)
    assert verdict == Verdict(LINES.format("").replace("\n\n\n", "\n\n"), None, "", "", {rule: 1})


def test_lines_without_punctuation_go_only_where_that_rule_is_on_and_not_in_thai():
    params = dataclasses.replace(PARAMS, skip=(), min_words=0, min_stop_words=0)
    text = "A heading without a stop\nA line with one.\n『日本語の行』\nหนึ่งสองสาม"
    assert apply_rules([text], ["en"], params)[0].text == "A line with one.\n『日本語の行』"
    assert apply_rules([text], ["en"], params)[0].lines_removed == {"c4.unpunctuated_line": 2}
    assert apply_rules([text], ["th"], params)[0].text == text
    assert apply_rules([text], ["th-TH"], params)[0].text == text
    assert apply_rules([text], ["en"], PARAMS)[0].text == text


TEN = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("rule", "text", "language", "value", "threshold", "verdict"),
    [
        ("gopher.too_few_words", "Nine words are one too few for this one.", "en", "9", "< 10", "drops"),
        ("gopher.too_few_words", TEN, "en", "10", "< 10", "keeps"),
        ("gopher.too_few_words", "一二三四五六七八九。", "zh", "9", "< 10", "drops"),
        ("gopher.too_few_words", "一二三四五六七八九十。", "zh", "10", "< 10", "keeps"),
        ("gopher.too_many_words", "word " * 1001, "en", "1001", "> 1000", "drops"),
        ("gopher.too_many_words", "字" * 1000, "zh", "1000", "> 1000", "keeps"),
        ("gopher.short_words", "a bc def gh", "en", "2.0", "< 3", "drops"),
        ("gopher.short_words", "a bc def gh", "vi", "2.0", "< 2", "keeps"),
        ("gopher.short_words", "中文没有空格 a", "zh", "1.0", "< 3", "does not apply"),
        ("gopher.long_words", "incomprehensibilities everywhere", "en", "15.5", "> 10", "drops"),
        ("gopher.long_words", "一个字一个词 Donaudampfschifffahrt", "zh", "21.0", "> 10", "does not apply"),
        ("gopher.hash_signs", TEN + " #a #b", "en", "16.6% (2 of 12)", "> 10%", "drops"),
        ("gopher.hash_signs", "#" + TEN, "en", "10.0% (1 of 10)", "> 10%", "keeps"),
        ("gopher.ellipses", "one... two three four…… five six", "en", "50.0% (3 of 6)", "> 10%", "drops"),
        ("gopher.ellipses", "等一下……我马上就回来的", "zh", "20.0% (2 of 10)", "> 10%", "drops"),
        ("gopher.bullet_lines", "\n".join(["- a thing"] * 19 + ["the end"]), "en", "95.0% (19 of 20)", "> 90%", "drops"),
        ("gopher.bullet_lines", "・一つ目の物\n●二つ目の物\n最後の物", "ja", "66.6% (2 of 3)", "> 90%", "keeps"),
        ("gopher.ellipsis_lines", "go on ...\nand on…\nto the end.", "en", "66.6% (2 of 3)", "> 30%", "drops"),
        ("gopher.few_alphabetic_words", "1 2 x 4 five", "en", "40.0% (2 of 5)", "< 80%", "drops"),
        ("gopher.few_alphabetic_words", "- Київ — столиця України - 1", "uk", "75.0% (3 of 4)", "< 80%", "drops"),
        ("gopher.few_alphabetic_words", "2011年，西湖。", "zh", "75.0% (3 of 4)", "< 80%", "drops"),
        ("gopher.few_stop_words", "The cat and and the dog", "en", "2", "< 2", "keeps"),
        ("gopher.few_stop_words", "The cat and and The dog", "en", "1", "< 2", "drops"),
        ("gopher.few_stop_words", "你的书是我的", "zh", "2", "< 2", "keeps"),
        ("gopher.few_stop_words", "Кіт і пес", "uk", "0", "< 2", "does not apply"),
        ("c4.curly_brackets", "if (x) { return; }", "en", "2", "> 0", "skipped"),
        ("c4.placeholders", "Here is Lorem Ipsum dolor", "en", "1", "> 0", "drops"),
        ("c4.placeholders", "Here is lorem\nipsum dolor", "en", "0", "> 0", "keeps"),
        ("gopher.duplicate_lines", "a b c\nd e f\na b  c", "en", "33.3% (1 of 3)", "> 30%", "drops"),
        ("gopher.duplicate_line_chars", "长长的一行。\n短一行\n长长的一行。", "zh", "40.0% (6 of 15)", "> 20%", "drops"),
        ("gopher.duplicate_paragraphs", "a b c\nd e f\n\na b c\nd e f\n\ng h i", "en", "33.3% (1 of 3)", "> 30%", "drops"),
        ("gopher.duplicate_paragraphs", "a b c\nd e f\n\na b c\n\nd e f", "en", "0.0% (0 of 3)", "> 30%", "keeps"),
        ("gopher.duplicate_paragraph_chars", "a b c\n\na b c\n\nd e f", "en", "33.3% (3 of 9)", "> 20%", "drops"),
        ("gopher.top_run_2", "ab cd ab cd ef ab cd gh", "en", "75.0% (12 of 16)", "> 20%", "drops"),
        ("gopher.top_run_2", "我们学习我们学习", "zh", "100.0% (8 of 8)", "> 20%", "drops"),
        ("gopher.top_run_2", "我们学习她们学数", "zh", "0.0% (0 of 8)", "> 20%", "keeps"),
        ("gopher.top_run_2", "ab cd ab cd", "vi", "0.0% (0 of 8)", "> 20%", "keeps"),
        ("gopher.top_run_3", "a b c d a b c", "en", "85.7% (6 of 7)", "> 18%", "drops"),
        ("gopher.top_run_4", "a b c d e a b c", "en", "0.0% (0 of 8)", "> 16%", "keeps"),
        ("gopher.repeated_runs_5", "a b c d e f x a b c d e f", "en", "46.1% (6 of 13)", "> 15%", "drops"),
        ("gopher.repeated_runs_6", "a b c d e f x a b c d e f", "en", "46.1% (6 of 13)", "> 14%", "drops"),
        ("gopher.repeated_runs_7", "a b c d e f x a b c d e f", "en", "0.0% (0 of 13)", "> 13%", "keeps"),
        ("gopher.repeated_runs_5", "一二三四五六七八九十x一二三四五六七八九十", "zh", "47.6% (10 of 21)", "> 15%", "drops"),
        ("gopher.repeated_runs_5", "a b c d e a b c d e a b c d e", "en", "66.6% (10 of 15)", "> 15%", "drops"),
        ("gopher.repeated_runs_10", f"{TEN} {TEN}", "en", "50.0% (39 of 78)", "> 10%", "drops"),
        ("fineweb.few_punctuated_lines", "one line\ntwo lines\nthree lines", "en", "0.0% (0 of 3)", "<= 12%", "drops"),
        ("fineweb.few_punctuated_lines", "一行没有\n第二行有。\n第三行没有", "zh", "33.3% (1 of 3)", "<= 12%", "keeps"),
        ("fineweb.few_punctuated_lines", "one line here\nand two lines", "en", "0.0% (0 of 2)", "<= 12%", "does not apply"),
        ("fineweb.few_punctuated_lines", "หนึ่งสอง\nสามสี่\nห้าหกเจ็ด", "th", "0.0% (0 of 3)", "<= 12%", "does not apply"),
        ("fineweb.short_lines", f"a short line\nanother short one\n{TEN}", "en", "66.6% (2 of 3)", ">= 67%", "keeps"),
        ("fineweb.short_lines", "\n".join(["九个字不算长的一行"] * 3), "zh", "100.0% (3 of 3)", ">= 67%", "drops"),
        ("fineweb.short_lines", "\n".join(["十个字就不算是短行了"] * 3), "zh", "0.0% (0 of 3)", ">= 67%", "keeps"),
        ("fineweb.repeated_line_chars", f"{TEN}\na b c\na b c", "en", "6.6% (3 of 45)", ">= 10%", "keeps"),
        ("fineweb.repeated_line_chars", "a b c\na b c\nd e f g", "en", "30.0% (3 of 10)", ">= 10%", "drops"),
        ("fineweb.line_breaks", "a b c\nd e f\n\ng h i", "en", "22.2% (2 of 9)", "> 30%", "keeps"),
        ("fineweb.line_breaks", "a b\nc\nd", "en", "50.0% (2 of 4)", "> 30%", "drops"),
    ],
)  # fmt: skip
def test_what_a_document_rule_reads_and_decides(rule, text, language, value, threshold, verdict):
    assert finding(rule, text, language) == Finding(rule, value, threshold, verdict)


def test_every_document_rule_is_tested_above():
    marks = test_what_a_document_rule_reads_and_decides.pytestmark
    tested = {case[0] for mark in marks for case in mark.args[1]}
    assert set(DOCUMENT_RULES) - tested == {f"gopher.repeated_runs_{size}" for size in (8, 9)}


def test_short_texts_are_not_judged_by_runs_and_stop_words_and_an_ideogram_is_half_a_word():
    params = dataclasses.replace(PARAMS, min_judged_words=10)
    for rule in ("gopher.few_stop_words", "gopher.top_run_2", "gopher.repeated_runs_5"):
        assert finding(rule, "one two three four five six seven eight nine", "en", params).verdict == "does not apply"
        assert finding(rule, TEN, "en", params).verdict != "does not apply"
        assert finding(rule, "十" * 19, "zh", params).verdict == "does not apply"
        assert finding(rule, "十" * 20, "zh", params).verdict != "does not apply"


def test_a_text_is_dropped_by_the_first_rule_that_it_breaks_and_keeps_its_edited_text():
    text = "1 2 3 4 5 6 7 8 9 10\nRead more\n1 2 3 4 5 6 7 8 9 10"
    (verdict,) = apply_rules([text], ["en"], PARAMS)
    edited = "1 2 3 4 5 6 7 8 9 10\n1 2 3 4 5 6 7 8 9 10"
    assert verdict == Verdict(edited, "gopher.short_words", "1.1", "< 3", {"c4.short_line": 1})


def test_document_rules_judge_what_line_rules_left():
    text = "Menu\n" * 30 + ENGLISH
    (verdict,) = apply_rules([text], ["en"], PARAMS)
    assert verdict == Verdict(ENGLISH, None, "", "", {"c4.short_line": 30})
    (verdict,) = apply_rules([text], ["en"], dataclasses.replace(PARAMS, min_line_words=1))
    assert (verdict.text, verdict.rule, verdict.value) == (text, "gopher.duplicate_lines", "87.8% (29 of 33)")


def test_a_skipped_rule_drops_nothing_and_says_so():
    text = "One { two } three four and five of the six seven eight nine."
    assert apply_rules([text], ["en"], PARAMS)[0].rule is None
    assert apply_rules([text], ["en"], dataclasses.replace(PARAMS, skip=()))[0].rule == "c4.curly_brackets"


def test_explain_names_every_rule_once_in_the_order_in_which_it_is_asked():
    assert [found.rule for found in explain(batch_of(ENGLISH, "en"), PARAMS)] == [*LINE_RULES, *RULES]
    assert explain(batch_of("a b c\nno", "en"), PARAMS)[2] == Finding(
        "c4.short_line", "1 of 2 lines", "", "removes lines"
    )


def test_a_verdict_does_not_depend_on_the_other_texts():
    texts = [text for text, _ in GOOD] + ["", "\n", "...", "dots..", "..more", "{", "的", " a b c \n\n\n\n d e f "]
    languages = [language for _, language in GOOD] + ["en"] * 8
    alone = [apply_rules([text], [code], PARAMS)[0] for text, code in zip(texts, languages, strict=True)]
    assert apply_rules(texts, languages, PARAMS) == alone
    assert apply_rules(texts * 3, languages * 3, PARAMS) == alone * 3
    assert apply_rules([], [], PARAMS) == []


def test_a_second_run_over_what_was_kept_changes_nothing():
    texts = [text + "\n\nRead more\n\n\n" + LINES.format("see our terms of use here") for text, _ in GOOD]
    languages = [language for _, language in GOOD]
    kept = [verdict.text for verdict in apply_rules(texts, languages, PARAMS)]
    assert [verdict.text for verdict in apply_rules(kept, languages, PARAMS)] == kept
    assert not any(verdict.lines_removed for verdict in apply_rules(kept, languages, PARAMS))


def test_words_of_any_length_have_hashes_of_their_own():
    words = ["x" * length for length in (*range(1, 20), 63, 64, 65, 66, 200)] + ["字", "宇", "é", "e"]
    hashes = TextTable.read([" ".join(words)], ["en"]).words.hashes
    assert len(np.unique(hashes)) == len(words)


def test_repeats_never_cross_the_edge_of_a_text():
    grams = Repetition(TextTable.read(["a b c d e", "a b c d e", "f"], ["en"] * 3)).grams
    assert grams.chars.tolist() == [5, 5, 1]
    assert [shares.tolist() for shares in grams.top_chars.values()] == [[0, 0, 0]] * 3
    assert [shares.tolist() for shares in grams.covered_chars.values()] == [[0, 0, 0]] * 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skip": ("c4.curly",)}, "c4.curly is not a rule; known: c4.javascript_line, "),
        ({"min_mean_word_chars": {"en": 3}}, "no value for languages that are not named"),
        ({"max_top_run_percents": (20, 18)}, "one limit for each length of run"),
    ],
)
def test_parameters_that_fit_no_rule_are_refused(change, message):
    with pytest.raises(CorpusmillError) as refused:
        check_params(dataclasses.replace(PARAMS, **change))
    assert message in str(refused.value)


def test_a_looping_chapter_is_dropped_and_sound_chapters_and_news_are_kept(shared_data: Path):
    params = dataclasses.replace(PARAMS, min_words=20, max_words=10**6, min_judged_words=50)
    loop = (shared_data / "broken" / "zh-novel-looping-chapter.txt").read_text(encoding="utf-8")[:100_000]
    assert apply_rules([loop], ["zh"], params)[0][1:3] == ("gopher.duplicate_lines", "37.5% (6 of 16)")
    one_line = loop.replace("\n", "")
    assert apply_rules([one_line], ["zh"], params)[0].rule == "gopher.repeated_runs_5"
    with gzip.open(shared_data / "wikitext" / "zh-novels.jsonl.gz", "rt", encoding="utf-8") as lines:
        chapters = [json.loads(line)["text"] for line, _ in zip(lines, range(20), strict=False)]
    assert [verdict.rule for verdict in apply_rules(chapters, ["zh"] * 20, params)] == [None] * 20
    news = (shared_data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines()
    assert [verdict.rule for verdict in apply_rules(news, ["en"] * len(news), params)] == [None] * 300
