"""JSON lines, CSV, Parquet and datasets: rows in -> documents out, every broken row in the quarantine."""

import datetime
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.readers import delimited
from pipelines.readers.records import Quarantined, ReadContext, Record, Skipped
from pipelines.readers.tables import parse_hub_name, read_csv, read_hf, read_jsonl, read_parquet
from pipelines.spine.errors import CorpusmillError

OWN = ReadContext(file_key="0123456789ab", columns={}, language="en", split="line")
MAPPED = ReadContext("0123456789ab", {"key": "nr", "text": "body", "title": "head", "date": "day"}, "zh", "line")


def jsonl(*lines: bytes | str, context: ReadContext = OWN):
    data = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return list(read_jsonl(io.BytesIO(data), context))


def csv_items(text: str | bytes, context: ReadContext = OWN):
    return list(read_csv(io.BytesIO(text if isinstance(text, bytes) else text.encode()), context))


def parquet(table: pa.Table, context: ReadContext = OWN, **options):
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return list(read_parquet(io.BytesIO(file.getvalue()), context))


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
        Skipped("empty"),
        Skipped("empty"),
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
        ('{"text": "a", "id": true}', "wrong_type", "key: expected a string, got bool"),
        ('{"text": "half \\ud83d here"}', "lone_surrogate", "text: half a character at 5"),
        ('{"text": "a\\u0000b"}', "nul", "text: a NUL stands at character 1"),
        ('{"text": "a", "text": "b"}', "duplicate_key", "'text' stands there twice"),
        ('{"text": "a", "meta": {"x": 1, "x": 2}}', "duplicate_key", "'x' stands there twice"),
        (b'{"text": "caf\xe9"}', "invalid_utf8", "byte 13 of the record: invalid continuation byte"),
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
        jsonl("{}", context=ReadContext("0", columns, "en", "line"))
    assert "key, title, url, date, language" in caught.value.expected


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
    context = ReadContext("0123456789ab", {"key": "1", "text": "2"}, "zh", "line")
    assert csv_items("a,好\nb,東京\n", context) == [Record("a", "", "好"), Record("b", "", "東京")]


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    assert csv_items("\ufefftext\n好\n") == [Record("0123456789ab:8", "", "好")]


@pytest.mark.parametrize(
    ("row", "reason", "error"),
    [
        (b"only one field\n", "wrong_field_count", "expected 2 fields, as in the header, got 1"),
        (b"a,b,c\n", "wrong_field_count", "expected 2 fields, as in the header, got 3"),
        (b'"a"x,b\n', "malformed_csv", "',' expected after '\"' (1 lines)"),
        (b"caf\xe9,b\n", "invalid_utf8", "byte 3 of the record: invalid continuation byte"),
        (b'"a\ncaf\xe9\nz",b\n', "invalid_utf8", "byte 3 of the record: unexpected end of data"),
        (b"a\x00,b\n", "nul", "a NUL stands at character 1 of the record"),
    ],
)
def test_a_bad_csv_row_is_quarantined_and_the_next_one_read(row, reason, error):
    first, second = csv_items(b"text,id\n" + row + "好,ok\n".encode())
    assert (first.locator, first.reason, first.error, first.raw) == ("line 2", reason, error, row[:-1])
    assert second == Record("ok", "", "好")


def test_blank_and_empty_rows_are_skipped():
    assert csv_items("text,id\n\n,5\n") == [Skipped("empty"), Skipped("empty")]


def test_a_quote_that_nobody_closes_is_one_entry():
    first, rest = csv_items('text,id\na,1\n"b,2\nc,3\n')
    assert first == Record("1", "", "a")
    assert (rest.locator, rest.reason, rest.error) == ("line 3", "malformed_csv", "unexpected end of data (2 lines)")


