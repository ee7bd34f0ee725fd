"""Units: what one worker takes at a time, planned from the inputs alone, and the cache of finished ones.

A unit keeps its name through every stage: ``enwiki-3fa91c04be77`` is that dump in `extract`, `clean` and `dedup`;
from `shard` on a split stands before it. The plan never depends on the worker count, on file names or their order.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from pipelines.spine import objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.foreign_documents import ForeignFile, foreign_documents
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import NAME, Shard, dump, read_manifest, shards_in_store

KEY_CHARS = 12
REQUESTS_AT_ONCE = 32
RECEIPT = "receipt.json"


@dataclass(frozen=True)
class UnitInput:
    """A file that a unit reads, or a part of one: where it lies, and what it holds.

    Args:
        path: of the file.
        sha256: of the whole file.
        bytes: of the file, or of the part.
        part: what of it, ``[first, last)`` in bytes, row groups or archive members; None: all of it.
        stamp: the file's size and mtime in ns when the unit was planned; shapes nothing. None: not watched.
    """

    path: str
    sha256: str
    bytes: int
    part: tuple[int, int] | None = None
    stamp: tuple[int, int] | None = None


def stamp_of(path: str | Path) -> tuple[int, int] | None:
    """Size and mtime in ns of a file or object, None for what is neither: a change of either betrays other bytes."""
    if storage.is_remote(path):
        return objects.version_of(str(path))
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if S_ISREG(status.st_mode) else None


@dataclass(frozen=True)
class Unit:
    """One piece of work. ``settings`` are what the reader must know: kind, language, licence, columns."""

    name: str
    source: str
    inputs: tuple[UnitInput, ...]
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.inputs)

    def setting(self, name: str) -> str:
        """One of the settings, "" where it is not given."""
        return dict(self.settings).get(name, "")

    def fingerprint(self, recipe: str) -> str:
        """Hex digest of all that shapes the unit's output: inputs by content, settings, and the stage's recipe."""
        inputs = [(one.sha256, one.part) for one in self.inputs]
        content = [self.name, self.source, inputs, self.settings, recipe]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Receipt:
    """What a finished unit left: its output shards, evidence files beside them, and its ledger."""

    shards: tuple[Shard, ...]
    evidence: tuple[Shard, ...]
    ledger: Ledger

    def to_json(self) -> str:
        """The text of ``receipt.json``."""
        parts = {"shards": self.shards, "evidence": self.evidence}
        document = {name: [vars(shard) for shard in shards] for name, shards in parts.items()}
        return dump({**document, "ledger": self.ledger.to_dict()})

    @classmethod
    def from_json(cls, text: str) -> "Receipt":
        """The receipt that ``to_json`` wrote."""
        document = json.loads(text)
        shards, evidence = (tuple(Shard(**s) for s in document[part]) for part in ("shards", "evidence"))
        return cls(shards, evidence, Ledger.from_dict(document["ledger"]))


@dataclass(frozen=True)
class UnitCache:
    """Finished units by fingerprint, in an undeclared folder; outputs are links into it.

    Args:
        root: the folder, an absolute path or a place in a store.
        recipe: digest of the stage's name, parameters, module sources and package versions.
    """

    root: str
    recipe: str

    def place(self, unit: Unit, name: str) -> str:
        """Where one of the unit's files lies."""
        return storage.join(self.root, unit.fingerprint(self.recipe), name)

    def receipt(self, unit: Unit) -> Receipt | None:
        """What the unit left, or None when it is not finished."""
        try:
            return Receipt.from_json(storage.read_text(self.place(unit, RECEIPT)))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return None  # damaged: computed again

    def receipts(self, units: Sequence[Unit]) -> list[Receipt | None]:
        """`receipt` of each, many requests at a time where they lie in a store."""
        if not storage.is_remote(self.root):
            return [self.receipt(unit) for unit in units]
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
            return list(threads.map(self.receipt, units))

    def are_sound(self, units: Sequence[Unit]) -> list[bool]:
        """`is_sound` of each, many requests at a time where they lie in a store."""
        if not storage.is_remote(self.root):
            return [self.is_sound(unit) for unit in units]
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
            return list(threads.map(self.is_sound, units))

    def is_sound(self, unit: Unit) -> bool:
        """Whether the unit is finished and every byte is still what its receipt says.

        Of objects the sizes alone are asked for: nobody can change a part of one, and whoever reads it checks its hash.
        """
        receipt = self.receipt(unit)
        if receipt is None:
            return False
        shards = (*receipt.shards, *receipt.evidence)
        places = [self.place(unit, shard.name) for shard in shards]
        if storage.sizes_of(places) != [shard.bytes for shard in shards]:
            return False
        if storage.is_remote(self.root):
            return True
        return all(storage.sha256_file(place) == shard.sha256 for shard, place in zip(shards, places, strict=True))


