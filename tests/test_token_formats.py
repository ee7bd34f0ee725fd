"""Each token format's bytes, written out or read by a few lines that know the published layout and nothing of ours."""

import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines.token_formats.blocks import blocks_of
from pipelines.token_formats.datatrove import metric, write_datatrove
from pipelines.token_formats.facts import SplitFacts
from pipelines.token_formats.huggingface import labels_and_positions, write_huggingface
from pipelines.token_formats.litdata import write_litdata
from pipelines.token_formats.llmc import write_llmc
from pipelines.token_formats.mds import write_mds
from pipelines.token_formats.megatron import write_megatron
from pipelines.token_formats.nanogpt import write_nanogpt
from pipelines.token_shards import Row

SMALL, LARGE = (
    SplitFacts("train", 4, 300, "ab" * 32, "data/export"),
    SplitFacts("train", 4, 70_000, "ab" * 32, "data/export"),
)


def documents(facts: SplitFacts, last: int = 258) -> list[tuple[str, list[np.ndarray]]]:
    """Two shards: [0 5 6], an empty document [0]; and [0 7 8 9 last]."""
    made = [[[0, 5, 6], [0]], [[0, 7, 8, 9, last]]]
    return [(f"train-s-{n}", [np.array(ids, facts.dtype) for ids in shard]) for n, shard in enumerate(made)]


def rows(facts: SplitFacts, last: int = 258) -> list[tuple[str, list[Row]]]:
    """Two shards: a row of two segments, the second continuing; a row of one and padding."""
    first = Row(np.array([0, 5, 6, 9, last], facts.dtype), np.array([3, 2], np.int32), np.array([0, 7], np.int32))
    second = Row(np.array([0, 7, 8, 0, 0], facts.dtype), np.array([3], np.int32), np.array([0], np.int32))
    return [("train-s-0", [first]), ("train-s-1", [second])]


def u16(*ids: int) -> bytes:
    return struct.pack(f"<{len(ids)}H", *ids)


def u32(*ids: int) -> bytes:
    return struct.pack(f"<{len(ids)}I", *ids)


def test_nanogpt_is_the_ids_as_uint16_and_nothing_else(tmp_path: Path) -> None:
    assert write_nanogpt(tmp_path, SMALL, documents(SMALL)) == 9
    assert (tmp_path / "train.bin").read_bytes() == bytes.fromhex("0000 0500 0600 0000 0000 0700 0800 0900 0201")


def test_llmc_has_its_published_header_and_goes_on_in_the_next_file(tmp_path: Path) -> None:
    # karpathy/llm.c, dev/data/data_common.py: int32 magic 20240520 = 0x0134d888, version 1, count; 253 zeros; uint16.
    assert write_llmc(tmp_path, SMALL, documents(SMALL), tokens_per_file=6) == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train_000000.bin", "train_000001.bin"]
    first = bytes.fromhex("88d83401 01000000 06000000") + bytes(4 * 253)
    assert (tmp_path / "train_000000.bin").read_bytes() == first + u16(0, 5, 6, 0, 0, 7)
    second = bytes.fromhex("88d83401 01000000 03000000") + bytes(4 * 253)
    assert (tmp_path / "train_000001.bin").read_bytes() == second + u16(8, 9, 258)


def test_llmc_writes_llama_3s_header_and_uint32_for_a_large_vocabulary(tmp_path: Path) -> None:
    # the same file: magic 20240801 = 0x0134d9a1, version 7.
    assert write_llmc(tmp_path, LARGE, documents(LARGE, 69_999)) == 9
    head = bytes.fromhex("a1d93401 07000000 09000000") + bytes(4 * 253)
    assert (tmp_path / "train_000000.bin").read_bytes() == head + u32(0, 5, 6, 0, 0, 7, 8, 9, 69_999)


@pytest.mark.parametrize("per_file", [1, 2, 3, 4, 5, 8, 9, 10])
def test_llmc_loses_no_token_wherever_a_file_ends(tmp_path: Path, per_file: int) -> None:
    write_llmc(tmp_path, SMALL, documents(SMALL), tokens_per_file=per_file)
    files = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    counts = [struct.unpack("<3i", content[:12])[2] for content in files]
    assert [len(content) for content in files] == [1024 + 2 * count for count in counts]
    assert counts[:-1] == [per_file] * (len(files) - 1)
    assert b"".join(content[1024:] for content in files) == u16(0, 5, 6, 0, 0, 7, 8, 9, 258)


