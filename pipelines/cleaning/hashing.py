"""64-bit hashes of words, and of any run of neighbouring ones, by integer arithmetic alone: the same on every machine."""

import functools
import hashlib

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

#: A word of more bytes goes through BLAKE2b, lest a megabyte without a space cost 100,000 array passes.
LONG_WORD_BYTES = 64
#: 2^64 divided by the golden ratio, odd: spreads neighbouring numbers.
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
#: Powers of it that are kept, for a batch of the usual size.
KEPT_POWERS = 1 << 17


def hash_word(word: str) -> np.uint64:
    """What `Words.hashes` holds for a word."""
    data = word.encode()
    return hash_words(data + bytes(8), np.array([0]), np.array([len(data)]))[0]


def mix64(values: U64) -> U64:
    """The values, scrambled by the finalizer of SplitMix64 (Steele et al. 2014): a bijection of 64 bits."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def hash_words(data: bytes, starts: I64, stops: I64) -> U64:
    """A hash of the bytes of each word: eight bytes at a time, for all words that have so many.

    Args:
        data: the words' bytes, and at least eight more.
        starts, stops: the first byte of each word and the byte after its last, int64 ``[n_words]``.
    """
    # `take` would copy an array that is not aligned, each time.
    eights: U64 = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,)).copy()
    masks = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)
    lengths = stops - starts
    # The length is the seed: the padding of the last eight bytes is not part of a word.
    hashes = lengths.astype(np.uint64)
    longer, places, left = np.arange(len(starts)), starts, lengths
    for _ in range(0, LONG_WORD_BYTES, 8):
        parts = eights.take(places)
        parts &= masks.take(left, mode="clip")
        parts ^= hashes.take(longer) * HASH_FACTOR
        hashes[longer] = mix64(parts)
        more = np.flatnonzero(left > 8)
        if not len(more):
            break
        longer, places, left = longer.take(more), places.take(more) + 8, left.take(more) - 8
    for word in np.flatnonzero(lengths > LONG_WORD_BYTES).tolist():
        digest = hashlib.blake2b(data[starts[word] : stops[word]], digest_size=8).digest()
        hashes[word] = int.from_bytes(digest, "little")
    return hashes


class SpanHashes:
    """Hashes of any run of neighbouring items, by prefix sums of hash x base^place modulo 2^64."""

    def __init__(self, hashes: U64):
        powers, self._inverses = _powers(max(KEPT_POWERS, 1 << len(hashes).bit_length()))
        self._sums = np.zeros(len(hashes) + 1, np.uint64)
        np.cumsum(hashes * powers[: len(hashes)], out=self._sums[1:])

    def between(self, starts: I64, stops: I64) -> U64:
        """Hashes of the runs from ``starts[i]`` to before ``stops[i]``, uint64 ``[n_runs]``: equal for equal runs."""
        return mix64((self._sums.take(stops) - self._sums.take(starts)) * self._inverses.take(starts))


@functools.lru_cache(maxsize=1)
def _powers(number: int) -> tuple[U64, U64]:
    """The first powers of the base, and those of its inverse modulo 2^64."""
    powers = np.full(number, HASH_FACTOR)
    inverses = np.full(number, pow(int(HASH_FACTOR), -1, 2**64), np.uint64)
    powers[0] = inverses[0] = 1
    return np.multiply.accumulate(powers), np.multiply.accumulate(inverses)
