"""Quality of deduplication beside datatrove and text-dedup: every drop and every miss judged by brute force.

The true pairs are found by an independent reading of our shingles (``bench.duplicates_truth``). A pair is *resolved* if
one of its members was dropped. A drop is *wrong* if its document resembles no kept one at or above the threshold, nor
equals one but for white space; what ours drops as contained is checked by that measure. Ours must drop none wrongly,
and resolve 99 % of the pairs at the threshold + 0.05 and 95 % at the threshold. *Proposed* are the pairs under some
band, had every bucket been taken whole; *capped*, as it is.

The peers decide by the same kind of shingles, word 5-grams, each with words of its own: a set in which they find less,
or drop what does not resemble by our reading, may resemble by theirs. datatrove runs as it comes (14 x 8, proposed from
about 0.72), text-dedup with our threshold. Neither looks at a pair again before it deletes.

``python -m bench.duplicates`` prints the table and writes ``logs/bench-duplicates.json``; ``--ours-only`` needs no peers.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from bench.duplicates_ours import (
    Drop,
    numbered,
    proposed_pairs,
    read_drops,
    read_params,
    run_dedup,
    threshold_of,
    write_params,
    write_unit,
)
from bench.duplicates_peers import (
    kept_by_datatrove,
    kept_by_text_dedup,
    run_datatrove,
    run_text_dedup,
    write_json_lines,
)
from bench.duplicates_sets import MAX_DOCUMENTS, SETS, Texts
from bench.duplicates_truth import Judgement, Pair, equal_texts, found_share, judge, read_shingles, true_pairs
from bench.peers import DATATROVE
from bench.tools import OURS, Usage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import to_jsonable

LOG = Path("logs/bench-duplicates.json")
TEXT_DEDUP = "text-dedup"
CONTAINED = "ours, contained too"
#: Marks: the threshold plus so much; and the recall that ours must reach there.
ABOVE, GOALS = (Fraction(0), Fraction(1, 20)), (0.95, 0.99)
HEAD = f"{'set':15} {'docs':>5} {'tool':20} {'dropped':>7} {'wrong':>5} {'resolved at':>12} {'+0.05':>7}  CPU s"


@dataclass(frozen=True)
class Truth:
    """A set and what is true of it: its texts, their shingles, the pairs at or above the threshold."""

    texts: Sequence[str]
    shingles: Sequence[frozenset]
    pairs: Mapping[Pair, Fraction]
    threshold: Fraction

    @property
    def marks(self) -> list[Fraction]:
        return [self.threshold + more for more in ABOVE]

    def judge(self, dropped: set[int], allowed: Sequence[Pair] = ()) -> Judgement:
        """How the drops of a tool compare; pairs of equal texts may be dropped too, and the ``allowed`` ones."""
        return judge(dropped, self.pairs, [*equal_texts(self.texts), *allowed], self.marks)


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    set: str
    documents: int
    tool: str
    judgement: Judgement
    cpu_seconds: float

    def __str__(self) -> str:
        found = self.judgement
        at, above = (f"{found.recall(mark):.4f}" for mark in range(len(ABOVE)))
        line = f"{self.set:15} {self.documents:5} {self.tool:20} {found.dropped:7} {found.wrong:5} {at:>12} {above:>7}"
        return f"{line} {self.cpu_seconds:6.1f}{self.verdict()}"

    def verdict(self) -> str:
        """What ours falls short of."""
        if self.tool not in (OURS, CONTAINED):
            return ""
        short = [goal for mark, goal in enumerate(GOALS) if self.judgement.recall(mark) < goal]
        wrong = ["a wrong drop"] if self.judgement.wrong else []
        return "".join(f"  BELOW THE GOAL: {what}" for what in [*short, *wrong])


def find_truth(texts: Sequence[str], params: Mapping) -> Truth:
    """The true pairs of a set, by brute force."""
    shingles = [read_shingles(text, params["shingle_size"]) for text in texts]
    threshold = Fraction(str(params["threshold"]))
    return Truth(texts, shingles, true_pairs(shingles, threshold), threshold)


def check_drops(drops: Sequence[Drop], truth: Truth, contained: Fraction) -> list[str]:
    """What is wrong with our own drops: each similarity read again, each kept document kept."""
    dropped = {drop.key for drop in drops}
    faults = []
    for drop in drops:
        a, b = int(drop.key), int(drop.kept)
        mine, other = truth.shingles[a], truth.shingles[b]
        shared = len(mine & other)
        # What two texts without units have in common is their writing.
        same = Fraction(" ".join(truth.texts[a].split()) == " ".join(truth.texts[b].split()))
        jaccard = Fraction(shared, len(mine | other)) if mine or other else same
        inside = Fraction(shared, len(mine)) if mine else same
        true = inside if drop.measure == "contained" else jaccard
        least = {"exact": Fraction(1), "contained": contained}.get(drop.measure, truth.threshold)
        if true < least or abs(float(true) - drop.similarity) > 1e-9:
            faults.append(f"{drop} has a true similarity of {float(true)}")
        if drop.kept in dropped:
            faults.append(f"{drop} is dropped for one that is dropped")
    return faults


def run_ours(truth: Truth, language: str, containment: float) -> tuple[list[Drop], Usage]:
    """Our drops of a set."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        folder = Path(scratch)
        write_unit(folder / "clean" / "bench.parquet", numbered(truth.texts), language)
        write_params(folder / "params.yaml", containment_threshold=containment)
        usage = run_dedup(folder / "clean", folder, folder / "params.yaml")
        return read_drops(folder / "dedup"), usage


