"""WARC and HTML: pages in -> documents out, every other record under its reason."""

import gzip
import io
import json
import zlib
from collections import Counter
from dataclasses import replace

import brotli
import pytest
import zstandard
from reading import reading

from pipelines.readers.records import Quarantined, Record, Skipped, UnreadableError
from pipelines.readers.web import main_text as main_text_module
from pipelines.readers.web import page as page_module
from pipelines.readers.web import reader as web_module
from pipelines.readers.web.main_text import HtmlSettings
from pipelines.readers.web.page import read_page
from pipelines.readers.web.reader import read_html, read_warc
from pipelines.readers.web.warc import split_warc
from pipelines.spine.errors import CorpusmillError

CONTEXT = reading(language="zh")
EN = "The council decided on Monday that the old mill will be restored, after ten years of debate in the town."
ZH = "新华社北京五月一日电，市政府今天宣布，这座有百年历史的老磨坊将在明年全面修复，并向公众开放。"
JA = "東京都は一日、百年の歴史を持つ古い製粉所を来年全面的に修復し、一般に公開すると発表した。"
MORE = {
    EN: "It was built in 1912 by a miller from the next valley.",
    ZH: "磨坊建于一九一二年，一直用到战后。",
    JA: "製粉所は大正元年に建てられた。",
}


def html(text: str, head: str = "<title>Old mill</title>") -> str:
    menu = "<nav><a href='/'>Home</a> <a href='/login'>Log in</a></nav>"
    footer = "<footer>Copyright. We use cookies.</footer>"
    article = f"<article><p>{text}</p><p>{MORE.get(text, text)}</p></article>"
    return f"<!DOCTYPE html><html><head>{head}</head><body>{menu}{article}{footer}</body></html>"


def text_of(text: str) -> str:
    return f"{text}\n{MORE[text]}"


def http(body: bytes, kind: str = "text/html; charset=utf-8", status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}\r\n".encode() + body


