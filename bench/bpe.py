"""Learning a vocabulary of 32,000 from 100 MB of English: ours beside ``tokenizers``' BpeTrainer, in one run.

ours          `python -m pipelines.count` with two local workers, then `python -m tokenizer.learn`, from an empty cache
BpeTrainer    one process that reads the same Parquet files and trains with as many threads as there are cores

Both are held to two cores and read the same files with the same pattern (gpt2). The merges must be equal. Then ours reads
the corpus ten times over (other ids, the same texts), which must not take more memory: a corpus of new words does, by
20 bytes for each byte of distinct pre-tokens.

``python -m bench.bpe`` prints the table and writes ``logs/bench-bpe.json``.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import yaml

from bench.cleaning_memory import TEXTS, read_articles
from bench.duplicates_ours import write_unit
from bench.tools import Usage, run_alone
from pipelines.runner import WORKERS
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import VERSIONS_FILE

LOG = Path("logs/bench-bpe.json")
UNITS = 8
NUM_CORES = 2
GOAL, FLOOR, MEMORY_GOAL = 1.0, 1.5, 1.1


def write_corpus(folder: Path, articles: Sequence[tuple[str, str]], copies: int) -> int:
    """Train shards, eight a copy; returns the bytes of their texts."""
    size = -(-len(articles) // UNITS)
    total = 0
    for copy in range(copies):
        for unit in range(UNITS):
            rows = articles[unit * size : (unit + 1) * size]
            documents = ((f"{copy}-{key}", text) for key, text in rows)
            total += write_unit(folder / f"train-bench-{copy}-{unit}.parquet", documents)
    return total


def write_apart(data: Path, megabytes: float, folder: Path, copies: int) -> int:
    """``write_corpus`` in a process of its own: what this one holds would count as the peak of those it starts."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_read_and_write, data, megabytes, folder, copies).result()


def _read_and_write(data: Path, megabytes: float, folder: Path, copies: int) -> int:
    return write_corpus(folder, read_articles(data / TEXTS, int(megabytes * 1e6)), copies)


def learn(corpus: Path, scratch: Path, vocab_size: int) -> dict[str, Usage]:
    """What `count` and `learn` take, each as its own command."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["count"] |= {"pattern": "gpt2", "num_partitions": 1}
    params["learn"] |= {"vocab_size": vocab_size, "more_sizes": [], "special_tokens": ["<|endoftext|>"]}
    scratch.mkdir()
    (scratch / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copyfile(VERSIONS_FILE, scratch / VERSIONS_FILE)
    used = {}
    for module, source, target in (
        ("pipelines.count", corpus, "count"),
        ("tokenizer.learn", scratch / "count", "learn"),
    ):
        places = ["--input", str(source), "--output", str(scratch / target), "--cache", str(scratch / "cache")]
        command = [sys.executable, "-m", module, *places, "--params", str(scratch / "params.yaml")]
        used[target] = run_alone(command, NUM_CORES, {WORKERS: str(NUM_CORES)})
    return used


def train_peer(corpus: Path, target: Path, vocab_size: int) -> Usage:
    """What BpeTrainer takes; its ``tokenizer.json`` lies at ``target``."""
    command = [sys.executable, "-m", "bench.bpe_trainer", str(corpus), str(target), str(vocab_size)]
    return run_alone(command, NUM_CORES, {"TOKENIZERS_PARALLELISM": "true"})


def together(parts: Iterable[Usage]) -> Usage:
    """One after another: times add up, the largest peak counts."""
    parts = list(parts)
    return Usage(
        sum(part.seconds for part in parts),
        sum(part.cpu_seconds for part in parts),
        max(part.peak_bytes for part in parts),
    )


def merges_of(path: Path) -> list[list[str]]:
    """The merges of a ``tokenizer.json``, whichever way it writes a pair."""
    merges = json.loads(path.read_text(encoding="utf-8"))["model"]["merges"]
    return [pair.split(" ") if isinstance(pair, str) else pair for pair in merges]


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.bpe", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the bench text")
    parser.add_argument("--megabytes", type=float, default=100.0, help="of text")
    parser.add_argument("--vocab-size", type=int, default=32_000)
    parser.add_argument("--copies", type=int, default=10, help="how often ours reads the text for the memory")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved; the fastest of each counts")
    args = parser.parse_args(argv)
    ours: list[dict[str, Usage]] = []
    peer: list[Usage] = []
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as name:
        folder = Path(name)
        size = write_apart(args.data, args.megabytes, folder / "corpus", 1)
        for number in range(args.rounds):
            ours.append(learn(folder / "corpus", folder / f"ours-{number}", args.vocab_size))
            peer.append(train_peer(folder / "corpus", folder / "peer.json", args.vocab_size))
        same = merges_of(folder / "ours-0/learn/tokenizer.json") == merges_of(folder / "peer.json")
        shutil.rmtree(folder / "corpus")
        large_size = write_apart(args.data, args.megabytes, folder / "large", args.copies)
        large = learn(folder / "large", folder / "ours-large", args.vocab_size)
    best = min(ours, key=lambda used: together(used.values()).seconds)
    whole, theirs = together(best.values()), min(peer, key=lambda used: used.seconds)
    print(f"{'':22} {'MB':>6} {'seconds':>8} {'CPU s':>7} {'peak MB':>8}")
    for label, megabytes, usage in (
        ("ours", size, whole), ("  count", size, best["count"]), ("  learn", size, best["learn"]),
        ("BpeTrainer", size, theirs), (f"ours, {args.copies} x the text", large_size, together(large.values())),
    ):  # fmt: skip
        print(
            f"{label:22} {megabytes / 1e6:6.0f} {usage.seconds:8.1f} {usage.cpu_seconds:7.1f} {usage.peak_bytes / 1e6:8.0f}"
        )
    ratio, memory = whole.seconds / theirs.seconds, together(large.values()).peak_bytes / whole.peak_bytes
    verdict = "goal" if ratio <= GOAL else "floor" if ratio <= FLOOR else "BELOW THE FLOOR"
    cpu, peak = whole.cpu_seconds / theirs.cpu_seconds, whole.peak_bytes / theirs.peak_bytes
    print(f"ours takes {ratio:.2f} of BpeTrainer's time ({verdict}), {cpu:.2f} of its CPU, {peak:.2f} of its memory")
    print(f"{args.copies} x the text: {memory:.2f} x the memory ({'goal' if memory <= MEMORY_GOAL else 'MISSED'})")
    print("the same merges" if same else "DIFFERENT MERGES")
    LOG.parent.mkdir(exist_ok=True)
    log = {"bytes": size, "ours": [{k: asdict(u) for k, u in used.items()} for used in ours]}
    log |= {"peer": list(map(asdict, peer)), "large": {k: asdict(u) for k, u in large.items()}, "same": same}
    LOG.write_text(json.dumps(log, indent=1))
    if not same:
        raise CorpusmillError("the merges differ from BpeTrainer's", where="bench.bpe")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
