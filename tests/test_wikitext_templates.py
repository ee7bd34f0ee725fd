"""Templates: what each family shows, what is relative to today, which are dropped and counted."""

import pytest
from reading import WIKITEXT

from pipelines.readers.mediawiki import templates
from pipelines.readers.mediawiki.calls import MAX_DROPPED_NAMES, TemplateRenderer, parse_arguments
from pipelines.readers.mediawiki.dates import Page, format_time
from pipelines.readers.mediawiki.marks import MARK
from pipelines.readers.mediawiki.wikitext import WikitextConverter


def text_of(markup: str, language: str = "en") -> str:
    converter = WikitextConverter({}, language, WIKITEXT)
    return converter.to_text(markup, timestamp="2016-04-22T10:19:33Z", title="Title")


def dropped_by(markup: str) -> dict[str, int]:
    return dict(WikitextConverter({}, "en", WIKITEXT).convert(markup).dropped)


VALUES = {
    "{{convert|1300|mi|km}}": "1300 mi",
    "{{convert|5|to|10|km2|sqmi|abbr=on}}": "5 to 10 km²",
    "{{convert|60|-|65|mm|in|1}}": "60–65 mm",
    "{{cvt|5|ft|10|in|m|2}}": "5 ft 10 in",
    "{{convert|6|x|4|in}}": "6 × 4 in",
    "{{convert|-40|C|F}}": "-40 °C",
    "{{cvt|2,04|m|ftin|0|abbr=on}}": "2,04 m",
    "{{val|1.5|0.2|e=6|u=kg}}": "1.5 ± 0.2×10⁶ kg",
    "{{val|1.00794|(7)}}": "1.00794(7)",
    "{{formatnum:3769495}}": "3769495",
    "{{lc:ABC}}": "abc",
    "{{frac|3}} {{frac|1|2}} {{sfrac|5|1|2}}": "1/3 1/2 5 1/2",
    "{{circa|1850}}": "c. 1850",
    "{{as of|2014|5|lc=y}} {{As of|2014}}": "as of May 2014 As of 2014",
    "{{age|1950|5|20}} {{age|1950|5|20|1960|5|20}}": "65 10",
    "{{CURRENTYEAR}} {{PAGENAME}}": "2016 Title",
    "{{lang|grc|ἀναρχία}} {{lang-de|Berlin}} {{langx|fr|Paris}}": "ἀναρχία Berlin Paris",
    "{{transl|ar|al-Jazā'ir}} {{transl|ar|ALA|Miṣr}}": "al-Jazā'ir Miṣr",
    "{{Nihongo|'''Aikido'''|合気道|Aikidō|lead=yes}}": "Aikido (合気道, Aikidō)",
    "{{nihongo3|Three|三|San}} {{nihongo2|三}}": "San (三, Three) 三",
    "{{zh|c=哀牢|p=Āiláo|labels=no}}": "哀牢; Āiláo",
    "{{IPAc-en|æ|l|ˈ|b|iː|d|oʊ}} {{IPA-de|tʃ|}} {{IPA|/a/}} {{IPA|de|bɛʁˈliːn}}": "/ælˈbiːdoʊ/ [tʃ] /a/ [bɛʁˈliːn]",
    "{{nowrap|[[a|b]] c}} {{abbr|BC|before Christ}} {{sup|2}}": "b c BC ²",
    "{{start date|2003|6|26}} {{OldStyleDate|February 2|1905|January 20}}": (
        "June 26, 2003 February 2 [O.S. January 20] 1905"
    ),
    "{{ill|Shown|de|Ziel}} {{ill|Target|de|Ziel|lt=label}}": "Shown label",
    "{{ship|HMS|Victory}} {{USS|Enterprise|CV-6}} {{sclass|Iowa|battleship}}": (
        "HMS Victory USS Enterprise (CV-6) Iowa-class battleship"
    ),
    "{{percentage|35140|590205|1}} {{percentage|a|b}}x": "6.0% x",
    "{{music|flat}} {{key press|Ctrl|C}} {{chem|H|2|O}} {{angbr|a}}": "♭ Ctrl+C H2O ⟨a⟩",
    "a{{!}}b{{=}}c{{nbsp}}d{{snd}}e{{'s}}": "a|b=c d – e's",
    "{{nowrap|1=a=b}} {{lang|en|x {{nowrap|y}} z}}": "a=b x y z",
    "{{template:nowrap|a}} {{ Nowrap\n|a }} {{no wrap|b}}": "a a b",
    "{{hlist|a|b}}": "a, b",
    "{{ubl|a|[[b|c]]}}": "- a\n- c",
    "x\n{{quote|text=Words of\ntwo lines|author=A}}\ny": "x\n\nWords of\ntwo lines\n\ny",
    "{{plainlist|\n* a\n* b}}": "- a\n- b",
}


