"""Reading MediaWiki exports: what is broken costs itself alone, and is told with its place."""

import io
import random
from collections import Counter

import pytest
from mediawiki_export import export, keys, page, quarantined, read
from reading import reading

from pipelines.readers.compression import DamagedStream
from pipelines.readers.mediawiki import page_parser as mediawiki_xml
from pipelines.readers.mediawiki import pages as mediawiki_pages
from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.records import Quarantined, Record, WrongFormatError


def test_a_run_of_pages_without_a_root_is_read_as_in_a_multistream_dump():
    dump = page(1, "A", "a") + page(2, "B", "b")
    assert keys(read(dump)) == ["1", "2"]
    assert not quarantined(read(dump))
    assert not quarantined(read(dump + "</mediawiki>"))


def test_a_dump_cut_inside_a_page_gives_every_whole_page_and_one_entry_for_the_rest():
    dump = export(page(1, "A", "a"), page(2, "B", "b"), page(3, "C", "c" * 100)).encode()
    start = dump.index(b"<page>\n    <title>C")
    cut = dump[: start + 250]
    items = read(cut)
    assert keys(items) == ["1", "2"]
    assert items[2] == Quarantined(
        locator=f"page 3, byte {start}",
        reason="truncated",
        error=f"The file ends at byte {len(cut)}, inside the page that begins at byte {start}.",
        raw=cut[start:],
    )
    assert len(items) == 3


@pytest.mark.parametrize("ending", ["</mediawiki>\n", "</page>\n</mediawiki>\n", "iki>\n"])
def test_a_dump_cut_anywhere_near_its_end_has_exactly_one_entry(ending):
    items = read(export(page(1, "A", "a"), page(2, "B", "b")).removesuffix(ending))
    assert [item.reason for item in quarantined(items)] == ["truncated"]


def test_an_empty_file_is_one_quarantine_entry():
    assert read(b"") == [Quarantined("byte 0", "truncated", "The file is empty.", b"")]


BROKEN_PAGES = {
    "an unclosed element": ("<text>b", "malformed_xml"),
    "an undefined entity": ("a &nbsp; b", "malformed_xml"),
    "a bare ampersand": ("AT&T", "malformed_xml"),
    "a stray end": ("</page>", "malformed_xml"),
    "a control character": ("a\x01b", "malformed_xml"),
    "a reference to a control character": ("a&#1;b", "malformed_xml"),
    "a reference to a lone surrogate": ("a&#xD800;b", "malformed_xml"),
    "an unescaped tag": ("a <ref>b", "malformed_xml"),
    "an unescaped comparison": ("a < b", "malformed_xml"),
    "an attribute without quotes": ("<a b=c/>", "malformed_xml"),
    "an attribute given twice": ('<a b="c" b="d"/>', "malformed_xml"),
    "an unclosed comment sign": ("<!-- a -- b -->", "malformed_xml"),
    "a processing instruction of the declaration": ("<?xml version='1.0'?>", "malformed_xml"),
    "a document type": ("<!DOCTYPE x>", "malformed_xml"),
    "the end of an unopened section": ("a ]]> b", "malformed_xml"),
}


@pytest.mark.parametrize("name", BROKEN_PAGES)
def test_a_broken_page_costs_itself_alone(name):
    text, reason = BROKEN_PAGES[name]
    dump = export(page(1, "A", "a"), page(2, "B", text), page(3, "C", "c")).encode()
    items = read(dump)
    assert keys(items) == ["1", "3"]
    (entry,) = quarantined(items)
    start = dump.index(b"<page>\n    <title>B")
    assert (entry.locator, entry.reason) == (f"page 2, byte {start}", reason)
    assert entry.raw == dump[start : dump.index(b"<page>\n    <title>C")]


def test_invalid_utf_8_is_named_as_such():
    dump = export(page(1, "A", "a"), page(2, "B", "@@"), page(3, "C", "c")).encode().replace(b"@@", b"\xff\xfe")
    items = read(dump)
    assert keys(items) == ["1", "3"]
    assert [item.reason for item in quarantined(items)] == ["invalid_utf8"]


@pytest.mark.parametrize("chunk_bytes", [64, 100, 333, 1 << 18])
def test_a_page_that_never_ends_is_given_up_at_the_next_one_wherever_chunks_divide(chunk_bytes, monkeypatch):
    monkeypatch.setattr(mediawiki_pages, "CHUNK_BYTES", chunk_bytes)
    unclosed = page(2, "B", "b").partition("    </revision>")[0] + "    </revision>\n"
    items = read(export(page(1, "A", "a"), unclosed, page(3, "C", "c"), page(4, "D", "d")))
    assert keys(items) == ["1", "3", "4"]
    assert [(item.locator.split(",")[0], item.reason) for item in quarantined(items)] == [("page 2", "nested_page")]


def test_the_size_of_chunks_changes_nothing(monkeypatch):
    pages = [page(key, f"T{key}", "&lt;" if key % 7 else "<bad>") for key in range(1, 40)]
    dump = export(*pages)
    whole = read(dump)
    for chunk_bytes in (17, 64, 1000):
        monkeypatch.setattr(mediawiki_pages, "CHUNK_BYTES", chunk_bytes)
        assert read(dump) == whole
    assert Counter(type(item) for item in whole) == {Record: 34, Quarantined: 5}


