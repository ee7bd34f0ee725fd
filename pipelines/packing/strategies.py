"""Which piece of which document stands in which row."""

from dataclasses import dataclass

import numpy as np

from pipelines.packing.pieces import Pieces, expect_target, pieces_of, split_documents, truncate_documents

STRATEGIES = ("best_fit", "concatenate")
LONG_DOCUMENTS = ("split", "truncate")


@dataclass(frozen=True)
class RowPlan:
    """Rows as the segments inside them, in row order and left to right; a function of the lengths alone.

    Attributes:
        row_len: places of a row.
        row_offsets: int64 ``[rows + 1]``; the segments of row r are ``row_offsets[r]:row_offsets[r + 1]``.
        segments: one piece a segment, in that order.
    """

    row_len: int
    row_offsets: np.ndarray
    segments: Pieces

    @property
    def num_rows(self) -> int:
        return len(self.row_offsets) - 1

    @property
    def num_padding(self) -> int:
        """Places that belong to no segment."""
        return self.num_rows * self.row_len - int(self.segments.length.sum())

    @property
    def num_tokens(self) -> int:
        """Ids of documents in rows, each counted once: without padding and without repeated context."""
        return int(self.segments.length.sum()) - self.segments.num_repeated


def plan_rows(offsets: np.ndarray, row_len: int, strategy: str, long_documents: str) -> RowPlan:
    """The rows of a unit's documents.

    Args:
        offsets: int64 ``[documents + 1]``; document d is ``ids[offsets[d]:offsets[d + 1]]``.
        row_len: places of a row, at least 2.
        strategy: ``best_fit`` or ``concatenate``.
        long_documents: ``split`` or ``truncate``: what best fit does with a document longer than a row.
    Raises:
        CorpusmillError: ``row_len`` is below 2.
    """
    if strategy == "concatenate":
        return concatenate(offsets, row_len)
    cut = truncate_documents if long_documents == "truncate" else split_documents
    return best_fit(cut(offsets, row_len), row_len)


def best_fit(pieces: Pieces, row_len: int) -> RowPlan:
    """Best-fit decreasing: pieces from long to short, each into the row where it leaves the least space.

    A row's segments stand in document order, and rows are ordered by their first segment.

    Memory: about 100 bytes a piece that does not fill a row, 50 bytes one that does.
    """
    row = _rows_by_first_piece(_best_fit_decreasing(pieces.length, row_len))
    order = np.argsort(row, kind="stable")
    return RowPlan(row_len, _borders(row), pieces.take(order))


def concatenate(offsets: np.ndarray, row_len: int) -> RowPlan:
    """Documents one after another, cut where a row ends; the continuing segment repeats one id of context.

    Every row but the last is full. Where only the document start of a longer document would fit at a row's end, the
    document begins in the next row, and the place is padding: the same id, which there is nobody's target.

    Args:
        offsets: as in `plan_rows`.
        row_len: at least 2.
    """
    expect_target(row_len)
    lengths, step = np.diff(offsets), row_len - 1
    first_row, first_length = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    row, space = 0, row_len
    for document, length in enumerate(lengths.tolist()):
        if space < min(length, 2):
            row, space = row + 1, row_len
        first = min(space, length)
        first_row[document], first_length[document] = row, first
        space -= first
        if first < length:
            more = -((first - length) // step)  # rows that the document goes on in
            row += more
            space = row_len - 1 - (length - first - (more - 1) * step)
    pieces = pieces_of(offsets, first_length, row_len)
    head = np.flatnonzero(pieces.doc_offset == 0)
    index = np.arange(len(pieces.length)) - np.repeat(head, np.diff(np.append(head, len(pieces.length))))
    return RowPlan(row_len, _borders(first_row[pieces.document] + index), pieces)


def _borders(row: np.ndarray) -> np.ndarray:
    """Where the segments of each row begin and end once they are sorted by row, int64 ``[rows + 1]``."""
    num_rows = int(row.max()) + 1 if len(row) else 0
    return np.concatenate([[0], np.cumsum(np.bincount(row, minlength=num_rows))]).astype(np.int64)


def _best_fit_decreasing(length: np.ndarray, row_len: int) -> np.ndarray:
    """The row of each piece, int64: longest first, each to the row with the least space that suffices.

    Rows of equal space are interchangeable, so the state is one stack of rows per space and a bitmask (a Python
    integer) of the stacks that are not empty: the least sufficient space is its lowest bit from ``length`` on.
    Pieces that fill a row come first and need no search.
    """
    order = np.argsort(-length, kind="stable")
    row = np.empty(len(length), np.int64)
    num_rows = int(np.count_nonzero(length == row_len))
    row[order[:num_rows]] = np.arange(num_rows)
    order = order[num_rows:]
    chosen = []
    stacks: list[list[int]] = [[] for _ in range(row_len)]
    spaces = 0
    for size in length[order].tolist():
        enough = spaces >> size
        if enough:
            space = size + (enough & -enough).bit_length() - 1
            stack = stacks[space]
            chosen.append(stack.pop())
            if not stack:
                spaces ^= 1 << space
        else:
            space = row_len
            chosen.append(num_rows)
            num_rows += 1
        space -= size
        if space:
            stacks[space].append(chosen[-1])
            spaces |= 1 << space
    row[order] = chosen
    return row


def _rows_by_first_piece(row: np.ndarray) -> np.ndarray:
    """The same assignment with rows renumbered in the order of their first pieces."""
    num_rows = int(row.max()) + 1 if len(row) else 0
    first = np.empty(num_rows, np.int64)
    first[row[::-1]] = np.arange(len(row))[::-1]  # the last write of each row wins: its first piece
    rank = np.empty(num_rows, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(num_rows)
    return rank[row]