def warc(body: bytes, key: str = "k1", kind: str = "response", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{key}>\r\nWARC-Target-URI: https://e/{key}\r\n"
        "WARC-Date: 2024-05-18T01:58:10Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def page(text: str = EN, key: str = "k1", **changes: str) -> bytes:
    return warc(http(html(text).encode(), **changes), key)


def read(data: bytes) -> list[object]:
    return list(read_warc(io.BytesIO(data), CONTEXT))


def kinds(items: list[object]) -> list[str]:
    return [item.key if isinstance(item, Record) else item.reason for item in items]


# --- pages


def text_from(page: str, extractor: str = "trafilatura") -> str:
    return read_page(page.encode(), "", HtmlSettings(extractor)).text


@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse"])
@pytest.mark.parametrize("text", [EN, ZH, JA])
def test_a_page_gives_its_main_text_without_menu_and_footer(text, extractor):
    assert text_from(html(text), extractor) == text_of(text)


def test_justext_gives_the_long_paragraphs_of_a_page():
    long = " ".join([EN] * 3)
    assert (
        text_from(html(long, "<title>Old mill</title>").replace("<html>", "<html lang='en'>"), "justext")
        == f"{long}\n{long}"
    )


def test_an_unknown_extractor_is_refused_with_the_known_ones():
    with pytest.raises(CorpusmillError, match="unknown extractor") as error:
        HtmlSettings("readability")
    assert "trafilatura, resiliparse, justext" in str(error.value)


def test_scripts_do_not_hide_that_a_page_is_chinese():
    script = "<script>var words = 'many letters of no language';</script>" * 50
    assert text_from(html(ZH).replace("</article>", f"{script}</article>")) == text_of(ZH)


def test_table_rows_lose_their_bars():
    rows = "<table><tr><th>Pos</th><th>Player</th></tr><tr><td>1</td><td>Sheldrick Redwine</td></tr></table>"
    assert (
        text_from(html(EN).replace("</article>", f"{rows}</article>"))
        == f"{text_of(EN)}\nPos\tPlayer\n1\tSheldrick Redwine"
    )


def test_an_article_that_an_advertisement_cuts_in_two_is_read_whole():
    first = [
        f"{EN} The first part has paragraph {number} of several, and each says something new." for number in range(4)
    ]
    later = [f"{EN} The later part has paragraph {number} of several, and each says more." for number in range(4)]
    pieces = [
        f"<div class='body article__body'>{''.join(f'<p>{p}</p>' for p in part)}</div>" for part in (first, later)
    ]
    page = f"<html><body><article><div>{'<div class=ad>Buy now</div>'.join(pieces)}</div></article></body></html>"
    assert text_from(page).splitlines() == [*first, *later]


def test_boilerplate_lines_are_left_out_and_counted():
    more = "<p>Share this article</p><p>Lire aussi : Le moulin a cent ans</p><p>Leave a comment</p>"
    page = html(EN).replace("<article>", "<article><h1>Old mill</h1>").replace("</article>", f"{more}</article>")
    (item,) = read_html(io.BytesIO(page.encode()), CONTEXT)
    assert item.text == text_of(EN)
    assert item.counts == {"boilerplate_lines": {"title": 1, "share": 1, "read_more": 1, "comments": 1}}


@pytest.mark.parametrize(
    ("declared", "text", "language"),
    [("en", EN, "en"), ("zh-TW", ZH, "zh-tw"), ("en", ZH, ""), ("ja", EN, ""), ("ja", JA, "ja"), ("", EN, "")],
)
def test_a_language_is_believed_when_the_text_is_in_its_letters(declared, text, language):
    page = html(text).replace("<html>", f"<html lang='{declared}'>")
    assert read_page(page.encode(), "", HtmlSettings("trafilatura")).language == language


def test_the_servers_language_counts_where_the_page_names_none():
    assert read_page(html(EN).encode(), "", HtmlSettings("trafilatura"), "en-GB").language == "en-gb"


@pytest.mark.parametrize("raw", [b"just words, no markup", b"\x00\x01\x02\x03", b"<"])
def test_bytes_that_are_no_html_are_refused(raw):
    with pytest.raises(UnreadableError, match="not_html: no element was found in it"):
        read_page(raw, "", HtmlSettings("trafilatura"))


def test_a_page_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(page_module, "MAX_PAGE_BYTES", 100)
    with pytest.raises(UnreadableError, match="at most 100 are read as one page"):
        read_page(html(EN).encode(), "", HtmlSettings("trafilatura"))


@pytest.mark.parametrize("attribute", ["a{}", "a{}=x", "a{} = 'x y'", 'a{}="<x>"'])
def test_a_tag_of_very_many_attributes_is_refused(attribute):
    def page(number: int) -> bytes:
        return html(f"{EN}<span {' '.join(attribute.format(n) for n in range(number))}></span>").encode()

    assert read_page(page(900), "", HtmlSettings("trafilatura")).title == "Old mill"
    with pytest.raises(UnreadableError, match="not_html: a tag has more than 1,000 attributes"):
        read_page(page(1001), "", HtmlSettings("trafilatura"))


def test_a_page_of_very_many_elements_is_read_by_resiliparse(monkeypatch):
    monkeypatch.setattr(main_text_module, "MAX_ELEMENTS", 5)
    assert text_from(html(EN)) == text_of(EN)


@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse", "justext"])
def test_deep_nesting_neither_crashes_nor_hangs(extractor):
    assert text_from("<html><body>" + "<div>" * 20_000 + EN + "</body></html>", extractor) in ("", EN)


# --- HTML files


def test_an_html_file_is_one_document():
    items = list(read_html(io.BytesIO(gzip.compress(html(JA).encode())), CONTEXT))
    assert items == [Record("0123456789ab:0", "Old mill", text_of(JA))]


def test_a_page_in_utf16_is_read():
    (item,) = read_html(io.BytesIO(html(ZH).encode("utf-16")), CONTEXT)
    assert item.text == text_of(ZH)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"%PDF-1.7 rest", "wrong_format"),
        (b"PK\x03\x04 rest", "wrong_format"),
        (b"only words", "not_html"),
        (gzip.compress(html(EN).encode() * 50, mtime=0)[:-20], "damaged"),
    ],
)
def test_a_file_that_is_no_page_is_quarantined(data, reason):
    (item,) = read_html(io.BytesIO(data), CONTEXT)
    assert isinstance(item, Quarantined)
    assert (item.locator, item.reason) == ("byte 0", reason)


def test_a_page_without_words_is_skipped():
    page = b"<html><body><div></div><p></p></body></html>"
    assert list(read_html(io.BytesIO(page), CONTEXT)) == [Skipped("empty", "byte 0", "no main text")]


def test_a_page_that_only_sends_its_reader_on_is_skipped_with_the_target():
    page = html("You are sent on.", "<meta http-equiv='Refresh' content='0; URL=https://e/new'>")
    assert list(read_html(io.BytesIO(page.encode()), CONTEXT)) == [Skipped("redirect", "byte 0", "https://e/new")]


def test_a_page_that_renews_itself_is_a_page():
    page = html(EN, "<title>Old mill</title><meta http-equiv='refresh' content='300'>")
    assert kinds(list(read_html(io.BytesIO(page.encode()), CONTEXT))) == ["0123456789ab:0"]


# --- WARC


