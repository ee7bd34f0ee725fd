"""BPE-dropout: the text of a train row in other tokens each time it is read, by merges that are left out at random.

    rows of a step + (seed, sample number)  ->  rows of the same texts, cut more finely

The algorithm, of every pre-token at each step: every merge that is possible is left out with probability ``dropout``; of
the others the first in rank (of equal ones the leftmost) is done; where none is left, the pre-token is finished. Source:
Provilkov et al. 2020, "BPE-Dropout", arXiv 1910.13267, algorithm 1.

Chance comes from Philox, a counter-based generator (Salmon et al. 2011), keyed by the seed and the sample's number; a row
takes its numbers in the order of its places and of nobody else's. So any process, any micro batch and a resumed run see
equal rows.

A row that grows beyond its length is cut at its end: the documents on its left stay whole, and what is cut is counted.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pipelines.spine.errors import CorpusmillError
from pipelines.token_shards import Integers, Row
from tokenizer.bpe import byte_chars
from tokenizer.encoding import Encoder
from train.data import Batch, CountedRows, TokenRows, make_batch

#: Distinct pre-tokens whose ids without dropout are remembered; then the memory starts anew. 200 bytes each.
REMEMBERED = 200_000
_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class DroppedRows:
    """A step's rows after dropout.

    Attributes:
        num_cut: tokens that did not fit into their rows any more, of all rows together.
    """

    rows: Sequence[Row]
    seq_len: int
    num_cut: int

    @property
    def num_rows(self) -> int:
        return len(self.rows)

    @property
    def num_targets(self) -> int:
        return sum(row.num_trained for row in self.rows)

    def row(self, place: int) -> Row:
        return self.rows[place]

    def batch(self, places: Sequence[int]) -> Batch:
        return make_batch([self.rows[place] for place in places], self.seq_len, score_starts=True)


def dropped_rows(
    rows: TokenRows, indices: Sequence[int], samples: Sequence[int], encoder: Encoder, dropout: float, seed: int
) -> CountedRows:
    """The rows of a step with merges left out at random; a pure function of its arguments.

    Args:
        rows: of the train split.
        indices: the rows' numbers.
        samples: of each row the number of the sample that it is: another epoch is another sample.
        encoder: the tokenizer of the shards.
        dropout: probability that a possible merge is left out, below 1; 0 gives the rows as they are.
    Raises:
        CorpusmillError: the tokenizer changes texts before it cuts them.
    """
    if dropout == 0:
        return rows.step_rows(indices)
    cutter, width = _cutter(encoder), rows.facts.seq_len + 1
    old = [rows.row(index) for index in indices]
    words = [cutter.words_of(row) for row in old]
    chance = [np.random.Generator(np.random.Philox(key=[seed, sample])) for sample in samples]
    new = cutter.merged([ids for ids, _, _ in words], [borders for _, borders, _ in words], dropout, chance)
    fitted = [
        _fitted(row, ids, segments[places], width, encoder.document_start_id)
        for row, (ids, places), (_, _, segments) in zip(old, new, words, strict=True)
    ]
    return DroppedRows([row for row, _ in fitted], width - 1, sum(cut for _, cut in fitted))


class _Cutter:
    """A tokenizer's merges as arrays, and its pattern."""

    def __init__(self, encoder: Encoder) -> None:
        document = encoder.document
        vocab: dict[str, int] = document["model"]["vocab"]
        self._tokens, self._vocab_size = encoder.tokens, encoder.vocab_size
        self._pre_tokenizer = Tokenizer.from_str(_plain(document)).pre_tokenizer
        unchanged = [piece for piece, _ in self._pre_tokenizer.pre_tokenize_str("a")] == ["a"]
        if document.get("normalizer") is not None or not unchanged:
            raise CorpusmillError(
                "the tokenizer changes texts before it cuts them", where="tokenizer.json",
                expected="no normalizer, no add_prefix_space", hint="set pretrain.bpe_dropout: 0.0",
            )  # fmt: skip
        self._byte_ids = {char: vocab[char] for char in byte_chars().values()}
        pairs = [m.split(" ") if isinstance(m, str) else m for m in document["model"]["merges"]]
        merges = np.array([(vocab[a], vocab[b], vocab[a + b]) for a, b in pairs], np.int64).reshape(-1, 3)
        keys = merges[:, 0] * self._vocab_size + merges[:, 1]
        self._rank_of_key = np.argsort(keys, kind="stable")
        self._keys, self._result_of_rank = keys[self._rank_of_key], merges[:, 2]
        self._whole: dict[str, tuple[list[int], list[int]]] = {}

    def words_of(self, row: Row) -> tuple[list[int], list[int], Integers]:
        """The row as words that no merge crosses: pre-tokens in bytes, and ids that stay as words of their own.

        Returns:
            (ids, ids of each word, segment of each id).
        """
        ids: list[int] = []
        lengths: list[int] = []
        counts = []
        for start, length in zip(row.starts.tolist(), row.lengths.tolist(), strict=True):
            before = len(ids)
            self._add_segment(row.tokens[start : start + length].tolist(), ids, lengths)
            counts.append(len(ids) - before)
        return ids, lengths, np.repeat(np.arange(len(counts)), counts)

    def _add_segment(self, old: list[int], ids: list[int], lengths: list[int]) -> None:
        """The first id of a segment is its document's start, or context: it stays. So do characters that are cut."""
        first, last = _whole_characters([self._tokens[index] for index in old], 1)
        for index in old[:first]:
            ids.append(index)
            lengths.append(1)
        text = b"".join([self._tokens[index] for index in old[first:last]]).decode()
        pieces = [piece for piece, _ in self._pre_tokenizer.pre_tokenize_str(text)] if text else []
        whole = self._whole_ids(pieces)
        at, place = first, 0
        while place < len(pieces):
            found, in_bytes = whole[pieces[place]]
            if old[at : at + len(found)] == found:
                ids += in_bytes
                lengths.append(len(in_bytes))
                at, place = at + len(found), place + 1
                continue
            # At the edge of a cut document the pattern may see other borders than in the whole text: what does not
            # agree with the shard keeps its tokens, up to the next border of both.
            stop, place = self._next_border(old, at, pieces, place)
            ids += old[at:stop]
            lengths += [1] * (stop - at)
            at = stop
        ids += old[last:]
        lengths += [1] * (len(old) - last)

    def _next_border(self, old: list[int], at: int, pieces: list[str], place: int) -> tuple[int, int]:
        """The first id and the first pre-token behind the nearest place where both begin anew."""
        of_ids = of_pieces = 0
        while True:
            if of_ids <= of_pieces:
                of_ids += len(self._tokens[old[at]])
                at += 1
            else:
                of_pieces += len(pieces[place])
                place += 1
            if of_ids == of_pieces:
                return at, place

    def _whole_ids(self, pieces: list[str]) -> dict[str, tuple[list[int], list[int]]]:
        """Of each pre-token its ids without dropout, and those of its bytes."""
        unseen = list(dict.fromkeys(piece for piece in pieces if piece not in self._whole))
        if unseen:
            if len(self._whole) + len(unseen) > REMEMBERED:
                self._whole = {}
                unseen = list(dict.fromkeys(pieces))
            in_bytes = [[self._byte_ids[char] for char in piece] for piece in unseen]
            lengths = [len(ids) for ids in in_bytes]
            ((merged, places),) = self.merged([list(itertools.chain(*in_bytes))], [lengths], 0.0, [None])
            borders = np.searchsorted(places, np.cumsum([0, *lengths])).tolist()
            found = merged.tolist()
            for piece, ids, (start, stop) in zip(unseen, in_bytes, itertools.pairwise(borders), strict=True):
                self._whole[piece] = found[start:stop], ids
        return self._whole

    def merged(
        self, ids: Sequence[list[int]], lengths: Sequence[list[int]], dropout: float,
        chance: Sequence[np.random.Generator | None],
    ) -> list[tuple[Integers, Integers]]:  # fmt: skip
        """Of each row its ids after the merges, and the place in ``ids`` at which each of them begins.

        All rows advance together, one merge a word at a time: numpy's cost is by call.
        """
        sizes = [len(part) for part in ids]
        tokens, word_lengths = (np.array(list(itertools.chain(*parts)), np.int64) for parts in (ids, lengths))
        word = np.repeat(np.arange(len(word_lengths)), word_lengths)
        row = np.repeat(np.arange(len(sizes)), sizes)
        place = np.arange(len(tokens))
        finished: list[tuple[Integers, Integers]] = []
        # A word of one id has nothing to merge.
        active = word_lengths[word] > 1
        while True:
            finished.append((tokens[~active], place[~active]))
            tokens, word, row, place = (array[active] for array in (tokens, word, row, place))
            if not len(tokens):
                break
            rank = self._ranks(tokens, word)
            if dropout:
                _leave_out(rank, row, dropout, chance)
            # Rank first, then place; both fit into 63 bits.
            order = np.where(rank == _NONE, _NONE, (rank << 32) + np.arange(len(rank)))
            starts = np.flatnonzero(np.diff(word, prepend=-1))
            best = np.minimum.reduceat(order, starts)
            goes_on = best != _NONE
            at = best[goes_on] & 0xFFFFFFFF
            tokens[at] = self._result_of_rank[best[goes_on] >> 32]
            kept = np.ones(len(tokens), bool)
            kept[at + 1] = False
            active = np.repeat(goes_on, np.diff(np.append(starts, len(tokens))))[kept]
            tokens, word, row, place = (array[kept] for array in (tokens, word, row, place))
        merged, places = (np.concatenate(parts) for parts in zip(*finished, strict=True))
        by_place = np.argsort(places, kind="stable")
        merged, places = merged[by_place], places[by_place]
        ends = np.cumsum([0, *sizes])
        borders = np.searchsorted(places, ends)
        return [
            (merged[start:stop], places[start:stop] - first)
            for (start, stop), first in zip(itertools.pairwise(borders.tolist()), ends[:-1].tolist(), strict=True)
        ]

    def _ranks(self, tokens: Integers, word: Integers) -> Integers:
        """The rank of the merge of each id with the one behind it; ``_NONE`` where there is none."""
        rank = np.full(len(tokens), _NONE)
        if len(tokens) < 2 or not len(self._keys):
            return rank
        key = tokens[:-1] * self._vocab_size + tokens[1:]
        found = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        known = np.flatnonzero((self._keys[found] == key) & (word[1:] == word[:-1]))
        rank[known] = self._rank_of_key[found[known]]
        return rank


