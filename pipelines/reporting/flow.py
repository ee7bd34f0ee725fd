"""The folders that the stages left, as they lie: what each one holds, and which stages have not run yet.

    data/<stage>/{manifest.json, ledger.json, lineage.json, ...}  ->  Flow

A stage has run when its ``manifest.json`` is there: it is written last.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import NAME, Manifest, Shard, read_manifest

#: The stages in the order in which text passes them.
STAGES = (
    "fetch", "extract", "quality", "clean", "dedup", "decontaminate", "shard", "count", "learn", "measure",
    "pack", "pretrain", "evaluate", "export",
)  # fmt: skip


@dataclass(frozen=True)
class StageFolder:
    """What one stage left; ``folder`` is None when it has not run."""

    name: str
    folder: Path | None = None

    @property
    def has_run(self) -> bool:
        return self.folder is not None

    @property
    def manifest(self) -> Manifest:
        """The shards.

        Raises:
            CorpusmillError: a shard is missing or has another size, or the manifest is damaged.
        """
        return read_manifest(self._there()).check()

    @property
    def manifest_sha256(self) -> str:
        return storage.sha256_file(self._there() / NAME)

    @property
    def ledger(self) -> Ledger | None:
        """The stage's counts; None where it keeps none."""
        document = self.json("ledger.json")
        return None if document is None else self._parsed("ledger.json", document)

    @property
    def ledger_by_source(self) -> dict[str, Ledger]:
        """The counts by source; empty where the stage does not split them."""
        document = self.json("ledger.json") or {}
        return {source: self._parsed("ledger.json", part) for source, part in document.get("by_source", {}).items()}

    def path(self, name: str) -> Path | None:
        """A file of the folder, None where there is none."""
        path = self.folder / name if self.folder is not None else None
        return path if path is not None and path.exists() else None

    def json(self, name: str) -> Any:
        """The content of a JSON file, None where there is none.

        Raises:
            CorpusmillError: it is no JSON.
        """
        path = self.path(name)
        if path is None:
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise self._damaged(path, error) from None

    def rows(self, name: str) -> list[dict[str, str]]:
        """The rows of a CSV file with a header, none where there is no such file."""
        path = self.path(name)
        if path is None:
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def shard_paths(self, split: str = "") -> Iterator[tuple[Shard, Path]]:
        """The shards of the split (of all without one) as local files, by name; of a store a copy of each in its turn."""
        manifest = self.manifest
        for shard in manifest.shards:
            if not split or shard.split == split:
                yield shard, manifest.local(shard)

    def shard_places(self) -> list[tuple[Shard, str]]:
        """All shards and their places, by name; none where the stage has not run. Nothing is fetched from a store."""
        manifest = self.manifest if self.has_run else None
        return [(shard, manifest.place_of(shard)) for shard in manifest.shards] if manifest else []

    def evidence_paths(self, kind: str) -> Iterator[Path]:
        """The Parquet files of what was ``dropped`` or ``quarantined``, by name; of a store a copy of each in its turn."""
        for _, place in self.manifest.evidence(kind) if self.has_run else ():
            if place.endswith(".parquet"):
                yield storage.local_copy(place)

    def _there(self) -> Path:
        if self.folder is None:
            raise CorpusmillError(f"{self.name} has not run", where=self.name, hint=f"run `dvc repro {self.name}`")
        return self.folder

    def _parsed(self, name: str, document: Any) -> Ledger:
        try:
            return Ledger.from_dict(document)
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(self._there() / name, error) from None

    def _damaged(self, path: Path, error: Exception) -> CorpusmillError:
        hint = f"delete the folder and run `dvc repro {self.name}`"
        return CorpusmillError(f"damaged file: {error!r}", where=str(path), hint=hint)


@dataclass(frozen=True)
class Flow:
    """All stages by name, in the order of the flow."""

    stages: dict[str, StageFolder]

    def __getitem__(self, name: str) -> StageFolder:
        return self.stages[name]

    def __iter__(self) -> Iterator[StageFolder]:
        return iter(self.stages.values())


def read_flow(places: Sequence[str]) -> Flow:
    """The stages found under the places: folders of stages (``data``), or stages' own folders (``data/clean``).

    Raises:
        CorpusmillError: a place is missing, no stage is in any of them, or a stage is there twice.
    """
    found: dict[str, Path] = {}
    for place in map(Path, places):
        if not place.is_dir():
            raise CorpusmillError("no such folder", where=str(place), hint="give the folder that holds the stages")
        for stage in STAGES:
            folder = place if place.name == stage and (place / NAME).exists() else place / stage
            if not (folder / NAME).exists():
                continue
            if stage in found and found[stage].resolve() != folder.resolve():
                raise CorpusmillError(
                    f"{stage} is there twice", where=f"{found[stage]} and {folder}", hint="give one of them to --input"
                )
            found[stage] = folder
    if not found:
        raise CorpusmillError(
            "no stage has run here", where=", ".join(places), expected=f"{STAGES[0]}/{NAME}, {STAGES[1]}/{NAME}, ...",
            hint="run `dvc repro`",
        )  # fmt: skip
    return Flow({stage: StageFolder(stage, found.get(stage)) for stage in STAGES})
