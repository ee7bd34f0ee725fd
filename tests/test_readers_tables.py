"""JSON lines and CSV: rows in -> documents out, every broken row in the quarantine."""

import gzip
import io

import pytest
from reading import reading

from pipelines.readers.charset import ENCODING_HINT
from pipelines.readers.records import Quarantined, ReadContext, Record, Skipped, WrongFormatError
from pipelines.readers.tables import delimited
from pipelines.readers.tables.reader import read_csv, read_jsonl
from pipelines.spine.errors import CorpusmillError

OWN = reading()
MAPPED = reading(language="zh", columns={"key": "nr", "text": "body", "title": "head", "date": "day"})


def jsonl(*lines: bytes | str, context: ReadContext = OWN):
    data = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return list(read_jsonl(io.BytesIO(data), context))


def csv_items(text: str | bytes, context: ReadContext = OWN):
    return list(read_csv(io.BytesIO(text if isinstance(text, bytes) else text.encode()), context))


# --- JSON lines


def test_json_fields_become_document_fields():
    assert jsonl(
        '{"id": 7, "title": "第一回", "text": "甄士隐梦幻识通灵", "url": "https://e/7", "date": "2024-05-01"}',
        '{"text": "東京は日本の首都", "language": "ja", "extra": [1, {"a": NaN}]}',
        "",
        '{"text": "  \\n"}',
    ) == [
        Record("7", "第一回", "甄士隐梦幻识通灵", "https://e/7", "2024-05-01"),
        Record("0123456789ab:112", "", "東京は日本の首都", language="ja"),
        Skipped("empty", "line 3"),
        Skipped("empty", "line 4"),
    ]


def test_mapped_columns_are_read_and_no_others():
    assert jsonl('{"nr": "a1", "head": null, "body": "好", "id": 9, "url": "u"}', context=MAPPED) == [
        Record("a1", "", "好")
    ]


@pytest.mark.parametrize(
    ("line", "reason", "error"),
    [
        ('{"text": "a"', "malformed_json", "Expecting ',' delimiter: line 1 column 13 (char 12)"),
        ("not json at all", "malformed_json", "Expecting value: line 1 column 1 (char 0)"),
        ('{"text": "tab\there"}', "malformed_json", "Invalid control character at: line 1 column 14 (char 13)"),
        ('["text", "a"]', "not_an_object", "expected an object, got list"),
        ('"text"', "not_an_object", "expected an object, got str"),
        ('{"title": "a"}', "missing_text", "column text is missing or null"),
        ('{"text": null}', "missing_text", "column text is missing or null"),
        ('{"text": 17}', "wrong_type", "text: expected a string, got int"),
        ('{"text": ["a", "b"]}', "wrong_type", "text: expected a string, got list"),
        ('{"text": "a", "title": {"en": "b"}}', "wrong_type", "title: expected a string, got dict"),
        ('{"text": NaN}', "wrong_type", "text: expected a string, got float"),
        ('{"text": {"en": "a"}}', "wrong_type", "text: expected a string, got dict"),
        ('{"text": "a", "id": 1.5}', "wrong_type", "key: expected a string, got float"),
        ('{"text": "a", "author": ["Ann", 7.5]}', "wrong_type", "one author: expected a string, got float"),
        ('{"text": "a", "id": true}', "wrong_type", "key: expected a string, got bool"),
        ('{"text": "half \\ud83d here"}', "lone_surrogate", "text: half a character at 5"),
        ('{"text": "a\\u0000b"}', "nul", "text: a NUL stands at character 1"),
        ('{"text": "a", "text": "b"}', "duplicate_key", "'text' stands there twice"),
        ('{"text": "a", "meta": {"x": 1, "x": 2}}', "duplicate_key", "'x' stands there twice"),
        (b'{"text": "caf\xe9"}', "invalid_utf8", "byte 13 of the record: invalid continuation byte" + ENCODING_HINT),
        (b'{"text": "a\x00b"}', "nul", "a NUL stands at character 11 of the record"),
        ('{"text": "a", "n": ' + "9" * 5000 + "}", "malformed_json", None),
        ("[" * 100_000, "malformed_json", None),
    ],
)
def test_a_bad_json_line_is_quarantined_and_the_next_one_read(line, reason, error):
    raw = line if isinstance(line, bytes) else line.encode()
    first, second = jsonl(line, '{"id": "ok", "text": "好"}')
    assert (first.locator, first.reason, first.raw) == ("line 1", reason, raw[:65536])
    assert error is None or first.error == error
    assert second == Record("ok", "", "好")


def test_a_key_that_stands_twice_is_found_among_very_many():
    names = ", ".join(f'"k{number}": 1' for number in range(200_000))
    (item,) = jsonl('{"text": "a", ' + names + ', "k199999": 2}')
    assert (item.reason, item.error) == ("duplicate_key", "'k199999' stands there twice")


