"""Text as an array of code points, and sets of code points as tables."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """uint32 [n_characters], lone surrogates too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def membership(codes: Iterable[int]) -> npt.NDArray[np.int8]:
    """int8 [0x110000]: 1 for those code points, 0 for all others."""
    table = np.zeros(0x110000, np.int8)
    table[sorted(codes)] = 1
    return table