@pytest.mark.parametrize("markup", VALUES)
def test_a_content_template_keeps_its_value(markup):
    assert text_of(markup) == VALUES[markup]


LANGUAGES = [
    ("ja", "{{読み仮名 ruby不使用|'''生物'''|せいぶつ|{{lang-en-short|life}}}}は、", "生物（せいぶつ、life）は、"),
    (
        "zh",
        (
            "'''柏林'''（{{lang-de|Berlin}}{{IPA-de|bɛʁˈliːn|}}）是[[德国|德國]]首都<ref>x</ref>。[[File:"
            "B.jpg|thumb|柏林圖]]"
        ),
        "柏林（Berlin[bɛʁˈliːn]）是德國首都。",
    ),
    (
        "zh",
        ("-{zh-hans:计算机;zh-hant:電腦}-和-{zh-tw:軟體;zh-cn:软件}-，-{原文}-，-{H|zh-cn:a;zh-tw:b}-，-{zh-hans|简}-"),
        "计算机和软件，原文，，简",
    ),
    ("zh-hant", "-{zh-hans:计算机;zh-hant:電腦}-", "電腦"),
    (
        "zh",
        ("-{{{lang|ja|東京}}}-（{{tsl|en|English|中文}}，{{link-en|文|E}}）\n== 外部連結 ==\n* [http://x 網站]"),
        "東京（中文，文）",
    ),
    ("zh", "他（{{audio|a.ogg}}）說：「{{unknown}}」是。[[分類:人]]\n[[文件:a.jpg|缩略图|图]]", "他說：是。"),
    (
        "ja",
        (
            "'''日本'''（にほん、{{audio|x.ogg|y}}、{{lang-en-short|Japan}}）は、{{読み仮名|国|くに}}。{{"
            "仮リンク|甲|en|A}}"
        ),
        "日本（にほん、Japan）は、国（くに）。甲",
    ),
    (
        "ja",
        ("[[ファイル:a.jpg|サムネイル|説明]]\n* 項目{{要出典範囲|本文|date=2020}}\n[[画像:b.png]]\n[[カテゴリ:X]]"),
        "- 項目本文",
    ),
    (
        "vi",
        (
            "'''Hà Nội''' ({{zh|c=河內|p=Hénèi}}) rộng {{convert|3358|km2|abbr=on}}.{{chú thích web|url=x"
            "}} [[Tập tin:H.jpg|nhỏ|Chữ]]"
        ),
        "Hà Nội (河內; Hénèi) rộng 3358 km².",
    ),
    (
        "vi",
        "{{As of|2011}} có 1,5×10{{sup|9}} người\n==Liên kết ngoài==\n* [http://x y]",
        "Tính đến năm 2011 có 1,5×10⁹ người",
    ),
    (
        "uk",
        (
            "'''Метр''' ({{lang-el|μέτρον}}&nbsp;— міра) з {{дата|1791|3|26}} {{нп|Ціль|показ|en|Target}}"
            " [[Файл:a.jpg|міні|Підпис]] {{s|5 кг}}"
        ),
        "Метр (μέτρον — міра) з 26 березня 1791 показ 5 кг",
    ),
    (
        "uk",
        ("'''а́''' ({{audio|x.ogg}}, {{unknown}}; нар. 1950)\n[[Категорія:Х]]\n[[Зображення:y.png|thumb|z]]"),
        "а́ (нар. 1950)",
    ),
    (
        "ar",
        ("'''برلين''' ({{lang-de|Berlin}}؛ {{unknown}}) هي عاصمة [[ألمانيا]]. [[ملف:B.jpg|تصغير|صورة]] [[تصنيف:مدن]]"),
        "برلين (Berlin) هي عاصمة ألمانيا.",
    ),
    ("ar", "* {{نص عربي|مرحبا}}\n== وصلات خارجية ==\n* [http://x موقع]", "- مرحبا"),
    (
        "fr",
        "{{unité|307|km|2}}, {{nombre|71|sièges}}, {{langue|de|Österreich}}, {{s-|XX}}",
        "307 km², 71 sièges, Österreich, XXe siècle",
    ),
    ("ru", "{{нп5|Цель|показ|de|Ziel}} {{число|5}} [[Изображение:a.jpg|thumb|x]]", "показ 5"),
    ("ltg", "Rakstīņs ({{vol-lv|augi}}, {{Vol-ru|растения}})", "Rakstīņs (augi, растения)"),
]


