"""Candidate pairs: merged, left out where known, and decided by their documents' true similarity."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from corpora import words, write_documents

from pipelines.duplicates import verify
from pipelines.duplicates.decisions import near_drops, repeated_keys, repoint, shared_keys
from pipelines.duplicates.plan import SearchFiles
from pipelines.duplicates.references import CONTAINED, DROP, EXACT, JACCARD, KEYED, PAIR, VERIFIED
from pipelines.duplicates.shingle_sets import ShingleSets, read_texts
from pipelines.duplicates.shingles import distinct_sets
from pipelines.duplicates.verify import Thresholds, count_shared, merge_pairs, share_enough, verify_pairs, without

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
def sets(tmp_path: Path) -> ShingleSets:
    """whole, near and empty are rows 0, 2, 3 of unit 0; part and far rows 0 and 1 of unit 1."""
    write_documents(
        tmp_path / "a.parquet",
        [("w", TEXTS["whole"]), ("x", "another"), ("n", TEXTS["near"]), ("e", TEXTS["empty"])],
    )
    write_documents(tmp_path / "b.parquet", [("p", TEXTS["part"]), ("f", TEXTS["far"])])
    found = ShingleSets(SearchFiles(str(tmp_path / "search")), 0)
    found.write(0, np.array([0, 2, 3], np.uint64), np.array([0, 2, 3]), str(tmp_path / "a.parquet"), 5)
    found.write(1, np.array([0, 1], np.uint64) | OTHER_UNIT, np.array([0, 1]), str(tmp_path / "b.parquet"), 5)
    return found


CANDIDATES = pairs((0, 2, 1), (0, 3, 1), (0, OTHER_UNIT, 0), (0, OTHER_UNIT | 1, 1), (2, OTHER_UNIT, 1))


@pytest.mark.parametrize("block_shingles", [1 << 22, 1])
def test_both_measures_decide_between_whole_numbers(
    sets: ShingleSets, block_shingles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "BLOCK_SHINGLES", block_shingles)
    found = verify_pairs(CANDIDATES, sets, Thresholds(Fraction("0.8"), Fraction("0.9")))
    assert found.tolist() == [
        (0, 2, 94, 106, JACCARD, 2),
        (0, OTHER_UNIT, 56, 56, CONTAINED, 1),
        (2, OTHER_UNIT, 56, 56, CONTAINED, 1),
    ]


def test_a_threshold_is_met_exactly_and_containment_is_looked_for_only_where_it_is_on(sets: ShingleSets) -> None:
    exactly, above = Fraction(94, 106), Fraction(94, 106) + Fraction(1, 10**12)
    assert len(verify_pairs(CANDIDATES, sets, Thresholds(exactly, Fraction(0)))) == 1
    assert len(verify_pairs(CANDIDATES, sets, Thresholds(above, Fraction(0)))) == 0
    assert len(verify_pairs(CANDIDATES[:0], sets, Thresholds(exactly, Fraction(1)))) == 0


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


def test_pairs_of_several_rounds_become_one_that_is_banded_where_any_is() -> None:
    merged = merge_pairs(pairs((5, 9, 0), (1, 2, 0), (5, 9, 1), (1, 2, 0), (1, 3, 1)))
    assert merged.tolist() == [(1, 2, 0), (1, 3, 1), (5, 9, 1)]
    assert len(merge_pairs(pairs())) == 0


def test_pairs_of_an_earlier_pass_are_not_looked_at_again() -> None:
    known = pairs((1, 2, 1), (4, 5, 1))
    assert without(pairs((1, 2, 0), (1, 3, 1), (5, 6, 1)), known).tolist() == [(1, 3, 1), (5, 6, 1)]
    assert without(pairs((1, 2, 1)), pairs()).tolist() == [(1, 2, 1)]


def test_a_pair_must_share_a_quarter_of_the_fewer_fingerprints() -> None:
    proposed = pairs((1, 2, 0), (1, 3, 0), (1, 4, 0), (1, 5, 0))
    fingerprints = [range(1, 9), [50], [1, 2, *range(20, 60)], [1, *range(20, 24)], []]
    values = np.array([value for one in fingerprints for value in one], np.uint64)
    lengths = np.array([len(one) for one in fingerprints])
    found = share_enough(proposed, np.array([1, 2, 3, 4, 5], np.uint64), values, lengths)
    assert found.tolist() == [False, True, False, False]  # 0 of 1; 2 of 8; 1 of 5; 0 of 0
    assert share_enough(proposed[:0], np.empty(0, np.uint64), values[:0], lengths[:0]).tolist() == []


def verified(*rows: tuple[int, int, int, int, int, int]) -> np.ndarray:
    return np.array(list(rows), VERIFIED)


def drops(found: np.ndarray) -> list[tuple[int, int, int]]:
    return [(row["ref"], row["kept"], row["measure"]) for row in found]


def test_a_contained_text_goes_only_for_one_that_is_preferred_to_it() -> None:
    refs = np.array([1, 2], np.uint64)
    inner_is_b = verified((1, 2, 50, 50, CONTAINED, 1))
    assert drops(near_drops(inner_is_b, refs, np.array([0, 1]))) == [(2, 1, CONTAINED)]
    assert drops(near_drops(inner_is_b, refs, np.array([1, 0]))) == []
    either = verified((1, 2, 50, 52, CONTAINED, 2))
    assert drops(near_drops(either, refs, np.array([1, 0]))) == [(1, 2, CONTAINED)]


def test_an_alike_twin_is_named_before_one_that_contains_the_document() -> None:
    found = near_drops(
        verified((1, 3, 60, 60, CONTAINED, 1), (2, 3, 50, 60, JACCARD, 0)),
        np.array([1, 2, 3], np.uint64), np.array([0, 1, 2]),
    )  # fmt: skip
    assert drops(found) == [(3, 2, JACCARD)]
    assert (found["shared"].tolist(), found["total"].tolist()) == ([50], [60])


def test_a_contained_text_whose_container_goes_stays_unless_another_holds_it() -> None:
    refs, rank = np.array([1, 2, 3], np.uint64), np.array([0, 1, 2])
    chain = (1, 2, 90, 100, JACCARD, 0), (2, 3, 50, 50, CONTAINED, 1)
    assert drops(near_drops(verified(*chain), refs, rank)) == [(2, 1, JACCARD)]
    held = verified(*chain, (1, 3, 45, 50, CONTAINED, 1))
    assert drops(near_drops(held, refs, rank)) == [(2, 1, JACCARD), (3, 1, CONTAINED)]


def test_documents_share_a_key_when_all_128_bits_are_equal() -> None:
    keyed = np.array([(7, 1), (8, 2), (7, 3), (7, 4), (9, 5)], KEYED)
    assert shared_keys(keyed).tolist() == [1, 3, 4]
    keys = np.array([[7, 0], [7, 1], [7, 0]], np.uint64)
    found = repeated_keys(keys, np.array([1, 3, 4], np.uint64), np.array([1, 2, 0]), EXACT)
    assert found.tolist() == [(1, 4, 1, 1, EXACT)]


def test_a_copy_of_a_near_copy_points_at_what_stays() -> None:
    copies = np.array([(5, 3, 1, 1, EXACT), (6, 9, 1, 1, EXACT)], DROP)
    near = np.array([(3, 1, 80, 90, JACCARD)], DROP)
    assert repoint(copies, near).tolist() == [(5, 1, 80, 90, JACCARD), (6, 9, 1, 1, EXACT)]
