"""The bytes that cross a shuffle in each Beam stage, counted at three sizes of a corpus, and what follows for large ones.

Two corpora: the benchmark text in other words each time (``bench.reworded``), which goes through all stages and holds no
copies; and planted documents (``bench.duplicates_planted``), of which a tenth are copies, through `dedup` alone. Stages
run in one process, with the parameters of params.yaml; what enters each GroupByKey is counted as encoded bytes
(``bench.counted_shuffles``). A cluster's shuffle may compress them, and adds its own framing.

*growth* is the growth of a step's bytes from the smallest size to the largest, over that of the text: 1.00 is linear.

``python -m bench.shuffled`` prints the tables and writes ``logs/bench-shuffled.json``.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.duplicates_ours import write_params as write_dedup_params
from bench.duplicates_planted import Planted
from bench.reworded import write_copies
from bench.scale_up import STAGES, command_of, count_lines, own_options, write_params
from bench.tools import run_alone
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest

LOG = Path("logs/bench-shuffled.json")
COPIES, MEGABYTES = (1, 2, 4), 18.0
DOCUMENTS = (10_000, 20_000, 40_000)
SEED = 11
GIGABYTES = (1, 100, 10_000, 100_000)
WITHOUT_RUNNER = ("learn",)
#: What Beam puts behind a step's own name.
SUFFIXES = ("/CoGroupByKeyImpl/GroupByKey", "/ReshufflePerKey/GroupByKey", "/GroupByKey")


@dataclass(frozen=True)
class Counted:
    """One corpus: bytes of its text, its documents and clean units, and the bytes that each step of it shuffled.

    Attributes:
        steps: (stage, transform) -> bytes.
    """

    text_bytes: int
    documents: int
    units: int
    steps: dict[tuple[str, str], int]


def count_flow(data: Path, corpus: Path, text_bytes: int) -> Counted:
    """Runs all stages over a corpus of JSON lines."""
    documents = count_lines(corpus)
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-", dir=corpus.parent) as name:
        folder = Path(name)
        steps: dict[tuple[str, str], int] = {}
        write_params(folder / "params.yaml", data, corpus, documents)
        run_alone([sys.executable, "-m", "pipelines.fetch", *own_options("fetch", folder)])
        for stage in STAGES:
            if stage in WITHOUT_RUNNER:
                run_alone(command_of(stage, folder))
            else:
                steps |= _count(stage, command_of(stage, folder)[2:], folder)
        units = len(read_manifest(folder / "clean").shards)
    return Counted(text_bytes, documents, units, steps)


def count_planted(num_documents: int) -> Counted:
    """Runs `dedup` over planted documents."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as name:
        folder, corpus = Path(name), Planted(SEED, num_documents)
        size = corpus.write(folder / "clean")
        write_dedup_params(folder / "params.yaml")
        steps = _count("dedup", command_of("dedup", folder)[2:], folder)
        units = len(list((folder / "clean").glob("*.parquet")))
    return Counted(size, num_documents, units, steps)


def _count(stage: str, module_and_options: Sequence[str], folder: Path) -> dict[tuple[str, str], int]:
    """What the stage's shuffles took in, by (stage, transform)."""
    target = folder / f"{stage}.json"
    run_alone([sys.executable, "-m", "bench.counted_shuffles", str(target), *module_and_options])
    counts: dict[str, int] = json.loads(target.read_text(encoding="utf-8"))
    return {(stage, short_name(name)): number for name, number in counts.items()}


def short_name(transform: str) -> str:
    """A step's name without what Beam appends.

    >>> short_name("FindRepeats/Spread/ReshufflePerKey/GroupByKey")
    'FindRepeats/Spread'
    """
    for suffix in SUFFIXES:
        transform = transform.removesuffix(suffix)
    return transform


def growth(step: tuple[str, str], small: Counted, large: Counted) -> float:
    """How a step's bytes grow from one corpus to the other, over the growth of the text."""
    before = small.steps.get(step, 0)
    return large.steps[step] / before / (large.text_bytes / small.text_bytes) if before else float("nan")


