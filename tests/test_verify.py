"""Candidate pairs: merged, left out where known, and decided by their documents' true similarity."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from corpora import words, write_documents

from pipelines.duplicates import verify
from pipelines.duplicates.answers import Known
from pipelines.duplicates.decide_steps import NAMED, named, pointed
from pipelines.duplicates.decisions import repeated_keys, shared_keys
from pipelines.duplicates.plan import SearchFiles
from pipelines.duplicates.references import BANDED, CONTAINED, DROP, EXACT, HOLDER, JACCARD, KEYED, PAIR, PLACE
from pipelines.duplicates.shingle_sets import ShingleSets, read_texts
from pipelines.duplicates.shingles import distinct_sets
from pipelines.duplicates.verify import Thresholds, count_shared, may_be_contained, merge_pairs, verify_pairs, without
from pipelines.spine.errors import CorpusmillError

OTHER_UNIT = 1 << 40
WORDS = words(1, 104)
TEXTS = {
    "whole": " ".join(WORDS),  # 100 shingles
    "near": " ".join([*WORDS[:-6], *words(2, 6)]),  # 94 shared, 106 together: 0.887
    "part": " ".join(WORDS[20:80]),  # 56, all of them shared
    "far": " ".join(words(3, 104)),
    "empty": "!!!",
}


def pairs(*rows: tuple[int, int, int]) -> np.ndarray:
    return np.array(list(rows), PAIR)


@pytest.fixture
def sets(tmp_path: Path) -> tuple[np.ndarray, ShingleSets]:
    """whole, near and empty are rows 0, 2, 3 of unit 0; part and far rows 0 and 1 of unit 1; with their places."""
    write_documents(
        tmp_path / "a.parquet",
        [("w", TEXTS["whole"]), ("x", "another"), ("n", TEXTS["near"]), ("e", TEXTS["empty"])],
    )
    write_documents(tmp_path / "b.parquet", [("p", TEXTS["part"]), ("f", TEXTS["far"])])
    found = ShingleSets(SearchFiles(str(tmp_path / "search")), 0)
    places = np.zeros(5, PLACE)
    places["ref"] = [0, 2, 3, OTHER_UNIT, OTHER_UNIT | 1]
    places["start"][:3], places["stop"][:3] = found.write(0, np.array([0, 2, 3]), str(tmp_path / "a.parquet"), 5)
    places["start"][3:], places["stop"][3:] = found.write(1, np.array([0, 1]), str(tmp_path / "b.parquet"), 5)
    return places, found


CANDIDATES = pairs((0, 2, 1), (0, 3, 1), (0, OTHER_UNIT, 1), (0, OTHER_UNIT | 1, 1), (2, OTHER_UNIT, 1))


@pytest.mark.parametrize("block_shingles", [1 << 22, 1])
def test_both_measures_decide_between_whole_numbers(
    sets: tuple[np.ndarray, ShingleSets], block_shingles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "BLOCK_SHINGLES", block_shingles)
    found = verify_pairs(CANDIDATES, *sets, Thresholds(Fraction("0.8"), Fraction("0.9")))
    assert found.tolist() == [
        (0, 2, 94, 106, JACCARD, 2),
        (0, OTHER_UNIT, 56, 56, CONTAINED, 1),
        (2, OTHER_UNIT, 56, 56, CONTAINED, 1),
    ]


def test_a_threshold_is_met_exactly_and_containment_is_looked_for_only_where_it_is_on(
    sets: tuple[np.ndarray, ShingleSets],
) -> None:
    exactly, above = Fraction(94, 106), Fraction(94, 106) + Fraction(1, 10**12)
    assert len(verify_pairs(CANDIDATES, *sets, Thresholds(exactly, Fraction(0)))) == 1
    assert len(verify_pairs(CANDIDATES, *sets, Thresholds(above, Fraction(0)))) == 0
    assert len(verify_pairs(CANDIDATES[:0], *sets, Thresholds(exactly, Fraction(1)))) == 0


def test_shared_shingles_are_counted_pair_by_pair() -> None:
    hashes, offsets = np.array([1, 3, 5, 3, 5, 9, 7], np.uint64), np.array([0, 3, 6, 6, 7])
    members = np.array([[0, 1], [0, 2], [0, 3], [1, 3]])
    assert count_shared(members, hashes, offsets).tolist() == [2, 0, 0, 0]


def test_sets_are_sorted_and_distinct_and_only_wanted_rows_are_read(tmp_path: Path) -> None:
    sets, offsets = distinct_sets(np.array([9, 2, 9, 4, 4, 1], np.uint64), np.array([0, 3, 3, 5, 6]))
    assert (sets.tolist(), offsets.tolist()) == ([2, 9, 4, 1], [0, 2, 2, 3, 4])
    write_documents(tmp_path / "a.parquet", [(str(number), f"text {number}") for number in range(5)])
    read = read_texts(str(tmp_path / "a.parquet"), np.array([1, 4]))
    assert [text for texts in read for text in texts.to_pylist()] == ["text 1", "text 4"]


def test_pairs_of_several_rounds_become_one_with_all_fingerprints_that_proposed_it() -> None:
    merged = merge_pairs(pairs((5, 9, 2), (1, 2, 3), (5, 9, BANDED), (1, 2, 4), (1, 3, 1)))
    assert merged.tolist() == [(1, 2, 7), (1, 3, 1), (5, 9, BANDED)]
    assert len(merge_pairs(pairs())) == 0


def test_pairs_of_an_earlier_pass_are_not_looked_at_again() -> None:
    known = pairs((1, 2, 1), (4, 5, 1))
    assert without(pairs((1, 2, 0), (1, 3, 1), (5, 6, 1)), known).tolist() == [(1, 3, 1), (5, 6, 1)]
    assert without(pairs((1, 2, 1)), pairs()).tolist() == [(1, 2, 1)]


def test_a_pair_must_share_a_quarter_of_the_smaller_documents_fingerprints_or_what_hides_must_allow_it() -> None:
    proposed = pairs((1, 2, 2), (1, 3, 1), (1, 4, 1), (1, 5, 1), (1, 6, BANDED), (1, 7, 4), (1, 8, 3))
    sizes = np.array([8, 8, 8, 4, 1000, 17, 17])  # 17 are in one class with 16
    full = np.array([0, 0, 1, 0, 0, 0, 0])
    assert may_be_contained(proposed, sizes, full).tolist() == [True, False, True, True, True, True, False]
    assert may_be_contained(proposed[:0], sizes[:0], full[:0]).tolist() == []


def test_documents_share_a_key_when_all_128_bits_are_equal() -> None:
    keyed = np.array([(7, 1), (8, 2), (7, 3), (7, 4), (9, 5)], KEYED)
    assert shared_keys(keyed).tolist() == [1, 3, 4]
    holders = np.array([(1, 7, 0, 0, 0), (3, 7, 1, 0, 0), (4, 7, 0, 0, 0)], HOLDER)
    found = repeated_keys(holders, np.array([1, 2, 0]), EXACT)
    assert found.tolist() == [(1, 4, 1, 1, EXACT)]


def test_records_that_must_be_there_come_in_blocks_and_are_an_error_where_they_went(tmp_path: Path) -> None:
    files = SearchFiles(str(tmp_path / "search"))
    files.begin(goes_on=False)
    drops = np.zeros(5, DROP)
    drops["ref"] = np.arange(5)
    files.write("ordered0", 7, drops)
    assert [block["ref"].tolist() for block in files.blocks("ordered0", 7, DROP, 2)] == [[0, 1], [2, 3], [4]]
    with pytest.raises(CorpusmillError, match="records of this search are gone"):
        next(files.blocks("ordered0", 8, DROP, 2))


def test_a_copy_of_a_near_copy_points_at_what_stays() -> None:
    copies = np.array([(5, 3, 1, 1, EXACT), (6, 9, 1, 1, EXACT)], DROP)
    answers = Known(np.array([(3, 1, 80, 90, JACCARD), (9, 9, 0, 0, 0)], DROP), ["s:one", "s:nine"])
    found = pointed(copies, answers)
    assert found.records.tolist() == [(5, 1, 80, 90, JACCARD), (6, 9, 1, 1, EXACT)]
    assert found.ids == ["s:one", "s:nine"]


def test_a_drop_is_named_by_the_answers_in_any_order() -> None:
    drops = np.array([(5, 3, 1, 1, JACCARD), (6, 9, 1, 1, JACCARD), (7, 3, 1, 1, JACCARD)], DROP)
    answers = [(np.array([9], NAMED).tobytes(), ["s:nine"]), (np.array([3], NAMED).tobytes(), ["s:three"])]
    assert named(drops, answers).ids == ["s:three", "s:nine", "s:three"]
    assert named(drops[:0], []).ids == []
