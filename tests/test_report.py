"""The data card: closes across stages, shows what was left behind, survives any text and any missing stage."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from stage_folders import SEARCH, Stages, documents, ledger, rows_of, run, words_of

from pipelines.reporting import funnel, pairs, samples
from pipelines.reporting.facts import TextFacts, TextGroup, TokenFacts, octaves
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump
from pipelines.spine.schema import CONTAMINATED, DROPPED, DUPLICATE
from pipelines.spine.shards import open_shard


@pytest.fixture
def data(tmp_path: Path) -> Path:
    stages = Stages(tmp_path / "data")
    stages.write_corpus()
    stages.write_tokens()
    stages.write_training()
    stages.write_measured()
    return tmp_path / "data"


def test_the_ledger_goes_from_records_to_splits_with_every_reason_on_the_way(data: Path) -> None:
    run(data)
    assert json.loads((data / "report/ledger.json").read_text()) == {
        "stage": "report",
        "counts": "documents",
        "in": 11,
        "out": {"train": 3, "val": 1, "test": 1},
        "reasons": {
            "extract.skipped.redirect": 2,
            "extract.quarantined.nul_character": 1,
            "clean.dropped.too_short": 1,
            "dedup.dropped.exact": 1,
            "dedup.dropped.jaccard": 1,
        },
        "apart": {},
        "by_source": {},
    }


def test_the_page_tells_the_numbers_of_every_stage(data: Path) -> None:
    seen = words_of(run(data))
    assert "11 records from wiki and 新聞 went in; 5 documents came out" in seen
    assert "redirect skipped 2 18.2 %" in seen
    assert "dropped templates navbox 12 · 定位<b> 3" in seen
    assert "near copies 1 14.3 %" in seen
    assert "260 tokens = 256 bytes + 3 merges + 1 special (<|endoftext|>)" in seen
    assert "trigram 2.000 2.500 12.2 this model 2.125" in seen
    assert "reaches 2.125 bits per byte on test; beside it, bigram 2.500, trigram 2.000." in seen
    assert "level.of 3" in seen
    assert "Not run yet" not in seen


def test_text_of_the_corpus_is_shown_and_never_becomes_markup(data: Path) -> None:
    page = run(data)
    assert "<script" not in page.lower()
    assert "&lt;/style&gt;&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;␇ &amp; \u202eright-to-left" in page
    assert "text holds &lt;b&gt;NUL&lt;/b&gt;" in page
    assert "a␀&lt;i&gt;\ufffd" in page
    assert page.count('<blockquote class="text" dir="auto">') == page.count("<blockquote")


def test_the_page_needs_nothing_but_itself(data: Path) -> None:
    page = run(data)
    assert not re.search(r"""(src|href)=["'](?!#)|@import|url\(|https?://""", page)
    assert str(data) not in page


def test_equal_folders_give_equal_bytes_wherever_they_lie(data: Path, tmp_path: Path) -> None:
    first = run(data)
    moved = tmp_path / "elsewhere" / "data"
    shutil.copytree(data, moved, ignore=shutil.ignore_patterns("report"))
    assert run(moved) == first
    assert (moved / "report/ledger.json").read_bytes() == (data / "report/ledger.json").read_bytes()


@pytest.mark.parametrize("last", ["fetch", "extract", "clean", "dedup", "shard", "learn", "pack", "pretrain"])
def test_stages_that_have_not_run_are_named_with_their_command(data: Path, last: str) -> None:
    names = ["fetch", "extract", "clean", "dedup", "shard", "count", "learn", "pack", "pretrain", "evaluate", "export"]
    for stage in names[names.index(last) + 1 :]:
        shutil.rmtree(data / stage)
    seen = words_of(run(data))
    assert "Not run yet" in seen
    assert "dvc repro export" in seen
    assert ("dvc repro pretrain" in seen) == (last != "pretrain")


@pytest.mark.parametrize("stage", ["extract", "clean", "dedup", "shard", "count", "learn", "pack", "pretrain"])
def test_a_stage_missing_in_the_middle_is_no_crash(data: Path, stage: str) -> None:
    shutil.rmtree(data / stage)
    assert "Lineage" in run(data)


