"""Deduplication at scale: planted exact, near and chained copies among synthetic documents, 50,000 to 500,000.

`dedup` runs as a process in the in-memory runner, one worker, from an empty cache. Memory is the peak of that process
above the peak of a run over a hundred documents, by document. A longer text must not change it: the last row has as
many documents as the first, each four times as long. The parameters are those of params.yaml. Pairs are planted with
their true similarity read independently (``bench.duplicates_truth``); so is every drop, by its own measure.

``python -m bench.duplicates_scale`` prints the tables and writes ``logs/bench-duplicates-scale.json``.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from bench.duplicates_ours import read_counts, read_drops, read_params, run_dedup, threshold_of, write_params
from bench.duplicates_planted import Planted
from bench.duplicates_truth import Pair, contained_share, judge, read_shingles, similarity
from bench.tools import Usage
from pipelines.spine.errors import CorpusmillError

LOG = Path("logs/bench-duplicates-scale.json")
SEED = 11
SIZES = (50_000, 150_000, 500_000)
EMPTY = 100  # documents of the run whose peak is that of the program itself
LONGER = 4
GOAL_BYTES, MOST_BYTES = 400, 1_500
ABOVE, GOALS = (Fraction(0), Fraction(1, 20)), (0.95, 0.99)
HEAD = (
    f"{'documents':>9} {'MB':>6} {'dropped':>7} {'wrong':>5} {'pairs':>6} {'resolved':>8} {'+0.05':>7}"
    f" {'wall s':>7} {'CPU s':>7} {'peak MB':>7} {'B a doc':>7}"
)


@dataclass(frozen=True)
class Result:
    """A run over a planted corpus.

    Attributes:
        wrong: drops whose kept document is not alike enough, or is dropped itself.
        pairs: planted pairs at or above the threshold, and those at or above the threshold + 0.05.
        resolved: how many of each have a member dropped.
    """

    num_documents: int
    length: int
    text_bytes: int
    dropped: int
    wrong: int
    pairs: tuple[int, ...]
    resolved: tuple[int, ...]
    usage: Usage
    search: dict

    def bytes_per_document(self, empty: Usage) -> float:
        """Peak memory above the empty run's."""
        return (self.usage.peak_bytes - empty.peak_bytes) / self.num_documents

    def line(self, empty: Usage) -> str:
        """The row of the table; it ends in what falls short."""
        recalls = [found / number if number else 1.0 for found, number in zip(self.resolved, self.pairs, strict=True)]
        per_document = self.bytes_per_document(empty)
        row = (
            f"{self.num_documents:9} {self.text_bytes / 1e6:6.1f} {self.dropped:7} {self.wrong:5} {self.pairs[0]:6}"
            f" {recalls[0]:8.4f} {recalls[1]:7.4f} {self.usage.seconds:7.1f} {self.usage.cpu_seconds:7.1f}"
            f" {self.usage.peak_bytes / 1e6:7.0f} {per_document:7.0f}"
        )
        short = [f"recall {goal}" for recall, goal in zip(recalls, GOALS, strict=True) if recall < goal]
        short += ["wrong drops"] if self.wrong else []
        short += ["memory"] if self.num_documents > SIZES[0] and per_document > MOST_BYTES else []
        return row + "".join(f"  BELOW THE GOAL: {what}" for what in short)


def measure(corpus: Planted) -> Result:
    """Writes a corpus, deduplicates it, and judges what was dropped."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        folder = Path(scratch)
        size = corpus.write(folder / "clean")
        write_params(folder / "params.yaml")
        usage = run_dedup(folder / "clean", folder, folder / "params.yaml")
        drops, search = read_drops(folder / "dedup"), read_counts(folder / "dedup")
    params = read_params()
    threshold, shingle_size = threshold_of(params), params["shingle_size"]
    dropped = {int(drop.key) for drop in drops}
    least = {"contained": threshold_of(params, "containment_threshold")}
    wrong = [
        drop.key
        for drop in drops
        if int(drop.kept) in dropped
        or alike(corpus, (int(drop.key), int(drop.kept)), shingle_size, drop.measure)
        < least.get(drop.measure, threshold)
    ]
    planted = {pair: alike(corpus, pair, shingle_size) for pair in corpus.pairs()}
    true = {pair: value for pair, value in planted.items() if value >= threshold}
    found = judge(dropped, true, (), [threshold + more for more in ABOVE])
    counts = (corpus.num_documents, corpus.length, size, len(dropped), len(wrong))
    return Result(*counts, found.pairs, found.resolved, usage, search)


def alike(corpus: Planted, pair: Pair, shingle_size: int, measure: str = "jaccard") -> Fraction:
    """The true similarity of two documents of the corpus, or how much of the first stands in the second."""
    a, b = (read_shingles(corpus.text(number), shingle_size) for number in pair)
    return contained_share(a, b) if measure == "contained" else similarity(a, b)


def growth(small: Result, large: Result, empty: Usage) -> tuple[float, float]:
    """How many times as much CPU the larger run took above the empty one, and how many times n log n is."""
    work = [result.num_documents * math.log(result.num_documents) for result in (small, large)]
    took = [max(result.usage.cpu_seconds - empty.cpu_seconds, 1e-9) for result in (small, large)]
    return took[1] / took[0], work[1] / work[0]


def report(results: Sequence[Result], longer: Result, empty: Usage) -> list[str]:
    """What the rows say about memory and time."""
    lines = []
    first, last = results[0], results[-1]
    if len(results) > 1:
        ratio, allowed = growth(first, last, empty)
        verdict = "no faster than n log n" if ratio <= allowed else "FASTER THAN N LOG N"
        lines.append(f"CPU time, start-up apart, grows {ratio:.1f} x where n log n grows {allowed:.1f} x: {verdict}")
        more = (last.usage.peak_bytes - first.usage.peak_bytes) / (last.num_documents - first.num_documents)
        lines.append(f"each document past the first {first.num_documents} adds {more:.0f} bytes to the peak")
    per_document = last.bytes_per_document(empty)
    reached = "goal" if per_document <= GOAL_BYTES else "at most 1,500" if per_document <= MOST_BYTES else "TOO MUCH"
    lines.append(f"peak above the empty run's {empty.peak_bytes / 1e6:.0f} MB: {per_document:.0f} bytes ({reached})")
    share = longer.usage.peak_bytes / first.usage.peak_bytes
    lines.append(f"{longer.text_bytes / first.text_bytes:.1f} times the text: {share:.2f} times the peak")
    return lines


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.duplicates_scale", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--documents", type=int, default=SIZES[-1], help="of the largest corpus")
    args = parser.parse_args(argv)
    empty = measure(Planted(SEED, EMPTY)).usage
    print(f"one worker; {EMPTY} documents take {empty.seconds:.1f} s, {empty.peak_bytes / 1e6:.0f} MB\n{HEAD}")
    sizes = [size for size in SIZES if size < args.documents] + [args.documents]
    results = []
    for corpus in [*(Planted(SEED, size) for size in sizes), Planted(SEED, sizes[0], LONGER)]:
        results.append(measure(corpus))
        print(results[-1].line(empty), flush=True)
    print("\n".join(report(results[:-1], results[-1], empty)))
    log = {"empty": asdict(empty), "results": [asdict(result) for result in results]}
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
