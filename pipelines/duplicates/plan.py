"""What every worker must know of a run: its parameters, its units, and the files that its steps leave for one another.

Steps meet in files, one a unit and step, under a folder that only this plan of units and these parameters use. So what a
step found is not held by a runner, and a run that was killed goes on behind its last finished step.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.duplicates.parameters import DedupParams
from pipelines.duplicates.preference import Preference
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import Release
from pipelines.spine.progress import Heartbeat
from pipelines.spine.units import REQUESTS_AT_ONCE, Unit, UnitCache


@dataclass(frozen=True)
class Round:
    """The keys that are shuffled together: bands [first, last), and one part of the fingerprints (-1: none).

    In a later pass only the keys that the pass before found under too many documents, of the documents that are left.
    """

    first_band: int
    last_band: int
    part: int = -1
    num_parts: int = 1
    number_of_pass: int = 0

    @property
    def name(self) -> str:
        """How its files are called."""
        return f"pass{self.number_of_pass}-{self.first_band}-{self.last_band}-{self.part}-{self.num_parts}"


#: A round has at least so many keys (16 MB), whatever ``bands_per_round`` says: 59,000 long articles would take 47 rounds,
#: most of whose time is starting the pipeline.
ROUND_KEYS = 1 << 20
#: Documents, as they lie compressed, whose keys share a partition; their keys in a round are 3 to 25 % of it.
PARTITION_BYTES = 1 << 30


def plan_rounds(params: DedupParams, num_documents: int, num_fingerprints: int) -> list[Round]:
    """The rounds of a search: each shuffles about ``bands_per_round`` keys a document, bands first.

    How the keys are divided changes nothing in what is found.
    """
    if num_documents * params.num_bands + num_fingerprints < ROUND_KEYS:
        return [Round(0, params.num_bands, 0 if num_fingerprints else -1)]
    keys = max(ROUND_KEYS, num_documents * params.bands_per_round)
    step = keys // num_documents
    firsts = range(0, params.num_bands, step)
    bands = [Round(first, min(first + step, params.num_bands)) for first in firsts]
    num_parts = -(-num_fingerprints // keys)
    return bands + [Round(0, 0, part, num_parts) for part in range(num_parts)]


def count_partitions(params: DedupParams, units: Iterable[Unit]) -> int:
    """Partitions of a round's keys: as many as asked for, or more where the corpus is large. It changes no byte."""
    return max(params.num_partitions, sum(unit.inputs[-1].bytes for unit in units) // PARTITION_BYTES)


#: The step of how many signed rows each unit has, int64, in one file.
DOCUMENTS = "documents"


@dataclass(frozen=True)
class SearchFiles:
    """Packed records that one step leaves for another, by step and number of the unit, in a folder of this search alone.

    A unit without records of a step has no file. A worker that was given up may go on reading after the search has ended:
    whoever finds no file asks for the search's mark, which goes first.
    """

    folder: str

    @property
    def _mark(self) -> str:
        return storage.join(self.folder, "search.begun")

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
            CorpusmillError: the search has ended meanwhile.
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
                "this search has ended, or its files were deleted", where=self.folder,
                hint="a worker of a run that was given up may say so; else run again",
            )  # fmt: skip
        return np.frombuffer(b"".join(filter(None, found)), dtype)

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


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        units: those of older corpora first, each group sorted by name.
        num_older: how many of the units are older.
        signed: finished units of signed rows.
        decided: finished units of drop lists.
        files: what steps leave for one another.
        preference: who stays.
        num_partitions: of the keys of a round.
        digest: of all that shapes the decisions: the units together, and the parameters.
    """

    units: Sequence[Unit]
    num_older: int
    signed: UnitCache
    decided: UnitCache
    files: SearchFiles
    params: DedupParams
    preference: Preference
    num_partitions: int
    heartbeat: Heartbeat
    release: Release
    digest: str

    def signed_table(self, index: int) -> pa.Table | None:
        """The signed rows of a finished unit, memory-mapped; None for one without documents.

        Only the columns that are looked at are read from the disk; a unit in a store is copied there once.
        """
        unit = self.units[index]
        receipt = self.signed.receipt(unit)
        if receipt is None:
            raise CorpusmillError("the unit was not signed", where=unit.name, hint="run again")
        if not receipt.shards:
            return None
        (shard,) = receipt.shards
        with pa.memory_map(str(storage.local_copy(self.signed.place(unit, shard.name), shard.sha256))) as file:
            return pa.ipc.open_stream(file).read_all()

    def documents(self, index: int) -> str:
        """The shard that holds the documents of a unit."""
        return self.units[index].inputs[-1].path
