"""Shards: the same rows give the same bytes, however they arrive; a failing block leaves nothing."""

import itertools
import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard
from pipelines.spine.schema import DOCUMENT
from pipelines.spine.shards import ArrowShard, ParquetShard, open_shard, read_batches
from pipelines.spine.storage import sha256_file

ROWS = 2500
ITEM = pa.field("item", pa.uint16(), nullable=False)
TOKENS = pa.schema(
    [
        pa.field("tokens", pa.list_(ITEM, 5), False),
        pa.field("segment_lengths", pa.list_(pa.field("item", pa.int32(), False)), False),
        pa.field("doc_ids", pa.list_(pa.field("item", pa.string(), False)), False),
    ],
    metadata={"seq_len": "4", "split": "train"},
)


def documents(first: int, last: int) -> pa.RecordBatch:
    """Rows first..last of an endless table of documents in three scripts."""
    texts = ["The sea is wide. ", "海は広いな。", "海很宽阔。"]
    columns = [
        [f"s:{row}" for row in range(first, last)],
        ["s"] * (last - first),
        [("en", "ja", "zh")[row % 3] for row in range(first, last)],
        [f"title {row % 7}" for row in range(first, last)],
        *[[""] * (last - first)] * 4,
        ["CC0"] * (last - first),
        [texts[row % 3] * (row % 11) for row in range(first, last)],
    ]
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], schema=DOCUMENT)


def rows_of_tokens(first: int, last: int) -> pa.RecordBatch:
    """Rows first..last of an endless token table; the number of segments differs by row."""
    rows = range(first, last)
    arrays = [
        pa.array([[row % 65_536, 1, 2, 3, row % 5] for row in rows], TOKENS.field(0).type),
        pa.array([[1] * (row % 4) for row in rows], TOKENS.field(1).type),
        pa.array([[f"新聞:{row}"] * (row % 4) for row in rows], TOKENS.field(2).type),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=TOKENS)


MAKERS = {"parquet": documents, "arrow": rows_of_tokens}


