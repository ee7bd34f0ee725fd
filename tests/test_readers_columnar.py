"""Parquet, Arrow and datasets: rows in -> documents out, every broken row in the quarantine."""

import datetime
import errno
import gzip
import io
import json
import shutil

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import urllib3
from reading import reading

from pipelines.readers.records import Quarantined, ReadContext, Record, Skipped, WrongFormatError
from pipelines.readers.tables import hub
from pipelines.readers.tables.columnar import read_arrow, read_parquet
from pipelines.readers.tables.failures import is_passing, what_is_wrong
from pipelines.readers.tables.hub import parse_hub_name, read_hf
from pipelines.spine import uploads
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.units import Unit, UnitInput

OWN = reading()
MAPPED = reading(language="zh", columns={"key": "nr", "text": "body", "title": "head", "date": "day"})


def parquet(table: pa.Table, context: ReadContext = OWN, **options):
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return list(read_parquet(io.BytesIO(file.getvalue()), context))


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
        Skipped("empty", "row 3"),
        Quarantined("row 4", "nul", "a NUL stands at character 1 of the record", b"a\0b"),
    ]


def test_parquet_without_the_column_fails_and_names_the_columns():
    with pytest.raises(WrongFormatError, match="the table has no column text") as caught:
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
        (b"PK\x03\x04xxxxxxxx", "wrong_format", "no Parquet file: expected text, got a zip archive"),
        (parquet_bytes()[:-20], "damaged", "the Parquet file breaks off or is damaged"),
    ],
)
def test_a_file_that_is_no_parquet_is_one_entry(data, reason, error):
    (item,) = read_parquet(io.BytesIO(data), OWN)
    assert (item.locator, item.reason) == ("byte 0", reason)
    assert item.error.startswith(error)


def test_the_row_groups_of_a_part_are_read_with_the_rows_numbers_in_the_file():
    table = pa.table({"text": [f"t{number}" for number in range(10)]})
    items = parquet(table, reading(part=(1, 3)), row_group_size=3)
    assert [(item.key, item.text) for item in items] == [(f"0123456789ab:{n}", f"t{n}") for n in range(3, 9)]


def test_parquet_that_cannot_be_read_from_its_end_is_one_entry():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    (item,) = read_parquet(Pipe(parquet_bytes()), OWN)
    assert (item.locator, item.reason) == ("byte 0", "not_seekable")


def test_values_of_the_wrong_type_are_refused_and_dates_of_any_resolution_read():
    texts = pa.array([{"en": "a"}, None], pa.struct([("en", pa.string())]))
    assert [item.reason for item in parquet(pa.table({"text": texts}))] == ["wrong_type", "missing_text"]
    days = pa.array([1_700_000_000_123_456_789, None, 253_402_300_800_000_000], pa.int64())
    table = pa.table({"text": ["a", "b", "c"], "id": [1.5, 2.0, None], "date": days.cast(pa.timestamp("ns"))})
    assert [item.reason for item in parquet(table)[:2]] == ["wrong_type", "wrong_type"]
    (first, *_) = parquet(table.drop_columns("id"))
    assert first == Record("0123456789ab:0", "", "a", date="2023-11-14T22:13:20.123456")


def test_a_value_that_python_cannot_hold_refuses_its_row_alone():
    date = pa.array([0, 253_402_300_800], pa.int64()).cast(pa.timestamp("s"))  # the second is in the year 10000
    good, bad = parquet(pa.table({"text": ["a", "b"], "date": date}))
    assert good == Record("0123456789ab:0", "", "a", date="1970-01-01T00:00:00")
    assert (bad.locator, bad.reason) == ("row 1", "damaged")


# --- Arrow IPC


