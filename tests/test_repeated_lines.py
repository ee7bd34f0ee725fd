"""Repeated lines: what is counted, which document keeps a line, and that units, partitions and workers change nothing."""

import itertools
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from corpora import digests, read_rows, write_documents, write_params
from warm_runs import PipelineRuns

from pipelines import clean
from pipelines.cleaning.line_files import LINES_A_ROW
from pipelines.cleaning.repeated_lines import (
    LINE,
    NO_LINES,
    among,
    count_lines,
    hash_range,
    merge_lines,
    order_keys,
    remove_lines,
    too_frequent,
)

ROOT = Path(__file__).parents[1]
MENU = "Home News Sport Weather and much more"
BYLINE = "By our own correspondent in the harbour town"


def u64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


def records(*rows: tuple[int, int, int]) -> np.ndarray:
    return np.array(list(rows), LINE)


def test_a_document_that_holds_a_line_twice_counts_once() -> None:
    counted = count_lines(u64(7, 7, 5, 7), np.array([0, 0, 0, 1]), u64(3, 1))
    assert counted.tolist() == [(5, 3, 1), (7, 1, 2)]


def test_no_lines_give_no_records() -> None:
    assert count_lines(u64(), np.empty(0, np.int64), u64()).tolist() == []
    assert merge_lines([]).tolist() == []


def test_the_keeper_of_merged_units_is_the_smallest_key_of_all() -> None:
    merged = merge_lines([records((5, 9, 1), (7, 4, 2)), records((7, 2, 3)), NO_LINES])
    assert merged.tolist() == [(5, 9, 1), (7, 2, 5)]


def test_a_line_is_too_frequent_only_above_the_limit() -> None:
    assert too_frequent(records((1, 0, 2), (2, 0, 3)), 2).tolist() == [(2, 0, 3)]


def test_hashes_are_found_among_lines_and_nowhere_when_there_are_none() -> None:
    assert among(u64(1, 5, 9), records((5, 0, 1), (9, 0, 1))).tolist() == [False, True, True]
    assert among(u64(1, 2**64 - 1), NO_LINES).tolist() == [False, False]


@pytest.mark.parametrize("number", [1, 2, 3, 64])
def test_the_ranges_of_hashes_meet_without_a_gap_and_end_at_the_last_hash(number: int) -> None:
    ranges = [hash_range(partition, number) for partition in range(number)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 2**64 - 1
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(ranges))


def test_a_range_is_cut_into_parts_that_fill_it() -> None:
    within = hash_range(1, 3)
    parts = [hash_range(part, 7, within) for part in range(7)]
    assert (parts[0][0], parts[-1][1]) == within
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(parts))
    assert hash_range(1, 2, (10, 14)) == (12, 14)


def keys_of(doc_ids: list[str], dropped: list[bool], lines: list[list[int]]) -> list[int]:
    rows = np.repeat(np.arange(len(lines)), [len(of_row) for of_row in lines])
    hashes = u64(*(one for of_row in lines for one in of_row))
    return order_keys(doc_ids, np.array(dropped, np.bool_), hashes, rows).tolist()


def test_order_keys_follow_the_id_and_the_lines_wherever_the_document_lies() -> None:
    one, two = keys_of(["a:1", "a:2"], [False, False], [[5, 6], [5]])
    assert keys_of(["a:2", "a:1"], [False, False], [[5], [6, 5]]) == [two, one]
    assert len({one, *keys_of(["a:1", "a:1"], [False, False], [[5, 7], []])}) == 3
    assert keys_of([], [], []) == []


def test_a_dropped_document_comes_behind_all_that_stay() -> None:
    ids = [f"a:{number}" for number in range(50)]
    keys = keys_of(ids, [number % 2 == 0 for number in range(50)], [[number] for number in range(50)])
    assert min(keys[::2]) > max(keys[1::2])


def test_lines_are_removed_by_number() -> None:
    assert remove_lines("a\n b \n\nc", [1]) == ("a\n\nc", ["b"])


