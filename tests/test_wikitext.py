"""Wikitext in, plain text out: each construct written out, in six languages; nothing crashes, nothing is quadratic."""

import bz2
import random
import time
from pathlib import Path

import pytest

from pipelines.readers import templates
from pipelines.readers.mediawiki import read_mediawiki
from pipelines.readers.records import Record
from pipelines.readers.templates import Page
from pipelines.readers.wikitext import WikitextConverter
from pipelines.readers.wikitext_calls import TemplateRenderer, parse_arguments
from pipelines.readers.wikitext_marks import MARK, hide, reveal


def text_of(markup: str, language: str = "en") -> str:
    return WikitextConverter({}, language).to_text(markup, timestamp="2016-04-22T10:19:33Z", title="Title")


CONSTRUCTS = {
    "bold and italic": ("'''bold''' ''it'' '''''both'''''", "bold it both"),
    "apostrophe before italic": ("l'''Aperçu'' et d'un", "l'Aperçu et d'un"),
    "link": (
        "[[Paris]] [[Paris|the city]] [[bus]]es [[#History|below]] [[:Category:X]]",
        "Paris the city buses below Category:X",
    ),
    "file with a caption that holds links": ("a\n[[File:x.jpg|thumb|left|see [[b|c]] and [[d]]]]\ne", "a\ne"),
    "file of another wiki's namespace": ("a [[Datei:x.png|mini|Text]] b", "a b"),
    "media known by its extension only": ("a [[Xyz:pic.SVG|20px|cap]] b", "a b"),
    "category and language link": ("a\n[[Category:X|k]]\n[[fr:Y]]\n[[zh-min-nan:Y]]", "a"),
    "link to a sister project": ("[[wikt:foo|foo]] [[s:bar|bar]]", "foo bar"),
    "external link": (
        "see [http://x.org/a?b=[c the site] or [https://y.org].",
        "see [http://x.org/a?b=[c the site] or.",
    ),
    "external link with brackets": ("[http://x.org The paper [PDF] here]", "The paper [PDF] here"),
    "reference": ('a<ref>{{cite web|url=x}} [[b]]</ref>, b<ref name="x" />.<REF name=y>z</REF>', "a, b."),
    "comment": ("a<!-- [[b]] {{c}} --> d<!-- unclosed", "a d"),
    "gallery, timeline, map": ("a\n<gallery>\nFile:x.jpg|b\n</gallery>\n<timeline>x</timeline>\nc", "a\n\nc"),
    "table": ("a\n{| class=x\n|-\n| b || {|\n| c\n|}\n|}\nd", "a\n\nd"),
    "table never closed": ("a\n{| class=x\n! h\n| b\n\nprose goes on", "a\n\nprose goes on"),
    "HTML table in a table": ("a <TABLE><tr><td><table><tr><td>x</td></tr></table>y</td></tr></TABLE> b", "a b"),
    "list": (
        "intro:\n* one\n** two\n# three\n: indented\n; term\n*: more",
        "intro:\n- one\n- two\n- three\nindented\nterm\nmore",
    ),
    "HTML list": ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
    "item emptied by a template": ("* {{cite book|title=x}}\n* kept", "- kept"),
    "headings": ("== A ==\n=== B ===\ntext\n== Empty ==\n== C ==\nmore", "A\n\nB\n\ntext\n\nC\n\nmore"),
    "heading without text": ("text\n== See also ==\n{{portal|x}}\n[[Category:Y]]", "text"),
    "section of links": (
        "text\n== External links ==\n* [http://x x]\n=== Sub ===\ny\n== After ==\nz",
        "text\n\nAfter\n\nz",
    ),
    "paragraphs": ("a\nb\n\n\n\nc", "a\nb\n\nc"),
    "break and blockquote": ("a<br />b<blockquote>c</blockquote>d", "a\nb\n\nc\n\nd"),
    "tags that are none": ('if x <y and z> 0, <code>x</code> <span style="a">s</span>', "if x <y and z> 0, x s"),
    "powers": ("10<sup>−6</sup> m<sup>2</sup> H<sub>2</sub>O 1<sup>st</sup>", "10⁻⁶ m² H2O 1st"),
    "formula": ("<math>\\frac{a}{{b}}</math> and <chem>H2O</chem>", "\\frac{a}{ {b} } and H2O"),
    "entities": (
        "a&nbsp;b &amp; &lt;c&gt; &#91;&#91;d]] &mdash; &nosuch; AT&T; x&shy;y",
        "a b & <c> [[d — &nosuch; AT&T; xy",
    ),
    "entity at the start of a line": ("&#42; no list\n&#61;= no heading ==", "* no list\n== no heading =="),
    "magic words": ("__NOTOC__a __KEIN_INHALTSVERZEICHNIS__b __init__ {{DEFAULTSORT:x}}", "a b __init__"),
    "hidden sort key": ('<span style="display:none">00</span>visible', "visible"),
    "parameter with default": ("{{{name|Default}}} {{{empty}}}x", "Default x"),
    "code block": (
        "a\n<syntaxhighlight lang=c>\nint a[[1]];\n* b;\n</syntaxhighlight>\nc",
        "a\n\nint a[[1]];\n* b;\n\nc",
    ),
    "rule": ("a\n----\nb", "a\nb"),
    "stray signs": ("a }} b ]] c |} d", "a b c d"),
}


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_a_construct_shows_what_a_reader_sees(name):
    markup, expected = CONSTRUCTS[name]
    assert text_of(markup) == expected


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
    "{{as of|2014|5|lc=y}} {{As of|2014}}": "as of 2014-05 As of 2014",
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
        "2003-06-26 February 2 [O.S. January 20] 1905"
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


