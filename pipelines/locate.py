"""What a source names -> its contents: files of the disk, of a package, of a store, of the web, or a dataset.

    Source(path="dumps/*.bz2")  ->  [Found(sha256, bytes, place), ...], one a file

Local files and objects (``s3://``, ``gs://``) are read in place; a downloaded file lies in the cache under its sha256
(``pipelines.sources``).
"""

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from pipelines.dataset_folders import dataset_in_store, local_dataset
from pipelines.package_files import PACKAGE, package_path
from pipelines.sources import StatCache, raw_path
from pipelines.spine import objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.object_names import matching

WEB = ("http://", "https://")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+){0,2}@[\w.-]+")


@dataclass(frozen=True)
class Source:
    """One entry of ``params.yaml: fetch.sources``; the fields are those of ``FetchedFile``.

    Args:
        path: a file or a glob, local or in a store (s3://..., gs://...), http(s)://..., package://<package>/<file in
            it>; of kind hf a folder, local or in a store, or a hub name ``owner/name[:configuration[:split]]@revision``.
        sha256: what the one file must have; "" takes what is there.
    """

    name: str
    kind: str
    path: str
    language: str
    licence: str
    sha256: str
    columns: dict[str, str]
    options: dict[str, str]
    section: ClassVar[str] = "sources"


class Named(Protocol):
    """What names files: an entry of the list ``section`` in ``params.yaml: fetch``."""

    section: ClassVar[str]

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Found:
    """Content that a source names: its sha256, its size, and where it lies."""

    sha256: str
    bytes: int
    place: str


class Finder:
    """Finds what sources name; everything it learns goes to the cache.

    Args:
        cache: the ``--cache`` folder.
        stats: what is known of unchanged files.
        refresh: ask servers again for what was downloaded before.
    """

    def __init__(self, cache: Path, stats: StatCache, refresh: bool) -> None:
        self.cache = cache
        self.stats = stats
        self.refresh = refresh

    def find(self, sources: Sequence[Named]) -> list[list[Found]]:
        """The contents of each source, one entry a file; objects of all are hashed several at a time.

        Raises:
            CorpusmillError: nothing is there, it cannot be read, or it is not what ``sha256`` says.
        """
        named = [self._named_places(source) for source in sources]
        places = list(dict.fromkeys(place for places in named for place in places))
        sha256s = dict(zip(places, self.stats.sha256_each(places), strict=True))
        return [
            self._found(source, {p: sha256s[p] for p in there}) for source, there in zip(sources, named, strict=True)
        ]

    def _named_places(self, source: Named) -> list[str]:
        """The files and objects that a source names, none of a dataset or of the web."""
        if source.path.startswith(WEB) or source.kind == "hf":
            return []
        return _objects(source) if storage.is_remote(source.path) else _local_files(source)

    def _found(self, source: Named, sha256s: Mapping[str, str]) -> list[Found]:
        if source.path.startswith(WEB):
            return [self._download(source)]
        if source.kind == "hf":
            return [self._dataset(source)]
        found = [self._file(place, sha256) for place, sha256 in sha256s.items()]
        distinct = {file.sha256: file for file in found}
        if source.sha256 and len(distinct) > 1:
            raise CorpusmillError(
                "sha256 is given, and the path names several files", where=where_in_params(source, "sha256"),
                expected="one file", got=f"{len(distinct)} different files", hint='write sha256: "", or a source for each',
            )  # fmt: skip
        for file in distinct.values():
            _check(source, file.sha256, file.place)
        return found

    def _file(self, place: str, sha256: str) -> Found:
        size = self.stats.size(place) if storage.is_remote(place) else Path(place).stat().st_size
        if size is None:
            raise CorpusmillError("the object went while it was read", where=place, hint="run again")
        return Found(sha256, size, place)

    def _download(self, source: Named) -> Found:
        url = source.path
        sha256 = source.sha256 or self.stats.recorded(url)
        path = raw_path(self.cache, sha256) if sha256 else None
        if path is not None and path.is_file() and not self.refresh:
            if self.stats.known(path, url) == sha256 or self.stats.sha256(path.resolve()) == sha256:
                self.stats.remember(url, path, sha256)
                return Found(sha256, path.stat().st_size, str(path))
            path.unlink()
        # Imported here: a run that downloads nothing should not pay for it.
        from pipelines.download import download

        part = download(url, self.cache / "raw" / storage.sha256_text(url)[:32])
        sha256 = storage.sha256_file(part)
        if source.sha256 not in ("", sha256):
            part.unlink()  # another try must not go on from the wrong bytes
        _check(source, sha256, url)
        path = raw_path(self.cache, sha256)
        os.replace(part, path)
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        self.stats.remember(url, path, sha256)
        return Found(sha256, path.stat().st_size, str(path))

    def _dataset(self, source: Named) -> Found:
        """A folder by the names and contents of its files (``datasets`` reads meaning from names), else a hub name."""
        folder = Path(source.path).expanduser()
        if storage.is_remote(source.path):
            there = dataset_in_store(source.path, self.stats.sha256_each, self.cache)
            found = Found(there.sha256, there.bytes, there.place)
        elif folder.is_dir():
            here = local_dataset(folder, self.stats.sha256_each)
            found = Found(here.sha256, here.bytes, here.place)
        else:
            if not _HUB_NAME.fullmatch(source.path):
                raise CorpusmillError(
                    "neither a folder nor a pinned name of a hub dataset", where=where_in_params(source, "path"),
                    expected="owner/name[:configuration[:split]]@revision", got=source.path,
                    hint="without a revision the same parameters could mean other text tomorrow",
                )  # fmt: skip
            sha256 = storage.sha256_text(source.path)
            place = raw_path(self.cache, sha256)
            if not place.exists():
                storage.write_text(place, source.path)
            found = Found(sha256, len(source.path.encode()), str(place))
        _check(source, found.sha256, source.path)
        return found


