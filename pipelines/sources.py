"""The raw files that `fetch` found: the manifest that names them by content, and where their bytes lie.

    data/fetch/manifest.json   what was found: source, sha256, bytes, kind, ... - no path, no name, no date
    .cache/raw/<sha256>        the bytes: a link to the local file or folder, or the downloaded file; of an object in a
                               store a link that leads nowhere and says its place
    .cache/raw/folders/        the lists of objects of dataset folders in a store (``pipelines.dataset_folders``)
    .cache/raw/stat.json       path or URL -> size, mtime, inode, sha256: spares hashing what did not change

The cache is undeclared and may be deleted: `fetch` makes it again.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.dataset_folders import objects_of
from pipelines.spine import hashing, objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import FOLDER, NAME

SCHEMA_VERSION = 2
_TEXTUAL = {"encoding": "a codec of Python's; UTF-8, or UTF-16 by its byte order mark, when not given"}
_PACKED = {"members": "which files of a zip, tar or 7z archive to read: a pattern such as *.txt"}
#: kind -> the options that its reader knows, with what they may be.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "mediawiki": _PACKED,
    "warc": {},
    "html": _PACKED,
    "text": {"split": "line, file or marker", "marker": "the line between two documents"} | _TEXTUAL | _PACKED,
    "sgml": _TEXTUAL | _PACKED,
    "mail": {"quotes": "keep or drop what a message quotes of others"} | _TEXTUAL | _PACKED,
    "jsonl": _TEXTUAL | _PACKED,
    "csv": _TEXTUAL | _PACKED,
    "parquet": {},
    "arrow": {},
    "hf": {},
}
KINDS = tuple(OPTIONS)
#: kind -> the options that it cannot do without.
NEEDED_OPTIONS: Mapping[str, tuple[str, ...]] = {"text": ("split",), "mail": ("quotes",)}
_CHOICES: Mapping[str, tuple[str, ...]] = {"split": ("line", "file", "marker"), "quotes": ("keep", "drop")}
CACHE = ".cache"
#: A file changed this shortly before it was hashed may change again within the same tick of the disk's clock.
RACY_NS = 50_000_000
#: Stores tell times in whole seconds.
RACY_OBJECT_NS = 2_000_000_000


#: What a source may be called. Its name begins every doc_id and stands in shard names behind the split.
SOURCE_NAME = "letters, digits, . _ -, and not train, val or test first"


def is_source_name(name: str) -> bool:
    """Whether a source may be called so.

    >>> is_source_name("enwiki-2016"), is_source_name("train-a"), is_source_name("a/b")
    (True, False, False)
    """
    return bool(re.fullmatch(r"(?!(train|val|test)(-|$))[A-Za-z0-9][A-Za-z0-9._-]*", name))


def is_encoding(name: str) -> bool:
    """Whether Python has a text codec of that name."""
    try:
        return bool("\n".encode(name))
    except (LookupError, ValueError):
        return False


def check_options(kind: str, options: Mapping[str, str], where: str) -> None:
    """Passes when the options are those that the kind's reader knows and needs.

    Args:
        kind: one of ``KINDS``.
        options: as the source gives them.
        where: the place to name in an error.
    Raises:
        CorpusmillError: an unknown, missing or wrong option.
    """
    known = OPTIONS[kind]
    needed = (*NEEDED_OPTIONS.get(kind, ()), *(("marker",) if options.get("split") == "marker" else ()))
    for name in sorted(set(options) - set(known)):
        expected = ", ".join(known) or "none"
        raise CorpusmillError(f"kind {kind} has no such option", where=where, expected=expected, got=name)
    for name in needed:
        if not options.get(name):
            raise CorpusmillError(f"option {name} is missing", where=where, expected=f"{name}: {known[name]}")
    for name in sorted(set(options) & set(_CHOICES)):
        if options[name] not in _CHOICES[name]:
            raise CorpusmillError(f"wrong option {name}", where=where, expected=known[name], got=repr(options[name]))
    if "encoding" in options and not is_encoding(options["encoding"]):
        raise CorpusmillError("wrong option encoding", where=where, expected=known["encoding"], got=options["encoding"])


@dataclass(frozen=True)
class FetchedFile:
    """One raw file of a source, known by its content.

    Args:
        source: the source's name, first part of every ``doc_id``.
        sha256: hex, of the bytes; of a dataset folder over its files, of a hub dataset over its name and revision.
        bytes: its size.
        kind: one of ``KINDS``.
        language: declared language of the text.
        licence: declared licence of the text.
        columns: document field -> column, for tables.
        options: what else its kind's reader must know (``OPTIONS``).
        path: where the bytes lie, a path or a place in a store; no part of the manifest.
    """

    source: str
    sha256: str
    bytes: int
    kind: str
    language: str
    licence: str
    columns: Mapping[str, str]
    options: Mapping[str, str]
    path: str

    @property
    def name(self) -> str:
        """The unit's name: ``<source>-<12 hex>``."""
        return f"{self.source}-{self.sha256[:12]}"

    def to_entry(self) -> dict[str, Any]:
        """The manifest's entry."""
        return {
            "name": self.name, "source": self.source, "sha256": self.sha256, "bytes": self.bytes, "kind": self.kind,
            "language": self.language, "licence": self.licence, "columns": dict(self.columns), "options": dict(self.options),
        }  # fmt: skip


