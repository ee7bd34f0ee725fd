"""Keys that documents share -> candidate pairs: who *may* be a near copy of whom. True similarity decides later.

    (keys, documents)  ->  propose_pairs  ->  distinct pairs, what full buckets left out

A *bucket* is all documents under one key. Templates and boilerplate make buckets of thousands, whose pairs would grow
with the square; a full bucket proposes at most ``max_bucket / 8`` pairs a document, counts the rest, and is searched
again once those that went are gone.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.duplicates.minhash import NO_KEY
from pipelines.duplicates.text_units import I64, U64

#: Candidate pairs held beside the distinct ones before they are merged (8 bytes each).
PENDING_PAIRS = 1 << 22


class Proposals(NamedTuple):
    """Candidate pairs, and what was too much to propose.

    Attributes:
        pairs: int64 ``[n_pairs, 2]``, distinct, ascending, the preferred document first in each.
        shared: how many keys proposed each pair, int64 ``[n_pairs]``.
        num_capped: pairs left out, summed over full buckets (another key may still propose some of them).
        full_keys: keys of buckets that hold more than ``max_bucket`` documents, uint64, ascending.
        largest: documents of the largest bucket; 0 where no two share a key.
    """

    pairs: I64
    shared: I64
    num_capped: int
    full_keys: U64
    largest: int


def propose_pairs(keys: U64, documents: I64, max_bucket: int) -> Proposals:
    """The distinct pairs of documents that share a key.

    The ascending order of ``documents`` must come from content (the preferred one first), for it decides what a full
    bucket proposes. Up to ``max_bucket`` documents under one key give all their pairs. Of more, each document is paired
    with the first ``max_bucket // 16`` of the bucket and with the ``max_bucket // 16`` just before it: the likely
    survivors, and those nearest in content order (in length, where that is the order). So a document brings at most
    ``max_bucket / 8`` pairs a key, however many are alike. On 3,364 different court rulings from templates, in order of
    falling length, a cap of 64 proposed 41 % of the pairs and dropped the same 813 documents as no cap.

    Args:
        keys: band keys or fingerprints, uint64 ``[n]``; all of a key's documents must be there. `NO_KEY` is skipped.
        documents: whose key it is, int64 ``[n]``; a repeated (key, document) counts once.
        max_bucket: documents under one key that give all their pairs.
    """
    names, numbers = np.unique(documents[keys != NO_KEY], return_inverse=True)
    members, places, sizes, bucket_keys = _buckets(keys[keys != NO_KEY], numbers)
    reach = max(1, max_bucket // 16)

    met = shared = np.empty(0, np.int64)
    pending: list[I64] = []
    is_full = (places == 0) & (sizes > max_bucket)
    full = sizes[is_full]
    num_capped = int((full * (full - 1) // 2).sum())
    for better, worse in _pairs_in_buckets(places, sizes, max_bucket, reach):
        num_capped -= int(np.count_nonzero(sizes[worse] > max_bucket))
        pending.append(members[better] * len(names) + members[worse])
        if sum(map(len, pending)) > max(PENDING_PAIRS, len(met)):
            (met, shared), pending = _counted(met, shared, pending), []
    met, shared = _counted(met, shared, pending)
    pairs = names[np.stack(np.divmod(met, max(len(names), 1)), axis=1)]
    return Proposals(pairs, shared, num_capped, bucket_keys[is_full], int(sizes.max(initial=0)))


def _buckets(keys: U64, numbers: I64) -> tuple[I64, I64, I64, U64]:
    """Documents that share a key, by key, ascending in each: (document, place in its bucket, bucket's size, key)."""
    order = np.lexsort((numbers, keys))
    keys, numbers = keys[order], numbers[order]
    new_key = np.ones(len(keys), bool)
    new_key[1:] = keys[1:] != keys[:-1]
    fresh = new_key.copy()
    fresh[1:] |= numbers[1:] != numbers[:-1]
    starts = np.flatnonzero(new_key[fresh])
    lengths = np.diff(starts, append=np.count_nonzero(fresh))
    sizes = np.repeat(lengths, lengths)
    places = np.arange(len(sizes)) - np.repeat(starts, lengths)
    shared = sizes > 1
    return numbers[fresh][shared], places[shared], sizes[shared], keys[fresh][shared]


def _pairs_in_buckets(places: I64, sizes: I64, max_bucket: int, reach: int) -> Iterator[tuple[I64, I64]]:
    """(better, worse) positions of the pairs to propose, none twice, in runs of one distance or one first member."""
    full = sizes > max_bucket
    near = np.flatnonzero(places > 0)
    for distance in range(1, max_bucket):
        near = near[(places[near] >= distance) & ((distance <= reach) | ~full[near])]
        if not len(near):
            break
        yield near - distance, near
    far = np.flatnonzero(full)
    for first in range(reach):
        far = far[places[far] > first + reach]
        if not len(far):
            break
        yield far - places[far] + first, far


def _counted(known: I64, counts: I64, pending: Sequence[I64]) -> tuple[I64, I64]:
    """The distinct values among the known and the pending ones, ascending, and how often each came."""
    # numpy.unique goes through a hash table (numpy 2.3): 122 s on 32 million pairs where this takes 5 s.
    values = np.concatenate([np.empty(0, np.int64), *pending])
    values.sort()
    starts = _starts(values)
    both = np.concatenate([known, values[starts]])
    both_counts = np.concatenate([counts, np.diff(starts, append=len(values))])
    order = np.argsort(both, kind="stable")  # two ascending runs, which a stable sort merges
    both, both_counts = both[order], both_counts[order]
    starts = _starts(both)
    return both[starts], np.add.reduceat(both_counts, starts) if len(starts) else both_counts


def _starts(values: I64) -> I64:
    """Where each of the ascending values stands first."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
