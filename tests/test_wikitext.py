"""Wikitext in, plain text out: each construct written out, in English; see ``test_wikitext_languages`` for others."""

import bz2
from pathlib import Path

import pytest
from reading import WIKITEXT, reading

from pipelines.readers.mediawiki.marks import hide, reveal
from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.mediawiki.wikitext import WikitextConverter
from pipelines.readers.records import Record


def text_of(markup: str, language: str = "en") -> str:
    converter = WikitextConverter({}, language, WIKITEXT)
    return converter.to_text(markup, timestamp="2016-04-22T10:19:33Z", title="Title")


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
    "A(<ref>x</ref>) (b<ref>x</ref>), (c, <ref name=a/>), (<ref>x</ref>; d)": "A (b), (c), (d)",
    "a {{x}}, {{x}}. B": "a. B",
    "A (, 1850) and (; b) but f(, x)": "A (1850) and (b) but f(, x)",
    "Тонкс() та eval()": "Тонкс та eval()",
    "call printf() and f(x, ) here": "call printf() and f(x, ) here",
    "name () was": "name was",
    "日本（{{x}}、東京）は「{{x}}」": "日本（東京）は",
}


@pytest.mark.parametrize("markup", HOLES)
def test_what_a_dropped_template_leaves_behind_is_closed_up(markup):
    assert text_of(markup) == HOLES[markup]


