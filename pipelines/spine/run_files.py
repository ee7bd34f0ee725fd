"""What the steps of a run leave for one another: packed records in files, one a unit and step.

So what a step found is held by no runner, and crosses from one pipeline to the next; a stage may go on with the files of a
run that was killed.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.units import REQUESTS_AT_ONCE


@dataclass(frozen=True)
class RunFiles:
    """Packed records that one step leaves for another, by step and number of the unit, in a folder of this run alone.

    A unit without records of a step has no file. A worker that was given up may go on reading after the run has ended:
    whoever finds no file asks for the run's mark, which goes first.
    """

    folder: str
    what: ClassVar[str] = "run"

    @property
    def _mark(self) -> str:
        return storage.join(self.folder, f"{self.what}.begun")

    def begin(self, goes_on: bool) -> None:
        """Makes the folder ready: what a killed run left in it stays where ``goes_on`` says so."""
        if not (goes_on and storage.exists(self._mark)):
            self.end()
            storage.write_text(self._mark, "")

    def end(self) -> None:
        """Takes the folder away."""
        storage.delete(self._mark)
        storage.delete_tree(self.folder)

    def place(self, step: str, index: int) -> str:
        """Where records lie."""
        return storage.join(self.folder, step, str(index))

    def write(self, step: str, index: int, records: np.ndarray) -> None:
        """Publishes the records; doing it again with the same ones is harmless. Without records, no file."""
        if len(records):
            with storage.publishing(self.place(step, index)) as file:
                file.write(np.ascontiguousarray(records).data)

    def read(self, step: str, index: int, dtype: np.dtype) -> np.ndarray:
        """The records, none where no file is.

        Raises:
            CorpusmillError: the run has ended meanwhile.
        """
        return self.read_all([(step, index)], dtype)

    def read_all(self, parts: Sequence[tuple[str, int]], dtype: np.dtype) -> np.ndarray:
        """The records of several steps and units one after another, many requests at a time; raises as `read` does."""
        if storage.is_remote(self.folder):
            with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
                found = list(threads.map(self._bytes, parts))
        else:
            found = list(map(self._bytes, parts))
        if None in found and not storage.exists(self._mark):
            raise CorpusmillError(
                f"this {self.what} has ended, or its files were deleted", where=self.folder,
                hint="a worker of a run that was given up may say so; else run again",
            )  # fmt: skip
        return np.frombuffer(b"".join(filter(None, found)), dtype)

    def blocks(self, step: str, index: int, dtype: np.dtype, num_records: int) -> Iterator[np.ndarray]:
        """The records of a file that must be there, so many at a time.

        Raises:
            CorpusmillError: it is not there.
        """
        place = self.place(step, index)
        size = storage.size_of(place)
        if size is None:
            raise CorpusmillError(f"records of this {self.what} are gone", where=place, hint="run again")
        for start in range(0, size, num_records * dtype.itemsize):
            stop = min(size, start + num_records * dtype.itemsize)
            yield np.frombuffer(storage.read_ranges(place, [(start, stop)])[0], dtype)

    def num_records(self, parts: Sequence[tuple[str, int]], dtype: np.dtype) -> int:
        """How many records these steps and units have, by the sizes of their files."""
        return sum(size or 0 for size in storage.sizes_of([self.place(*part) for part in parts])) // dtype.itemsize

    def _bytes(self, part: tuple[str, int]) -> bytes | None:
        try:
            return storage.read_bytes(self.place(*part))
        except FileNotFoundError:
            return None

    def finish(self, step: str, text: str = "") -> None:
        """Marks a step as done for all units."""
        storage.write_text(storage.join(self.folder, f"{step}.done"), text)

    def finished(self, step: str) -> str | None:
        """What `finish` wrote; None for a step that is not done."""
        try:
            return storage.read_text(storage.join(self.folder, f"{step}.done"))
        except FileNotFoundError:
            return None