def test_a_funnel_that_does_not_close_names_both_numbers_and_writes_nothing(data: Path) -> None:
    counts = json.loads((data / "clean/ledger.json").read_text())
    counts["in"] += 2
    counts["reasons"]["dropped.too_short"] += 2
    (data / "clean/ledger.json").write_text(dump(counts))
    with pytest.raises(CorpusmillError) as caught:
        run(data)
    assert caught.value.message == (
        "the funnel does not close: 8 documents that extract gave, 10 documents that clean took"
    )
    assert "dvc repro clean" in caught.value.hint
    assert not (data / "report").exists()


def test_token_shards_of_another_text_do_not_close(data: Path) -> None:
    shard = json.loads((data / "count/ledger.json").read_text())
    shard["in"] -= 1
    shard["out"]["counted"] -= 1
    (data / "count/ledger.json").write_text(dump(shard))
    with pytest.raises(CorpusmillError, match=r"bytes of train text in shard, 4.. bytes that count took"):
        run(data)


def test_truncated_tokens_and_bytes_are_counted_and_the_text_still_closes(data: Path) -> None:
    for stage in ("count", "learn", "pack"):
        shutil.rmtree(data / stage)
    Stages(data).write_tokens(long_documents="truncate")
    counts = json.loads((data / "pack/ledger.json").read_text())
    assert counts["reasons"]["dropped.truncated"] > 0
    assert "dropped.truncated" in words_of(run(data))
    counts["by_source"]["train"]["apart"]["text_bytes.truncated"] += 1
    counts["apart"]["text_bytes.truncated"] += 1
    (data / "pack/ledger.json").write_text(dump(counts))
    with pytest.raises(CorpusmillError, match="bytes of train text in shard"):
        run(data)


def test_contaminated_documents_leave_at_shard_and_the_funnel_closes(data: Path) -> None:
    shutil.rmtree(data / "dedup")
    shutil.rmtree(data / "shard")
    stages, found = (
        Stages(data),
        [("wiki:2", "quiz", "1", 0, 5, "The q", "drop"), ("wiki:5", "quiz", "2", 0, 3, "The", "drop")],
    )
    contaminated = ledger(4, {"clean": 2, "contaminated": 2})
    contaminated.tally("documents_by_set", {"quiz": 2})
    clean = ledger(3, {"clean": 3})
    stages.write(
        "decontaminate", {"wiki-0.parquet": rows_of(CONTAMINATED, found)}, {"wiki": contaminated, "新聞": clean}
    )
    copies = {"wiki-0.parquet": rows_of(DUPLICATE, [("wiki:2", "wiki:1", 1.0, "exact")])}
    stages.write(
        "dedup", copies, {"wiki": ledger(4, {"kept": 3}, {"dropped.exact": 1}), "新聞": ledger(3, {"kept": 3})}
    )
    (data / "dedup/search.json").write_text(dump(SEARCH))
    stages.write(
        "shard",
        {
            "train-wiki-0.parquet": documents("wiki", ["1"]), "val-wiki-0.parquet": documents("wiki", ["3"]),
            "train-新聞-0.parquet": documents("新聞", ["1", "2", "3"]),
        },
        {
            "wiki": ledger(4, {"train": 1, "val": 1}, {"dropped.exact": 1, "dropped.contaminated": 1}),
            "新聞": ledger(3, {"train": 3}),
        },
    )  # fmt: skip
    for later in ("count", "learn", "pack", "pretrain", "evaluate", "export"):
        shutil.rmtree(data / later)
    seen = words_of(run(data))
    assert "contaminated" in seen
    assert "decontaminate" in seen


def test_evidence_that_was_lost_does_not_close(data: Path) -> None:
    with open_shard(data / "clean/dropped/wiki-0.parquet", DROPPED) as shard:
        shard.write(rows_of(DROPPED, [(f"wiki:{n}", "wiki", "too_short", "", "", "") for n in range(2)]))
    with pytest.raises(CorpusmillError, match=r"1 dropped.too_short by clean, 2 of them kept as evidence in clean"):
        run(data)


def test_a_folder_without_stages_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(CorpusmillError) as caught:
        run(tmp_path / "data")
    assert caught.value.message == "no stage has run here"


