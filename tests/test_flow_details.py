"""What only two stages together can get wrong."""

import json
from pathlib import Path

import pytest
from corpora import DEDUP, read_rows, words, write_documents, write_params

from pipelines import dedup, shard
from pipelines.spine.errors import CorpusmillError

SHARD = {
    "val_per_10000": 0, "test_per_10000": 0, "max_eval_documents": 100, "shingle_size": 5, "leak_threshold": 0.8,
    "leak_containment": 0.9, "min_unit_mb": 64,
}  # fmt: skip


def run(folder: Path, drops: str = "drops") -> Path:
    params = write_params(folder / "p.yaml", dedup=DEDUP, shard=SHARD)
    given = ["--params", str(params), "--cache", str(folder / "cache"), "--input", str(folder / "in")]
    if not (folder / "drops").exists():
        dedup.main([*given, "--output", str(folder / "drops")])
    shard.main([*given, "--drops", str(folder / drops), "--output", str(folder / "shard")])
    return folder / "shard"


def test_a_repeated_id_within_a_file_keeps_its_first_document_and_quarantines_the_other(tmp_path: Path) -> None:
    rows = [("1", "a short text"), ("1", "a text that is a good deal longer than the first")]
    write_documents(tmp_path / "in" / "a.parquet", rows)
    kept = [row["text"] for row in read_rows(run(tmp_path))]
    refused = [row["raw"].decode() for row in read_rows(tmp_path / "drops" / "quarantined")]
    assert (kept, refused) == ([rows[0][1]], [rows[1][1]])


def test_drop_lists_of_other_documents_are_refused(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "the same text"), ("2", "the same text")])
    run(tmp_path)
    write_documents(tmp_path / "in" / "a.parquet", [("1", "the same text"), ("3", "the same text")])
    with pytest.raises(CorpusmillError, match="drop lists of units that are not here"):
        run(tmp_path)


def test_a_full_bucket_of_equally_long_copies_keeps_one(tmp_path: Path) -> None:
    base = [f"{index:04}" for index in range(300)]
    rows = [(str(index), " ".join([*base, f"x{index:03}"])) for index in range(200)]
    write_documents(tmp_path / "in" / "a.parquet", rows)
    assert len(read_rows(run(tmp_path))) == 1


def test_a_stage_does_not_write_over_the_folder_of_another(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", " ".join(words(1, 9)))] * 1 + [("2", " ".join(words(1, 9)))])
    run(tmp_path)
    params = str(tmp_path / "p.yaml")
    with pytest.raises(CorpusmillError, match="another stage's"):
        shard.main(["--params", params, "--input", str(tmp_path / "in"), "--output", str(tmp_path / "drops")])
    assert json.loads((tmp_path / "drops" / "ledger.json").read_text())["stage"] == "dedup"
