"""The measures of ``python -m bench.wikipedia``, each on text written for it."""

import bz2
import json
import subprocess
from html import unescape
from pathlib import Path

import pytest

from bench.content_values import Paragraphs, missing_values, normalize
from bench.dumps import Article, Dump, read_articles, unpack
from bench.peers import ENVIRONMENTS
from bench.recall import count_kept, grams, letters, lost_sentences, sentences
from bench.repeat import repeated_pages, write_multistream, write_xml
from bench.residue import LITERAL_PROSE, count_literal_marks, count_marks, count_net, list_marks
from bench.speed import speed_row
from bench.wikipedia import measure

HOLE = "\x00"


@pytest.mark.parametrize(
    ("text", "mark", "number"),
    [
        ("see [[Kyiv]]", "[[", 1),
        ("see [[Kyiv]]", "]]", 1),
        ("{{convert|5|km}} and }}", "{{", 1),
        ("{{convert|5|km}} and }}", "}}", 2),
        ("a<br/>b <ref name=x>c</ref>", "<tag", 3),
        ("c < d and <3 or a<-b", "<tag", 0),
        ("''it'' and '''bold'''", "''", 4),
        ("the 'single' quotes", "''", 0),
        ("thumb|left|A cat", "thumb|", 1),
        ("міні|праворуч|Кіт 250px|", "thumb|", 3),
        ("5&nbsp;km &#91; &amp; R&D; &", "&entity;", 3),
        ("Kyiv () and ( ) and （）", "()", 3),
        ("f(x)", "()", 0),
        ("Kyiv (, 1240) and (; born) and （、）", "(,", 3),
        ("|-\n| cell", "|-", 1),
    ],
)
def test_each_pattern_counts_what_it_names(text: str, mark: str, number: int) -> None:
    assert count_marks(text)[mark] == number


def test_clean_prose_has_no_marks() -> None:
    assert count_marks("It's 5 km (3.1 mi) from A|B, a < b, {x} and [1]; AT&T, f(x) = |x|.") == {}


def test_net_takes_off_only_what_the_source_shows_as_it_is_written() -> None:
    markup = "Say <nowiki>[[a]]</nowiki> or <code>f()</code>.<syntaxhighlight lang=c>g(); &lt;&nbsp;</syntaxhighlight>"
    text = "Say [[a]] or f().\ng(); &nbsp; {{left}} [[left]]"
    raw = count_marks(text)
    assert raw == {"[[": 2, "]]": 2, "{{": 1, "}}": 1, "()": 2, "&entity;": 1}
    assert count_net(raw, markup) == {"[[": 1, "]]": 1, "{{": 1, "}}": 1}


def test_entities_are_read_inside_nowiki_and_not_inside_highlighted_source() -> None:
    assert count_literal_marks("<nowiki>&lt;b&gt; &nbsp;</nowiki>") == {"<tag": 1}
    assert count_literal_marks("<syntaxhighlight>&lt;b&gt; &nbsp;</syntaxhighlight>") == {"&entity;": 3}


def test_a_closed_nowiki_hides_nothing() -> None:
    assert count_literal_marks("<nowiki/>[[a]] and [[b]]</nowiki>") == {}


def test_literal_prose_is_taken_off_only_for_the_named_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.residue.LITERAL_PROSE", {("enwiki", "ASCII", "()"): 1})
    assert count_net({"()": 2}, "", "enwiki", "ASCII") == {"()": 1}
    assert count_net({"()": 2}, "", "enwiki", "Kyiv") == {"()": 2}


def test_marks_are_listed_with_what_stands_around_them_and_whether_the_source_has_them() -> None:
    found = list(list_marks("one\ncall f() now; Kyiv () city", "one\ncall f() now; Kyiv ({{lang-uk}}) city", radius=5))
    assert [(mark.name, mark.context, mark.literal) for mark in found] == [
        ("()", "all f() now;", True),
        ("()", "Kyiv () city", False),
    ]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("12,345.5 km²", "123455km2"),
        ("12 345,5 km2", "123455km2"),
        ("−5\u00a0½", "-51/2"),
        ("so\u00adft, end.", "soft,end."),
    ],
)
def test_spaces_and_digit_grouping_make_no_difference(text: str, normal: str) -> None:
    assert normalize(text) == normal


def value(pieces: list[str], anchor: int = 0) -> dict:
    return {"template": "convert", "pieces": pieces, "snippet": "{{convert|…}}", "anchor": anchor}


def test_a_value_counts_only_in_the_paragraph_that_it_stands_in() -> None:
    text = "The river is 1,250 km (780 mi) long.\nThe other river has no bridge."
    anchors = [f"The river is {HOLE} long.", f"The other river has {HOLE} no bridge."]
    row = {"anchors": anchors, "values": [value(["1250"], 0), value(["1250"], 1)]}
    assert missing_values(text, row) == [value(["1250"], 1)]