def test_each_record_is_a_page_or_is_skipped_by_its_reason():
    data = b"".join(
        [
            warc(b"software: x\r\n", kind="warcinfo"),
            warc(b"GET / HTTP/1.1\r\n\r\n", kind="request"),
            page(ZH, "zh"),
            page(JA, "ja"),
            page(EN, "gone", status="404 Not Found"),
            page(EN, "image", kind="image/png"),
            warc(http(html(EN).encode(), kind="").replace(b"Content-Type: \r\n", b""), "untyped"),
            warc(http(b"<html><body></body></html>"), "void"),
        ]
    )
    items = read(data)
    assert kinds(items) == ["warc_warcinfo", "warc_request", "zh", "ja", "http_status", "not_html", "untyped", "empty"]
    assert items[2] == Record("zh", "Old mill", text_of(ZH), url="https://e/zh")
    assert [item.detail for item in items if isinstance(item, Skipped)] == ["", "", "404", "image/png", "no main text"]
    assert items[1].locator == f"byte {len(warc(b'software: x' + bytes([13, 10]), kind='warcinfo'))}"


def test_a_redirect_says_where_to():
    (item,) = read(warc(http(b"", status="301 Moved", more="Location: https://e/new\r\n")))
    assert item == Skipped("http_status", "byte 0", "301 https://e/new")


def test_a_response_without_a_body_is_skipped():
    assert read(warc(http(b"  \r\n"))) == [Skipped("empty", "byte 0", "no body")]


def test_a_record_of_a_part_of_a_file_is_named_by_its_place_in_the_file():
    (item,) = read_warc(io.BytesIO(page(status="404 Not Found")), replace(CONTEXT, begin=1000))
    assert item.locator == "byte 1000"


def test_records_compressed_one_by_one_are_read():
    assert kinds(read(gzip.compress(page(key="a")) + gzip.compress(page(key="b")))) == ["a", "b"]


def chunked(body: bytes) -> bytes:
    return f"{len(body):X};x=y\r\n".encode() + body + b"\r\n0\r\n\r\n"


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    "gzip, br": lambda body: brotli.compress(gzip.compress(body)),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_chunks_and_compressed_bodies_are_undone(name):
    body = chunked(ENCODERS[name](html(ZH).encode()))
    (item,) = read(warc(http(body, more=f"Content-Encoding: {name}\r\nTransfer-Encoding: chunked\r\n")))
    assert item.text == text_of(ZH)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "unheard-of"])
def test_a_body_that_the_archive_has_decoded_already_is_read_as_it_is(name):
    more = f"Content-Encoding: {name}\r\nTransfer-Encoding: chunked\r\n"
    (item,) = read(warc(http(html(ZH).encode(), more=more)))
    assert item.text == text_of(ZH)


