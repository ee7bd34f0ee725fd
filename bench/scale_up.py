"""Scaling up on one machine: 1 GB of text from `extract` to `pack` with its real commands, and twice as much.

The benchmark text is written ten times, each time in other words and under other ids (``bench.reworded``), a JSON lines
file a copy; then twenty times. Stages run as `dvc repro` runs them, from an empty cache, with CORPUSMILL_WORKERS=2.
Memory is that of a stage's processes together (``bench.process_memory``). It must not grow with the corpus: at most 1.1
times at twice the text.

The parameters are those of params.yaml, but for three: a vocabulary of 32,000 and rows of 2,048, as a corpus of this
size would have; and as many documents in val and test at either size, since `shard` holds all of those at once.

``python -m bench.scale_up`` prints the tables and writes ``logs/bench-scale-up.json``. Which stages gain from two workers
at which size: ``python -m bench.scale_up --workers 1 2 --megabytes 52 --copies 1 4``.
"""

import argparse
import itertools
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.process_memory import TreeUsage, run_tree
from bench.reworded import write_copies
from pipelines.runner import WORKERS
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import VERSIONS_FILE

LOG = Path("logs/bench-scale-up.json")
COPIES, MEGABYTES = (10, 20), 104.0
MEMORY_GOAL = 1.1
VOCAB_SIZE, SEQ_LEN, HELD_OUT = 32_000, 2048, 1_000
EVALUATION_SETS = (
    ("lambada", "eval/lambada_openai.jsonl", ["context"]),
    ("piqa", "eval/piqa.jsonl", ["query"]),
)
#: Stage -> module and what it reads, by option; the names are folders of stages before it, or files in them.
STAGES: dict[str, tuple[str, dict[str, str]]] = {
    "extract": ("pipelines.extract", {"--input": "fetch/manifest.json"}),
    "clean": ("pipelines.clean", {"--input": "extract"}),
    "dedup": ("pipelines.dedup", {"--input": "clean"}),
    "decontaminate": ("pipelines.decontaminate", {"--input": "clean", "--sets": "fetch/evaluation.json"}),
    "shard": ("pipelines.shard", {"--input": "clean", "--drops": "dedup", "--contaminated": "decontaminate"}),
    "count": ("pipelines.count", {"--input": "shard"}),
    "learn": ("tokenizer.learn", {"--input": "count"}),
    "pack": ("pipelines.pack", {"--input": "shard", "--tokenizer": "learn/tokenizer.json"}),
}


@dataclass(frozen=True)
class Flow:
    """What the stages took for a corpus, by stage; bytes of its text, its documents, and how many workers there were."""

    text_bytes: int
    documents: int
    workers: int
    stages: dict[str, TreeUsage]


def count_lines(folder: Path) -> int:
    """Documents in JSON lines files."""
    number = 0
    for path in folder.glob("*.jsonl"):
        with open(path, "rb") as file:
            number += sum(1 for _ in file)
    return number