def test_every_piece_of_a_value_must_be_there() -> None:
    row = {"anchors": [f"The motto reads {HOLE} since then."], "values": [value(["Liberté", "Égalité"])]}
    assert missing_values("The motto reads Liberté since then.", row) == row["values"]
    assert missing_values("The motto reads Liberté, Égalité since then.", row) == []


def test_a_line_of_nothing_but_templates_is_looked_up_in_the_whole_page() -> None:
    row = {"anchors": [f"{HOLE} {HOLE}"], "values": [value(["Київ"])]}
    assert missing_values("One.\nКиїв\nTwo.", row) == []
    assert missing_values("", row) == row["values"]


def test_the_nearest_paragraph_is_found_without_spaces_too() -> None:
    paragraphs = Paragraphs("東京は日本の首都である。\n大阪は日本の都市である。")
    assert list(paragraphs.nearest(f"大阪は{HOLE}日本の都市である。")) == [1]


def test_words_keep_their_vowel_signs_and_lose_their_punctuation() -> None:
    assert letters("it's 5 km² (wide)") == "it s 5 km2  wide "
    assert grams("पुणे, शहर!", "mr") == ["पुणे", "शहर"]
    assert grams("東京は、首都", "ja") == ["東京は首都"]
    assert grams("日本の首都です", "ja") == ["日本の首都", "本の首都で", "の首都です"]


def test_sentences_end_at_their_signs_and_those_with_markup_are_left_out() -> None:
    lines = ["One. Two! Three", "Left {{markup}} here. Good.", "一つ。二つ。"]
    assert list(sentences(lines)) == ["One.", "Two!", "Three", "Good.", "一つ。", "二つ。"]


def test_a_word_is_kept_as_often_as_the_text_has_it() -> None:
    reference = {"lines": [f"the cat saw the dog{HOLE}and the bird."]}
    assert count_kept("The bird: the cat saw", reference, "en") == (4, 8)
    assert count_kept("the cat saw the dog (5 km) and the bird", reference, "en") == (8, 8)
    assert count_kept("", reference, "en") == (0, 8)


def test_a_gap_in_the_source_is_no_loss_in_scripts_without_spaces() -> None:
    reference = {"lines": [f"東京は日本の{HOLE}首都である。"]}
    assert count_kept("東京は日本の（とうきょう）首都である。", reference, "ja") == (3, 3)
    assert count_kept("東京は日本", reference, "ja") == (1, 3)


def test_lost_sentences_say_how_much_of_them_is_gone() -> None:
    reference = {"lines": [f"One two three{HOLE}. Four five six seven. Eight nine."]}
    found = lost_sentences("One two three. Four five six eleven.", reference, "en")
    assert [(sentence.text, sentence.lost, sentence.words) for sentence in found] == [("Four five six seven.", 1, 2)]


def test_a_result_adds_up_the_pages_and_counts_missing_ones() -> None:
    articles = [Article("1", "A", "Five {{convert|5|km}} away"), Article("2", "B", "Gone.")]
    rows = {
        "1": {"lines": [f"Five {HOLE} away"], "anchors": [f"Five {HOLE} away"], "values": [value(["5"])]},
        "2": {"lines": ["Gone."], "anchors": [], "values": []},
    }
    result = measure("ours", Dump("xwiki", "en"), articles, {"1": "Five () away"}, rows)
    assert (result.pages, result.text_bytes, result.kept_words, result.words) == (1, 12, 2, 3)
    assert (result.raw, result.net) == ({"()": 1}, {"()": 1})
    assert (result.values, result.missing) == ({"convert": 1}, {"convert": 1})
    assert result.below() == ["raw", "net", "values", "recall"]
    assert result.row().split() == [
        "xwiki", "ours", "1", "0.00", "83333.33", "83333.33", "0/1", "0.0%", "66.67%",
        "below", "target:", "raw,", "net,", "values,", "recall",
    ]  # fmt: skip


def test_speed_is_told_with_its_ratios() -> None:
    row = speed_row("xwiki", 30.0, {"ours": 1.5, "wikiextractor": 6.0, "mwparserfromhell": 30.0})
    assert row.split() == [
        "xwiki",
        "30.0",
        "20.0",
        "5.0",
        "1.0",
        "4.0",
        "x",
        "wikiextractor,",
        "20.0",
        "x",
        "mwparserfromhell",
    ]


DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">
  <siteinfo><base>https://en.wikipedia.org/wiki/A</base></siteinfo>
  <page>
    <title>A</title><ns>0</ns><id>7</id>
    <revision><id>70</id><text>Alpha &amp; omega</text></revision>
  </page>
  <page>
    <title>B</title><ns>0</ns><id>8</id><redirect title="A" />
    <revision><id>80</id><text>#REDIRECT [[A]]</text></revision>
  </page>
  <page>
    <title>Talk:A</title><ns>1</ns><id>9</id>
    <revision><id>90</id><text>Talk</text></revision>
  </page>
