"""The stage `learn`: counts in, a tokenizer of exactly the size asked for out, whatever the order of the counts."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from corpora import digests, pre_token_counts, write_params

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest, write_manifest
from pipelines.spine.schema import COUNT, PATTERN_KEY
from pipelines.spine.shards import ParquetShard
from tokenizer.encoding import DOCUMENT_START, Encoder
from tokenizer.learn import LearnParams, learn_tokenizers, main, measure, most_frequent

TEXTS = ["the cat and the other cat", "the weather there", "猫はいる。猫はいない。猫がいた。", "我们在这里，我们在那里"]
COUNTS = pre_token_counts(TEXTS, "cjk-1")


def params(vocab_size: int, *more_sizes: int) -> LearnParams:
    return LearnParams(vocab_size, more_sizes, 1000, ("<|endoftext|>",))


def learn_tokenizer(counts: list[tuple[bytes, int]], pattern: str, params: LearnParams) -> str:
    """The main size's file."""
    return learn_tokenizers(counts, pattern, params)[params.vocab_size]


def count_batches(*batches: list[tuple[bytes, int]], pattern: str = "cjk-1") -> list[pa.RecordBatch]:
    """Row groups of (pre-token, count), as `count` writes them."""
    schema = COUNT.with_metadata({PATTERN_KEY: pattern})
    rows = [[{"pre_token": token, "count": count} for token, count in batch] for batch in batches]
    return [pa.RecordBatch.from_pylist(batch, schema=schema) for batch in rows]


def write_counts(folder: Path, counts: list[tuple[bytes, int]], num_shards: int, pattern: str = "cjk-1") -> None:
    """A folder as `count` leaves it, the counts dealt out over shards."""
    shards = []
    schema = COUNT.with_metadata({PATTERN_KEY: pattern}) if pattern else COUNT
    for index in range(num_shards):
        part = counts[index::num_shards]
        arrays = [pa.array([token for token, _ in part], pa.binary()), pa.array([n for _, n in part], pa.int64())]
        with ParquetShard(folder / f"counts-{index:03d}.parquet", schema) as shard:
            shard.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        shards.append(shard.published())
    write_manifest(folder, shards)


def run(
    tmp_path: Path, name: str, vocab_size: int = 270, more_sizes: tuple[int, ...] = (), max_pre_tokens: int = 1000
) -> Path:
    """Runs the stage on ``tmp_path/count`` as its command does; the output folder."""
    file = tmp_path / f"{name}.yaml"
    section = {"vocab_size": vocab_size, "more_sizes": [*more_sizes], "max_pre_tokens": max_pre_tokens}
    write_params(file, learn=section | {"special_tokens": [DOCUMENT_START]})
    output = tmp_path / name
    options = {"--input": tmp_path / "count", "--output": output, "--params": file, "--cache": tmp_path / "cache"}
    main([str(word) for option in options.items() for word in option])
    return output


def test_counts_in_and_a_tokenizer_of_that_size_out(tmp_path: Path) -> None:
    write_counts(tmp_path / "count", COUNTS, 2)
    output = run(tmp_path, "learn")
    encoder = Encoder(output / "tokenizer.json")
    assert encoder.vocab_size == 270
    assert encoder.decode(encoder.encode_batch(TEXTS)[0]) == "".join(TEXTS)
    assert encoder.tokens[257:260] == (b"\xe3\x81", b"he", b"the")  # the first bytes of hiragana
    ledger = json.loads((output / "ledger.json").read_text())
    assert (ledger["counts"], ledger["in"]) == ("vocabulary", 270)
    assert ledger["out"] == {"alphabet": 256, "merges": 13, "specials": 1}
    [shard] = read_manifest(output).check().shards
    assert (shard.name, shard.rows, shard.sha256) == ("tokenizer.json", 270, encoder.sha256)


def test_bytes_per_token_is_that_of_the_train_text(tmp_path: Path) -> None:
    write_counts(tmp_path / "count", COUNTS, 1)
    output = run(tmp_path, "learn")
    ids, _ = Encoder(output / "tokenizer.json").encode_batch(TEXTS)
    num_bytes = sum(len(text.encode()) for text in TEXTS)
    assert json.loads((output / "metrics.json").read_text()) == {
        "vocab_size": 270,
        "distinct_pre_tokens": len(COUNTS),
        "train_bytes": num_bytes,
        "train_tokens": len(ids),
        "bytes_per_token": round(num_bytes / len(ids), 4),
    }