def params_with(folder: Path, max_documents: int, **rules: object) -> Path:
    """The project's own parameters with another limit on repeated lines."""
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["clean"]
    section["rules"]["repeated_lines"]["max_documents"] = max_documents
    section["rules"].update(rules)
    (folder / "versions.yaml").write_bytes((ROOT / "versions.yaml").read_bytes())
    return write_params(folder / "params.yaml", clean=section)


NOUNS = ("captain", "farmer", "teacher", "baker", "doctor", "painter", "sailor", "miner", "singer", "judge", "tailor")
PLACES = (
    "harbour",
    "market",
    "valley",
    "station",
    "forest",
    "island",
    "village",
    "castle",
    "bridge",
    "museum",
    "garden",
)
VERBS = ("visited", "described", "measured", "repaired", "painted", "bought", "defended", "left", "praised", "found")


def article(number: int) -> str:
    """Three English sentences, different for every number below a thousand."""
    sentences = []
    for part, chosen in enumerate(number * 7 + 31 * k for k in range(3)):
        noun, place, verb = NOUNS[chosen % 11], PLACES[(chosen // 3) % 11], VERBS[(chosen // 5 + part) % 10]
        sentences.append(
            f"In {1500 + chosen} the {noun} {verb} a {place}, and that of {1000 + chosen} was {part + 2} miles away."
        )
    return " ".join(sentences)


def corpus(folder: Path, numbers: range, source: str = "s") -> None:
    texts = [(str(n), f"{MENU}\n{article(n)}\n{BYLINE}" if n % 2 else f"{MENU}\n{article(n)}") for n in numbers]
    write_documents(folder / f"{source}-{numbers.start}.parquet", texts, source)


def run(tmp_path: Path, name: str, *inputs: Path, params: Path, cache: str = "cache", **options: str) -> Path:
    more = [word for key, value in options.items() for word in (f"--{key}", value)]
    output = tmp_path / name
    arguments = ["--input", *map(str, inputs), "--output", str(output), "--params", str(params)]
    clean.main([*arguments, "--cache", str(tmp_path / cache), *more])
    return output


def test_a_menu_goes_from_all_documents_but_one_and_is_listed_with_its_frequency(tmp_path: Path) -> None:
    corpus(tmp_path / "in", range(6))
    corpus(tmp_path / "in", range(6, 12))
    output = run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 5))
    texts = [row["text"] for row in read_rows(output)]
    assert len(texts) == 12
    assert sum(MENU in text for text in texts) == 1
    assert sum(BYLINE in text for text in texts) == 1
    assert all(article(number) in "\n".join(texts) for number in range(12))
    listed = [row for path in sorted((output / "repeated_lines").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert sum(row["removed"] for row in listed if row["line"] == MENU) == 11
    assert sum(row["removed"] for row in listed if row["line"] == BYLINE) == 5
    assert {row["documents"] for row in listed if row["line"] == MENU} == {12}
    ledger = yaml.safe_load((output / "ledger.json").read_text())
    assert ledger["apart"]["lines_removed.corpus.repeated_line"] == 16
    assert ledger["tallies"]["repeated_lines"] == [[MENU, 11], [BYLINE, 5]]
    assert ledger["in"] == 12
    assert ledger["out"] == {"documents": 12}


def test_a_line_at_the_limit_stays(tmp_path: Path) -> None:
    corpus(tmp_path / "in", range(12))
    output = run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 12))
    assert sum(MENU in row["text"] for row in read_rows(output)) == 12


def test_a_line_counts_within_its_source_alone(tmp_path: Path) -> None:
    corpus(tmp_path / "in", range(6), "a")
    corpus(tmp_path / "in", range(6, 12), "b")
    output = run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 6))
    assert sum(MENU in row["text"] for row in read_rows(output)) == 12


def test_a_text_that_was_copied_whole_stays_whole_once(tmp_path: Path) -> None:
    text = f"{MENU}\n{article(1)}\n{BYLINE}"
    write_documents(tmp_path / "in" / "a.parquet", [(str(n), text) for n in range(8)])
    output = run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 3))
    assert [row["text"] for row in read_rows(output)] == [text]
    ledger = yaml.safe_load((output / "ledger.json").read_text())
    assert ledger["reasons"] == {"dropped.gopher.too_few_words": 7}


