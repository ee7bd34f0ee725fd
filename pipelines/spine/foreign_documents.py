"""Parquet files of documents that no stage of ours wrote, on the disk or in a store: what each holds, and of which source.

    folder or file  ->  ForeignFile(place, sha256, bytes, source), ...

Each is read once to know its sha256, as a stream, objects several at a time (``pipelines.spine.hashing``), and its
column ``source`` once more.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.spine import hashing, objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.object_names import folder_objects
from pipelines.spine.shards import open_parquet


@dataclass(frozen=True)
class ForeignFile:
    """A Parquet file of documents: where it lies, the sha256 of its bytes, how many they are, and the source of all.

    ``source`` is as it may stand in file names; "documents" where the file names none.
    """

    place: str
    sha256: str
    bytes: int
    source: str


def foreign_documents(place: str) -> list[ForeignFile]:
    """The Parquet file at the place, or those in the folder there, by name.

    Raises:
        CorpusmillError: nothing is there, a file is no Parquet or holds several sources, or it cannot be read.
    """
    files = _files_at(place)
    return hashing.each(_foreign_file, files, hashing.at_once(files))


def _files_at(place: str) -> list[str]:
    files = _objects_at(place) if storage.is_remote(place) else _paths_at(Path(place))
    if not files:
        raise CorpusmillError(
            "no documents here", where=place, expected="manifest.json or *.parquet",
            hint="run the stage before this one, or `python -m pipelines.extract` on raw files",
        )  # fmt: skip
    return files


def _paths_at(path: Path) -> list[str]:
    if not path.exists():
        raise CorpusmillError("no such file or folder", where=str(path), hint="check --input")
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return [storage.absolute(file) for file in files]


def _objects_at(place: str) -> list[str]:
    if objects.version_of(place) is not None:
        return [place]
    found = folder_objects(place, deep=False)
    if not found and not objects.listed(place):
        raise CorpusmillError(
            "no such object or folder", where=place,
            hint="check --input; documents are named one by one, or by their folder, not by a pattern",
        )  # fmt: skip
    return [one for one in found if one.endswith(".parquet")]


def _foreign_file(place: str, stop: hashing.Stop) -> ForeignFile:
    source = _source_of(place)  # first: what is no Parquet need not be read to its end
    try:
        before = _version_of(place)
        sha256 = hashing.sha256_until(place, stop)
        after = _version_of(place)
    except OSError as error:
        raise storage.explained(error, place) from error
    if before != after:
        raise CorpusmillError("the file changes while it is read", where=place, hint="run again when it is whole")
    return ForeignFile(place, sha256, before[0], source)


def _version_of(place: str) -> tuple[int, int]:
    if not storage.is_remote(place):
        status = Path(place).stat()
        return status.st_size, status.st_mtime_ns
    version = objects.version_of(place)
    if version is None:
        raise FileNotFoundError(2, "no such object", place)
    return version


def _source_of(place: str) -> str:
    source = "documents"
    try:
        with open_parquet(place) as file:
            if file.metadata.num_rows and "source" in file.schema_arrow.names:
                # It becomes part of file names.
                source = re.sub(r"[^\w.-]+", "_", _only_source(file, place))
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:  # a folder, a broken link, no right to read it
            raise storage.explained(error, place) from error
        raise CorpusmillError(f"not a Parquet file: {error}", where=place, hint="check --input") from None
    if source.partition("-")[0] in ("train", "val", "test"):
        raise CorpusmillError(
            "a source named like a split", where=place, got=source, hint="rename it in the source column"
        )
    return source


def _only_source(file: pq.ParquetFile, place: str) -> str:
    """The source of all documents of a file: a unit is counted under one."""
    sources: set[Any] = set()
    for batch in file.iter_batches(columns=["source"]):
        sources.update(batch.column(0).unique().to_pylist())
        if None in sources or "" in sources:
            raise CorpusmillError(
                "a document without a source", where=place, got=repr(None if None in sources else ""),
                hint="fill the column `source`, or leave it out: then all are of the source `documents`",
            )  # fmt: skip
        if len(sources) > 1:
            raise CorpusmillError(
                "documents of several sources in one file", where=place, got=", ".join(sorted(map(str, sources))[:5]),
                hint="write a file for each source: counts and limits are by source",
            )  # fmt: skip
    return str(sources.pop())
