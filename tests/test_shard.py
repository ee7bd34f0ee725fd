"""Splits by content: documents and drop lists in -> the pieces and the exact ledger out."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import digests, read_rows, write_documents, write_params

from pipelines import shard
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard, read_manifest, write_manifest
from pipelines.spine.schema import DUPLICATE
from pipelines.spine.storage import sha256_file
from pipelines.splitting.applying import rows_to_drop
from pipelines.splitting.drawing import SPLITS, draw_parts, splits_of

PARAMS = {
    "val_per_10000": 2000, "test_per_10000": 2000, "max_eval_documents": 1000, "shingle_size": 5, "leak_threshold": 0.8,
    "leak_containment": 0.9, "min_unit_mb": 0,
}  # fmt: skip
TEXTS = [(f"{index:03}", f"text number {index}, 第{index}篇") for index in range(100)]


def run(folder: Path, out: str = "out", drops: str = "", **changes: int) -> Path:
    params = write_params(folder / "params.yaml", shard={**PARAMS, **changes})
    options = ["--drops", str(folder / drops)] if drops else []
    output, cache = folder / out, folder / f"cache-{out}"
    given = ["--params", str(params), "--input", str(folder / "in"), "--output", str(output), "--cache", str(cache)]
    shard.main([*given, *options])
    return output


def write_drops(folder: Path, unit: str, rows: list[tuple[str, str]]) -> None:
    """The drop list of one unit; rows are (doc_id, measure)."""
    folder.mkdir(exist_ok=True)
    columns = [[row[0] for row in rows], ["s:kept"] * len(rows), [1.0] * len(rows), [row[1] for row in rows]]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, DUPLICATE, strict=True)]
    path = folder / f"{unit}.parquet"
    pq.write_table(pa.Table.from_arrays(arrays, schema=DUPLICATE), path)
    write_manifest(folder, [Shard(path.name, len(rows), path.stat().st_size, sha256_file(path))])


def draw(texts: list[str], val_per_10000: int, test_per_10000: int) -> list[str]:
    return [SPLITS[place] for place in splits_of(draw_parts(texts), val_per_10000, test_per_10000)]


def test_a_document_is_drawn_by_its_text_alone() -> None:
    drawn = draw([text for _, text in TEXTS], 2000, 2000)
    # Written out: these may never change, or documents would move between splits.
    assert drawn[:8] == ["train", "test", "train", "train", "train", "train", "val", "test"]


def test_shares_come_out_near_what_was_asked() -> None:
    drawn = draw([f"document {index}" for index in range(20_000)], 1000, 500)
    assert abs(drawn.count("val") - 2000) < 150
    assert abs(drawn.count("test") - 1000) < 110


def test_a_larger_val_share_moves_documents_into_val_and_none_out_of_it() -> None:
    texts = [text for _, text in TEXTS]
    small, large = (
        {text for text, split in zip(texts, draw(texts, share, 0), strict=True) if split == "val"}
        for share in (1000, 3000)
    )
    assert small
    assert small < large


def test_an_id_listed_n_times_loses_its_last_n_rows() -> None:
    doc_ids = ["a", "b", "a", "a", "c"]
    assert rows_to_drop(doc_ids, {"a": ["repeated_id", "repeated_id"], "c": ["exact"]}) == {
        2: "repeated_id", 3: "repeated_id", 4: "exact",
    }  # fmt: skip


def test_every_document_lies_in_one_split_by_doc_id_and_the_ledger_closes(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", list(reversed(TEXTS)))
    output = run(tmp_path)
    pieces = {
        path.name.partition("-")[0]: pq.read_table(path)["doc_id"].to_pylist() for path in output.glob("*.parquet")
    }
    assert set(pieces) == {"train", "val", "test"}
    assert all(ids == sorted(ids) for ids in pieces.values())
    assert sorted(doc_id for ids in pieces.values() for doc_id in ids) == [f"s:{key}" for key, _ in TEXTS]
    ledger = json.loads((output / "ledger.json").read_text())
    assert ledger["in"] == 100
    assert ledger["out"] == {split: len(ids) for split, ids in pieces.items()}


def test_what_dedup_dropped_is_in_no_split_and_counted_by_measure(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    unit = f"s-{sha256_file(tmp_path / 'in' / 'a.parquet')[:12]}"
    write_drops(tmp_path / "drops", unit, [("s:003", "exact"), ("s:004", "jaccard")])
    output = run(tmp_path, drops="drops")
    ids = {row["doc_id"] for row in read_rows(output)}
    assert len(ids) == 98
    assert not ids & {"s:003", "s:004"}
    assert json.loads((output / "ledger.json").read_text())["reasons"] == {"dropped.exact": 1, "dropped.jaccard": 1}


def test_another_document_or_source_moves_none_between_splits(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    before = digests(run(tmp_path, "before"))
    write_documents(tmp_path / "in" / "b.parquet", [("x", "another source")], source="t")
    after = digests(run(tmp_path, "after"))
    shards = {name: sha256 for name, sha256 in before.items() if name.endswith(".parquet")}
    assert shards.items() <= after.items()


def test_nothing_left_to_train_on_is_refused(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    with pytest.raises(CorpusmillError, match="leave nothing to train on"):
        run(tmp_path, val_per_10000=9000, test_per_10000=1000)


def test_a_folder_without_documents_gives_an_empty_manifest(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [])
    assert read_manifest(run(tmp_path)).shards == ()