@pytest.mark.parametrize(("facts", "code", "kind", "last"), [(SMALL, 8, "H", 258), (LARGE, 4, "i", 69_999)])
def test_megatron_has_one_sequence_a_document(tmp_path: Path, facts: SplitFacts, code: int, kind: str, last: int):
    assert write_megatron(tmp_path, facts, documents(facts, last)) == 9
    size = struct.calcsize(kind)
    assert (tmp_path / "train.bin").read_bytes() == struct.pack(f"<9{kind}", 0, 5, 6, 0, 0, 7, 8, 9, last)
    index = b"MMIDIDX\x00\x00" + struct.pack("<Q", 1) + bytes([code]) + struct.pack("<QQ", 3, 4)
    index += struct.pack("<3i", 3, 1, 5) + struct.pack("<3q", 0, 3 * size, 4 * size) + struct.pack("<4q", 0, 1, 2, 3)
    assert (tmp_path / "train.idx").read_bytes() == index


@pytest.mark.parametrize(("facts", "pack", "last", "size"), [(SMALL, u16, 258, 2), (LARGE, u32, 69_999, 4)])
def test_datatrove_has_a_file_a_shard_with_the_ends_of_its_documents(tmp_path: Path, facts, pack, last, size) -> None:
    assert write_datatrove(tmp_path, facts, documents(facts, last)) == 9
    assert (tmp_path / "train-s-0.ds").read_bytes() == pack(0, 5, 6, 0)
    assert (tmp_path / "train-s-0.ds.index").read_bytes() == struct.pack("<2Q", 3, 4)
    assert (tmp_path / "train-s-1.ds").read_bytes() == pack(0, 7, 8, 9, last)
    assert (tmp_path / "train-s-1.ds.index").read_bytes() == struct.pack("<Q", 5)
    assert (tmp_path / "train-s-1.ds.metadata").read_text() == f"data/export|{size}\n5\n5.00 T"


def test_tokens_are_said_in_three_digits() -> None:
    numbers = [0, 999, 1000, 1_234_567, 999_600, 52_000_000_000]
    assert [metric(n) for n in numbers] == ["0.00 T", "999 T", "1.00 kT", "1.23 MT", "1.00 MT", "52.0 GT"]


def test_mds_holds_a_sample_a_row_with_its_segments(tmp_path: Path) -> None:
    assert write_mds(tmp_path, SMALL, rows(SMALL)) == 10
    (shard,) = json.loads((tmp_path / "index.json").read_text())["shards"]
    content = (tmp_path / "shard.00000.mds").read_bytes()
    assert shard.pop("raw_data") == {"basename": "shard.00000.mds", "bytes": len(content), "hashes": {}}
    assert (shard.pop("samples"), shard.pop("zip_data")) == (2, None)
    assert shard == {
        "version": 2, "format": "mds", "compression": None, "hashes": [], "size_limit": 1 << 26,
        "column_names": ["doc_offsets", "segment_lengths", "tokens"],
        "column_encodings": ["ndarray:int32", "ndarray:int32", "ndarray:uint16:5"], "column_sizes": [None, None, 10],
    }  # fmt: skip
    # Sizes of the two arrays of variable size, the arrays (one dimension, its size in a byte: 04), the tokens.
    first = u32(10, 10) + b"\x04\x02" + u32(0, 7) + b"\x04\x02" + u32(3, 2) + u16(0, 5, 6, 9, 258)
    second = u32(6, 6) + b"\x04\x01" + u32(0) + b"\x04\x01" + u32(3) + u16(0, 7, 8, 0, 0)
    head = json.dumps(shard, sort_keys=True).encode()
    begin = 16 + len(head)
    ends = u32(begin, begin + len(first), begin + len(first) + len(second))
    assert content == u32(2) + ends + head + first + second


def test_mds_says_how_long_a_row_of_many_segments_is(tmp_path: Path) -> None:
    facts = SplitFacts("train", 299, 70_000, "ab" * 32, "data/export")
    row = Row(np.full(300, 69_999, "<u4"), np.ones(300, np.int32), np.zeros(300, np.int32))
    write_mds(tmp_path, facts, [("train-s-0", [row])])
    content = (tmp_path / "shard.00000.mds").read_bytes()
    begin = struct.unpack("<3I", content[:12])[1]
    assert content[begin : begin + 11] == u32(1203, 1203) + b"\x05" + struct.pack("<H", 300)
    assert content[-1200:] == u32(*[69_999] * 300)