def test_the_shards_of_the_counts_change_no_byte(tmp_path: Path) -> None:
    digests = set()
    for num_shards, counts in ((1, COUNTS), (3, COUNTS[::-1])):
        folder = tmp_path / str(num_shards)
        write_counts(folder / "count", counts, num_shards)
        output = run(folder, "learn")
        digests.add((output / "tokenizer.json").read_bytes() + (output / "metrics.json").read_bytes())
    assert len(digests) == 1


def test_a_vocabulary_larger_than_the_text_supports_is_refused_with_the_largest_possible() -> None:
    with pytest.raises(CorpusmillError, match="larger vocabulary than the train text supports") as error:
        learn_tokenizer([(b"low", 5), (b"lower", 2)], "gpt2", params(300))
    assert "expected: 261 or less" in str(error.value)
    assert Encoder(learn_tokenizer([(b"low", 5), (b"lower", 2)], "gpt2", params(261))).vocab_size == 261


def test_a_vocabulary_smaller_than_its_alphabet_is_refused() -> None:
    with pytest.raises(CorpusmillError, match="257 or more: 256 bytes and 1 special"):
        learn_tokenizer(COUNTS, "cjk-1", params(256))
    assert Encoder(learn_tokenizer(COUNTS, "cjk-1", params(257))).vocab_size == 257


def test_counts_that_name_no_pattern_or_several_are_refused(tmp_path: Path) -> None:
    write_counts(tmp_path / "count", COUNTS, 1, pattern="")
    with pytest.raises(CorpusmillError, match="do not name one pattern"):
        run(tmp_path, "learn")


def test_an_empty_train_split_is_refused(tmp_path: Path) -> None:
    write_counts(tmp_path / "count", [], 1)
    with pytest.raises(CorpusmillError, match="no pre-tokens to learn from"):
        run(tmp_path, "learn")
    assert not (tmp_path / "learn" / "manifest.json").exists()


def test_sums_beyond_64_bits_are_measured_exactly() -> None:
    huge = 1 << 62
    encoder = Encoder(learn_tokenizer([(b"ab", 1)], "gpt2", params(258)))
    (batch,) = count_batches([(b"ab", huge), (b"abc", huge)])
    assert measure([batch], encoder)["train_bytes"] == 5 * huge
    assert measure([batch, batch], encoder)["train_tokens"] == 6 * huge


def test_several_sizes_come_from_one_training_and_ids_mean_the_same_in_each(tmp_path: Path) -> None:
    write_counts(tmp_path / "count", COUNTS, 1)
    output = run(tmp_path, "learn", 270, (275, 260))
    encoders = {size: Encoder(output / f"tokenizer-{size}.json") for size in (260, 275)}
    encoders[270] = Encoder(output / "tokenizer.json")
    assert {size: encoder.vocab_size for size, encoder in encoders.items()} == {260: 260, 270: 270, 275: 275}
    for size, encoder in encoders.items():
        assert encoder.tokens == encoders[275].tokens[:size]
        assert encoder.decode(encoder.encode_batch(TEXTS)[0]) == "".join(TEXTS)
    alone = run(tmp_path, "alone", 260)
    assert (alone / "tokenizer.json").read_bytes() == (output / "tokenizer-260.json").read_bytes()
    ledger = json.loads((output / "ledger.json").read_text())
    assert (ledger["in"], ledger["apart"]) == (
        270,
        {"pre_tokens": len(COUNTS), "vocabulary_of_260": 260, "vocabulary_of_275": 275},
    )
    shares = json.loads((output / "metrics.json").read_text())
    assert shares["more_sizes"]["260"] < shares["bytes_per_token"] < shares["more_sizes"]["275"]


def test_another_further_size_changes_the_list_of_sizes_and_not_the_manifest(tmp_path: Path) -> None:
    write_counts(tmp_path / "count", COUNTS, 1)
    before, after = digests(run(tmp_path, "learn", 270, (260,))), digests(run(tmp_path, "learn", 270, (265,)))
    assert set(before) ^ set(after) == {
        f"tokenizer-{size}.{kind}" for size in (260, 265) for kind in ("json", "tiktoken")
    }
    changed = {name for name in set(before) & set(after) if before[name] != after[name]}
    assert changed == {"sizes.json", "metrics.json", "ledger.json", "card.md"}
    listed = json.loads((tmp_path / "learn" / "sizes.json").read_text())["files"]
    assert {entry["name"]: entry["sha256"] for entry in listed} == {
        name: digest for name, digest in after.items() if name.startswith("tokenizer")
    }


