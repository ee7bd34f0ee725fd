"""A stage as a command: its options, one run of it, and the publishing of what it made.

Order of publishing: the old manifest goes first, the new one comes last. So a folder with a manifest is whole,
and a run that dies in between is simply done again from the unit cache.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.spine import faults, lineage, storage, uploads
from pipelines.spine.command import refuse_remote
from pipelines.spine.command import run_module as run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger, merge
from pipelines.spine.manifest import NAME, PLACES, Shard, dump, write_manifest
from pipelines.spine.params import load_params, to_jsonable
from pipelines.spine.progress import Heartbeat
from pipelines.spine.root import storage_root
from pipelines.spine.unit_list import UnitList, write_units
from pipelines.spine.units import Unit, UnitCache
from pipelines.spine.work import evidence_place

CACHE = ".cache"
#: Folder of the plans among the finished units.
PLANS = "plans"
#: A published tally shows so many names; the receipts of the units hold all.
MOST_TALLIED = 200

Judge = Callable[[Ledger, Mapping[str, Ledger]], None]


@dataclass(frozen=True)
class Stage:
    """A word of the flow: its name is its section of ``params.yaml``, its folder and its module's last part.

    Args:
        module: ``pipelines.clean``.
        params: the frozen dataclass of its section.
        versions: keys of ``versions.yaml`` that shape its bytes.
        has_runner: whether unknown options are the Beam runner's.
    """

    module: str
    params: type
    versions: tuple[str, ...]
    has_runner: bool = False

    @property
    def name(self) -> str:
        return self.module.rpartition(".")[2]


@dataclass
class Job:
    """One run of a stage: what was asked, and how to publish what came of it."""

    stage: Stage
    params: Any
    args: argparse.Namespace
    versions: dict[str, str]
    runner_args: list[str] = field(default_factory=list)
    also_read: list[str] = field(default_factory=list)  # folders beside --input, for the lineage
    places: dict[str, str] = field(default_factory=dict)  # of what was put into the output folder, by name there
    _begun: bool = False

    @property
    def inputs(self) -> list[str]:
        return list(self.args.input)

    @property
    def output(self) -> Path:
        return Path(self.args.output)

    @property
    def cache_root(self) -> Path:
        """An absolute folder of this machine for what may be lost without harm."""
        return Path(self.args.cache).resolve()

    @functools.cached_property
    def root(self) -> str:
        """Where the shards of a stage that workers run lie, an absolute path or a place in a store; "": in its folder."""
        return storage_root(self.args.params) if self.stage.has_runner else ""

    @property
    def store(self) -> str:
        """Where finished units lie: the root, or the cache where there is none."""
        return self.root or str(self.cache_root)

    @functools.cached_property
    def release(self) -> lineage.Release:
        """What every worker must have."""
        return lineage.Release(self.stage.module, self._modules, self.versions)

    def for_workers(self, path: str | Path) -> str:
        """The place from which a worker reads a file of this machine: with a root, that of a copy there."""
        if storage.is_remote(path) or not self.root:
            return storage.absolute(path)
        return uploads.uploaded_file(path, self.root)

    def units_for_workers(self, units: Iterable[Unit]) -> list[Unit]:
        """The units, their inputs where workers find them; those in the root, or in a store, stay where they are."""
        return uploads.uploaded(list(units), self.root, self.stage.name) if self.root else list(units)

    def unit_list(self, units: Iterable[Unit]) -> UnitList:
        """The units as a file of the store that each worker reads once: pickled, the list is its name alone."""
        return write_units(units, storage.join(self.store, "units", PLANS))

    @property
    def recipe(self) -> str:
        """Digest of all but the input that shapes a unit of this stage."""
        return self._recipe(self.params)

    @functools.cached_property
    def _modules(self) -> str:
        return lineage.modules_digest(self.stage.module)

    def _recipe(self, shaping: Any) -> str:
        parts = [self.stage.name, to_jsonable(shaping), self.versions, self._modules]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def unit_cache(self, part: str = "", shaping: Any = None) -> UnitCache:
        """The stage's unit cache, or that of one part of it, which only the parameters ``shaping`` shape."""
        recipe = self.recipe if shaping is None else self._recipe(shaping)
        return UnitCache(storage.join(self.store, "units", f"{self.stage.name}{part}"), f"{recipe}{part}")

    @property
    def progress_folder(self) -> Path:
        """Where this run's heartbeats go; whoever runs it on machines that cannot write here takes it away."""
        return self.cache_root / "progress" / f"{self.stage.name}-{os.getpid()}"

    def heartbeat(self) -> Heartbeat:
        """A fresh place for this run's progress."""
        folder = self.progress_folder
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        return Heartbeat(str(folder))

    def publish_units(
        self,
        units: Sequence[Unit],
        counts: str,
        judge: Judge | None = None,
        cache: UnitCache | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> Ledger:
        """Publishes what the units left: links in the output folder, or with a root the places where it lies.

        Args:
            units: the plan.
            counts: what the ledger counts.
            judge: refuses a result by its total and by-source ledgers, which are written, before the manifest is.
            cache: where the receipts lie; the stage's own unit cache when not given.
            texts: further files of the folder by name, which no shard is.
        Raises:
            CorpusmillError: a unit has no receipt, a sum does not close, or the judge refuses.
        """
        cache = cache or self.unit_cache()
        units = list(dict.fromkeys(units))  # given twice, counted once
        shards: list[Shard] = []
        parts: list[tuple[str, Ledger]] = []
        places: dict[str, str] = {}
        self.begin()
        for unit, receipt in zip(units, cache.receipts(units), strict=True):
            if receipt is None:
                raise CorpusmillError("the unit left no receipt", where=unit.name, hint="run again")
            places |= {shard.name: cache.place(unit, shard.name) for shard in receipt.shards}
            places |= {evidence_place(shard): cache.place(unit, shard.name) for shard in receipt.evidence}
            shards += receipt.shards
            parts.append((unit.source, receipt.ledger))
        self.put(places)
        total, by_source = merge(counts, parts)
        self._write_ledger(total, by_source)
        for name, text in (texts or {}).items():
            storage.write_text(self.output / name, text)
        if judge is not None:
            judge(total, by_source)
        self._finish(shards, set(places) | set(texts or {}))
        return total

    def put(self, places: Mapping[str, str]) -> None:
        """Makes what workers wrote part of the output folder: by links, or with a root by ``places.json``.

        Args:
            places: name in the folder -> where it lies. Call it once: the last call's places count.
        """
        self.begin()
        self.places = dict(places)
        if self.root:
            storage.write_text(self.output / PLACES, dump(dict(places)))
            return
        for name, place in places.items():
            storage.link(place, self.output / name)

    def publish(self, shards: Iterable[Shard], ledger: Ledger, others: Iterable[str] = ()) -> None:
        """Publishes files that the stage wrote into the output folder itself; ``others`` are beside the shards."""
        self.begin()
        self._write_ledger(ledger, {})
        self._finish(list(shards), set(others))

    def begin(self) -> None:
        """Takes the old manifest away; call it before the first file is put into the output folder."""
        if self._begun:
            return
        self._begun = True
        (self.output / NAME).unlink(missing_ok=True)
        storage.write_text(self.output / "lineage.json", self._lineage())

    def _write_ledger(self, total: Ledger, by_source: dict[str, Ledger]) -> None:
        total.check(self.stage.name)
        document = {"stage": self.stage.name, **total.to_dict(MOST_TALLIED)}
        document["by_source"] = {name: by_source[name].to_dict(MOST_TALLIED) for name in sorted(by_source)}
        storage.write_text(self.args.ledger, dump(document))

    def _finish(self, shards: list[Shard], others: set[str]) -> None:
        self._remove_strays({shard.name for shard in shards} | others)
        faults.reach(f"{self.stage.name}:linked")
        write_manifest(self.output, shards)
        faults.reach(f"{self.stage.name}:manifest")

    def _remove_strays(self, wanted: set[str]) -> None:
        """Deletes what an earlier run left in the folder and this one did not write."""
        elsewhere = set(self.places) if self.root else set()
        wanted = (wanted - elsewhere) | {"lineage.json", *([PLACES] if elsewhere else [])}
        ledger = Path(self.args.ledger).resolve()
        for path in sorted(self.output.rglob("*")):
            name = path.relative_to(self.output).as_posix()
            if path.is_file() and name not in wanted and path.resolve() != ledger:
                path.unlink()

    def _lineage(self) -> str:
        """What this folder was made from; nothing depends on it, so it may name everything."""
        parents = []
        for place in [*self.inputs, *self.also_read]:
            manifest = place if storage.name_of(place) == NAME else storage.join(place, NAME)
            if storage.exists(manifest):
                parents.append({"stage": Path(manifest).parent.name, "manifest_sha256": storage.sha256_file(manifest)})
        return dump(
            {
                "stage": self.stage.name,
                "parents": parents,
                "params": to_jsonable(self.params),
                "versions": self.versions,
                "modules_sha256": self._modules,
            }
        )


@contextlib.contextmanager
def opened(
    stage: Stage, argv: Sequence[str], add_options: Callable[[argparse.ArgumentParser], None] | None = None
) -> Any:
    """The job that the command line asks for, with its output folder locked for the block.

    Raises:
        CorpusmillError: wrong parameters or versions, a folder that is not a stage's, or one in use.
    """
    job = _parse(stage, argv, add_options)
    # Beside the output, not in the cache: two runs with different caches may name the same folder.
    output = job.output.resolve()
    with storage.exclusive(output.with_name(f".{output.name}.lock"), str(job.output)):
        _refuse_inputs(job)
        _refuse_foreign(job.output, stage.name)
        yield job


def _parse(stage: Stage, argv: Sequence[str], add_options: Callable[[argparse.ArgumentParser], None] | None) -> Job:
    doc = sys.modules[stage.module].__doc__ if stage.module in sys.modules else None
    parser = argparse.ArgumentParser(
        prog=f"python -m {stage.module}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--input", nargs="+", required=True, metavar="PATH", help="folders or files to read")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write; nothing else lives there")
    parser.add_argument("--ledger", metavar="FILE", help="where the counts go (default: DIR/ledger.json)")
    parser.add_argument("--params", default="params.yaml", metavar="FILE", help="parameters (default: %(default)s)")
    parser.add_argument("--cache", default=CACHE, metavar="DIR", help="finished units (default: %(default)s)")
    if add_options is not None:
        add_options(parser)
    args, rest = parser.parse_known_args(argv)
    if rest and not stage.has_runner:
        parser.error(f"unknown options: {' '.join(rest)}")
    refuse_remote({"--output": args.output, "--ledger": args.ledger, "--cache": args.cache})
    args.ledger = args.ledger or str(Path(args.output) / "ledger.json")
    params: Any = load_params(stage.params, stage.name, args.params)
    versions = lineage.check_versions(stage.versions, Path(args.params).with_name(lineage.VERSIONS_FILE))
    return Job(stage, params, args, versions, rest)


def _refuse_inputs(job: Job) -> None:
    for place in job.inputs:
        path = Path(place).resolve()
        if job.output.resolve() in (path, *path.parents):
            raise CorpusmillError(
                "the output folder is an input", where=place,
                hint="give another --output: a stage owns its output folder and replaces what is in it",
            )  # fmt: skip


def _refuse_foreign(folder: Path, stage: str) -> None:
    if folder.is_file():
        raise CorpusmillError(
            "the output is a file", where=str(folder), expected="a folder", hint="give another --output"
        )
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    # A run killed while it wrote its first file leaves that file's temporary name.
    if any(not name.startswith(storage.TEMPORARY) for name in names) and "lineage.json" not in names:
        raise CorpusmillError(
            "the output folder holds files that no stage wrote", where=str(folder),
            hint="give an empty or new folder: a stage owns its output folder and replaces what is in it",
        )  # fmt: skip
    if "lineage.json" in names:
        owner = _stage_of(folder / "lineage.json")
        if owner not in (stage, ""):
            raise CorpusmillError(
                "the output folder is another stage's", where=str(folder), expected=stage, got=owner,
                hint="give another --output",
            )  # fmt: skip


def _stage_of(path: Path) -> str:
    """The stage that a lineage names, "" where it cannot be read."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["stage"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