def test_several_authors_are_one_field():
    assert jsonl('{"id": "1", "text": "好", "author": ["Ann", null, "王"], "revision": 17}') == [
        Record("1", "", "好", author="Ann, 王", revision="17")
    ]


def test_a_part_of_a_json_file_has_the_keys_and_places_of_the_file():
    part = reading(begin=4096)
    assert jsonl('{"text": "好"}', "", "{", context=part) == [
        Record("0123456789ab:4096", "", "好"),
        Skipped("empty", "byte 4112"),
        Quarantined(
            "byte 4113", "malformed_json",
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", b"{",
        ),
    ]  # fmt: skip


def test_json_in_another_encoding_is_read():
    lines = '{"id": 1, "text": "北京"}\n{"id": 2, "text": "上海"}\n'
    for encoding in ("utf-16", "gb18030"):
        context = reading(options={"encoding": encoding})
        assert list(read_jsonl(io.BytesIO(lines.encode(encoding)), context)) == [
            Record("1", "", "北京"),
            Record("2", "", "上海"),
        ]


def test_a_line_of_200_megabytes_is_refused_and_the_next_one_read():
    class Long(io.RawIOBase):
        pieces = iter([b'{"text": "', *[b"x" * (1 << 20)] * 200, b'"}\n', b'{"id": "ok", "text": "y"}'])

        def readable(self):
            return True

        def readinto(self, buffer):
            piece = next(self.pieces, b"")
            buffer[: len(piece)] = piece
            return len(piece)

    long, short = read_jsonl(Long(), OWN)
    assert (long.locator, long.reason, len(long.raw)) == ("line 1", "too_long", 65536)
    assert long.error == "209,715,212 bytes; at most 67,108,864 are read as one record"
    assert short == Record("ok", "", "y")


def test_a_mapped_key_that_is_missing_is_no_document():
    (item,) = jsonl('{"body": "好"}', context=MAPPED)
    assert (item.reason, item.error) == ("missing_key", "column nr is missing, null or empty")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"key": "id"}, "no column is named for the text"),
        ({"text": "a", "body": "b"}, "body is not a field of a document"),
    ],
)
def test_a_wrong_column_mapping_says_which_fields_there_are(columns, message):
    with pytest.raises(CorpusmillError, match=message) as caught:
        jsonl("{}", context=reading(columns=columns))
    assert "key, title, url, date, language, author, revision" in caught.value.expected


def test_compressed_json_that_breaks_off_keeps_every_whole_line():
    lines = b"".join(b'{"id": %d, "text": "t"}\n' % number for number in range(15_000))
    data = gzip.compress(lines, mtime=0)[:-2000]
    *whole, rest = read_jsonl(io.BytesIO(data), OWN)
    assert [item.key for item in whole] == [str(number) for number in range(len(whole))]
    assert len(whole) > 8_000
    assert (rest.locator, rest.reason) == (f"line {len(whole) + 1}", "damaged")


def test_a_zip_called_jsonl_is_one_quarantine_entry():
    (item,) = jsonl(b"PK\x03\x04 rest", b"more")
    assert (item.locator, item.reason) == ("line 1", "wrong_format")


# --- CSV and TSV


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_header_tells_the_delimiter(delimiter):
    text = "nr,head,body,day\n1,标题,好,2024-01-02\n2,,東京,\n".replace(",", delimiter)
    assert csv_items(text, MAPPED) == [Record("1", "标题", "好", date="2024-01-02"), Record("2", "", "東京")]


def test_quoted_fields_hold_delimiters_quotes_and_line_ends():
    assert csv_items('text,title\r\n"a, ""b""\r\nc","x,y"\r\nd,e\r\n') == [
        Record("0123456789ab:12", "x,y", 'a, "b"\r\nc'),
        Record("0123456789ab:33", "e", "d"),
    ]


def test_columns_mapped_by_number_mean_a_table_without_a_header():
    numbered = reading(language="zh", columns={"key": "1", "text": "2"})
    assert csv_items("a,好\nb,東京\n", numbered) == [Record("a", "", "好"), Record("b", "", "東京")]


def test_a_table_in_another_encoding_is_read():
    text = 'nr;head;body\n1;标题;好\n2;"东\n京";\n3;a;b\n'
    for encoding in ("utf-16", "gb18030"):
        context = reading(columns={"key": "nr", "title": "head", "text": "body"}, options={"encoding": encoding})
        assert list(read_csv(io.BytesIO(text.encode(encoding)), context)) == [
            Record("1", "标题", "好"),
            Skipped("empty", "line 3"),
            Record("3", "a", "b"),
        ]


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    assert csv_items("\ufefftext\n好\n") == [Record("0123456789ab:8", "", "好")]


