"""The samples of cleaning: which documents are shown, what a second run did, and how the report reads."""

import shutil
from pathlib import Path

import pytest
import yaml
from corpora import write_documents

from bench import cleaning_samples
from bench.cleaning_samples import Corpus, Dropped, SecondRun, choose_dropped, compare_runs

WIKI = Corpus("wiki", "en", "wiki.jsonl", "jsonl")
FEW, LOOP = "gopher.too_few_words", "gopher.repeated_runs_5"


def dropped(key: str, rule: str, text: str = "text") -> Dropped:
    return Dropped(f"wiki:{key}", rule, "7", "< 20", text)


def test_every_rule_is_shown_before_a_frequent_one_is_shown_twice() -> None:
    many = [dropped(str(n), FEW) for n in range(50)]
    shown = choose_dropped([*many, dropped("a", LOOP), dropped("b", "c4.placeholders")], 5)
    assert [one.rule for one in shown] == ["c4.placeholders", LOOP, FEW, FEW, FEW]


def test_which_ones_are_shown_does_not_depend_on_their_order() -> None:
    many = [dropped(str(n), FEW) for n in range(50)]
    assert choose_dropped(many, 5) == choose_dropped(many[::-1], 5)
    assert choose_dropped(many, 5) != many[:5]
    assert choose_dropped(many, 80) == choose_dropped(many, 50)
    assert choose_dropped([], 5) == []


def test_a_second_run_is_compared_document_by_document() -> None:
    first = {"wiki:1": "one", "wiki:2": "two", "wiki:3": "three"}
    second = compare_runs(first, {"wiki:1": "one", "wiki:2": "2"}, [dropped("3", FEW)])
    assert second == SecondRun(3, {FEW: ["wiki:3"]}, ["wiki:2"])
    assert (second.exceptions, second.holds, str(second)) == (2, False, "1 dropped, 1 changed")


@pytest.mark.parametrize(("documents", "holds"), [(9_999, False), (10_000, True)])
def test_one_exception_in_ten_thousand_is_allowed(documents: int, holds: bool) -> None:
    assert SecondRun(documents, {}, ["wiki:1"]).holds is holds


def test_the_row_names_the_rules_that_drop_most() -> None:
    gone = [*(dropped(str(n), FEW) for n in range(3)), dropped("a", LOOP)]
    row = cleaning_samples.row(WIKI, 16, gone, SecondRun(12, {}, []))
    assert row.split() == [
        "wiki", "16", "4", "25.00%", "changes", "nothing", f"{FEW}", "18.75%,", f"{LOOP}", "6.25%",
    ]  # fmt: skip


def test_the_report_shows_counts_examples_and_what_a_second_run_did() -> None:
    ledger = {
        "in": 4,
        "apart": {"lines_removed.c4.short_line": 5},
        "tallies": {"repeated_lines": [["All | rights", 3]]},
    }
    kept = {"wiki:1": "first line\n# no heading", "wiki:2": "x" * 700}
    second = SecondRun(2, {FEW: ["wiki:2"]}, [])
    lines = list(
        cleaning_samples.report(WIKI, ledger, [dropped("3", FEW, "short"), dropped("4", LOOP)], kept, second, 1)
    )
    for line in (
        "# wiki (en)",
        "2 of 4 documents dropped, 50.00%.",
        f"| {FEW} | 1 | 25.00% |",
        "| lines_removed.c4.short_line | 5 |",
        "| All ¦ rights | 3 |",
        "A second run over the 2 that stayed: 1 dropped, 0 changed.",
        f"| {FEW} | wiki:2 |",
        f"### wiki:4: {LOOP}, 7, dropped if < 20",
        "## 1 kept",
    ):
        assert line in lines
    assert not any(line.startswith("# no heading") for line in lines)


def test_long_texts_are_cut_and_say_how_long_they_are() -> None:
    lines = list(
        cleaning_samples.report(WIKI, {"in": 1, "apart": {}}, [], {"wiki:2": "x" * 700}, SecondRun(1, {}, []), 1)
    )
    assert f"    {'x' * 600} … (700 characters)" in lines


def test_blocks_of_wikiextractor_become_rows(tmp_path: Path) -> None:
    raw = tmp_path / "raw.txt"
    raw.write_text(
        '<doc id="13" url="u" title="数学">\n数学\n\n数学是利用\n</doc>\n<doc id="7" url="u" title="b">\nb\n</doc>\n'
    )
    cleaning_samples.write_jsonl(raw, tmp_path / "rows.jsonl")
    assert (tmp_path / "rows.jsonl").read_text().splitlines() == [
        '{"id": "13", "text": "数学\\n\\n数学是利用"}',
        '{"id": "7", "text": "b"}',
    ]


def test_the_second_run_differs_from_the_first_in_corpus_level_lines_alone(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    for name in ("params.yaml", "versions.yaml"):
        shutil.copyfile(Path(__file__).resolve().parents[1] / name, tmp_path / name)
    given = yaml.safe_load(params.read_text())
    once, twice = (
        yaml.safe_load(cleaning_samples.write_params(params, tmp_path / name / "params.yaml", lines).read_text())
        for name, lines in (("once", True), ("twice", False))
    )
    given["clean"]["dropped_text_percent"] = 100
    assert once == given
    given["clean"]["rules"]["repeated_lines"]["max_documents"] = 0
    assert twice == given
    assert (tmp_path / "twice/versions.yaml").read_bytes() == (tmp_path / "versions.yaml").read_bytes()


def test_kept_documents_are_read_from_all_shards_and_not_from_the_evidence(tmp_path: Path) -> None:
    write_documents(tmp_path / "b.parquet", [("2", "two")])
    write_documents(tmp_path / "a.parquet", [("1", "one")])
    write_documents(tmp_path / "dropped/a.parquet", [("3", "three")])
    assert cleaning_samples.read_kept(tmp_path) == {"s:1": "one", "s:2": "two"}
