"""Shingle sets -> signatures -> bands: documents that share a band's key *may* be near-duplicate.

    (hashes, offsets)  ->  signatures   uint32 [n_docs, num_hashes]   two agree in a place with p = Jaccard
    signatures         ->  band_keys    uint64 [n_docs, num_bands]    equal keys: equal in a whole band

Signatures are one-permutation hashing with its empty bins filled by fresh hashes of the same set: each shingle is
thrown into one of ``num_hashes`` bins and a bin keeps its smallest value; bins still empty get a second throw, then a
hash function of their own (Dahlgaard, Knudsen, Thorup 2017, "Fast Similarity Sketching", arXiv 1704.04370). A long text
costs two passes instead of ``num_hashes``. Measured with 100 hashes on 1,500 to 4,000 random pairs of sets of 3 to 1,000
shingles at similarity 0.5 to 0.8: no bias, a spread of 0.7 to 1.0 times that of classic MinHash, and as many pairs
proposed as `proposal_probability` says.
"""

import numpy as np
import numpy.typing as npt

from pipelines.duplicates.text_units import I64, U64, constants64, mix64, row_blocks

U32 = npt.NDArray[np.uint32]

#: A signature's value where there is no shingle at all, and never otherwise.
EMPTY = np.uint32(0xFFFFFFFF)
#: The band key of documents without shingles: they are candidates for nothing.
NO_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)

#: Throws before a bin gets its own hash function. 300 shingles: 16 us a text with 1, 10 with 2, 7 with 4; 50 shingles:
#: 6, 8, 11 us.
NUM_THROWS = 2
#: Shingles handled at a time, so that the arrays stay in the second-level cache.
BLOCK_SHINGLES = 1 << 16


def signatures(hashes: U64, offsets: I64, num_hashes: int, seed: int) -> U32:
    """MinHash signatures: in each place two documents agree with a probability equal to their Jaccard similarity.

    Repeated shingles and their order change nothing. Integer arithmetic alone: the same bytes on every machine.

    Args:
        hashes: well-mixed shingle hashes, uint64 ``[n_shingles]``, as `shingles.shingle_hashes` gives them.
        offsets: int64 ``[n_docs + 1]``; the shingles of document i are ``hashes[offsets[i] : offsets[i + 1]]``.
        num_hashes: values a signature, at least ``num_bands * rows_per_band``.
        seed: signatures compare only under the same seed and ``num_hashes``.
    Returns:
        uint32 ``[n_docs, num_hashes]``; all `EMPTY` for a document without shingles.
    """
    signed = np.full((len(offsets) - 1, num_hashes), EMPTY, np.uint32)
    constants = constants64(2 * (NUM_THROWS + num_hashes), seed).reshape(-1, 2)
    for first, last in row_blocks(offsets, BLOCK_SHINGLES):
        counts = np.diff(offsets[first : last + 1])
        _sign_block(signed[first:last], hashes[offsets[first] : offsets[last]], counts, constants)
    return signed


def band_keys(signed: U32, num_bands: int, rows_per_band: int) -> U64:
    """One key a band: equal exactly when the band's ``rows_per_band`` values are (but for 64-bit collisions).

    The number of the band is part of the key, so keys of several bands may lie in one array.

    Returns:
        uint64 ``[n_docs, num_bands]``; `NO_KEY` in all bands of a document without shingles.
    Raises:
        ValueError: the bands need more values than a signature has.
    """
    num_docs, num_hashes = signed.shape
    if num_bands * rows_per_band > num_hashes:
        raise ValueError(f"{num_bands} bands x {rows_per_band} rows need more than {num_hashes} hashes")
    rows = signed[:, : num_bands * rows_per_band].reshape(num_docs, num_bands, rows_per_band)
    constants = constants64(num_bands + rows_per_band, seed=0)
    keys = np.tile(constants[:num_bands], (num_docs, 1))
    for row, factor in enumerate(constants[num_bands:]):
        keys += rows[:, :, row] * factor
    mix64(keys)
    keys[(signed == EMPTY).all(axis=1)] = NO_KEY
    return keys


