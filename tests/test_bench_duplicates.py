"""The measures of the benchmarks of deduplication, each on texts written for it."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from corpora import words

from bench.duplicates import OURS, Row, check_drops, find_truth
from bench.duplicates_ours import Drop, proposed_pairs, read_params, write_unit
from bench.duplicates_planted import CYCLE, EXACT, Planted
from bench.duplicates_scale import Result, growth
from bench.duplicates_sets import SETS, Texts, edit, with_copies
from bench.duplicates_shuffle import Rates, partitions, simulate, steps, synthetic
from bench.duplicates_speed import Run, copied, signing_verdict, verdict
from bench.duplicates_truth import (
    contained_share,
    equal_texts,
    found_share,
    judge,
    read_shingles,
    read_units,
    similarity,
    true_pairs,
)
from bench.peers import DATATROVE, TEXT_DEDUP, requirements
from bench.tools import Usage
from pipelines.duplicates.parameters import DedupParams
from pipelines.duplicates.references import KEYED
from pipelines.duplicates.shingles import shingle_hashes
from pipelines.spine.params import load_params

FOUR_FIFTHS = Fraction(4, 5)
PARAMS = {"shingle_size": 1, "threshold": 0.5}


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("The cat, the CAT!", ["the", "cat", "the", "cat"]),
        ("東京タワー tower", ["東", "京", "タ", "ワ", "ー", "tower"]),
        ("他说:“OK”。", ["他", "说", "ok"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("か\u3099く", ["か\u3099", "く"]),
        ("Straße 12b, ÉTÉ Київ", ["straße", "12b", "été", "київ"]),
        ("x\ufe0fy 😀 …", ["x\ufe0f", "y"]),
        ("", []),
    ],
)
def test_units_are_words_or_characters_with_their_marks(text: str, units: list[str]) -> None:
    assert read_units(text) == units


def test_shingles_are_runs_of_units_and_a_short_text_is_one_shingle() -> None:
    assert read_shingles("a b a b", 2) == {("a", "b"), ("b", "a")}
    assert read_shingles("猫が好き", 3) == {("猫", "が", "好"), ("が", "好", "き")}
    assert read_shingles("Only two", 5) == {("only", "two")}
    assert read_shingles("!!!", 5) == frozenset()


@pytest.mark.parametrize("one", SETS, ids=lambda one: one.name)
def test_the_independent_reading_finds_as_many_shingles_as_ours_in_real_texts(one: Texts, shared_data: Path) -> None:
    texts = one.load(shared_data, 60)
    hashes, offsets = shingle_hashes(texts, 5)
    ours = [len(np.unique(hashes[start:stop])) for start, stop in pairwise(offsets.tolist())]
    assert [len(read_shingles(text, 5)) for text in texts] == ours


def _random_sets(seed: int) -> list[frozenset[int]]:
    draw = np.random.default_rng(seed)
    base = [frozenset(draw.integers(60, size=20).tolist()) for _ in range(12)]
    return [*base, *(one ^ frozenset(draw.integers(60, size=2).tolist()) for one in base), frozenset(), frozenset()]


@pytest.mark.parametrize("threshold", [Fraction(1, 2), FOUR_FIFTHS, Fraction(1)])
def test_all_pairs_are_found_that_comparing_each_with_each_finds(threshold: Fraction) -> None:
    sets = _random_sets(3)
    each = {(a, b): similarity(sets[a], sets[b]) for a, b in combinations(range(len(sets)), 2)}
    found = true_pairs(sets, threshold)
    assert found == {pair: value for pair, value in each.items() if value >= threshold}
    assert found or threshold == 1


def test_true_pairs_of_a_set_made_by_hand() -> None:
    sets = [{1, 2, 3, 4}, {1, 2, 3, 4, 5}, {9}, {9}, {2, 3, 4, 5}, set()]
    assert true_pairs(sets, FOUR_FIFTHS) == {(0, 1): Fraction(4, 5), (2, 3): Fraction(1), (1, 4): Fraction(4, 5)}


def test_a_drop_without_a_kept_relative_is_wrong_and_a_pair_with_both_kept_is_missed() -> None:
    pairs = {(0, 1): Fraction(9, 10), (1, 2): Fraction(4, 5), (4, 5): Fraction(4, 5)}
    marks = (FOUR_FIFTHS, Fraction(17, 20))
    found = judge({1, 3, 7}, pairs, [(6, 7)], marks)
    assert (found.dropped, found.wrong) == (3, 1)  # 3 resembles nothing; 7 equals 6
    assert (found.pairs, found.resolved) == ((3, 1), (2, 1))
    assert found.recall(0) == pytest.approx(2 / 3)
    assert found.recall(1) == 1.0
    # A whole cluster gone: each has a relative, but none that is kept.
    assert judge({0, 1, 2}, pairs, (), marks).wrong == 3


def test_shares_of_proposed_pairs_count_those_at_the_mark() -> None:
    pairs = {(0, 1): Fraction(9, 10), (1, 2): FOUR_FIFTHS}
    assert found_share({(0, 1), (5, 6)}, pairs, FOUR_FIFTHS) == 0.5
    assert found_share({(0, 1)}, pairs, Fraction(17, 20)) == 1.0
    assert found_share(set(), {}, FOUR_FIFTHS) == 1.0


def test_equal_texts_are_equal_but_for_white_space() -> None:
    assert list(equal_texts(["!!!", "a b", " a\n b", "???", "!!!\n"])) == [(1, 2), (0, 4)]


def _faults(*drops: Drop) -> list[str]:
    texts = ["a b c d", "a b c d e", "a b", "x y"]
    return check_drops(drops, find_truth(texts, PARAMS), Fraction(9, 10))


def test_our_drops_are_read_again() -> None:
    assert _faults(Drop("0", "1", 0.8, "jaccard"), Drop("2", "1", 1.0, "contained")) == []
    assert "true similarity of 0.8" in _faults(Drop("0", "1", 0.9, "jaccard"))[0]
    assert "true similarity of 0.0" in _faults(Drop("3", "1", 0.0, "jaccard"))[0]
    assert "true similarity of 0.8" in _faults(Drop("1", "0", 0.8, "contained"))[0]
    assert "true similarity of 0.8" in _faults(Drop("0", "1", 0.8, "exact"))[0]
    twice = _faults(Drop("2", "0", 0.5, "jaccard"), Drop("0", "1", 0.8, "jaccard"))
    assert [fault.endswith("is dropped for one that is dropped") for fault in twice] == [True]


def test_the_row_of_ours_says_what_falls_short() -> None:
    pairs = {(n, n + 1): Fraction(9, 10) for n in range(0, 20, 2)}
    found = judge(set(range(0, 18, 2)), pairs, (), (FOUR_FIFTHS, Fraction(17, 20)))
    assert Row("s", 20, OURS, found, 1.0).verdict() == "  BELOW THE GOAL: 0.95  BELOW THE GOAL: 0.99"
    assert Row("s", 20, DATATROVE, found, 1.0).verdict() == ""


def test_edits_change_about_so_many_words_or_characters_and_always_the_same() -> None:
    english, chinese = " ".join(words(1, 200)), "".join(chr(0x4E00 + number) for number in range(200))
    for text, joint in ((english, " "), (chinese, "")):
        edited = edit(text, 0.05, 3)
        assert edited == edit(text, 0.05, 3) != edit(text, 0.05, 4)
        assert edited != text
        shares = similarity(set(text.split(" ") if joint else text), set(edited.split(" ") if joint else edited))
        assert shares > 0.9
    texts = [f"{number} {english}" for number in range(10)]
    copies = with_copies(texts, 15, 1)
    assert len(copies) == 15
    assert set(texts) < set(copies)


def test_a_planted_document_is_a_function_of_its_number_alone() -> None:
    small, large = Planted(7, 200), Planted(7, 1000)
    assert [small.text(number) for number in range(200)] == [large.text(number) for number in range(200)]
    assert small.text(0) != Planted(8, 200).text(0)
    assert len(read_units(Planted(7, 200, length=4).text(0))) == 4 * len(read_units(small.text(0)))


def test_planted_copies_are_what_they_are_said_to_be() -> None:
    corpus = Planted(7, 600)
    pairs = list(corpus.pairs())
    assert len(pairs) == 6 * (4 + 4 + 3)
    assert all(a < b for a, b in pairs)
    alike = {pair: similarity(*(read_shingles(corpus.text(number), 5) for number in pair)) for pair in pairs}
    exact = [value for (_, copy), value in alike.items() if copy % CYCLE in EXACT]
    near = [value for (_, copy), value in alike.items() if copy % CYCLE not in EXACT]
    assert set(exact) == {1}
    assert Fraction(1, 2) < min(near) < FOUR_FIFTHS < max(near) < 1
    fresh = read_shingles(corpus.text(0), 5), read_shingles(corpus.text(4), 5)
    assert similarity(*fresh) < Fraction(1, 100)


def test_planted_units_hold_every_document_once(tmp_path: Path) -> None:
    corpus = Planted(7, 300)
    size = corpus.write(tmp_path)
    rows = pq.read_table(tmp_path / "unit-0.parquet").to_pylist()
    assert [row["doc_id"] for row in rows] == [f"bench:{number}" for number in range(300)]
    assert size == sum(len(row["text"].encode()) for row in rows)
    assert any("一" <= character <= "鿿" for character in rows[3]["text"])


def test_growth_compares_cpu_time_with_n_log_n() -> None:
    def result(number: int, cpu: float) -> Result:
        return Result(number, 1, 1, 0, 0, (0, 0), (0, 0), Usage(9.0, cpu, number * 500), {})

    ratio, allowed = growth(result(1000, 3.0), result(10_000, 31.0), Usage(1.0, 1.0, 0))
    assert ratio == 15.0
    assert allowed == pytest.approx(10 * 4 / 3)
    assert result(1000, 1.0).bytes_per_document(Usage(1.0, 1.0, 100_000)) == 400.0


def test_bands_propose_copies_and_not_strangers() -> None:
    text = " ".join(words(1, 200))
    found = proposed_pairs([text, " ".join(words(2, 200)), text + " more"], read_params(), 64)
    assert found.tolist() == [[0, 2]]


def test_copies_of_the_slice_do_not_resemble_each_other() -> None:
    texts = [" ".join(words(1, 200))]
    one, other = (next(copied(texts, copy)) for copy in (0, 1))
    assert (one[0], other[0]) == ("0-0", "1-0")
    assert similarity(read_shingles(one[1], 5), read_shingles(other[1], 5)) == 0


def test_speeds_are_compared_by_cpu() -> None:
    ours, theirs = Run(OURS, 1, 300.0, Usage(20, 10.0, 1)), Run(DATATROVE, 1, 2.0, Usage(2, 2.0, 1))
    assert verdict(theirs, ours) == "30.0 x by CPU (goal)"
    assert verdict(Run(DATATROVE, 1, 3.0, Usage(2, 2.0, 1)), ours) == "20.0 x by CPU (floor)"
    assert verdict(ours, ours) == "1.0 x by CPU (BELOW THE FLOOR)"
    assert [signing_verdict(speed) for speed in (60, 59, 39)] == ["goal", "floor", "BELOW THE FLOOR"]


def test_shuffled_bytes_follow_from_records_and_rates() -> None:
    params = load_params(DedupParams, "dedup")
    found = {step.name: step for step in steps(Rates(1000, 20.0, 8.0, 0.5, 0.1), params)}
    assert found["bands"].bytes_per_document == 20 * KEYED.itemsize
    assert found["bands"].rounds == -(-params.num_bands // params.bands_per_round)
    assert found["candidates"].bytes_per_document == pytest.approx((8 + 40) * 0.2)
    assert found["verified pairs"].bytes_per_document == pytest.approx((25 + 2 * 40) * 0.1)
    # 16 bytes x 10^9 documents, held 8 times, 2 GB a worker
    assert partitions(found["ids"], 10**9, 8.0) == 64 * KEYED.itemsize // 16


def test_a_synthetic_partition_proposes_three_pairs_a_bucket() -> None:
    assert synthetic(3000, 1) == synthetic(3000, 1) != synthetic(3000, 2)
    assert simulate(3000, 64) == 300
    assert simulate(0, 64) == 0


@pytest.mark.parametrize("peer", [DATATROVE, TEXT_DEDUP])
def test_all_that_a_peer_of_deduplication_needs_is_pinned(peer: str) -> None:
    pins: Sequence[str] = [pin for pin in requirements(peer) if pin != "--no-deps"]
    assert all(pin.count("==") == 1 for pin in pins)
    assert {DATATROVE: "datatrove==0.10.1", TEXT_DEDUP: "text-dedup==0.4.0"}[peer] in pins


def test_a_unit_is_written_as_clean_would(tmp_path: Path) -> None:
    assert write_unit(tmp_path / "u.parquet", [("a", "héllo"), ("b", "你好")], "zh") == 12
    row = pq.read_table(tmp_path / "u.parquet").to_pylist()[1]
    assert (row["doc_id"], row["source"], row["language"], row["text"]) == ("bench:b", "bench", "zh", "你好")


def test_how_much_of_a_set_stands_in_another_is_no_symmetric_measure() -> None:
    assert contained_share({1, 2}, {1, 2, 3, 4}) == 1
    assert contained_share({1, 2, 3, 4}, {1, 2}) == Fraction(1, 2)
    assert contained_share((), {1}) == 0
