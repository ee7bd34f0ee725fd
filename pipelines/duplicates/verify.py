"""Verification: candidate pairs are read again and decided by the true Jaccard similarity of their shingle sets."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.duplicates.references import PAIR, VERIFIED, row_of, unit_of
from pipelines.duplicates.shingles import jaccard, shingle_hashes


def read_texts(path: str, rows: np.ndarray) -> list[str]:
    """The texts of some rows of a document shard; only the row groups that hold them are read.

    Args:
        path: a Parquet file.
        rows: row numbers, int64, ascending.
    """
    texts: list[str] = []
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        groups = np.searchsorted(starts, rows, side="right") - 1
        for group in np.unique(groups).tolist():
            column = file.read_row_group(group, columns=["text"], use_threads=False)["text"]
            texts += column.take(pa.array(rows[groups == group] - starts[group])).to_pylist()
    return texts


def shingle_sets(refs: np.ndarray, paths: Sequence[str], shingle_size: int) -> dict[int, np.ndarray]:
    """Reference -> sorted distinct shingle hashes, uint64, of the given documents.

    Args:
        refs: distinct references, ascending.
        paths: document shards in plan order.
        shingle_size: units a shingle.
    """
    sets: dict[int, np.ndarray] = {}
    for unit in np.unique(unit_of(refs)).tolist():
        mine = refs[unit_of(refs) == unit]
        hashes, offsets = shingle_hashes(read_texts(paths[unit], row_of(mine)), shingle_size)
        for place, ref in enumerate(mine.tolist()):
            sets[ref] = np.unique(hashes[offsets[place] : offsets[place + 1]])
    return sets


def verify_pairs(pairs: np.ndarray, sets: dict[int, np.ndarray], threshold: Fraction) -> np.ndarray:
    """The pairs whose similarity is at or above the threshold, as VERIFIED records in the order given.

    The comparison is between integers: ``shared * denominator >= numerator * union``.
    """
    found = np.empty(len(pairs), VERIFIED)
    number = 0
    for a, b in zip(pairs["a"].tolist(), pairs["b"].tolist(), strict=True):
        shared, union = jaccard(sets[a], sets[b])
        if union and shared * threshold.denominator >= threshold.numerator * union:
            found[number] = (a, b, shared, union)
            number += 1
    return found[:number]


def distinct_pairs(blobs: Iterable[bytes]) -> np.ndarray:
    """The distinct pairs of all packed blobs, sorted: the order of arrival does not matter."""
    pairs = np.frombuffer(b"".join(blobs), PAIR)
    pairs = pairs[np.lexsort((pairs["b"], pairs["a"]))]
    first = np.ones(len(pairs), bool)
    first[1:] = pairs[1:] != pairs[:-1]
    return pairs[first]