HOLES = {
    "A ({{x}}) b": "A b",
    "A ({{x}}; b, {{x}}, c) d": "A (b, c) d",
    "A ({{x}} b) d": "A (b) d",
    "A (b {{x}}) d": "A (b) d",
    "A (b ({{x}}) c) d": "A (b c) d",
    "A ({{x}}, -5 to 3) d": "A (-5 to 3) d",
    "A {{x}}, b {{x}}. C": "A, b. C",
    "a, {{x}}, b": "a, b",
    "{{x}}, text": "text",
    "a {{x}} b": "a b",
    "{{x}}{{x}} {{x}}": "",
    "call printf() and f(x, ) here": "call printf() and f(x, ) here",
    "name () was": "name was",
    "日本（{{x}}、東京）は「{{x}}」": "日本（東京）は",
}


@pytest.mark.parametrize("markup", HOLES)
def test_what_a_dropped_template_leaves_behind_is_closed_up(markup):
    assert text_of(markup) == HOLES[markup]


FRAGMENTS = """
printf("%s") ;; a[[1]] ;; {{{x}}} ;; {{name|arg}} ;; [[File:x.jpg|thumb|y]] ;; ''two'' ;; '''three'''
;; <b>tag</b> ;; <br> ;; {| class=x ;; |} ;; |- ;; -{a}- ;; &lt;x&amp; ;; __NOTOC__ ;; __init__
;; == no heading == ;; * no item ;; # no number ;; : no indent ;; ; no term ;; ---- ;; ~~~~ ;; [http://x y]
;; http://x.org ;; () ;; (, ) ;; f() ;; a  b ;; {{ ;; }} ;; [[ ;; ]] ;; {{!}} ;; x|y ;; $a[b]{c}
;; #REDIRECT [[x]] ;; <!-- no comment --> ;; <ref>no reference</ref> ;; a_b-c!d:e;f=g#h*i
"""


def test_forty_literal_fragments_in_nowiki_survive_unchanged():
    fragments = [fragment.strip() for fragment in FRAGMENTS.replace("\n", " ").split(";;")]
    assert len(fragments) == 40
    for fragment in fragments:
        # MediaWiki reads entities inside nowiki, so a literal ampersand is written as one.
        literal = fragment.replace("&", "&amp;")
        assert text_of(f"before <nowiki>{literal}</nowiki> after") == f"before {fragment} after"
        assert text_of(f"<nowiki>{literal}</nowiki>") == fragment


def test_hiding_is_undone_for_every_character():
    text = "".join(map(chr, range(9, 127))).replace("\x0b", "").replace("\x0c", "")
    text = "".join(char for char in text if char in "\t\n" or char >= " ")
    assert reveal(hide(text)) == text
    assert not set(hide("[]{}|'<>=*#:;!-_&\n() \t")) & set("[]{}|'<>=*#:;!-_&\n() \t")