def arrow(table: pa.Table, make=pa.ipc.new_file, batch_rows: int = 100, **options) -> bytes:
    file = io.BytesIO()
    with make(file, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return file.getvalue()


NUMBERED = pa.table({"text": [f"text {number}" for number in range(1000)], "other": list(range(1000))})


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "lz4"}])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_both_arrow_formats_are_read_whatever_their_compression(make, options, pack):
    items = list(read_arrow(io.BytesIO(pack(arrow(NUMBERED, make, **options))), OWN))
    assert [(item.key, item.text) for item in items] == [(f"0123456789ab:{n}", f"text {n}") for n in range(1000)]


def test_arrow_columns_are_mapped_and_of_any_text_type():
    table = pa.table(
        {
            "nr": pa.array([1, 2], pa.int64()),
            "head": pa.array(["标题", None], pa.string_view()),
            "body": pa.array(["好", "東京"], pa.large_string()).dictionary_encode(),
            "day": pa.array([datetime.date(2024, 1, 2), None]),
        }
    )
    expected = [Record("1", "标题", "好", date="2024-01-02"), Record("2", "", "東京")]
    assert list(read_arrow(io.BytesIO(arrow(table)), MAPPED)) == expected
    with pytest.raises(CorpusmillError, match="the table has no column text"):
        list(read_arrow(io.BytesIO(arrow(table)), OWN))


