"""The shingle sets of candidate documents: written once in a pass over each unit, read a block at a time.

A pair's documents lie in two units, anywhere. Reading their texts pair by pair would unpack the same row groups again and
again; so each unit's candidates are shingled in one pass, and a side file holds their sorted sets.

    sets<pass>/<unit>     uint64: the sets one behind the other       8 bytes a shingle

Where each begins and ends is told to those who ask for it. Of a file in a store only the sets that are asked for travel.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.duplicates.plan import SearchFiles
from pipelines.duplicates.references import places_by, unit_of
from pipelines.duplicates.shingles import distinct_sets, shingle_hashes
from pipelines.duplicates.text_units import I64, U64
from pipelines.spine import storage
from pipelines.spine.shards import open_parquet
from pipelines.spine.units import REQUESTS_AT_ONCE

KEY_BYTES = 8


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
    """The sets of the candidates of all units: those of one pass."""

    files: SearchFiles
    number_of_pass: int

    def _file(self, index: int) -> str:
        return self.files.place(f"sets{self.number_of_pass}", index)

    def write(self, index: int, rows: I64, path: str, shingle_size: int) -> tuple[I64, I64]:
        """Writes the sets of some documents of a unit; where each begins and ends, int64. Memory: one row group.

        Args:
            index: the unit's number.
            rows: of the documents in the shard ``path``, ascending.
            path: of the documents.
            shingle_size: units a shingle.
        """
        starts, stops = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        with storage.publishing(self._file(index)) as file:
            written = number = 0
            for texts in read_texts(path, rows):
                sets, ends = distinct_sets(*shingle_hashes(texts, shingle_size))
                starts[number : number + len(texts)] = ends[:-1] + written
                stops[number : number + len(texts)] = ends[1:] + written
                file.write(sets.data)
                written, number = written + len(sets), number + len(texts)
        return starts, stops

    def read(self, places: np.ndarray) -> tuple[U64, I64]:
        """The sets at the given places, PLACE records: ``(hashes, offsets)``, uint64 and int64 ``[n + 1]``."""
        sizes = (places["stop"] - places["start"]).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        hashes = np.empty(int(offsets[-1]), np.uint64)
        wanted = [(unit, mine[sizes[mine] > 0]) for unit, mine in places_by(unit_of(places["ref"]))]

        def fill(part: tuple[int, I64]) -> None:
            unit, mine = part
            starts, stops = (places[name][mine].astype(np.int64) * KEY_BYTES for name in ("start", "stop"))
            ranges = list(zip(starts.tolist(), stops.tolist(), strict=True))
            found = storage.read_ranges(self._file(unit), ranges)
            for number, packed in zip(mine.tolist(), found, strict=True):
                hashes[offsets[number] : offsets[number + 1]] = np.frombuffer(packed, np.uint64)

        if storage.is_remote(self.files.folder):
            with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
                list(threads.map(fill, wanted))
        else:
            list(map(fill, wanted))
        return hashes, offsets
