"""The benchmarks of scale measure what they say: planted keys, bytes in shuffles, memory of a tree of processes."""

import json
import subprocess
import sys
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import zstandard
from corpora import DEDUP, words, write_documents, write_params

from bench import billion_keys
from bench.billion_keys import Round, documents_of, refs_of
from bench.duplicates_billion import num_wrong, pairs_of_full_bucket, run_round, work
from bench.process_memory import run_tree
from bench.reworded import Reworded
from bench.scale_up import Flow, TreeUsage, break_even, compare_memory
from bench.shuffled import short_name
from pipelines.duplicates.proposals import propose_pairs
from pipelines.duplicates.references import KEYED
from pipelines.spine.errors import CorpusmillError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Round:
    """6,000 documents in 3 partitions, 5 templates of 70 among them."""
    monkeypatch.setattr(billion_keys, "TEMPLATES_PER_BILLION", 1_000_000)
    monkeypatch.setattr(billion_keys, "TEMPLATE_DOCUMENTS", 70)
    return Round(6_000, 3)


def test_every_document_brings_one_key_and_pairs_are_those_that_share_it(whole: Round) -> None:
    holders: dict[int, list[int]] = defaultdict(list)
    planted: set[tuple[int, int]] = set()
    for number in range(3):
        records, pairs = whole.partition(number)
        assert set((records["key"] % 3).tolist()) == {number}
        for key, document in zip(records["key"].tolist(), documents_of(records["ref"]).tolist(), strict=True):
            holders[key].append(document)
        planted |= {(min(pair), max(pair)) for pair in pairs.tolist()}
    assert sorted(document for found in holders.values() for document in found) == list(range(6_000))
    templates = [found for found in holders.values() if len(found) == 70]
    assert len(templates) == 6
    rest = [sorted(found) for found in holders.values() if 1 < len(found) < 70]
    assert {pair for found in rest for pair in combinations(found, 2)} == planted
    assert {len(found) for found in rest} == {2, 3, 4}
    assert 300 < len(planted) < 800  # 600 copies, of which three in five share