def test_deflate_without_its_wrapper_is_read():
    body = zlib.compress(html(ZH).encode())[2:-4]
    (item,) = read(warc(http(body, more="Content-Encoding: deflate\r\n")))
    assert item.text == text_of(ZH)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("damage", [lambda body: body[: len(body) // 2], lambda body: b"\x01\x02" + body])
def test_a_damaged_body_is_one_entry_and_the_next_record_is_read(name, damage):
    body = damage(ENCODERS[name](html(ZH).encode()))
    items = read(warc(http(body, more=f"Content-Encoding: {name}\r\n"), "bad") + page(key="b"))
    assert kinds(items) == ["damaged", "b"]
    assert f"the {name} body cannot be decoded" in items[0].error


def test_chunks_that_break_off_are_one_entry():
    body = chunked(html(ZH).encode())[:-20]
    (item,) = read(warc(http(body, more="Transfer-Encoding: chunked\r\n")))
    assert (item.reason, item.error[:33]) == ("damaged", "the chunked body breaks off after")


def test_an_unknown_encoding_is_one_entry():
    (item,) = read(warc(http(b"\x01\x02\x03", more="Content-Encoding: sdch\r\n")))
    assert (item.reason, item.error) == ("damaged", "unknown Content-Encoding: 'sdch'")


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_swells_beyond_the_limit_is_refused(name, monkeypatch):
    monkeypatch.setattr(web_module, "MAX_PAGE_BYTES", 1000)
    body = ENCODERS[name](b" " * 1_000_000)
    (item,) = read(warc(http(body, more=f"Content-Encoding: {name}\r\n")))
    assert (item.reason, item.error) == ("too_long", f"more than 1,000 bytes once its {name} encoding is undone")


def test_headers_that_never_end_are_one_entry():
    (item,) = read(warc(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: y\r\n" * 100_000))
    assert (item.reason, item.error) == ("malformed_http", "the response's headers do not end")


@pytest.mark.parametrize("line", ["HTTP/1.1 200", "HTTP/2 200", "HTTP/1.0  200 Fine"])
def test_a_status_line_may_be_short(line):
    data = http(html(EN).encode()).replace(b"HTTP/1.1 200 OK", line.encode())
    assert kinds(read(warc(data))) == ["k1"]


def test_the_facts_of_a_page_and_its_server_travel_with_the_record():
    head = "<title>老磨坊</title><meta name=author content='王小明'><meta name='date' content='2024-05-01'>"
    (item,) = read(warc(http(html(ZH, head).encode(), more="Content-Language: zh-Hant\r\n")))
    assert item == Record("k1", "老磨坊", text_of(ZH), "https://e/k1", "2024-05-01", "zh-hant", "王小明")


def test_a_record_without_an_id_is_named_by_its_offset():
    first = page(key="a")
    second = page(key="b").replace(b"WARC-Record-ID: <urn:uuid:b>\r\n", b"")
    assert kinds(read(first + second)) == ["a", f"0123456789ab:{len(first)}"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"rubbish\r\nmore rubbish\r\n\r\n", "malformed_warc"),
        (page(key="bad").replace(b"Content-Length: ", b"Content-Length: about "), "malformed_warc"),
        (page(key="bad").replace(b"Content-Length", b"Length"), "malformed_warc"),
        (warc(http(html(EN).encode()), "bad", length=40), "malformed_warc"),
        (b"WARC/1.0\r\nWARC-Type: response\r\n", "malformed_warc"),
        (warc(b"no http at all", "bad"), "malformed_http"),
    ],
)
def test_a_bad_record_is_one_entry_and_the_next_one_is_read(bad, reason):
    items = read(page(key="a") + bad + page(key="b"))
    assert kinds(items) == ["a", reason, "b"]
    assert items[1].locator == f"byte {len(page(key='a'))}"
    assert items[1].raw[:5] == bad[:5]


@pytest.mark.parametrize("cut", [30, 150, 400])
def test_an_archive_that_breaks_off_keeps_every_whole_record(cut):
    data = page(key="a") + page(key="b")
    items = read(data[: len(page(key="a")) + cut])
    assert kinds(items) == ["a", "truncated"]


def test_a_compressed_archive_that_breaks_off_keeps_every_whole_record():
    data = b"".join(gzip.compress(page(f"{number} {EN}", f"k{number}")) for number in range(5))
    items = read(data[:-30])
    assert kinds(items)[:4] == ["k0", "k1", "k2", "k3"]
    assert kinds(items)[4:] == ["damaged"]


def test_rubbish_after_the_last_compressed_record_is_one_entry():
    assert kinds(read(gzip.compress(page(key="a")) + b"not gzip")) == ["a", "damaged"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"\r\n\r\n", "empty_file"),
        (b"PK\x03\x04", "wrong_format"),
        (b"a,b\n1,2\n", "wrong_format"),
    ],
)
def test_a_file_that_is_no_warc_is_one_entry(data, reason):
    assert kinds(read(data)) == [reason]


def test_a_record_that_is_too_long_is_passed_over():
    long = (65 << 20) * b"x"
    (first, second) = split_warc(io.BytesIO(warc(long, "long") + page(key="next")), "response")
    assert (first.refused, first.data[:5]) == ("too_long", b"WARC/")
    assert (second.refused, second.headers["warc-record-id"]) == ("", "<urn:uuid:next>")


# --- real pages


def test_a_common_crawl_file_reads_whole(shared_data):
    with open(shared_data / "news" / "commoncrawl-one-page.warc.gz", "rb") as stream:
        items = list(read_warc(stream, CONTEXT))
    assert kinds(items) == ["warc_warcinfo", "warc_request", "2aabeff2-67f5-4608-8466-e87c6296e2b6", "warc_metadata"]
    assert items[2].title == "Escopete - Biquipedia, a enciclopedia libre"
    assert items[2].url == "https://an.wikipedia.org/wiki/Escopete"


def test_the_main_text_of_news_pages_is_found(shared_data):
    folder = shared_data / "html-article-extraction"
    gold = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    scores = []
    for name in sorted(gold)[::15]:
        with open(folder / "html" / f"{name}.html.gz", "rb") as stream:
            (item,) = read_html(stream, CONTEXT)
        scores.append(f1_of_words(item.text, gold[name]["articleBody"]))
    assert len(scores) == 13
    assert sum(scores) / len(scores) > 0.96


def f1_of_words(text: str, gold: str) -> float:
    found, wanted = Counter(text.split()), Counter(gold.split())
    return 2 * sum((found & wanted).values()) / (sum(found.values()) + sum(wanted.values()))


def test_a_header_of_very_many_lines_is_one_entry_and_the_next_record_is_read():
    bad, good = split_warc(io.BytesIO(b"WARC/1.0\r\n" + b"a\n" * 200_000 + warc(b"x", "ok")), "response")
    assert (bad.offset, bad.refused, bad.error) == (0, "malformed_warc", "no record header")
    assert bad.data == b"WARC/1.0\r\n" + b"a\n" * 1000
    assert (good.content, good.headers["warc-record-id"]) == (b"x", "<urn:uuid:ok>")