def test_names_from_siteinfo_drop_files_that_the_built_in_list_does_not_know():
    markup = "a [[Faoil:x|thumb|caption]] [[Roinn:b]] {{Teimpléad:nowrap|c}}"
    assert text_of(markup) == "a caption Roinn:b"
    converter = WikitextConverter({6: ["Faoil"], 14: ["Roinn"], 10: ["Teimpléad"]}, "ga")
    assert converter.to_text(markup) == "a c"


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


UNCLOSED = {
    "{{unclosed|a\n\nprose goes on": "prose goes on",
    "start {{nowrap|a [[b|c]] d": "start a c d",
    "[[File:x.jpg|thumb|a caption\nprose goes on": "prose goes on",
    "[[link|label and more": "label and more",
    "a <ref>never closed, so shown": "a never closed, so shown",
    "{{a|{{b|{{c\n\nprose": "prose",
}


@pytest.mark.parametrize("markup", UNCLOSED)
def test_what_is_never_closed_costs_little(markup):
    assert text_of(markup) == UNCLOSED[markup]


def test_a_template_that_runs_over_headings_is_taken_for_unclosed():
    prose = "Prose of the first section. " * 100
    assert text_of(f"{{{{infobox|a=b\n\n{prose}\n== Next ==\nmore }}}}").startswith("Prose of the first section.")


REPEATED = [
    "{{ x", "[[ x", "\n{| x", "}}", "]]", "({{x}}", "<ref>", "<ref ", "<div style='display:none'>a", "'''",
    "[http://a [", "-{a", "-{a-{b}-", "{{{a", "<a ", "&", "\n==a", "[[File:a.jpg|b", "<!-- x", "{{lang|a|[[", "__A",
    "( ;{{x}}", "{{lang|a|", "\n|}", "<math>x</math>(", "x{|", "[[a|", "{{nowrap|", "<table>", ",{{x}}", "{{x}} ",
    "\n*", "= ", "\n=", "(a{{x}},", " 	",
]  # fmt: skip


@pytest.mark.parametrize("sign", REPEATED)
def test_a_repeated_sign_costs_time_in_proportion_to_its_length(sign):
    started = time.process_time()
    text_of(sign * (100_000 // len(sign)))
    # Linear passes need 0.01-0.1 s; a quadratic one needed 74 s on four times as much.
    assert time.process_time() - started < 2


def test_hundreds_of_mutated_pages_never_crash():
    draw = random.Random(3)
    seeds = [markup for markup, _ in CONSTRUCTS.values()] + list(VALUES) + [markup for _, markup, _ in LANGUAGES]
    signs = [
        "{{",
        "}}",
        "[[",
        "]]",
        "{|",
        "|}",
        "|",
        "<ref>",
        "</ref>",
        "<nowiki>",
        "\n",
        "''",
        "<!--",
        "-->",
        "{{{",
        "}}}",
        "(",
        ")",
        "=",
        "-{",
        "}-",
    ]
    for _ in range(400):
        page = list("\n".join(draw.sample(seeds, 12)))
        for _ in range(draw.randrange(1, 60)):
            place = draw.randrange(len(page))
            if draw.random() < 0.6:
                page.insert(place, draw.choice(signs))
            else:
                del page[place : place + draw.randrange(1, 4)]
        shown = text_of("".join(page), draw.choice(["en", "zh", "uk"]))
        assert MARK not in shown
        assert "\n\n\n" not in shown or "<syntaxhighlight" in "".join(page)
        assert shown == shown.strip()


def test_the_worked_example_of_the_module_is_true():
    markup = (
        "Aikido ({{IPA-ja|a.i.ki.doː}}; {{audio|a.ogg}})<ref>x</ref> is ''[[Budo|budō]]'', "
        "{{cvt|5|km}} <nowiki>[[1]]</nowiki>"
    )
    assert text_of(markup) == "Aikido ([a.i.ki.doː]) is budō, 5 km [[1]]"


def test_real_pages_hold_almost_no_markup(shared_data: Path):
    with bz2.open(shared_data / "wikidumps" / "enwiki-2016-sample.xml.bz2") as stream:
        texts = [item.text for item in read_mediawiki(stream, "en") if isinstance(item, Record)]
    num_signs = sum(
        text.count(sign) for text in texts for sign in ("[[", "]]", "{{", "}}", "{|", "|}", "<ref", "<br", "thumb|")
    )
    assert num_signs == 0
    assert sum(map(len, texts)) > 2_800_000
