"""WARC and HTML: pages in -> title, date and main text out, every other record under its reason."""

import gzip
import io
import json
from collections import Counter

import pytest

from pipelines.readers import page as page_module
from pipelines.readers.page import decode_page, read_page
from pipelines.readers.records import Quarantined, ReadContext, Record, Skipped, UnreadableError
from pipelines.readers.warc import split_warc
from pipelines.readers.web import read_html, read_warc

CONTEXT = ReadContext(file_key="0123456789ab", columns={}, language="zh", split="")
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


@pytest.mark.parametrize("text", [EN, ZH, JA])
def test_a_page_gives_its_main_text_without_menu_and_footer(text):
    assert read_page(html(text).encode()).text == text_of(text)


def test_scripts_do_not_hide_that_a_page_is_chinese():
    script = "<script>var words = 'many letters of no language';</script>" * 50
    assert read_page(html(ZH).replace("</article>", f"</article>{script}").encode()).text == text_of(ZH)


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("<title> Old \n mill </title>", "Old mill"),
        ("<title>Old mill | The Paper</title><meta property='og:title' content='Old mill'>", "Old mill"),
        ("<meta property='og:title' content='  '><title>老磨坊</title>", "老磨坊"),
        ("<meta name='x'>", ""),
    ],
)
def test_the_title_is_the_one_the_page_gives(head, title):
    assert read_page(html(EN, head).encode()).title == title


@pytest.mark.parametrize(
    ("head", "date"),
    [
        ("<meta property='article:published_time' content='2024-05-01T10:00:00+08:00'>", "2024-05-01T10:00:00+08:00"),
        ("<meta name='Date' content=' 2024-05-01 '><time datetime='2020-01-01'></time>", "2024-05-01"),
        (
            '<script type="application/ld+json">{"datePublished": "2024-05-01T10:00:00Z"}</script>',
            "2024-05-01T10:00:00Z",
        ),
        ("<meta name='date' content='May 1st'><time datetime='2024-05'></time>", "2024-05"),
        ("<meta name='date' content='yesterday'>", ""),
        ("", ""),
    ],
)
def test_the_date_is_the_one_the_page_gives_and_never_guessed(head, date):
    assert read_page(html(EN, f"<title>x</title>{head}").encode()).date == date


def test_table_rows_lose_their_bars():
    rows = "<table><tr><th>Pos</th><th>Player</th></tr><tr><td>1</td><td>Sheldrick Redwine</td></tr></table>"
    text = read_page(html(EN).replace("</article>", f"{rows}</article>").encode()).text
    assert text == f"{text_of(EN)}\nPos\tPlayer\n1\tSheldrick Redwine"


@pytest.mark.parametrize(
    ("raw", "charset"),
    [
        (ZH.encode("utf-8"), "iso-8859-1"),  # a server's default that is wrong
        (ZH.encode("gb18030"), "gb2312"),
        (ZH.encode("gb18030"), ""),
        (b"<meta charset=gb2312>" + ZH.encode("gb18030"), ""),
        (JA.encode("shift_jis"), "Shift_JIS"),
        (JA.encode("euc_jp"), ""),
        (JA.encode("iso2022_jp"), "iso-2022-jp"),
        (ZH.encode("utf-16"), ""),
        (b"\xef\xbb\xbf" + ZH.encode(), "gbk"),
    ],
)
def test_the_encoding_is_found_whatever_is_declared(raw, charset):
    assert decode_page(raw, charset).removeprefix("<meta charset=gb2312>") in (ZH, JA)


def test_a_broken_character_does_not_spoil_a_page():
    raw = ZH.encode("gb18030")[:40] + b"\xff" + ZH.encode("gb18030")[40:]
    text = decode_page(raw, "gbk")
    assert (text[:20], text[-20:]) == (ZH[:20], ZH[-20:])


def test_an_unknown_charset_is_no_reason_to_fail():
    assert decode_page(EN.encode(), "no-such-charset") == EN


@pytest.mark.parametrize("raw", [b"just words, no markup", b"\x00\x01\x02\x03", b"<"])
def test_bytes_that_are_no_html_are_refused(raw):
    with pytest.raises(UnreadableError, match="not_html: no element was found in it"):
        read_page(raw)


def test_a_page_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(page_module, "MAX_PAGE_BYTES", 100)
    with pytest.raises(UnreadableError, match="at most 100 are read as one page"):
        read_page(html(EN).encode())


def test_deep_nesting_neither_crashes_nor_hangs():
    raw = b"<html><body>" + b"<div>" * 20_000 + EN.encode() + b"</body></html>"
    assert read_page(raw).text in ("", EN)


# --- HTML files


def test_an_html_file_is_one_document():
    items = list(read_html(io.BytesIO(gzip.compress(html(JA).encode())), CONTEXT))
    assert items == [Record("0123456789ab:0", "Old mill", text_of(JA))]


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
    assert list(read_html(io.BytesIO(b"<html><body><div></div><p></p></body></html>"), CONTEXT)) == [Skipped("empty")]


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


def test_records_compressed_one_by_one_are_read():
    assert kinds(read(gzip.compress(page(key="a")) + gzip.compress(page(key="b")))) == ["a", "b"]


def test_chunks_and_compressed_bodies_are_undone():
    body = gzip.compress(html(ZH).encode())
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    (item,) = read(warc(http(chunked, more="Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")))
    assert item.text == text_of(ZH)


def test_a_body_that_the_archive_has_uncompressed_already_is_read_as_it_is():
    (item,) = read(warc(http(html(ZH).encode(), more="Content-Encoding: gzip\r\n")))
    assert item.text == text_of(ZH)


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
    assert sum(scores) / len(scores) > 0.93


def f1_of_words(text: str, gold: str) -> float:
    found, wanted = Counter(text.split()), Counter(gold.split())
    return 2 * sum((found & wanted).values()) / (sum(found.values()) + sum(wanted.values()))
