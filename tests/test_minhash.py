"""Signatures, bands, candidate pairs; recall against every true pair of real corpora."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.duplicates import minhash
from pipelines.duplicates.minhash import (
    EMPTY,
    NO_KEY,
    band_keys,
    choose_bands,
    proposal_probability,
    signatures,
)
from pipelines.duplicates.proposals import propose_pairs
from pipelines.duplicates.shingles import shingle_hashes


def sign(sets: list[list[int]], num_hashes: int = 8, seed: int = 1) -> np.ndarray:
    """Signatures of sets of made-up shingle hashes; each number is spread over 64 bits first."""
    spread = [np.array(numbers, np.uint64) * np.uint64(0x9E3779B97F4A7C15) for numbers in sets]
    offsets = np.cumsum([0, *map(len, sets)])
    return signatures(np.concatenate([np.empty(0, np.uint64), *spread]), offsets, num_hashes, seed)


def test_order_and_repeats_of_shingles_change_nothing_and_a_seed_does():
    signed = sign([[3, 5, 7], [7, 7, 3, 5, 3], [3, 5, 8]])
    assert signed.dtype == np.uint32
    assert signed[0].tolist() == signed[1].tolist() != signed[2].tolist()
    assert sign([[3, 5, 7]], seed=2)[0].tolist() != signed[0].tolist()


def test_signatures_are_the_same_on_every_machine():
    """Renew: print signatures(...).tolist() of these texts; every cached signature becomes invalid."""
    hashes, offsets = shingle_hashes(["one", "人人生而自由", " ".join(map(str, range(60)))], 5)
    assert signatures(hashes, offsets, 4, seed=1).tolist() == [
        [4164902637, 3220764005, 3525696880, 1968132867],
        [1591029385, 1002227144, 2925074450, 243499426],
        [371697524, 73721398, 90964465, 594056958],
    ]


def test_a_document_without_shingles_is_empty_everywhere_and_no_other_is():
    signed = sign([[], [1], [], list(range(300))], num_hashes=100)
    assert (signed == EMPTY).all(axis=1).tolist() == [True, False, True, False]
    assert not (signed[[1, 3]] == EMPTY).any()
    assert sign([]).shape == (0, 8)


def test_a_batch_of_many_blocks_equals_its_documents_one_by_one(monkeypatch: pytest.MonkeyPatch):
    sets = [list(range(number, 2 * number)) for number in (1, 0, 2, 40, 500, 0, 7, 1300, 90)]
    whole = sign(sets, num_hashes=50)
    monkeypatch.setattr(minhash, "BLOCK_SHINGLES", 64)
    assert sign(sets, num_hashes=50).tolist() == whole.tolist()
    for number, one in enumerate(sets):
        assert sign([one], num_hashes=50)[0].tolist() == whole[number].tolist()


def random_pairs(num_pairs: int, size: int, shared: int) -> tuple[np.ndarray, np.ndarray]:
    """Signatures of pairs of random sets of ``size`` shingles with ``shared`` in common."""
    random = np.random.default_rng(size)
    common = random.integers(0, 2**64, (num_pairs, shared), np.uint64)
    offsets = np.arange(num_pairs + 1) * size
    return tuple(
        signatures(
            np.hstack([common, random.integers(0, 2**64, (num_pairs, size - shared), np.uint64)]).ravel(),
            offsets, num_hashes=100, seed=1,
        )
        for _ in range(2)
    )  # fmt: skip


@pytest.mark.parametrize(("size", "shared"), [(3, 2), (9, 8), (45, 40), (90, 60), (900, 700)])
def test_signatures_agree_as_often_as_sets_do_and_bands_propose_as_the_curve_says(size: int, shared: int):
    first, second = random_pairs(num_pairs := 600, size, shared)
    similarity = shared / (2 * size - shared)
    agree = first == second
    assert abs(agree.mean() - similarity) < 4 * (similarity * (1 - similarity) / (100 * num_pairs)) ** 0.5
    proposed = (band_keys(first, 10, 5) == band_keys(second, 10, 5)).any(axis=1).mean()
    expected = proposal_probability(similarity, 10, 5)
    assert abs(proposed - expected) < 4 * (expected * (1 - expected) / num_pairs) ** 0.5


def test_a_band_key_is_equal_exactly_where_the_rows_of_the_band_are():
    signed = np.array([[1, 2, 1, 2], [1, 2, 3, 4], [2, 1, 3, 4], [0, 0, 0, EMPTY]], np.uint32)
    keys = band_keys(signed, num_bands=2, rows_per_band=2)
    assert keys.dtype == np.uint64
    assert keys[0, 0] == keys[1, 0]
    assert keys[1, 1] == keys[2, 1]
    # The first document's bands hold the same rows, yet their keys differ: the band's number is part of the key.
    assert len(set(keys.ravel().tolist())) == 6
    assert NO_KEY not in keys


def test_documents_without_shingles_have_no_key_and_are_candidates_for_nothing():
    keys = band_keys(sign([[], [], [4], [4]]), 4, 2)
    assert keys[:2].tolist() == [[int(NO_KEY)] * 4] * 2
    found = propose_pairs(keys.ravel(), np.repeat(np.arange(4), 4), max_bucket=10)
    assert (found.pairs.tolist(), found.num_capped) == ([[2, 3]], 0)


def test_bands_that_need_more_values_than_a_signature_has_are_refused():
    with pytest.raises(ValueError, match="3 bands x 3 rows need more than 8 hashes"):
        band_keys(sign([[1]]), 3, 3)


def test_the_curve_of_proposal():
    curve = [round(proposal_probability(similarity, 20, 5), 4) for similarity in (0.0, 0.3, 0.5, 0.8, 1.0)]
    assert curve == [0.0, 0.0475, 0.4701, 0.9996, 1.0]
    assert round(proposal_probability(0.8, 14, 8), 4) == 0.9235


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_chosen_bands_propose_pairs_at_the_threshold_and_a_row_more_would_not(threshold: float):
    bands, rows = choose_bands(threshold, num_hashes=200, probability=0.99)
    assert bands * rows <= 200
    assert proposal_probability(threshold, bands, rows) >= 0.99
    assert rows == 200 or proposal_probability(threshold, 200 // (rows + 1), rows + 1) < 0.99


def jsonl_texts(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def true_pairs(hashes: np.ndarray, offsets: np.ndarray) -> set[tuple[int, int]]:
    """All pairs at 0.8 and above: every document against every other."""
    sets = [np.unique(hashes[begin:end]) for begin, end in itertools.pairwise(offsets)]
    sizes = np.array([len(one) for one in sets])
    holders = np.repeat(np.arange(len(sets)), sizes)
    _, numbers, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    common = counts[numbers] > 1
    _, columns = np.unique(numbers[common], return_inverse=True)
    contains = np.zeros((len(sets), columns.max() + 1), np.float32)  # exact: counts stay far below 2**24
    contains[holders[common], columns] = 1
    shared = (contains @ contains.T).astype(np.int64)
    alike = (100 * shared >= 80 * (sizes[:, None] + sizes - shared)) & (shared > 0)
    return set(zip(*(places.tolist() for places in np.nonzero(np.triu(alike, k=1))), strict=True))


@pytest.mark.parametrize(
    ("name", "rows", "num_true"),
    [
        ("20news-crossposts.jsonl.gz", slice(1600, 2400), 212),
        ("court-zh-val.jsonl.gz", slice(0, 800), 1091),
        ("articles_1000.train", slice(0, 1000), 10),
    ],
)
def test_nearly_every_true_pair_is_proposed(shared_data: Path, name: str, rows: slice, num_true: int):
    path = shared_data / "dedup" / name
    lines = path.read_text("utf-8").splitlines() if name.endswith(".train") else []
    texts = ([line.split(" ", 1)[1] for line in lines] or jsonl_texts(path))[rows]
    hashes, offsets = shingle_hashes(texts, 5)
    truth = true_pairs(hashes, offsets)
    keys = band_keys(signatures(hashes, offsets, 100, seed=1), 20, 5)
    pairs = propose_pairs(keys.ravel(), np.repeat(np.arange(len(texts)), 20), max_bucket=1000).pairs
    assert len(truth) == num_true
    assert 100 * len(truth & set(map(tuple, pairs.tolist()))) >= 99 * num_true


def test_the_curves_in_the_documentation_are_those_of_the_formula():
    text = (Path(__file__).parents[1] / "docs" / "deduplication.md").read_text("utf-8")
    lines = text.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| s |"))
    similarities = [float(cell) for cell in lines[head].split("|")[2:-1]]
    for line, (bands, rows) in zip(lines[head + 2 : head + 4], [(20, 5), (14, 8)], strict=True):
        assert line.startswith(f"| {bands} × {rows} ")
        written = [float(cell) for cell in line.split("|")[2:-1]]
        assert written == [round(proposal_probability(s, bands, rows), 4) for s in similarities]