@pytest.mark.parametrize(("language", "markup", "expected"), LANGUAGES)
def test_a_page_of_each_language_reads_as_its_reader_sees_it(language, markup, expected):
    assert text_of(markup, language) == expected


DATES = [
    ("en", "{{age|1950|5|20}} {{age|1950|5|20|1960|5|20}} {{Years ago|1950}}", "65 10 66"),
    ("en", "{{birth date and age|1950|5|20}}", "May 20, 1950 (age 65)"),
    ("en", "{{birth date and age|df=yes|1950|4|22}}", "22 April 1950 (age 66)"),
    ("en", "{{death date and age|2000|5|20|1950|5|21}}", "May 20, 2000 (aged 49)"),
    (
        "en",
        "{{start date and age|2003|6|26}} {{birth year and age|1950}}",
        "June 26, 2003 (12 years ago) 1950 (age 66)",
    ),
    (
        "en",
        "{{as of|2014|5}} {{As of|2014|5|9|lc=y|df=US}} {{as of|2014|alt=in 2014}}",
        "As of May 2014 as of May 9, 2014 in 2014",
    ),
    ("en", "{{CURRENTYEAR}} {{CURRENTMONTHNAME}} {{CURRENTDAYNAME}} {{LOCALYEAR}}", "2016 April Friday 2016"),
    ("en", '{{#time:j F Y}} {{#time:Y-m-d|2003-06-26}} {{#time: "Y:" y}}', "22 April 2016 2003-06-26 Y: 16"),
    ("en", "a {{#time:xg}}{{#time:Y|tomorrow}}b{{age|x}}c{{birth date and age|circa 1900}}", "a bccirca 1900"),
    ("ja", "{{生年月日と年齢|1950|5|20}}", "1950年5月20日（65歳）"),
    ("zh", "{{start date|2003|6|26}}", "2003年6月26日"),
    (
        "vi",
        "{{ngày sinh và tuổi|1950|5|20}} {{start date|2003|6|26}}",
        "20 tháng 5, 1950 (65 tuổi) 26 tháng 6 năm 2003",
    ),
    (
        "uk",
        "{{дата|1791|3|26}} {{дс|26|3|1791}} {{birth date|1791|3|26}}",
        "26 березня 1791 26 березня 1791 1791-03-26",
    ),
    ("ar", "{{تاريخ الميلاد والعمر|1950|5|20}}", "1950-05-20 (65 سنة)"),
]


@pytest.mark.parametrize(("language", "markup", "expected"), DATES)
def test_what_is_relative_to_today_is_told_as_of_the_revision(language, markup, expected):
    assert text_of(markup, language) == expected


def test_a_time_without_a_rule_shows_nothing():
    assert format_time("Y-m-d", "2016-04-22T10:19:33Z") == "2016-04-22"
    assert format_time("xg", "2016-04-22T10:19:33Z") == ""
    assert format_time("Y", "yesterday") == ""
    assert format_time("Y", "") == ""


def test_functions_choose_between_their_arguments():
    assert (
        text_of("{{#if: x | yes | no }} {{#if: | yes | no }} {{#if:x}}{{#ifeq:a|a|same|other}} {{uc:ab}}")
        == "yes no same AB"
    )


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("{{math|''E'' {{=}} ''mc''<sup>2</sup>}} holds", "E = mc² holds"),
        ("{{nowrap|n {{=}} 12}} people", "n = 12 people"),
        ("{{quote|In 1905 E{{=}}mc2 was found.}}", "In 1905 E=mc2 was found."),
        ("a {{=}} b", "a = b"),
    ],
)
def test_an_equals_sign_by_template_makes_no_key_of_an_argument(markup, expected):
    assert text_of(markup) == expected


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("a {{#tag:poem|Prose}}", "a\n\nProse"),
        ("{{#tag:blockquote|Prose}} b", "Prose\n\nb"),
        ("a {{#tag:Small|Prose}} b", "a Prose b"),
        ("a ({{#tag:ref|A note.}}) b", "a b"),
    ],
)
def test_a_tag_by_function_shows_what_holds_prose(markup, expected):
    assert text_of(markup) == expected


def test_templates_of_cells_show_their_text_or_their_name():
    calls = "{{yes}} {{no}} {{won}} {{nom}} {{partial}} {{n/a}} {{tba}} {{dunno}} {{Yes|Gold}}"
    assert text_of(f"x {calls}") == "x Yes No Won Nominated Partial N/A TBA ? Gold"


