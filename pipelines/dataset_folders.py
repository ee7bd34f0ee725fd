"""Folders that ``datasets`` reads, on the disk or in a store, known by the names and contents of their files.

    /datasets/news          ->  read where it is
    s3://bucket/news        ->  .cache/raw/folders/<sha256>/folder.json: name in the folder -> place and sha256

The sha256 is the same wherever the folder lies. ``datasets`` opens folders of the disk alone, and wants to see all names
before it reads any; so a worker makes local copies of the objects that ``folder.json`` names (``pipelines.spine.uploads``).
"""

import glob
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.spine import objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import FOLDER, dump
from pipelines.spine.object_names import folder_objects

#: Hashes files or objects: sha256 of each, in their order.
HashEach = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class DatasetFolder:
    """A folder's sha256 over names and contents, the bytes of its files, and the place that a reader is given."""

    sha256: str
    bytes: int
    place: str


def local_dataset(folder: Path, hash_each: HashEach) -> DatasetFolder:
    """What a folder of the disk holds; it is read in place."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    sha256s = hash_each([str(path.resolve()) for path in files])
    return DatasetFolder(_sha256(names, sha256s), sum(path.stat().st_size for path in files), str(folder.resolve()))


def dataset_in_store(folder: str, hash_each: HashEach, cache: str | Path) -> DatasetFolder:
    """What a folder in a store holds; each object is read once, and nothing is copied.

    Args:
        folder: ``s3://bucket/folder``.
        hash_each: hashes objects.
        cache: the ``--cache`` folder; the list of the objects goes there.
    Raises:
        CorpusmillError: a pattern, no such folder, or names that no folder of a disk can have.
    """
    folder = folder.rstrip("/")
    if glob.has_magic(folder):
        raise CorpusmillError("a dataset is one folder, not a pattern", where=folder, expected="s3://bucket/folder")
    places = sorted(folder_objects(folder), key=lambda place: Path(place.removeprefix(f"{folder}/")))
    if not places:
        is_object = objects.version_of(folder) is not None
        raise CorpusmillError(
            "a dataset is a folder, and this is an object" if is_object else "no such folder", where=folder,
            hint="of single files name the kind: parquet, arrow, jsonl or csv" if is_object else
            "check its name",
        )  # fmt: skip
    names = [place.removeprefix(f"{folder}/") for place in places]
    _refuse_names(names, folder)
    sha256s = hash_each(places)
    sizes = _sizes_of(places)
    sha256 = _sha256(names, sha256s)
    files = {
        name: {"place": place, "sha256": of_file}
        for name, place, of_file in zip(names, places, sha256s, strict=True)
    }  # fmt: skip
    described = Path(cache, "raw", "folders", sha256, FOLDER).absolute()
    text = dump(files)
    # Untouched where it says the same: a reader takes a change of it for a change of the source.
    if not described.is_file() or described.read_text(encoding="utf-8") != text:
        storage.write_text(described, text)
    return DatasetFolder(sha256, sum(sizes), str(described))


def objects_of(described: str | Path) -> dict[str, str]:
    """Place -> sha256 of the objects that a ``folder.json`` names."""
    files = json.loads(storage.read_text(described))
    return {one["place"]: one["sha256"] for one in files.values()}


def _sha256(names: Sequence[str], sha256s: Sequence[str]) -> str:
    """Of names and contents: ``datasets`` reads meaning from names."""
    return storage.sha256_text("".join(f"{name} {one}\n" for name, one in zip(names, sha256s, strict=True)))


def _sizes_of(places: Sequence[str]) -> list[int]:
    found = []
    for place, size in zip(places, objects.sizes_of(places), strict=True):
        if size is None:
            raise CorpusmillError("the object went while it was read", where=place, hint="run again")
        found.append(size)
    return found


def _refuse_names(names: Sequence[str], folder: str) -> None:
    """Passes when the names lead into a folder: the copies of the objects will have them."""
    for name in names:
        if not name or any(part in ("", ".", "..") for part in name.split("/")):
            raise CorpusmillError(
                "an object's name cannot be a file's name in a folder", where=folder, got=repr(name),
                hint="rename the object",
            )  # fmt: skip
