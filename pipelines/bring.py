"""A stage's folder brought to this machine: shards and evidence that lie in a store become plain local files.

    data/pack/{manifest.json, places.json, ...} + objects  ->  DIR/{manifest.json, *.arrow, index/*, languages/*, ...}

What a later stage, `datasets.load_from_disk` or a trainer without our reader wants to find in one folder. Each file is
checked by its sha256; one that is there already is kept, so a run that was stopped goes on. Needs no Beam.

``python -m pipelines.bring --input data/pack --output DIR``, one split alone: ``--split val``
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.packing.dataset_files import FILES, SPLIT
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import NAME, PLACES, Manifest, Shard, read_manifest, write_manifest
from pipelines.spine.units import RECEIPT, Receipt
from pipelines.token_shards import SPLITS

#: Files that are fetched at a time.
AT_ONCE = 8
LINEAGE = "lineage.json"


@dataclass(frozen=True)
class Wanted:
    """A file of the folder: its name there, where it lies, and the sha256 of its bytes ("" where nothing tells it)."""

    name: str
    place: str
    sha256: str = ""


def main(argv: Sequence[str]) -> None:
    """The command."""
    args = _parser().parse_args(argv)
    files = bring(args.input, Path(args.output), args.split)
    print(f"bring: {len(files)} files; folder {args.output}", file=sys.stderr)


def bring(folder: str, output: Path, split: str = "") -> list[Wanted]:
    """Makes ``output`` hold what the stage's folder stands for, its manifest last; returns the files of it.

    Args:
        folder: that a stage wrote.
        output: a new folder, or one that this has filled before; what does not belong there goes.
        split: ``train``, ``val`` or ``test`` alone; "": everything.
    Raises:
        CorpusmillError: no shard of the split, an object with other bytes than declared, or a folder of something else.
    """
    manifest = read_manifest(folder).check()
    shards = manifest.of_split(split) if split else manifest.shards
    if split and not shards:
        found = ", ".join(sorted({shard.split for shard in manifest.shards})) or "no shards at all"
        raise CorpusmillError(f"no shards of split {split}", where=str(manifest.path), got=found)
    _refuse(manifest.folder, output)
    files = [*_small_files(manifest, split), *_shards(manifest, shards), *_evidence(manifest, split)]
    (output / NAME).unlink(missing_ok=True)
    lineage, *others = sorted(files, key=lambda one: one.name != LINEAGE)
    _fetch(lineage, output)  # first: by it a run after a kill knows the folder for its own
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda one: _fetch(one, output), others))
    wanted = {one.name for one in files}
    for path in sorted(output.rglob("*")):
        if path.is_file() and path.relative_to(output).as_posix() not in wanted:
            path.unlink()
    write_manifest(output, shards)
    return files


def _fetch(one: Wanted, output: Path) -> None:
    target = output / one.name
    if one.sha256 and target.is_file() and storage.sha256_file(target) == one.sha256:
        return
    source = storage.local_copy(one.place, one.sha256)
    if one.sha256 and not storage.is_remote(one.place) and (found := storage.sha256_file(source)) != one.sha256:
        raise CorpusmillError(
            "the file holds other bytes than declared", where=one.place, expected=f"sha256 {one.sha256}", got=found,
            hint="run the stage that wrote it again, or `dvc checkout`",
        )  # fmt: skip
    storage.link(source, target)


def _shards(manifest: Manifest, shards: Sequence[Shard]) -> list[Wanted]:
    return [Wanted(shard.name, manifest.place_of(shard), shard.sha256) for shard in shards]


def _evidence(manifest: Manifest, split: str) -> list[Wanted]:
    """What lies beside the shards; the receipt of the unit that wrote it says its sha256 where it lies in a store."""
    names = {shard.name for shard in manifest.shards}
    if manifest.places:
        found = {name: place for name, place in manifest.places.items() if name not in names}
    else:
        paths = (path for path in manifest.folder.glob("*/**/*") if path.is_file())
        found = {path.relative_to(manifest.folder).as_posix(): str(path) for path in paths}
    mine = {
        name: found[name] for name in sorted(found) if storage.name_of(name).startswith(f"{split}-" if split else "")
    }
    hashes: dict[str, str] = {}
    for unit in sorted({place.rpartition("/")[0] for place in mine.values()} if manifest.places else ()):
        hashes |= _hashes(unit)
    return [Wanted(name, place, hashes.get(place, "")) for name, place in mine.items()]


def _hashes(unit: str) -> dict[str, str]:
    """Place -> sha256 of the evidence in a unit's folder; nothing where it has no receipt."""
    try:
        receipt = Receipt.from_json(storage.read_text(storage.join(unit, RECEIPT)))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    return {storage.join(unit, shard.name): shard.sha256 for shard in receipt.evidence}


def _small_files(manifest: Manifest, split: str) -> list[Wanted]:
    """Ledger, lineage and other texts, which lie in the folder itself; those for `datasets` name the train shards."""
    left_out = {NAME, PLACES, *(shard.name for shard in manifest.shards), *(FILES if split not in ("", SPLIT) else ())}
    paths = sorted(path for path in manifest.folder.iterdir() if path.is_file() and path.name not in left_out)
    return [Wanted(path.name, str(path), storage.sha256_file(path)) for path in paths]


def _refuse(folder: Path, output: Path) -> None:
    """Passes for a folder that is new, empty, or was brought from this stage before."""
    if output.resolve() == folder.resolve() or folder.resolve() in output.resolve().parents:
        raise CorpusmillError("the output folder is the input", where=str(output), hint="give another --output")
    names = [path.name for path in output.iterdir()] if output.is_dir() else []
    strange = [name for name in names if not name.startswith(storage.TEMPORARY)]
    ours = (output / LINEAGE).exists() and (folder / LINEAGE).exists()
    if strange and not (ours and storage.sha256_file(output / LINEAGE) == storage.sha256_file(folder / LINEAGE)):
        raise CorpusmillError(
            "the folder holds something else already", where=str(output),
            expected="no folder, an empty one, or what was brought from here before",
            hint="give another --output, or remove the folder",
        )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.bring", description=__doc__.partition("\n")[0])
    parser.add_argument("--input", required=True, metavar="DIR", help="a folder that a stage wrote")
    parser.add_argument("--output", required=True, metavar="DIR", help="a new folder, on this machine")
    parser.add_argument("--split", default="", choices=("", *SPLITS), help="one split alone (default: everything)")
    return parser


if __name__ == "__main__":
    sys.exit(run_module("pipelines.bring"))
