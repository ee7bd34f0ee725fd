"""Packing end to end: text shards in -> token shards that readers open, every token accounted for."""

import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from corpora import digests, pre_token_counts, words, write_documents, write_params

from pipelines import pack
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from tokenizer.bpe import learn_merges
from tokenizer.encoding import Encoder, tokenizer_json

TEXTS = [(f"{index:03}", " ".join(words(index, 5 + 17 * index % 150)) + " 日本語の文章。") for index in range(60)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    merges = learn_merges(pre_token_counts([text for _, text in TEXTS], "gpt2"), 60)
    path.write_text(tokenizer_json(merges, ["<|endoftext|>"], "gpt2"))
    return path


def run(folder: Path, tokenizer: Path, out: str = "out", seq_len: int = 32) -> Path:
    params = write_params(folder / f"{out}.yaml", pack={"seq_len": seq_len})
    output, cache = folder / out, folder / f"cache-{out}"
    given = ["--params", str(params), "--input", str(folder / "in"), "--output", str(output), "--cache", str(cache)]
    pack.main([*given, "--tokenizer", str(tokenizer)])
    return output


def shard_table(output: Path) -> pa.Table:
    (shard,) = read_manifest(output).shards
    with pa.memory_map(str(output / shard.name)) as file:
        return pa.ipc.open_stream(file).read_all()


def texts_from(table: pa.Table, encoder: Encoder) -> dict[str, str]:
    """Every document put together again from its segments."""
    pieces: dict[str, list[tuple[int, list[int]]]] = {}
    for row in table.to_pylist():
        start = 0
        for length, offset, doc_id in zip(row["segment_lengths"], row["doc_offsets"], row["doc_ids"], strict=True):
            ids = row["tokens"][start : start + length]
            # The document start, and the context of a continuing piece, are no new text.
            pieces.setdefault(doc_id, []).append((offset, ids[1:]))
            start += length
    return {doc_id: encoder.decode([i for _, ids in sorted(parts) for i in ids]) for doc_id, parts in pieces.items()}


def test_every_document_can_be_read_back_from_the_rows(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    table = shard_table(run(tmp_path, tokenizer))
    assert texts_from(table, Encoder(tokenizer)) == {f"s:{key}": text for key, text in TEXTS}


def test_the_token_ledger_closes_and_padding_and_context_stand_apart(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    output = run(tmp_path, tokenizer)
    ids, _ = Encoder(tokenizer).encode_documents([text for _, text in TEXTS])
    ledger, table = json.loads((output / "ledger.json").read_text()), shard_table(output)
    assert (ledger["in"], ledger["out"], ledger["reasons"]) == (len(ids), {"train": len(ids)}, {})
    cells = table.num_rows * 33
    assert cells == len(ids) + ledger["apart"]["context"] + ledger["apart"]["padding"]


def test_datasets_opens_a_shard_as_it_is_and_its_rows_are_fixed_size(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    output = run(tmp_path, tokenizer)
    (shard,) = read_manifest(output).shards
    opened = datasets.Dataset.from_file(str(output / shard.name))
    table = shard_table(output)
    assert opened.num_rows == table.num_rows
    flat = table["tokens"].combine_chunks().flatten().to_numpy(zero_copy_only=True)
    assert flat.dtype == np.uint16
    assert opened[0]["tokens"] == flat[:33].tolist()


def test_metadata_say_what_a_trainer_must_know_and_nothing_of_siblings(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    metadata = {k.decode(): v.decode() for k, v in shard_table(run(tmp_path, tokenizer)).schema.metadata.items()}
    encoder = Encoder(tokenizer)
    assert metadata == {
        "document_start_id": str(encoder.document_start_id),
        "schema_version": "1",
        "seq_len": "32",
        "source": "s",
        "split": "train",
        "text_bytes": str(sum(len(text.encode()) for _, text in TEXTS)),
        "tokenizer_sha256": encoder.sha256,
        "vocab_size": str(encoder.vocab_size),
    }


def test_bytes_depend_on_neither_file_names_nor_workers(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS[:30])
    write_documents(tmp_path / "in" / "b.parquet", TEXTS[30:])
    first = digests(run(tmp_path, tokenizer, "first"))
    (tmp_path / "in" / "a.parquet").rename(tmp_path / "in" / "z.parquet")
    monkeypatch.setenv("CORPUSMILL_WORKERS", "2")
    assert digests(run(tmp_path, tokenizer, "second")) == first


def test_a_row_of_no_target_is_refused_and_one_target_works(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS[:3])
    with pytest.raises(CorpusmillError) as error:
        run(tmp_path, tokenizer, seq_len=0)
    assert error.value.where == "params.yaml: pack.seq_len"
    table = shard_table(run(tmp_path, tokenizer, seq_len=1))
    assert texts_from(table, Encoder(tokenizer)) == {f"s:{key}": text for key, text in TEXTS[:3]}


def test_another_tokenizer_packs_again(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    before = digests(run(tmp_path, tokenizer))
    other = tmp_path / "tokenizer.json"
    other.write_text(tokenizer_json([], ["<|endoftext|>"], "gpt2"))
    assert digests(run(tmp_path, other)) != before
