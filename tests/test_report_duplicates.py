"""The report on duplicates: clusters, similarities, pairs, the search; and on evaluation sets and leaks across splits."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import write_documents
from stage_folders import ENGLISH, SEARCH, TEXTS, Stages, documents, ledger, rows_of, run, words_of

from pipelines.reporting import clusters
from pipelines.reporting.duplicates import chance, curve
from pipelines.reporting.flow import StageFolder
from pipelines.reporting.pairs import Pair, compare, telling_pairs, with_texts
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard, dump, write_manifest
from pipelines.spine.schema import DUPLICATE

TEXT = [pa.field(name, pa.string(), False) for name in ("doc_id", "set", "item", "matched", "action")]
PLACES = [pa.field(name, pa.int64(), False) for name in ("start", "stop")]
CONTAMINATED = pa.schema([*TEXT[:3], *PLACES, *TEXT[3:]])
LEAKED = pa.schema([*DUPLICATE, pa.field("split", pa.string(), False)])


def drops_of(tmp_path: Path, by_unit: Mapping[str, Sequence[tuple[str, str, float, str]]]) -> clusters.Drops:
    """The drop lists as the report reads them; documents ``a:0`` to ``a:9`` and ``b:0`` to ``b:9`` are there."""
    stages = Stages(tmp_path / "data")
    stages.write("dedup", {f"{unit}.parquet": rows_of(DUPLICATE, rows) for unit, rows in by_unit.items()}, {})
    stages.write("clean", {}, {})
    for source in "ab":
        write_documents(tmp_path / f"data/clean/{source}-0.parquet", [(str(key), "text") for key in range(10)], source)
    add_to_manifest(tmp_path / "data/clean")
    return clusters.read_drops(*(StageFolder(name, tmp_path / "data" / name) for name in ("dedup", "clean")))


def add_to_manifest(folder: Path) -> None:

    files = sorted(folder.glob("*.parquet"))
    write_manifest(
        folder,
        [Shard(p.name, pq.read_metadata(p).num_rows, p.stat().st_size, storage.sha256_file(p)) for p in files],
    )


@pytest.fixture
def drops(tmp_path: Path) -> clusters.Drops:
    many = [(f"a:x{n:02}", "b:1", 0.8 + n / 100, "jaccard") for n in range(12)]
    few = [("b:2", "b:1", 1.0, "exact"), ("b:3", "a:1", 1.0, "jaccard"), ("b:4", "old:1", 0.95, "contained")]
    return drops_of(tmp_path, {"a-0": [*many, ("a:2", "a:1", 0.82, "jaccard")], "b-0": few})


def test_clusters_are_counted_by_what_was_dropped_for_one_document(drops: clusters.Drops) -> None:
    assert clusters.by_size(drops) == [("1", 1, 1), ("2", 1, 2), ("10–99", 1, 13)]
    assert clusters.largest(drops, 2) == [("b:1", "b", 13), ("a:1", "a", 2)]
    assert clusters.largest(drops, 9)[2:] == [("old:1", "an older corpus", 1)]


def test_clusters_are_counted_by_the_sources_of_both_sides(drops: clusters.Drops) -> None:
    assert clusters.by_sources(drops) == [
        ("a", "b", 12), ("a", "a", 1), ("b", "a", 1), ("b", "an older corpus", 1), ("b", "b", 1),
    ]  # fmt: skip


def test_similarities_are_counted_in_bars_from_the_threshold_to_one(drops: clusters.Drops) -> None:
    labels, counts = clusters.similarity_bars(drops, "jaccard", 0.8)
    assert labels == ["0.80", "0.82", "0.84", "0.86", "0.88", "0.90", "0.92", "0.94", "0.96", "0.98"]
    assert counts == [2, 3, 2, 2, 2, 2, 0, 0, 0, 1]
    assert clusters.similarity_bars(drops, "contained", 0.9) == (
        ["0.90", "0.92", "0.94", "0.96", "0.98"],
        [0, 0, 1, 0, 0],
    )
    assert clusters.similarity_bars(drops, "repeated_id", 0.995) == (["0.995"], [])


@pytest.mark.parametrize("hundredths", range(80, 100))
def test_no_bar_edge_depends_on_the_rounding_of_a_fraction(tmp_path: Path, hundredths: int) -> None:
    drops = drops_of(tmp_path, {"a-0": [("a:x", "a:1", hundredths / 100, "jaccard")]})
    assert clusters.similarity_bars(drops, "jaccard", 0.8)[1].index(1) == (hundredths - 80) // 2


def test_without_a_drop_there_are_no_clusters(tmp_path: Path) -> None:
    drops = drops_of(tmp_path, {})
    assert (clusters.by_size(drops), clusters.largest(drops, 3), clusters.by_sources(drops)) == ([], [], [])


def test_the_pairs_shown_are_the_least_the_most_and_one_between() -> None:
    rows = [(f"s:{n}", "s:k", n / 100, "jaccard") for n in (99, 80, 85, 90, 95)] + [("s:e", "s:k", 1.0, "exact")]
    table = pa.Table.from_batches([rows_of(DUPLICATE, rows)])
    assert [pair.doc_id for pair in telling_pairs(table, "jaccard", 3)] == ["s:80", "s:90", "s:99"]
    assert telling_pairs(table, "exact", 3) == [Pair("s:e", "s:k", 1.0, "exact")]
    assert telling_pairs(table, "contained", 3) == []


def test_a_part_is_shown_where_it_stands_in_the_whole() -> None:
    dropped, kept = compare("東京は日本の首都である。", "むかしむかし、東京は日本の首都である。おわり。", 100)
    assert dropped == [("東京は日本の首都である", False), ("。", False)]
    assert kept == [("むかしむかし、", True), ("東京は日本の首都である", False), ("。おわり", True), ("。", False)]


def test_what_both_texts_have_is_folded_between_differences() -> None:
    same = " ".join(f"word{n:03}" for n in range(40))
    dropped, kept = compare(f"red {same} end", f"blue {same} stop", 1000)
    shared = f" {' '.join(f'word{n:03}' for n in range(7))} … {' '.join(f'word{n:03}' for n in range(33, 40))} "
    assert [text for text, _ in dropped] == ["red", shared, "end"]
    assert [text for text, _ in kept] == ["blue", shared, "stop"]


def test_a_kept_text_that_is_nowhere_leaves_its_side_empty_and_a_repeated_id_shows_its_second_text() -> None:
    found = {"s:1": [{"text": "first"}, {"text": "second"}]}
    pairs = [Pair("s:1", "old:1", 0.9, "jaccard"), Pair("s:1", "s:1", 0.0, "repeated_id")]
    older, repeated = with_texts(pairs, found, 50)
    assert (older.dropped, older.kept) == ([("first", False)], [])
    assert (repeated.dropped, repeated.kept) == ([("second", True)], [("first", True)])


def test_the_curve_passes_the_threshold_where_it_says() -> None:
    svg = ElementTree.fromstring(curve(SEARCH))
    limit, line = svg.iter("polyline")
    assert limit.get("points") == "8000,10000 8000,385"
    assert (line.get("points") or "").split()[0] == "0,10000"
    assert len((line.get("points") or "").split()) == 101
    assert chance({**SEARCH, "num_bands": 14, "rows_per_band": 8}, 0.8) == "92.35"
    assert (chance(SEARCH, 0.999), chance(SEARCH, 1.0)) == ("99.99", "100.00")


def test_the_page_shows_clusters_sources_titles_and_the_search(tmp_path: Path) -> None:
    Stages(tmp_path / "data").write_corpus()
    seen = words_of(run(tmp_path / "data"))
    assert "measure dropped share exact copies 1 14.3 % near copies 1 14.3 % kept 5 71.4 %" in seen
    assert "dropped for one kept clusters dropped in them 1 2 2 all 2 2" in seen
    assert "source in out exact copies near copies all sources 7 5 71.4 % 1 14.3 % 1 14.3 %" in seen
    assert "dropped in kept in documents wiki wiki 1 新聞 新聞 1" in seen
    assert "kept title source dropped for it wiki:1 1 wiki 1 新聞:1 1 新聞 1" in seen
    assert "20 bands of 5 rows propose a pair at the threshold of 0.8 with a chance of 99.96 %" in seen
    assert "5 pairs were proposed and compared shingle by shingle: 1 reaches the threshold" in seen
    assert "Nothing was capped: every two documents that share a key were compared." in seen


def test_the_page_marks_characters_that_differ(tmp_path: Path) -> None:
    Stages(tmp_path / "data").write_corpus()
    page = run(tmp_path / "data")
    assert "天安門廣場上的人們都很<mark>悲傷</mark>。" in page
    assert "天安門廣場上的人們都很<mark>高興</mark>。" in page


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            {"full_buckets": 3, "largest_bucket": 1500, "pairs_capped": 98765},
            "Capped: 3 keys were shared by more documents than all can be paired with each other (64), the fullest by "
            "1 500. There each document met only some of the others, and 98 765 pairs were not proposed under that key",
        ),
        (
            {"full_buckets": 1, "largest_bucket": 80},
            "Nothing is left capped: 1 key was shared by too many documents at first, the fullest by 80,",
        ),
    ],
)
def test_the_page_says_what_was_capped(tmp_path: Path, found: dict[str, int], told: str) -> None:
    Stages(tmp_path / "data").write_corpus()
    (tmp_path / "data/dedup/search.json").write_text(dump({**SEARCH, **found}))
    assert told in words_of(run(tmp_path / "data")).replace("\u202f", " ")


def test_drop_lists_without_an_account_of_the_search_are_refused(tmp_path: Path) -> None:
    Stages(tmp_path / "data").write_corpus()
    (tmp_path / "data/dedup/search.json").unlink()
    with pytest.raises(CorpusmillError) as caught:
        run(tmp_path / "data")
    assert (caught.value.where, "dvc repro dedup" in caught.value.hint) == ("dedup/search.json", True)


def edit_ledger(path: Path, source: str, out: dict[str, int], reasons: dict[str, int]) -> None:
    whole = json.loads(path.read_text())
    for part in (whole, whole["by_source"][source]):
        part["out"] = {name: part["out"].get(name, 0) - number for name, number in out.items()} | {
            name: number for name, number in part["out"].items() if name not in out
        }
        part["reasons"] |= reasons
    path.write_text(dump(whole))


@pytest.fixture
def decontaminated(tmp_path: Path) -> Path:
    """Of the corpus, wiki:3 held text of a set and 新聞:3 was too like wiki:5 of test."""
    data = tmp_path / "data"
    stages = Stages(data)
    stages.write_corpus()
    matched = [("wiki:3", "quiz<b>", "7", 0, 10, TEXTS["wiki"]["3"][:10], "drop")]
    counted = {"wiki": ledger(4, {"clean": 3, "contaminated": 1}), "新聞": ledger(3, {"clean": 3})}
    stages.write("decontaminate", {"wiki-0.parquet": rows_of(CONTAMINATED, matched)}, counted)
    entry: dict[str, Any] = {"name": "quiz<b>", "items": 1200, "items_unchecked": 31, "documents": 1}
    sets = {"schema_version": 1, "action": "drop", "ngram": {"words": 13, "characters": 26}, "sets": [entry]}
    (data / "decontaminate/sets.json").write_text(dump(sets))
    shards = data / "shard"
    (shards / "val-wiki-0.parquet").unlink()
    pq.write_table(pa.Table.from_batches([documents("新聞", ["1"])]), shards / "train-新聞-0.parquet")
    add_to_manifest(shards)
    (shards / "leaked").mkdir()
    leaked = rows_of(LEAKED, [("新聞:3", "wiki:5", 0.85, "jaccard", "test")])
    pq.write_table(pa.Table.from_batches([leaked]), shards / "leaked/新聞-0.parquet")
    edit_ledger(shards / "ledger.json", "wiki", {"val": 1}, {"dropped.contaminated": 1})
    edit_ledger(shards / "ledger.json", "新聞", {"train": 1}, {"dropped.leaked": 1})
    return data


def test_evaluation_sets_and_leaks_are_told_with_examples_and_the_funnel_closes(decontaminated: Path) -> None:
    page = run(decontaminated)
    seen = words_of(page)
    assert "1 of 7 documents hold text of a set: a run of 13 words, or of 26 characters" in seen
    assert "quiz<b> 1 200 31 1 quiz<b> , item 7 , in wiki:3 昔々、あるところに。" in seen
    assert "1 document was left out because another split keeps one like it" in seen
    assert "kept in like it left out test near copies 1" in seen
    assert "left out 新聞:3" in seen
    assert ENGLISH.strip() in seen
    assert "contaminated dropped 1" in seen
    assert "leaked dropped 1" in seen
    assert "<b>" not in page.partition("</style>")[2]
    assert "After the documents" not in seen


def test_leaks_whose_evidence_is_gone_do_not_close(decontaminated: Path) -> None:
    (decontaminated / "shard/leaked/新聞-0.parquet").unlink()
    with pytest.raises(CorpusmillError, match=r"1 dropped.leaked by shard, 0 of them kept as evidence in shard"):
        run(decontaminated)


def test_without_sets_and_leaks_the_section_is_left_out(tmp_path: Path) -> None:
    Stages(tmp_path / "data").write_corpus()
    page = run(tmp_path / "data")
    assert 'id="splits"' not in page
    assert 'href="#splits"' not in page


def test_where_no_set_is_listed_the_page_says_that_none_was_looked_for(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "data")
    stages.write_corpus()
    stages.write("decontaminate", {}, {})
    (tmp_path / "data/decontaminate/sets.json").write_text(dump({"schema_version": 1, "action": "drop", "sets": []}))
    assert "No evaluation set is listed, so none was looked for." in words_of(run(tmp_path / "data"))
