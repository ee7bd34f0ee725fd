"""Token shards -> batches: memory-mapped rows, targets, and which targets count.

Words (see ``docs``): a *row* holds ``seq_len`` + 1 tokens; a *segment* is one document's run of tokens inside it; a
*continuing* segment starts in the middle of its document (``doc_offset`` > 0) and repeats the token before as context.

Worked example, ``seq_len`` 7, two segments of 4 and 3 tokens, the second continuing, one place of padding (0 = start id):

    position        0  1  2  3  4  5  6  7
    token           0 11 12 13 25 26 27  0      segment_lengths 4 3, doc_offsets 0 9
    segment         1  1  1  1  2  2  2  0
    input           0 11 12 13 25 26 27         positions 0..6
    target         11 12 13  . 26 27  .         positions 1..7: 25 is context (scored in an earlier row), 0 is padding
"""

import bisect
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipelines.token_shards import Integers, Row, SplitRows

#: Target of a position that is not counted; the value that torch's cross entropy ignores.
IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """Rows ready for the model, int64 ``[B, T]`` with T = ``seq_len``.

    Attributes:
        tokens: inputs.
        segments: segment of each input, 1.. from the left; 0 is padding.
        targets: the next token, or ``IGNORED``.
    """

    tokens: Integers
    segments: Integers
    targets: Integers


class StepRows(Protocol):
    """The global batch of one step: its rows in order, of which each process takes some."""

    @property
    def num_rows(self) -> int: ...

    @property
    def num_targets(self) -> int:
        """Targets that count, over all rows: what the loss is divided by."""
        ...

    def batch(self, places: Sequence[int]) -> Batch:
        """The rows at those places of the step."""
        ...


class CountedRows(StepRows, Protocol):
    """The same with what a ledger counts."""

    @property
    def num_cut(self) -> int:
        """Tokens that no longer fit into their rows: of BPE-dropout."""
        ...

    def row(self, place: int) -> Row:
        """The row at that place of the step, as it is trained on."""
        ...


class TokenRows(SplitRows):
    """The rows of one split as batches for the model."""

    def step_rows(self, indices: Sequence[int]) -> CountedRows:
        """The rows of those numbers as they are."""
        return _StepRows(self, indices)

    @property
    def sources(self) -> tuple[tuple[str, int], ...]:
        """(source, rows) of each shard, in the order of the split's rows."""
        return tuple(zip(self._sources, (entry.rows for entry in self.shards.entries), strict=True))

    def source_of(self, index: int) -> str:
        """The source of one row, by its number in the split."""
        return self._sources[bisect.bisect_right(self.first_rows, index) - 1]

    @functools.cached_property
    def _sources(self) -> tuple[str, ...]:
        return tuple(self.shards.sources())

    def token_batch(self, indices: Sequence[int]) -> Integers:
        """The ids of some rows, int64 ``[rows, seq_len + 1]``, and nothing else."""
        return gather([self.tokens(index) for index in indices], self.facts.seq_len + 1)

    def training_batch(self, indices: Sequence[int]) -> Batch:
        """The rows with document starts among the targets, so that the model learns where documents end."""
        return self._batch(indices, score_starts=True)

    def scoring_batch(self, indices: Sequence[int]) -> Batch:
        """The rows with text tokens alone as targets: each text token of the split exactly once over all rows."""
        return self._batch(indices, score_starts=False)

    def _batch(self, indices: Sequence[int], score_starts: bool) -> Batch:
        return make_batch([self.row(index) for index in indices], self.facts.seq_len, score_starts)


@dataclass(frozen=True)
class _StepRows:
    rows: TokenRows
    indices: Sequence[int]
    num_cut: int = 0

    @property
    def num_rows(self) -> int:
        return len(self.indices)

    @property
    def num_targets(self) -> int:
        return sum(self.rows.row(index).num_trained for index in self.indices)

    def row(self, place: int) -> Row:
        return self.rows.row(self.indices[place])

    def batch(self, places: Sequence[int]) -> Batch:
        return self.rows.training_batch([self.indices[place] for place in places])


def make_batch(rows: Sequence[Row], seq_len: int, score_starts: bool) -> Batch:
    """Rows as the model takes them; ``score_starts``: document starts are targets too."""
    width = seq_len + 1
    tokens = gather([row.tokens for row in rows], width)
    lengths, offsets = (np.concatenate(parts) for parts in ([r.lengths for r in rows], [r.offsets for r in rows]))
    row_of = np.repeat(np.arange(len(rows)), [len(row.lengths) for row in rows])
    # The runs of all rows in one line: each row's segments, numbered from 1, then its padding, number 0.
    place = np.arange(len(lengths)) + row_of
    firsts = np.searchsorted(row_of, np.arange(len(rows)))
    runs = np.full(len(lengths) + len(rows), width)
    runs[place] = lengths
    used = np.add.reduceat(lengths, firsts)
    runs[np.append(firsts[1:], len(lengths)) + np.arange(len(rows))] -= used
    numbers = np.zeros(len(runs), np.int64)
    numbers[place] = np.arange(1, len(lengths) + 1) - firsts[row_of]
    segments = np.repeat(numbers, runs).reshape(-1, width)

    targets = tokens.copy()
    for row in np.flatnonzero(used < width):
        targets[row, used[row] :] = IGNORED
    starts = (np.cumsum(runs) - runs)[place]
    targets.reshape(-1)[starts[offsets > 0] if score_starts else starts] = IGNORED
    # The first position of a row has nothing before it, so that it is no target whatever stands there.
    return Batch(tokens[:, :-1], segments[:, :-1], targets[:, 1:])


def gather(rows: Sequence[Integers], width: int) -> Integers:
    """Equally long views as one int64 array; a copy a row, no slower than numpy's own gathering from one array."""
    found = np.empty((len(rows), width), np.int64)
    for place, row in enumerate(rows):
        found[place] = row
    return found