def test_a_further_size_that_cannot_be_is_refused_by_its_parameter() -> None:
    with pytest.raises(CorpusmillError, match="larger vocabulary than the train text supports") as error:
        learn_tokenizers([(b"low", 5), (b"lower", 2)], "gpt2", params(260, 258, 300))
    assert "learn.more_sizes" in str(error.value)
    with pytest.raises(CorpusmillError, match=r"learn\.more_sizes: too small"):
        learn_tokenizers(COUNTS, "gpt2", params(260, 256))
    with pytest.raises(CorpusmillError, match="given twice"):
        learn_tokenizers(COUNTS, "gpt2", params(260, 270, 260))


def test_the_card_says_what_it_was_learned_from_and_its_code_runs(tmp_path: Path) -> None:
    write_counts(tmp_path / "count", COUNTS, 1)
    output = run(tmp_path, "learn", 270, (260,))
    card = (output / "card.md").read_text(encoding="utf-8")
    num_bytes = sum(len(text.encode()) for text in TEXTS)
    assert f"learned from {num_bytes} bytes of train text ({len(COUNTS)} different pre-tokens)" in card
    assert "| 260 | 3 |" in card
    assert digests(tmp_path / "count")["manifest.json"] in card
    assert str(tmp_path) not in card
    pattern = card.split("```text\n")[1].split("\n```")[0]
    code = card.split("```python\n")[1].split("```")[0]
    for name in ("tokenizer.json", "tokenizer.tiktoken"):
        code = code.replace(f'"{name}"', repr(str(output / name)))
    ids = []
    for part in code.replace('"text"', "text").strip().split("\n\n"):
        *before, last = part.split("\n", 2) if "import tiktoken" in part else part.split("\n")
        names = {"pattern": pattern, "text": TEXTS[2]}
        exec("\n".join(before), names)
        ids.append(eval(last, names))
    assert ids == [Encoder(output / "tokenizer.json").encode_batch([TEXTS[2]])[0].tolist()] * 3


def rows_of(table: pa.Table) -> list[tuple[bytes, int]]:
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_the_most_frequent_pre_tokens_are_kept_and_of_equals_the_first_by_bytes() -> None:
    counts = [(b"d", 1), (b"a", 5), (b"c", 2), (b"b", 2), (b"e", 9), (b"f", 2)]
    for cut in range(len(counts) + 1):
        batches = count_batches(counts[:cut], counts[cut:])
        kept, pattern = most_frequent(batches, 4)
        assert (rows_of(kept), pattern) == ([(b"a", 5), (b"b", 2), (b"c", 2), (b"e", 9)], "cjk-1")
        assert rows_of(most_frequent(batches, 6)[0]) == sorted(counts)
    assert rows_of(most_frequent(count_batches(*([row] for row in counts)), 1)[0]) == [(b"e", 9)]


def test_what_is_left_out_of_learning_is_counted_and_still_measured(tmp_path: Path) -> None:
    write_counts(tmp_path / "count", COUNTS, 2)
    whole = json.loads((run(tmp_path, "whole", 262) / "metrics.json").read_text())
    output = run(tmp_path, "few", 262, max_pre_tokens=5)
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["train_bytes"] == whole["train_bytes"]
    assert metrics["train_tokens"] >= whole["train_tokens"]
    apart = json.loads((output / "ledger.json").read_text())["apart"]
    assert (apart["pre_tokens"], apart["pre_tokens.left_out"]) == (len(COUNTS), len(COUNTS) - 5)
    with pytest.raises(CorpusmillError, match=r"learn\.max_pre_tokens"):
        run(tmp_path, "none", max_pre_tokens=0)


def test_the_card_names_the_document_start_wherever_it_stands_and_its_inputs_in_one_order(tmp_path: Path) -> None:
    counts = [*COUNTS, (b"zz", 1)]
    for name, some in (("a", COUNTS), ("b", counts)):
        write_counts(tmp_path / name, some, 1)
    params = write_params(
        tmp_path / "params.yaml", learn={"vocab_size": 270, "more_sizes": [], "max_pre_tokens": 1000,
                                          "special_tokens": ["<|pad|>", DOCUMENT_START]},
    )  # fmt: skip
    cards = []
    for number, (first, second) in enumerate([("a", "b"), ("b", "a")]):
        inputs = ["--input", str(tmp_path / first), str(tmp_path / second)]
        output = tmp_path / f"out-{number}"
        main([*inputs, "--output", str(output), "--params", str(params), "--cache", str(tmp_path / "cache")])
        cards.append((output / "card.md").read_text(encoding="utf-8"))
    assert f'bos_token="{DOCUMENT_START}"' in cards[0]
    assert f"`{DOCUMENT_START}` begins each document" in cards[0]
    assert cards[0] == cards[1]
