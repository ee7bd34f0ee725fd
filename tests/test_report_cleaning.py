"""The report on cleaning: losses by source and rule, edits, lengths and languages, whatever the ledger holds or lacks."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from stage_folders import ENGLISH, Stages, documents, ledger, rows_of, run, words_of

from pipelines.reporting import samples
from pipelines.reporting.cleaning import Distributions, cleaning_section, distributions, edits_of, repeated_lines
from pipelines.reporting.funnel import Counts
from pipelines.reporting.losses import REASONS_SHOWN, SOURCES_SHOWN, losses_by_source
from pipelines.spine.ledger import REST, Ledger, merge
from pipelines.spine.manifest import dump
from pipelines.spine.schema import DROPPED
from pipelines.spine.shards import open_shard

HOSTILE_LINE = '</td><script>alert("all rights reserved")</script>'
ARABIC_LINE = "جميع الحقوق محفوظة"


def counts_of(parts: Mapping[str, Ledger]) -> Counts:
    return Counts(*merge("documents", parts.items()))


def tallied(taken: int, out: int, tallies: Mapping[str, Mapping[str, int]]) -> Ledger:
    made = ledger(taken, {"documents": out}, {"dropped.gopher.too_few_words": taken - out})
    for name, numbers in tallies.items():
        made.tally(name, numbers)
    return made


def edit_ledger(data: Path, apart: Mapping[str, int], tallies: Mapping[str, Mapping[str, int]], source: str) -> None:
    """Adds counts to the total and one source in the ledger of `clean`."""
    path = data / "clean/ledger.json"
    whole = json.loads(path.read_text())
    for part in (whole, whole["by_source"][source]):
        part["apart"] = dict(apart)
        part["tallies"] = {name: [list(pair) for pair in numbers.items()] for name, numbers in tallies.items()}
    path.write_text(dump(whole))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    Stages(tmp_path / "data").write_corpus()
    return tmp_path / "data"


def test_losses_are_sorted_by_what_they_cost() -> None:
    few, many = "dropped.gopher.too_few_words", "dropped.gopher.too_many_words"
    counts = counts_of(
        {"a": ledger(10, {"documents": 9}, {many: 1}), "b": ledger(20, {"documents": 13}, {few: 5, many: 2})}
    )
    losses = losses_by_source(counts.total, counts.by_source)
    assert losses.columns == [few, many]
    assert [(row.source, row.taken, row.out, row.numbers, row.others) for row in losses.rows] == [
        ("b", 20, 13, [5, 2], 0),
        ("a", 10, 9, [0, 1], 0),
    ]
    assert (losses.total.numbers, losses.total.lost, losses.is_cut) == ([5, 3], 8, False)


def test_fifty_sources_and_forty_rules_make_a_table_of_bounded_size_that_loses_nothing() -> None:
    parts = {}
    for s in range(50):
        lost = {f"dropped.rule_{r:02}": r + 1 for r in range(40)}
        parts[f"source-{s:02}"] = ledger(1000 + s, {"documents": 1000 + s - sum(lost.values())}, lost)
    counts = counts_of(parts)
    losses = losses_by_source(counts.total, counts.by_source)
    assert (len(losses.columns), losses.num_others) == (REASONS_SHOWN, 40 - REASONS_SHOWN)
    assert losses.columns[0] == "dropped.rule_39"
    assert (len(losses.rows), losses.rows[-1].source) == (SOURCES_SHOWN + 1, "38 other sources")
    assert sum(row.lost for row in losses.rows) == losses.total.lost == 50 * 820
    assert sum(sum(row.numbers) + row.others for row in losses.rows) == 50 * 820
    assert losses.is_cut
    assert [len(row.reasons) for row in losses.sources] == [40] * 50


def test_edits_are_told_by_kind_and_none_is_forgotten() -> None:
    made = Ledger("documents")
    for name, number in (
        ("texts_changed.quotes", 3), ("changes.quotes", 14), ("texts_changed.mojibake", 9), ("changes.spaces", 2),
        ("lines_removed.c4.short_line", 5), ("personal_data.email", 4), ("personal_data.phone", 6), ("loops_cut", 1),
        ("something_new", 8),
    ):  # fmt: skip
        made.apart(name, number)
    assert edits_of(made) == {
        "normalized": [("mojibake", 9, None), ("quotes", 3, 14), ("spaces", None, 2)],
        "lines_removed": [("c4.short_line", 5)],
        "personal_data": [("phone", 6), ("email", 4)],
        "loops_cut": 1,
        "others": [("something_new", 8)],
    }


def test_repeated_lines_name_their_sources_and_are_cut_to_what_can_be_read() -> None:
    counts = counts_of(
        {s: tallied(1, 1, {"repeated_lines": {"common": n, "x" * 500: 1, REST: 70}}) for n, s in enumerate("abcde", 2)}
    )
    first, second = repeated_lines(counts)
    assert first == ("common", 20, ["e", "d", "c"], 2)
    assert second == ("x" * 160 + "…", 5, ["a", "b", "c"], 2)


def told_by(part: Distributions) -> str:
    """The text alternative of the chart of lengths."""
    assert part.chart is not None
    return ElementTree.fromstring(part.chart).get("aria-label", "")


def test_lengths_are_columns_by_powers_of_two_without_gaps_and_told_in_words() -> None:
    counts = counts_of(
        {"a": tallied(7, 5, {"chars.before": {"0": 1, "4": 1, "16": 5}, "chars.after": {"16": 4, "32": 1}})}
    )
    (whole,) = distributions(counts)
    assert told_by(whole) == (
        "all sources, documents by characters: from 0: 1 before, 0 after; from 1: 0 before, 0 after; "
        "from 2: 0 before, 0 after; from 4: 1 before, 0 after; from 8: 0 before, 0 after; "
        "from 16: 5 before, 4 after; from 32: 0 before, 1 after"
    )


def test_languages_before_and_after_are_the_most_frequent_ones_and_the_rest_together() -> None:
    before = {"en": 50, "": 7, **{f"l{n:02}": 20 - n for n in range(14)}}
    (whole,) = distributions(
        counts_of({"a": tallied(300, 20, {"languages.before": before, "languages.after": {"en": 20}})})
    )
    assert whole.chart is None
    assert [(row.language, row.before, row.after) for row in whole.languages[:3]] == [
        ("en", 50, 20), ("l00", 20, 0), ("l01", 19, 0),
    ]  # fmt: skip
    assert len(whole.languages) == 13
    assert (whole.languages[-1].language, whole.languages[-1].before) == ("4 others", 9 + 8 + 7 + 7)
    assert sum(row.before for row in whole.languages) == sum(before.values())


def test_all_sources_and_the_six_largest_can_be_chosen() -> None:
    counts = counts_of({f"s{n}": tallied(10 * n, n, {"chars.before": {"8": 10 * n}}) for n in range(1, 10)})
    assert [part.name for part in distributions(counts)] == ["all sources", "s9", "s8", "s7", "s6", "s5", "s4"]


def test_a_ledger_without_tallies_has_no_distributions() -> None:
    section = cleaning_section(counts_of({"a": ledger(2, {"documents": 2}), "b": ledger(0, {})}))
    assert section is not None
    assert (section["distributions"], section["repeated_lines"], section["losses"].columns) == ([], [], [])


def test_the_page_shows_the_funnel_of_cleaning_by_source_and_rule(data: Path) -> None:
    seen = words_of(run(data))
    assert "7 of 8 documents stayed" in seen
    assert "source in out too short all sources 8 7 87.5 % 1 12.5 % wiki 5 4 80.0 % 1 20.0 % 新聞 3 3 100 % 0" in seen
    assert "wiki:4 · 52 characters, dropped if 60" in seen
    assert "What was edited" not in seen
    assert "Lengths and languages" not in seen


def test_the_page_shows_edits_repeated_lines_lengths_and_languages(data: Path) -> None:
    apart = {
        "texts_changed.quotes": 4,
        "changes.quotes": 1234,
        "lines_removed.c4.short_line": 3,
        "personal_data.email": 2,
    }
    tallies = {
        "repeated_lines": {HOSTILE_LINE: 9, ARABIC_LINE: 4}, "chars.before": {"64": 8}, "chars.after": {"64": 7},
        "languages.before": {"en": 6, "<u>": 2}, "languages.after": {"en": 6, "<u>": 1},
    }  # fmt: skip
    edit_ledger(data, apart, tallies, "wiki")
    page = run(data)
    seen = words_of(page)
    assert "quotes 4 50.0 % 1 234" in seen
    assert "c4: short line 3" in seen
    assert "email 2" in seen
    assert f"{HOSTILE_LINE} 9 wiki {ARABIC_LINE} 4 wiki" in seen
    assert "en 6 75.0 % 6 85.7 %" in seen
    assert "<u> 2 25.0 % 1 14.3 %" in seen
    assert "<script" not in page
    assert "<u>" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert f'<td class="wrap" dir="auto">{ARABIC_LINE}</td>' in page


def test_each_choice_of_a_source_has_its_panel_and_the_style_sheet_knows_them_all(data: Path) -> None:
    edit_ledger(data, {}, {"chars.before": {"64": 8}, "chars.after": {"64": 7}}, "wiki")
    page = run(data)
    assert re.findall(r'<input type="radio" name="cleaning-source" id="([\w-]+)"( checked)?>', page) == [
        ("cleaning-source-1", " checked"), ("cleaning-source-2", ""), ("cleaning-source-3", ""),
    ]  # fmt: skip
    assert re.findall(r'<label for="(.*?)"><bdi>(.*?)</bdi>', page) == [
        ("cleaning-source-1", "all sources"), ("cleaning-source-2", "wiki"), ("cleaning-source-3", "新聞"),
    ]  # fmt: skip
    assert page.count('<div class="panel">') == 3
    assert ".choice input:nth-of-type(7):checked ~ .panel:nth-of-type(7)" in page


def test_an_example_whose_text_was_not_kept_says_so(data: Path) -> None:
    path = data / "clean/lineage.json"
    lineage = json.loads(path.read_text())
    path.write_text(dump({**lineage, "params": {"dropped_text_percent": 0}}))
    with open_shard(data / "clean/dropped/wiki-0.parquet", DROPPED) as shard:
        shard.write(rows_of(DROPPED, [("wiki:4", "wiki", "too_short", "52 characters", "60", "")]))
    assert "wiki:4 · 52 characters, dropped if 60 text not kept" in words_of(run(data))


def test_an_example_that_is_an_empty_text_says_so(data: Path) -> None:
    with open_shard(data / "clean/dropped/wiki-0.parquet", DROPPED) as shard:
        shard.write(rows_of(DROPPED, [("wiki:4", "wiki", "too_short", "0 characters", "60", "")]))
    assert "wiki:4 · 0 characters, dropped if 60 no text" in words_of(run(data))


def test_examples_with_a_text_are_shown_before_those_without(tmp_path: Path) -> None:
    rows = [(f"wiki:{n}", "wiki", "too_short", "9", "< 10", "kept" if n in (17, 31) else "") for n in range(50)]
    with open_shard(tmp_path / "a.parquet", DROPPED) as shard:
        shard.write(rows_of(DROPPED, rows))
    evidence = samples.read_evidence([tmp_path / "a.parquet"], "dropped", 3, 300)
    shown = evidence.examples["dropped.too_short"]
    assert sorted(example.name for example in shown[:2]) == ["wiki:17", "wiki:31"]
    assert [example.text for example in shown] == ["kept", "kept", ""]


def test_without_a_document_the_page_stands(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "data")
    stages.write("extract", {}, {"wiki": ledger(0, {})})
    stages.write("clean", {}, {"wiki": ledger(0, {})})
    assert "0 of 0 documents stayed" in words_of(run(tmp_path / "data"))


def test_with_every_document_dropped_the_page_stands(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "data")
    text = ENGLISH * 2
    rows = [(f"wiki:{key}", "wiki", "gopher.too_few_words", "18", "< 20", text) for key in "15"]
    stages.write("extract", {"wiki-0.parquet": documents("wiki", ["1", "5"])}, {"wiki": ledger(2, {"documents": 2})})
    stages.write(
        "clean",
        {"dropped/wiki-0.parquet": rows_of(DROPPED, rows)},
        {"wiki": tallied(2, 0, {"chars.before": {"64": 2}, "languages.before": {"en": 2}})},
    )
    seen = words_of(run(tmp_path / "data"))
    assert "0 of 2 documents stayed" in seen
    assert "wiki 2 0 0 % 2 100 %" in seen
    assert "en 2 100 % 0 0 %" in seen


def write_quality(data: Path, metrics: dict, words: dict | None = None) -> None:
    Stages(data).write("quality", {}, {"wiki": ledger(8, {"train": 5, "held_out": 2, "not_drawn": 1})})
    (data / "quality/metrics.json").write_text(dump(metrics))
    if words is not None:
        (data / "quality/words.json").write_text(dump(words))


def test_the_quality_model_is_shown_with_what_it_is_worth(data: Path) -> None:
    below = {"100": 1.5, "300": 4.0, "500": 50.25, "700": 80.0, "900": 100.0}
    measures = {"accuracy": 0.9812, "precision": 0.97, "recall": 0.99, "roc_auc": 0.998}
    metrics = {
        "model": "on", "languages": ["en", "zh"], "train": {"positive": 1200, "negative": 900},
        "held_out": {"positive": 60, "negative": 45}, "sources": {"新聞": {"scored": 60, "percent_below": below}},
        **measures,
    }  # fmt: skip
    words = {
        "positive": [{"weight": 3.25, "words": [["the city", 40]]}, {"weight": 1.0, "words": []}],
        "negative": [{"weight": -2.5, "words": [["<b>click</b> here", 7]]}],
    }
    write_quality(data, metrics, words)
    page = run(data)
    seen = words_of(page)
    assert "learned from 1 200 good and 900 bad texts in en, zh, and measured on 60 and 45" in seen
    assert "Accuracy 0.981, precision 0.970, recall 0.990, area under the ROC curve 0.998." in seen
    assert "新聞 60 1.5 % 4.0 % 50.2 % 80.0 % 100.0 %" in seen
    assert "speak for quality weight the city 3.25 Words that speak against it weight <b>click</b> here -2.50" in seen
    assert "<b>click" not in page


def test_a_quality_stage_that_is_off_is_not_shown(data: Path) -> None:
    write_quality(data, {"model": "off"})
    seen = words_of(run(data))
    assert "Quality model" not in seen
    assert "After the documents" not in seen


def test_a_quality_model_without_held_out_texts_and_words_stands(data: Path) -> None:
    write_quality(
        data, {"model": "on", "train": {"positive": 2, "negative": 2}, "held_out": {"positive": 0, "negative": 0}}
    )
    assert "learned from 2 good and 2 bad texts, and measured on 0 and 0 that it has not seen." in words_of(run(data))
