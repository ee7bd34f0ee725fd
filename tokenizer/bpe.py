"""Byte-level BPE merges from (pre-token, count), the same as ``tokenizers``' ``BpeTrainer`` learns.

    [(b"low", 5), (b"lower", 2)]  ->  [(b"l", b"o"), (b"lo", b"w"), (b"e", b"r"), (b"low", b"er")]

The rule: merge the most frequent adjacent pair everywhere, left to right; of equally frequent pairs the one with the
smallest pair of ids. Ids: the 256 bytes in ``ALPHABET`` order, then one new id a merge. Counts are 64-bit (the
library's are 32-bit and wrap at 2**31). Source: ``tokenizers/src/models/bpe/trainer.rs`` and ``word.rs``.

Two facts keep this fast and small. (1) No merge ever spells a token that exists already: between two boundaries that
survive, the same bytes are always cut in the same way, so when ``A+B`` became a token, every other place that reads
the same bytes held ``A, B`` too. (2) Hence a pair gets all its occurrences in the one merge that made its younger
token, and from then on its count only falls. So pairs rarer than a floor need no bookkeeping until every pair above
it is merged; then the floor is lowered and the pairs are counted afresh.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

import numpy as np

#: About how many pairs are kept in the queue: bounds the memory for pairs, whatever the corpus (about 60 MB).
PAIRS_AT_ONCE = 1 << 17

_SEPARATOR, _GONE = -1, -2


def byte_chars() -> dict[int, str]:
    """Byte -> the printable character that stands for it in ``tokenizer.json`` (GPT-2's ``bytes_to_unicode``)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


#: The 256 single bytes in the order of their characters: the order in which the library gives them ids.
ALPHABET: tuple[bytes, ...] = tuple(bytes([byte]) for byte, char in sorted(byte_chars().items(), key=lambda e: e[1]))


def learn_merges(
    counts: Sequence[tuple[bytes, int]], num_merges: int, pairs_at_once: int = PAIRS_AT_ONCE
) -> list[tuple[bytes, bytes]]:
    """The merges in the order learned; fewer than asked for when no adjacent pair is left.

    Args:
        counts: pre-tokens and how often each stands in the text (>= 1). Their order does not matter.
        num_merges: how many to learn. The merges for a smaller number are a prefix.
        pairs_at_once: how many pairs the queue is filled with; changes speed and memory, never the result.
    """
    words = _Words(counts)
    queue = _PairQueue(words, pairs_at_once)
    tokens = list(ALPHABET)
    merges: list[tuple[bytes, bytes]] = []
    while len(merges) < num_merges:
        best = queue.pop()
        if best is None:
            break
        (left, right), positions = best
        queue.update(*words.merge(left, right, positions, len(tokens)))
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    return merges


class _Words:
    """All pre-tokens in one array of symbols, linked so that a merge touches only its own places.

    A position is live (symbol >= 0), a separator around each word, or gone (the right half of a merge).
    Memory: 20 bytes a byte of distinct pre-tokens.
    """

    def __init__(self, counts: Sequence[tuple[bytes, int]]) -> None:
        lengths = np.array([len(word) for word, _ in counts], np.int64)
        size = int(lengths.sum()) + len(counts) + 1
        ends = np.cumsum(lengths + 1)
        inside = np.ones(size, bool)
        inside[0] = False
        inside[ends] = False
        id_of_byte = np.empty(256, np.int32)
        id_of_byte[np.frombuffer(b"".join(ALPHABET), np.uint8)] = np.arange(256)
        self.symbol = np.full(size, _SEPARATOR, np.int32)
        self.symbol[inside] = id_of_byte[np.frombuffer(b"".join(word for word, _ in counts), np.uint8)]
        self.next = np.arange(1, size + 1, dtype=np.int32)
        self.previous = np.arange(-1, size - 1, dtype=np.int32)
        self.weight = np.zeros(size, np.int64)
        self.weight[1:] = np.repeat(np.array([count for _, count in counts], np.int64), lengths + 1)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys int64 and left positions int32 of all adjacent pairs, in text order."""
        place = np.flatnonzero(self.symbol != _GONE).astype(np.int32)
        symbol = self.symbol[place]
        inner = np.flatnonzero((symbol[:-1] >= 0) & (symbol[1:] >= 0))
        return _key(symbol[inner], symbol[inner + 1]), place[inner]

    def merge(self, left: int, right: int, positions: np.ndarray, new: int) -> tuple[np.ndarray, ...]:
        """Replaces (left, right) by ``new`` at the positions where it still stands.

        Args:
            positions: ascending; may hold places where the pair is no more.
        Returns:
            keys and weights of the pairs lost beside it; keys, left positions and weights of the pairs gained.
        """
        symbol, following, previous = self.symbol, self.next, self.previous
        first = positions[symbol[positions] == left]
        second = following[first]
        stands = symbol[second] == right
        first, second = first[stands], second[stands]
        if left == right:
            kept = _every_other(first, second)
            first, second = first[kept], second[kept]
        before, after = previous[first], following[second]
        symbol[first], symbol[second] = new, _GONE
        following[first], previous[after] = after, first
        weight = self.weight[first]

        # A neighbour that is gone, or new, belongs to the next occurrence of the same pair: "ab ab" is counted once.
        old_before, now_after = symbol[before], symbol[after]
        old_after = np.where(now_after == new, left, now_after)
        in_word, has_right = old_before >= 0, now_after >= 0
        lost = np.concatenate([_key(old_before[in_word], left), _key(right, old_after[has_right])])
        lost_weight = np.concatenate([weight[in_word], weight[has_right]])

        before = previous[first]
        now_before = symbol[before]
        has_left, has_right = now_before >= 0, has_right & (now_after != new)
        gained = np.concatenate([_key(now_before[has_left], new), _key(new, now_after[has_right])])
        places = np.concatenate([before[has_left], first[has_right]])
        return lost, lost_weight, gained, places, np.concatenate([weight[has_left], weight[has_right]])


class _PairQueue:
    """The pairs that occur at least ``floor`` times, most frequent first; entries go stale and are checked when taken."""

    def __init__(self, words: _Words, pairs_at_once: int) -> None:
        self.words = words
        self.pairs_at_once = pairs_at_once
        self._fill()

    def pop(self) -> tuple[tuple[int, int], np.ndarray] | None:
        """The best pair and the positions where it may stand, or None when no pair is left."""
        while True:
            while self.heap:
                negative, key = heapq.heappop(self.heap)
                count = self.counts[key]
                if count == -negative:
                    del self.counts[key]
                    return (key >> 32, key & 0xFFFFFFFF), self.places.pop(key)
                if count >= self.floor:
                    heapq.heappush(self.heap, (-count, key))
                else:
                    del self.counts[key], self.places[key]
            if self.floor == 1:
                return None
            self._fill()

    def update(
        self, lost: np.ndarray, lost_weight: np.ndarray, gained: np.ndarray, places: np.ndarray, weight: np.ndarray
    ) -> None:
        """Takes away the pairs that a merge destroyed and adds those that it made, which are all new."""
        order = np.argsort(lost, kind="stable")
        for key, total, _ in _groups(lost[order], lost_weight[order], 1):
            if key in self.counts:
                self.counts[key] -= total
        order = np.argsort(gained, kind="stable")
        places = places[order]
        for key, total, group in _groups(gained[order], weight[order], self.floor):
            self.counts[key] = total
            self.places[key] = places[group].copy()  # a view would keep its rare neighbours in memory
            heapq.heappush(self.heap, (-total, key))

    def _fill(self) -> None:
        """Counts all pairs afresh and lowers the floor so that about ``pairs_at_once`` of them are kept."""
        keys, places = self.words.pairs()
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        weights = self.words.weight[places]
        totals = np.sort(np.add.reduceat(weights, _starts(keys))) if len(keys) else np.empty(0, np.int64)
        self.floor = int(totals[-self.pairs_at_once]) if len(totals) > self.pairs_at_once else 1
        self.counts: dict[int, int] = {}
        self.places: dict[int, np.ndarray] = {}
        for key, total, group in _groups(keys, weights, self.floor):
            self.counts[key] = total
            self.places[key] = places[group]
        self.heap = [(-total, key) for key, total in self.counts.items()]
        heapq.heapify(self.heap)


def _key(left: np.ndarray | int, right: np.ndarray | int) -> np.ndarray:
    """One int64 a pair; keys compare as pairs do."""
    return (np.asarray(left, np.int64) << 32) | np.asarray(right, np.int64)


def _every_other(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mask of the occurrences of (x, x) that are merged: in "xxxxx" the 1st and 3rd of four, left to right."""
    index = np.arange(len(first))
    begins = np.ones(len(first), bool)
    begins[1:] = second[:-1] != first[1:]
    return (index - np.maximum.accumulate(np.where(begins, index, 0))) % 2 == 0


def _starts(keys: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))


def _groups(keys: np.ndarray, weights: np.ndarray, floor: int) -> Iterator[tuple[int, int, slice]]:
    """(key, sum of weights, its slice) of each run of equal keys whose sum reaches the floor."""
    if not len(keys):
        return
    starts = _starts(keys)
    stops = np.append(starts[1:], len(keys))
    totals = np.add.reduceat(weights, starts)
    for index in np.flatnonzero(totals >= floor).tolist():
        yield int(keys[starts[index]]), int(totals[index]), slice(int(starts[index]), int(stops[index]))