def test_a_quote_that_nobody_closes_does_not_swallow_a_large_file(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_RECORD_BYTES", 20)
    items = csv_items('text,id\n"never closed,1\nnext line,2\nb,3\nc,4\n')
    assert [type(item).__name__ for item in items] == ["Quarantined", "Record", "Record"]
    assert (items[0].reason, items[0].locator) == ("too_long", "line 2")
    assert [item.key for item in items[1:]] == ["3", "4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("label,review\n1,好\n", "the table has no column text"), ("text,text\na,b\n", "the table has two columns text")],
)
def test_a_header_without_the_column_fails_and_names_the_columns(text, message):
    with pytest.raises(CorpusmillError, match=message) as caught:
        csv_items(text)
    assert caught.value.got == text.split("\n")[0].replace(",", ", ")


def test_a_header_that_cannot_be_read_is_one_entry_for_the_file():
    (item,) = csv_items(b"te\xfft,id\na,1\nb,2\n")
    assert (item.locator, item.reason) == ("line 1", "invalid_utf8")


def test_an_empty_csv_file_is_noticed():
    assert csv_items(b"") == [Quarantined("line 1", "empty_file", "the file holds no bytes", b"")]


# --- Parquet


def test_parquet_rows_are_documents_of_any_column_type():
    table = pa.table(
        {
            "nr": pa.array([1, 2], pa.int64()),
            "head": pa.array(["标题", None], pa.large_string()),
            "body": pa.array(["好", "東京"]).dictionary_encode(),
            "day": pa.array([datetime.date(2024, 1, 2), None]),
            "other": pa.array([0.5, 1.5]),
        }
    )
    assert parquet(table, MAPPED) == [Record("1", "标题", "好", date="2024-01-02"), Record("2", "", "東京")]


def test_parquet_rows_are_numbered_through_all_row_groups():
    table = pa.table({"text": [f"t{number}" for number in range(1000)]})
    items = parquet(table, row_group_size=300)
    assert [item.key for item in items] == [f"0123456789ab:{number}" for number in range(1000)]


def test_bad_parquet_values_are_quarantined_by_row():
    text = pa.array([b"good", b"caf\xe9", None, b"", b"a\0b"], pa.binary()).view(pa.string())
    assert parquet(pa.table({"text": text})) == [
        Record("0123456789ab:0", "", "good"),
        Quarantined("row 1", "invalid_utf8", "byte 3 of the record: unexpected end of data", b"caf\xe9"),
        Quarantined("row 2", "missing_text", "column text is missing or null", b""),
        Skipped("empty"),
        Quarantined("row 4", "nul", "a NUL stands at character 1 of the record", b"a\0b"),
    ]


def test_parquet_without_the_column_fails_and_names_the_columns():
    with pytest.raises(CorpusmillError, match="the table has no column text") as caught:
        parquet(pa.table({"review": ["a"], "label": [1]}))
    assert caught.value.got == "review, label"


def test_a_damaged_row_group_is_one_entry_and_the_others_are_read():
    file = io.BytesIO()
    table = pa.table({"text": [f"text number {number}" for number in range(200)]})
    pq.write_table(table, file, row_group_size=100, compression="zstd", use_dictionary=False)
    data = bytearray(file.getvalue())
    place = pq.ParquetFile(file).metadata.row_group(0).column(0)
    start = place.data_page_offset
    data[start + 40 : start + place.total_compressed_size] = bytes(place.total_compressed_size - 40)
    bad, *good = read_parquet(io.BytesIO(bytes(data)), OWN)
    assert (bad.locator, bad.reason) == ("rows 0 to 99", "damaged")
    assert [item.text for item in good] == [f"text number {number}" for number in range(100, 200)]


def parquet_bytes() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason", "error"),
    [
        (b"", "empty_file", "the file holds no bytes"),
        (b"text\nplain\n", "wrong_format", "no Parquet file: its first bytes are not PAR1"),
        (b"PK\x03\x04xxxxxxxx", "wrong_format", "no Parquet file: expected text, got a zip archive (unpack it first)"),
        (parquet_bytes()[:-20], "damaged", "the Parquet file breaks off or is damaged"),
    ],
)
def test_a_file_that_is_no_parquet_is_one_entry(data, reason, error):
    (item,) = read_parquet(io.BytesIO(data), OWN)
    assert (item.locator, item.reason) == ("byte 0", reason)
    assert item.error.startswith(error)


# --- datasets


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def test_a_dataset_folder_is_streamed(offline, tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    rows = [{"id": "a", "text": "很好"}, {"id": "b", "text": None}, {"id": "c", "text": ""}]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert list(read_hf(str(folder), OWN)) == [
        Record("a", "", "很好"),
        Quarantined("row 1", "missing_text", "column text is missing or null", b""),
        Skipped("empty"),
    ]


def test_a_dataset_that_save_to_disk_made_is_read(offline, tmp_path):
    import datasets

    datasets.Dataset.from_dict({"body": ["東京", "b"], "nr": [1, 2]}).save_to_disk(str(tmp_path / "saved"))
    assert list(read_hf(str(tmp_path / "saved"), ReadContext("0", {"text": "body", "key": "nr"}, "ja", "line"))) == [
        Record("1", "", "東京"),
        Record("2", "", "b"),
    ]


def test_a_dataset_that_is_not_there_says_what_to_check(offline):
    with pytest.raises(CorpusmillError, match="the dataset cannot be opened") as caught:
        list(read_hf("nobody/nothing@0123", OWN))
    assert "revision" in caught.value.hint


def test_a_hub_name_holds_configuration_split_and_revision():
    assert parse_hub_name("a/b") == ("a/b", None, "train", None)
    assert parse_hub_name("a/b@r1") == ("a/b", None, "train", "r1")
    assert parse_hub_name("a/b:zh:test@r1") == ("a/b", "zh", "test", "r1")


def test_the_hotel_reviews_read_whole(shared_data):
    context = ReadContext("0123456789ab", {"text": "2"}, "zh", "line")
    with open(shared_data / "eval" / "ChnSentiCorp_htl_all.csv", "rb") as stream:
        items = list(read_csv(stream, context))
    assert len(items) == 7766
    assert items[0].text.startswith("距离川沙公路较近")
    assert sum(isinstance(item, Record) for item in items) == 7765
    assert sum(isinstance(item, Skipped) for item in items) == 1
