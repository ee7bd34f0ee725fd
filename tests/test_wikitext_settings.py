"""``params.yaml: extract.wikitext``: what each value does to a page, and what is said about a wrong one."""

import dataclasses
import importlib.util
from typing import Any

import pytest
from reading import WIKITEXT

from pipelines.readers.mediawiki.templates import WORDS
from pipelines.readers.mediawiki.wikitext import Converted, WikitextConverter
from pipelines.spine.errors import CorpusmillError


def convert(markup: str, language: str = "en", **settings: Any) -> Converted:
    converter = WikitextConverter({}, language, dataclasses.replace(WIKITEXT, **settings))
    return converter.convert(markup, "2016-04-22T10:19:33Z", "Title")


HEADED = "lead\n== A ==\n=== B ===\nx\n== Empty ==\n== External links ==\n* y\n== C ==\n* z"


@pytest.mark.parametrize(
    ("headings", "text"),
    [
        ("plain", "lead\n\nA\n\nB\n\nx\n\nC\n\n- z"),
        ("markdown", "lead\n\n## A\n\n### B\n\nx\n\n## C\n\n- z"),
        ("none", "lead\n\nx\n\n- z"),
    ],
)
def test_headings_are_shown_as_the_setting_says(headings, text):
    assert convert(HEADED, headings=headings).text == text