def write_params(target: Path, data: Path, corpus: Path, documents: int) -> None:
    """``params.yaml`` for the corpus, the evaluation sets of the benchmarks, and a fixed number of held-out documents."""
    params: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    known = {"kind": "jsonl", "sha256": "", "options": {}}
    params["fetch"]["sources"] = [
        {
            **known,
            "name": "bench",
            "language": "en",
            "licence": "bench",
            "path": f"{corpus.resolve()}/*.jsonl",
            "columns": {},
        }
    ]
    params["fetch"]["evaluation_sets"] = [
        {**known, "name": name, "path": str((data / path).resolve()), "columns": columns, "key": ""}
        for name, path, columns in EVALUATION_SETS
        if (data / path).exists()
    ]
    share = max(1, min(400, 10_000 * HELD_OUT // documents))
    params["shard"] |= {"val_per_10000": share, "test_per_10000": share}
    params["learn"] |= {"vocab_size": VOCAB_SIZE, "more_sizes": []}
    params["pack"]["seq_len"] = SEQ_LEN
    target.write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    shutil.copyfile(VERSIONS_FILE, target.with_name(VERSIONS_FILE))


def command_of(stage: str, folder: Path) -> list[str]:
    """The command of a stage whose data, cache and parameters lie in ``folder``."""
    module, reads = STAGES[stage]
    places = [word for option, name in reads.items() for word in (option, str(folder / name))]
    return [sys.executable, "-m", module, *places, *own_options(stage, folder)]


def own_options(stage: str, folder: Path) -> list[str]:
    """The options that every stage has."""
    return ["--output", str(folder / stage), "--cache", str(folder / "cache"), "--params", str(folder / "params.yaml")]


def run_flow(data: Path, corpus: Path, text_bytes: int, workers: int) -> Flow:
    """Runs the stages over a corpus, one after another; what they wrote is deleted."""
    documents = count_lines(corpus)
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-", dir=corpus.parent) as name:
        folder, used = Path(name), {}
        write_params(folder / "params.yaml", data, corpus, documents)
        run_tree([sys.executable, "-m", "pipelines.fetch", *own_options("fetch", folder)])
        for stage in STAGES:
            used[stage] = run_tree(command_of(stage, folder), {WORKERS: str(workers)})
            print(f"  {line_of(stage, text_bytes, used[stage])}", file=sys.stderr, flush=True)
    return Flow(text_bytes, documents, workers, used)


def line_of(stage: str, text_bytes: int, usage: TreeUsage) -> str:
    """A row of the table of one corpus."""
    speed = text_bytes / 1e6 / usage.cpu_seconds
    sizes = " ".join(f"{size / 1e6:7.0f}" for size in (usage.peak_bytes, usage.anonymous_bytes, usage.largest_bytes))
    return f"{stage:14} {usage.seconds:7.1f} {usage.cpu_seconds:7.1f} {speed:7.1f} {sizes} {usage.processes:4}"


HEAD = (
    f"{'stage':14} {'wall s':>7} {'CPU s':>7} {'MB/CPUs':>7} {'peak MB':>7} {'anon MB':>7} {'largest':>7} {'proc':>4}"
)


def report(flow: Flow) -> list[str]:
    """The table of one corpus."""
    title = f"{flow.text_bytes / 1e6:.0f} MB of text, {flow.documents:,} documents, {flow.workers} workers"
    rows = [line_of(stage, flow.text_bytes, usage) for stage, usage in flow.stages.items()]
    cpu, wall = (sum(getattr(usage, name) for usage in flow.stages.values()) for name in ("cpu_seconds", "seconds"))
    return [title, HEAD, *rows, f"{'in all':14} {wall:7.1f} {cpu:7.1f} {flow.text_bytes / 1e6 / cpu:7.1f}"]


def compare_memory(small: Flow, large: Flow) -> list[str]:
    """How many times the memory the larger corpus took, by stage."""
    lines = [f"{large.text_bytes / small.text_bytes:.2f} times the text, times the memory: peak, without mapped files"]
    for stage, usage in large.stages.items():
        before = small.stages[stage]
        ratios = usage.peak_bytes / before.peak_bytes, usage.anonymous_bytes / before.anonymous_bytes
        verdict = "goal" if ratios[0] <= MEMORY_GOAL else f"ABOVE {MEMORY_GOAL}"
        lines.append(f"{stage:14} {ratios[0]:5.2f} {ratios[1]:5.2f}  {verdict}")
    return lines


def compare_workers(one: Flow, several: Flow) -> list[str]:
    """What several workers cost and save, by stage: CPU, the clock, and the clock of an idle machine as CPU tells it."""
    lines = [
        f"{several.workers} workers beside one at {one.text_bytes / 1e6:.0f} MB: CPU s, s on idle cores, times as fast"
    ]
    for stage, usage in several.stages.items():
        alone, idle = one.stages[stage], usage.idle_seconds(several.workers)
        seconds = f"{alone.cpu_seconds:7.1f} {usage.cpu_seconds:7.1f} {alone.cpu_seconds:7.1f} {idle:7.1f}"
        lines.append(
            f"{stage:14} {seconds} {alone.cpu_seconds / idle:5.2f} (by the clock {alone.seconds / usage.seconds:.2f})"
        )
    return lines


def break_even(one: Sequence[Flow], several: Sequence[Flow]) -> list[str]:
    """MB of text from which on several workers are faster: where lines through the smallest and largest size cross."""
    lines = [f"{several[0].workers} workers are faster from so many MB of text on"]
    size = (one[-1].text_bytes - one[0].text_bytes) / 1e6
    for stage in one[0].stages:
        alone = [flow.stages[stage].cpu_seconds for flow in one]
        shared = [flow.stages[stage].idle_seconds(flow.workers) for flow in several]
        gain = (alone[-1] - alone[0] - shared[-1] + shared[0]) / size
        behind = shared[0] - alone[0] + gain * one[0].text_bytes / 1e6
        lines.append(f"{stage:14} {behind / gain:7.0f}" if gain > 0 else f"{stage:14}   never")
    return lines


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale_up", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the bench text")
    parser.add_argument("--scratch", help="a folder with 10 GB to spare (default: the system's temporary one)")
    parser.add_argument("--copies", type=int, nargs="+", default=COPIES, help="how often the text is written")
    parser.add_argument("--megabytes", type=float, default=MEGABYTES, help="of the text that is copied")
    parser.add_argument("--workers", type=int, nargs="+", default=(2,), help="local worker processes")
    args = parser.parse_args(argv)
    flows: list[Flow] = []
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-", dir=args.scratch) as scratch:
        corpus, written, size = Path(scratch) / "raw", 0, 0
        for copies in sorted(args.copies):  # a larger corpus is the smaller one and more
            size += write_copies(args.data, corpus, range(written, copies), int(args.megabytes * 1e6))
            written = copies
            flows += [run_flow(args.data, corpus, size, workers) for workers in args.workers]
            for flow in flows[-len(args.workers) :]:
                print("\n".join(report(flow)), flush=True)
            if len(args.workers) > 1:
                print("\n".join(compare_workers(*flows[-2:])), flush=True)
    for workers in args.workers:
        for small, large in itertools.pairwise(flow for flow in flows if flow.workers == workers):
            print("\n".join(compare_memory(small, large)))
    if len(args.workers) > 1 and len(args.copies) > 1:
        print("\n".join(break_even(*([f for f in flows if f.workers == number] for number in args.workers[:2]))))
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps([asdict(flow) for flow in flows], indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
