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
from pipelines.spine.schema import CONTAMINATED, DUPLICATE
from pipelines.spine.storage import sha256_file
from pipelines.spine.units import UnitInput
from pipelines.splitting.applying import cut_spans, read_contaminated, rows_to_drop
from pipelines.splitting.drawing import SPLITS, draw_parts, splits_of

PARAMS = {
    "val_per_10000": 2000, "test_per_10000": 2000, "max_eval_documents": 1000, "shingle_size": 5, "leak_threshold": 0.8,
    "leak_containment": 0.9, "min_unit_mb": 0,
}  # fmt: skip
TEXTS = [(f"{index:03}", f"text number {index}, 第{index}篇") for index in range(100)]


def run(folder: Path, out: str = "out", drops: str = "", contaminated: str = "", **changes: int) -> Path:
    params = write_params(folder / "params.yaml", shard={**PARAMS, **changes})
    options = ["--drops", str(folder / drops)] if drops else []
    options += ["--contaminated", str(folder / contaminated)] if contaminated else []
    output, cache = folder / out, folder / f"cache-{out}"
    given = ["--params", str(params), "--input", str(folder / "in"), "--output", str(output), "--cache", str(cache)]
    shard.main([*given, *options])
    return output


def write_drops(folder: Path, unit: str, rows: list[tuple[str, str]]) -> None:
    """The drop list of one unit; rows are (doc_id, measure)."""
    write_list(folder, unit, DUPLICATE, [(row[0], "s:kept", 1.0, row[1]) for row in rows])


def write_contaminated(folder: Path, unit: str, rows: list[tuple[str, int, int, str]]) -> None:
    """The contaminated spans of one unit; rows are (doc_id, start, stop, action)."""
    full = [(doc_id, "set", "1", start, stop, "matched", action) for doc_id, start, stop, action in rows]
    write_list(folder, unit, CONTAMINATED, full)


def write_list(folder: Path, unit: str, schema: pa.Schema, rows: list[tuple]) -> None:
    folder.mkdir(exist_ok=True)
    arrays = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
    path = folder / f"{unit}.parquet"
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)
    write_manifest(folder, [Shard(path.name, len(rows), path.stat().st_size, sha256_file(path))])


def unit_of(folder: Path) -> str:
    return f"s-{sha256_file(folder / 'in' / 'a.parquet')[:12]}"


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


@pytest.mark.parametrize(
    ("text", "spans", "left"),
    [
        ("One. Two. Three.", [(5, 9)], "One.\nThree."),
        ("問い：空は？ 答え：青い。", [(0, 6)], "答え：青い。"),
        ("春眠不觉晓，处处闻啼鸟。", [(0, 2), (6, 12)], "不觉晓，"),
        ("all of it", [(0, 9)], ""),
        (" gone  ", [(1, 5)], ""),
        ("a 😀 b", [(2, 3)], "a\nb"),
    ],
)
def test_what_is_left_of_a_text_stands_on_lines_of_its_own(text: str, spans: list, left: str) -> None:
    assert cut_spans(text, spans) == left


def test_spans_of_one_document_are_taken_together(tmp_path: Path) -> None:
    rows = [("s:1", 8, 12, "cut"), ("s:1", 2, 5, "cut"), ("s:2", 0, 1, "drop"), ("s:1", 4, 6, "cut")]
    write_contaminated(tmp_path / "list", "a", rows)
    found = read_contaminated(UnitInput(str(tmp_path / "list" / "a.parquet"), "", 0))
    assert {doc_id: (one.drop, one.spans) for doc_id, one in found.items()} == {
        "s:1": (False, [(2, 6), (8, 12)]), "s:2": (True, []),
    }  # fmt: skip


def test_contaminated_documents_go_or_lose_spans_and_a_drop_of_dedup_counts_once(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    unit = unit_of(tmp_path)
    write_drops(tmp_path / "drops", unit, [("s:003", "exact"), ("s:004", "contained")])
    write_contaminated(
        tmp_path / "found",
        unit,
        [
            ("s:000", 0, 0, "drop"),
            ("s:003", 0, 3, "drop"),
            ("s:005", 0, len(TEXTS[5][1]), "cut"),
            ("s:006", 0, 4, "cut"),
            ("s:006", 11, 13, "cut"),
        ],
    )
    output = run(tmp_path, drops="drops", contaminated="found", leak_containment=0)
    texts = {row["doc_id"]: row["text"] for row in read_rows(output)}
    assert TEXTS[6][1] == "text number 6, 第6篇"
    assert texts["s:006"] == "number\n, 第6篇"
    assert set(texts) == {f"s:{key}" for key, _ in TEXTS} - {"s:000", "s:003", "s:004", "s:005"}
    ledger = json.loads((output / "ledger.json").read_text())
    assert ledger["reasons"] == {"dropped.contained": 1, "dropped.contaminated": 2, "dropped.exact": 1}
    assert ledger["apart"] == {"characters_cut": 6, "documents_cut": 1}


def test_a_cut_moves_no_document_to_another_split(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    before = run(tmp_path, "before")
    write_contaminated(tmp_path / "found", unit_of(tmp_path), [(f"s:{key}", 0, 5, "cut") for key, _ in TEXTS])
    after = run(tmp_path, "after", contaminated="found")
    ids = [
        {path.name: pq.read_table(path)["doc_id"].to_pylist() for path in folder.glob("*.parquet")}
        for folder in (before, after)
    ]
    assert ids[0] == ids[1]
    assert all(row["text"].startswith("number") for row in read_rows(after))


def test_texts_that_a_cut_makes_equal_do_not_stand_on_both_sides(tmp_path: Path) -> None:
    texts = [(f"{index:03}", f"{index:03} the same text for all of these documents") for index in range(60)]
    write_documents(tmp_path / "in" / "a.parquet", texts)
    write_contaminated(tmp_path / "found", unit_of(tmp_path), [(f"s:{key}", 0, 4, "cut") for key, _ in texts])
    output = run(tmp_path, contaminated="found")
    assert {path.name.partition("-")[0] for path in output.glob("*.parquet")} == {"test"}
    assert {row["split"] for row in read_rows(output / "leaked")} == {"test"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("s:nobody", 0, 4, "drop")], "names some that are not here"),
        ([("s:001", 0, 4000, "cut")], "a contaminated span ends after its text"),
    ],
)
def test_lists_of_other_documents_are_refused(
    rows: list[tuple[str, int, int, str]], message: str, tmp_path: Path
) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    write_contaminated(tmp_path / "found", unit_of(tmp_path), rows)
    with pytest.raises(CorpusmillError, match=message):
        run(tmp_path, contaminated="found")


def test_drops_of_documents_that_are_not_here_are_refused(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    write_drops(tmp_path / "drops", unit_of(tmp_path), [("s:nobody", "exact")])
    with pytest.raises(CorpusmillError, match="names documents that are not here"):
        run(tmp_path, drops="drops")


def test_lists_of_other_units_are_refused(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    write_contaminated(tmp_path / "found", "s-000000000000", [("s:001", 0, 4, "drop")])
    with pytest.raises(CorpusmillError, match="lists of contaminated documents of units that are not here"):
        run(tmp_path, contaminated="found")


def test_everything_may_be_dropped(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", TEXTS)
    write_drops(tmp_path / "drops", unit_of(tmp_path), [(f"s:{key}", "jaccard") for key, _ in TEXTS])
    output = run(tmp_path, drops="drops")
    assert read_manifest(output).shards == ()
    assert json.loads((output / "ledger.json").read_text())["reasons"] == {"dropped.jaccard": 100}
