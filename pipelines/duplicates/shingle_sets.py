"""The shingle sets of candidate documents: written once in a pass over each unit, read a block at a time.

A pair's documents lie in two units, anywhere. Reading their texts pair by pair would unpack the same row groups again and
again; so each unit's candidates are shingled in one pass, and a side file holds their sorted sets.

    sets<pass>/<unit>     uint64: the sets one behind the other       8 bytes a shingle
    places<pass>/<unit>   PLACE records, ascending by reference: where each set begins and ends
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.duplicates.plan import SearchFiles
from pipelines.duplicates.references import unit_of
from pipelines.duplicates.shingles import distinct_sets, shingle_hashes
from pipelines.duplicates.text_units import I64, U64
from pipelines.spine import storage
from pipelines.spine.shards import open_parquet

PLACE = np.dtype([("ref", "<u8"), ("start", "<u8"), ("stop", "<u8")])


def read_texts(path: str, rows: np.ndarray) -> Iterator[pa.Array]:
    """The texts of some rows of a document shard, a row group at a time; only those that hold them are read.

    Args:
        path: a Parquet file.
        rows: row numbers, int64, ascending.
    """
    with open_parquet(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        groups = np.searchsorted(starts, rows, side="right") - 1
        for group in np.unique(groups).tolist():
            column = file.read_row_group(group, columns=["text"], use_threads=False)["text"]
            yield column.take(pa.array(rows[groups == group] - starts[group])).combine_chunks()


@dataclass(frozen=True)
class ShingleSets:
    """The sets of the candidates of all units, by reference: those of one pass."""

    files: SearchFiles
    number_of_pass: int

    @property
    def _sets(self) -> str:
        return f"sets{self.number_of_pass}"

    @property
    def _places(self) -> str:
        return f"places{self.number_of_pass}"

    def write(self, index: int, refs: U64, rows: I64, path: str, shingle_size: int) -> None:
        """Writes the sets of some documents of a unit. Memory: one row group.

        Args:
            index: the unit's number.
            refs: ascending; ``rows`` are their rows in the shard ``path``, ascending too.
            path: of the documents.
            shingle_size: units a shingle.
        """
        places = np.zeros(len(refs), PLACE)
        places["ref"] = refs
        with storage.publishing(self.files.place(self._sets, index)) as file:
            written = number = 0
            for texts in read_texts(path, rows):
                sets, ends = distinct_sets(*shingle_hashes(texts, shingle_size))
                mine = places[number : number + len(texts)]
                mine["start"], mine["stop"] = ends[:-1] + written, ends[1:] + written
                file.write(sets.data)
                written, number = written + len(sets), number + len(texts)
        self.files.write(self._places, index, places)

    def places(self, refs: U64) -> np.ndarray:
        """PLACE records of the given references, which are ascending and have sets."""
        parts = []
        for unit in np.unique(unit_of(refs)).tolist():
            places = self.files.read(self._places, unit, PLACE)
            parts.append(places[np.searchsorted(places["ref"], refs[unit_of(refs) == unit])])
        return np.concatenate(parts) if parts else np.empty(0, PLACE)

    def read(self, places: np.ndarray) -> tuple[U64, I64]:
        """The sets at the given places: ``(hashes, offsets)``, uint64 and int64 ``[n + 1]``."""
        offsets = np.concatenate([[0], np.cumsum((places["stop"] - places["start"]).astype(np.int64))])
        hashes = np.empty(int(offsets[-1]), np.uint64)
        units = unit_of(places["ref"])
        for unit in np.unique(units).tolist():
            path = storage.local_copy(self.files.place(self._sets, unit))
            if not path.stat().st_size:
                continue
            sets = np.memmap(path, np.uint64, "r")
            for number in np.flatnonzero(units == unit).tolist():
                place = places[number]
                hashes[offsets[number] : offsets[number + 1]] = sets[int(place["start"]) : int(place["stop"])]
        return hashes, offsets
