"""Rebuilds the whole flow in a second clone, without its caches, and compares dvc.lock: `make verify`.

Every artifact's hash stands in dvc.lock, so equal locks are equal bytes. Exit status 1 names the stages that differ.
``python tests/verify_clone.py --here`` compares the lock of this workspace with the committed one, through `pack`:
those bytes are the same on any x86-64 Linux; training's only on CPUs of one kind.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ("fetch", "extract", "clean", "dedup", "shard", "count", "learn", "pack")


def differing_stages(ours: str, theirs: str) -> list[str]:
    """The stages whose outputs have other hashes in the two locks, in the order of the first."""
    first, second = (yaml.safe_load(text)["stages"] for text in (ours, theirs))
    return [name for name in {**first, **second} if outputs(first, name) != outputs(second, name)]


def outputs(stages: dict, name: str) -> list[tuple[str, str]] | None:
    """(path, hash) of a stage's outputs, None for a stage that the lock lacks."""
    return [(out["path"], out["md5"]) for out in stages[name]["outs"]] if name in stages else None


def rebuild(folder: Path) -> str:
    """The lock of a rebuild in a clone of the committed state."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    lock = clone / "dvc.lock"
    lock.unlink(missing_ok=True)
    print(f"rebuilding in {clone}", flush=True)
    # Without the run cache nothing is taken from an earlier run.
    subprocess.run(["dvc", "repro", "--no-run-cache"], cwd=clone, check=True, env={**os.environ, "PYTHONPATH": ""})
    return lock.read_text()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--here", action="store_true", help="compare this workspace's lock with the committed one")
    here = parser.parse_args().here
    lock = (ROOT / "dvc.lock").read_text()
    if here:
        committed = subprocess.run(
            ["git", "show", "HEAD:dvc.lock"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        found = [name for name in differing_stages(committed.stdout, lock) if name in CORPUS]
    else:
        with tempfile.TemporaryDirectory(prefix="corpusmill-verify-") as folder:
            found = differing_stages(lock, rebuild(Path(folder)))
    for name in found:
        print(f"differs: {name}")
    print("1 passed, 0 failed" if not found else f"0 passed, {len(found)} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