</mediawiki>
"""


def test_articles_are_the_pages_of_namespace_0_that_are_no_redirects(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text(DUMP)
    assert list(read_articles(tmp_path / "x.xml")) == [Article("7", "A", "Alpha & omega")]


def test_a_dump_in_utf_16_is_unpacked_as_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.dumps.UNPACKED", tmp_path / "xml")
    (tmp_path / "wikidumps").mkdir()
    text = '<?xml version="1.0" encoding="UTF-16"?>\n' + DUMP
    (tmp_path / "wikidumps" / "bgwiki.xml.bz2").write_bytes(bz2.compress(text.encode("utf-16")))
    xml = unpack(Dump("bgwiki", "bg"), tmp_path)
    assert xml.read_bytes() == text.replace("UTF-16", "UTF-8").encode()


def test_a_repeated_dump_has_each_page_under_an_id_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text(DUMP)
    size = write_xml(tmp_path / "x.xml", 2, tmp_path / "twice.xml")
    assert size == (tmp_path / "twice.xml").stat().st_size
    assert [article.key for article in read_articles(tmp_path / "twice.xml")] == ["7", "1000000007"]
    (tmp_path / "once.xml").write_bytes(b"".join(repeated_pages(tmp_path / "x.xml", 1)))
    assert (tmp_path / "once.xml").read_text() == DUMP


def test_a_repeated_dump_is_packed_as_streams_of_a_hundred_pages(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text(DUMP)
    size = write_multistream(tmp_path / "x.xml", 50, tmp_path / "x.xml.bz2")
    packed = (tmp_path / "x.xml.bz2").read_bytes()
    plain = bz2.decompress(packed)
    assert len(plain) == size
    assert plain.count(b"<page>") == 150
    head = bz2.BZ2Decompressor()
    assert head.decompress(packed).endswith(b"</siteinfo>\n")
    first = bz2.BZ2Decompressor()
    assert first.decompress(head.unused_data).count(b"</page>") == 100


def test_what_a_page_must_hold_is_read_from_its_source(tmp_path: Path) -> None:
    python = ENVIRONMENTS / "mwparserfromhell" / "bin" / "python"
    if not python.exists():
        pytest.skip("mwparserfromhell is not set up: `python -m bench.wikipedia` does it")
    markup = """'''Aikido''' is {{convert|5|km}} from [[Tokyo|there]].<ref>Not {{val|1}} this</ref>
{{Infobox
| length = {{val|2}}
}}
{| class=wikitext
| cell {{val|3}}
|}
[[File:A.jpg|thumb|Caption {{val|4}}]]
* Item with {{lang|fr|''le mot''}} and {{nowrap|about {{circa|1850}}}}
{{zh|s=汉字|p=hànzì}}, {{formatnum:12345}}, {{lang-de|Wort}}, {{nihongo|Way|道|dō}}, {{transl|ar|ALA|kitāb}}
== See also ==
* [http://example.org One site]
* [http://example.org Other site]
== Notes ==
Last __NOTOC__ words.
"""
    page = f"<page><title>A</title><ns>0</ns><id>1</id><revision><text>{_escaped(markup)}</text></revision></page>"
    (tmp_path / "x.xml").write_text(f"<mediawiki>{page}</mediawiki>", encoding="utf-8")
    command = [str(python.absolute()), "-m", "bench.reference", str(tmp_path / "x.xml"), str(tmp_path / "x.jsonl")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    row = json.loads((tmp_path / "x.jsonl").read_text(encoding="utf-8"))
    lines = [line.replace(HOLE, "□").strip() for line in row["lines"]]
    assert lines == [
        "Aikido is □ from there.",
        "Item with □ and □□□",
        "□, □, □, □, □",
        "Last  words.",
    ]
    assert [(value["template"], value["pieces"], value["anchor"]) for value in row["values"]] == [
        ("convert", ["5"], 0),
        ("lang", ["le mot"], 1),
        ("circa", ["1850"], 1),
        ("zh", ["汉字"], 2),
        ("formatnum", ["12345"], 2),
        ("lang-de", ["Wort"], 2),
        ("nihongo", ["道"], 2),
        ("transl", ["kitāb"], 2),
    ]


def test_each_page_of_literal_prose_has_that_prose_in_its_source(shared_data: Path) -> None:
    """An entry is no excuse for a mark that the converter made: the source must hold as many, outside of code."""
    sources: dict[str, dict[str, str]] = {}
    for (dump, title, mark), number in LITERAL_PROSE.items():
        if dump not in sources:
            with bz2.open(shared_data / "wikidumps" / f"{dump}.xml.bz2") as stream:
                sources[dump] = {article.title: article.markup for article in read_articles(stream)}
        markup = sources[dump][title]
        assert count_marks(unescape(markup))[mark] - count_literal_marks(markup)[mark] >= number, (title, mark)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