@pytest.mark.parametrize(
    ("row", "reason", "error"),
    [
        (b"only one field\n", "wrong_field_count", "expected 2 fields, as in the header, got 1"),
        (b"a,b,c\n", "wrong_field_count", "expected 2 fields, as in the header, got 3"),
        (b'"a"x,b\n', "malformed_csv", "',' expected after '\"' (1 lines)"),
        (b"caf\xe9,b\n", "invalid_utf8", "byte 3 of the record: invalid continuation byte" + ENCODING_HINT),
        (b'"a\ncaf\xe9\nz",b\n', "invalid_utf8", "byte 3 of the record: unexpected end of data" + ENCODING_HINT),
        (b"a\x00,b\n", "nul", "a NUL stands at character 1 of the record"),
    ],
)
def test_a_bad_csv_row_is_quarantined_and_the_next_one_read(row, reason, error):
    first, second = csv_items(b"text,id\n" + row + "好,ok\n".encode())
    assert (first.locator, first.reason, first.error, first.raw) == ("line 2", reason, error, row[:-1])
    assert second == Record("ok", "", "好")


def test_blank_and_empty_rows_are_skipped():
    assert csv_items("text,id\n\n,5\n") == [Skipped("empty", "line 2"), Skipped("empty", "line 3")]


def test_a_quote_that_nobody_closes_refuses_its_line_alone():
    assert csv_items('text,id\na,1\n"b,2\nc,3\n"d\ne",4\n"f\ng",5\n') == [
        Record("1", "", "a"),
        Quarantined("line 3", "malformed_csv", "',' expected after '\"' (3 lines)", b'"b,2'),
        Record("3", "", "c"),
        Record("4", "", "d\ne"),
        Record("5", "", "f\ng"),
    ]


def test_one_unclosed_quote_in_ten_thousand_rows_costs_one_row():
    rows = [f"text {number},{number}\n" for number in range(10_000)]
    rows[299] = '"text 299,299\n'
    items = csv_items("text,id\n" + "".join(rows))
    assert items[299] == Quarantined(
        "line 301", "malformed_csv", "unexpected end of data (9,701 lines)", b'"text 299,299'
    )
    assert [item.key for item in items if isinstance(item, Record)] == [str(n) for n in range(10_000) if n != 299]


def test_a_file_of_unclosed_quotes_is_read_three_times_at_most():
    # Each line closes the field of the line before and opens one; rows tried from every line would take hours.
    items = csv_items('text,id\n"x\n' + 'a","b\n' * 20_000)
    assert [(item.locator, item.reason, item.raw) for item in items[:2]] == [
        ("line 2", "malformed_csv", b'"x'),
        ("line 3", "malformed_csv", b'a","b'),
    ]
    assert [item.error for item in items[:3]] == [
        "unexpected end of data (20,001 lines)",
        "unexpected end of data (20,000 lines)",
        "unexpected end of data (1 lines)",
    ]
    assert len(items) == 20_001


def test_a_row_of_too_many_lines_refuses_its_first_line_alone(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_ROW_LINES", 3)
    items = csv_items('text,id\n"a,1\nb,2\nc,3\nd,4\n"e\nf\ng",5\n')
    assert (items[0].locator, items[0].reason, items[0].raw) == ("line 2", "too_long", b'"a,1')
    assert items[1:] == [Record("2", "", "b"), Record("3", "", "c"), Record("4", "", "d"), Record("5", "", "e\nf\ng")]


def test_a_quote_that_nobody_closes_does_not_swallow_a_large_file(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_RECORD_BYTES", 20)
    items = csv_items('text,id\n"never closed,1\nnext line,2\nb,3\nc,4\n')
    assert [type(item).__name__ for item in items] == ["Quarantined", "Record", "Record", "Record"]
    assert (items[0].reason, items[0].locator) == ("too_long", "line 2")
    assert [item.key for item in items[1:]] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("label,review\n1,好\n", "the table has no column text"), ("text,text\na,b\n", "the table has two columns text")],
)
def test_a_header_without_the_column_fails_and_names_the_columns(text, message):
    with pytest.raises(WrongFormatError, match=message) as caught:
        csv_items(text)
    assert caught.value.got == text.split("\n")[0].replace(",", ", ")


def test_a_header_that_cannot_be_read_is_one_entry_for_the_file():
    (item,) = csv_items(b"te\xfft,id\na,1\nb,2\n")
    assert (item.locator, item.reason) == ("line 1", "invalid_utf8")


def test_an_empty_csv_file_is_noticed():
    assert csv_items(b"") == [Quarantined("line 1", "empty_file", "the file holds no bytes", b"")]


def test_the_hotel_reviews_read_whole(shared_data):
    numbered = reading(language="zh", columns={"text": "2"})
    with open(shared_data / "eval" / "ChnSentiCorp_htl_all.csv", "rb") as stream:
        items = list(read_csv(stream, numbered))
    assert len(items) == 7766
    assert items[0].text.startswith("距离川沙公路较近")
    assert sum(isinstance(item, Record) for item in items) == 7765
    assert sum(isinstance(item, Skipped) for item in items) == 1