TABLES = {
    "cells by rows, footnotes out, templates resolved": (
        '{| class="wikitable"\n|+ Rivers\n! Name !! Length\n|-\n| [[Dnieper|Dnipro]]<ref>x</ref> || {{convert|2201|km}}\n|}',
        "Rivers\nName\tLength\nDnipro\t2201 km",
    ),
    "attributes of cells": (
        '{|\n|- style="a"\n! scope="row" | a\n| style="color:red" | b || align=right | [[c|d]]\n|}',
        "a\tb\td",
    ),
    "a cell over two columns": ('{|\n| colspan="2" | a || b\n|-\n| c || d || e\n|}', "a\t\tb\nc\td\te"),
    "a cell over two rows": ("{|\n| rowspan=2 | a || b\n|-\n| c\n|-\n| d || e\n|}", "a\tb\n\tc\nd\te"),
    "a cell of several lines": ("{|\n| a\nb<br />c\n* d\n* e\n| f\n|}", "a, b, c, d, e\tf"),
    "a table in a cell": ("{|\n| a\n|\n{|\n| b || c\n|}\n|-\n| d\n|}", "a\tb\tc\nd"),
    "attributes that a template ends": (
        '{|\n| Name || colspan="5" {{CMain}}\n|-\n| Other || align=left {{yes|Won}}\n|-\n| x=1 {{yes}} || {{no}}\n|}',
        "Name\nOther\tWon\nx=1 Yes\tNo",
    ),
    "HTML": ("<table><tr><th>a</th><td colspan=2>b</td></tr><TR><td>[[c]]</td></tr></table>", "a\tb\nc"),
    "literal signs": ("{|\n| <nowiki>||</nowiki> || {{!}} x || &#124;\n|-\n| - || *a\n|}", "||\t| x\t|\n-\t*a"),
    "rows without text": ("{|\n| [[File:a.png]] || {{unknown}}\n|-\n|\n|-\n| x\n|}", "x"),
    "Chinese": ("{|\n! 河流 !! 长度\n|-\n| [[长江]] || {{convert|6300|km}}\n|}", "河流\t长度\n长江\t6300 km"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_becomes_rows_with_cells_apart_by_tabs(name):
    markup, rows = TABLES[name]
    assert convert(f"before\n{markup}\nafter", tables="rows").text == f"before\n\n{rows}\n\nafter"
    assert convert(f"before\n{markup}\nafter", tables="drop").text.split() == ["before", "after"]


def test_a_table_that_is_never_closed_takes_only_its_own_line_either_way():
    for tables in ("rows", "drop"):
        assert convert("before\n{| class=x\n| a\n\nprose", tables=tables).text == "before\n\nprose"


INFOBOXES = {
    "en": (
        "{{Infobox city\n| name = Kyiv\n| image = Kyiv.jpg\n| population_total = {{formatnum:2950000}}<ref>x</ref>\n"
        "| leader = [[A|B]]<br />[[C]]\n| map = [[File:x.jpg|20px]]\n| caption = Map\n| empty =\n}}\nKyiv is",
        "name: Kyiv\npopulation total: 2950000\nleader: B, C\n\nKyiv is",
    ),
    "zh": ("{{城市信息框\n|名称=柏林\n|面积={{convert|891|km2}}\n}}\n柏林是", "名称: 柏林\n面积: 891 km²\n\n柏林是"),
    "ja": ("{{基礎情報 国\n|国名 = [[日本国|日本]]\n|面積順位 = 60\n}}\n日本は", "国名: 日本\n面積順位: 60\n\n日本は"),
    "vi": ("{{Thông tin nhân vật\n| tên = A\n| con = {{ubl|B|C}}\n}}\nA là", "tên: A\ncon: B, C\n\nA là"),
    "uk": (
        "{{Картка:Місто\n| назва = Київ\n| площа = {{число|839}} км²\n}}\nКиїв",
        "назва: Київ\nплоща: 839 км²\n\nКиїв",
    ),
    "ar": (
        "{{صندوق معلومات\n| الاسم = برلين\n| البلد = [[ألمانيا]]\n}}\nبرلين",
        "الاسم: برلين\nالبلد: ألمانيا\n\nبرلين",
    ),
}


@pytest.mark.parametrize("language", INFOBOXES)
def test_an_infobox_becomes_labels_and_values(language):
    markup, text = INFOBOXES[language]
    converted = convert(markup, language, infoboxes="rows")
    assert (converted.text, dict(converted.dropped)) == (text, {})
    assert convert(markup, language).text == text.rpartition("\n\n")[2]


def test_an_unknown_call_of_many_lines_is_taken_for_an_infobox_and_a_child_is_part_of_its_value():
    lines = "".join(f"\n| k{number} = v{number}" for number in range(5))
    assert convert(f"{{{{Unheard of{lines}\n}}}}", infoboxes="rows").text == "k0: v0\nk1: v1\nk2: v2\nk3: v3\nk4: v4"
    assert dict(convert(f"{{{{Unheard of{lines}\n}}}}").dropped) == {"unheard of": 1}
    child = "{{Infobox a|x=1|module={{Infobox child|y=2}}}}"
    assert convert(child, infoboxes="rows").text == "x: 1\nmodule: y: 2"


def test_a_table_in_an_infobox_is_part_of_its_value_where_tables_are_shown():
    markup = "{{Infobox a\n| x = 1\n| records =\n{| class=b\n! Year !! Title\n|-\n| 2001 || A = B\n|}\n| y = 2\n}}"
    assert convert(markup, infoboxes="rows", tables="rows").text == "x: 1\nrecords: Year\tTitle, 2001\tA = B\ny: 2"


def test_pronunciations_are_kept_or_dropped_with_their_brackets():
    markup = "Aikido ({{IPA-ja|a.i.ki.doː}}; {{IPAc-en|a}}, {{respell|eye|KEE}}; {{lang|ja|合気道}}) {{IPA|/x/}}is"
    assert convert(markup).text == "Aikido ([a.i.ki.doː]; /a/, eye; 合気道) /x/is"
    assert convert(markup, ipa="drop").text == "Aikido (合気道) is"
    assert dict(convert(markup, ipa="drop").dropped) == {}


VARIANTS = [
    ("zh", "", "计算机和软件"),
    ("zh-hant", "", "電腦和軟體"),
    ("zh", "zh-tw", "電腦和軟體"),
    ("zh", "zh-hk", "電腦和軟件"),
    ("zh", "zh-cn", "计算机和软件"),
    ("zh", "sr-el", "计算机和软件"),
]


@pytest.mark.parametrize(("language", "variant", "text"), VARIANTS)
def test_the_variant_is_the_setting_s_else_the_language_s(language, variant, text):
    markup = "-{zh-hans:计算机;zh-hant:電腦}-和-{zh-tw:軟體;zh-cn:软件;zh-hk:軟件}-"
    assert convert(markup, language, variant=variant).text == text


NESTED_VARIANTS = {
    "-{zh-cn:甲-{zh-tw:乙;zh-cn:丙}-;zh-tw:丁-{zh-tw:戊;zh-cn:己}-}-": ("甲丙", "丁戊"),
    "-{zh-hans:[[计算机|机]];zh-hant:[[電腦|腦]]}-": ("机", "腦"),
    "-{A|zh-cn:博客;zh-tw:網誌}-，-{H|zh-cn:a;zh-tw:b}-，-{T|zh-cn:c}-": ("博客，，", "網誌，，"),
    "-{原文}-，-{zh-hans|简}-，-{R|zh-cn:甲}-": ("原文，简，zh-cn:甲", "原文，简，zh-cn:甲"),
    "-{甲=>zh-cn:乙;甲=>zh-tw:丙}-": ("乙", "丙"),
    "-{{{lang|ja|東京}}}-": ("東京", "東京"),
}


@pytest.mark.parametrize("markup", NESTED_VARIANTS)
def test_variants_in_variants_with_links_and_flags_are_resolved(markup):
    assert (
        tuple(convert(markup, "zh", variant=variant).text for variant in ("zh-cn", "zh-tw")) == NESTED_VARIANTS[markup]
    )


def test_serbian_has_variants_too():
    assert convert("-{sr-ec:реч; sr-el:reč}-", "sr", variant="sr-el").text == "reč"


@pytest.mark.skipif(importlib.util.find_spec("opencc") is None, reason="OpenCC is not installed")
def test_opencc_converts_chinese_text_and_no_other():
    assert convert("電腦軟體和<nowiki>[[a]]</nowiki>", "zh", opencc="t2s").text == "电脑软体和[[a]]"
    assert convert("软件", "zh", opencc="s2twp").text == "軟體"
    assert convert("電腦軟體", "ja", opencc="t2s").text == "電腦軟體"
    with pytest.raises(CorpusmillError, match="OpenCC has no such configuration") as raised:
        dataclasses.replace(WIKITEXT, opencc="t2x")
    assert (raised.value.where, raised.value.got) == ("params.yaml: extract.wikitext.opencc", "'t2x'")
    assert "s2twp, t2hk" in raised.value.expected


SHOWN = {
    "first": "a", "second": "b", "third": "c", "last": "c", "second_or_first": "b", "third_or_second": "c",
    "label_or_first": "L", "joined": "a b c", "comma_joined": "a, b, c", "list": "- a\n- b\n- c", "block": "a",
    "quote": "a", "nothing": "", "drop": "", "named:Key": "K",
}  # fmt: skip


@pytest.mark.parametrize("word", SHOWN)
def test_a_word_of_params_says_what_a_template_shows(word):
    markup = "{{my_Template|a|b|c|label=L|key=K}}"
    assert convert(markup).text == ""
    converted = convert(markup, templates={"My template": word})
    assert (converted.text, dict(converted.dropped)) == (SHOWN[word], {})
    assert set(WORDS) < set(SHOWN)


def test_a_word_of_params_goes_before_the_built_in_tables():
    assert convert("{{lang|de|Haus}} {{cite web|x}}", templates={"lang": "first", "Cite_web": "first"}).text == "de x"
    assert convert("a ({{x}}, b) c{{y}}()", templates={"x": "drop", "y": "nothing"}).text == "a (b) c()"


WRONG = {
    "headings": ("html", "'html'", "plain, markdown, none"),
    "tables": ("keep", "'keep'", "drop, rows"),
    "infoboxes": ("", "''", "drop, rows"),
    "ipa": ("yes", "'yes'", "keep, drop"),
    "disambiguation": ("drop", "'drop'", "keep, skip"),
    "variant": ("zh-xx", "'zh-xx'", '"" or one of'),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_unknown_value_is_refused_with_those_that_are_known(name):
    value, got, expected = WRONG[name]
    with pytest.raises(CorpusmillError) as raised:
        dataclasses.replace(WIKITEXT, **{name: value})
    assert raised.value.where == f"params.yaml: extract.wikitext.{name}"
    assert raised.value.got == got
    assert raised.value.expected.startswith(expected)


@pytest.mark.parametrize("word", ["firsst", "named:", ""])
def test_an_unknown_word_for_a_template_is_refused_with_those_that_are_known(word):
    with pytest.raises(CorpusmillError, match="unknown word for a template") as raised:
        dataclasses.replace(WIKITEXT, templates={"x": word})
    assert raised.value.where == "params.yaml: extract.wikitext.templates.x"
    assert raised.value.expected.startswith("first, second, third, last")
    assert raised.value.expected.endswith("or named:KEY")