def _leave_out(rank: Integers, row: Integers, dropout: float, chance: Sequence[np.random.Generator | None]) -> None:
    """Leaves out each possible merge with the probability ``dropout``; every row draws from its own chance."""
    possible = np.flatnonzero(rank != _NONE)
    counts = np.bincount(row[possible], minlength=len(chance)).tolist()
    drawn = [one.random(n) for one, n in zip(chance, counts, strict=True) if one is not None and n]
    rank[possible[np.concatenate([np.empty(0), *drawn]) < dropout]] = _NONE


@functools.lru_cache(maxsize=2)
def _cutter(encoder: Encoder) -> _Cutter:
    return _Cutter(encoder)


def _fitted(row: Row, ids: Integers, segments: Integers, width: int, pad_id: int) -> tuple[Row, int]:
    """The row of these ids, and how many of them it has no place for."""
    tokens = np.full(width, pad_id, row.tokens.dtype)
    kept = min(len(ids), width)
    tokens[:kept] = ids[:kept]
    lengths = np.bincount(segments[:kept])
    return Row(tokens, lengths.astype(row.lengths.dtype), row.offsets[: len(lengths)]), len(ids) - kept


def _whole_characters(tokens: Sequence[bytes], first: int) -> tuple[int, int]:
    """The longest run of tokens from ``first`` on that begins and ends between two characters: [start, stop)."""
    stop = len(tokens)
    while first < stop and _continues(tokens[first][0]):
        first += 1  # this token begins inside a character
    while stop > first and not _ends_whole(tokens[first:stop]):
        stop -= 1
    return first, stop


def _continues(byte: int) -> bool:
    return 0x80 <= byte < 0xC0


def _ends_whole(tokens: Sequence[bytes]) -> bool:
    """Whether the last bytes are a whole character."""
    tail = b""
    for token in reversed(tokens):
        tail = token + tail
        for behind in range(1, min(4, len(tail)) + 1):
            byte = tail[-behind]
            if not _continues(byte):
                return behind == (1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False


def _plain(document: dict[str, Any]) -> str:
    """The tokenizer without what would find special tokens in a text, shorten or pad it."""
    return json.dumps({**document, "added_tokens": [], "truncation": None, "padding": None})
