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
from typing import TypeAlias

import numpy as np
import pyarrow as pa

Counts: TypeAlias = Sequence[tuple[bytes, int]] | pa.Table
Columns: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]

#: Places that are looked at together while pairs are counted.
PLACES_AT_ONCE = 1 << 18
#: About how many pairs are kept in the queue, twice as many at most: bounds the memory for them, whatever the corpus
#: (about 120 MB), but not that for their places.
PAIRS_AT_ONCE = 1 << 17

_SEPARATOR, _GONE = -1, -2


def byte_chars() -> dict[int, str]:
    """Byte -> the printable character that stands for it in ``tokenizer.json`` (GPT-2's ``bytes_to_unicode``)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


#: The 256 single bytes in the order of their characters: the order in which the library gives them ids.
ALPHABET: tuple[bytes, ...] = tuple(bytes([byte]) for byte, char in sorted(byte_chars().items(), key=lambda e: e[1]))


def learn_merges(counts: Counts, num_merges: int, pairs_at_once: int = PAIRS_AT_ONCE) -> list[tuple[bytes, bytes]]:
    """The merges in the order learned; fewer than asked for when no adjacent pair is left.

    Args:
        counts: pre-tokens and how often each stands in the text (>= 1), as pairs or as a table of two columns. Their
            order does not matter.
        num_merges: how many to learn. The merges for a smaller number are a prefix.
        pairs_at_once: how many pairs the queue is filled with; changes speed and memory, never the result.
    """
    words = _Words(counts, num_merges)
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
    """All pre-tokens in one array of symbols, so that a merge touches only its own places.

    A position is live (the first byte of a token: its id), a separator around each word, or gone (the other bytes of a
    token). The last byte of a token holds its length below zero, so that the one before a place is found without links.
    Words lie by falling count: the few borders between counts stand for one weight a position.
    Memory: 4 bytes a byte of distinct pre-tokens, 9 while it is made.
    """

    def __init__(self, counts: Counts, num_merges: int) -> None:
        words, numbers = _columns(counts)
        order = np.argsort(-numbers, kind="stable")
        words, numbers = words.take(pa.array(order)), numbers[order]
        _, offsets, data = words.buffers()
        starts = np.frombuffer(offsets, np.int32)[: len(words) + 1] if len(words) else np.zeros(1, np.int32)
        size = int(starts[-1]) + len(words) + 1
        inside = np.ones(size, bool)
        inside[starts + np.arange(len(starts))] = False
        id_of_byte = np.empty(256, np.int32)
        id_of_byte[np.frombuffer(b"".join(ALPHABET), np.uint8)] = np.arange(256)
        self.symbol = np.full(size, _SEPARATOR, np.int32)
        self.symbol[inside] = id_of_byte[np.frombuffer(data or b"", np.uint8)[: starts[-1]]]
        firsts = _starts(numbers)[: len(numbers)]
        self._run_start = (starts[firsts] + firsts).astype(np.int32)
        self._run_weight = numbers[firsts]
        self.length = np.ones(len(ALPHABET) + num_merges, np.int32)
        del words, offsets, data, starts
        pa.default_memory_pool().release_unused()  # else Arrow keeps the pages of what was put in order

    def weight(self, place: np.ndarray) -> np.ndarray:
        """How often the words at these places stand in the text, int64."""
        return self._run_weight[np.searchsorted(self._run_start, place, side="right") - 1]

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Keys int64 and left positions int32 of all adjacent pairs, in text order, a block of places at a time."""
        for begin in range(0, len(self.symbol), PLACES_AT_ONCE):
            place = np.flatnonzero(self.symbol[begin : begin + PLACES_AT_ONCE] >= 0).astype(np.int32)
            place += np.int32(begin)
            left = self.symbol[place]
            right = self.symbol[place + self.length[left]]
            inner = right >= 0
            yield _key(left[inner], right[inner]), place[inner]

    def merge(self, left: int, right: int, positions: np.ndarray, new: int) -> tuple[np.ndarray, ...]:
        """Replaces (left, right) by ``new`` at the positions where it still stands.

        Args:
            positions: ascending; may hold places where the pair is no more.
        Returns:
            keys and weights of the pairs lost beside it; keys, left positions and weights of the pairs gained.
        """
        symbol, left_length, right_length = self.symbol, self.length[left], self.length[right]
        self.length[new] = left_length + right_length
        first = positions[symbol[positions] == left]
        second = first + left_length
        stands = symbol[second] == right
        first, second = first[stands], second[stands]
        if left == right:
            kept = _every_other(first, second)
            first, second = first[kept], second[kept]
        before, after = self._before(first), second + right_length
        symbol[first], symbol[second] = new, _GONE
        symbol[after - 1] = -self.length[new]
        weight = self.weight(first)

        # A neighbour that is gone, or new, belongs to the next occurrence of the same pair: "ab ab" is counted once.
        old_before, now_after = symbol[before], symbol[after]
        old_after = np.where(now_after == new, left, now_after)
        in_word, has_right = old_before >= 0, now_after >= 0
        lost = np.concatenate([_key(old_before[in_word], left), _key(right, old_after[has_right])])
        lost_weight = np.concatenate([weight[in_word], weight[has_right]])

        before = self._before(first)
        now_before = symbol[before]
        has_left, has_right = now_before >= 0, has_right & (now_after != new)
        gained = np.concatenate([_key(now_before[has_left], new), _key(new, now_after[has_right])])
        places = np.concatenate([before[has_left], first[has_right]])
        return lost, lost_weight, gained, places, np.concatenate([weight[has_left], weight[has_right]])

    def _before(self, place: np.ndarray) -> np.ndarray:
        """Where the token before each place begins, or the separator stands."""
        last = self.symbol[place - 1]
        return np.where(last < _SEPARATOR, place + last, place - 1)


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
        if len(self.counts) > self.most:
            self._raise_floor()

    def _fill(self) -> None:
        """Counts all pairs afresh and lowers the floor so that about ``pairs_at_once`` of them are kept."""
        keys, totals, numbers = self._count_pairs()
        self.floor = self._floor_of(totals)
        keys, totals, numbers = (column[totals >= self.floor] for column in (keys, totals, numbers))
        places, ends = self._find_places(keys, numbers), np.cumsum(numbers)
        self.counts: dict[int, int] = dict(zip(keys.tolist(), totals.tolist(), strict=True))
        self.places: dict[int, np.ndarray] = {}
        # Each pair has an array of its own, so that its memory is free once it is merged; the common one is given
        # back from its end meanwhile, where the system takes pages without copying the rest.
        for key, number, end in zip(keys[::-1].tolist(), numbers[::-1].tolist(), ends[::-1].tolist(), strict=True):
            self.places[key] = places[end - number : end].copy()
            if len(places) - end > PLACES_AT_ONCE:
                places.resize(end - number, refcheck=False)
        self._set_heap()

    def _count_pairs(self) -> Columns:
        """All distinct pairs: keys ascending, sums of weights, and at how many places each stands."""
        found: list[Columns] = [(np.empty(0, np.int64),) * 3]
        waiting = 0
        for keys, places in self.words.pairs():
            found.append(_summed(keys, self.words.weight(places), np.ones(len(keys), np.int64)))
            waiting += len(found[-1][0])
            if waiting > max(PLACES_AT_ONCE, len(found[0][0])):  # seldom: all distinct pairs are sorted again
                found, waiting = [_all_summed(found)], 0
        return _all_summed(found)

    def _find_places(self, keys: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The places of these pairs, int32, one pair after the other, each ascending."""
        places = np.empty(int(numbers.sum()), np.int32)
        filled = np.cumsum(numbers) - numbers
        for found, where in self.words.pairs() if len(keys) else ():
            number = np.searchsorted(keys, found)
            known = keys[np.minimum(number, len(keys) - 1)] == found
            number, where = number[known], where[known]
            order = np.argsort(number, kind="stable")
            number, where = number[order], where[order]
            starts = _starts(number)[: len(number)]
            sizes = np.diff(starts, append=len(number))
            places[np.arange(len(number)) + np.repeat(filled[number[starts]] - starts, sizes)] = where
            filled[number[starts]] += sizes
        return places

    def _raise_floor(self) -> None:
        """Forgets the rarest pairs: merges make new ones, more than are merged. They are counted when it is their turn."""
        self.floor = max(self.floor, self._floor_of(np.fromiter(self.counts.values(), np.int64, len(self.counts))))
        self.counts = {key: count for key, count in self.counts.items() if count >= self.floor}
        self.places = {key: self.places[key] for key in self.counts}
        self._set_heap()

    def _floor_of(self, totals: np.ndarray) -> int:
        """The count that about ``pairs_at_once`` of the pairs reach."""
        rest = len(totals) - self.pairs_at_once
        return int(np.partition(totals, rest)[rest]) if rest > 0 else 1

    def _set_heap(self) -> None:
        self.heap = [(-total, key) for key, total in self.counts.items()]
        heapq.heapify(self.heap)
        # Equally frequent pairs are kept or forgotten together: there may be more than were asked for.
        self.most = 2 * max(self.pairs_at_once, len(self.counts))


def _key(left: np.ndarray | int, right: np.ndarray | int) -> np.ndarray:
    """One int64 a pair; keys compare as pairs do."""
    return (np.asarray(left, np.int64) << 32) | np.asarray(right, np.int64)


def _every_other(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mask of the occurrences of (x, x) that are merged: in "xxxxx" the 1st and 3rd of four, left to right."""
    index = np.arange(len(first))
    begins = np.ones(len(first), bool)
    begins[1:] = second[:-1] != first[1:]
    return (index - np.maximum.accumulate(np.where(begins, index, 0))) % 2 == 0


def _columns(counts: Counts) -> tuple[pa.Array, np.ndarray]:
    """The pre-tokens as one Arrow array and their counts, int64."""
    if isinstance(counts, pa.Table):
        words, numbers = (column.combine_chunks() for column in counts.columns)
        return words, numbers.to_numpy()
    return pa.array([word for word, _ in counts], pa.binary()), np.array([count for _, count in counts], np.int64)


def _summed(keys: np.ndarray, totals: np.ndarray, numbers: np.ndarray) -> Columns:
    """The distinct keys, ascending, and the sums of their totals and numbers."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = _starts(keys)[: len(keys)]
    if len(keys):
        totals, numbers = np.add.reduceat(totals[order], starts), np.add.reduceat(numbers[order], starts)
    return keys[starts], totals, numbers


def _all_summed(parts: Sequence[Columns]) -> Columns:
    keys, totals, numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _summed(keys, totals, numbers)


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
