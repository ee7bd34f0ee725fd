"""Mail and news groups: messages in -> documents out; whatever a message holds, it ends no file."""

import base64
import hashlib
import io

import pytest
from reading import reading

from pipelines.readers.charset import ENCODING_HINT
from pipelines.readers.mail import read_mail
from pipelines.readers.records import Quarantined, Record, Skipped
from pipelines.spine.errors import CorpusmillError

HEADER = (
    "From: Ann Doe <ann@example.org>\nSubject: Hello\nDate: Mon, 5 Apr 93 16:24:26 GMT\nMessage-ID: <1@example.org>\n"
)
KEY = hashlib.sha256(b"<1@example.org>").hexdigest()[:24]


def mail(data: str | bytes, **options: str):
    raw = data if isinstance(data, bytes) else data.encode()
    return list(read_mail(io.BytesIO(raw), reading(options={"quotes": "keep", **options})))


def test_headers_become_fields_and_no_address_stays():
    assert mail(HEADER + "\nThe text.\n\nMore.\n") == [
        Record(KEY, "Hello", "The text.\n\nMore.", date="1993-04-05T16:24:26+00:00", author="Ann Doe")
    ]


@pytest.mark.parametrize(
    ("given", "author"),
    [
        ("ann@example.org (Ann Doe)", "Ann Doe"),
        ('"Doe, Ann" <ann@example.org>', "Doe, Ann"),
        ("=?gb2312?B?zfXQocP3?= <w@example.cn>", "王小明"),
        ("ann@example.org", ""),
        ('"ann@example.org" <ann@example.org>', ""),
        ("(" * 9000, ""),
    ],
)
def test_the_author_is_a_name(given, author):
    assert mail(f"From: {given}\n\ntext\n")[0].author == author


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ("=?utf-8?B?5paw6Ze7?= and =?iso-8859-1?Q?caf=E9?=", "新闻 and café"),
        ("folded\n over lines", "folded over lines"),
        ("=?utf-8?B?5paw6Z?=", ""),
        ("=?no-such?Q?a?=", "a"),
        ("raw 新闻", "raw 新闻"),
    ],
)
def test_titles_are_decoded(given, title):
    assert mail(f"Subject: {given}\n\ntext\n")[0].title == title


def test_a_header_in_the_encoding_of_the_source_is_read():
    data = "Subject: Привет\n\nтекст\n".encode("koi8-r")
    assert mail(data, encoding="koi8-r") == [Record("0123456789ab:0", "Привет", "текст")]


@pytest.mark.parametrize("date", ["yesterday", "Mon, 32 Apr 1993 16:24:26 GMT", "9" * 50, ""])
def test_a_date_that_is_none_loses_no_message(date):
    assert mail(f"Subject: a\nDate: {date}\n\ntext\n") == [Record("0123456789ab:0", "a", "text")]


@pytest.mark.parametrize(
    ("header", "body", "text"),
    [
        ('text/plain; charset="gb2312"', "北京".encode("gb18030"), "北京"),
        ("text/plain; charset=iso-8859-1", b"caf\xe9", "café"),
        ("text/plain; charset=us-ascii", "café".encode(), "café"),
        ("text/plain; charset=no-such", b"plain", "plain"),
        ("text/plain; charset=utf-8\nContent-Transfer-Encoding: base64", base64.b64encode("東京".encode()), "東京"),
        ("text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", b"caf=C3=A9 =\r\nnoir", "café noir"),
    ],
)
def test_bodies_are_decoded_by_charset_and_transfer_encoding(header, body, text):
    assert mail(f"Subject: a\nContent-Type: {header}\n\n".encode() + body)[0].text == text


def multipart(kind: str, *parts: str) -> str:
    joined = "".join(f"--XX\n{part}\n" for part in parts)
    return f"Subject: a\nMIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary=XX\n\n{joined}--XX--\n"


PLAIN = "Content-Type: text/plain\n\nplain text"
PARAGRAPH = "<p>" + "A long sentence that an article of a news page holds, with some words more. " * 8 + "</p>"
HTML = f"Content-Type: text/html\n\n<html><body><article><h1>Head</h1>{PARAGRAPH * 3}</article></body></html>"
IMAGE = "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo="
FILE = "Content-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nattached"


def test_of_alternatives_the_plain_one_is_read_and_others_are_dropped_and_counted():
    (item,) = mail(multipart("alternative", HTML, PLAIN))
    assert (item.text, item.counts) == ("plain text", {})
    (item,) = mail(multipart("mixed", PLAIN, IMAGE, FILE, PLAIN.replace("plain text", "more"), IMAGE))
    assert (item.text, item.counts) == ("plain text\n\nmore", {"dropped_parts": {"image": 2, "text": 1}})


def test_html_alone_gives_its_main_text():
    (item,) = mail(multipart("alternative", HTML))
    assert "A long sentence that an article of a news page holds" in item.text
    assert "<p>" not in item.text


