"""The shingles of all documents of val and test, turned around: which of these documents hold a shingle.

    document 0: {a, b, c}      a -> 0, 1
    document 1: {a, b, d}  ->  b -> 0, 1
                               c -> 0
                               d -> 1

Two documents with ``n`` shingles, ``s`` of which must be shared to count as a leak, have one in common among any
``n - s + 1`` of either. So the *light* shingles of a document, its rarest ones, are enough to find it by: what
thousands of documents share (a notice, a template) leads nowhere. Of its light shingles a document must find
``required`` in another one, else the pair cannot reach ``s``.
Source: Chaudhuri et al. 2006, "A Primitive Operator for Similarity Joins in Data Cleaning" (prefix filtering).
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.duplicates.shingles import normalized_hashes, shingle_hashes
from pipelines.duplicates.text_units import Texts
from pipelines.splitting.drawing import I64

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Numbers = TypeVar("Numbers", U64, I64)

#: Containment says something from so many shingles of the smaller text on: below, a heading is "contained" anywhere.
MIN_CONTAINED_SHINGLES = 8
#: A shingle of at most so many val and test documents is light for all of them.
RARE_DOCUMENTS = 8
#: Light shingles a document has at least, beyond those that it cannot do without: a pair must find more than one.
SPARE_LIGHT = 3
#: Bits of the filter for each shingle of the index: one look-up in 16 or more goes on in vain.
FILTER_BITS_PER_KEY = 16


@dataclass(frozen=True)
class Limits:
    """From which similarity on two documents are too like each other, as exact fractions."""

    jaccard: Fraction  # shared / (|A| + |B| - shared)
    containment: Fraction  # shared / min(|A|, |B|), from `MIN_CONTAINED_SHINGLES` on; 0: does not count

    def least_shared(self, sizes: I64) -> I64:
        """How many of its shingles a document must share, by Jaccard with any other or contained in a larger one."""
        jaccard = -(-sizes * self.jaccard.numerator // self.jaccard.denominator)
        if not self.containment:
            return jaccard
        contained = -(-sizes * self.containment.numerator // self.containment.denominator)
        return np.where(sizes >= MIN_CONTAINED_SHINGLES, np.minimum(jaccard, contained), jaccard)

    def is_near(self, shared: I64, size: int, others: I64) -> Flags:
        """Whether a document of ``size`` shingles reaches the similarity with others; compared as integers."""
        union = size + others - shared
        return shared * self.jaccard.denominator >= self.jaccard.numerator * union

    def is_contained(self, shared: I64, size: int, others: I64) -> Flags:
        """Whether it lies in others, or they in it; compared as integers."""
        smaller = np.minimum(size, others)
        reached = shared * self.containment.denominator >= self.containment.numerator * smaller
        return reached & (smaller >= MIN_CONTAINED_SHINGLES) & bool(self.containment)


def text_shingles(texts: Texts, shingle_size: int) -> tuple[U64, I64]:
    """`shingle_hashes`, in which a text without any unit ("!!!", emoji) has one shingle: a hash of its normalised form.

    Returns:
        ``(hashes, offsets)``, uint64 ``[n_shingles]`` and int64 ``[n_texts + 1]``; every text has a shingle.
    """
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    hashes, offsets = shingle_hashes(array, shingle_size)
    empty = np.flatnonzero(np.diff(offsets) == 0)
    if not len(empty):
        return hashes, offsets
    whole = normalized_hashes(array.take(pa.array(empty)))[:, 0]
    offsets[1:] += np.cumsum(np.diff(offsets) == 0)
    return np.insert(hashes, offsets[empty] - np.arange(len(empty)), whole), offsets


def distinct(values: Numbers) -> Numbers:
    """The values, ascending and without repeats: `numpy.unique`, which is several times slower for 64-bit hashes."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