def proposal_probability(similarity: float, num_bands: int, rows_per_band: int) -> float:
    """The chance that a pair shares at least one band: ``1 - (1 - s**rows)**bands`` (Leskovec et al., MMDS ch. 3.4).

    20 x 5 gives 0.9996 at a similarity of 0.8 and 0.0475 at 0.3; 14 x 8 gives 0.9235 and 0.0009.
    """
    return 1.0 - (1.0 - similarity**rows_per_band) ** num_bands


def choose_bands(threshold: float, num_hashes: int, probability: float) -> tuple[int, int]:
    """(bands, rows a band) of at most ``num_hashes`` hashes: the most rows that still propose a pair at the threshold.

    More rows a band propose fewer pairs that are not alike; more bands miss fewer that are.

    >>> choose_bands(0.8, num_hashes=100, probability=0.999), choose_bands(0.6, 100, 0.99)
    ((20, 5), (33, 3))

    Args:
        threshold: similarity of the pairs that are wanted, above 0.
        num_hashes: values a signature.
        probability: how surely such a pair must share a band, below 1.
    """
    for rows in range(num_hashes, 1, -1):
        if proposal_probability(threshold, num_hashes // rows, rows) >= probability:
            return num_hashes // rows, rows
    return num_hashes, 1


def _sign_block(signed: U32, hashes: U64, counts: I64, constants: U64) -> None:
    """Fills the rows of ``signed``; ``counts`` int64 ``[n_rows]`` says how many of ``hashes`` belong to each."""
    rows = np.arange(len(counts))
    for throw in range(NUM_THROWS + 1):
        unfinished = (signed[rows] == EMPTY).any(axis=1) & (counts > 0)
        hashes, rows, counts = hashes[np.repeat(unfinished, counts)], rows[unfinished], counts[unfinished]
        if not len(rows):
            return
        if throw < NUM_THROWS:
            values = _throw(hashes, counts, signed.shape[1], constants[throw])
        else:
            values = _hash_each_bin(hashes, counts, constants[NUM_THROWS:])
        signed[rows] = np.where(signed[rows] == EMPTY, values, signed[rows])


def _throw(hashes: U64, counts: I64, num_bins: int, constants: U64) -> U32:
    """Each shingle into one bin of its document: the smallest value of each bin, uint32 ``[n_docs, num_bins]``."""
    thrown = (hashes ^ constants[0]) * constants[1]
    thrown ^= thrown >> np.uint64(32)
    # The high half chooses the bin, the low half is the value: independent of each other.
    bins = (((thrown >> np.uint64(32)) * np.uint64(num_bins)) >> np.uint64(32)).astype(np.int64)
    bins += np.repeat(np.arange(len(counts)) * num_bins, counts)
    smallest = np.full(len(counts) * num_bins, EMPTY, np.uint32)
    np.minimum.at(smallest, bins, thrown.astype(np.uint32))
    return smallest.reshape(len(counts), num_bins)


def _hash_each_bin(hashes: U64, counts: I64, constants: U64) -> U32:
    """Classic MinHash, every shingle under every hash function; uint32 ``[n_docs, num_bins]``; counts are above 0."""
    short = (hashes >> np.uint64(32)).astype(np.uint32)
    factors, masks = (constants >> np.uint64(32)).astype(np.uint32).T
    starts = np.cumsum(counts) - counts
    smallest = np.empty((len(factors), len(counts)), np.uint32)
    hashed = np.empty_like(short)
    for bin_, (factor, mask) in enumerate(zip(factors | np.uint32(1), masks, strict=True)):
        np.multiply(short, factor, out=hashed)
        np.bitwise_xor(hashed, mask, out=hashed)
        np.minimum.reduceat(hashed, starts, out=smallest[bin_])
    return smallest.T
