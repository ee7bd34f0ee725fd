"""Plain text and the lines under all table readers: text in -> items out, broken input included."""

import bz2
import gzip
import io

import pytest
from reading import reading

from pipelines.readers.charset import ENCODING_HINT
from pipelines.readers.plain import Line, read_text, split_lines
from pipelines.readers.records import QUARANTINE_RAW_BYTES, Quarantined, Record, Skipped
from pipelines.spine.errors import CorpusmillError

LINES = reading(options={"split": "line"})
FILE = reading(language="zh", options={"split": "file"})


def test_each_line_is_a_document_named_by_its_byte_offset():
    text = "One line.\n新华社北京电\r\n\n東京は日本の首都\n"
    assert list(read_text(io.BytesIO(text.encode()), LINES)) == [
        Record(key="0123456789ab:0", title="", text="One line."),
        Record(key="0123456789ab:10", title="", text="新华社北京电"),
        Skipped("empty", "line 3"),
        Record(key="0123456789ab:31", title="", text="東京は日本の首都"),
    ]


def test_only_line_feeds_end_a_line():
    text = "a\u2028b\x0bc\x85d\x0ce\rf"
    assert [item.text for item in read_text(io.BytesIO(text.encode()), LINES)] == [text]


def test_a_whole_file_is_one_document():
    text = "第一回\n甄士隐梦幻识通灵\n"
    assert list(read_text(io.BytesIO(text.encode()), FILE)) == [Record(key="0123456789ab:0", title="", text=text)]


def test_a_byte_order_mark_is_no_text():
    assert list(read_text(io.BytesIO(b"\xef\xbb\xbfA\nB"), LINES)) == [
        Record(key="0123456789ab:3", title="", text="A"),
        Record(key="0123456789ab:5", title="", text="B"),
    ]


def test_bad_lines_are_quarantined_with_their_place_and_the_others_kept():
    data = "好\n".encode() + b"caf\xe9\n" + b"a\x00b\n" + b"good"
    assert list(read_text(io.BytesIO(data), LINES)) == [
        Record(key="0123456789ab:0", title="", text="好"),
        Quarantined(
            "line 2", "invalid_utf8", "byte 3 of the record: unexpected end of data" + ENCODING_HINT, b"caf\xe9"
        ),
        Quarantined("line 3", "nul", "a NUL stands at character 1 of the record", b"a\x00b"),
        Record(key="0123456789ab:13", title="", text="good"),
    ]


def test_a_file_that_is_not_utf8_is_one_quarantined_document():
    (item,) = read_text(io.BytesIO(b"pound sign: \xa310m\n"), FILE)
    assert (item.locator, item.reason) == ("byte 0", "invalid_utf8")


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (b"PK\x03\x04....", "a zip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"PAR1\x15\x04", "a Parquet file"),
    ],
)
@pytest.mark.parametrize("context", [LINES, FILE])
def test_a_file_that_is_not_what_its_name_says_is_one_quarantine_entry(head, named, context):
    (item,) = read_text(io.BytesIO(head + b"\nmore\nlines"), context)
    assert (item.reason, item.raw[:4]) == ("wrong_format", head[:4])
    assert named in item.error


@pytest.mark.parametrize("context", [LINES, FILE])
@pytest.mark.parametrize("data", [b"", gzip.compress(b"", mtime=0), bz2.compress(b"")])
def test_an_empty_file_is_noticed(data, context):
    (item,) = read_text(io.BytesIO(data), context)
    assert (item.reason, item.error) == ("empty_file", "the file holds no bytes")