@dataclass(frozen=True)
class Index:
    """An inverted index. K distinct shingles (keys), E documents, P shingles of documents (postings)."""

    keys: U64  # [K], ascending
    starts: I64  # [K + 1]: the postings of key k are postings[starts[k] : starts[k + 1]]
    num_light: U32  # [K]: so many of these come first: the documents that the key is light for
    postings: U32  # [P]: documents
    member_starts: I64  # [E + 1]: the keys of document e are members[member_starts[e] : member_starts[e + 1]]
    members: U32  # [P]: numbers of keys, ascending within a document
    required: U32  # [E]: light keys that a similar document must hold
    filter: U8  # 2 ** b bits, one set for the first b bits of each key

    @property
    def num_documents(self) -> int:
        return len(self.required)

    @property
    def sizes(self) -> I64:
        """Shingles of each document."""
        return np.diff(self.member_starts)

    def may_hold(self, hashes: U64) -> Flags:
        """Whether the filter lets hashes through: all that are keys, and few others."""
        bits = (hashes >> np.uint64(65 - (8 * len(self.filter)).bit_length())).astype(np.int64)
        eights = self.filter.take(bits >> 3)
        return (eights >> (bits & 7).astype(np.uint8) & np.uint8(1)).view(bool)

    def to_row(self) -> pa.RecordBatch:
        """One row, an array a column, which can be mapped into memory where it lies."""
        columns = [pa.array([getattr(self, field.name).tobytes()], field.type) for field in INDEX]
        return pa.RecordBatch.from_arrays(columns, schema=INDEX)

    @classmethod
    def mapped(cls, path: Path) -> "Index":
        """The index that a file holds; nothing is copied, and processes of one machine share what they read."""
        with pa.memory_map(str(path)) as file:
            (row,) = pa.ipc.open_stream(file).read_all().to_batches()
        return cls(*(np.frombuffer(row[name][0].as_buffer(), kind) for name, kind in _KINDS.items()))


_KINDS = {
    "keys": np.uint64, "starts": np.int64, "num_light": np.uint32, "postings": np.uint32, "member_starts": np.int64,
    "members": np.uint32, "required": np.uint32, "filter": np.uint8,
}  # fmt: skip
INDEX = pa.schema([pa.field(name, pa.large_binary(), False) for name in _KINDS])


def build_index(hashes: U64, offsets: I64, limits: Limits) -> Index:
    """The index of some documents.

    Holds about 105 bytes for each of their shingles while it works. The index has 8 for each, and 22 to 24 more for each
    distinct one.

    Args:
        hashes: distinct within each document and ascending, uint64 ``[P]``.
        offsets: where the documents begin, int64 ``[E + 1]``; every one has a shingle.
        limits: what counts as a leak, which says how many shingles are light.
    """
    sizes = np.diff(offsets)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    keys, members = np.unique(hashes, return_inverse=True)
    holders = np.bincount(members, minlength=len(keys))
    light, required = _choose_light(members, holders, owners, offsets, limits)
    order = np.lexsort((owners, ~light, members))
    return Index(
        keys=keys,
        starts=_ends(holders),
        num_light=np.bincount(members[light], minlength=len(keys)).astype(np.uint32),
        postings=owners[order].astype(np.uint32),
        member_starts=offsets.astype(np.int64),
        members=members.astype(np.uint32),
        required=required.astype(np.uint32),
        filter=_filter(keys),
    )


def _choose_light(members: I64, holders: I64, owners: I64, offsets: I64, limits: Limits) -> tuple[Flags, I64]:
    """Which postings are light, ``[P]``, and how many light ones a similar document must hold, ``[E]``."""
    sizes = np.diff(offsets)
    # The rarest first, equally rare ones by hash; places within a document.
    order = np.lexsort((members, holders[members], owners))
    places = np.empty(len(members), np.int64)
    places[order] = np.arange(len(members)) - offsets[owners]
    may_lack = sizes - limits.least_shared(sizes)
    rare = np.bincount(owners, weights=holders[members] <= RARE_DOCUMENTS, minlength=len(sizes)).astype(np.int64)
    num_light = np.maximum(rare, np.minimum(sizes, may_lack + 1 + SPARE_LIGHT))
    return places < num_light[owners], num_light - may_lack


def _filter(keys: U64) -> U8:
    bits = max(3, (FILTER_BITS_PER_KEY * len(keys)).bit_length())
    flags = np.zeros(1 << bits, bool)
    flags[(keys >> np.uint64(64 - bits)).astype(np.int64)] = True
    return np.packbits(flags, bitorder="little")


def _ends(counts: I64) -> I64:
    ends = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    return ends