# Markup, code and punctuation, each as it stands between tags whose content is shown as it is written.
FRAGMENTS = """
printf("%s") ;; a[[1]] ;; {{{x}}} ;; {{name|arg}} ;; [[File:x.jpg|thumb|y]] ;; ''two'' ;; '''three'''
;; <b>tag</b> ;; <br> ;; {| class=x ;; |} ;; |- ;; -{a}- ;; &lt;x&amp; ;; __NOTOC__ ;; __init__ ;; if (a<b) {}
;; == no heading == ;; * no item ;; # no number ;; : no indent ;; ; no term ;; ---- ;; ~~~~ ;; [http://x y]
;; http://x.org ;; () ;; (, ) ;; f() ;; a  b ;; {{ ;; }} ;; [[ ;; ]] ;; {{!}} ;; x|y ;; $a[b]{c} ;; (; b) ;; „“
;; #REDIRECT [[x]] ;; <!-- no comment --> ;; <ref>no reference</ref> ;; a_b-c!d:e;f=g#h*i ;; <gallery> ;; 文（）字
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x <nowiki>", "</nowiki> y"),
        ("x <code><nowiki>", "</nowiki></code> y"),
        ("* x <NOWIKI >", "</nowiki > y"),
        ("x\n<pre>", "</pre>\ny"),
        ("x\n<syntaxhighlight lang=c>\n", "\n</syntaxhighlight>\ny"),
        ("x <syntaxhighlight lang=c inline>", "</syntaxhighlight> y"),
        ("x\n<source lang=c>\n", "\n</source>\ny"),
    ],
)
def test_literal_fragments_survive_unchanged(before, after):
    fragments = [fragment.strip() for fragment in FRAGMENTS.replace("\n", " ").split(";;")]
    assert len(fragments) == 45
    for fragment in fragments:
        # MediaWiki reads entities there, so a literal ampersand is written as one.
        assert fragment in text_of(f"{before}{fragment.replace('&', '&amp;')}{after}")
        assert text_of(f"<nowiki>{fragment.replace('&', '&amp;')}</nowiki>") == fragment


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("a [[A|b|c]] d", "a b|c d"),
        ("[[A: B|b|c]]", "b|c"),
        ("[[A||b]]", "b"),
        ("[[File:A.jpg|thumb|c]]d", "d"),
    ],
)
def test_a_link_shows_all_that_stands_behind_its_first_pipe(markup, expected):
    assert text_of(markup) == expected


def test_text_behind_a_rule_is_shown():
    assert text_of("a\n---- Text after a rule\n------\nb") == "a\nText after a rule\nb"


def test_empty_brackets_go_with_the_spaces_before_them():
    assert text_of("a \t( ) b (), Київ() f() ( )") == "a b, Київ f()"


def test_code_and_formulas_keep_their_brackets_and_signs():
    code = 'printf("%s") ;; a[1] ;; f () ;; (, x) ;; *p++ ;; x|y ;; #!/bin/sh ;; a  b ;; __init__ ;; {x: 1} ;; = ;; a_b'
    for fragment in code.split(" ;; "):
        assert text_of(f"x <code>{fragment}</code> y") == f"x {fragment} y"
    for formula in (r"\frac{a}{b}", "f()", "a_{1}^{2}", "[[x]]", "|x|", "''f''(x)", "x < y", "&", "(, )"):
        assert text_of(f"x <math>{formula}</math> y") == f"x {formula} y"
    # MediaWiki does read links and templates inside <code>.
    assert text_of("<code>[[a|b]] {{nowrap|c}}</code>") == "b c"
    # Doubled braces would be taken for a template by whatever reads the text next; TeX does not mind the space.
    assert text_of("<math>{{a}}</math>") == "{ {a} }"


def test_hiding_is_undone_for_every_character():
    text = "".join(map(chr, range(9, 127))).replace("\x0b", "").replace("\x0c", "")
    text = "".join(char for char in text if char in "\t\n" or char >= " ")
    assert reveal(hide(text)) == text
    assert not set(hide("[]{}|'<>=*#:;!-_&\n() \t")) & set("[]{}|'<>=*#:;!-_&\n() \t")


def test_names_from_siteinfo_drop_files_that_the_built_in_list_does_not_know():
    markup = "a [[Faoil:x|thumb|caption]] [[Roinn:b]] {{Teimpléad:nowrap|c}}"
    assert text_of(markup) == "a caption Roinn:b"
    converter = WikitextConverter({6: ["Faoil"], 14: ["Roinn"], 10: ["Teimpléad"]}, "ga", WIKITEXT)
    assert converter.to_text(markup) == "a c"


UNCLOSED = {
    "{{unclosed|a\n\nprose goes on": "prose goes on",
    "start {{nowrap|a [[b|c]] d": "start a c d",
    "[[File:x.jpg|thumb|a caption\nprose goes on": "prose goes on",
    "[[link|label and more": "label and more",
    "a <ref name=x\nb <br\nc </small": "a\nb\nc",
    "if a <b\nor <x=1": "if a <b\nor <x=1",
    "a <ref>never closed, so shown": "a never closed, so shown",
    "{{a|{{b|{{c\n\nprose": "prose",
}


@pytest.mark.parametrize("markup", UNCLOSED)
def test_what_is_never_closed_costs_little(markup):
    assert text_of(markup) == UNCLOSED[markup]


def test_a_template_that_runs_over_headings_is_taken_for_unclosed():
    prose = "Prose of the first section. " * 100
    assert text_of(f"{{{{infobox|a=b\n\n{prose}\n== Next ==\nmore }}}}").startswith("Prose of the first section.")


def test_the_worked_example_of_the_module_is_true():
    markup = (
        "Aikido ({{IPA-ja|a.i.ki.doː}}; {{audio|a.ogg}})<ref>x</ref> is ''[[Budo|budō]]'', "
        "{{cvt|5|km}} <nowiki>[[1]]</nowiki>"
    )
    assert text_of(markup) == "Aikido ([a.i.ki.doː]) is budō, 5 km [[1]]"


def test_real_pages_hold_almost_no_markup(shared_data: Path):
    with bz2.open(shared_data / "wikidumps" / "enwiki-2016-sample.xml.bz2") as stream:
        texts = [item.text for item in read_mediawiki(stream, reading(language="en")) if isinstance(item, Record)]
    num_signs = sum(
        text.count(sign) for text in texts for sign in ("[[", "]]", "{{", "}}", "{|", "|}", "<ref", "<br", "thumb|")
    )
    assert num_signs == 0
    assert sum(map(len, texts)) > 2_800_000
