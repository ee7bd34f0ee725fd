"""Texts -> the hashed shingles that duplicates are judged by, for a whole batch at array speed.

    texts  ->  shingle_hashes     ->  (hashes, offsets)   near duplicates: shingle sets, true Jaccard
    texts  ->  normalized_hashes  ->  128 bits a text     exact duplicates

A *shingle* is ``shingle_size`` neighbouring units of one document (``text_units`` says what a unit is):

    "The cat, the CAT!"  ->  the cat the cat        size 2  ->  {the cat, cat the}
    "東京タワー tower"    ->  東 京 タ ワ ー tower    size 5  ->  {東京タワー, 京タワーtower}
"""

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipelines.duplicates.text_units import (
    BLOCK_BYTES,
    I64,
    U8,
    U64,
    Texts,
    constants64,
    find_units,
    hash_units,
    mix64,
    row_blocks,
    utf8_bytes,
)  # fmt: skip

#: 1 for the white space of ASCII, as `str.isspace` has it.
_SPACE_BYTES = bytes(b < 0x80 and chr(b).isspace() for b in range(256))
#: White space outside ASCII in UTF-8: the first byte -> (numbers that the other bytes make, bytes in all).
_HIGH_SPACES: dict[int, tuple[list[int], int]] = {}
for _space in (chr(code).encode() for code in range(0x80, 0x3001) if chr(code).isspace()):
    _HIGH_SPACES.setdefault(_space[0], ([], len(_space)))[0].append(int.from_bytes(_space[1:], "big"))


def shingle_hashes(texts: Texts, shingle_size: int) -> tuple[U64, I64]:
    """The hashed shingles of each text, in reading order, repeats included.

    A text of fewer units than ``shingle_size`` gives one shingle, the whole text: two such texts are equal exactly when
    their units are. A text without any unit ("", "!!!", emoji alone) gives none: it has no near duplicates, and only
    `normalized_hashes` can say that it equals another.

    Args:
        texts: strings, or an Arrow array of (large) strings without nulls.
        shingle_size: units a shingle, at least 1.
    Returns:
        ``(hashes, offsets)``: hashes uint64 ``[n_shingles]``; offsets int64 ``[n_texts + 1]``: the shingles of text i
        are ``hashes[offsets[i] : offsets[i + 1]]``.
    Raises:
        ValueError: ``shingle_size`` < 1, a null, or an array that is not of strings.
    """
    if shingle_size < 1:
        raise ValueError(f"shingle_size is {shingle_size}, expected at least 1")
    data, ends = utf8_bytes(texts)
    hashes, counts = [], []
    for first, last in row_blocks(ends, BLOCK_BYTES):
        text_ends = ends[first : last + 1] - ends[first]
        block = bytes(data[ends[first] : ends[last]])
        block_hashes, block_counts = _shingle_block(block, text_ends, shingle_size)
        hashes.append(block_hashes)
        counts.append(block_counts)
    offsets = np.zeros(len(ends), np.int64)
    np.cumsum(np.concatenate([np.empty(0, np.int64), *counts]), out=offsets[1:])
    return np.concatenate([np.empty(0, np.uint64), *hashes]), offsets


def distinct_sets(hashes: U64, offsets: I64) -> tuple[U64, I64]:
    """Each document's shingles, sorted and without repeats.

    >>> distinct_sets(np.array([7, 3, 7, 5], np.uint64), np.array([0, 3, 4]))
    (array([3, 7, 5], dtype=uint64), array([0, 2, 3]))
    """
    ordered = hashes.copy()
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        ordered[start:stop].sort()
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    first[offsets[:-1][np.diff(offsets) > 0]] = True
    kept = np.concatenate([[0], np.cumsum(first)])
    return ordered[first], kept[offsets]


def jaccard(a: U64, b: U64) -> tuple[int, int]:
    """(intersection, union) of two sets of shingle hashes, each sorted and without repeats (`numpy.unique`).

    Integers, so that a threshold is compared without rounding: ``100 * intersection >= 80 * union``. Two texts without
    units give (0, 0), which that comparison would accept: ask for ``union > 0`` too.
    """
    few, many = (a, b) if len(a) <= len(b) else (b, a)
    if not len(few):
        return 0, len(many)
    found = many.take(np.searchsorted(many, few), mode="clip") == few
    intersection = int(np.count_nonzero(found))
    return intersection, len(a) + len(b) - intersection


