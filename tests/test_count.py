"""Counting pre-tokens: train text in -> sorted counts out, whose bytes are the text's."""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import digests, read_rows, words, write_documents, write_params

from pipelines import count, shard
from pipelines.count import bytes_of, merge_counts, partition_counts
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.schema import COUNT

SHARD = {
    "val_per_10000": 3000, "test_per_10000": 3000, "max_eval_documents": 100, "shingle_size": 5, "leak_threshold": 0.8,
    "leak_containment": 0.9, "min_unit_mb": 64,
}  # fmt: skip


def run(folder: Path, out: str = "out", **changes: object) -> Path:
    params = write_params(folder / f"{out}.yaml", count={"pattern": "gpt2", "num_partitions": 2, **changes})
    output, cache = folder / out, folder / f"cache-{out}"
    count.main(["--params", str(params), "--input", str(folder / "in"), "--output", str(output), "--cache", str(cache)])
    return output


def count_table(counts: Iterable[tuple[bytes, int]]) -> pa.Table:
    """(pre-token, count) pairs as `count` writes them."""
    return pa.Table.from_pylist([{"pre_token": token, "count": count} for token, count in counts], COUNT)


def test_merging_adds_counts_and_sorts_by_bytes() -> None:
    first, second = count_table([(b"b", 1), (b"\xe4\xb8\xad", 2)]), count_table([(b"a", 3), (b"b", 4)])
    assert merge_counts([first, second]).to_pylist() == [
        {"pre_token": b"a", "count": 3},
        {"pre_token": b"b", "count": 5},
        {"pre_token": b"\xe4\xb8\xad", "count": 2},
    ]
    assert bytes_of(merge_counts([first, second])) == 3 + 5 + 6


def test_partitions_hold_every_pre_token_once() -> None:
    table = count_table([(word.encode(), 1) for word in sorted(set(words(1, 200)))])
    parts = partition_counts(table, 4)
    assert sorted(parts) == [0, 1, 2, 3]
    assert sorted(row["pre_token"] for part in parts.values() for row in part.to_pylist()) == [
        row["pre_token"] for row in table.to_pylist()
    ]


def test_counts_of_two_units_are_exact_for_english_and_chinese(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "the cat the"), ("2", "中文")])
    write_documents(tmp_path / "in" / "b.parquet", [("3", "the cat, 中文")])
    output = run(tmp_path)
    found = {row["pre_token"].decode(): row["count"] for row in read_rows(output)}
    assert found == {"the": 2, " cat": 2, " the": 1, "中文": 1, ",": 1, " 中文": 1}
    ledger = json.loads((output / "ledger.json").read_text())
    assert (ledger["in"], ledger["out"]) == (11 + 6 + 15, {"counted": 32})


def test_bytes_do_not_depend_on_file_names_and_units_do_not_leave_their_own_counts_behind(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", " ".join(words(1, 300)))])
    write_documents(tmp_path / "in" / "b.parquet", [("2", " ".join(words(2, 300)))])
    first = digests(run(tmp_path, "first"))
    (tmp_path / "in" / "a.parquet").rename(tmp_path / "in" / "z.parquet")
    assert digests(run(tmp_path, "second")) == first
    assert sorted(name for name in first if name.endswith(".parquet")) == ["counts-000.parquet", "counts-001.parquet"]


def test_val_and_test_text_is_not_counted(tmp_path: Path) -> None:
    write_documents(tmp_path / "docs" / "a.parquet", [(str(index), f"number {index}") for index in range(60)])
    params = write_params(tmp_path / "shard.yaml", shard=SHARD)
    cache = str(tmp_path / "cache")
    given = ["--params", str(params), "--input", str(tmp_path / "docs"), "--output", str(tmp_path / "in")]
    shard.main([*given, "--cache", cache])
    train = [
        text for path in (tmp_path / "in").glob("train-*.parquet") for text in pq.read_table(path)["text"].to_pylist()
    ]
    assert 0 < len(train) < 60
    ledger = json.loads((run(tmp_path) / "ledger.json").read_text())
    assert ledger["in"] == sum(len(text.encode()) for text in train)


def test_nothing_to_count_is_an_error_with_a_hint(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [])
    with pytest.raises(CorpusmillError, match="no train text") as error:
        run(tmp_path)
    assert error.value.hint


@pytest.mark.parametrize("pattern", ["gtp2", "gpt2-3", "cl100k-4"])
def test_a_pattern_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path, pattern: str) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "the cat")])
    with pytest.raises(CorpusmillError, match="no such pre-tokenisation pattern") as error:
        run(tmp_path, pattern=pattern)
    assert "cjk-3" in str(error.value)
    assert pattern in str(error.value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (pa.array(["the cat", None]), "column text holds 1 nulls"),
        (pa.array([b"the \xff cat"]).view(pa.string()), "not UTF-8"),
        (pa.array([1]), "column text is not text"),
        (None, "no column text"),
    ],
)
def test_texts_that_are_none_are_refused_with_the_file_s_name(
    tmp_path: Path, texts: pa.Array | None, message: str
) -> None:
    columns = {"doc_id": ["1"] * len(texts or [1]), "source": ["made"] * len(texts or [1])}
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table(columns if texts is None else {**columns, "text": texts}), tmp_path / "in" / "a.parquet")
    with pytest.raises(CorpusmillError, match=message) as error:
        run(tmp_path)
    assert "a.parquet" in str(error.value)
