"""The trace of training on ten million documents: from a step to its documents, from a document to its steps.

``bench.trace`` writes the token shards of made-up documents into a scratch folder. ``python -m bench.train_trace``
prints how long ``python -m train.trace`` takes from start to end, interpreter included, on files that the system was
told to forget, and writes ``logs/bench-train-trace.json``.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from bench.trace import forget, write_corpus
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest

LOG = Path("logs/bench-train-trace.json")
PARAMS = Path("params.yaml")
REPEATS = 5
#: A global batch as of a run on many GPUs.
ROWS_PER_STEP = 512


def write_params(path: Path, steps: int) -> Path:
    """The repository's parameters with so many steps of ``ROWS_PER_STEP`` rows."""
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params["pretrain"] |= {"steps": steps, "rows_per_step": ROWS_PER_STEP}
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return path


def command_seconds(pack: Path, arguments: Sequence[str], cold: bool) -> float:
    """Seconds of one command."""
    if cold:
        forget(pack)
    # The scratch folder has no metrics: the run has not ended.
    command = [sys.executable, "-m", "train.trace", *arguments, "--input", str(pack), "--metrics", str(pack / "none")]
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_trace", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args(argv)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        pack, draw = Path(scratch) / "pack", random.Random(0)
        write_corpus(pack, args.documents, args.shards)
        num_rows = read_manifest(pack).rows
        steps = args.epochs * num_rows // ROWS_PER_STEP
        params = write_params(Path(scratch) / "params.yaml", steps)
        for _ in range(REPEATS):
            asked = {
                "--step": ["--step", str(draw.randrange(1, steps + 1))],
                "--doc": ["--doc", f"s:{draw.randrange(args.documents)}"],
            }
            for name, arguments in asked.items():
                arguments += ["--params", str(params)]
                found.setdefault(f"{name} cold", []).append(command_seconds(pack, arguments, cold=True))
                found.setdefault(f"{name} again", []).append(command_seconds(pack, arguments, cold=False))
    print(
        f"{args.documents:,} documents in {num_rows:,} rows of {args.shards} shards; {steps:,} steps of {ROWS_PER_STEP} "
        f"rows, {args.epochs} epochs; {REPEATS} commands each, {os.cpu_count()} cores"
    )
    print(f"{'seconds':<14} {'shortest':>9} {'longest':>9}")
    for name, seconds in found.items():
        print(f"{name:<14} {min(seconds):9.2f} {max(seconds):9.2f}")
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps({"documents": args.documents, "rows": num_rows, "steps": steps, **found}, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
