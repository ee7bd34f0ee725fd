"""Verification: candidate pairs are decided by the true similarity of their documents' shingle sets.

    jaccard     shared / shingles of both together             >= threshold
    contained   shared / shingles of the smaller document      >= containment threshold, where jaccard is not

Thresholds are compared between integers: ``shared * denominator >= numerator * total``.
"""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from pipelines.duplicates.references import (
    BANDED,
    CONTAINED,
    JACCARD,
    VERIFIED,
    members_of,
    size_class,
    smallest_of,
)  # fmt: skip
from pipelines.duplicates.shingle_sets import ShingleSets
from pipelines.duplicates.text_units import I64, U64

#: Shingles of the documents of a block of pairs that are held at a time: 32 MB.
BLOCK_SHINGLES = 1 << 22
#: Of two texts of which one stands in the other, at least a quarter of the smaller one's fingerprints are shared.
MIN_SHARED_FINGERPRINTS = Fraction(1, 4)
#: A text of fewer shingles is contained in nothing: a headline, a greeting, a byline stands in many texts by right.
MIN_CONTAINED_SHINGLES = 32


class Thresholds(NamedTuple):
    """What is alike enough; 0 for containment: it is not looked for."""

    jaccard: Fraction
    containment: Fraction


def merge_pairs(pairs: np.ndarray) -> np.ndarray:
    """The distinct pairs, ascending, each with all fingerprints that proposed it; PAIR records in any order."""
    pairs = pairs[np.lexsort((pairs["b"], pairs["a"]))]  # the last key sorts first
    first = np.ones(len(pairs), bool)
    first[1:] = (pairs["a"][1:] != pairs["a"][:-1]) | (pairs["b"][1:] != pairs["b"][:-1])
    merged = pairs[first]
    if len(merged):
        shared = np.add.reduceat(pairs["shared"].astype(np.int64), np.flatnonzero(first))
        merged["shared"] = np.minimum(shared, BANDED)
    return merged


def without(pairs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The pairs that are not among the known ones; both PAIR records, distinct and ascending."""
    both = np.concatenate([known, pairs])
    order = np.lexsort((both["b"], both["a"]))  # stable: a known pair comes before its like
    both = both[order]
    again = np.zeros(len(both), bool)
    again[1:] = (both["a"][1:] == both["a"][:-1]) & (both["b"][1:] == both["b"][:-1])
    return both[(order >= len(known)) & ~again]


def may_be_contained(pairs: np.ndarray, sizes: I64, full: I64) -> np.ndarray:
    """Which pairs may share enough fingerprints for the one to stand in the other, bool ``[n_pairs]``.

    Those that proposed the pair are counted, and all of the smaller document's that too many documents hold may be
    shared. Of pairs that a band proposed nothing is asked.

    Args:
        pairs: PAIR records, the smaller document first.
        sizes: how many fingerprints the first of each has, int64 ``[n_pairs]``; the second has no fewer than the
            smallest of its size class.
        full: how many of those too many documents hold, int64 ``[n_pairs]``.
    """
    fewer, shared = smallest_of(size_class(sizes)), pairs["shared"] + full
    share = MIN_SHARED_FINGERPRINTS
    return (pairs["shared"] == BANDED) | (share.denominator * shared >= share.numerator * fewer)


def verify_pairs(pairs: np.ndarray, places: np.ndarray, sets: ShingleSets, thresholds: Thresholds) -> np.ndarray:
    """The pairs that are alike enough, as VERIFIED records in the order given.

    Args:
        pairs: PAIR records, ascending.
        places: PLACE records of all their documents, ascending by reference.
        sets: of the documents.
        thresholds: of both measures.
    """
    found = [np.empty(0, VERIFIED)]
    for block in _blocks(pairs, places):
        refs = members_of(block)
        hashes, offsets = sets.read(places[np.searchsorted(places["ref"], refs)])
        members = np.stack([np.searchsorted(refs, block["a"]), np.searchsorted(refs, block["b"])], axis=1)
        shared = count_shared(members, hashes, offsets)
        found.append(_judge(block, shared, np.diff(offsets)[members], thresholds))
    return np.concatenate(found)


def _blocks(pairs: np.ndarray, places: np.ndarray) -> Iterator[np.ndarray]:
    """Runs of pairs whose documents have about BLOCK_SHINGLES in all, at least one pair each."""
    sizes = (places["stop"] - places["start"]).astype(np.int64)
    fresh = np.ones(len(pairs), bool)
    fresh[1:] = pairs["a"][1:] != pairs["a"][:-1]
    one, other = (np.searchsorted(places["ref"], pairs[name]) for name in ("a", "b"))
    cost = sizes[other] + fresh * sizes[one]
    numbers = np.cumsum(cost) // BLOCK_SHINGLES
    cuts = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    yield from (block for block in np.split(pairs, cuts) if len(block))


def count_shared(members: I64, hashes: U64, offsets: I64) -> I64:
    """How many shingles the two documents of each pair share, int64 ``[n_pairs]``.

    Args:
        members: numbers of documents, int64 ``[n_pairs, 2]``; pairs with one first member stand together.
        hashes: sorted sets, uint64, one behind the other.
        offsets: int64 ``[n_docs + 1]``.
    """
    shared = np.zeros(len(members), np.int64)
    firsts = np.flatnonzero(np.diff(members[:, 0], prepend=-1))
    for begin, end in itertools.pairwise([*firsts.tolist(), len(members)]):
        one = hashes[offsets[members[begin, 0]] : offsets[members[begin, 0] + 1]]
        for number, document in enumerate(members[begin:end, 1].tolist(), start=begin):
            other = hashes[offsets[document] : offsets[document + 1]]
            if not len(one) or not len(other):
                continue
            few, many = (one, other) if len(one) < len(other) else (other, one)
            shared[number] = np.count_nonzero(many.take(np.searchsorted(many, few), mode="clip") == few)
    return shared


def _judge(pairs: np.ndarray, shared: I64, sizes: I64, thresholds: Thresholds) -> np.ndarray:
    """VERIFIED records of the pairs that pass; ``sizes`` int64 ``[n_pairs, 2]``."""
    union, smaller = sizes.sum(axis=1) - shared, sizes.min(axis=1)
    alike = _reaches(shared, union, thresholds.jaccard)
    contained = ~alike & (smaller >= MIN_CONTAINED_SHINGLES) & bool(thresholds.containment)
    contained &= _reaches(shared, smaller, thresholds.containment)
    found = np.zeros(len(pairs), VERIFIED)
    found["a"], found["b"], found["shared"] = pairs["a"], pairs["b"], shared
    found["total"] = np.where(alike, union, smaller)
    found["measure"] = np.where(alike, JACCARD, CONTAINED)
    found["inner"] = np.where(sizes[:, 0] == sizes[:, 1], 2, sizes[:, 1] < sizes[:, 0])
    return found[alike | contained]


def _reaches(shared: I64, total: I64, threshold: Fraction) -> np.ndarray:
    return (shared * threshold.denominator >= threshold.numerator * total) & (total > 0) & (shared > 0)
