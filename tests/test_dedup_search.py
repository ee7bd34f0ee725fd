"""Rounds, containment, the order of preference, older corpora and the alarm of `dedup`, end to end."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from corpora import DEDUP, digests, read_rows, words, write_documents, write_params

from pipelines import dedup
from pipelines.duplicates import plan, verify_steps
from pipelines.duplicates.parameters import DedupParams
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard, write_manifest
from pipelines.spine.storage import link, sha256_file
from pipelines.spine.units import plan_documents

ARTICLE = words(1, 300)
CHINESE = "".join(chr(0x4E00 + int(word[1:], 16) % 3000) for word in words(2, 400))


def run(folder: Path, place: str, out: str = "out", *more: str, **changes: object) -> Path:
    params = write_params(folder / f"{out}.yaml", dedup={**DEDUP, **changes})
    given = ["--params", str(params), "--input", str(folder / place), "--output", str(folder / out)]
    dedup.main([*given, "--cache", str(folder / f"cache-{out}"), *more])
    return folder / out


def found(output: Path) -> set[tuple[str, str, str]]:
    return {(row["doc_id"], row["kept_id"], row["measure"]) for row in read_rows(output)}


def changed(text_words: list[str], every: int) -> list[str]:
    return ["changed" if index % every == every - 1 else word for index, word in enumerate(text_words)]


def write_mixed(folder: Path) -> None:
    """Near copies in many bands, a contained text, Chinese; two units."""
    rows = [(f"a{n}", " ".join(words(n, 200))) for n in range(10, 40)]
    write_documents(folder / "in" / "a.parquet", [*rows, ("whole", " ".join(ARTICLE)), ("zh", CHINESE)])
    near = [(f"b{n}", " ".join(changed(words(n, 200), 100))) for n in range(10, 40)]
    part = " ".join(ARTICLE[100:200])
    write_documents(folder / "in" / "b.parquet", [*near, ("part", part), ("zh-part", CHINESE[50:200])])


def test_rounds_and_partitions_change_no_byte_and_no_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mixed(tmp_path)
    few = {"num_bands": 8}  # fewer would miss pairs and are refused
    once = digests(run(tmp_path, "in", "once", **few))
    monkeypatch.setattr(plan, "ROUND_KEYS", 1)
    monkeypatch.setattr(plan, "PARTITION_BYTES", 1 << 10)
    monkeypatch.setattr(verify_steps, "BLOCK_PAIRS", 1)
    monkeypatch.setattr(verify_steps, "DROPS_TOLD", 3)
    assert digests(run(tmp_path, "in", "rounds", bands_per_round=3, **few)) == once
    assert digests(run(tmp_path, "in", "single", bands_per_round=1, num_partitions=1, **few)) == once


def test_the_rounds_take_every_band_and_every_part_of_the_fingerprints_once() -> None:
    params = DedupParams(**{**DEDUP, "source_priority": ()})
    rounds = plan.plan_rounds(params, 1_000_000, 13_000_000)
    assert [(one.first_band, one.last_band) for one in rounds if one.part < 0] == [(0, 6), (6, 12), (12, 18), (18, 20)]
    assert [(one.part, one.num_parts) for one in rounds if one.part >= 0] == [(0, 3), (1, 3), (2, 3)]
    assert plan.plan_rounds(params, 100, 500) == [plan.Round(0, 20, 0, 1)]
    assert plan.plan_rounds(params, 100, 0) == [plan.Round(0, 20)]


def test_a_round_of_few_documents_has_a_million_keys_all_the_same() -> None:
    params = DedupParams(**{**DEDUP, "source_priority": (), "bands_per_round": 4})
    # 17 bands of 60,000 documents are 1,020,000 keys; 3,000,000 fingerprints are three rounds.
    assert plan.plan_rounds(params, 60_000, 3_000_000) == [
        plan.Round(0, 17), plan.Round(17, 20), *(plan.Round(0, 0, part, 3) for part in range(3)),
    ]  # fmt: skip


def test_a_text_that_stands_in_a_longer_one_goes_for_it_in_english_and_chinese(tmp_path: Path) -> None:
    write_mixed(tmp_path)
    rows = {row["doc_id"]: row for row in read_rows(run(tmp_path, "in"))}
    assert (rows["s:part"]["kept_id"], rows["s:part"]["measure"], rows["s:part"]["similarity"]) == (
        "s:whole", "contained", 1.0,
    )  # fmt: skip
    assert (rows["s:zh-part"]["kept_id"], rows["s:zh-part"]["measure"]) == ("s:zh", "contained")
    assert {row["measure"] for name, row in rows.items() if "part" not in name} == {"jaccard"}
    assert len(rows) == 32
    counts = json.loads((tmp_path / "out" / "search.json").read_text())
    assert (counts["verified_pairs"], counts["contained_pairs"], counts["pairs_capped"]) == (30, 2, 0)
    assert {r for r, _, _ in found(run(tmp_path, "in", "off", containment_threshold=0))} == set(rows) - {
        "s:part", "s:zh-part",
    }  # fmt: skip


def test_a_text_that_repeats_itself_is_found_where_it_stands(tmp_path: Path) -> None:
    repeated = " ".join(words(5, 100) * 8)
    rows = [("whole", f"{' '.join(words(6, 900))} {repeated}"), ("part", repeated)]
    write_documents(tmp_path / "in" / "a.parquet", rows)
    assert found(run(tmp_path, "in")) == {("s:part", "s:whole", "contained")}


def test_a_notice_that_all_texts_hold_hides_no_contained_text(tmp_path: Path) -> None:
    notice = words(7, 200)
    rows = [(f"own{n}", " ".join([*notice, *words(100 + n, 60)])) for n in range(20)]
    rows += [(f"long{n}", " ".join([*words(200 + n, 400), *notice, *words(100 + n, 60)])) for n in range(5)]
    write_documents(tmp_path / "in" / "a.parquet", rows)
    expected = {(f"s:own{n}", f"s:long{n}", "contained") for n in range(5)}
    assert found(run(tmp_path, "in", max_bucket=4)) == expected


def test_a_text_whose_share_in_the_longer_one_is_too_small_stays(tmp_path: Path) -> None:
    # 96 shingles of which each changed word takes 5: 81 are left, 0.84.
    part = ARTICLE[100:200]
    for place in (20, 40, 60):
        part[place] = "changed"
    write_documents(tmp_path / "in" / "a.parquet", [("whole", " ".join(ARTICLE)), ("part", " ".join(part))])
    assert found(run(tmp_path, "in")) == set()
    assert found(run(tmp_path, "in", "lower", containment_threshold=0.84)) == {("s:part", "s:whole", "contained")}


def test_a_headline_that_stands_in_an_article_is_contained_in_nothing(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("whole", " ".join(ARTICLE)), ("headline", " ".join(ARTICLE[:35]))])
    assert found(run(tmp_path, "in")) == set()  # 31 shingles; 32 are asked for


@pytest.mark.parametrize(
    ("order", "kept"), [("longest", "news:10"), ("first_id", "news:9"), ("source_priority", "wiki:2")]
)
def test_the_order_of_preference_chooses_who_stays(tmp_path: Path, order: str, kept: str) -> None:
    text = " ".join(ARTICLE)
    write_documents(tmp_path / "in" / "a.parquet", [("10", text + " two more"), ("9", text)], "news")
    write_documents(tmp_path / "in" / "b.parquet", [("2", text + " more"), ("3", text)], "wiki")
    output = run(tmp_path, "in", survivor=order, source_priority=["wiki"])
    assert {row["kept_id"] for row in read_rows(output)} == {kept}
    assert len(read_rows(output)) == 3


def test_the_first_id_stays_where_sources_begin_alike_and_no_document_goes_for_one_that_goes(tmp_path: Path) -> None:
    first, last = [*words(90, 20), *ARTICLE[20:]], [*ARTICLE[:-20], *words(91, 20)]
    write_documents(tmp_path / "in" / "a.parquet", [("1", " ".join(first)), ("1000000", " ".join(ARTICLE))], "enwiki")
    write_documents(tmp_path / "in" / "b.parquet", [("5", " ".join(last))], "enwikinews")
    output = run(tmp_path, "in", survivor="first_id", threshold=0.82, num_bands=30)
    assert found(output) == {("enwiki:1000000", "enwiki:1", "jaccard")}


@pytest.mark.parametrize(
    ("normalization", "dropped"), [("none", set()), ("whitespace", {"b"}), ("letters", {"b", "c"})]
)
def test_what_exact_copies_may_differ_in_is_a_parameter(tmp_path: Path, normalization: str, dropped: set[str]) -> None:
    rows = [("a", "To be, or not to be"), ("b", "To  be, or\nnot to be"), ("c", "to be or not to be!")]
    write_documents(tmp_path / "in" / "x.parquet", rows)
    output = run(tmp_path, "in", normalization=normalization, survivor="first_id", threshold=1.0)
    assert {row["doc_id"][2:] for row in read_rows(output) if row["measure"] == "exact"} == dropped


def older_run(folder: Path) -> list[str]:
    """An older corpus of two units, and what a later run is told of it."""
    write_documents(folder / "old" / "a.parquet", [("1", " ".join(ARTICLE)), ("2", " ".join(words(50, 200)))])
    write_documents(folder / "old" / "b.parquet", [("3", CHINESE), ("4", " ".join(words(51, 200))), ("5", CHINESE)])
    decided = run(folder, "old", "old-dedup")
    assert len(read_rows(decided / "index")) == 4
    return ["--older", str(decided), str(clean_folder(folder, "old"))]


def clean_folder(folder: Path, place: str) -> Path:
    """Documents as a stage's folder beside them: the units' names are those that `dedup` gave them."""
    shards, target = [], folder / f"{place}-clean"
    for unit in plan_documents([str(folder / place)]):
        path = target / f"{unit.name}.parquet"
        link(unit.inputs[0].path, path)
        shards.append(Shard(path.name, pq.read_metadata(path).num_rows, path.stat().st_size, sha256_file(path)))
    write_manifest(target, shards)
    return target


def test_new_documents_go_for_older_ones_and_older_ones_never_go(tmp_path: Path) -> None:
    older = older_run(tmp_path)
    longer = " ".join([*ARTICLE, "and", "more"])
    write_documents(
        tmp_path / "new" / "c.parquet",
        [("1", longer), ("7", " ".join(words(51, 200))), ("8", CHINESE[100:300]), ("9", " ".join(words(60, 200)))],
    )
    output = run(tmp_path, "new", "out", *older)
    assert found(output) == {
        ("s:1", "s:1", "jaccard"),  # longer, and of the same id: an older document stays whatever comes
        ("s:7", "s:4", "exact"),
        ("s:8", "s:3", "contained"),
    }
    assert json.loads((output / "ledger.json").read_text())["in"] == 4
    assert [row["doc_id"] for row in read_rows(output / "index")] == ["s:9"]


def test_the_text_of_an_older_unit_without_candidates_is_not_read(tmp_path: Path) -> None:
    older = older_run(tmp_path)
    write_documents(tmp_path / "new" / "c.parquet", [("6", " ".join(ARTICLE[:-2]))])
    (unread,) = [
        path
        for path in (tmp_path / "old-clean").glob("*.parquet")
        if "s:3" in pq.read_table(path)["doc_id"].to_pylist()
    ]
    size = unread.stat().st_size
    unread.unlink()
    unread.write_bytes(b"\0" * size)
    assert found(run(tmp_path, "new", "out", *older)) == {("s:6", "s:1", "jaccard")}


def test_the_order_of_older_corpora_changes_no_byte(tmp_path: Path) -> None:
    older = older_run(tmp_path)
    write_documents(tmp_path / "second" / "c.parquet", [("6", " ".join(words(70, 200)))])
    write_documents(tmp_path / "new" / "c.parquet", [("7", " ".join(words(70, 199))), ("8", " ".join(ARTICLE))])
    run(tmp_path, "second", "second-dedup")
    first = ["--older", str(tmp_path / "second-dedup"), str(clean_folder(tmp_path, "second"))]
    one = run(tmp_path, "new", "one", *older, *first)
    assert found(one) == {("s:7", "s:6", "jaccard"), ("s:8", "s:1", "exact")}
    assert digests(run(tmp_path, "new", "two", *first, *older)) == digests(one)


def test_an_older_index_that_cannot_be_met_is_refused_with_what_differs(tmp_path: Path) -> None:
    older = older_run(tmp_path)
    write_documents(tmp_path / "new" / "c.parquet", [("6", "a text")])
    with pytest.raises(CorpusmillError, match="signed otherwise") as error:
        run(tmp_path, "new", "out", *older, num_bands=10)
    assert (error.value.expected, error.value.got) == ("num_bands 10", "num_bands 20")
    with pytest.raises(CorpusmillError, match="not those that the index was made of"):
        run(tmp_path, "new", "out", "--older", older[1], str(run(tmp_path, "new", "other")))
    with pytest.raises(CorpusmillError, match="no index of an older corpus"):
        bare = run(tmp_path, "new", "bare", write_index=False)
        run(tmp_path, "new", "out", "--older", str(bare), older[2])
    next((tmp_path / "old-dedup" / "index").glob("*.parquet")).unlink()
    with pytest.raises(CorpusmillError, match="the index of an older corpus is damaged"):
        run(tmp_path, "new", "out", *older)


def test_an_older_corpus_may_be_plain_files_in_several_folders_and_may_have_kept_nothing(tmp_path: Path) -> None:
    write_documents(tmp_path / "one" / "a.parquet", [("1", " ".join(ARTICLE))])
    write_documents(tmp_path / "two" / "b.parquet", [("2", " ".join(words(50, 200)))])
    params = write_params(tmp_path / "p.yaml", dedup=DEDUP)
    both = [str(tmp_path / "one"), str(tmp_path / "two")]
    given = ["--params", str(params), "--output", str(tmp_path / "old-dedup"), "--cache", str(tmp_path / "c")]
    dedup.main([*given, "--input", *both])
    older = ["--older", str(tmp_path / "old-dedup"), *both]
    write_documents(tmp_path / "new" / "c.parquet", [("7", " ".join(ARTICLE[:-2])), ("8", " ".join(words(50, 200)))])
    copies = run(tmp_path, "new", "copies", *older)
    assert found(copies) == {("s:7", "s:1", "jaccard"), ("s:8", "s:2", "exact")}
    write_documents(tmp_path / "next" / "d.parquet", [("9", " ".join(words(51, 200))), ("10", " ".join(ARTICLE))])
    # The run that dropped all has an empty index: it may stand beside the one before it.
    output = run(tmp_path, "next", "last", *older, "--older", str(copies), str(tmp_path / "new"))
    assert found(output) == {("s:10", "s:1", "exact")}


def test_the_alarm_shows_pairs_with_their_text_and_how_to_allow_the_loss(tmp_path: Path) -> None:
    rows = [(str(number), " ".join([*words(number % 3, 60), "tail"][: 61 - number // 12])) for number in range(24)]
    write_documents(tmp_path / "in" / "a.parquet", rows)
    with pytest.raises(CorpusmillError, match=r"would drop 21 of 24 documents: exact 9, jaccard 12") as error:
        run(tmp_path, "in", max_dropped_percent={"default": 30, "other": 99})
    assert error.value.got.startswith("87.5 %; some of the pairs:\n    s:")
    shown = error.value.got.splitlines()[1:]
    assert len(shown) == 20
    assert all(line.startswith("      w") for line in shown[1::2])
    assert "dedup.max_dropped_percent: {default: 30, other: 99, s: 88}" in error.value.hint
    run(tmp_path, "in", "allowed", max_dropped_percent={"default": 30, "s": 88})


def test_no_documents_and_texts_without_units_are_no_matter(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [])
    assert read_rows(run(tmp_path, "in")) == []
    write_documents(tmp_path / "in" / "b.parquet", [("1", "!!!"), ("2", "???"), ("3", "")])
    assert read_rows(run(tmp_path, "in", "marks")) == []


def test_a_second_run_takes_the_decisions_from_the_cache_and_gives_the_same_bytes(tmp_path: Path) -> None:
    write_mixed(tmp_path)
    first = digests(run(tmp_path, "in"))
    for path in sorted((tmp_path / "out").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert digests(run(tmp_path, "in")) == first
    assert not list((tmp_path / "cache-out" / "units" / "dedup.search").glob("*/*"))


def test_what_is_left_of_a_full_bucket_is_searched_again(tmp_path: Path) -> None:
    # Two of 160 words of a template change: some pairs are above the threshold, most are just below it.
    template = words(0, 160)
    rows = []
    for number in range(120):
        places = {int(word[1:3], 16) * 160 // 256: f"x{number}" for word in words(number + 1, 2)}
        rows.append((str(number), " ".join(places.get(place, word) for place, word in enumerate(template))))
    write_documents(tmp_path / "in" / "a.parquet", rows)
    once = run(tmp_path, "in", "once", max_bucket=8, max_passes=1)
    again = run(tmp_path, "in", "again", max_bucket=8, max_passes=5)
    counts = [json.loads((output / "search.json").read_text()) for output in (once, again)]
    assert (counts[0]["passes"], counts[0]["full_buckets"] > 0) == (1, True)
    assert counts[1]["passes"] > 1
    assert 0 <= counts[1]["pairs_capped"] < counts[0]["pairs_capped"]
    assert len(read_rows(once)) < len(read_rows(again))
    kept = {row["kept_id"] for row in read_rows(again)}
    assert not kept & {row["doc_id"] for row in read_rows(again)}


def test_after_the_alarm_a_higher_limit_takes_the_decisions_from_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mixed(tmp_path)
    with pytest.raises(CorpusmillError, match="would drop 32 of 64"):
        run(tmp_path, "in", max_dropped_percent={"default": 30})
    assert "64 documents" in capsys.readouterr().err
    run(tmp_path, "in", max_dropped_percent={"default": 50})
    assert "documents" not in capsys.readouterr().err  # no step ran


def test_a_drop_list_that_was_damaged_after_the_alarm_is_decided_again(tmp_path: Path) -> None:
    write_mixed(tmp_path)
    good = digests(run(tmp_path, "in", "good"))
    with pytest.raises(CorpusmillError, match="would drop 32 of 64"):
        run(tmp_path, "in", max_dropped_percent={"default": 30})
    for path in (tmp_path / "cache-out" / "units" / "dedup.decided").glob("*/s-*.parquet"):
        path.unlink()
    assert digests(run(tmp_path, "in")) == good


@pytest.mark.parametrize(
    ("name", "value"), [("seed", -1), ("seed", 2**64), ("max_dropped_percent", {"default": 1, False: 5})]
)
def test_values_that_no_worker_could_use_are_refused_before_one_begins(
    tmp_path: Path, name: str, value: object
) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "a text")])
    with pytest.raises(CorpusmillError) as error:
        run(tmp_path, "in", **{name: value})
    assert error.value.where.endswith(f".yaml: dedup.{name}")