def test_a_missing_pair_and_one_too_many_are_wrong(whole: Round, tmp_path: Path) -> None:
    records, planted = whole.partition(0)
    records.tofile(tmp_path / "partition")
    answer = work(str(tmp_path / "partition"), 200)  # no bucket is full: the templates give all their pairs
    within = whole.template_of(documents_of(answer.pairs["a"])) >= 0
    assert (int(within.sum()), len(answer.pairs) - int(within.sum())) == (2 * 70 * 69 // 2, len(planted))
    capped = work(str(tmp_path / "partition"), 64)
    assert capped.num_capped == 2 * (70 * 69 // 2 - pairs_of_full_bucket(70, 64))
    assert num_wrong(whole, 0, answer, planted, 200) > 0  # it expects what full buckets propose
    missing = type(capped)(capped.pairs[1:], *list(vars(capped).values())[1:])
    assert num_wrong(whole, 0, missing, planted, 64) > 0


@pytest.mark.parametrize(("size", "max_bucket"), [(70, 64), (500, 64), (100, 16)])
def test_full_buckets_propose_as_many_pairs_as_arithmetic_says(size: int, max_bucket: int) -> None:
    found = propose_pairs(np.full(size, 7, np.uint64), np.arange(size), max_bucket)
    assert len(found.pairs) == pairs_of_full_bucket(size, max_bucket)


def test_references_name_documents_by_unit_and_row() -> None:
    refs = refs_of(np.array([0, 99_999, 100_000, 250_001]))
    assert refs.tolist() == [0, 99_999, 1 << 40, 2 << 40 | 50_001]
    assert documents_of(refs).tolist() == [0, 99_999, 100_000, 250_001]


def test_a_round_is_run_by_a_worker_and_its_pairs_are_right() -> None:
    whole = Round(300_000, 4)
    tally, empty = run_round(whole, range(4), 64)
    assert (tally.partitions, tally.keys, tally.wrong) == (4, 300_000, 0)
    assert tally.pairs > 20_000
    assert tally.most_keys * KEYED.itemsize < 2_000_000
    assert tally.peak_bytes >= empty > 0


def test_the_bytes_that_enter_a_shuffle_are_counted(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [(f"a{n}", " ".join(words(n, 60))) for n in range(300)])
    params = write_params(tmp_path / "params.yaml", dedup=DEDUP)
    command = [sys.executable, "-m", "bench.counted_shuffles", str(tmp_path / "counts.json"), "pipelines.dedup"]
    places = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    subprocess.run([*command, *places, "--params", str(params)], check=True, cwd=ROOT, capture_output=True)
    counts = {short_name(name): size for name, size in json.loads((tmp_path / "counts.json").read_text()).items()}
    # 16 bytes a document and half; a partition's number, a length and a time beside each of 2 or so blobs.
    for name in ("id_key", "content_key"):
        assert 16 * 300 < counts[f"FindRepeats/ByHalf.{name}"] < 16 * 300 + 40 * DEDUP["num_partitions"]
    assert counts["FindPairs/ByKey"] > 16 * 300 * DEDUP["num_bands"]


def test_memory_and_processes_of_all_that_a_command_starts_are_added_up() -> None:
    child = "import time; held = b'x' * 60_000_000; time.sleep(1.5)"
    start = f"subprocess.Popen([sys.executable, '-c', {child!r}])"
    parent = f"import subprocess, sys; [process.wait() for process in [{start}, {start}]]"
    usage = run_tree([sys.executable, "-c", parent])
    assert usage.processes == 3
    assert 120_000_000 < usage.anonymous_bytes < 250_000_000
    assert usage.largest_bytes > 60_000_000
    assert usage.first_cpu_seconds <= usage.cpu_seconds
    with pytest.raises(CorpusmillError, match="no such thing"):
        run_tree([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_a_copy_of_the_text_has_its_words_in_number_and_no_run_of_them(tmp_path: Path) -> None:
    letters = str.maketrans("0123456789", "ghijklmnop")
    texts = [" ".join(words(n, 900)).translate(letters) + "." for n in range(40)]
    rows = [json.dumps({"id": n, "title": f"T{n}", "text": text}) for n, text in enumerate(texts)]
    (tmp_path / "a.zst").write_bytes(zstandard.compress("\n".join(rows).encode()))
    text = Reworded(tmp_path / "a.zst", 10**9)
    first, again, second = (list(text.copy(number)) for number in (0, 1, 2))
    assert [(key, words) for key, _, words in first] == [(f"0-{n}", text) for n, text in enumerate(texts)]
    assert again == list(text.copy(1))
    assert [len(words.split()) for _, _, words in second] == [900] * 40
    runs = [{run for _, _, words in copy for run in five_word_runs(words)} for copy in (first, second)]
    assert len(runs[0] & runs[1]) < len(runs[0]) // 100


def five_word_runs(text: str) -> set[tuple[str, ...]]:
    found = text.split()
    return {tuple(found[place : place + 5]) for place in range(len(found) - 4)}


def test_ratios_of_memory_and_break_even_are_read_from_the_flows() -> None:
    def usage(cpu: float, peak: int, first: float = 0.0) -> TreeUsage:
        return TreeUsage(cpu, cpu, peak, peak, peak, 1, first)

    one = [Flow(100_000_000, 1, 1, {"clean": usage(5, 100)}), Flow(300_000_000, 3, 1, {"clean": usage(13, 120)})]
    # Two workers: 4 s more to begin with, and half of the time for each MB.
    two = [Flow(100_000_000, 1, 2, {"clean": usage(10, 1, 4)}), Flow(300_000_000, 3, 2, {"clean": usage(18, 1, 4)})]
    assert compare_memory(*one)[1] == "clean           1.20  1.20  ABOVE 1.1"
    assert break_even(one, two)[1].split() == ["clean", "200"]
