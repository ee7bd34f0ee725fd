"""Leaks: which documents are too like one of val or test. Exact: what the index proposes is counted, and misses nothing.

A pair leaks by its Jaccard similarity, or because one of the two lies in the other. It is found
  - by the light shingles of the val or test document, if that is the smaller one or the pair is near by Jaccard;
  - by the rarest shingles of the other document, if that lies in the val or test document: then nearly all of its
    shingles are in the index, which few documents' are.
All shared shingles of a proposed pair are counted then. See `pipelines.splitting.index` for why this is enough.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipelines.splitting.drawing import I64
from pipelines.splitting.index import MIN_CONTAINED_SHINGLES, U64, Flags, Index, Limits, distinct

#: Postings that are counted at a time, unless one document meets more.
MAX_POSTINGS = 1 << 21
#: Kinds that the shingles of a document are told apart by, for a lower bound of how many are not in the index.
KINDS = 256
NEAR, CONTAINED = "jaccard", "contained"


#: Documents of the index that one is compared with at a time. Where some of these leak, no more are asked: a template that
#: thousands share costs no more than this.
MAX_COMPARED = 100


class Leaks(NamedTuple):
    """Documents that leak, ascending, each with the most similar of the first `MAX_COMPARED` that show it."""

    documents: I64
    kept: I64
    similarity: np.ndarray  # float64: shared / union, or shared / the smaller
    contained: Flags  # False: by Jaccard


NO_LEAKS = Leaks(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, bool))


class Hits(NamedTuple):
    """The distinct shingles of a batch that are in the index, by document and key, both ascending."""

    documents: I64
    keys: I64
    ends: I64  # [n_documents + 1]


def find_leaks(hashes: U64, offsets: I64, index: Index, limits: Limits, others: Flags) -> Leaks:
    """Which documents of a batch are too like one of the index.

    Memory: 26 bytes a shingle of the batch, 100 where the index holds all of them; 24 for each of `MAX_POSTINGS`; one for
    each key of the index.

    Args:
        hashes: shingles as `text_shingles` gives them, repeats included.
        offsets: where the documents begin, int64 ``[n_documents + 1]``.
        index: of val and test.
        limits: what counts as a leak; those that the index was built with.
        others: bool ``[E]``: the documents of the index that count.
    """
    hits, missed = _look_up(hashes, offsets, index)
    proposed = [_by_light(hits, index)]
    if limits.containment:
        proposed.append(_by_own(hashes, offsets, hits, missed, index, limits))
    documents, kept = np.divmod(distinct(np.concatenate(proposed)), index.num_documents)
    counts = others[kept]
    return _decide(hashes, offsets, hits, documents[counts], kept[counts], index, limits)


def _look_up(hashes: U64, offsets: I64, index: Index) -> tuple[Hits, Flags]:
    """The hits of a batch, and which of its shingles are none."""
    maybe = np.flatnonzero(index.may_hold(hashes))
    maybe = maybe[np.argsort(hashes[maybe])]  # neighbours in memory are looked up one after the other
    places = np.searchsorted(index.keys, hashes[maybe])
    there = index.keys.take(places, mode="clip") == hashes[maybe]
    found, num_keys = maybe[there], len(index.keys)
    documents = np.searchsorted(offsets, found, side="right") - 1
    documents, keys = np.divmod(distinct(documents * num_keys + places[there]), num_keys)
    missed = np.ones(len(hashes), bool)
    missed[found] = False
    return Hits(documents, keys, np.searchsorted(documents, np.arange(len(offsets)))), missed


def _by_light(hits: Hits, index: Index) -> I64:
    """Pairs, document * E + document of the index, that share as many light keys as they must."""
    counts = index.num_light[hits.keys].astype(np.int64)
    proposed = [np.empty(0, np.int64)]
    for part in _portions(hits, counts):
        others = index.postings[_ranges(index.starts[hits.keys[part]], counts[part])]
        pairs = np.repeat(hits.documents[part], counts[part]) * index.num_documents + others
        pairs, shared = np.unique(pairs, return_counts=True)
        proposed.append(pairs[shared >= index.required[pairs % index.num_documents]])
    return np.concatenate(proposed)


def _portions(hits: Hits, counts: I64) -> Iterator[slice]:
    """Runs of hits of whole documents that have about `MAX_POSTINGS` postings at most."""
    ends = np.concatenate([[0], np.cumsum(counts)])[hits.ends]
    first = 0
    while first < len(ends) - 1:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + MAX_POSTINGS, side="right")) - 1)
        yield slice(hits.ends[first], hits.ends[last])
        first = last


def _by_own(hashes: U64, offsets: I64, hits: Hits, missed: Flags, index: Index, limits: Limits) -> I64:
    """Pairs in which the document may lie in one of the index, by the rarest keys of the document."""
    share = limits.containment
    num_hits = np.diff(hits.ends)
    proposed = [np.empty(0, np.int64)]
    for document in _nearly_all_known(hashes, offsets, num_hits, missed, limits).tolist():
        size = len(distinct(hashes[offsets[document] : offsets[document + 1]]))
        shared = -(-size * share.numerator // share.denominator)
        if size < MIN_CONTAINED_SHINGLES or num_hits[document] < shared:
            continue
        keys = hits.keys[hits.ends[document] : hits.ends[document + 1]]
        counts = index.starts[keys + 1] - index.starts[keys]
        rarest = np.argsort(counts, kind="stable")[: num_hits[document] - shared + 1]
        others = index.postings[_ranges(index.starts[keys[rarest]], counts[rarest])]
        proposed.append(document * index.num_documents + np.unique(others).astype(np.int64))
    return np.concatenate(proposed)


def _nearly_all_known(hashes: U64, offsets: I64, num_hits: I64, missed: Flags, limits: Limits) -> I64:
    """Documents, ascending, of which the wanted share may be in the index, by a lower bound of what is not."""
    share = limits.containment
    some = np.flatnonzero(num_hits * share.denominator >= MIN_CONTAINED_SHINGLES * share.numerator)
    place = np.full(len(num_hits), -1)
    place[some] = np.arange(len(some))
    place_of = np.repeat(place, np.diff(offsets))
    chosen = missed & (place_of >= 0)
    seen = np.zeros(len(some) * KINDS, bool)
    seen[place_of[chosen] * KINDS + (hashes[chosen] % np.uint64(KINDS)).astype(np.int64)] = True
    unknown = seen.reshape(-1, KINDS).sum(1)
    return some[num_hits[some] * share.denominator >= share.numerator * (num_hits[some] + unknown)]


def _decide(hashes: U64, offsets: I64, hits: Hits, documents: I64, others: I64, index: Index, limits: Limits) -> Leaks:
    """The documents that leak, of the proposed pairs, which are sorted."""
    holds, sizes = np.zeros(len(index.keys), bool), index.sizes
    found: list[tuple[int, int, float, bool]] = []
    ends = np.flatnonzero(np.diff(documents, append=-1)) + 1
    for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=False):
        document = int(documents[begin])
        size = len(distinct(hashes[offsets[document] : offsets[document + 1]]))
        keys = hits.keys[hits.ends[document] : hits.ends[document + 1]]
        holds[keys] = True
        for first in range(begin, end, MAX_COMPARED):
            closest = _closest(holds, size, others[first : min(first + MAX_COMPARED, end)], sizes, index, limits)
            if closest is not None:
                found.append((document, *closest))
                break
        holds[keys] = False
    return Leaks(*map(np.array, zip(*found, strict=True))) if found else NO_LEAKS


def _closest(
    holds: Flags, size: int, others: I64, all_sizes: I64, index: Index, limits: Limits
) -> tuple[int, float, bool] | None:
    """The most similar of some documents of the index, near ones first, of equal ones the first; None if none leaks."""
    sizes = all_sizes[others]
    members = index.members[_ranges(index.member_starts[others], sizes)]
    shared = np.add.reduceat(holds[members], np.cumsum(sizes) - sizes, dtype=np.int64)
    near, contained = limits.is_near(shared, size, sizes), limits.is_contained(shared, size, sizes)
    which, of = (near, size + sizes - shared) if near.any() else (contained, np.minimum(size, sizes))
    if not which.any():
        return None
    similarity = np.where(which, shared / of, -1.0)
    best = int(np.argmax(similarity))
    return int(others[best]), float(similarity[best]), not near[best]


def _ranges(starts: I64, counts: I64) -> I64:
    """All places of the runs that begin at ``starts`` and are ``counts`` long, one run after the other."""
    return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