def test_a_compressed_file_that_breaks_off_keeps_every_whole_line():
    lines = b"".join(b"line %d\n" % number for number in range(40_000))
    data = gzip.compress(lines, mtime=0)
    *whole, rest = read_text(io.BytesIO(data[: len(data) // 2]), LINES)
    assert len(whole) > 10_000
    assert [item.text for item in whole] == [f"line {number}" for number in range(len(whole))]
    assert (rest.locator, rest.reason) == (f"line {len(whole) + 1}", "damaged")
    assert "the gzip data break off before their end, at byte" in rest.error


def test_an_over_long_line_is_refused_and_the_next_one_read():
    lines = list(split_lines(io.BytesIO(b"ab\n" + b"x" * 200_000 + b"\nzz"), max_bytes=100_000))
    assert lines == [
        Line(1, 0, b"ab"),
        Line(
            2, 3, b"x" * QUARANTINE_RAW_BYTES, "too_long",
            "200,000 bytes; at most 100,000 are read as one record",
        ),
        Line(3, 200_004, b"zz"),
    ]  # fmt: skip


def test_an_over_long_line_does_not_lie_in_memory():
    pieces = (b"x" * (1 << 20) for _ in range(40))

    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            piece = next(pieces, b"")[: len(buffer)]
            buffer[: len(piece)] = piece
            return len(piece)

    (line,) = split_lines(Endless(), max_bytes=2 << 20)
    assert (line.refused, len(line.data)) == ("too_long", QUARANTINE_RAW_BYTES)


def test_the_quarantine_never_keeps_more_than_its_limit():
    assert len(Quarantined("line 1", "nul", "", b"a" * 100_000).raw) == 65536


def test_an_unknown_split_says_which_there_are():
    with pytest.raises(CorpusmillError, match="expected: line, file or marker"):
        read_text(io.BytesIO(b"a"), reading(options={"split": "page"}))


def test_a_part_of_a_file_names_bytes_of_the_file_and_expects_no_beginning():
    part = reading(options={"split": "line"}, begin=1000)
    data = "PK\x03\x04 is a zip\n\n坏".encode() + b"\xe5\n"
    assert list(read_text(io.BytesIO(data), part)) == [
        Record(key="0123456789ab:1000", title="", text="PK\x03\x04 is a zip"),
        Skipped("empty", "byte 1014"),
        Quarantined(
            "byte 1015", "invalid_utf8", "byte 3 of the record: unexpected end of data" + ENCODING_HINT, data[15:19]
        ),
    ]
    assert list(read_text(io.BytesIO(b""), part)) == []


# --- markers


def marked(text: str, marker: str = "=====", **options: str):
    given = {"split": "marker", "marker": marker, **options}
    return list(read_text(io.BytesIO(text.encode(options.get("encoding", "utf-8"))), reading(options=given)))


def test_a_marker_line_stands_between_documents():
    assert marked("=====\n第一回\n甄士隐\n=====  \r\nsecond\n\n====\n=====\n") == [
        Record(key="0123456789ab:6", title="", text="第一回\n甄士隐"),
        Record(key="0123456789ab:35", title="", text="second\n\n===="),
    ]


def test_nothing_between_two_markers_is_an_empty_document():
    assert marked("a\n=====\n=====\n \n=====\nb") == [
        Record(key="0123456789ab:0", title="", text="a"),
        Skipped("empty", "line 3"),
        Skipped("empty", "line 4"),
        Record(key="0123456789ab:22", title="", text="b"),
    ]


def test_a_text_without_its_marker_is_one_document():
    assert [item.text for item in marked("a\nb\n")] == ["a\nb"]


def test_a_marker_is_found_in_any_encoding():
    assert [item.text for item in marked("東京\n***\n京都\n", "***", encoding="shift_jis")] == ["東京", "京都"]
    assert [item.text for item in marked("東京\n***\n京都\n", "***", encoding="utf-16")] == ["東京", "京都"]


def test_damage_refuses_the_document_that_it_lies_in_and_keeps_those_before():
    lines = b"".join(b"line %d\n%%\n" % number for number in range(40_000))
    data = gzip.compress(lines, mtime=0)
    context = reading(options={"split": "marker", "marker": "%"})
    *whole, rest = read_text(io.BytesIO(data[: len(data) // 2]), context)
    assert [item.text for item in whole] == [f"line {number}" for number in range(len(whole))]
    assert len(whole) > 10_000
    assert (rest.locator, rest.reason) == (f"line {2 * len(whole) + 1}", "damaged")


def test_a_split_by_marker_needs_one():
    with pytest.raises(CorpusmillError, match="option marker is missing"):
        marked("a", marker=" ")


# --- encodings


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "big5", "cp1252", "cp037"]
)
def test_text_in_another_encoding_is_cut_at_its_own_line_ends(encoding):
    text = {"gb18030": "新华社\n北京", "big5": "中央社\n臺北"}.get(encoding, "one\ntwo")
    context = reading(options={"split": "line", "encoding": encoding})
    assert [item.text for item in read_text(io.BytesIO(text.encode(encoding)), context)] == text.split("\n")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("named", ["", "gb18030"])
def test_a_byte_order_mark_tells_the_encoding_before_anything_else(encoding, named):
    context = reading(options={"split": "line", "encoding": named})
    items = list(read_text(io.BytesIO("新华社\r\n北京\r\n".encode(encoding)), context))
    assert [item.text for item in items] == ["新华社", "北京"]
    mark = {"utf-8-sig": 3, "utf-16": 2, "utf-32": 4}[encoding]
    assert items[0].key == f"0123456789ab:{mark}"


def test_a_line_end_that_lies_across_two_characters_of_utf16_is_none():
    text = "a\u0a41\u0100b\nc"  # its bytes hold 0A 00 between two units
    items = list(read_text(io.BytesIO(text.encode("utf-16")), LINES))
    assert [item.text for item in items] == ["a\u0a41\u0100b", "c"]
    assert items[1].key == "0123456789ab:12"


@pytest.mark.parametrize(
    ("encoding", "data", "reason", "error"),
    [
        (
            "gb18030",
            b"\xb1\xb1\xff",
            "invalid_encoding",
            "byte 2 of the record: incomplete multibyte sequence in gb18030",
        ),
        (
            "utf-16-le",
            b"a\0\x00\xd8b\0",
            "invalid_encoding",
            "byte 2 of the record: illegal UTF-16 surrogate in utf-16-le",
        ),
        ("utf-16-le", b"a\0b", "invalid_encoding", "byte 2 of the record: truncated data in utf-16-le"),
        ("cp1252", b"a\x81", "invalid_encoding", "byte 1 of the record: character maps to <undefined> in cp1252"),
        ("utf-7", b"+2AA-", "lone_surrogate", "half a character at 0 of the record"),
        ("latin-1", b"a\0b", "nul", "a NUL stands at character 1 of the record"),
    ],
)
def test_what_its_encoding_does_not_allow_refuses_the_line_alone(encoding, data, reason, error):
    newline = "\n".encode(encoding)
    context = reading(options={"split": "line", "encoding": encoding})
    good, bad, *_ = read_text(io.BytesIO("good".encode(encoding) + newline + data), context)
    assert good.text == "good"
    assert bad == Quarantined("line 2", reason, error, data)


@pytest.mark.parametrize("name", ["no-such", "hex", "rot13", "a\0b"])
def test_an_encoding_that_is_none_is_named(name):
    with pytest.raises(CorpusmillError, match="no text encoding is called so") as caught:
        list(read_text(io.BytesIO(b"a"), reading(options={"split": "line", "encoding": name})))
    assert caught.value.got == repr(name)


def test_the_news_sample_reads_whole(shared_data):
    with open(shared_data / "news" / "lee_background.cor", "rb") as stream:
        items = list(read_text(stream, LINES))
    assert len(items) == 300
    assert all(isinstance(item, Record) for item in items)
    assert items[0].text.startswith(
        "Hundreds of people have been forced to vacate their homes in the Southern Highlands"
    )


@pytest.mark.parametrize("text", ["SQLite is a small database", "BZh9 is a level", "BZh"])
def test_a_text_that_begins_like_another_format_is_text(text):
    assert list(read_text(io.BytesIO(text.encode()), LINES)) == [Record("0123456789ab:0", "", text)]


def test_a_database_is_no_text():
    (item,) = read_text(io.BytesIO(b"SQLite format 3\0\x10\0"), LINES)
    assert (item.reason, item.error) == ("wrong_format", "expected text, got an SQLite database")