def test_bad_arrow_values_are_refused_by_row():
    text = pa.array([b"good", b"caf\xe9", None, b" ", b"a\0b"], pa.binary()).view(pa.string())
    items = list(read_arrow(io.BytesIO(arrow(pa.table({"text": text}))), OWN))
    assert [getattr(item, "reason", "") for item in items] == ["", "invalid_utf8", "missing_text", "empty", "nul"]
    assert items[1].raw == b"caf\xe9"


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
def test_an_arrow_file_that_breaks_off_keeps_its_whole_batches(make):
    data = arrow(NUMBERED, make)
    *whole, rest = read_arrow(io.BytesIO(data[: len(data) // 2]), OWN)
    assert [item.text for item in whole] == [f"text {number}" for number in range(len(whole))]
    assert len(whole) % 100 == 0
    assert len(whole) >= 300
    assert (rest.locator, rest.reason) == (f"row {len(whole)} and all after it", "damaged")


def test_an_arrow_file_without_its_end_is_noticed_though_every_row_is_there():
    *whole, rest = read_arrow(io.BytesIO(arrow(NUMBERED)[:-10]), OWN)
    assert len(whole) == 1000
    assert (rest.locator, rest.reason) == ("row 1000 and all after it", "truncated")


def test_offsets_that_lead_out_of_an_arrow_column_refuse_the_rows_they_belong_to():
    data = bytearray(arrow(pa.table({"text": ["aaaa", "bbbb", "cccc"]})))
    offsets = b"".join(number.to_bytes(4, "little") for number in (0, 4, 8, 12))
    place = data.index(offsets)
    data[place + 8 : place + 12] = (1 << 30).to_bytes(4, "little")
    items = list(read_arrow(io.BytesIO(bytes(data)), OWN))
    assert items[0] == Record("0123456789ab:0", "", "aaaa")
    assert [(item.locator, item.reason) for item in items[1:]] == [("row 1", "damaged"), ("row 2", "damaged")]


@pytest.mark.parametrize(
    ("data", "reason", "error"),
    [
        (b"", "empty_file", "the file holds no bytes"),
        (
            b"text\nplain\n",
            "wrong_format",
            "no Arrow file: its first bytes are not those of an Arrow IPC file or stream",
        ),
        (b"PAR1" + bytes(20), "wrong_format", "no Arrow file: expected text, got a Parquet file (kind: parquet)"),
        (b"ARROW1\0\0\xff\xff\xff\xff\0\0", "damaged", "the Arrow file breaks off or is damaged: "),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f", "damaged", "the Arrow file breaks off or is damaged: "),
        (gzip.compress(b"ARROW1", mtime=0)[:12], "damaged", "the Arrow file breaks off or is damaged: "),
    ],
)
def test_a_file_that_is_no_arrow_is_one_entry(data, reason, error):
    (item,) = read_arrow(io.BytesIO(data), OWN)
    assert (item.locator, item.reason) == ("byte 0", reason)
    assert item.error.startswith(error)


# --- datasets


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and an empty cache. The libraries read their environment once, when they are imported."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf" / "datasets")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    return tmp_path / "hf"


def test_a_dataset_folder_is_streamed(offline, tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    rows = [{"id": "a", "text": "很好"}, {"id": "b", "text": None}, {"id": "c", "text": ""}]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert list(read_hf(str(folder), OWN)) == [
        Record("a", "", "很好"),
        Quarantined("row 1", "missing_text", "column text is missing or null", b""),
        Skipped("empty", "row 2"),
    ]


def test_a_copy_of_a_dataset_folder_in_the_storage_root_is_read_as_the_folder(offline, tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"id": "a", "text": "很好"}\n', encoding="utf-8")
    unit = Unit("s-0", "s", (UnitInput(str(folder), "ab" * 32, 0),))
    (sent,) = uploads.uploaded([unit], str(tmp_path / "root"), "extract")
    shutil.rmtree(folder)
    assert list(read_hf(sent.inputs[0].path, OWN)) == [Record("a", "", "很好")]


def test_a_dataset_that_save_to_disk_made_is_read(offline, tmp_path):
    import datasets

    datasets.Dataset.from_dict({"body": ["東京", "b"], "nr": [1, 2]}).save_to_disk(str(tmp_path / "saved"))
    assert list(read_hf(str(tmp_path / "saved"), reading("0", "ja", columns={"text": "body", "key": "nr"}))) == [
        Record("1", "", "東京"),
        Record("2", "", "b"),
    ]


def write_prepared(cache, rows, revision):
    """What `datasets.load_dataset("me/news")` leaves in its cache."""
    import datasets
    from datasets.arrow_writer import ArrowWriter

    folder = cache / "datasets" / "me___news" / "default" / "0.0.0" / revision
    folder.mkdir(parents=True)
    dataset = datasets.Dataset.from_list(rows)
    with ArrowWriter(path=str(folder / "news-train.arrow"), features=dataset.features) as writer:
        for row in rows:
            writer.write(row)
        writer.finalize()
    info = dataset.info
    info.config_name, info.dataset_name, info.version = "default", "news", datasets.Version("0.0.0")
    info.splits = datasets.SplitDict()
    info.splits.add(datasets.SplitInfo("train", num_bytes=1, num_examples=len(rows), dataset_name="news"))
    info.write_to_directory(str(folder))


def test_a_dataset_that_was_prepared_before_is_read_offline(offline):
    write_prepared(offline, [{"id": "a", "text": "好"}, {"id": "b", "text": "東京"}], "a" * 40)
    expected = [Record("a", "", "好"), Record("b", "", "東京")]
    assert list(read_hf("me/news", OWN)) == expected
    assert list(read_hf("me/news@" + "a" * 40, OWN)) == expected


def test_another_revision_than_the_prepared_one_is_not_read_in_its_place(offline):
    write_prepared(offline, [{"id": "a", "text": "好"}], "a" * 40)
    with pytest.raises(CorpusmillError, match=f"the cache holds revision {'a' * 40} alone"):
        list(read_hf("me/news@" + "b" * 40, OWN))


def test_files_of_the_hub_that_were_fetched_before_are_read_offline(offline):
    revision = "b" * 40
    repository = offline / "hub" / "datasets--me--raw"
    files = repository / "snapshots" / revision
    files.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    (files / "README.md").write_text("---\nconfigs:\n- config_name: zh\n  data_files: zh.jsonl\n---\n")
    (files / "zh.jsonl").write_text('{"id": "q", "text": "好"}\n', encoding="utf-8")
    assert list(read_hf("me/raw:zh", OWN)) == [Record("q", "", "好")]
    assert list(read_hf(f"me/raw:zh:train@{revision}", OWN)) == [Record("q", "", "好")]


def test_a_dataset_that_is_not_there_says_what_to_check(offline):
    with pytest.raises(CorpusmillError, match="the dataset cannot be opened") as caught:
        list(read_hf("nobody/nothing@0123", OWN))
    assert "revision" in caught.value.hint


def test_a_hub_name_holds_configuration_split_and_revision():
    assert parse_hub_name("a/b") == ("a/b", None, "train", None)
    assert parse_hub_name("a/b@r1") == ("a/b", None, "train", "r1")
    assert parse_hub_name("a/b:zh:test@r1") == ("a/b", "zh", "test", "r1")


# --- failures that pass by


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (MemoryError(), True),
        (pa.lib.ArrowMemoryError("malloc of size 1073741824 failed"), True),
        (pa.lib.ArrowMemoryError("malloc of size 4611686018427387904 failed"), False),
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError("Corrupt snappy compressed data."), False),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (requests.exceptions.ChunkedEncodingError("cut"), True),
        (urllib3.exceptions.ProtocolError("cut"), True),
        (aiohttp.ClientPayloadError("cut"), True),
        (pa.ArrowInvalid("no Arrow"), False),
        (json.JSONDecodeError("no JSON", "", 0), False),
    ],
)
def test_the_network_and_the_machine_are_told_from_the_data(error, passing):
    outer = RuntimeError("while reading")
    outer.__cause__ = error
    assert (is_passing(error), is_passing(outer)) == (passing, passing)


