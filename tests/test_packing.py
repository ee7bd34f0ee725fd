"""Rows of tokens: every id is in a row, every text token is a target once, and equal documents give equal rows."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.packing import (
    PackedRows,
    pack_rows,
    plan_rows,
    rows_to_batches,
    split_documents,
    token_dtype,
    token_shard_schema,
)
from pipelines.packing.token_file import TokenFile
from pipelines.packing.unit_tokens import UnitTokens
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.schema import DOCUMENT
from tokenizer.encoding import Encoder, tokenizer_json

lengths_and_row_len = st.tuples(st.lists(st.integers(1, 40), max_size=40), st.integers(2, 17))


def documents(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Ids and offsets of documents 0 (start), then ids that stand nowhere else: 1, 2, 3, ..."""
    ids, last = [], 0
    for length in lengths:
        ids += [0, *range(last + 1, last + length)]
        last += length - 1
    return np.array(ids, np.uint32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def packed(lengths: list[int], row_len: int, strategy: str = "best_fit", long_documents: str = "split") -> PackedRows:
    ids, offsets = documents(lengths)
    return PackedRows(plan_rows(offsets, row_len, strategy, long_documents), ids.astype(np.uint16), 0)


def targets(rows: PackedRows) -> list[int]:
    """The ids that the loss mask of the format lets through, text tokens alone."""
    found = []
    for r, row in enumerate(rows.tokens.tolist()):
        at = 0
        for s in range(rows.row_offsets[r], rows.row_offsets[r + 1]):
            length = int(rows.segments.length[s])
            found += row[at + 1 : at + length]  # a segment's first id is a document start or repeated context
            at += length
    return found


@pytest.mark.parametrize(
    ("strategy", "long_documents", "rows", "starts", "lengths", "doc_offsets", "counts"),
    [
        ("best_fit", "split", [[0, 1, 5, 6, 7], [0, 2, 3, 4, 5]], [0, 2, 0], [2, 3, 5], [0, 4, 0], (1, 0, 9)),
        ("concatenate", "split", [[0, 1, 0, 2, 3], [3, 4, 5, 6, 7]], [0, 2, 0], [2, 3, 5], [0, 0, 2], (1, 0, 9)),
        ("best_fit", "truncate", [[0, 1, 0, 0, 0], [0, 2, 3, 4, 5]], [0, 0], [2, 5], [0, 0], (0, 3, 7)),
    ],
)  # fmt: skip
def test_the_docstring_example(strategy, long_documents, rows, starts, lengths, doc_offsets, counts) -> None:
    found = packed([2, 7], 5, strategy, long_documents)  # x is 1, a to f are 2 to 7
    assert found.tokens.tolist() == rows
    assert found.segment_starts(0, 2).tolist() == starts
    assert found.segments.length.tolist() == lengths
    assert found.segments.doc_offset.tolist() == doc_offsets
    assert (found.segments.num_repeated, found.num_padding, found.plan.num_tokens) == counts


def test_a_document_start_alone_at_the_end_of_a_row_waits_for_the_next_one() -> None:
    rows = packed([4, 3], 5, "concatenate")
    assert rows.tokens.tolist() == [[0, 1, 2, 3, 0], [0, 4, 5, 0, 0]]  # both zeros at the ends are padding
    assert rows.segments.length.tolist() == [4, 3]
    assert packed([4, 1, 3], 5, "concatenate").segments.length.tolist() == [4, 1, 3]  # an empty document fits


def test_a_document_is_cut_only_when_it_is_longer_than_a_row() -> None:
    pieces = split_documents(np.array([0, 5, 11, 12, 21]), 5)
    assert pieces.document.tolist() == [0, 1, 1, 2, 3, 3]
    assert pieces.doc_offset.tolist() == [0, 0, 4, 0, 0, 4]
    assert pieces.length.tolist() == [5, 5, 2, 1, 5, 5]
    assert pieces.start.tolist() == [0, 5, 9, 11, 12, 16]


def test_each_piece_goes_where_the_least_space_is_left() -> None:
    # 7 opens a row (3 left), 6 another (4 left), 4 fills the second, 3 the first, 2 opens a third.
    rows = packed([2, 3, 4, 6, 7], 10)
    assert [row[:2] for row in rows.tokens.tolist()] == [[0, 1], [0, 2], [0, 4]]
    assert rows.segments.document.tolist() == [0, 1, 4, 2, 3]
    assert rows.tokens.tolist()[0] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert rows.num_padding == 8


def test_a_row_of_two_holds_one_target() -> None:
    rows = packed([4, 1], 2)
    assert rows.tokens.tolist() == [[0, 1], [1, 2], [2, 3], [0, 0]]
    assert rows.segments.length.tolist() == [2, 2, 2, 1]


def test_no_documents_give_no_rows() -> None:
    rows = packed([], 8)
    assert rows.tokens.shape == (0, 8)
    assert rows.row_offsets.tolist() == [0]
    assert list(rows_to_batches(rows, pa.array([], pa.string()), token_shard_schema(7, 100, {}))) == []
    assert packed([], 8, "concatenate").num_rows == packed([], 8, "best_fit", "truncate").num_rows == 0


def test_a_row_without_room_for_a_target_is_refused() -> None:
    with pytest.raises(CorpusmillError, match="a row holds no target"):
        split_documents(np.array([0, 3]), 1)


def texts_of(rows: PackedRows, num_documents: int) -> list[list[int]]:
    """The documents put together again from the filled rows: each segment without its context, in order."""
    parts: dict[int, dict[int, list[int]]] = {}
    for r, row in enumerate(rows.tokens.tolist()):
        at = 0
        for s in range(rows.row_offsets[r], rows.row_offsets[r + 1]):
            length, offset = int(rows.segments.length[s]), int(rows.segments.doc_offset[s])
            segment = row[at : at + length]
            parts.setdefault(int(rows.segments.document[s]), {})[offset] = segment[1:] if offset else segment
            at += length
        assert at <= len(row)
        assert not any(row[at:])
    return [[i for offset in sorted(parts[d]) for i in parts[d][offset]] for d in range(num_documents)]


@pytest.mark.parametrize("strategy", ["best_fit", "concatenate"])
@settings(max_examples=200, deadline=None)
@given(lengths_and_row_len)
def test_every_id_is_packed_and_every_text_token_is_a_target_once(strategy: str, case: tuple[list[int], int]) -> None:
    lengths, row_len = case
    ids, offsets = documents(lengths)
    rows = packed(lengths, row_len, strategy)
    assert rows.plan.num_tokens == len(ids)
    assert rows.num_rows * row_len == len(ids) + rows.segments.num_repeated + rows.num_padding
    assert sorted(targets(rows)) == [i for i in ids.tolist() if i]
    assert texts_of(rows, len(lengths)) == [part.tolist() for part in np.split(ids, offsets[1:-1])][: len(lengths)]


@settings(max_examples=200, deadline=None)
@given(lengths_and_row_len)
def test_truncation_keeps_the_first_row_of_each_document_and_no_more(case: tuple[list[int], int]) -> None:
    lengths, row_len = case
    ids, offsets = documents(lengths)
    rows = packed(lengths, row_len, "best_fit", "truncate")
    assert rows.plan.num_tokens == sum(min(length, row_len) for length in lengths)
    assert rows.segments.num_repeated == 0
    kept = [part[:row_len].tolist() for part in np.split(ids, offsets[1:-1])][: len(lengths)]
    assert texts_of(rows, len(lengths)) == kept


@settings(max_examples=200, deadline=None)
@given(lengths_and_row_len)
def test_concatenated_rows_follow_the_documents_and_are_full_but_the_last(case: tuple[list[int], int]) -> None:
    lengths, row_len = case
    rows = packed(lengths, row_len, "concatenate")
    assert rows.segments.document.tolist() == sorted(rows.segments.document.tolist())
    filled = np.add.reduceat(rows.segments.length, rows.row_offsets[:-1]).tolist() if lengths else []
    # One place is padding where only the start of a longer document would have fitted.
    for row, length in enumerate(filled[:-1]):
        begun = rows.segments.document[rows.row_offsets[row + 1]]
        assert length == row_len or (length == row_len - 1 and lengths[begun] > 1)
    # Each cut costs one id of context, and there is no more than one cut at each row's end.
    assert rows.segments.num_repeated <= max(0, len(filled) - 1)


@settings(max_examples=100, deadline=None)
@given(lengths_and_row_len)
def test_rows_are_ordered_by_their_first_segment_and_at_most_one_is_half_empty(case: tuple[list[int], int]) -> None:
    lengths, row_len = case
    rows = packed(lengths, row_len)
    firsts = rows.segments.start[rows.row_offsets[:-1]].tolist()
    assert firsts == sorted(firsts)
    inside = [part.tolist() for part in np.split(rows.segments.start, rows.row_offsets[1:-1])]
    assert all(starts == sorted(starts) for starts in inside)
    # Were two rows half empty, the later one's first piece would have gone into the earlier one.
    filled = [int(part.sum()) for part in np.split(rows.segments.length, rows.row_offsets[1:-1])]
    assert sum(2 * length <= row_len for length in filled) <= 1


def test_real_lengths_fill_the_rows() -> None:
    lengths = np.minimum(np.random.default_rng(0).lognormal(5, 1.2, 5000).astype(int) + 1, 9000).tolist()
    for row_len in (129, 1025):
        ids, offsets = np.zeros(sum(lengths), np.uint16), np.concatenate([[0], np.cumsum(lengths)])
        rows = PackedRows(plan_rows(offsets, row_len, "best_fit", "split"), ids, 0)
        assert rows.num_padding * 1000 < 3 * rows.tokens.size


def test_the_dtype_follows_the_vocabulary() -> None:
    ids, offsets = np.array([0, 65_535], np.uint32), np.array([0, 2])
    rows = pack_rows(ids, split_documents(offsets, 4), 4, 0, 65_536)
    assert rows.tokens.dtype == np.uint16
    assert rows.tokens.tolist() == [[0, 65_535, 0, 0]]
    assert token_dtype(65_537) == np.uint32
    assert token_shard_schema(3, 65_536, {}).field("tokens").type.value_type == pa.uint16()
    assert token_shard_schema(3, 65_537, {}).field("tokens").type.value_type == pa.uint32()


def test_the_schema_says_what_the_shard_is() -> None:
    schema = token_shard_schema(4, 100, {"split": "val", "source": "zh", "text_bytes": 12})
    columns = ["tokens", "segment_starts", "segment_lengths", "doc_offsets", "doc_ids", "source"]
    assert [field.name for field in schema] == columns
    assert not any(field.nullable for field in schema)
    assert schema.metadata == {
        b"schema_version": b"1", b"seq_len": b"4", b"vocab_size": b"100",
        b"split": b"val", b"source": b"zh", b"text_bytes": b"12",
    }  # fmt: skip


def test_batches_hold_1024_rows_with_their_segments() -> None:
    rows = packed([3, 6, 2] * 700, 5)
    doc_ids = pa.array([f"zh:{n}" for n in range(2100)])
    batches = list(rows_to_batches(rows, doc_ids, token_shard_schema(4, 60_000, {"source": "zh"})))
    assert [batch.num_rows for batch in batches[:-1]] == [1024] * (len(batches) - 1)
    table = pa.Table.from_batches(batches)
    table.validate(full=True)
    assert table["tokens"].to_pylist() == rows.tokens.tolist()
    segments = table["segment_lengths"].combine_chunks()
    assert segments.flatten().to_pylist() == rows.segments.length.tolist()
    assert table["doc_offsets"].combine_chunks().flatten().to_pylist() == rows.segments.doc_offset.tolist()
    expected = [f"zh:{n}" for n in rows.segments.document.tolist()]
    assert table["doc_ids"].combine_chunks().flatten().to_pylist() == expected
    assert [len(row) for row in table["doc_ids"].to_pylist()] == np.diff(rows.row_offsets).tolist()


def test_segment_starts_say_where_in_the_row_each_segment_begins() -> None:
    rows = packed([2, 7], 5)
    (batch,) = rows_to_batches(rows, pa.array(["a", "b"]), token_shard_schema(4, 60_000, {"source": "zh"}))
    assert batch["segment_starts"].to_pylist() == [[0, 2], [0]]
    assert batch["source"].to_pylist() == ["zh", "zh"]


def test_thousands_of_truncated_documents_are_measured_in_a_moment_whatever_the_vocabulary() -> None:
    merges = [(bytes([a]), bytes([b])) for a in range(256) for b in range(256)]
    columns = {name: ["s"] for name in DOCUMENT.names} | {"text": ["abcd 日本" * 500]}
    with UnitTokens(Encoder(tokenizer_json(merges, ["<|endoftext|>"], "gpt2")), "train-s-0") as unit:
        assert len(list(unit.take(pa.table(columns, DOCUMENT).to_batches()))) == 1
        begun = time.process_time()
        assert {unit.num_text_bytes(0, len(unit.ids)) for _ in range(2000)} == {11 * 500}
    assert time.process_time() - begun < 1  # 65,793 lengths 2,000 times: 6 s


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_rows_from_a_file_of_ids_are_the_rows_from_an_array(dtype: type) -> None:
    ids, offsets = documents([2, 7, 1, 12, 4])
    plan = plan_rows(offsets, 5, "best_fit", "split")
    with TokenFile(np.dtype(dtype)) as file:
        for part in np.split(ids, [3, 3, 10]):
            file.extend(part)
        assert (len(file), file[24:99].tolist(), file[9:3].tolist()) == (26, [20, 21], [])
        rows = PackedRows(plan, file, 0).tokens
        assert rows.dtype == dtype
        assert rows.tolist() == PackedRows(plan, ids, 0).tokens.tolist()
