"""References to documents and the packed records that cross a shuffle in place of text.

A reference is a uint64: the number of the document's unit in the plan << 40 | its row among the unit's signed rows.
The plan is sorted by names that come from content, so references do not depend on file names, workers or arrival; they
live within one run and stand in no output.

Worked example: row 7 of the third unit is ``2 << 40 | 7``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.spine import storage

UNIT_SHIFT = 40
ROW_MASK = (1 << UNIT_SHIFT) - 1

#: One key of a document: half of an id's or a text's digest, a band, a fingerprint. All that crosses a large shuffle.
KEYED = np.dtype([("key", "<u8"), ("ref", "<u8")])
#: A candidate pair, a < b, and whether a band proposed it, not a fingerprint alone.
PAIR = np.dtype([("a", "<u8"), ("b", "<u8"), ("banded", "u1")])
#: A pair that is alike enough. jaccard: ``total`` counts the shingles of both together; contained: those of the
#: document that stands in the other, which ``inner`` names (0: a, 1: b, 2: either). measure indexes MEASURES.
VERIFIED = np.dtype(
    [("a", "<u8"), ("b", "<u8"), ("shared", "<u4"), ("total", "<u4"), ("measure", "u1"), ("inner", "u1")]
)
#: A document to drop for one that is kept; similarity is shared / total.
DROP = np.dtype([("ref", "<u8"), ("kept", "<u8"), ("shared", "<u4"), ("total", "<u4"), ("measure", "u1")])

MEASURES = ("repeated_id", "exact", "jaccard", "contained")
REPEATED_ID, EXACT, JACCARD, CONTAINED = range(4)


def make_refs(unit_index: int, num_rows: int) -> np.ndarray:
    """References of all rows of a unit, uint64 ``[num_rows]``."""
    return np.uint64(unit_index << UNIT_SHIFT) | np.arange(num_rows, dtype=np.uint64)


def unit_of(refs: np.ndarray) -> np.ndarray:
    """Unit numbers, int64, the shape of ``refs``."""
    return (refs >> np.uint64(UNIT_SHIFT)).astype(np.int64)


def row_of(refs: np.ndarray) -> np.ndarray:
    """Rows within their units, int64, the shape of ``refs``."""
    return (refs & np.uint64(ROW_MASK)).astype(np.int64)


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
    if not len(records):
        return
    order = np.argsort(groups, kind="stable")
    values, starts = np.unique(groups[order], return_index=True)
    for value, part in zip(values.tolist(), np.split(records[order], starts[1:]), strict=True):
        yield value, part.tobytes()


def by_partition(keys: np.ndarray, records: np.ndarray, num_partitions: int) -> Iterator[tuple[int, bytes]]:
    """(partition, packed records): partition = key modulo their number; keys are uniform hashes, uint64."""
    yield from split_by((keys % np.uint64(num_partitions)).astype(np.int64), records)


@dataclass(frozen=True)
class SignedUnits:
    """The signed units of the plan: looks ids and ranks up by reference, a memory-mapped file at a time.

    Args:
        paths: Arrow stream files in plan order, "" for a unit without documents.
        sha256: of each.
    """

    paths: tuple[str, ...]
    sha256: tuple[str, ...]

    def table(self, unit_index: int) -> pa.Table:
        """The signed rows of one unit; only the columns that are looked at are read from the disk."""
        path = storage.local_copy(self.paths[unit_index], self.sha256[unit_index])
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_stream(file).read_all()

    def take(self, refs: np.ndarray, columns: list[str]) -> pa.Table:
        """The rows of the given references, in their order."""
        if not len(refs):
            return self.table(next(i for i, path in enumerate(self.paths) if path)).select(columns).slice(0, 0)
        parts, places = [], []
        units, rows = unit_of(refs), row_of(refs)
        for unit in np.unique(units).tolist():
            mine = np.flatnonzero(units == unit)
            parts.append(self.table(unit).select(columns).take(rows[mine]))
            places.append(mine)
        back = np.argsort(np.concatenate(places), kind="stable")
        return pa.concat_tables(parts).take(back)