def test_html_that_is_none_loses_no_text_beside_it():
    broken = "Content-Type: text/html\n\n\n"
    (item,) = mail(multipart("mixed", broken, PLAIN))
    assert (item.text, item.counts) == ("plain text", {"dropped_parts": {"unreadable_html": 1}})
    (alone,) = mail(multipart("mixed", broken))
    assert (alone.locator, alone.reason) == ("line 1", "not_html")


def test_an_uuencoded_file_is_dropped_and_counted():
    (item,) = mail(HEADER + "\nSee this:\nbegin 644 a.gif\nM1TE&.#EA\n`\nend\nBye.\n")
    assert (item.text, item.counts) == ("See this:\n\nBye.", {"dropped_parts": {"uuencoded": 1}})


QUOTING = """
In article <2@example.org>,
bob@example.org (Bob) writes:

> What do you think?
>> Nothing.

I think so.
From: here on it is mine: 5 > 3.
On Monday Bob wrote:
| again

No.
--\x20
Ann Doe
ann@example.org
"""


def test_quotes_and_signatures_are_kept_or_dropped():
    (kept,) = mail(HEADER + QUOTING)
    assert kept.text == QUOTING.strip("\n")
    (dropped,) = mail(HEADER + QUOTING, quotes="drop")
    assert dropped.text == "I think so.\nFrom: here on it is mine: 5 > 3.\n\nNo."
    assert "@" not in dropped.text


def test_an_mbox_is_a_message_for_each_from_line_and_no_sentence_is_one():
    first = HEADER + "\nText.\n\nFrom here on it is my own view.\n>From the quoted line\n"
    second = HEADER.replace("<1@", "<2@") + "\nSecond.\n"
    data = f"From ann@example.org Mon Apr  5 16:24:26 1993\n{first}\nFrom - Tue Apr 06 01:02:03 1993\n{second}\n"
    items = mail(data)
    assert [item.text for item in items] == [
        "Text.\n\nFrom here on it is my own view.\nFrom the quoted line",
        "Second.",
    ]
    assert items[0].key == KEY


def test_what_holds_no_text_is_skipped_with_what_it_holds():
    assert mail(HEADER + "\n \n") == [Skipped("empty", "line 1")]
    assert mail(multipart("mixed", IMAGE)) == [Skipped("no_text", "line 1", "image")]


NESTED = "Content-Type: multipart/mixed; boundary=B{0}\n\n--B{0}\n"
DEEP = "Subject: a\n" + "".join(NESTED.format(depth) for depth in range(3000))


@pytest.mark.parametrize(
    ("data", "reason", "error"),
    [
        (b"", "empty_file", "the file holds no bytes"),
        (b"\x89PNG\r\n", "wrong_format", "expected text, got an image"),
        (b"just a text\nwithout a header\n", "wrong_format", None),
        (b"\n\n\nSubject: too late\n", "wrong_format", None),
        (b"Subject: a\n\ncaf\xe9\n", "invalid_utf8", "byte 3 of the record: unexpected end of data" + ENCODING_HINT),
        (b"Subject: a\nContent-Type: text/plain; charset=gb2312\n\nab\xff\xff", "invalid_encoding", None),
        (b"Subject: a\n\na\0b\n", "nul", "a NUL stands at character 1 of the record"),
        (DEEP.encode(), "malformed_mail", None),
    ],
)
def test_a_hostile_message_is_one_entry(data, reason, error):
    (item,) = mail(data)
    assert (item.locator, item.reason) == ("line 1", reason)
    assert error is None or item.error == error


@pytest.mark.parametrize(
    "header",
    [
        "Content-Type: multipart/mixed",
        "Content-Type: multipart/mixed; boundary=" + "x" * 9000,
        "Content-Type: text/plain; charset*=utf-8''%FF%FE",
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: x-uuencode",
        "Content-Disposition: ; ; ;;",
        "From: " + "<" * 9000,
        "Date: Mon, 5 Apr 93 99:99:99 +9999",
        "Message-ID: " + "<" * 9000,
        "Subject: " + "=?utf-8?q?" * 2000,
    ],
)
def test_a_hostile_header_crashes_nothing_and_its_neighbours_are_read(header):
    good = "From a@b Mon Apr  5 16:24:26 1993\n" + HEADER + "\ngood\n\n"
    items = mail(good + f"From a@b Mon Apr  5 16:24:26 1993\n{header}\nSubject: x\n\n%%% text\n\n" + good)
    assert len(items) == 3
    assert (items[0].text, items[2].text) == ("good", "good")
    assert isinstance(items[1], Record | Skipped | Quarantined)


def test_what_to_do_with_quotes_must_be_said():
    with pytest.raises(CorpusmillError, match="expected: keep or drop"):
        mail(HEADER, quotes="hide")
