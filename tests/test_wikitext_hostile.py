"""Pages that somebody broke, and pages made to break readers: nothing crashes, hangs, or leaves signs of the passes."""

import dataclasses
import io
import random
import resource
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from reading import WIKITEXT, reading

from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.mediawiki.wikitext import WikitextConverter
from pipelines.readers.records import Quarantined, ReadContext, Record, Skipped

ROWS = dataclasses.replace(WIKITEXT, tables="rows", infoboxes="rows", headings="markdown")

# Each is repeated up to 100,000 signs. What is nested, unclosed or closed too often must cost time in proportion to it.
REPEATED = (
    "{{ x", "[[ x", "\n{| x", "}}", "]]", "({{x}}", "<ref>", "<ref ", "<div style='display:none'>a", "'''",
    "[http://a [", "-{a", "-{a-{b}-", "{{{a", "<a ", "&", "\n==a", "[[File:a.jpg|b", "<!-- x", "{{lang|a|[[", "__A",
    "( ;{{x}}", "{{lang|a|", "\n|}", "<math>x</math>(", "x{|", "[[a|", "{{nowrap|", "<table>", ",{{x}}", "{{x}} ",
    "\n*", "= ", "\n=", "(a{{x}},", " \t", "{{", "[[", "{|", "-{", "\n{|", "-{zh-cn:", "{{infobox a|b=", "{{#if:x|",
    "<code>", "<code>x", "<br", "<ref a=b ", "<span a='", "( , x", "{{x|\n|a=b\n|", "\n{|\n|", "|}\n|}", "{{{{{{",
    "\n|-\n|colspan=999 rowspan=999|a", "\n{|\n|colspan=99|a\n|}", "<tr><td>", "{{{!}}", "-{{{", "[[File:", "{{a:",
    "\n|colspan=", "<nowiki>", "<nowiki/>", "''", "{{formatnum:", "&amp;", "&#42;", "{{lang|x|*", "\n;:", "(;", "()",
    "\n| style=a",
)  # fmt: skip
# Runs of one sign, alone and as the one long line of a page that also holds what calls a pattern.
_SIGNS = " \n\t'=:-_&<["
RUNS = (
    *(sign * 200_000 for sign in _SIGNS),
    *(f"(a{sign * 200_000}b ()" for sign in _SIGNS),
    f"{{|\n| a={' ' * 200_000}b || style={' ' * 200_000}",
    f"{'-' * 200_000} x",
)

RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_wikitext_hostile import REPEATED, ROWS, RUNS
from reading import WIKITEXT
from pipelines.readers.mediawiki.wikitext import WikitextConverter
for settings in (WIKITEXT, ROWS):
    for language in ("en", "zh"):
        converter = WikitextConverter({}, language, settings)
        for page in (*(sign * (100_000 // len(sign)) for sign in REPEATED), *RUNS):
            sys.stdout.write(f"{page[:9]!r}\\n")
            sys.stdout.flush()
            assert len(converter.to_text(page, "2016-04-22T10:19:33Z", "T")) <= 8 * len(page)
sys.stdout.write("done\\n")
"""
# All of them take some 12 s; one quadratic pass over one of them takes more than that alone.
MAX_CPU_SECONDS = 120


def test_absurd_nesting_and_repetition_end_in_time():
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS)),
    )
    last = done.stdout.strip().rpartition("\n")[2]
    assert (done.returncode, last) == (0, "done"), done.stderr


def test_a_redirect_with_a_run_of_spaces_ends_in_time():
    # Where two parts of a pattern may share the spaces, the time grows with the square of their number.
    page = f"<page><title>A</title><id>1</id><revision><text>#redirect{' ' * 1_000_000}x</text></revision></page>"
    xml = f"<mediawiki>{page}</mediawiki>"
    (record,) = read_mediawiki(io.BytesIO(xml.encode()), reading())
    assert isinstance(record, Record)
    assert record.text == "- redirect x"


@pytest.mark.parametrize("sign", ["{{", "[[", "{|", "-{"])
def test_a_hundred_thousand_openings_lose_nothing_of_what_stands_around_them(sign):
    shown = WikitextConverter({}, "zh", WIKITEXT).to_text(f"before\n\n{sign * 100_000}\n\nafter")
    assert shown.startswith("before")
    assert shown.endswith("after")


#: Small articles, written for this test, that hold every construct.
PAGES = (
    "'''Aikido''' ({{Nihongo|'''Aikido'''|合気道|Aikidō}}; {{IPA-ja|a.i.ki.doː}})<ref name=a>{{cite web|url=x}}</ref> is "
    "a ''[[Budo|budō]]''. [[File:a.jpg|thumb|see [[b|c]]]]\n== History ==\n* one{{citation needed}}\n** {{convert|5|km}}\n"
    '{| class="wikitable"\n! a !! b\n|-\n| c || {{val|5}}\n|}\n== External links ==\n* [http://x.org x]\n[[Category:A]]',
    "{{Infobox city\n| name = [[B]]\n| pop = {{formatnum:5}}\n| map = [[File:a.png]]\n}}\n'''B''' <code>f(x)</code> "
    "<nowiki>[[1]]</nowiki> <math>\\frac{a}{b}</math> 10<sup>-6</sup> &lt;b&gt; __NOTOC__ {{DEFAULTSORT:b}}\n<gallery>\n"
    "File:x.jpg|y\n</gallery>\n<!-- note -->\n{{quote|text=Words|author=A}}\n{{disambiguation}}",
    "'''柏林'''（{{lang-de|Berlin}}，{{audio|a.ogg}}）是-{zh-hans:计算机;zh-hant:電腦}-「{{未知}}」。[[文件:B.jpg|缩略图|图]]\n"
    "== 外部链接 ==\n* [http://x 站]\n[[分类:人]]",
    "'''Метр''' ({{lang-el|μέτρον}}&nbsp;— міра) з {{дата|1791|3|26}}, {{нп|Ціль|показ|en|T}}<ref>{{книга|автор=А}}</ref>\n"
    "<table><tr><td colspan=2>[[a]]</td></tr></table>\n# {{s|5 кг}}\n: відступ\n----\n{{{параметр|так}}}",
    "{| \n|-\n! h\n{|\n| inner || [[a|b]]\n|}\n| c<br />d\n|}\n<syntaxhighlight lang=c>\nint a[[1]];\n</syntaxhighlight>\n"
    "{{plainlist|\n* a\n* {{nowrap|b}}\n}}\n-{A|zh-cn:a;zh-tw:b}- [//y z] '''''e'''''",
)
SIGNS = (
    "{{", "}}", "[[", "]]", "{|", "|}", "|-", "|", "||", "!", "<ref>", "</ref>", "<nowiki>", "</nowiki>", "\n", "''", "'''",
    "<!--", "-->", "{{{", "}}}", "(", ")", "=", "-{", "}-", "<table>", "</table>", "<code>", "</code>", "<math>", "&", ";",
    "&#x41;", "__", "*", ":", "#", "<", ">", "[http://a ", "]", "<br", "\n== x ==\n", "colspan=99", "{{infobox|", "\u200e",
)  # fmt: skip
NUM_MUTATED = 10_000
# What the passes use among themselves; a tab stands between the cells of a row.
CONTROLS = frozenset(map(chr, (*range(9), *range(11, 32))))


def mutated(draw: random.Random) -> str:
    """One of the pages with 1 to 20 changes: a cut, a doubled or moved piece, a sign put in, two pages mixed."""
    page = draw.choice(PAGES)
    for _ in range(draw.randrange(1, 21)):
        start = draw.randrange(len(page) + 1)
        end = min(start + draw.randrange(1, 40), len(page))
        piece, kind = page[start:end], draw.random()
        if kind < 0.5:
            page = page[:start] + draw.choice(SIGNS) + page[start:]
        elif kind < 0.7:
            page = page[:start] + page[end:]
        elif kind < 0.8:
            page = page[:end] + piece + page[end:]
        elif kind < 0.9:
            page, place = page[:start] + page[end:], draw.randrange(len(page) + 1)
            page = page[:place] + piece + page[place:]
        else:
            page = page[:start] + draw.choice(PAGES)[start:end] + page[end:]
    return page


def as_dump(pages: list[str]) -> bytes:
    body = "".join(
        f"<page><title>T{key}</title><ns>0</ns><id>{key}</id><revision><id>{key}</id><timestamp>2016-04-22T10:19:33Z"
        f"</timestamp><text>{escape(page)}</text></revision></page>\n"
        for key, page in enumerate(pages, 1)
    )
    return f"<mediawiki>\n{body}</mediawiki>\n".encode()


def test_ten_thousand_mutated_pages_each_become_one_item_without_signs_of_the_passes():
    draw = random.Random(3)
    contexts: list[ReadContext] = [
        dataclasses.replace(reading(language=language), wikitext=settings)
        for language, settings in (("en", WIKITEXT), ("zh", ROWS), ("uk", WIKITEXT), ("ja", ROWS))
    ]
    num_records = 0
    for context in contexts:
        pages = [mutated(draw) for _ in range(NUM_MUTATED // len(contexts))]
        items = list(read_mediawiki(io.BytesIO(as_dump(pages)), context))
        assert len(items) == len(pages)
        for item, page in zip(items, pages, strict=True):
            if isinstance(item, Skipped):
                assert item.reason in ("empty", "redirect"), page
                continue
            assert isinstance(item, Record), page
            num_records += 1
            assert item.text.strip() == item.text != "", page
            assert not CONTROLS & set(item.text), page
    assert num_records > 0.97 * NUM_MUTATED  # the others: an unclosed comment or table took all of it


def test_mutated_dumps_lose_no_page_silently():
    draw = random.Random(7)
    for _ in range(100):
        dump = bytearray(as_dump([mutated(draw) for _ in range(8)]))
        begin = dump.index(b"<page>")
        for _ in range(draw.randrange(1, 6)):
            place = draw.randrange(begin, len(dump))
            if draw.random() < 0.5:
                dump[place] = draw.choice(b"<>&/\"'a\xff\x00")
            else:
                del dump[place : place + draw.randrange(1, 30)]
        items = list(read_mediawiki(io.BytesIO(bytes(dump)), reading(language="en")))
        assert any(isinstance(item, Quarantined) for item in items) or len(items) >= bytes(dump).count(b"<page>")
