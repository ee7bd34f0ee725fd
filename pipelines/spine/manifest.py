"""``manifest.json``: the shards of a folder. It is all that a later stage depends on, and is written last.

With a storage root the shards lie there, and ``places.json`` beside the manifest says where; the manifest is the same.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError

NAME = "manifest.json"
#: Name in the folder -> place, of the shards and of the evidence beside them; absent where they lie in the folder.
PLACES = "places.json"
#: Stands for a folder of any files that lie elsewhere: name in the folder -> place and sha256.
FOLDER = "folder.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, order=True)
class Shard:
    """One output file: its name in the folder, rows, bytes, and the sha256 of its bytes."""

    name: str
    rows: int
    bytes: int
    sha256: str

    @property
    def stem(self) -> str:
        """The name without its ending: the unit's name, the same in every stage."""
        return self.name.rpartition(".")[0]

    @property
    def split(self) -> str:
        """``train``, ``val`` or ``test`` for shards named ``<split>-<source>-<key>``."""
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Manifest:
    """The shards of one folder, sorted by name; ``places`` says where those lie that are not in it."""

    folder: Path
    shards: tuple[Shard, ...]
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / NAME

    def place_of(self, shard: Shard) -> str:
        """Where the shard lies: a path, or an object."""
        return self.places.get(shard.name) or str(self.folder / shard.name)

    def local(self, shard: Shard) -> Path:
        """The shard as a local file, to be memory-mapped; of an object there will be a copy with its declared bytes."""
        return storage.local_copy(self.place_of(shard), shard.sha256)

    def local_evidence(self, name: str) -> Path:
        """A file of evidence by its name in the folder, as `local`; a path where no file is if there is none."""
        return storage.local_copy(self.places.get(name) or self.folder / name)

    def evidence(self, kind: str) -> list[tuple[str, str]]:
        """The files of evidence of a kind, ``dropped`` for instance: (name in the folder, place), sorted."""
        if self.places:
            return sorted((name, place) for name, place in self.places.items() if name.startswith(f"{kind}/"))
        paths = sorted(path for path in (self.folder / kind).glob("*") if path.is_file())
        return [(f"{kind}/{path.name}", str(path)) for path in paths]

    def of_split(self, split: str) -> tuple[Shard, ...]:
        """The shards of one split."""
        return tuple(shard for shard in self.shards if shard.split == split)

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    def check(self) -> "Manifest":
        """Itself, once every shard is there with its declared size.

        Raises:
            CorpusmillError: a shard is missing or has another size.
        """
        places = [self.place_of(shard) for shard in self.shards]
        for shard, place, size in zip(self.shards, places, storage.sizes_of(places), strict=True):
            if size != shard.bytes:
                lost = "a shard is not in the store as the manifest says"
                hint = f"run `dvc repro --force --single-item {self.folder.name}`: only what is missing is computed"
                here = not storage.is_remote(place)
                raise CorpusmillError(
                    "the manifest and the folder do not agree" if here else lost,
                    where=place,
                    expected=f"{shard.bytes:,} bytes",
                    got="no such file" if size is None else f"{size:,} bytes",
                    hint="run `dvc repro`, or `dvc checkout`, to bring the shard back" if here else hint,
                )
        return self


def write_manifest(folder: str | Path, shards: Iterable[Shard]) -> Manifest:
    """Publishes the folder's manifest; the shards must lie there already.

    Raises:
        CorpusmillError: two shards have one name.
    """
    manifest = Manifest(Path(folder), tuple(sorted(shards)))
    for shard, after in itertools.pairwise(manifest.shards):
        if shard.name == after.name:
            raise CorpusmillError("two shards have one name", where=f"{folder}: {shard.name}")
    entries = [dataclasses.asdict(shard) for shard in manifest.shards]
    storage.write_text(manifest.path, dump({"schema_version": SCHEMA_VERSION, "shards": entries}))
    return manifest


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a folder (or of the folder that the given ``manifest.json`` lies in).

    Raises:
        CorpusmillError: there is none, or it is damaged or of another version.
    """
    if storage.is_remote(folder):
        raise CorpusmillError(
            "this folder is read on the disk", where=str(folder),
            hint="copy it to this machine; documents and lists of documents alone are read from a folder in a store",
        )  # fmt: skip
    path = Path(folder)
    path = path if path.name == NAME else path / NAME
    try:
        shards = _parsed(path.read_bytes(), str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusmillError(
            "no manifest: the stage that writes this folder has not finished",
            where=str(path),
            hint=f"run `dvc repro {path.parent.name}`",
        ) from None
    return Manifest(path.parent, shards, _read_places(path.with_name(PLACES)))


def shards_in_store(folder: str) -> list[tuple[Shard, str]]:
    """The shards of a stage's folder that was copied to a store, each with its place.

    Args:
        folder: ``s3://bucket/folder``, with ``manifest.json`` and the shards in it, or ``places.json`` for them.
    Raises:
        CorpusmillError: no manifest, a damaged one, or a shard that is missing or has another size.
    """
    path = storage.join(folder, NAME)
    try:
        shards = _parsed(storage.read_bytes(path), path)
    except FileNotFoundError:
        raise CorpusmillError(
            "no manifest: the folder was not copied whole", where=path, hint=f"copy {NAME} too, after the shards"
        ) from None
    elsewhere = _read_places(storage.join(folder, PLACES))
    places = [elsewhere.get(shard.name) or storage.join(folder, shard.name) for shard in shards]
    for shard, place, size in zip(shards, places, storage.sizes_of(places), strict=True):
        if size != shard.bytes:
            raise CorpusmillError(
                "a shard is not in the store as the manifest says", where=place, expected=f"{shard.bytes:,} bytes",
                got="no such object" if size is None else f"{size:,} bytes", hint="copy the stage's folder again",
            )  # fmt: skip
    return list(zip(shards, places, strict=True))


def _parsed(content: bytes, where: str) -> tuple[Shard, ...]:
    """The shards that the bytes of a ``manifest.json`` name."""
    try:
        document = json.loads(content.decode("utf-8"))
        version = document["schema_version"]
        # Another version's entries need not look like ours: say that it is another version, not that it is damaged.
        shards = tuple(Shard(**entry) for entry in document["shards"]) if version == SCHEMA_VERSION else ()
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusmillError(f"damaged manifest: {error}", where=where, hint="delete it and rerun") from None
    if version != SCHEMA_VERSION:
        raise CorpusmillError("another schema version", where=where, expected=SCHEMA_VERSION, got=version)
    return shards


def _read_places(path: str | Path) -> dict[str, str]:
    try:
        places = dict(json.loads(storage.read_text(path)))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        hint = f"run `dvc repro --force --single-item {Path(path).parent.name}`: only what is missing is computed"
        raise CorpusmillError(f"damaged: {error}", where=str(path), hint=hint) from None
    return {str(name): str(place) for name, place in places.items()}


def dump(value: object) -> str:
    """JSON as every declared file has it: sorted keys, two spaces, one newline at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