def run_peer(tool: str, truth: Truth, language: str) -> tuple[set[int], Usage]:
    """The numbers of the documents that a peer drops."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        folder = Path(scratch)
        write_json_lines(folder / "documents", truth.texts)
        if tool == DATATROVE:
            usage = run_datatrove(folder / "documents", folder / "out", language)
            kept = kept_by_datatrove(folder / "out")
        else:
            usage = run_text_dedup(folder / "documents", folder / "out", float(truth.threshold))
            kept = kept_by_text_dedup(folder / "out")
    return set(range(len(truth.texts))) - kept, usage


def measure(one: Texts, texts: Sequence[str], peers: Sequence[str], say: Callable[[str], None]) -> Iterator[Row]:
    """The rows of a set, ours first.

    Raises:
        CorpusmillError: one of our drops is wrong.
    """
    params = read_params()
    truth = find_truth(texts, params)
    above = sum(value >= truth.marks[1] for value in truth.pairs.values())
    say(f"{one.name}: {len(texts)} documents, {len(truth.pairs)} true pairs, {above} at or above + 0.05")
    contained = threshold_of(params, "containment_threshold")
    for tool, value in {OURS: 0.0, **({CONTAINED: float(contained)} if contained else {})}.items():
        drops, usage = run_ours(truth, one.language, value)
        faults = check_drops(drops, truth, contained)
        if faults:
            raise CorpusmillError(
                f"{len(faults)} of {len(drops)} drops are wrong", where=one.name, got="\n".join(faults[:3])
            )
        checked = [(int(drop.key), int(drop.kept)) for drop in drops if drop.measure == "contained"]
        found = truth.judge({int(drop.key) for drop in drops}, checked)
        yield Row(one.name, len(texts), tool, found, usage.cpu_seconds)
    for tool in peers:
        try:
            dropped, usage = run_peer(tool, truth, one.language)
        except CorpusmillError as error:  # a peer that cannot run here says why, and the others go on
            say(f"{one.name}: {tool} gave no result: {str(error).splitlines()[-1]}")
            continue
        yield Row(one.name, len(texts), tool, truth.judge(dropped), usage.cpu_seconds)
    for name, most in (("whole", len(texts)), ("capped", params["max_bucket"])):
        proposed = set(map(tuple, proposed_pairs(list(texts), params, most).tolist()))
        shares = [f"{found_share(proposed, truth.pairs, mark):.4f}" for mark in truth.marks]
        say(
            f"{one.name}: buckets {name}: {len(proposed)} pairs proposed, of the true ones {', '.join(shares)} (+ 0.05)"
        )


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.duplicates", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--documents", type=int, default=MAX_DOCUMENTS, help="of each set, the first so many")
    parser.add_argument("--sets", nargs="+", choices=[one.name for one in SETS], help="only these")
    parser.add_argument("--ours-only", action="store_true", help="run no peers")
    args = parser.parse_args(argv)
    peers = () if args.ours_only else (DATATROVE, TEXT_DEDUP)
    notes: list[str] = []
    log = []
    print(HEAD)
    for one in SETS:
        if args.sets is None or one.name in args.sets:
            for row in measure(one, one.load(args.data, args.documents), peers, notes.append):
                print(row, flush=True)
                log.append({**asdict(row), "judgement": to_jsonable(row.judgement)})
    print("\n" + "\n".join(notes))
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps({"rows": log, "notes": notes}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
