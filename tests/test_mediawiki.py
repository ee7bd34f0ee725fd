"""Reading MediaWiki exports: every page is a record, a counted skip, or a quarantine entry."""

import bz2
import io
import lzma
import random
from collections import Counter
from pathlib import Path

import pytest

from pipelines.readers import mediawiki_pages
from pipelines.readers.compression import DamagedStream
from pipelines.readers.mediawiki import page_url, read_mediawiki
from pipelines.readers.records import Item, Quarantined, Record, Skipped
from pipelines.spine.errors import CorpusmillError

SITEINFO = """  <siteinfo>
    <base>https://uk.wikipedia.org/wiki/%D0%93%D0%BE%D0%BB%D0%BE%D0%B2%D0%BD%D0%B0</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Медіа</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">Світлина</namespace>
      <namespace key="10" case="first-letter">Шаблон</namespace>
    </namespaces>
  </siteinfo>
"""


def page(key: int, title: str, text: str, namespace: int = 0, extra: str = "") -> str:
    return f"""  <page>
    <title>{title}</title>
    <ns>{namespace}</ns>
    <id>{key}</id>{extra}
    <revision>
      <id>{key + 1000}</id>
      <timestamp>2023-05-01T12:00:00Z</timestamp>
      <contributor><username>A</username><id>7</id></contributor>
      <model>wikitext</model>
      <text bytes="3" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


def export(*pages: str, siteinfo: str = SITEINFO, version: str = "0.11") -> str:
    body = siteinfo + "".join(pages)
    return (
        f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" version="{version}">\n{body}</mediawiki>\n'
    )


def read(dump: str | bytes, language: str = "uk") -> list[Item]:
    return list(read_mediawiki(io.BytesIO(dump.encode() if isinstance(dump, str) else dump), language))


def keys(items: list[Item]) -> list[str]:
    return [item.key for item in items if isinstance(item, Record)]


def quarantined(items: list[Item]) -> list[Quarantined]:
    return [item for item in items if isinstance(item, Quarantined)]


@pytest.mark.parametrize("version", ["0.9", "0.10", "0.11"])
def test_a_page_becomes_a_record_with_its_id_title_address_and_time(version):
    dump = export(
        page(12, "Метр за секунду", "'''Метр''' [[Світлина:A.jpg|thumb|підпис]]&lt;ref&gt;x&lt;/ref&gt;"),
        version=version,
    )
    assert read(dump) == [
        Record(
            key="12",
            title="Метр за секунду",
            text="Метр",
            url="https://uk.wikipedia.org/wiki/%D0%9C%D0%B5%D1%82%D1%80_%D0%B7%D0%B0_%D1%81%D0%B5%D0%BA%D1%83%D0%BD%D0%B4%D1%83",
            date="2023-05-01T12:00:00Z",
        )
    ]


def test_redirects_other_namespaces_and_empty_pages_are_counted_not_extracted():
    items = read(
        export(
            page(1, "A", "#REDIRECT [[B]]", extra='<redirect title="B" />'),
            page(2, "Б", "#ПЕРЕНАПРАВЛЕННЯ [[B]]"),
            page(3, "Шаблон:C", "text", namespace=10),
            page(4, "D", "{{unknown}}"),
            page(5, "E", "#1 [[x]] is a list, not a redirect"),
        )
    )
    assert [getattr(item, "reason", "record") for item in items] == [
        "redirect",
        "redirect",
        "namespace",
        "empty",
        "record",
    ]


def test_a_page_of_another_content_model_is_skipped():
    items = read(export(page(1, "A", "{}").replace("wikitext", "json")))
    assert items == [Skipped("content_model")]


def test_a_dump_without_ns_elements_tells_namespaces_by_the_title():
    dump = export(page(1, "Шаблон:C", "text"), page(2, "Місто: нарис", "text")).replace("    <ns>0</ns>\n", "")
    assert [type(item) for item in read(dump)] == [Skipped, Record]


def test_the_last_revision_of_a_history_dump_counts():
    revision = "<revision><id>9</id><timestamp>2024-01-01T00:00:00Z</timestamp><text>new</text></revision></page>"
    (record,) = read(export(page(1, "A", "old").replace("</page>", revision)))
    assert (record.key, record.text, record.date) == ("1", "new", "2024-01-01T00:00:00Z")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_encoding_that_a_byte_order_mark_declares_gives_the_same_records(encoding):
    dump = export(page(1, "東京", "日本の{{lang|en|capital}}"), page(2, "Київ", "місто"))
    assert read(dump.encode(encoding)) == read(dump)


def test_big_endian_utf_16_is_read_and_recovers_at_the_next_page():
    dump = export(page(1, "A", "a"), page(2, "B", "<broken>"), page(3, "東京", "日本"))
    items = read(b"\xfe\xff" + dump.encode("utf-16-be"))
    assert keys(items) == ["1", "3"]
    assert [item.reason for item in quarantined(items)] == ["malformed_xml"]


def test_without_siteinfo_the_language_makes_the_address():
    (record,) = read(export(page(1, "東京/A&amp;B (?)", "[[File:a.jpg|thumb|x]]本文"), siteinfo=""), "ja")
    assert record.url == "https://ja.wikipedia.org/wiki/%E6%9D%B1%E4%BA%AC/A%26B_(%3F)"
    assert record.text == "本文"


def test_a_siteinfo_copied_from_english_wikipedia_is_not_believed():
    base = "https://en.wikipedia.org/wiki/Main_Page"
    assert page_url("A b", base, "ar") == "https://ar.wikipedia.org/wiki/A_b"
    assert page_url("A b", base, "en") == "https://en.wikipedia.org/wiki/A_b"
    assert (
        page_url("A b", "https://simple.wikipedia.org/wiki/Main_Page", "en") == "https://simple.wikipedia.org/wiki/A_b"
    )


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
    "a stray end": ("</page>", "malformed_xml"),
    "a control character": ("a\x01b", "malformed_xml"),
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
    monkeypatch.setattr(mediawiki_pages, "MAX_RECORD_BYTES", 10_000)
    monkeypatch.setattr(mediawiki_pages, "CHUNK_BYTES", 1_000)
    items = read(export(page(1, "A", "a"), page(2, "B", "b" * 20_000), page(3, "C", "c"), "<!-- " + "x" * 20_000))
    assert keys(items) == ["1", "3"]
    assert [item.reason for item in quarantined(items)] == ["too_long", "too_long"]


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"<!DOCTYPE html><html><body>x</body></html>", "<html …>"),
        (b"BZh91AY&SY\x00\x01", "b'BZh91AY&SY"),
        (b'{"text": "a"}\n', 'b\'{"text"'),
        (b"   \n", "b'   "),
    ],
)
def test_what_is_no_export_stops_with_what_was_expected_and_what_was_there(content, got):
    with pytest.raises(CorpusmillError) as raised:
        read(content)
    assert "this is not a MediaWiki XML export" in str(raised.value)
    assert "<mediawiki" in raised.value.expected
    assert raised.value.got.startswith(got)
    assert raised.value.hint


class DamagedFile(io.BytesIO):
    """Good bytes, then what a damaged compressed file does."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise DamagedStream("the bz2 stream breaks off", self.tell())
        return data


