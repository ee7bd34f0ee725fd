"""Verified pairs -> which documents go, and for whose sake.

A document is dropped only for a verified pair with one that is kept and preferred to it. So in a chain A~B~C, where A
and C are not alike, B goes for A's sake and C stays: nothing is deleted for a document that it does not resemble. And
no verified pair keeps both its members.

    pairs that count, turned (`turned`)  ->  in the order of preference (`in_order`)  ->  who goes (`Survivors`)

Greedy in that order: once a document's turn has come, all that could drop one preferred to it have been seen. So one
pass over the ordered pairs decides all, and remembers a bit a document.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipelines.duplicates.references import DROP, JACCARD, row_of, unit_of
from pipelines.duplicates.text_units import I64, U64

#: DROP records of pairs of which the first may go for the second.
Turned: TypeAlias = npt.NDArray[np.void]


def turned(pairs: np.ndarray, refs: U64, rank: I64) -> Turned:
    """The verified pairs that can drop a document, each with the preferred member as ``kept``.

    A document that stands in another goes only if that other one is preferred to it.

    Args:
        pairs: VERIFIED.
        refs: distinct references, among them those of the pairs, ascending.
        rank: of each reference, int64, all different; the lowest is preferred.
    Raises:
        ValueError: a document is paired with itself.
    """
    one, other = (rank[np.searchsorted(refs, pairs[name])] for name in ("a", "b"))
    if (one == other).any():
        raise ValueError("a document is paired with itself")
    b_goes = other > one
    counts = (pairs["measure"] == JACCARD) | (pairs["inner"] == 2) | (pairs["inner"] == b_goes)
    found = np.empty(len(pairs), DROP)
    found["ref"], found["kept"] = np.where(b_goes, pairs["b"], pairs["a"]), np.where(b_goes, pairs["a"], pairs["b"])
    for name in ("shared", "total", "measure"):
        found[name] = pairs[name]
    return found[counts]


def in_order(pairs: Turned, refs: U64, rank: I64) -> Turned:
    """The turned pairs by the rank of who may go; of each the most alike twin first, of equals the best in rank.

    An alike twin comes before one that contains the document.

    Args:
        pairs: in any order.
        refs: distinct references, among them those of the pairs, ascending.
        rank: of each reference, int64, all different.
    """
    goes, stays = (rank[np.searchsorted(refs, pairs[name])] for name in ("ref", "kept"))
    likeness = pairs["shared"] / pairs["total"] + (pairs["measure"] == JACCARD)
    return pairs[np.lexsort((stays, -likeness, goes))]  # the last key sorts first


class Survivors:
    """Who stays; asked block by block in the order of `in_order`. Memory: one bit a document.

    Args:
        num_documents: of each unit, int64 ``[n_units]``.
    """

    def __init__(self, num_documents: I64) -> None:
        self._starts = np.concatenate([[0], np.cumsum(num_documents)])
        self._gone = bytearray(int(self._starts[-1] + 7) // 8)
        self._last = np.uint64((1 << 64) - 1)

    def drops(self, pairs: Turned) -> Turned:
        """Those of the next pairs for which a document goes, one a document: the first whose twin stays."""
        goes, stays = self._numbers(pairs["ref"]), self._numbers(pairs["kept"])
        self._go(stays, goes)
        # All pairs that could drop a twin came before it, in this block or in an earlier one.
        reasons = pairs[~self._are_gone(stays)]
        first = np.ones(len(reasons), bool)
        first[1:] = reasons["ref"][1:] != reasons["ref"][:-1]
        if len(reasons):
            first[0] = reasons["ref"][0] != self._last
            self._last = reasons["ref"][-1]
        return reasons[first]

    def _numbers(self, refs: U64) -> I64:
        return self._starts[unit_of(refs)] + row_of(refs)

    def _are_gone(self, numbers: I64) -> npt.NDArray[np.bool_]:
        octets = np.frombuffer(self._gone, np.uint8)[numbers >> 3]
        return (octets >> (numbers & 7).astype(np.uint8) & 1).astype(bool)

    def _go(self, stays: I64, goes: I64) -> None:
        gone = self._gone
        for twin, document in zip(stays.tolist(), goes.tolist(), strict=True):
            if not gone[twin >> 3] >> (twin & 7) & 1:
                gone[document >> 3] |= 1 << (document & 7)
