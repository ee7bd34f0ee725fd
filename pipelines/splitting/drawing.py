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
#: Shares are given in ten-thousandths with three decimals (a billion documents have no use for a whole one), and are
#: compared as integers, the same everywhere.
FINE = 1000
PARTS = 10_000 * FINE


def draw_parts(texts: Iterable[str]) -> I64:
    """0 to 9,999,999 for each text, uniform and by the text alone; int64 ``[n_texts]``."""
    return np.array([_part(text) for text in texts], np.int64)


def num_parts(per_10000: float) -> int:
    """How many of the parts a share takes.

    >>> num_parts(0.025)
    25
    """
    return round(per_10000 * FINE)


def splits_of(parts: I64, val_per_10000: float, test_per_10000: float) -> I64:
    """A place in `SPLITS` for each part: the lowest are val, the next ones test, the rest train.

    >>> splits_of(np.array([0, 399_999, 400_000, 400_499, 400_500, 9_999_999]), 400, 0.5).tolist()
    [1, 1, 2, 2, 0, 0]
    """
    val = num_parts(val_per_10000)
    held_out = parts < val + num_parts(test_per_10000)
    return np.where(parts < val, VAL, np.where(held_out, TEST, TRAIN))


def shares_that_fit(parts: I64, val_per_10000: float, test_per_10000: float, most: int) -> tuple[float, float]:
    """The largest shares, in about the same proportion, that draw at most ``most`` of these documents.

    Args:
        parts: of all documents that the present shares draw into val and test.
        val_per_10000: the present share.
        test_per_10000: the present share.
        most: documents of val and test together.
    """
    val, test = num_parts(val_per_10000), num_parts(test_per_10000)
    first_too_many = np.sort(parts)[most] if most < len(parts) else PARTS
    both = min(int(first_too_many), val + test)
    if both >= 2 * FINE:
        both -= both % FINE  # no decimals where there is no need
    fitting = both * val // (val + test)
    if both >= 2 * FINE:
        fitting -= fitting % FINE
    return fitting / FINE, (both - fitting) / FINE


def _part(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, person=b"corpusmill.split").digest()
    return int.from_bytes(digest, "big") * PARTS >> 64