def test_a_document_that_a_rule_drops_keeps_no_line_from_one_that_stays(tmp_path: Path) -> None:
    menus = [f"Home News Sport Weather and much more of {n}" for n in range(12)]
    stay = [(f"stay{n}-{k}", f"{menus[n]}\n{article(20 * n + k)}") for n in range(12) for k in range(3)]
    go = [(f"go{n}-{k}", menus[n]) for n in range(12) for k in range(3)]
    write_documents(tmp_path / "in" / "a.parquet", stay + go)
    texts = "\n".join(
        row["text"] for row in read_rows(run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 5)))
    )
    assert [texts.count(f"{menu}\n") for menu in menus] == [1] * 12


def test_documents_under_one_id_are_told_apart(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("same", f"{MENU}\n{article(n)}") for n in range(12)])
    texts = [row["text"] for row in read_rows(run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 5)))]
    assert (len(texts), sum(MENU in text for text in texts)) == (12, 1)


@pytest.mark.parametrize("source", ["lines", "lines-x", "prepared"])
def test_no_name_of_a_source_is_taken_for_the_file_of_lines(tmp_path: Path, source: str) -> None:
    corpus(tmp_path / "in", range(12), source)
    output = run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 5))
    assert sum(MENU in row["text"] for row in read_rows(output)) == 1
    assert yaml.safe_load((output / "ledger.json").read_text())["out"] == {"documents": 12}


def test_what_goes_once_a_line_is_gone_stands_in_the_ledger(tmp_path: Path) -> None:
    loops = [(str(n), f"{article(n)}\n{MENU}\n{article(n)}\n{MENU}\n{article(n)}") for n in range(6)]
    write_documents(tmp_path / "in" / "a.parquet", loops)
    params = params_with(tmp_path, 5, skip=["c4.unpunctuated_line", "gopher.duplicate_lines"])
    output = run(tmp_path, "out", tmp_path / "in", params=params)
    ledger = yaml.safe_load((output / "ledger.json").read_text())
    assert ledger["apart"]["loops_cut.texts"] == 5  # the sixth keeps the menu between its copies
    assert len({row["text"] for row in read_rows(output)}) == 5
    assert ledger["reasons"] == {"dropped.gopher.duplicate_line_chars": 1}


def test_a_text_is_judged_by_what_its_repeated_lines_leave(tmp_path: Path) -> None:
    short = [(f"short{n}", f"{MENU}\n{' '.join(article(n).split()[:18])}.") for n in range(4)]
    write_documents(tmp_path / "in" / "a.parquet", [*short, ("long", article(9))])
    kept = run(tmp_path, "kept", tmp_path / "in", params=params_with(tmp_path, 4))
    assert len(read_rows(kept)) == 5
    output = run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 3))
    assert len(read_rows(output)) == 2
    (evidence,) = (output / "dropped").iterdir()
    rows = pq.read_table(evidence).to_pylist()
    assert [(row["rule"], row["value"], row["threshold"]) for row in rows] == [
        ("gopher.too_few_words", "18", "< 20")
    ] * 3
    assert all(MENU not in row["text"] for row in rows)


@pytest.mark.parametrize(("a_round", "a_partition"), [(1 << 22, 7), (1 << 14, 7), (1, 1)])
def test_rounds_and_partitions_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, a_round: int, a_partition: int
) -> None:
    corpus(tmp_path / "in", range(6))
    corpus(tmp_path / "in", range(6, 12))
    params = params_with(tmp_path, 5)
    alone = run(tmp_path, "alone", tmp_path / "in", params=params)
    monkeypatch.setattr("pipelines.cleaning.line_steps.MAX_ROUNDS", 3)
    monkeypatch.setattr("pipelines.cleaning.line_steps.LINES_PER_PARTITION", a_partition * LINES_A_ROW)
    monkeypatch.setattr("pipelines.clean.LINES_PER_ROUND", a_round)
    other = run(tmp_path, "other", tmp_path / "in", params=params, cache="other-cache")
    assert digests(other) == digests(alone)