def _objects(source: Named) -> list[str]:
    """The objects that a place or a pattern names, sorted."""
    found = matching(source.path)
    if not found:
        is_folder = not glob.has_magic(source.path) and bool(objects.listed(source.path))
        raise CorpusmillError(
            "the path is a folder" if is_folder else "no such object" if not glob.has_magic(source.path) else
            "the pattern matches no object", where=where_in_params(source, "path"), got=source.path,
            hint=f"write {source.path.rstrip('/')}/* for the objects in it" if is_folder else
            "check the bucket and the name",
        )  # fmt: skip
    return found


def _local_files(source: Named) -> list[str]:
    """The files that a local path, a glob or a package path names, absolute, links followed, sorted."""
    if source.path.startswith(PACKAGE):
        pattern = package_path(source.path, where_in_params(source, "path"))
    else:
        pattern = os.path.expanduser(source.path)
    # A file may have [ or * in its name: the name itself comes before the pattern.
    matches = [pattern] if os.path.lexists(pattern) else glob.glob(pattern, recursive=True)
    # Neither folders nor pipes; a broken link is kept, and fails by name when it is read.
    matches = [match for match in matches if os.path.isfile(match) or not os.path.exists(match)]
    files = sorted({os.path.realpath(match) for match in matches})
    if not files:
        is_folder = os.path.isdir(pattern)
        raise CorpusmillError(
            "the path is a folder" if is_folder else "nothing is there" if not glob.has_magic(pattern) else
            "the pattern matches no file", where=where_in_params(source, "path"), got=source.path,
            hint=f"write {source.path.rstrip('/')}/* for the files in it" if is_folder else
            "check the path; it counts from the folder in which the command runs",
        )  # fmt: skip
    return files


def _check(source: Named, sha256: str, place: str) -> None:
    if source.sha256 not in ("", sha256):
        raise CorpusmillError(
            "wrong checksum", where=f"source {source.name}, {place}", expected=source.sha256, got=sha256,
            hint="get the right file, or write the new sha256 in params.yaml",
        )  # fmt: skip


def where_in_params(source: Named, field: str) -> str:
    """The place of a source's field, for an error."""
    return f"params.yaml: fetch.{source.section}, {source.name or 'unnamed'}.{field}"
