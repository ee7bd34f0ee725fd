"""The evaluation sets that `fetch` found: what is kept out of the corpus, and what `evaluate` may report.

    params.yaml: fetch.evaluation_sets  ->  data/fetch/evaluation.json  (name, kind, columns, sha256 of each file, ...)

They are known by content, as sources are: names and order of their files leave no trace. `extract` reads none of this.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipelines.sources import CACHE, SOURCE_NAME, check_options, is_source_name, raw_place
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump

NAME = "evaluation.json"
SCHEMA_VERSION = 1
KINDS = ("jsonl", "csv", "parquet", "text")


@dataclass(frozen=True)
class EvaluationSet:
    """One entry of ``params.yaml: fetch.evaluation_sets``.

    Args:
        path: as a source's: a file, a glob, an object or several, http(s)://... or package://...
        sha256: what the one file must have; "" takes what is there.
        columns: of a table, those whose texts are the set's; none for kind text.
        key: of a table, the column that names an item; "": items are numbered from 1 in the order of their file.
        options: what else the kind's reader must know.
    """

    name: str
    kind: str
    path: str
    sha256: str
    columns: tuple[str, ...]
    key: str
    options: dict[str, str]
    section: ClassVar[str] = "evaluation_sets"


@dataclass(frozen=True)
class FetchedSet:
    """An evaluation set, known by the content of its files.

    Attributes:
        files: (sha256, bytes) of each, sorted.
        cache: the folder in which the bytes are found by their sha256; no part of what is written.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    key: str
    options: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, int], ...]
    cache: str = CACHE

    @property
    def sha256s(self) -> list[str]:
        return [sha256 for sha256, _ in self.files]

    def to_entry(self) -> dict[str, Any]:
        """What ``evaluation.json`` holds of it, and ``sets.json`` of `decontaminate` repeats."""
        return {
            "name": self.name, "kind": self.kind, "columns": list(self.columns), "key": self.key,
            "options": dict(self.options), "files": [{"sha256": s, "bytes": b} for s, b in self.files],
        }  # fmt: skip


def check_sets(sets: Sequence[EvaluationSet]) -> None:
    """Raises CorpusmillError for an entry that no reader could make sense of."""
    names = [one.name for one in sets]
    for one in sets:
        where = f"params.yaml: fetch.evaluation_sets, {one.name or 'unnamed'}"
        tables = one.kind != "text"
        checks = [
            ("name", is_source_name(one.name), SOURCE_NAME, one.name),
            ("name", names.count(one.name) == 1, "another name for each set", f"{one.name} twice"),
            ("kind", one.kind in KINDS, ", ".join(KINDS), one.kind),
            ("sha256", bool(re.fullmatch(r"([0-9a-f]{64})?", one.sha256)), '64 hex digits, or ""', one.sha256),
            ("columns", bool(one.columns) == tables, "columns of a table; [] for kind text", list(one.columns)),
            ("key", tables or not one.key, '"" for kind text', one.key),
            ("options", "members" not in one.options, "a set in files of its own, none in an archive", "members"),
        ]  # fmt: skip
        for field, right, expected, got in checks:
            if not right:
                raise CorpusmillError(f"wrong {field}", where=f"{where}.{field}", expected=expected, got=repr(got))
        check_options(one.kind, one.options, f"{where}.options")


def sets_text(sets: Sequence[FetchedSet]) -> str:
    """The bytes of ``evaluation.json``."""
    entries = [one.to_entry() for one in sorted(sets, key=lambda one: one.name)]
    return dump({"schema_version": SCHEMA_VERSION, "sets": entries})


def read_sets(place: str | Path, cache: str | Path = CACHE) -> list[FetchedSet]:
    """The sets that `fetch` found, by name.

    Args:
        place: ``evaluation.json``, or `fetch`'s folder.
        cache: the folder that `fetch` was given as ``--cache``.
    Raises:
        CorpusmillError: no such file, a damaged one, or bytes that are gone or have changed since.
    """
    path = Path(place)
    path = path / NAME if path.is_dir() else path
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document["schema_version"]
        found = [_from_entry(entry, str(cache)) for entry in document["sets"]]
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusmillError("no evaluation sets of fetch", where=str(path), hint="run `dvc repro fetch`") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusmillError(f"damaged: {error!r}", where=str(path), hint="delete it, run `dvc repro fetch`") from None
    if version != SCHEMA_VERSION:
        raise CorpusmillError("another schema version", where=str(path), expected=SCHEMA_VERSION, got=version)
    for one in found:
        _check_bytes(one)
    return found


def _from_entry(entry: dict[str, Any], cache: str) -> FetchedSet:
    return FetchedSet(
        name=entry["name"], kind=entry["kind"], columns=tuple(entry["columns"]), key=entry["key"],
        options=tuple(sorted(entry["options"].items())),
        files=tuple((file["sha256"], file["bytes"]) for file in entry["files"]), cache=cache,
    )  # fmt: skip


def _check_bytes(one: FetchedSet) -> None:
    for sha256, size in one.files:
        place = raw_place(one.cache, sha256)
        found = storage.size_of(place)
        if found != size:
            raise CorpusmillError(
                "an evaluation set changed after it was fetched, or is gone", where=f"{one.name}, {place}",
                expected=f"{size:,} bytes", got="no file" if found is None else f"{found:,} bytes",
                hint="run `dvc repro fetch`",
            )  # fmt: skip
