"""Text shards -> token shards: `pack` as a process, beside datatrove's DocumentTokenizer and encoding with ``tokenizers``.

All read the same texts (datatrove as JSON lines) with the same ``tokenizer.json`` (32,000 tokens, pattern gpt2, learned
here from the text), each on one core; ours and datatrove on two cores with two workers too. Ours also packs rows and
writes shards, datatrove writes ids, ``tokenizers`` writes nothing. The peers, being slow, read a part of the text.

whole      the text once, everything counted: start-up, loading, the first sight of every word
warm       the text several times over (other ids), so that start-up weighs little and common words are known

``python -m bench.tokenization`` prints the table and writes ``logs/bench-tokenization.json``.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from bench.bpe import learn, write_apart
from bench.duplicates_peers import write_json_lines
from bench.peers import DATATROVE, pinned_python
from bench.tools import Usage, run_alone
from pipelines.runner import WORKERS
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import VERSIONS_FILE

LOG = Path("logs/bench-tokenization.json")
VOCAB_SIZE, SEQ_LEN = 32_000, 2048
GOAL, FLOOR = 70, 50  # MB/s of CPU on one core
PEER_GOAL, PEER_FLOOR = 25, 15  # times as fast
SCALING_GOAL = 1.7


@dataclass(frozen=True)
class Run:
    """What a tool took for so much text."""

    tool: str
    text: str
    workers: int
    megabytes: float
    usage: Usage

    @property
    def by_clock(self) -> float:
        return self.megabytes / self.usage.seconds

    @property
    def by_cpu(self) -> float:
        return self.megabytes / self.usage.cpu_seconds


def pack(corpus: Path, tokenizer: Path, scratch: Path, workers: int) -> Usage:
    """What `pack` takes from an empty cache; its shards lie in <scratch>/pack."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["pack"]["seq_len"] = SEQ_LEN
    (scratch / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copyfile(VERSIONS_FILE, scratch / VERSIONS_FILE)
    places = ["--input", str(corpus), "--tokenizer", str(tokenizer), "--output", str(scratch / "pack")]
    command = [sys.executable, "-m", "pipelines.pack", *places, "--cache", str(scratch / "cache")]
    return run_alone([*command, "--params", str(scratch / "params.yaml")], workers, {WORKERS: str(workers)})


def run_datatrove(corpus: Path, tokenizer: Path, scratch: Path, workers: int) -> Usage:
    """What datatrove takes, with its library's threads off: one process a core."""
    shutil.rmtree(scratch, ignore_errors=True)
    command = [str(pinned_python(DATATROVE)), "-m", "bench.tokenize_datatrove", str(corpus), str(tokenizer)]
    return run_alone([*command, str(scratch), str(workers)], workers, {"TOKENIZERS_PARALLELISM": "false"})


def run_library(corpus: Path, tokenizer: Path) -> Usage:
    """What encoding with ``tokenizers`` takes."""
    return run_alone([sys.executable, "-m", "bench.tokenize_library", str(corpus), str(tokenizer)], 1)


def write_lines_apart(corpus: Path, folder: Path) -> None:
    """The texts of Parquet files as JSON lines, written by a process of its own; see ``bench.bpe.write_apart``."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(_write_lines, corpus, folder).result()


def _write_lines(corpus: Path, folder: Path) -> None:
    paths = sorted(corpus.glob("*.parquet"))
    write_json_lines(folder, [text for path in paths for text in pq.read_table(path)["text"].to_pylist()])


def measure(data: Path, folder: Path, megabytes: float, peer_megabytes: float, copies: int) -> list[Run]:
    """One round of every run."""
    once, warm, part = folder / "once", folder / "warm", folder / "part"
    sizes = {
        "once": write_apart(data, megabytes, once, 1) / 1e6,
        "warm": write_apart(data, megabytes, warm, copies) / 1e6,
        "part": write_apart(data, peer_megabytes, part, 1) / 1e6,
    }
    lines = folder / "lines"
    write_lines_apart(part, lines)
    learn(once, folder / "vocabulary", VOCAB_SIZE)
    tokenizer = folder / "vocabulary/learn/tokenizer.json"
    return [
        Run("ours", "whole", 1, sizes["once"], pack(once, tokenizer, folder / "ours", 1)),
        Run("tokenizers", "part", 1, sizes["part"], run_library(part, tokenizer)),
        Run("datatrove", "part", 1, sizes["part"], run_datatrove(lines, tokenizer, folder / "theirs", 1)),
        Run("ours", "warm", 1, sizes["warm"], pack(warm, tokenizer, folder / "ours", 1)),
        Run("ours", "warm", 2, sizes["warm"], pack(warm, tokenizer, folder / "ours", 2)),
        Run("datatrove", "part", 2, sizes["part"], run_datatrove(lines, tokenizer, folder / "theirs", 2)),
    ]


def verdict(value: float, goal: float, floor: float) -> str:
    """Which mark a figure reaches."""
    return "goal" if value >= goal else "floor" if value >= floor else "BELOW THE FLOOR"


def report(runs: Sequence[Run]) -> None:
    """Prints the table and the ratios of this run."""
    print(f"{'tool':12} {'text':6} workers      MB  wall s   CPU s    MB/s MB/CPU s peak MB")
    for run in runs:
        used = run.usage
        print(f"{run.tool:12} {run.text:6} {run.workers:7} {run.megabytes:7.1f} {used.seconds:7.1f} {used.cpu_seconds:7.1f}"
              f" {run.by_clock:7.1f} {run.by_cpu:8.1f} {used.peak_bytes / 1e6:7.0f}")  # fmt: skip
    by = {(run.tool, run.text, run.workers): run for run in runs}
    whole, warm = by["ours", "whole", 1], by["ours", "warm", 1]
    print(f"one core, warm: {warm.by_cpu:.0f} MB/s of CPU ({verdict(warm.by_cpu, GOAL, FLOOR)})")
    for peer in ("tokenizers", "datatrove"):
        for label, ours in (("whole", whole), ("warm", warm)):
            ratio = ours.by_cpu / by[peer, "part", 1].by_cpu
            print(f"{label}: {ratio:.1f} x {peer} by CPU on one core ({verdict(ratio, PEER_GOAL, PEER_FLOOR)})")
    scaling = by["ours", "warm", 2].by_clock / warm.by_clock
    print(
        f"two workers on two cores: {scaling:.2f} x one by the clock ({verdict(scaling, SCALING_GOAL, SCALING_GOAL)})"
    )
    growth = warm.usage.peak_bytes / whole.usage.peak_bytes
    print(f"peak memory at {warm.megabytes / whole.megabytes:.0f} x the text: {growth:.2f} x")


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.tokenization", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the bench text")
    parser.add_argument("--megabytes", type=float, default=100.0, help="of text that ours reads once")
    parser.add_argument("--peer-megabytes", type=float, default=16.0, help="of text that the peers read")
    parser.add_argument("--copies", type=int, default=8, help="how often ours reads it when warm")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as name:
        runs = measure(args.data, Path(name), args.megabytes, args.peer_megabytes, args.copies)
    report(runs)
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps([asdict(run) for run in runs], indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
