"""What every worker must know of a run: its parameters, its units, and the files that its steps leave for one another.

Steps meet in files, one a unit and step, under a folder that only this plan of units and these parameters use. So what a
step found is not held by a runner, and a run that was killed goes on behind its last finished step.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from pipelines.duplicates.parameters import DedupParams
from pipelines.duplicates.preference import Preference
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import Release
from pipelines.spine.progress import Heartbeat
from pipelines.spine.run_files import RunFiles
from pipelines.spine.units import Unit, UnitCache


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


class SearchFiles(RunFiles):
    """Packed records that one step leaves for another, in a folder of this search alone."""

    what: ClassVar[str] = "search"


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
