"""The trace: every document is found in exactly its rows, every row names exactly its documents, or a clear error."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from token_shards import TEXTS, write_pack, write_tokenizer, write_unit

from pipelines import trace
from pipelines.pack import PackParams
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest, write_manifest
from pipelines.spine.shards import ArrowIndex
from pipelines.token_shards import SPLITS, SplitRows
from pipelines.trace_index import INDEX, SCHEMA, documents_of_row, find_document, hash_ids, index_rows
from tokenizer.encoding import Encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trace")
    return write_pack(root / "pack", write_tokenizer(root / "tokenizer.json"))


def test_a_document_is_found_in_all_its_rows_with_its_tokens_in_order(folder: Path, tmp_path: Path) -> None:
    encoder = Encoder(write_tokenizer(tmp_path / "tokenizer.json"))
    rows = {split: SplitRows(folder, split) for split in SPLITS}
    for index, (key, text) in enumerate(TEXTS):
        places = find_document(folder, f"s:{key}")
        assert {place.split for place in places} == {("val", "test", "train", "train", "train")[index % 5]}
        tokens: list[int] = []
        for place in places:
            assert place.doc_offset == max(0, len(tokens) - 1)  # a continuing piece repeats one token
            row = rows[place.split].row(place.split_row).tokens
            tokens += row[place.start : place.start + place.length].tolist()[1 if tokens else 0 :]
        assert tokens == encoder.encode_documents([text])[0].tolist()


def test_each_row_names_its_documents_and_they_name_the_row(folder: Path) -> None:
    seen = set()
    for split in SPLITS:
        for number in range(SplitRows(folder, split).num_rows):
            places = documents_of_row(folder, split, number)
            assert [place.start for place in places] == sorted(place.start for place in places)
            for place in places:
                assert place in find_document(folder, place.doc_id)
                seen.add(place.doc_id)
    assert seen == {f"s:{key}" for key, _ in TEXTS}


def test_two_ids_of_one_hash_are_told_apart_by_the_rows(folder: Path, tmp_path: Path) -> None:
    """The index of another folder that says: every row may hold the document, and another of the same hash."""
    copy = write_pack(tmp_path / "pack", write_tokenizer(tmp_path / "tokenizer.json"))
    for shard in read_manifest(copy).shards:
        path = copy / INDEX / f"{shard.stem}.arrow"
        hashes = np.repeat(hash_ids(["s:007"]), 2 * shard.rows)
        with ArrowIndex(path, SCHEMA) as index:
            rows = pa.array(np.repeat(np.arange(shard.rows, dtype=np.int32), 2))
            index.write(pa.RecordBatch.from_arrays([pa.array(hashes), rows], schema=SCHEMA))
    assert find_document(copy, "s:007") == find_document(folder, "s:007")
    with pytest.raises(CorpusmillError, match="no row holds this document"):
        find_document(copy, "s:008")


def test_the_index_is_sorted_and_holds_each_row_of_a_document() -> None:
    document, row_offsets = np.array([0, 1, 0, 2]), np.array([0, 2, 4])
    index = index_rows(pa.array(["a", "b", "c"]), document, row_offsets, "unit")
    expected = sorted(zip(hash_ids(["a", "b", "a", "c"]).tolist(), [0, 0, 1, 1], strict=True))
    assert list(zip(*(index[name].to_pylist() for name in ("doc_hash", "row")), strict=True)) == expected
    # Written out, so that others can compute it: b2sum -l 64 of "a", its bytes from last to first.
    assert hash_ids(["a"]).tolist() == [int.from_bytes(bytes.fromhex("40f89e395b66422f"), "little")]


def test_two_documents_of_one_id_are_refused() -> None:
    with pytest.raises(CorpusmillError, match="two documents of one text shard have one id") as error:
        index_rows(pa.array(["a", "b", "a"]), np.array([0, 1, 2]), np.array([0, 3]), "train-s-0")
    assert (error.value.where, error.value.got) == ("train-s-0", "a")


def test_the_command_prints_rows_of_a_document_and_documents_of_a_row(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = find_document(folder, "s:011")
    trace.main(["--doc", "s:011", "--input", str(folder)])
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head == f"s:011: test, {places[0].shard}"
    assert [line.split()[:2] for line in lines] == [[f"test:{p.split_row}", str(p.row)] for p in places]
    assert len(lines) > 1
    assert lines[1].endswith("16-32, the first as context")
    trace.main(["--row", f"test:{places[-1].split_row}", "--input", str(folder)])
    assert (
        f"{places[-1].doc_offset}-{places[-1].doc_offset + places[-1].length - 1} of s:011" in capsys.readouterr().out
    )


def test_an_id_in_several_shards_is_shown_shard_by_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder, params = Encoder(write_tokenizer(tmp_path / "tokenizer.json")), PackParams(16, "best_fit", "split")
    stems = ["train-s-000000000000", "train-s-111111111111", "val-s-222222222222"]
    shards = [
        write_unit(tmp_path / "pack", stem, [("1", "x" * n)], encoder, params) for n, stem in enumerate(stems, 16)
    ]
    write_manifest(tmp_path / "pack", shards)
    trace.main(["--doc", "s:1", "--input", str(tmp_path / "pack")])
    lines = capsys.readouterr().out.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("s:1: ")]
    assert [lines[n] for n in heads] == [f"s:1: {stem.partition('-')[0]}, {stem}.arrow" for stem in stems]
    rows = [[line.split()[0] for line in lines[a + 2 : b]] for a, b in itertools.pairwise([*heads, len(lines)])]
    assert rows == [["train:0"], ["train:1", "train:2"], ["val:0", "val:1"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--doc", "s:none"], "no row holds this document"),
        (["--doc", "s:\udcff"], "no doc_id: not Unicode"),
        (["--row", "val:100000"], "no such row"),
        (["--row", "valid:1"], "not a row"),
        (["--row", "val:-1"], "not a row"),
    ],
)
def test_what_is_not_there_is_said(folder: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(CorpusmillError, match=message):
        trace.main([*arguments, "--input", str(folder)])


def test_an_empty_split_and_a_missing_index_are_said(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    folder = write_pack(tmp_path / "pack", tokenizer)
    (folder / "manifest.json").write_text(
        (folder / "manifest.json").read_text().replace("test-s-", "train-s-0")
    )  # no shard of test any more
    with pytest.raises(CorpusmillError, match="no rows in this split") as error:
        documents_of_row(folder, "test", 0)
    assert error.value.expected == "train, val"
    for path in (folder / INDEX).iterdir():
        path.unlink()
    with pytest.raises(CorpusmillError, match="no index of this shard"):
        find_document(folder, "s:000")


def test_an_index_of_hundreds_of_thousands_of_entries_is_one_record_batch(tmp_path: Path) -> None:
    number = 200_000
    with ArrowIndex(tmp_path / "i.arrow", SCHEMA) as shard:
        columns = [np.arange(number, dtype=np.uint64), np.arange(number, dtype=np.int32)]
        shard.write(pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=SCHEMA))
    (batch,) = pa.ipc.open_stream(pa.memory_map(str(tmp_path / "i.arrow")))
    assert batch.num_rows == number