def with_validity(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows in arrays that carry a validity buffer and an offset, as after a filter or a slice."""
    arrays = []
    for column in batch.columns:
        longer = pa.concat_arrays([pa.nulls(3, column.type), column, pa.nulls(2, column.type)])
        arrays.append(longer.slice(3, batch.num_rows))
        assert arrays[-1].buffers()[0] is not None
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def chunkings(make) -> dict[str, Iterator[pa.RecordBatch]]:
    whole = make(0, ROWS)
    table = pa.Table.from_batches([make(0, 700), make(700, ROWS)])
    return {
        "whole": iter([whole]),
        "slices of 7": (whole.slice(start, 7) for start in range(0, ROWS, 7)),
        "single rows": (whole.slice(start, 1) for start in range(ROWS)),
        "fresh batches of 100": (make(start, start + 100) for start in range(0, ROWS, 100)),
        "empty batches between": (part for start in (0, 1024) for part in (
            make(0, 0), whole.slice(start, (1024, 1476)[start > 0]), whole.slice(5, 0))),
        "a slice of a longer table": iter([make(0, ROWS + 600).slice(0, 1100), make(1000, ROWS + 9).slice(100, 1400)]),
        "a chunked table": iter(table.to_batches(max_chunksize=333)),
        "validity buffers and offsets": iter([with_validity(whole)]),
        "validity buffers in every other batch": (
            part if start % 200 else with_validity(part)
            for start in range(0, ROWS, 100) for part in [whole.slice(start, 100)]),
    }  # fmt: skip


def write(path: Path, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Shard:
    with open_shard(path, schema) as shard:
        for batch in batches:
            shard.write(batch)
    return shard.published()


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_rows_in_any_chunking_give_the_same_bytes(kind: str, tmp_path: Path) -> None:
    make = MAKERS[kind]
    found = {}
    for name, batches in chunkings(make).items():
        published = write(tmp_path / f"shard.{kind}", batches, make(0, 0).schema)
        assert published.rows == ROWS, name
        found[name] = published.sha256
    assert found == dict.fromkeys(found, found["whole"])


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(1, 1299), max_size=12))
def test_any_cuts_give_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, cuts: set[int]) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    for kind, make in MAKERS.items():
        whole, borders = make(0, 1300), [0, *sorted(cuts), 1300]
        parts = (whole.slice(a, b - a) for a, b in itertools.pairwise(borders))
        one = write(folder / f"one.{kind}", iter([whole]), whole.schema)
        assert write(folder / f"many.{kind}", parts, whole.schema).sha256 == one.sha256


def test_a_parquet_row_group_has_1024_rows(tmp_path: Path) -> None:
    write(tmp_path / "s.parquet", iter([documents(0, ROWS)]), DOCUMENT)
    with pq.ParquetFile(tmp_path / "s.parquet") as file:
        groups = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        assert file.metadata.row_group(0).column(7).compression == "ZSTD"
        assert file.schema_arrow.equals(DOCUMENT, check_metadata=False)
    assert groups == [1024, 1024, 452]
    assert [batch.num_rows for batch in read_batches(tmp_path / "s.parquet", ["text"])] == [1024, 1024, 452]
    assert pq.read_table(tmp_path / "s.parquet").equals(pa.Table.from_batches([documents(0, ROWS)]))


@pytest.mark.parametrize("text", ["a" * (1 << 20), "世" * (1 << 20)], ids=["en", "zh"])
def test_a_row_group_ends_once_its_text_reaches_32_mib_of_utf8(text: str, tmp_path: Path) -> None:
    mib = len(text.encode()) >> 20
    batch = documents(0, 1).set_column(9, DOCUMENT.field(9), pa.array([text], pa.string()))
    write(tmp_path / "s.parquet", iter([batch] * 40), DOCUMENT)
    with pq.ParquetFile(tmp_path / "s.parquet") as file:
        groups = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
    assert groups == {1: [32, 8], 3: [11, 11, 11, 7]}[mib]


def test_an_arrow_stream_has_batches_of_exactly_1024_rows_and_is_uncompressed(tmp_path: Path) -> None:
    write(tmp_path / "s.arrow", iter(rows_of_tokens(0, ROWS).slice(i, 500) for i in range(0, ROWS, 500)), TOKENS)
    with pa.memory_map(str(tmp_path / "s.arrow")) as source:
        stream = pa.ipc.open_stream(source)
        before = pa.total_allocated_bytes()
        batches = list(stream)
        assert pa.total_allocated_bytes() - before < 10_000  # the rows lie in the mapped file
        assert [batch.num_rows for batch in batches] == [1024, 1024, 452]
        assert stream.schema.equals(TOKENS, check_metadata=True)
        assert pa.Table.from_batches(batches).equals(pa.Table.from_batches([rows_of_tokens(0, ROWS)]))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_shard_without_rows_can_be_read(kind: str, tmp_path: Path) -> None:
    schema = MAKERS[kind](0, 0).schema
    published = write(tmp_path / f"s.{kind}", iter([]), schema)
    assert published == Shard(f"s.{kind}", 0, published.bytes, sha256_file(tmp_path / f"s.{kind}"))
    if kind == "parquet":
        assert list(read_batches(tmp_path / "s.parquet")) == []
    else:
        with pa.ipc.open_stream(tmp_path / "s.arrow") as stream:
            assert stream.read_all().num_rows == 0


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("rows", [0, 10, ROWS])
def test_a_failing_block_publishes_nothing_and_leaves_no_temporary_file(kind: str, rows: int, tmp_path: Path) -> None:
    batch = MAKERS[kind](0, rows)
    with pytest.raises(ValueError, match="broken"), open_shard(tmp_path / f"s.{kind}", batch.schema) as shard:
        shard.write(batch)
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", MAKERS)
def test_rows_of_another_schema_are_refused_and_nothing_stays(kind: str, tmp_path: Path) -> None:
    other = pa.RecordBatch.from_pydict({"x": ["a"]})
    with (
        pytest.raises((pa.ArrowInvalid, ValueError)),
        open_shard(tmp_path / f"s.{kind}", MAKERS[kind](0, 0).schema) as shard,
    ):
        shard.write(other)
    assert list(tmp_path.iterdir()) == []


def test_a_schema_that_the_format_cannot_hold_leaves_nothing(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("x", pa.month_day_nano_interval())])
    with pytest.raises(pa.ArrowNotImplementedError), ParquetShard(tmp_path / "s.parquet", schema):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("rows", [1500, 1000], ids=["while writing", "while closing"])
def test_a_disk_that_takes_no_more_is_one_message_with_the_shard_s_name(kind: str, rows: int, tmp_path: Path) -> None:
    path = tmp_path / f"s.{kind}"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CorpusmillError) as caught:
            write(path, iter([MAKERS[kind](0, rows)]), MAKERS[kind](0, 0).schema)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value) == f"{path}: file too large"
    assert list(tmp_path.iterdir()) == []


def test_two_attempts_at_one_shard_publish_equal_bytes(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    with ParquetShard(path, DOCUMENT) as first, ParquetShard(path, DOCUMENT) as second:
        first.write(documents(0, 1200))
        second.write(documents(0, 600))
        second.write(documents(600, 1200))
    assert first.published() == second.published()
    assert [file.name for file in tmp_path.iterdir()] == ["s.parquet"]


def test_the_ending_of_the_name_chooses_the_format(tmp_path: Path) -> None:
    assert isinstance(open_shard(tmp_path / "a.arrow", TOKENS), ArrowShard)
    assert isinstance(open_shard(tmp_path / "a.parquet", DOCUMENT), ParquetShard)


def test_a_null_in_a_column_without_nulls_is_refused(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("x", pa.string(), nullable=False)])
    batch = pa.RecordBatch.from_arrays([pa.array(["a", None])], schema=schema)
    for name in ("s.parquet", "s.arrow"):
        with pytest.raises((pa.ArrowInvalid, CorpusmillError)), open_shard(tmp_path / name, schema) as shard:
            shard.write(batch)
    assert list(tmp_path.iterdir()) == []
