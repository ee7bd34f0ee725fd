"""Text as an array of code points."""

import numpy as np
import numpy.typing as npt


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """uint32 [n_characters], lone surrogates too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