def test_nothing_of_a_run_that_ended_well_is_left(tmp_path: Path) -> None:
    corpus(tmp_path / "in", range(12))
    run(tmp_path, "out", tmp_path / "in", params=params_with(tmp_path, 5))
    assert list((tmp_path / "cache" / "units" / "clean.runs").iterdir()) == []


def test_a_run_killed_while_it_counts_keeps_what_is_prepared_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    corpus(tmp_path / "in", range(6))
    corpus(tmp_path / "in", range(6, 12))
    params = params_with(tmp_path, 5)
    undisturbed = run(tmp_path, "undisturbed", tmp_path / "in", params=params)
    given = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--params", str(params)]
    given += ["--cache", str(tmp_path / "killed")]
    environment = {"CORPUSMILL_WORKERS": "1", "CORPUSMILL_RUNNER": "", "CORPUSMILL_ROOT": ""}
    (tmp_path / "runs").mkdir()
    with PipelineRuns(tmp_path / "runs") as runs:
        status, said = runs.run("pipelines.clean", given, **environment, CORPUSMILL_KILL_AT="clean:lines@2")
        assert status == -signal.SIGKILL, said
        prepared = written(tmp_path / "killed" / "units" / "clean.prepared")
        assert len(prepared) == 2
        status, said = runs.run("pipelines.clean", given, **environment)
        assert status == 0, said
    assert digests(tmp_path / "out") == digests(undisturbed)
    assert written(tmp_path / "killed" / "units" / "clean.prepared") == prepared


def written(folder: Path) -> dict[str, int]:
    """When each unit's receipt was written, in ns."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/receipt.json")}


@pytest.mark.parametrize("workers", ["2", "4"])
def test_worker_processes_give_the_same_bytes_as_none(tmp_path: Path, workers: str) -> None:
    for first in range(0, 12, 3):
        corpus(tmp_path / "in", range(first, first + 3))
    params = params_with(tmp_path, 5)
    alone = run(tmp_path, "alone", tmp_path / "in", params=params)
    options = {"direct_num_workers": workers, "direct_running_mode": "multi_processing"}
    many = run(tmp_path, "many", tmp_path / "in", params=params, cache="other-cache", **options)
    assert digests(many) == digests(alone)


def test_a_unit_that_loses_nothing_new_is_not_finished_again_when_another_one_comes(tmp_path: Path) -> None:
    plain = [(str(n), article(n)) for n in range(4)]
    write_documents(tmp_path / "in" / "plain.parquet", plain)
    params = params_with(tmp_path, 2)
    run(tmp_path, "out", tmp_path / "in", params=params)
    finished = {path.parent.name for path in (tmp_path / "cache" / "units" / "clean").glob("*/receipt.json")}
    write_documents(tmp_path / "in" / "menus.parquet", [(f"m{n}", f"{MENU}\n{article(50 + n)}") for n in range(4)])
    output = run(tmp_path, "out", tmp_path / "in", params=params)
    again = {path.parent.name for path in (tmp_path / "cache" / "units" / "clean").glob("*/receipt.json")}
    assert len(finished) == 1
    assert finished < again
    assert len(again) == 2
    assert len(read_rows(output)) == 8


def test_dropped_texts_are_kept_for_the_share_that_is_asked(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [(str(n), f"too short {n}") for n in range(200)])
    params = params_with(tmp_path, 0)
    section = yaml.safe_load(params.read_text())
    kept = {}
    for percent in (0, 25, 100):
        section["clean"]["dropped_text_percent"] = percent
        params.write_text(yaml.safe_dump(section))
        output = run(tmp_path, f"out{percent}", tmp_path / "in", params=params)
        (evidence,) = (output / "dropped").iterdir()
        rows = pq.read_table(evidence).to_pylist()
        assert len(rows) == 200
        kept[percent] = {row["doc_id"] for row in rows if row["text"]}
    assert kept[0] == set()
    assert 30 <= len(kept[25]) <= 70
    assert len(kept[100]) == 200