def report(counted: Sequence[Counted]) -> Iterator[str]:
    """The table of a corpus at its sizes, the largest shuffles of each stage first."""
    small, large = counted[0], counted[-1]
    sizes = " ".join(f"{f'at {one.text_bytes / 1e6:.0f} MB':>11}" for one in counted)
    yield f"{'step':45} {sizes} {'B a doc':>9} {'B a unit':>9} {'MB a GB':>8} {'growth':>6}"
    for step in sorted(large.steps, key=lambda step: (list(STAGES).index(step[0]), -large.steps[step])):
        numbers = " ".join(f"{one.steps.get(step, 0):11,}" for one in counted)
        found = large.steps[step]
        rates = f"{found / large.documents:9.2f} {found / large.units:9.0f} {found / large.text_bytes * 1e3:8.3f}"
        yield f"{' '.join(step):45} {numbers} {rates} {growth(step, small, large):6.2f}"


def by_stage(counted: Counted) -> dict[str, int]:
    """Bytes of all steps of a stage."""
    sums: dict[str, int] = defaultdict(int)
    for (stage, _), number in counted.steps.items():
        sums[stage] += number
    return dict(sums)


def extrapolate(text: Sequence[Counted], planted: Sequence[Counted]) -> Iterator[str]:
    """Bytes by stage for large corpora: a line through the smallest and the largest size.

    The pairs of `dedup` come from the planted corpus, by document.
    """
    yield "in proportion, GB shuffled" + "".join(f"{f'{size:,} GB':>13}" for size in GIGABYTES)
    small, large = text[0], text[-1]
    first, last = by_stage(small), by_stage(large)
    for stage, number in last.items():
        slope = (number - first[stage]) / (large.text_bytes - small.text_bytes)
        start = number - slope * large.text_bytes
        yield f"{stage:26}" + "".join(f"{(start + slope * size * 1e9) / 1e9:13.4f}" for size in GIGABYTES)
    pairs = _pairs_a_document(planted[-1])
    documents = large.documents / large.text_bytes * 1e9
    row = "".join(f"{pairs * documents * size / 1e9:13.4f}" for size in GIGABYTES)
    yield f"{'dedup, pairs of copies':26}{row}   ({pairs:.1f} B a document where a tenth are copies)"


#: The steps of `dedup` that every document's keys cross; all others are of copies: pairs, questions, answers, decisions.
KEY_STEPS = ("FindPairs/ByKey", "FindRepeats/ByHalf.id_key", "FindRepeats/ByHalf.content_key")


def _pairs_a_document(counted: Counted) -> float:
    pairs = (size for (stage, name), size in counted.steps.items() if stage == "dedup" and name not in KEY_STEPS)
    return sum(pairs) / counted.documents


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.shuffled", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the bench text")
    parser.add_argument("--megabytes", type=float, default=MEGABYTES, help="of the text that is copied")
    parser.add_argument("--copies", type=int, nargs="+", default=COPIES, help="how often the text is written")
    parser.add_argument("--documents", type=int, nargs="+", default=DOCUMENTS, help="planted ones")
    args = parser.parse_args(argv)
    text: list[Counted] = []
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        written = size = 0
        for copies in sorted(args.copies):
            size += write_copies(args.data, Path(scratch) / "raw", range(written, copies), int(args.megabytes * 1e6))
            written = copies
            text.append(count_flow(args.data, Path(scratch) / "raw", size))
    planted = [count_planted(number) for number in sorted(args.documents)]
    for name, counted in (("reworded text", text), ("planted documents", planted)):
        sizes = ", ".join(f"{one.documents:,} documents in {one.units} units" for one in counted)
        print("\n".join([f"{name}: {sizes}", *report(counted), ""]))
    print("\n".join(extrapolate(text, planted)))
    LOG.parent.mkdir(exist_ok=True)
    log = {"text": [to_json(one) for one in text], "planted": [to_json(one) for one in planted]}
    LOG.write_text(json.dumps(log, indent=1))


def to_json(counted: Counted) -> Mapping[str, object]:
    """The counts with steps as one word."""
    return {**asdict(counted), "steps": {" ".join(step): number for step, number in counted.steps.items()}}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
