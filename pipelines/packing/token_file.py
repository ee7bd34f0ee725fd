"""The ids of a unit in a temporary file: what packing holds of them does not grow with the unit."""

import os
import tempfile
from types import TracebackType
from typing import Self

import numpy as np

from pipelines.spine import storage


class TokenFile:
    """Ids that are appended, and read again in runs, as slices of an array are; the file has no name and no one else.

    Of a unit with 50 million tokens an array would be 100 MB a worker. The file is read and not mapped: pages that the
    kernel keeps of it are not the process's. To be used in a ``with`` block, which frees the disk.

    Args:
        dtype: of the ids.
    Raises:
        CorpusmillError: no space left for temporary files.
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self._size = 0
        self._file = tempfile.TemporaryFile(prefix="corpusmill-", buffering=0)  # noqa: SIM115  closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, run: slice) -> np.ndarray:
        """The ids of a run, copied; step 1."""
        start, stop, _ = run.indices(self._size)
        ids = np.empty(max(0, stop - start), self.dtype)
        left, at = memoryview(ids.data).cast("B"), start * self.dtype.itemsize
        while left:
            read = os.preadv(self._file.fileno(), [left], at)
            if not read:
                raise OSError("a temporary file is shorter than what was written to it")
            left, at = left[read:], at + read
        return ids

    def extend(self, ids: np.ndarray) -> None:
        """Appends ids, which the dtype can hold."""
        left = memoryview(np.ascontiguousarray(ids, self.dtype).data).cast("B")
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            hint = "free some space there, or name another folder in TMPDIR; finished units are kept"
            raise storage.explained(error, tempfile.gettempdir(), hint) from error
        self._size += len(ids)
