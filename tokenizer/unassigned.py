"""Where texts hold code points that this Python's Unicode does not know: engines with other tables may cut there otherwise.

Texts are searched as UTF-8, in columns: most hold nothing but ASCII, and of the rest few bytes begin such a code point.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np

#: Bytes searched together for unassigned code points: each that may be one takes 100 bytes meanwhile.
_BLOCK = 1 << 18


def texts_with_unassigned(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The indices, ascending, of the texts with a code point that this Python's Unicode does not know.

    Args:
        data: UTF-8 of all texts, uint8.
        offsets: where each text begins, int64 ``[texts + 1]``.
    """
    return texts_at(unassigned_places(data), offsets)


def texts_at(places: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The indices, ascending, of the texts that hold the bytes at ascending ``places``."""
    return np.unique(np.searchsorted(offsets, places, side="right") - 1)


def unassigned_places(data: np.ndarray) -> np.ndarray:
    """Where the code points begin, ascending, that this Python's Unicode does not know."""
    places = [start + _unassigned_in(data[start : start + _BLOCK + 3], _BLOCK) for start in range(0, len(data), _BLOCK)]
    return np.concatenate([np.empty(0, np.int64), *places])


def _unassigned_in(block: np.ndarray, size: int) -> np.ndarray:
    """The same among the first ``size`` bytes of a block; the last code point may end behind these."""
    at = _beyond_ascii(block[:size])
    if not len(at):
        return at
    leads, unassigned = _unassigned()
    at = at[leads[block[at]]]
    if not len(at):
        return at
    padded = np.append(block, np.zeros(3, np.uint8)) if at[-1] + 3 >= len(block) else block
    first, second, third, fourth = (padded[at + place].astype(np.int64) & 0x3F for place in range(4))
    two = (first & 0x1F) << 6 | second
    three = (first & 0x0F) << 12 | second << 6 | third
    four = (first & 0x07) << 18 | second << 12 | third << 6 | fourth
    lead = block[at]
    code_point = np.where(lead < 0xE0, two, np.where(lead < 0xF0, three, four))
    return at[unassigned[code_point]]


def _beyond_ascii(data: np.ndarray) -> np.ndarray:
    """The places of bytes from 0x80 on, and of some before; eight bytes are looked at together, most texts being ASCII."""
    whole = len(data) // 8 * 8
    words = np.flatnonzero(data[:whole].view(np.uint64) & np.uint64(0x8080808080808080))
    if len(words) * 4 > len(data) // 8:
        return np.flatnonzero(data >= 0x80)
    return np.concatenate([(words[:, None] * 8 + np.arange(8)).reshape(-1), np.arange(whole, len(data))])


@functools.cache
def _unassigned() -> tuple[np.ndarray, np.ndarray]:
    """Masks: lead bytes of characters with unassigned ones among them ``[256]``, and unassigned code points."""
    # Asked one by one are the planes that hold characters; of the others no code point is assigned, or is for private use.
    unassigned = np.ones(0x110000, bool)
    for plane in (range(0x40000), range(0xE0000, 0xE1000)):
        unassigned[plane] = [unicodedata.category(chr(code)) == "Cn" for code in plane]
    codes = np.flatnonzero(unassigned)
    leads = np.zeros(256, bool)
    for first, last, mark, shift in ((0x80, 0x800, 0xC0, 6), (0x800, 0x10000, 0xE0, 12), (0x10000, 0x110000, 0xF0, 18)):
        leads[mark | codes[(codes >= first) & (codes < last)] >> shift] = True
    return leads, unassigned
