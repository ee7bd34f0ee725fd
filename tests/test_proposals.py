"""Keys that documents share -> candidate pairs."""

import numpy as np
import pytest

from pipelines.duplicates import proposals
from pipelines.duplicates.proposals import propose_pairs


def propose(entries: list[tuple[int, int]], max_bucket: int = 10) -> tuple[list[list[int]], int]:
    """Pairs from (key, document) entries."""
    keys, documents = np.array(entries, np.int64).reshape(-1, 2).T
    found = propose_pairs(keys.astype(np.uint64), documents, max_bucket)
    return found.pairs.tolist(), found.num_capped


def test_documents_under_one_key_are_paired_once_whatever_the_order_of_entries():
    entries = [(9, 2**40), (5, 30), (9, 10), (7, 99), (5, 10), (9, 30), (5, 30)]
    expected = [[10, 30], [10, 2**40], [30, 2**40]]
    assert propose(entries) == (expected, 0)
    assert propose(entries[::-1]) == (expected, 0)


def test_no_pair_comes_from_keys_of_one_document():
    assert propose([(1, 1), (2, 2), (3, 3), (3, 3)]) == ([], 0)
    assert propose([]) == ([], 0)


def test_a_full_bucket_pairs_each_document_with_the_first_ones_and_those_just_before_it():
    pairs, num_capped = propose([(1, document) for document in range(6)], max_bucket=4)
    first, before = [[0, n] for n in range(2, 6)], [[n, n + 1] for n in range(5)]
    assert pairs == sorted(first + before)
    assert num_capped == 15 - len(pairs)
    assert propose([(1, document) for document in range(4)], max_bucket=4)[1] == 0


def test_pairs_grow_with_the_documents_of_a_bucket_not_with_their_square():
    pairs, num_capped = propose([(1, document) for document in range(5000)], max_bucket=16)
    assert len(pairs) < 2 * 5000
    assert len(pairs) + num_capped == 5000 * 4999 // 2


def test_merging_pairs_in_between_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    entries = np.stack([random.integers(0, 50, 600), random.integers(0, 100, 600)], axis=1).tolist()
    whole = propose(entries)
    monkeypatch.setattr(proposals, "PENDING_PAIRS", 10)
    assert propose(entries) == whole
    assert len(whole[0]) > 1000


def test_what_was_too_much_is_told():
    entries = [(1, document) for document in range(6)] + [(2, 0), (2, 1)]
    keys, documents = np.array(entries, np.int64).T
    found = propose_pairs(keys.astype(np.uint64), documents, max_bucket=4)
    assert (found.full_keys.tolist(), found.largest) == ([1], 6)
    assert propose_pairs(keys[:0].astype(np.uint64), documents[:0], 4).largest == 0
