"""Text shards -> token shards: `pack` as a process, beside datatrove's DocumentTokenizer and encoding with ``tokenizers``.

All read the same texts (datatrove as JSON lines) with the same ``tokenizer.json`` (32,000 tokens, pattern gpt2, learned
here from the text), each on one core; ours and datatrove on two cores with two workers too. Ours also packs rows and
writes shards, datatrove writes ids, ``tokenizers`` writes nothing. The peers, being slow, read a part of the text.

start      a few articles: what a tool takes before it has seen any text worth mentioning
once       the text once, every word of it new at first
warm       the text many times over (other ids): the common words are known, as in a corpus of some GB

Speeds are of what a run reads beyond a start, over what it takes beyond a start; the table has the whole runs.

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
from bench.tools import OURS, Usage, run_alone
from pipelines.runner import WORKERS
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import VERSIONS_FILE

LOG = Path("logs/bench-tokenization.json")
LIBRARY = "tokenizers"
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


def measure(data: Path, folder: Path, megabytes: dict[str, float], copies: int) -> list[Run]:
    """One round of every run; ``megabytes`` of the texts "start", "part" and "once"."""
    sizes = {text: write_apart(data, size, folder / text, 1) / 1e6 for text, size in megabytes.items()}
    sizes["warm"] = write_apart(data, megabytes["once"], folder / "warm", copies) / 1e6
    for text in ("start", "part"):
        write_lines_apart(folder / text, folder / f"{text}-lines")
    learn(folder / "once", folder / "vocabulary", VOCAB_SIZE)
    tokenizer = folder / "vocabulary/learn/tokenizer.json"
    runs = []
    for workers, texts in ((1, ("start", "once", "warm")), (2, ("start", "warm"))):
        for text in texts:
            used = pack(folder / text, tokenizer, folder / "ours", workers)
            runs.append(Run(OURS, text, workers, sizes[text], used))
        for text in ("start", "part"):
            used = run_datatrove(folder / f"{text}-lines", tokenizer, folder / "theirs", workers)
            runs.append(Run(DATATROVE, text, workers, sizes[text], used))
    runs += [Run(LIBRARY, text, 1, sizes[text], run_library(folder / text, tokenizer)) for text in ("start", "part")]
    return runs


def net(run: Run, start: Run) -> tuple[float, float]:
    """MB/s by the clock and by CPU of what ``run`` did beyond ``start``."""
    megabytes = run.megabytes - start.megabytes
    used, before = run.usage, start.usage
    return megabytes / (used.seconds - before.seconds), megabytes / (used.cpu_seconds - before.cpu_seconds)


def verdict(value: float, goal: float, floor: float) -> str:
    """Which mark a figure reaches."""
    return "goal" if value >= goal else "floor" if value >= floor else "BELOW THE FLOOR"


def report(runs: Sequence[Run]) -> None:
    """Prints the table and the ratios of this run."""
    print(f"{'tool':12} {'text':6} workers      MB  wall s   CPU s peak MB    MB/s MB/CPU s")
    by = {(run.tool, run.text, run.workers): run for run in runs}
    speeds = {}
    for (tool, text, workers), run in by.items():
        used = run.usage
        line = f"{tool:12} {text:6} {workers:7} {run.megabytes:7.1f} {used.seconds:7.1f} {used.cpu_seconds:7.1f}"
        line += f" {used.peak_bytes / 1e6:7.0f}"
        if text != "start":
            speeds[tool, text, workers] = speed = net(run, by[tool, "start", workers])
            line += f" {speed[0]:7.1f} {speed[1]:8.1f}"
        print(line)
    for text in ("once", "warm"):
        by_cpu = speeds[OURS, text, 1][1]
        print(f"{text}, one core: {by_cpu:.0f} MB/s of CPU ({verdict(by_cpu, GOAL, FLOOR)})")
        for peer in (LIBRARY, DATATROVE):
            ratio = by_cpu / speeds[peer, "part", 1][1]
            print(f"{text}, one core: {ratio:.1f} x {peer} by CPU ({verdict(ratio, PEER_GOAL, PEER_FLOOR)})")
    scaling = speeds[OURS, "warm", 2][0] / speeds[OURS, "warm", 1][0]
    print(
        f"two workers on two cores: {scaling:.2f} x one by the clock ({verdict(scaling, SCALING_GOAL, SCALING_GOAL)})"
    )
    once, warm = by[OURS, "once", 1], by[OURS, "warm", 1]
    growth = warm.usage.peak_bytes / once.usage.peak_bytes
    print(f"peak memory at {warm.megabytes / once.megabytes:.0f} x the text: {growth:.2f} x")


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.tokenization", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the bench text")
    parser.add_argument("--megabytes", type=float, default=100.0, help="of text that ours reads once")
    parser.add_argument("--peer-megabytes", type=float, default=16.0, help="of text that the peers read")
    parser.add_argument("--copies", type=int, default=24, help="how often ours reads it when warm")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as name:
        megabytes = {"start": 0.1, "part": args.peer_megabytes, "once": args.megabytes}
        runs = measure(args.data, Path(name), megabytes, args.copies)
    report(runs)
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps([asdict(run) for run in runs], indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