@pytest.mark.parametrize(("facts", "pack", "last", "kind"), [(SMALL, u16, 258, 20), (LARGE, u32, 69_999, 16)])
def test_litdata_has_rows_one_after_another_behind_their_offsets(tmp_path: Path, facts, pack, last, kind) -> None:
    assert write_litdata(tmp_path, facts, rows(facts, last)) == 10
    content = (tmp_path / "chunk-0-0.bin").read_bytes()
    size = 5 * facts.dtype.itemsize
    tokens = pack(0, 5, 6, 9, last, 0, 7, 8, 0, 0)
    assert content == u32(2) + u32(16, 16 + size, 16 + 2 * size) + tokens
    index = json.loads((tmp_path / "index.json").read_text())
    entry = {"chunk_bytes": len(content), "chunk_size": 2, "dim": 10, "filename": "chunk-0-0.bin"}
    assert index["chunks"] == [entry]
    config = index["config"]
    assert (config["data_format"], config["item_loader"]) == ([f"no_header_tensor:{kind}"], "TokensLoader")
    assert config["data_spec"] == '[1, {"type": null, "context": null, "children_spec": []}]'


@pytest.mark.parametrize("write", [write_mds, write_litdata])
def test_files_stay_within_their_size_and_lose_no_row(tmp_path: Path, write) -> None:
    many = [("train-s-0", [row for _, found in rows(SMALL) for row in found] * 50)]
    assert write(tmp_path, SMALL, many, block_bytes=500) == 500
    files = sorted(tmp_path.glob("*.mds")) + sorted(tmp_path.glob("*.bin"))
    assert len(files) > 1
    assert all(path.stat().st_size <= 500 for path in files)
    assert sum(struct.unpack("<I", path.read_bytes()[:4])[0] for path in files) == 100


def test_blocks_count_the_head_and_four_bytes_an_item_and_give_a_large_item_a_block_of_its_own() -> None:
    items = [b"a" * 6, b"b" * 6, b"c" * 50, b"d"]
    assert list(blocks_of(items, 10, 30)) == [[b"a" * 6, b"b" * 6], [b"c" * 50], [b"d"]]
    assert list(blocks_of(items, 10, 29)) == [[b"a" * 6], [b"b" * 6], [b"c" * 50], [b"d"]]
    assert list(blocks_of([], 10, 30)) == []


def test_labels_leave_out_the_first_token_repeated_context_and_padding_and_positions_restart() -> None:
    tokens = np.array([0, 11, 12, 13, 25, 26, 27, 0], np.uint16)
    labels, positions = labels_and_positions(Row(tokens, np.array([4, 3], np.int32), np.array([0, 9], np.int32)))
    assert labels.tolist() == [-100, 11, 12, 13, -100, 26, 27, -100]
    assert positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 0]


def test_labels_keep_the_start_of_a_document_after_another_segment() -> None:
    tokens = np.array([0, 11, 0, 12, 13], np.uint16)
    row = Row(tokens, np.array([2, 3], np.int32), np.array([0, 0], np.int32))
    labels, positions = labels_and_positions(row)
    assert labels.tolist() == [-100, 11, 0, 12, 13]
    assert positions.tolist() == [0, 1, 0, 1, 2]
    assert np.count_nonzero(labels != -100) == row.num_trained


def test_huggingface_writes_int32_columns_and_names_its_files_in_order(tmp_path: Path) -> None:
    assert write_huggingface(tmp_path, LARGE, rows(LARGE, 69_999)) == 10
    table = pa.ipc.open_stream((tmp_path / "train-s-0.arrow").read_bytes()).read_all()
    assert table.to_pydict() == {
        "input_ids": [[0, 5, 6, 9, 69_999]], "labels": [[-100, 5, 6, -100, 69_999]], "position_ids": [[0, 1, 2, 0, 1]],
    }  # fmt: skip
    state = json.loads((tmp_path / "state.json").read_text())
    assert [entry["filename"] for entry in state["_data_files"]] == ["train-s-0.arrow", "train-s-1.arrow"]
    assert state["_split"] == "train"
    # `datasets` before 4 does not know the features of later versions, and all versions read them from the files.
    assert set(json.loads((tmp_path / "dataset_info.json").read_text())) == {"description", "citation"}
