"""Plain text and the lines under all table readers: text in -> items out, broken input included."""

import bz2
import gzip
import io

import pytest

from pipelines.readers.plain import Line, read_text, split_lines
from pipelines.readers.records import QUARANTINE_RAW_BYTES, Quarantined, ReadContext, Record, Skipped
from pipelines.spine.errors import CorpusmillError

LINES = ReadContext(file_key="0123456789ab", columns={}, language="en", split="line")
FILE = ReadContext(file_key="0123456789ab", columns={}, language="zh", split="file")


def test_each_line_is_a_document_named_by_its_byte_offset():
    text = "One line.\n新华社北京电\r\n\n東京は日本の首都\n"
    assert list(read_text(io.BytesIO(text.encode()), LINES)) == [
        Record(key="0123456789ab:0", title="", text="One line."),
        Record(key="0123456789ab:10", title="", text="新华社北京电"),
        Skipped("empty"),
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
        Quarantined("line 2", "invalid_utf8", "byte 3 of the record: unexpected end of data", b"caf\xe9"),
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
        ("utf-16 text".encode("utf-16"), "UTF-16 text"),
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
    with pytest.raises(CorpusmillError, match="expected: line or file"):
        read_text(io.BytesIO(b"a"), ReadContext("0", {}, "en", "page"))


def test_the_news_sample_reads_whole(shared_data):
    with open(shared_data / "news" / "lee_background.cor", "rb") as stream:
        items = list(read_text(stream, LINES))
    assert len(items) == 300
    assert all(isinstance(item, Record) for item in items)
    assert items[0].text.startswith(
        "Hundreds of people have been forced to vacate their homes in the Southern Highlands"
    )
