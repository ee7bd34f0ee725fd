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

from pipelines.duplicates.references import CONTAINED, JACCARD, VERIFIED, members_of
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
    """The distinct pairs, ascending, banded where one of the like is; PAIR records in any order."""
    pairs = pairs[np.lexsort((1 - pairs["banded"], pairs["b"], pairs["a"]))]  # the last key sorts first
    first = np.ones(len(pairs), bool)
    first[1:] = (pairs["a"][1:] != pairs["a"][:-1]) | (pairs["b"][1:] != pairs["b"][:-1])
    return pairs[first]


def without(pairs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The pairs that are not among the known ones; both PAIR records, distinct and ascending."""
    both = np.concatenate([known, pairs])
    order = np.lexsort((both["b"], both["a"]))  # stable: a known pair comes before its like
    both = both[order]
    again = np.zeros(len(both), bool)
    again[1:] = (both["a"][1:] == both["a"][:-1]) & (both["b"][1:] == both["b"][:-1])
    return both[(order >= len(known)) & ~again]


def share_enough(pairs: np.ndarray, refs: U64, fingerprints: U64, lengths: I64) -> np.ndarray:
    """Which pairs share enough fingerprints for the one to stand in the other, bool ``[n_pairs]``.

    All fingerprints of the two count, also those that so many documents hold that they proposed no pair.

    Args:
        pairs: PAIR records, ascending.
        refs: the distinct references in the pairs, ascending.
        fingerprints: of each of them, distinct and ascending, one document behind the other, uint64.
        lengths: how many each has, int64 ``[n_refs]``.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    members = np.stack([np.searchsorted(refs, pairs["a"]), np.searchsorted(refs, pairs["b"])], axis=1)
    shared = count_shared(members, fingerprints, offsets)
    fewer, share = lengths[members].min(axis=1), MIN_SHARED_FINGERPRINTS
    return (share.denominator * shared >= share.numerator * fewer) & (shared > 0)


def verify_pairs(pairs: np.ndarray, sets: ShingleSets, thresholds: Thresholds) -> np.ndarray:
    """The pairs that are alike enough, as VERIFIED records in the order given.

    Args:
        pairs: PAIR records, ascending; all their documents have sets.
        sets: of the documents.
        thresholds: of both measures.
    """
    found = [np.empty(0, VERIFIED)]
    for block in _blocks(pairs, sets):
        refs = members_of(block)
        hashes, offsets = sets.read(sets.places(refs))
        members = np.stack([np.searchsorted(refs, block["a"]), np.searchsorted(refs, block["b"])], axis=1)
        shared = count_shared(members, hashes, offsets)
        found.append(_judge(block, shared, np.diff(offsets)[members], thresholds))
    return np.concatenate(found)


def _blocks(pairs: np.ndarray, sets: ShingleSets) -> Iterator[np.ndarray]:
    """Runs of pairs whose documents have about BLOCK_SHINGLES in all, at least one pair each."""
    refs = members_of(pairs)
    places = sets.places(refs)
    sizes = (places["stop"] - places["start"]).astype(np.int64)
    fresh = np.ones(len(pairs), bool)
    fresh[1:] = pairs["a"][1:] != pairs["a"][:-1]
    cost = sizes[np.searchsorted(refs, pairs["b"])] + fresh * sizes[np.searchsorted(refs, pairs["a"])]
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