def test_the_group_of_the_language_goes_before_the_shared_rows():
    assert TemplateRenderer("uk").render("дата|1791|3|26", Page("", "")) == "26 березня 1791"
    assert TemplateRenderer("en").render("дата|1791|3|26", Page("", "")) == MARK
    assert all(isinstance(name, str) and name == name.lower().strip() for name in templates.SHARED)


def test_arguments_are_told_apart_as_mediawiki_does():
    assert parse_arguments("a| b |k= v |[[x|y]]|[http://x?a=b c]") == (
        ["a", "b", "[[x|y]]", "[http://x?a=b c]"],
        {"k": "v"},
    )
    assert parse_arguments("2=b|a") == (["a", "b"], {})
    assert parse_arguments("k=a=b") == ([], {"k": "a=b"})
    assert parse_arguments("2=b") == (["", "b"], {})
    assert parse_arguments("99=b") == ([], {})


def test_a_sign_of_a_list_in_a_template_s_text_makes_none():
    assert text_of("from {{lang|x-slav|*form}} ({{lang|x-slav|*form}})") == "from *form (*form)"
    assert text_of("{{lang|x-slav|*form}} and") == "*form and"
    assert text_of("list: {{nowrap|\n* a\n* b\n}}") == "list:\n- a\n- b"


def test_dropped_templates_are_counted_by_their_canonical_names():
    markup = "{{Foo_bar|x}} {{ foo  bar }}{{template:foo bar}}<ref>{{in a reference}}</ref>{{#invoke:String|len}}"
    assert dropped_by(markup) == {"foo bar": 3, "#invoke:string": 1}
    assert dropped_by("{{unheardfunction:with text}} {{unheardfunction:with other text}}") == {"unheardfunction:": 2}


@pytest.mark.parametrize(
    "known",
    ["cite web|url=x", "Infobox city|name=x", "reflist", "Main|x", "stub", "Geography stub", "nowrap|x", "DEFAULTSORT:x",
     "disambiguation", "anchor|x", "Navbox|x", "#tag:ref|x"],
)  # fmt: skip
def test_what_a_rule_shows_or_empties_knowingly_is_not_counted(known):
    assert dropped_by(f"a {{{{{known}}}}} b") == ({"stub": 1} if known == "stub" else {})


def test_a_page_of_many_unknown_names_is_counted_within_bounds():
    counts = dropped_by("".join(f"{{{{n{number}}}}}" for number in range(1000)))
    assert len(counts) == MAX_DROPPED_NAMES + 1
    assert counts["..."] == 1000 - MAX_DROPPED_NAMES
    assert dropped_by(f"{{{{{'x' * 500}}}}}") == {"x" * 80: 1}


def test_each_page_has_counts_of_its_own():
    converter = WikitextConverter({}, "en", WIKITEXT)
    assert dict(converter.convert("{{q}}").dropped) == {"q": 1}
    assert dict(converter.convert("a").dropped) == {}


DISAMBIGUATION = [
    ("en", "{{disambiguation}}"), ("en", "{{Hndis|name=x}}"), ("en", "__DISAMBIG__"), ("en", "{{airport disambiguation}}"),
    ("zh", "{{消歧义}}"), ("zh", "{{disambig}}"), ("zh", "__消歧義__"), ("ja", "{{aimai}}"), ("ja", "{{人名の曖昧さ回避}}"),
    ("vi", "{{trang định hướng}}"), ("uk", "{{Багатозначність}}"), ("ar", "{{توضيح}}"), ("de", "{{Begriffsklärung}}"),
    ("fr", "{{homonymie}}"), ("de", "__BEGRIFFSKLÄRUNG__"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "sign"), DISAMBIGUATION)
def test_a_template_or_a_magic_word_makes_a_disambiguation_page(language, sign):
    converted = WikitextConverter({}, language, WIKITEXT).convert(f"Mercury may be:\n* [[A]]\n* [[B]]\n{sign}")
    assert converted.is_disambiguation
    assert converted.text == "Mercury may be:\n- A\n- B"
    assert not converted.dropped


@pytest.mark.parametrize(
    "markup", ["a", "{{disambiguation needed}}", "<nowiki>__DISAMBIG__ {{disambig}}</nowiki>", "<!-- {{disambig}} -->"]
)
def test_other_pages_are_none(markup):
    assert not WikitextConverter({}, "en", WIKITEXT).convert(markup, title="A (disambiguation)").is_disambiguation
