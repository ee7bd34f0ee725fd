"""The draw: train, val or test, by the content of a document alone.

It reads the clean text as it is before anything is cut from it: another evaluation set to decontaminate against, or
another source beside this one, moves no document that stays from one split to another.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]

SPLITS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)
PARTS = 10_000  # shares are given in ten-thousandths: integers compare the same everywhere


def draw_parts(texts: Iterable[str]) -> I64:
    """0 to 9,999 for each text, uniform and by the text alone; int64 ``[n_texts]``."""
    return np.array([_part(text) for text in texts], np.int64)


def splits_of(parts: I64, val_per_10000: int, test_per_10000: int) -> I64:
    """A place in `SPLITS` for each part: the lowest are val, the next ones test, the rest train.

    >>> splits_of(np.array([0, 399, 400, 799, 800, 9999]), 400, 400).tolist()
    [1, 1, 2, 2, 0, 0]
    """
    held_out = parts < val_per_10000 + test_per_10000
    return np.where(parts < val_per_10000, VAL, np.where(held_out, TEST, TRAIN))


def shares_that_fit(parts: I64, val_per_10000: int, test_per_10000: int, most: int) -> tuple[int, int]:
    """The largest shares, in about the same proportion, that draw at most ``most`` of these documents.

    Args:
        parts: of all documents that the present shares draw into val and test.
        val_per_10000: the present share.
        test_per_10000: the present share.
        most: documents of val and test together.
    """
    held_out = np.cumsum(np.bincount(parts, minlength=PARTS))  # by the last part that is held out
    both = int(np.searchsorted(held_out, most, side="right"))
    both = min(both, val_per_10000 + test_per_10000)
    val = both * val_per_10000 // (val_per_10000 + test_per_10000)
    return val, both - val


def _part(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, person=b"corpusmill.split").digest()
    return int.from_bytes(digest, "big") * PARTS >> 64