def test_a_parent_that_is_another_one_now_is_said(data: Path) -> None:
    lineage = json.loads((data / "clean/lineage.json").read_text())
    lineage["parents"] = [{"stage": "extract", "manifest_sha256": "00" * 32}]
    (data / "clean/lineage.json").write_text(dump(lineage))
    assert "from extract 00000000 is another one now" in words_of(run(data))


def test_examples_are_drawn_by_id_and_not_by_place(tmp_path: Path) -> None:
    rows = [(f"wiki:{n}", "wiki", "too_short", "9", "10", f"text {n}") for n in range(50)]
    shown = []
    for name, order in (("a", rows), ("b", rows[::-1])):
        with open_shard(tmp_path / f"{name}.parquet", DROPPED) as shard:
            shard.write(rows_of(DROPPED, order))
        evidence = samples.read_evidence([tmp_path / f"{name}.parquet"], "dropped", 3, 300)
        assert evidence.rows == {"dropped.too_short": 50}
        shown.append([example.text for example in evidence.examples["dropped.too_short"]])
    assert shown[0] == shown[1]
    assert len(shown[0]) == 3
    assert shown[0] != ["text 0", "text 1", "text 2"]


def test_an_excerpt_never_ends_inside_a_composed_character() -> None:
    assert samples.excerpt("e\u0301e\u0301e\u0301", 3) == "e\u0301…"
    assert samples.excerpt("👩\u200d👩\u200d👧 family", 2) == "…"
    assert samples.excerpt("日本語", 3) == "日本語"


def test_a_pair_is_shown_from_shortly_before_its_first_difference() -> None:
    left, right = "x" * 500 + "天安門很大", "x" * 500 + "天安門不大"
    dropped, kept = pairs.compare(left, right, 300)
    assert [text for text, differs in dropped if differs] == ["很"]
    assert [text for text, differs in kept if differs] == ["不"]
    assert dropped[0] == ("…" + "x" * 57 + "天安門", False)


def test_lengths_are_counted_by_powers_of_two() -> None:
    assert octaves(np.array([1, 2, 3, 9]), np.array([4])) == (["1", "2", "4", "8"], [[1, 2, 0, 1], [0, 0, 1, 0]])
    assert octaves(np.array([], np.int64)) == ([], [[]])


def test_quantiles_are_lengths_of_documents_that_are_there() -> None:
    facts = TextFacts({TextGroup("train", "s", "zh"): np.array([30, 10, 20])})
    assert facts.quantiles == [10, 20, 20]


def test_places_of_rows_are_text_starts_context_and_padding() -> None:
    assert TokenFacts(row_len=17, rows=3, text=40, starts=2, context=4).padding == 5


def test_what_dedup_decided_leaves_once() -> None:
    counts = {
        "dedup": funnel.Counts(ledger(4, {"kept": 3}, {"quarantined.repeated_id": 1}), {}),
        "shard": funnel.Counts(ledger(4, {"train": 2}, {"dropped.repeated_id": 1, "dropped.contaminated": 1}), {}),
    }
    whole = funnel.whole_ledger(counts)
    whole.check("whole")
    assert whole.reasons == {"dedup.quarantined.repeated_id": 1, "shard.dropped.contaminated": 1}
    funnel.expect_closed(funnel.document_checks(counts))


def test_scores_by_source_and_language_accuracy_and_ensembles_stand_beside_the_model(data: Path) -> None:
    score = {"loss": 2.5, "perplexity": 12.18, "bits_per_byte": 2.125, "accuracy": 0.4235}
    part = {**score, "baselines": {"bigram": {**score, "accuracy": None}}, "by_source": {"wiki": score}}
    part["ensemble"] = {"mean_weights": {**score, "bits_per_byte": 2.0}}
    part["by_language"] = {"en": {**score, "tokens": 12345}, "zh": {**score, "bits_per_byte": 1.875, "accuracy": 0.25}}
    (data / "evaluate/metrics.json").write_text(dump({"val": part, "test": score}))
    seen = words_of(run(data)).replace("\xa0", " ").replace("\u202f", " ")
    assert "mean weights 2.000" in seen
    assert "language en 2.125 2.500 12.2 42.4 % 12 345" in seen
    assert "language zh 1.875 2.500 12.2 25.0 %" in seen
    assert "source wiki 2.125" not in seen  # the only one is the whole