def test_a_page_without_id_or_title_is_quarantined():
    items = read(export(page(1, "", "a"), page(2, "B", "b").replace("    <id>2</id>\n", "")))
    assert [(type(item), item.reason) for item in items] == [
        (Quarantined, "missing_title"),
        (Quarantined, "missing_id"),
    ]


def test_an_entity_bomb_is_refused_and_the_pages_are_still_read():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>\n'
    items = read(bomb + export(page(1, "A", "a"), page(2, "B", "&b;")))
    assert [getattr(item, "reason", "record") for item in items] == ["entity_declaration", "record", "malformed_xml"]


def test_absurd_nesting_is_refused():
    deep = "<a>" * 10_000 + "</a>" * 10_000
    items = read(export(page(1, "A", "a"), page(2, "B", "b").replace("<ns>", deep + "<ns>"), page(3, "C", "c")))
    assert keys(items) == ["1", "3"]
    assert [item.reason for item in quarantined(items)] == ["nested_too_deep"]


def test_a_page_beyond_the_limit_of_a_record_is_not_gathered_in_memory(monkeypatch):
    monkeypatch.setattr(mediawiki_xml, "MAX_RECORD_BYTES", 10_000)
    monkeypatch.setattr(mediawiki_pages, "CHUNK_BYTES", 1_000)
    items = read(export(page(1, "A", "a"), page(2, "B", "b" * 20_000), page(3, "C", "c"), "<!-- " + "x" * 20_000))
    assert keys(items) == ["1", "3"]
    assert [item.reason for item in quarantined(items)] == ["too_long", "too_long"]


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"<!DOCTYPE html><html><body>x</body></html>", "<html …>"),
        (b"PK\x03\x04\x14\x00", "b'PK"),
        (b'{"text": "a"}\n', 'b\'{"text"'),
        (b"   \n", "b'   "),
    ],
)
def test_what_is_no_export_stops_with_what_was_expected_and_what_was_there(content, got):
    with pytest.raises(WrongFormatError) as raised:
        read(content)
    assert "this is not a MediaWiki XML export" in str(raised.value)
    assert "<mediawiki" in raised.value.expected
    assert raised.value.got.startswith(got)
    assert raised.value.hint


def test_the_index_of_a_multistream_dump_is_told_from_a_dump():
    with pytest.raises(WrongFormatError) as raised:
        read("600:10:AccessibleComputing\n600:12:Anarchism\n")
    assert raised.value.message == "this is the index of a multistream dump, not a dump"
    assert raised.value.got == "'600:10:AccessibleComputing'"
    assert "name only the dump" in raised.value.hint


def test_in_a_part_of_a_dump_places_are_told_of_the_file():
    dump = export(page(1, "A", "a"), page(2, "B", "<b"), page(3, "", "c")).encode()
    begin = dump.index(b"<page>\n    <title>B")
    head = dump[: dump.index(b"<page>")]
    place = {"begin": begin, "head_bytes": len(head)}
    whole = read(dump)
    part = list(read_mediawiki(io.BytesIO(head + dump[begin:]), reading(language="uk", **place)))
    assert part == whole[1:]
    assert quarantined(part)[0].locator == f"page 2, byte {begin}"
    packed = list(read_mediawiki(io.BytesIO(head + dump[begin:-80]), reading(language="uk", packed=True, **place)))
    assert quarantined(packed)[0].locator == f"page 2, byte 0 of the stream at compressed byte {begin}"
    assert quarantined(packed)[1].error.startswith(f"The file ends at byte {len(dump) - begin - 80} of the stream at")


class DamagedFile(io.BytesIO):
    """Good bytes, then what a damaged compressed file does."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise DamagedStream("the bz2 stream breaks off", self.tell())
        return data


def test_a_damaged_archive_gives_its_whole_pages_and_one_entry():
    dump = export(page(1, "A", "a"), page(2, "B", "b" * 50)).encode()
    items = list(read_mediawiki(DamagedFile(dump[:-80]), reading(language="uk")))
    assert keys(items) == ["1"]
    assert [(item.reason, item.locator.split(",")[0]) for item in quarantined(items)] == [("damaged", "page 2")]


def test_a_few_hundred_mutated_dumps_never_crash_and_never_lose_the_last_page_silently():
    draw = random.Random(7)
    dump = export(*(page(key, f"T{key}", "&lt;b&gt; text ''x''") for key in range(1, 9))).encode()
    body = dump.index(b"<page>")
    for _ in range(300):
        mutated = bytearray(dump)
        for _ in range(draw.randrange(1, 6)):
            place = draw.randrange(body, len(mutated))
            if draw.random() < 0.5:
                mutated[place] = draw.choice(b"<>&/\"'a\xff\x00")
            else:
                del mutated[place : place + draw.randrange(1, 30)]
        items = read(bytes(mutated))
        assert items
        assert quarantined(items) or len(items) >= bytes(mutated).count(b"<page>")
