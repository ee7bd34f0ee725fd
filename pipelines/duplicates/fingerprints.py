"""Fingerprints of a text by winnowing: two texts that share a long enough passage share one of them.

    (hashes, offsets) -> winnow -> (values, offsets)     about 2 in ``window + 1`` of the shingles

MinHash finds texts that are alike as wholes. A news item that stands inside a longer one is alike in part alone, so its
bands differ. Winnowing takes the smallest shingle hash of every ``window`` neighbouring shingles: a passage of
``window`` shingles that stands in two documents has the same smallest hash in both, wherever it stands.

Source: Schleimer, Wilkerson, Aiken 2003, "Winnowing: Local Algorithms for Document Fingerprinting", SIGMOD.
"""

import numpy as np

from pipelines.duplicates.text_units import I64, U64, row_blocks

#: Shingles handled at a time, so that the arrays stay in the second-level cache.
BLOCK_SHINGLES = 1 << 16


def winnow(hashes: U64, offsets: I64, window: int) -> tuple[U64, I64]:
    """The fingerprints of each document, distinct and ascending.

    A document of fewer shingles than ``window`` has one, its smallest; one without shingles has none.

    >>> winnow(np.array([5, 3, 8, 6, 9, 7, 1], np.uint64), np.array([0, 5, 5, 7]), 2)
    (array([3, 6, 1], dtype=uint64), array([0, 2, 2, 3]))

    Args:
        hashes: shingle hashes in reading order, uint64 ``[n_shingles]``, as `shingles.shingle_hashes` gives them.
        offsets: int64 ``[n_docs + 1]``; the shingles of document i are ``hashes[offsets[i] : offsets[i + 1]]``.
        window: a power of two.
    Returns:
        ``(values, offsets)``: uint64 ``[n_fingerprints]``, int64 ``[n_docs + 1]``.
    Raises:
        ValueError: ``window`` is no power of two.
    """
    if window < 1 or window & (window - 1):
        raise ValueError(f"window is {window}, expected a power of two")
    parts, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for first, last in row_blocks(offsets, BLOCK_SHINGLES):
        sizes = np.diff(offsets[first : last + 1])
        values, number = _winnow_block(hashes[offsets[first] : offsets[last]], sizes, window)
        parts.append(values)
        counts.append(number)
    ends = np.zeros(len(offsets), np.int64)
    np.cumsum(np.concatenate(counts), out=ends[1:])
    return np.concatenate(parts), ends


def _winnow_block(hashes: U64, sizes: I64, window: int) -> tuple[U64, I64]:
    """Fingerprints of a few documents and how many each has; ``sizes`` int64 ``[n_docs]`` are their shingles."""
    if not len(hashes):
        return hashes, np.zeros(len(sizes), np.int64)
    smallest = hashes.copy()
    span = 1
    while span < window:
        np.minimum(smallest[:-span], smallest[span:], out=smallest[:-span])
        span *= 2
    starts = np.cumsum(sizes) - sizes
    short = np.flatnonzero((sizes > 0) & (sizes < window))
    for document in short.tolist():
        begin = starts[document]
        smallest[begin] = hashes[begin : begin + sizes[document]].min()

    num_windows = np.where(sizes > 0, np.maximum(sizes - (window - 1), 1), 0)
    firsts = np.cumsum(num_windows) - num_windows
    values = smallest[np.repeat(starts - firsts, num_windows) + np.arange(num_windows.sum())]
    fresh = np.ones(len(values), bool)
    fresh[1:] = values[1:] != values[:-1]
    fresh[firsts[sizes > 0]] = True
    values, holders = values[fresh], np.repeat(np.arange(len(sizes)), num_windows)[fresh]
    order = np.lexsort((values, holders))
    values, holders = values[order], holders[order]
    distinct = np.ones(len(values), bool)
    distinct[1:] = (values[1:] != values[:-1]) | (holders[1:] != holders[:-1])
    return values[distinct], np.bincount(holders[distinct], minlength=len(sizes))