def normalized_hashes(texts: Texts, normalization: str = "whitespace") -> U64:
    """128 bits of each normalised text: equal for exact duplicates, and for nothing else that will ever be met.

    What two texts must have in common is a parameter: every byte ("none"); all but the amount and kind of white space
    ("whitespace": each run, line ends and U+3000 included, counts as one space, none at either end; no visible
    difference is forgiven); the letters and digits alone, case-folded ("letters"). A text of which nothing would remain
    is taken as it is written, so that "!!!" and "???" are never the same. Unicode forms are not: `clean` made them NFC.

    Args:
        texts: strings, or an Arrow array of (large) strings without nulls.
        normalization: a key of `NORMALIZATIONS`.
    Returns:
        uint64 ``[n_texts, 2]``: the two little-endian halves of BLAKE2b with a 16-byte digest.
    Raises:
        ValueError: an unknown normalization, a null, or an array that is not of strings.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization {normalization!r} is not one of {', '.join(NORMALIZATIONS)}")
    data, ends = utf8_bytes(texts)
    digests = []
    for first, last in row_blocks(ends, BLOCK_BYTES):
        text_ends = ends[first : last + 1] - ends[first]
        block = bytes(data[ends[first] : ends[last]])
        normal, starts, stops = NORMALIZATIONS[normalization](block, text_ends)
        for text, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            taken = normal[start:stop] or block[text_ends[text] : text_ends[text + 1]]
            digests.append(hashlib.blake2b(taken, digest_size=16).digest())
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64, copy=False).reshape(-1, 2)


def _as_written(block: bytes, text_ends: I64) -> tuple[bytes, I64, I64]:
    return block, text_ends[:-1], text_ends[1:]


def _spaces_closed(block: bytes, text_ends: I64) -> tuple[bytes, I64, I64]:
    raw = np.frombuffer(block, np.uint8)
    gaps = np.frombuffer(block.translate(_SPACE_BYTES), bool).copy()
    for lead, (rest, num_bytes) in _HIGH_SPACES.items():
        places = np.flatnonzero(raw == lead)
        found = raw.take(places + 1).astype(np.int64)
        if num_bytes == 3:
            found = found << 8 | raw.take(places + 2)
        places = places[np.isin(found, rest)]
        for byte in range(num_bytes):
            gaps[places + byte] = True
    return _close_gaps(raw, gaps, text_ends)


def _letters_alone(block: bytes, text_ends: I64) -> tuple[bytes, I64, I64]:
    folded = find_units(block, text_ends)[0][1 : len(block) + 1]
    return _close_gaps(folded, folded == 0, text_ends)


#: Parameter -> (bytes of a block of texts, where they end) -> (normalised bytes, where each text starts and stops).
NORMALIZATIONS: dict[str, Callable[[bytes, I64], tuple[bytes, I64, I64]]] = {
    "none": _as_written,
    "whitespace": _spaces_closed,
    "letters": _letters_alone,
}


def _close_gaps(letters: U8, gaps: npt.NDArray[np.bool_], text_ends: I64) -> tuple[bytes, I64, I64]:
    """The letters with each run of gaps as one space, but for those at the ends of a text."""
    # Few bytes are gaps and fewer go: the work is done at their places alone.
    places = np.flatnonzero(gaps)
    first_of_text = np.zeros(len(letters) + 1, bool)
    first_of_text[text_ends] = True
    goes = first_of_text.take(places)
    goes[1:] |= places[1:] == places[:-1] + 1
    closed = letters.copy()
    closed[places] = 0x20
    gone = places[goes]
    kept = np.ones(len(letters), bool)
    kept[gone] = False
    closed = closed[kept] if len(gone) else closed
    ends = text_ends - np.searchsorted(gone, text_ends)
    starts, stops = ends[:-1], ends[1:]
    ends_in_gap = (stops > starts) & (closed.take(stops - 1, mode="clip") == 0x20) if len(closed) else 0
    return closed.tobytes(), starts, stops - ends_in_gap


def _shingle_block(block: bytes, text_ends: I64, size: int) -> tuple[U64, I64]:
    """Shingle hashes of a few texts and how many each has."""
    folded, starts, stops = find_units(block, text_ends)
    units = hash_units(folded, starts, stops)
    unit_ends = np.searchsorted(starts, text_ends + 1)  # the padding moved all by one
    num_units = np.diff(unit_ends)
    factors = constants64(size, seed=0)

    grams = np.zeros(len(units), np.uint64)
    for k in range(min(size, len(units))):
        grams[: len(units) - k] += units[k:] * factors[k]
    short = np.flatnonzero((num_units > 0) & (num_units < size))
    grams[unit_ends[short]] = 0
    for k in range(size - 1):
        long_enough = short[num_units[short] > k]
        grams[unit_ends[long_enough]] += units[unit_ends[long_enough] + k] * factors[k]

    # The last size - 1 units of a text begin no shingle, but for the first of a short text.
    counts = np.where(num_units > 0, np.maximum(num_units - (size - 1), 1), 0)
    firsts = np.cumsum(counts) - counts
    chosen = np.repeat(unit_ends[:-1] - firsts, counts) + np.arange(counts.sum())
    return mix64(grams.take(chosen)), counts