def test_a_quarantined_error_names_neither_path_nor_address():
    error = ValueError("no table in 'hf://a b/c.json' nor in /home/me/d.json, https://e/f: row 3\nmore")
    assert what_is_wrong(error) == "ValueError: no table in … nor in … … row 3"


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error")])
@pytest.mark.parametrize(("read", "write"), [(read_parquet, parquet_bytes), (read_arrow, lambda: arrow(NUMBERED))])
def test_memory_and_disk_that_fail_are_no_damage(error, read, write):
    class Failing(io.BytesIO):
        def read(self, *size):
            if self.tell() + 8 < len(self.getvalue()) // 2 and self.tell():
                raise error
            return super().read(*size)

    with pytest.raises(type(error)):
        list(read(Failing(write()), OWN))


class Rows:
    """A dataset of two rows and then an error."""

    column_names = ("id", "text")

    def __init__(self, error):
        self._error = error

    def __iter__(self):
        yield {"id": "a", "text": "好"}
        yield {"id": "b", "text": "東京"}
        raise self._error


@pytest.mark.parametrize("kind", [requests.ConnectionError, aiohttp.ClientPayloadError])
def test_a_dataset_whose_network_fails_ends_the_run(kind, monkeypatch):
    error = kind("https://e/x cut")
    monkeypatch.setattr(hub, "_dataset", lambda name: Rows(error))
    rows = read_hf("me/news", OWN)
    assert [next(rows), next(rows)] == [Record("a", "", "好"), Record("b", "", "東京")]
    with pytest.raises(CorpusmillError) as caught:
        next(rows)
    assert caught.value.message == f"the dataset cannot be read further: {kind.__name__}: … cut"
    assert (caught.value.where, caught.value.hint) == ("row 2", "run again: finished units are kept")


def test_a_damaged_dataset_is_one_entry_that_says_what_is_wrong(monkeypatch):
    import datasets

    error = datasets.exceptions.DatasetGenerationError("while generating")
    error.__cause__ = pa.ArrowInvalid("JSON parse error: Invalid value. in row 0")
    monkeypatch.setattr(hub, "_dataset", lambda name: Rows(error))
    *_, rest = read_hf("me/news", OWN)
    assert rest == Quarantined(
        "row 2 and all after it", "damaged", "ArrowInvalid: JSON parse error: Invalid value. in row 0", b""
    )


def test_a_dataset_without_the_column_ends_the_run(monkeypatch):
    monkeypatch.setattr(hub, "_dataset", lambda name: Rows(None))
    with pytest.raises(CorpusmillError, match="the table has no column body") as caught:
        list(read_hf("me/news", reading(columns={"text": "body"})))
    assert type(caught.value) is CorpusmillError
