"""Token shards as readers see them: rows, whole documents, and what is refused."""

import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from token_shards import TEXTS, write_pack, write_rows, write_tokenizer, write_unit

from pipelines.pack import PackParams
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from pipelines.spine.shards import ArrowShard
from pipelines.token_shards import MappedShard, SplitRows
from tokenizer.encoding import Encoder


def test_whole_documents_come_with_their_ids_and_are_what_was_encoded(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    rows = SplitRows(write_pack(tmp_path / "pack", tokenizer), "val")
    found = {doc_id: tokens.tolist() for shard in rows.shards for doc_id, tokens in shard.whole_documents()}
    encoder = Encoder(tokenizer)
    assert found == {f"s:{key}": encoder.encode_documents([text])[0].tolist() for key, text in TEXTS[::5]}
    assert [tokens.tolist() for tokens in rows.shards[0].documents()] == list(found.values())


@pytest.mark.parametrize("strategy", ["best_fit", "concatenate"])
def test_whole_documents_come_in_the_order_in_which_they_begin_in_the_rows(tmp_path: Path, strategy: str) -> None:
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    (shard,) = SplitRows(write_pack(tmp_path / "pack", tokenizer, strategy=strategy), "train").shards
    begun, seen = [], []
    for place in range(shard.num_rows):
        for doc_id, offset in zip(shard.doc_ids(place), shard.row(place).offsets.tolist(), strict=True):
            begun += [] if offset else [doc_id]
            seen += [] if doc_id in seen else [doc_id]
    assert [doc_id for doc_id, _ in shard.whole_documents()] == begun
    # Best fit puts the last piece of a long document into a row before the one that it begins in.
    assert (begun != seen) == (strategy == "best_fit")


def test_documents_of_one_piece_are_not_gathered(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    params, texts = PackParams(16, "best_fit", "split"), [(str(index), "headline") for index in range(20_000)]
    write_unit(tmp_path, "train-s-0", texts, Encoder(tokenizer), params)
    shard = MappedShard(tmp_path / "train-s-0.arrow")
    tracemalloc.start()
    assert sum(1 for _ in shard.whole_documents()) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20  # a quarter of what a view, a tuple and a list for each document take


def test_an_arrow_stream_that_is_no_token_shard_is_refused(tmp_path: Path) -> None:
    with ArrowShard(tmp_path / "train-s-0.arrow", pa.schema([pa.field("n", pa.int32(), False)])) as shard:
        shard.write(pa.RecordBatch.from_arrays([pa.array([1], pa.int32())], schema=shard.schema))
    with pytest.raises(CorpusmillError, match="schema metadata lack or garble 'tokenizer_sha256'") as caught:
        MappedShard(tmp_path / "train-s-0.arrow")
    assert caught.value.hint == "token shards come from pipelines.pack"


@pytest.mark.parametrize("sizes", [(1500,), (1024, 1025), (500, 524)])
def test_record_batches_of_another_size_are_refused(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    row = {"tokens": [0, 5], "segment_lengths": [2], "doc_offsets": [0]}
    rows = [{**row, "doc_ids": [f"s:{number}"]} for number in range(sum(sizes))]
    folder = write_rows(tmp_path / "pack", "train", rows)
    (shard,) = read_manifest(folder).shards
    table = pa.ipc.open_stream(folder.joinpath(shard.name).read_bytes()).read_all().combine_chunks()
    with pa.ipc.new_stream(str(tmp_path / "other.arrow"), table.schema) as writer:
        for first, size in zip((0, sizes[0]), sizes, strict=False):
            writer.write_table(table.slice(first, size).combine_chunks(), max_chunksize=size)
    with pytest.raises(CorpusmillError, match="record batches of another size") as caught:
        MappedShard(tmp_path / "other.arrow")
    assert caught.value.got == ", ".join(map(str, sizes))