def test_a_damaged_archive_gives_its_whole_pages_and_one_entry():
    dump = export(page(1, "A", "a"), page(2, "B", "b" * 50)).encode()
    items = list(read_mediawiki(DamagedFile(dump[:-80]), "uk"))
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


def test_the_english_sample_has_106_articles_and_100_redirects(shared_data: Path):
    with bz2.open(shared_data / "wikidumps" / "enwiki-2016-sample.xml.bz2") as stream:
        items = list(read_mediawiki(stream, "en"))
    assert Counter(item.reason if isinstance(item, Skipped) else type(item).__name__ for item in items) == {
        "Record": 106,
        "redirect": 100,
    }
    anarchism = items[1]
    assert isinstance(anarchism, Record)
    assert (anarchism.key, anarchism.title, anarchism.date) == ("12", "Anarchism", "2016-04-22T10:19:33Z")
    assert anarchism.text.startswith("Anarchism is a political philosophy that advocates self-governed societies")


NUM_PAGES = {
    "bgwiki-utf16": 3,
    "enwiki-tables": 5,
    "ltgwiki-2017-complete": 2004,
    "viwiki-20240701-export011": 601,
}


@pytest.mark.parametrize("name", NUM_PAGES)
def test_every_page_of_a_real_dump_is_read_or_counted(name, shared_data: Path):
    with bz2.open(shared_data / "wikidumps" / f"{name}.xml.bz2") as stream:
        items = list(read_mediawiki(stream, name.partition("wiki")[0]))
    assert len(items) == NUM_PAGES[name]
    assert not quarantined(items)
    assert len(set(keys(items))) == len(keys(items))


def test_the_thirteen_small_dumps_with_a_wrong_siteinfo_are_readable(shared_data: Path):
    for path in sorted((shared_data / "wikidumps" / "mini").glob("*.bz2")):
        language = path.name.partition("wiki")[0]
        with bz2.open(path) as stream:
            items = list(read_mediawiki(stream, language))
        records = [item for item in items if isinstance(item, Record)]
        assert records
        assert not quarantined(items)
        assert all(record.url.startswith(f"https://{language}.wikipedia.org/wiki/") for record in records)


def test_the_real_cut_dump_loses_only_its_last_page(shared_data: Path):
    with lzma.open(shared_data / "broken" / "jawiki-cut-mid-page.xml.xz") as stream:
        items = list(read_mediawiki(stream, "ja"))
    assert [item.reason for item in quarantined(items)] == ["truncated"]
    assert items[-1].locator.startswith("page 453, byte ")
    assert len(items) == 239
