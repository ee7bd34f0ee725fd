"""Looking up one document among many: what `dedup` decided of it, and its text. Ids are read, of texts one row group."""

import difflib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import NAME, read_manifest
from pipelines.spine.schema import DUPLICATE
from pipelines.spine.shards import open_parquet, read_batches

#: Documents of one id that are read: the one that stays and the first that goes.
OCCURRENCES = 2
#: Ids that share most pairs of characters with a wanted one; of these the nearest are found by comparing them whole.
NEAR_IDS = 50


@dataclass(frozen=True)
class Drop:
    """One row of a drop list."""

    doc_id: str
    kept_id: str
    similarity: float
    measure: str


def files_of(places: Iterable[str]) -> list[str]:
    """The places of Parquet files: of folders that stages wrote, of other folders, and those named themselves; by name.

    Raises:
        CorpusmillError: a place is not there.
    """
    found: list[str] = []
    for place in map(Path, places):
        if (place / NAME).exists():
            manifest = read_manifest(place)
            found += [manifest.place_of(shard) for shard in manifest.shards]
        elif place.is_dir():
            found += sorted(str(path) for path in place.glob("*.parquet"))
        elif place.exists():
            found.append(str(place))
        else:
            raise CorpusmillError("no such file or folder", where=str(place), hint="run `dvc repro dedup` first")
    return found


def drops_where(column: str, name: str, paths: Iterable[str], most: int) -> tuple[int, list[Drop]]:
    """How many rows of the drop lists hold the name in the column, and the first of them by doc_id."""
    count, first = 0, pa.Table.from_batches([], DUPLICATE)
    for path in paths:
        for batch in read_batches(path, DUPLICATE.names):
            found = batch.filter(pc.equal(batch.column(column), name))
            count += found.num_rows
            if found.num_rows:
                both = pa.concat_tables([first, pa.Table.from_batches([found])])
                first = both.sort_by("doc_id").slice(0, most)
    return count, [Drop(**row) for row in first.to_pylist()]


def find_documents(
    doc_ids: Iterable[str], paths: Iterable[str | Path], columns: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Id -> its rows, the first `OCCURRENCES` in the order of the files; an id that is nowhere is left out.

    Of a file the ids are read, and of a row group that holds a wanted one the columns.
    """
    wanted = pa.array(sorted(set(doc_ids)), pa.string())
    found: dict[str, list[dict[str, Any]]] = {}
    for path in paths if len(wanted) else ():
        with open_parquet(path) as file:
            for group in range(file.num_row_groups):
                here = _rows_of(wanted, file.read_row_group(group, columns=["doc_id"], use_threads=False)["doc_id"])
                if not len(here):
                    continue
                rows = file.read_row_group(group, columns=["doc_id", *columns], use_threads=False).take(here)
                for row in rows.to_pylist():
                    known = found.setdefault(row["doc_id"], [])
                    known += [row] if len(known) < OCCURRENCES else []
    return found


def _rows_of(wanted: pa.Array, ids: pa.ChunkedArray) -> pa.Array:
    return pc.indices_nonzero(pc.is_in(ids.cast(pa.string()), value_set=wanted))


def nearest_ids(name: str, paths: Iterable[str | Path], most: int = 3) -> list[str]:
    """The ids of the files that are most like a name, the nearest first."""
    pairs = _char_pairs(name)

    def shared(other: str) -> tuple[float, str]:
        theirs = _char_pairs(other)
        return -2 * len(pairs & theirs) / max(1, len(pairs) + len(theirs)), other

    near = heapq.nsmallest(NEAR_IDS, set(heapq.nsmallest(NEAR_IDS * 2, _ids(paths), key=shared)), key=shared)
    matcher = difflib.SequenceMatcher(None, "", name, autojunk=False)

    def likeness(other: str) -> tuple[float, str]:
        matcher.set_seq1(other)
        return -matcher.ratio(), other

    return sorted(near, key=likeness)[:most]


def _ids(paths: Iterable[str | Path]) -> Iterator[str]:
    for path in paths:
        with open_parquet(path) as file:
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["doc_id"], use_threads=False)["doc_id"]
                yield from ids.to_pylist()


def _char_pairs(name: str) -> set[str]:
    framed = f"\0{name}\0"
    return {framed[place : place + 2] for place in range(len(framed) - 1)}
