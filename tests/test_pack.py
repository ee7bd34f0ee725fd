"""Packing end to end: text shards in -> token shards that readers open, every token accounted for."""

import json
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import digests, pre_token_counts, words, write_documents, write_params

from pipelines import pack
from pipelines.pack import pack_documents
from pipelines.packing import unit_tokens
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard, read_manifest, write_manifest
from pipelines.spine.units import Unit
from pipelines.token_shards import MappedShard
from tokenizer.bpe import learn_merges
from tokenizer.encoding import Encoder, tokenizer_json

TEXTS = [(f"{index:03}", " ".join(words(index, 5 + 17 * index % 150)) + " 日本語の文章。") for index in range(60)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    merges = learn_merges(pre_token_counts([text for _, text in TEXTS], "gpt2"), 60)
    path.write_text(tokenizer_json(merges, ["<|endoftext|>"], "gpt2"))
    return path


PACK = {"seq_len": 32, "strategy": "best_fit", "long_documents": "split"}


def run(folder: Path, tokenizer: Path, out: str = "out", **changed: object) -> Path:
    params = write_params(folder / f"{out}.yaml", pack={**PACK, **changed})
    output, cache = folder / out, folder / f"cache-{out}"
    given = ["--params", str(params), "--input", str(folder / "in"), "--output", str(output), "--cache", str(cache)]
    pack.main([*given, "--tokenizer", str(tokenizer)])
    return output


def shard_table(output: Path) -> pa.Table:
    (shard,) = read_manifest(output).shards
    with pa.memory_map(str(output / shard.name)) as file:
        return pa.ipc.open_stream(file).read_all()


def shard_of(path: Path) -> Shard:
    return Shard(path.name, pq.read_metadata(path).num_rows, path.stat().st_size, storage.sha256_file(path))


def metadata(output: Path, split: str) -> dict[str, str]:
    (shard,) = read_manifest(output).of_split(split)
    with pa.memory_map(str(output / shard.name)) as file:
        return {k.decode(): v.decode() for k, v in pa.ipc.open_stream(file).schema.metadata.items()}


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
    encoder = Encoder(tokenizer)
    assert metadata(run(tmp_path, tokenizer), "train") == {
        "document_start_id": str(encoder.document_start_id),
        "long_documents": "split",
        "schema_version": "1",
        "seq_len": "32",
        "source": "s",
        "split": "train",
        "strategy": "best_fit",
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


def ledger_of(output: Path) -> dict:
    return json.loads((output / "ledger.json").read_text())


def test_the_ledger_tells_places_cut_documents_and_tallies_by_language(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "en.parquet", TEXTS[:40], source="a", language="en")
    write_documents(tmp_path / "in" / "ja.parquet", [("x", "日本語の文章。"), ("y", "")], source="b", language="ja")
    ledger, encoder = ledger_of(run(tmp_path, tokenizer)), Encoder(tokenizer)
    lengths = [len(encoder.encode_documents([text])[0]) for _, text in TEXTS[:40]]
    apart = ledger["apart"]
    assert (apart["documents"], apart["documents.cut"]) == (42, sum(length > 33 for length in lengths))
    assert apart["places"] == apart["rows.train"] * 33 == ledger["in"] + apart["context"] + apart["padding"]
    japanese = len(encoder.encode_batch(["日本語の文章。"])[0])
    tallies = {name: dict(pairs) for name, pairs in ledger["by_source"]["b"]["tallies"].items()}
    assert tallies == {
        "documents_by_language": {"ja": 2}, "text_tokens_by_language": {"ja": japanese},
        "text_bytes_by_language": {"ja": 21}, "chars_by_language": {"ja": 7},
    }  # fmt: skip
    assert dict(ledger["tallies"]["text_tokens_by_language"])["en"] == sum(lengths) - 40


def test_truncation_drops_what_does_not_fit_in_train_alone_and_counts_it(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "train-s-000000000000.parquet", TEXTS)
    write_documents(tmp_path / "in" / "val-s-111111111111.parquet", TEXTS)
    write_manifest(tmp_path / "in", [shard_of(path) for path in sorted((tmp_path / "in").glob("*.parquet"))])
    output, encoder = run(tmp_path, tokenizer, long_documents="truncate"), Encoder(tokenizer)
    encoded = [encoder.encode_documents([text])[0] for _, text in TEXTS]
    total, lost = sum(map(len, encoded)), sum(max(0, len(ids) - 33) for ids in encoded)
    ledger = ledger_of(output)
    assert ledger["in"] == 2 * total
    assert ledger["out"] == {"train": total - lost, "val": total}
    assert ledger["reasons"] == {"dropped.truncated": lost}
    assert ledger["apart"]["documents.truncated"] == sum(len(ids) > 33 for ids in encoded) > 0
    train, val = (MappedShard(output / shard.name) for shard in read_manifest(output).shards)
    assert {doc_id: ids.tolist() for doc_id, ids in train.whole_documents()} == {
        f"s:{key}": ids[:33].tolist() for (key, _), ids in zip(TEXTS, encoded, strict=True)
    }
    # What is left of the text is what the shard says it holds: its bytes are those that the tokens spell.
    spelled = sum(len(b"".join(encoder.tokens[i] for i in ids[1:])) for _, ids in train.whole_documents())
    assert train.facts.text_bytes == spelled
    assert val.facts.text_bytes == spelled + ledger["apart"]["text_bytes.truncated"]
    assert [metadata(output, split)["long_documents"] for split in ("train", "val")] == ["truncate", "split"]


def test_concatenated_documents_follow_each_other(tmp_path: Path, tokenizer: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    output = run(tmp_path, tokenizer, strategy="concatenate")
    table, ledger = shard_table(output), ledger_of(output)
    assert texts_from(table, Encoder(tokenizer)) == {f"s:{key}": text for key, text in TEXTS}
    ids = [doc_id for row in table["doc_ids"].to_pylist() for doc_id in row]
    assert list(dict.fromkeys(ids)) == [f"s:{key}" for key, _ in TEXTS]
    assert ledger["out"] == {"train": ledger["in"]}
    assert table.schema.metadata[b"strategy"] == b"concatenate"


@pytest.mark.parametrize("strategy", ["best_fit", "concatenate"])
@pytest.mark.parametrize("seq_len", [1, 2, 8192, 8193])
def test_any_row_length_holds_every_document(tmp_path: Path, tokenizer: Path, strategy: str, seq_len: int) -> None:
    texts = [*TEXTS[:6], ("empty", ""), ("long", " ".join(words(9, 6000)))] if seq_len > 2 else [*TEXTS[:3], ("e", "")]
    write_documents(tmp_path / "in" / "a.parquet", texts)
    output = run(tmp_path, tokenizer, seq_len=seq_len, strategy=strategy)
    table, ledger = shard_table(output), ledger_of(output)
    assert table.schema.field("tokens").type.list_size == seq_len + 1
    assert texts_from(table, Encoder(tokenizer)) == {f"s:{key}": text for key, text in texts}
    apart = Counter(ledger["apart"])
    assert table.num_rows * (seq_len + 1) == ledger["in"] + apart["context"] + apart["padding"]


def test_a_vocabulary_above_65_536_is_packed_as_uint32(tmp_path: Path) -> None:
    merges = [(bytes([a]), bytes([b])) for a in range(256) for b in range(256)]
    large = tmp_path / "large.json"
    large.write_text(tokenizer_json(merges, ["<|endoftext|>"], "gpt2"))
    write_documents(tmp_path / "in" / "a.parquet", TEXTS[:5])
    table = shard_table(run(tmp_path, large))
    assert table.schema.metadata[b"vocab_size"] == b"65793"
    assert table.schema.field("tokens").type.value_type == pa.uint32()
    assert texts_from(table, Encoder(large)) == {f"s:{key}": text for key, text in TEXTS[:5]}


def test_every_output_is_the_same_whatever_order_the_documents_files_have(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS[:30], source="a")
    write_documents(tmp_path / "in" / "b.parquet", TEXTS[30:], source="b")
    first = digests(run(tmp_path, tokenizer, "first", strategy="concatenate"))
    assert {"state.json", "dataset_info.json"} < set(first)
    assert sum(name.startswith("index/") for name in first) == 2
    (tmp_path / "in" / "a.parquet").rename(tmp_path / "in" / "z.parquet")
    monkeypatch.setenv("CORPUSMILL_WORKERS", "2")
    assert digests(run(tmp_path, tokenizer, "second", strategy="concatenate")) == first


def test_neither_row_groups_nor_the_parts_that_are_encoded_at_a_time_shape_the_rows(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, unit = Encoder(tokenizer), Unit("train-s-0", "s", ())
    write_documents(tmp_path / "a.parquet", TEXTS)
    table = pq.read_table(tmp_path / "a.parquet").combine_chunks()

    def rows(batch_rows: int, part_bytes: int) -> tuple[int, list[dict]]:
        monkeypatch.setattr(unit_tokens, "PART_BYTES", part_bytes)
        batches = table.to_batches(max_chunksize=batch_rows)
        outcomes = list(pack_documents(batches, encoder, pack.PackParams(**PACK), "train", unit))
        made = [row for outcome in outcomes for batch in outcome.outputs.values() for row in batch.to_pylist()]
        return sum(bool(outcome.taken) for outcome in outcomes), made

    whole, small, cut = rows(1000, 8 << 20), rows(7, 8 << 20), rows(1000, 1)
    assert (whole[0], small[0], cut[0]) == (1, 9, 60)
    assert whole[1] == small[1] == cut[1]
