"""References to documents and the packed records that cross a shuffle in place of text.

A reference is a uint64: the number of the document's unit in the plan << 40 | its size class << 32 | its row among the
unit's signed rows. The class is that of its number of fingerprints where keys travel, and 0 everywhere else. The plan is
sorted by names that come from content, so references do not depend on file names, workers or arrival; they live within
one run and stand in no output.

Worked example: row 7 of the third unit is ``2 << 40 | 7``; with 20 fingerprints, which are class 18, its keys travel
with ``2 << 40 | 18 << 32 | 7``.
"""

from collections.abc import Iterable, Iterator

import numpy as np

UNIT_SHIFT, SIZE_SHIFT = 40, 32
ROW_MASK = (1 << SIZE_SHIFT) - 1
SIZE_MASK = 0xFF << SIZE_SHIFT

#: One key of a document: half of an id's or a text's digest, a band, a fingerprint. All that crosses a large shuffle.
KEYED = np.dtype([("key", "<u8"), ("ref", "<u8")])
#: What the order of preference asks of a document: its characters, and a digest of its id for equals.
_PREFERRED = [("chars", "<u8"), ("tie", "<u8")]
#: A key that too many documents have, and what ranks them.
RANKED = np.dtype([("key", "<u8"), ("ref", "<u8"), *_PREFERRED])
#: A document that shares half of its id's or text's digest with another: the whole digest.
HOLDER = np.dtype([("ref", "<u8"), ("first", "<u8"), ("second", "<u8"), *_PREFERRED])
#: Where a document's shingle set begins and ends in its unit's file; both 0 where only its rank was asked for.
PLACE = np.dtype([("ref", "<u8"), ("start", "<u8"), ("stop", "<u8"), *_PREFERRED])
#: A candidate pair, and how many fingerprints proposed it: BANDED where a band did, or so many did. ``a`` is in the
#: lower size class, of equals the smaller reference; the pair lives with its unit.
PAIR = np.dtype([("a", "<u8"), ("b", "<u8"), ("shared", "<u2")])
BANDED = 0xFFFF
#: A pair that is alike enough. jaccard: ``total`` counts the shingles of both together; contained: those of the
#: document that stands in the other, which ``inner`` names (0: a, 1: b, 2: either). measure indexes MEASURES.
VERIFIED = np.dtype(
    [("a", "<u8"), ("b", "<u8"), ("shared", "<u4"), ("total", "<u4"), ("measure", "u1"), ("inner", "u1")]
)
#: A document to drop for one that is kept; similarity is shared / total. A verified pair of which the first may go for
#: the second is written the same way.
DROP = np.dtype([("ref", "<u8"), ("kept", "<u8"), ("shared", "<u4"), ("total", "<u4"), ("measure", "u1")])

MEASURES = ("repeated_id", "exact", "jaccard", "contained")
REPEATED_ID, EXACT, JACCARD, CONTAINED = range(4)


def make_refs(unit_index: int, num_rows: int) -> np.ndarray:
    """References of all rows of a unit, uint64 ``[num_rows]``.

    Raises:
        ValueError: more units or rows than a reference can tell apart.
    """
    if num_rows > ROW_MASK + 1 or unit_index >= 1 << (64 - UNIT_SHIFT):
        raise ValueError(f"row {num_rows - 1:,} of unit {unit_index:,} has no reference")
    return np.uint64(unit_index << UNIT_SHIFT) | np.arange(num_rows, dtype=np.uint64)


def unit_of(refs: np.ndarray) -> np.ndarray:
    """Unit numbers, int64, the shape of ``refs``."""
    return (refs >> np.uint64(UNIT_SHIFT)).astype(np.int64)


def row_of(refs: np.ndarray) -> np.ndarray:
    """Rows within their units, int64, the shape of ``refs``."""
    return (refs & np.uint64(ROW_MASK)).astype(np.int64)


def with_sizes(refs: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The references, each with the class of a size."""
    return refs | size_class(sizes) << np.uint64(SIZE_SHIFT)


def without_sizes(refs: np.ndarray) -> np.ndarray:
    """The references with class 0."""
    return refs & ~np.uint64(SIZE_MASK)


def size_class(numbers: np.ndarray) -> np.ndarray:
    """A class from 0 to 255 for each number, ascending with it: eight a power of two, the last from 2**34 on; uint64.

    >>> size_class(np.array([0, 7, 8, 15, 16, 17, 18, 1000])).tolist()
    [0, 7, 8, 15, 16, 16, 17, 63]
    """
    numbers = np.minimum(numbers.astype(np.uint64), np.uint64((1 << 34) - 1))
    bits = np.frexp(numbers.astype(np.float64))[1]  # exact: their length in bits
    shift = np.maximum(bits - 4, 0).astype(np.uint64)
    return shift * np.uint64(8) + (numbers >> shift)


def smallest_of(classes: np.ndarray) -> np.ndarray:
    """The smallest number of each class, int64.

    >>> smallest_of(size_class(np.array([0, 7, 8, 15, 16, 17, 18, 1000]))).tolist()
    [0, 7, 8, 15, 16, 16, 18, 960]
    """
    classes = classes.astype(np.int64)
    shift = np.maximum(classes // 8 - 1, 0)
    return (classes - 8 * shift) << shift


def members_of(pairs: np.ndarray) -> np.ndarray:
    """The distinct references in PAIR or VERIFIED records, ascending."""
    return np.unique(np.concatenate([pairs["a"], pairs["b"]]))


def unpack(blobs: Iterable[bytes], dtype: np.dtype) -> np.ndarray:
    """The records of all blobs as one array, in no particular order: sort before use."""
    return np.frombuffer(b"".join(blobs), dtype)


def sharing(records: np.ndarray) -> np.ndarray:
    """The KEYED records whose key another one has too, in their order; most keys stand alone.

    Memory: 24 bytes a record beside the records. 4 million take 0.3 s of CPU.
    """
    keys = np.ascontiguousarray(records["key"])
    order = np.argsort(keys)  # which of equals comes first changes nothing here
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    shared = np.zeros(len(keys), bool)
    shared[order[1:][same]] = True
    shared[order[:-1][same]] = True
    return records[shared]


def split_by(groups: np.ndarray, records: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """(group, packed records of it), ascending; ``groups`` are int64 of the records' length."""
    for value, places in places_by(groups):
        yield value, records[places].tobytes()


def places_by(groups: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(group, where it stands in ``groups``), both ascending; int64."""
    if not len(groups):
        return
    order = np.argsort(groups, kind="stable")
    values, starts = np.unique(groups[order], return_index=True)
    yield from zip(values.tolist(), np.split(order, starts[1:]), strict=True)


def partition_of(keys: np.ndarray, num_partitions: int) -> np.ndarray:
    """Key modulo their number, int64; keys are uniform hashes, uint64."""
    return (keys % np.uint64(num_partitions)).astype(np.int64)


def by_partition(keys: np.ndarray, records: np.ndarray, num_partitions: int) -> Iterator[tuple[int, bytes]]:
    """(partition, packed records)."""
    yield from split_by(partition_of(keys, num_partitions), records)