def unit_key(sha256: str) -> str:
    """The first 12 hex digits: how a unit names the content it was made from."""
    return sha256[:KEY_CHARS]


def plan_documents(inputs: Sequence[str]) -> list[Unit]:
    """A unit for each document shard of the given folders, manifests or Parquet files, sorted by name.

    Folders that a stage wrote are read through their manifest; other Parquet files are named by their content, and so
    each is read once to plan it. All may lie in a store.

    Raises:
        CorpusmillError: nothing to read, or a manifest and its folder do not agree.
    """
    units: dict[str, Unit] = {}
    for place in inputs:
        for unit in _plan_place(place):
            known = units.setdefault(unit.name, unit)
            if known.fingerprint("") != unit.fingerprint(""):
                raise CorpusmillError(
                    "two inputs hold different content under one name", where=f"{unit.name} in {', '.join(inputs)}",
                    hint="they come from other runs of the same stage: give one of them",
                )  # fmt: skip
    return [units[name] for name in sorted(units)]


def pair_units(units: Iterable[Unit], others: Mapping[str, UnitInput]) -> list[Unit]:
    """The same units, with a second input where ``others`` holds one under the unit's name."""
    paired = []
    for unit in units:
        second = (others[unit.name],) if unit.name in others else ()
        paired.append(Unit(unit.name, unit.source, (*unit.inputs, *second), unit.settings))
    return paired


def manifest_inputs(folder: str) -> dict[str, UnitInput]:
    """Unit name -> input, for every shard of a stage's folder, on the disk or in a store.

    Raises:
        CorpusmillError: no manifest, or it and the shards do not agree.
    """
    if storage.is_remote(folder):
        found = shards_in_store(folder)
    else:
        manifest = read_manifest(folder).check()
        found = [(shard, manifest.place_of(shard)) for shard in manifest.shards]
    return {shard.stem: UnitInput(storage.absolute(place), shard.sha256, shard.bytes) for shard, place in found}


def source_of(stem: str, with_split: bool) -> str:
    """``enwiki`` of ``enwiki-<key>``, or of ``train-enwiki-<key>`` where names begin with a split."""
    name = stem.rpartition("-")[0]
    return name.partition("-")[2] if with_split else name


def _plan_place(place: str) -> list[Unit]:
    folder = place.removesuffix(NAME) or "." if storage.name_of(place) == NAME else place
    # A stage's folder without a manifest is half done: reading the manifest says so.
    if folder != place or any(storage.exists(storage.join(place, name)) for name in (NAME, "lineage.json")):
        found = manifest_inputs(folder)
        splits = all(name.partition("-")[0] in ("train", "val", "test") for name in found)
        return [Unit(name, source_of(name, splits), (part,)) for name, part in found.items()]
    return [_foreign_unit(file) for file in foreign_documents(place)]


def _foreign_unit(file: ForeignFile) -> Unit:
    """A Parquet file of documents that no stage of ours wrote."""
    part = UnitInput(file.place, file.sha256, file.bytes)
    return Unit(f"{file.source}-{unit_key(file.sha256)}", file.source, (part,))
