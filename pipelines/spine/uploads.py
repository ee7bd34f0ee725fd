"""What workers read of the launching machine's files: copies in the storage root, named by content.

    /dumps/enwiki.xml.bz2      ->  <root>/raw/<sha256>/enwiki.xml.bz2
    /datasets/news  (a folder) ->  <root>/raw/<sha256 of it>/folder.json: name in the folder -> place and sha256 of a copy

What lies there already is not sent again. Files in the root or in a store are read where they are.
"""

import contextlib
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.spine import local_cache, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import FOLDER, dump
from pipelines.spine.units import Unit, UnitInput, stamp_of

UPLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class _Copy:
    """A file of this machine and its place in the root; ``stamp`` is that of the file whose hash is known."""

    path: str
    place: str
    stamp: tuple[int, int] | None = None


def uploaded_file(path: str | Path, root: str) -> str:
    """The place of a copy of the file in the root; the copy is made where it is missing."""
    stamp = stamp_of(path)  # before the hash: a file that is written meanwhile must not lie under its old one
    place = _place(root, storage.sha256_file(path), path)
    if storage.size_of(place) != Path(path).stat().st_size:
        _send_one(_Copy(str(path), place, stamp))
    return place


def uploaded(units: Sequence[Unit], root: str, stage: str) -> list[Unit]:
    """The units with inputs that every worker can read; says on standard error what had to be copied.

    Args:
        units: the plan.
        root: of the storage.
        stage: for the message.
    Raises:
        CorpusmillError: a file changed since it was hashed, or the store fails.
    """
    places: dict[str, str] = {}
    copies: list[_Copy] = []
    for one in (one for unit in units for one in unit.inputs):
        if one.path in places or not _is_of_this_machine(one.path, root):
            continue
        if Path(one.path).is_dir():
            copies += _folder_copies(one, root)
            places[one.path] = storage.join(root, "raw", one.sha256, FOLDER)
        else:
            places[one.path] = _place(root, one.sha256, one.path)
            copies.append(_Copy(one.path, places[one.path], one.stamp))
    _send(copies, f"{stage}: copying", root)
    return [
        replace(unit, inputs=tuple(
            replace(one, path=places[one.path], stamp=None) if one.path in places else one for one in unit.inputs
        ))
        for unit in units
    ]  # fmt: skip


@contextlib.contextmanager
def local_folder(place: str) -> Iterator[Path]:
    """The folder that a ``folder.json`` describes, as one of this machine that is gone when the block ends."""
    files = json.loads(storage.read_text(place))
    cache = local_cache.cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".folder-", dir=cache) as folder:
        for name, one in files.items():
            storage.link(storage.local_copy(one["place"], one["sha256"]), Path(folder, name))
        yield Path(folder)


def _is_of_this_machine(path: str, root: str) -> bool:
    """Whether a file or folder has that name here, and workers need not see it."""
    if storage.is_remote(path) or not Path(path).exists():  # the name of a hub's dataset is no file
        return False
    return storage.is_remote(root) or not any(path.startswith(f"{one}/") for one in (root, str(Path(root).resolve())))


def _place(root: str, sha256: str, path: str | Path) -> str:
    # Its name is for people alone, and must be one that every store takes.
    return storage.join(root, "raw", sha256, re.sub(r"[^\w.-]+", "_", Path(path).name))


def _folder_copies(one: UnitInput, root: str) -> list[_Copy]:
    """The files of a folder; the list of them is written at once, and is read only when all are there."""
    copies, files = [], {}
    for path in sorted(path for path in Path(one.path).rglob("*") if path.is_file()):
        sha256, stamp = storage.sha256_file(path), stamp_of(path)
        copies.append(_Copy(str(path), _place(root, sha256, path), stamp))
        files[path.relative_to(one.path).as_posix()] = {"place": copies[-1].place, "sha256": sha256}
    storage.write_text(storage.join(root, "raw", one.sha256, FOLDER), dump(files))
    return copies


def _send(copies: Iterable[_Copy], what: str, root: str) -> None:
    """Makes those copies that are missing, some at a time."""
    wanted = list({copy.place: copy for copy in copies}.values())
    sizes = [Path(copy.path).stat().st_size for copy in wanted]
    there = storage.sizes_of([copy.place for copy in wanted])
    missing = [copy for copy, size, found in zip(wanted, sizes, there, strict=True) if found != size]
    if not missing:
        return
    num_bytes = sum(Path(copy.path).stat().st_size for copy in missing)
    files = "1 file" if len(missing) == 1 else f"{len(missing):,} files"
    print(f"{what} {files}, {num_bytes:,} bytes, to {storage.join(root, 'raw')}", file=sys.stderr, flush=True)
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as threads:
        list(threads.map(_send_one, missing))


def _send_one(copy: _Copy) -> None:
    storage.copy_in(copy.path, copy.place)
    if copy.stamp is not None and stamp_of(copy.path) != copy.stamp:
        storage.delete(copy.place)
        raise CorpusmillError(
            "the file changed while it was copied to the storage root", where=copy.path,
            hint="run again when it is whole",
        )  # fmt: skip
