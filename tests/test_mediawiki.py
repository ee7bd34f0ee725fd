"""Reading MediaWiki exports: every whole page is a record or a counted skip."""

import bz2
import dataclasses
import io
import lzma
from collections import Counter
from pathlib import Path

import pytest
from mediawiki_export import export, keys, page, quarantined, read
from reading import reading

from pipelines.readers.mediawiki.reader import page_url, read_mediawiki
from pipelines.readers.records import Record, Skipped


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
            revision="1012",
        )
    ]


def test_redirects_other_namespaces_and_empty_pages_are_skipped_under_their_titles():
    items = read(
        export(
            page(1, "A", "#REDIRECT [[B]]", extra='<redirect title="B &amp; C" />'),
            page(2, "Б", "#ПЕРЕНАПРАВЛЕННЯ [[Мета#Розділ|x]]"),
            page(3, "Шаблон:C", "text", namespace=10),
            page(4, "D", "{{unknown}}"),
            page(5, "E", "#1 [[x]] is a list, not a redirect"),
            page(6, "F", "{}").replace("wikitext", "json"),
            page(7, "G" * 500, "#redirect [[H]]"),
        )
    )
    assert [item for item in items if isinstance(item, Skipped)] == [
        Skipped("redirect", "A", "B & C"),
        Skipped("redirect", "Б", "Мета"),
        Skipped("namespace", "Шаблон:C", "10"),
        Skipped("empty", "D"),
        Skipped("content_model", "F", "json"),
        Skipped("redirect", "G" * 200, "H"),
    ]
    assert keys(items) == ["5"]


REDIRECTS = {
    "en": "#REDIRECT [[B]]", "zh": "#重定向 [[B]]", "ja": "#転送[[B]]", "vi": "#đổi [[B]]", "ar": "#تحويل [[B]]",
    "uk": "#перенаправлення [[B]]", "de": "#WEITERLEITUNG [[B]]",
    "ko": "#넘겨주기 [[B]]", "pl": "#PATRZ [[B]]", "he": "#הפניה [[B]]",
}  # fmt: skip


@pytest.mark.parametrize("language", REDIRECTS)
def test_a_redirect_is_known_by_its_markup_where_the_element_is_missing(language):
    assert read(export(page(1, "A", REDIRECTS[language])), language) == [Skipped("redirect", "A", "B")]


DISAMBIGUATION = {
    "en": "{{disambiguation}}", "zh": "{{消歧义}}", "ja": "{{aimai}}", "vi": "{{trang định hướng}}",
    "uk": "{{Неоднозначність}}", "ar": "{{توضيح}}",
}  # fmt: skip


@pytest.mark.parametrize("language", DISAMBIGUATION)
def test_disambiguation_pages_are_counted_and_skipped_where_the_setting_says_so(language):
    sign = DISAMBIGUATION[language]
    dump = export(page(1, "A (disambiguation)", f"* [[B]]\n* [[C]]\n{sign}"), page(2, "D (disambiguation)", "text"))
    disambiguation, other = read(dump, language)
    assert isinstance(disambiguation, Record)
    assert isinstance(other, Record)
    assert (disambiguation.text, disambiguation.counts) == ("- B\n- C", {"pages": {"disambiguation": 1}})
    assert other.counts == {}
    context = reading(language=language)
    context = dataclasses.replace(context, wikitext=dataclasses.replace(context.wikitext, disambiguation="skip"))
    skipped, other = read_mediawiki(io.BytesIO(dump.encode()), context)
    assert skipped == Skipped("disambiguation", "A (disambiguation)")
    assert isinstance(other, Record)


def test_a_record_counts_the_templates_that_it_lost():
    first, second = read(export(page(1, "A", "a {{foo}} {{Foo|x}} {{bar}}"), page(2, "B", "b {{foo}}")))
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.counts == {"dropped_templates": {"foo": 2, "bar": 1}}
    assert second.counts == {"dropped_templates": {"foo": 1}}


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


def test_the_host_is_the_wiki_s_and_not_the_variant_s_and_without_a_language_there_is_none():
    assert page_url("A b", "", "zh-hant") == "https://zh.wikipedia.org/wiki/A_b"
    assert page_url("A b", "", "zh-yue") == "https://zh-yue.wikipedia.org/wiki/A_b"
    assert page_url("A b", "", "") == ""
    assert page_url("A b", "https://en.wikipedia.org/wiki/Main_Page", "") == "https://en.wikipedia.org/wiki/A_b"
    (record,) = read(export(page(1, "A", "a"), siteinfo=""), "")
    assert (record.text, record.url) == ("a", "")


def test_a_siteinfo_copied_from_english_wikipedia_is_not_believed():
    base = "https://en.wikipedia.org/wiki/Main_Page"
    assert page_url("A b", base, "ar") == "https://ar.wikipedia.org/wiki/A_b"
    assert page_url("A b", base, "en") == "https://en.wikipedia.org/wiki/A_b"
    assert (
        page_url("A b", "https://simple.wikipedia.org/wiki/Main_Page", "en") == "https://simple.wikipedia.org/wiki/A_b"
    )


def test_the_english_sample_has_106_articles_and_100_redirects(shared_data: Path):
    with bz2.open(shared_data / "wikidumps" / "enwiki-2016-sample.xml.bz2") as stream:
        items = list(read_mediawiki(stream, reading(language="en")))
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
        items = list(read_mediawiki(stream, reading(language=name.partition("wiki")[0])))
    assert len(items) == NUM_PAGES[name]
    assert not quarantined(items)
    assert len(set(keys(items))) == len(keys(items))


def test_the_thirteen_small_dumps_with_a_wrong_siteinfo_are_readable(shared_data: Path):
    for path in sorted((shared_data / "wikidumps" / "mini").glob("*.bz2")):
        language = path.name.partition("wiki")[0]
        with bz2.open(path) as stream:
            items = list(read_mediawiki(stream, reading(language=language)))
        records = [item for item in items if isinstance(item, Record)]
        assert records
        assert not quarantined(items)
        assert all(record.url.startswith(f"https://{language}.wikipedia.org/wiki/") for record in records)


def test_the_real_cut_dump_loses_only_its_last_page(shared_data: Path):
    with lzma.open(shared_data / "broken" / "jawiki-cut-mid-page.xml.xz") as stream:
        items = list(read_mediawiki(stream, reading(language="ja")))
    assert [item.reason for item in quarantined(items)] == ["truncated"]
    assert items[-1].locator.startswith("page 453, byte ")
    assert len(items) == 239