def read_fetch_manifest(place: str | Path, cache: str | Path = CACHE) -> list[FetchedFile]:
    """The fetched files, each with a path that holds its bytes.

    Args:
        place: ``manifest.json`` of `fetch`, or its folder.
        cache: the folder that `fetch` was given as ``--cache``.
    Raises:
        CorpusmillError: no manifest, a damaged one, or bytes that are gone or have changed since.
    """
    if storage.is_remote(place):
        raise CorpusmillError(
            "the manifest of fetch lies on the disk", where=str(place),
            hint="--kind and --source name raw files in a store; or name them in params.yaml: fetch.sources",
        )  # fmt: skip
    path = Path(place)
    path = path / NAME if path.is_dir() else path
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        entries = [{key: value for key, value in entry.items() if key != "name"} for entry in document["files"]]
        version = document["schema_version"]
        files = [FetchedFile(**entry, path=raw_place(cache, entry["sha256"])) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusmillError("no manifest of fetch", where=str(path), hint="run `dvc repro fetch`") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusmillError(
            f"no manifest of fetch, or a damaged one: {error}", where=str(path), hint="delete it, run `dvc repro fetch`"
        ) from None
    if version != SCHEMA_VERSION:
        raise CorpusmillError("another schema version", where=str(path), expected=SCHEMA_VERSION, got=version)
    stats = StatCache(cache)
    stats.look(file.path for file in files)
    for file in files:
        _check_bytes(file, stats)
    return files


def raw_path(cache: str | Path, sha256: str) -> Path:
    """Where the bytes of that content lie, or a link to them."""
    return Path(cache) / "raw" / sha256


def raw_place(cache: str | Path, sha256: str) -> str:
    """The place to read that content from: an object in a store, or `raw_path`."""
    path = raw_path(cache, sha256)
    target = os.readlink(path) if path.is_symlink() else ""
    return target if storage.is_remote(target) else str(path)


class StatCache:
    """Which content a path held when it was last hashed, trusted while size, mtime and inode stay the same."""

    def __init__(self, cache: str | Path) -> None:
        self._path = Path(cache) / "raw" / "stat.json"
        self._entries: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError):  # it only saves time: a damaged one is as good as none
            self._entries = dict(json.loads(self._path.read_text(encoding="utf-8")))
        self._as_read = json.dumps(self._entries, sort_keys=True)
        self._seen: dict[str, tuple[int, int] | None] = {}

    def look(self, places: Iterable[str]) -> None:
        """Asks stores after many objects at once, for `known`."""
        remote = [place for place in places if storage.is_remote(place)]
        self._seen |= zip(remote, objects.versions_of(remote), strict=True)

    def known(self, path: str | Path, name: str = "") -> str:
        """The sha256 of the file, "" when it must be hashed; ``name`` is what it was remembered under (a URL)."""
        entry = self._entries.get(name or str(path), [])
        with contextlib.suppress(OSError):
            if entry[:3] == self._stat(path, self._seen):
                return str(entry[3])
        return ""

    def sha256(self, path: str | Path) -> str:
        """The sha256 of the file or object, hashed only when it may have changed.

        Raises:
            CorpusmillError: it cannot be read, or changes while it is read.
        """
        return self.known(path) or self._hash(path, hashing.Stop())

    def sha256_each(self, paths: Sequence[str]) -> list[str]:
        """`sha256` of each; what may have changed is hashed, objects several at a time, and remembered at once.

        Raises:
            CorpusmillError: as `sha256`, for the first that fails; the others that run are told to end.
        """
        self.look(paths)
        known = {path: self.known(path) for path in paths}
        unknown = [path for path, sha256 in known.items() if not sha256]
        known |= zip(unknown, hashing.each(self._hash, unknown, hashing.at_once(unknown)), strict=True)
        return [known[path] for path in paths]

    def _hash(self, path: str | Path, stop: hashing.Stop) -> str:
        try:
            now = time.time_ns()
            before = self._stat(path)
            sha256 = hashing.sha256_until(path, stop)
            after = self._stat(path)
        except OSError as error:
            raise storage.explained(error, path) from error
        if before != after:
            raise CorpusmillError(
                "the file changes while it is read", where=str(path), hint="run again when it is whole"
            )
        self.forget(str(path))
        if before[1] < now - (RACY_OBJECT_NS if storage.is_remote(path) else RACY_NS):
            self._entries[str(path)] = [*before, sha256]
        return sha256

    def size(self, place: str) -> int | None:
        """Bytes of an object, None where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return self._stat(place, self._seen)[0]
        return None

    def remember(self, name: str, path: Path, sha256: str) -> None:
        """Notes under a name of its own (a URL) what the file at the path holds."""
        self._entries[name] = [*self._stat(path), sha256]

    def recorded(self, name: str) -> str:
        """The sha256 noted under the name, whether or not its file is still there; "" when none is."""
        entry = self._entries.get(name, [])
        return str(entry[3]) if len(entry) == 4 else ""

    def forget(self, name: str) -> None:
        """Drops what is noted under the name."""
        self._entries.pop(name, None)

    def save(self) -> None:
        """Writes the notes when they changed."""
        if json.dumps(self._entries, sort_keys=True) != self._as_read:
            storage.write_text(self._path, json.dumps(self._entries, sort_keys=True, indent=0) + "\n")

    @staticmethod
    def _stat(path: str | Path, seen: Mapping[str, tuple[int, int] | None] | None = None) -> list[int]:
        if storage.is_remote(path):
            place = str(path)
            version = seen[place] if seen and place in seen else objects.version_of(place)
            if version is None:
                raise FileNotFoundError(2, "no such object", place)
            return [*version, 0]
        status = Path(path).stat()
        return [status.st_size, status.st_mtime_ns, status.st_ino]


def _check_bytes(file: FetchedFile, stats: StatCache) -> None:
    if storage.is_remote(file.path):
        _check_object(file, stats)
        return
    path = Path(file.path)
    if file.kind == "hf" and path.resolve().name == FOLDER and path.exists():
        _check_dataset(file, stats)
        return
    if not path.exists():
        raise CorpusmillError(
            "the bytes of a fetched file are gone", where=f"{file.name}, {path}",
            got=f"a link to {path.readlink()}" if path.is_symlink() else "no such file",
            hint="run `python -m pipelines.fetch --output data/fetch`",
        )  # fmt: skip
    if path.is_dir():
        return
    target = path.resolve()
    changed = stats.recorded(str(target)) == file.sha256 and not stats.known(target)
    if path.stat().st_size != file.bytes or changed:
        raise CorpusmillError(
            "a source changed after it was fetched", where=str(target), expected=f"{file.bytes:,} bytes as fetched",
            got=f"{path.stat().st_size:,} bytes", hint="run `dvc repro`: it fetches first",
        )  # fmt: skip


def _check_dataset(file: FetchedFile, stats: StatCache) -> None:
    """Looks after the objects of a folder in a store; who copies one checks its hash."""
    places = objects_of(file.path)
    stats.look(places)
    for place, sha256 in places.items():
        size = stats.size(place)
        if size is None or (stats.recorded(place) == sha256 and not stats.known(place)):
            raise CorpusmillError(
                "a dataset changed after it was fetched", where=f"{file.name}, {place}",
                got="no such object" if size is None else f"another object, {size:,} bytes",
                hint="run `dvc repro`: it fetches first",
            )  # fmt: skip


def _check_object(file: FetchedFile, stats: StatCache) -> None:
    size = stats.size(file.path)
    if size is None:
        raise CorpusmillError(
            "the bytes of a fetched object are gone", where=f"{file.name}, {file.path}", got="no such object",
            hint="run `python -m pipelines.fetch --output data/fetch`",
        )  # fmt: skip
    changed = stats.recorded(file.path) == file.sha256 and not stats.known(file.path)
    if size != file.bytes or changed:
        raise CorpusmillError(
            "a source changed after it was fetched", where=file.path, expected=f"{file.bytes:,} bytes as fetched",
            got=f"{size:,} bytes", hint="run `dvc repro`: it fetches first",
        )  # fmt: skip
