"""Documents -> pieces that fit into a row."""

from dataclasses import dataclass

import numpy as np

from pipelines.spine.errors import CorpusmillError


@dataclass(frozen=True)
class Pieces:
    """Runs of at most a row's length, in document order. All arrays int64 ``[pieces]``.

    Attributes:
        start: where the piece begins in the ids of all documents.
        length: its ids.
        document: the index of its document.
        doc_offset: where it begins in its document; > 0 for a continuing piece, whose first id is repeated context.
    """

    start: np.ndarray
    length: np.ndarray
    document: np.ndarray
    doc_offset: np.ndarray

    @property
    def num_repeated(self) -> int:
        """How many ids stand twice: one for each continuing piece."""
        return int(np.count_nonzero(self.doc_offset))

    @property
    def num_cut(self) -> int:
        """How many documents stand in more than one piece."""
        return len(np.unique(self.document[self.doc_offset > 0]))

    def take(self, order: np.ndarray) -> "Pieces":
        """These pieces in another order."""
        return Pieces(self.start[order], self.length[order], self.document[order], self.doc_offset[order])


def split_documents(offsets: np.ndarray, row_len: int) -> Pieces:
    """Cuts documents longer than a row; each continuing piece begins with the last id of the one before.

    Args:
        offsets: int64 ``[documents + 1]``; document d is ``ids[offsets[d]:offsets[d + 1]]``. Empty ones give no piece.
        row_len: at least 2, since a continuing piece holds its context and one target.
    Raises:
        CorpusmillError: ``row_len`` is below 2.
    """
    expect_target(row_len)
    lengths = np.diff(offsets)
    return pieces_of(offsets, np.minimum(lengths, row_len), row_len)


def truncate_documents(offsets: np.ndarray, row_len: int) -> Pieces:
    """The first ``row_len`` ids of each document; the rest is in no piece.

    Args:
        offsets: as in `split_documents`.
        row_len: at least 2.
    Raises:
        CorpusmillError: ``row_len`` is below 2.
    """
    expect_target(row_len)
    (document,) = np.nonzero(np.diff(offsets))
    length = np.minimum(np.diff(offsets)[document], row_len)
    return Pieces(np.asarray(offsets)[document], length, document, np.zeros(len(document), np.int64))


def pieces_of(offsets: np.ndarray, first_length: np.ndarray, row_len: int) -> Pieces:
    """Documents cut after their first ``first_length`` ids, and then every ``row_len - 1``.

    Args:
        offsets: as in `split_documents`.
        first_length: int64 ``[documents]``: ids of the first piece, at least 2 where more follow.
    """
    lengths, step = np.diff(offsets), row_len - 1
    num_pieces = np.minimum(lengths, 1) - (first_length - lengths) // step
    document = np.repeat(np.arange(len(lengths)), num_pieces)
    index = np.arange(len(document)) - np.repeat(np.cumsum(num_pieces) - num_pieces, num_pieces)
    continuing = index > 0
    doc_offset = np.where(continuing, first_length[document] - 1 + (index - 1) * step, 0)
    length = np.where(continuing, np.minimum(row_len, lengths[document] - doc_offset), first_length[document])
    return Pieces(np.asarray(offsets)[:-1][document] + doc_offset, length, document, doc_offset)


def expect_target(row_len: int) -> None:
    """Passes for rows that hold a target.

    Raises:
        CorpusmillError: naming ``seq_len``.
    """
    if row_len < 2:
        raise CorpusmillError("a row holds no target", where="seq_len", expected="1 or more", got=row_len - 1)
