"""64-bit hashes of words, and of any run of neighbouring ones, by integer arithmetic alone: the same on every machine."""

import hashlib

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

#: A word of more bytes goes through BLAKE2b, lest a megabyte without a space cost 100,000 array passes.
LONG_WORD_BYTES = 64
#: 2^64 divided by the golden ratio, odd: spreads neighbouring numbers.
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def hash_word(word: str) -> np.uint64:
    """What `Words.hashes` holds for a word."""
    data = word.encode()
    return hash_words(data + bytes(8), np.array([0]), np.array([len(data)]))[0]


def mix64(values: U64) -> U64:
    """The values, scrambled by the finalizer of SplitMix64 (Steele et al. 2014): a bijection of 64 bits."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


def hash_words(data: bytes, starts: I64, stops: I64) -> U64:
    """A hash of the bytes of each word: eight bytes at a time, for all words that have so many.

    Args:
        data: the words' bytes, and at least eight more.
        starts, stops: the first byte of each word and the byte after its last, int64 ``[n_words]``.
    """
    eights: U64 = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))
    masks = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)
    lengths = stops - starts
    # The length is the seed: the padding of the last eight bytes is not part of a word.
    hashes = lengths.astype(np.uint64)
    for done in range(0, LONG_WORD_BYTES, 8):
        chosen = np.flatnonzero(lengths > done)
        if not len(chosen):
            break
        part = eights[starts[chosen] + done] & masks.take(lengths[chosen] - done, mode="clip")
        hashes[chosen] = mix64(part ^ (hashes[chosen] * HASH_FACTOR))
    for word in np.flatnonzero(lengths > LONG_WORD_BYTES).tolist():
        digest = hashlib.blake2b(data[starts[word] : stops[word]], digest_size=8).digest()
        hashes[word] = int.from_bytes(digest, "little")
    return hashes


class SpanHashes:
    """Hashes of any run of neighbouring items, by prefix sums of hash x base^place modulo 2^64."""

    def __init__(self, hashes: U64):
        powers = np.full(len(hashes) + 1, HASH_FACTOR)
        inverses = np.full(len(hashes) + 1, pow(int(HASH_FACTOR), -1, 2**64), np.uint64)
        powers[0] = inverses[0] = 1
        self._inverses = np.multiply.accumulate(inverses)
        self._sums = np.zeros(len(hashes) + 1, np.uint64)
        np.cumsum(hashes * np.multiply.accumulate(powers)[:-1], out=self._sums[1:])

    def between(self, starts: I64, stops: I64) -> U64:
        """Hashes of the runs from ``starts[i]`` to before ``stops[i]``, uint64 ``[n_runs]``: equal for equal runs."""
        return mix64((self._sums[stops] - self._sums[starts]) * self._inverses[starts])
