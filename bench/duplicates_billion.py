"""The dedup shuffle over a billion documents, partition by partition, on synthetic keys: one whole round of one band.

Every document brings one key, 16 bytes with its reference; a partition holds the keys that leave the same rest
(`references.by_partition`). Nobody ever holds all of them. Of 100 documents 10 are planted copies, and 1,000 templates of
2,000 documents make full buckets (``bench.billion_keys``); so the right pairs of each partition are known.

What is run is the stage's own code, in a process of its own whose peak is that of a worker: `references.unpack`,
`search_steps.by_crowd` and `pairs_of` (keys that are shared, pairs, caps), `references.split_by` (pairs by unit),
`decisions.shared_keys` (repeated ids and exact copies); and for a sample of units what sends keys
(`references.by_partition`) and what receives pairs (`verify.merge_pairs`). Proposed must be the planted pairs, none
missing, none more (random keys of 64 bits meet by chance once in 40 such rounds). Left out: Beam, the network, and what
ranks the documents of full buckets, for which a hash of the reference stands.

``python -m bench.duplicates_billion`` runs all partitions (a quarter of an hour of CPU) and writes
``logs/bench-duplicates-billion.json``; ``--sample 10`` runs each tenth.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from bench.billion_keys import DOCUMENTS_PER_UNIT, SEED, TEMPLATE_DOCUMENTS, Round, documents_of, mix, refs_of
from pipelines.duplicates.decisions import shared_keys
from pipelines.duplicates.parameters import DedupParams
from pipelines.duplicates.references import KEYED, PAIR, by_partition, split_by, unit_of, unpack
from pipelines.duplicates.search_steps import by_crowd, pairs_of
from pipelines.duplicates.text_units import I64
from pipelines.duplicates.verify import merge_pairs
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params

LOG = Path("logs/bench-duplicates-billion.json")
DOCUMENTS, PARTITIONS = 10**9, 250
#: Blobs that a partition comes in; units whose sending and receiving is run as well.
BLOBS, SAMPLED_UNITS = 1_000, 20
STEPS = ("unpack and propose", "divide pairs by unit", "shared ids or contents")


@dataclass(frozen=True)
class Answer:
    """What the stage's code made of a partition.

    Attributes:
        pairs: PAIR records.
        num_blobs: packed pairs of so many units.
        num_sharing: documents whose key another one has.
        num_capped: pairs that full buckets left out.
        seconds: CPU by step, as `STEPS` names them.
        peak_bytes: of the process up to now.
    """

    pairs: np.ndarray
    num_blobs: int
    num_sharing: int
    num_capped: int
    seconds: tuple[float, ...]
    peak_bytes: int


def work(path: str, max_bucket: int) -> Answer:
    """A worker's part: a partition's blobs, read from a file, to pairs by unit."""
    blobs = _read_blobs(Path(path))
    clocks = [time.process_time()]
    keyed = unpack(blobs, KEYED)
    few, full = by_crowd(keyed, max_bucket)
    _, records = pairs_of(few, np.zeros(len(few), np.int64), max_bucket)
    proposed, of_full = pairs_of(full, np.argsort(np.argsort(mix(full["ref"], SEED + 3))), max_bucket)
    records = np.concatenate([records, of_full])
    clocks.append(time.process_time())
    num_blobs = sum(1 for _ in split_by(unit_of(records["a"]), records))
    clocks.append(time.process_time())
    num_sharing = len(shared_keys(keyed))
    clocks.append(time.process_time())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Answer(records, num_blobs, num_sharing, proposed.num_capped, tuple(np.diff(clocks).tolist()), peak)


def _read_blobs(path: Path) -> list[bytes]:
    size = -(-path.stat().st_size // BLOBS // KEYED.itemsize) * KEYED.itemsize or KEYED.itemsize
    with open(path, "rb") as file:
        return list(iter(lambda: file.read(size), b""))


@dataclass
class Tally:
    """What all partitions came to.

    Attributes:
        wrong: pairs that were proposed and not planted, or planted and not proposed.
        seconds: CPU by step, summed.
        pairs_of_units: the PAIR records of the first units, for `merge_pairs`.
    """

    partitions: int = 0
    keys: int = 0
    most_keys: int = 0
    pairs: int = 0
    blobs: int = 0
    capped: int = 0
    wrong: int = 0
    seconds: list[float] = field(default_factory=lambda: [0.0] * len(STEPS))
    peak_bytes: int = 0
    pairs_of_units: list[list[bytes]] = field(default_factory=lambda: [[] for _ in range(SAMPLED_UNITS)], repr=False)

    def add(self, num_keys: int, answer: Answer, num_wrong: int) -> None:
        """One partition more."""
        self.partitions, self.keys, self.most_keys = (
            self.partitions + 1,
            self.keys + num_keys,
            max(self.most_keys, num_keys),
        )
        self.pairs, self.blobs = self.pairs + len(answer.pairs), self.blobs + answer.num_blobs
        self.capped, self.wrong = self.capped + answer.num_capped, self.wrong + num_wrong
        self.seconds = [sum(both) for both in zip(self.seconds, answer.seconds, strict=True)]
        self.peak_bytes = max(self.peak_bytes, answer.peak_bytes)
        first = answer.pairs[unit_of(answer.pairs["a"]) < SAMPLED_UNITS]
        for unit, packed in split_by(unit_of(first["a"]), first):
            self.pairs_of_units[unit].append(packed)


def run_round(whole: Round, numbers: Sequence[int], max_bucket: int) -> tuple[Tally, int]:
    """Some partitions of a round, one after another; and the peak of a worker that has done nothing, in bytes."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch, _worker() as worker:
        path = Path(scratch) / "partition"
        path.write_bytes(b"")
        empty = worker.submit(work, str(path), max_bucket).result().peak_bytes
        for number in numbers:
            records, planted = whole.partition(number)
            records.tofile(path)
            num_keys = len(records)
            del records
            answer = worker.submit(work, str(path), max_bucket).result()
            tally.add(num_keys, answer, num_wrong(whole, number, answer, planted, max_bucket))
            if tally.partitions % 10 == 0:
                told = f"  {tally.partitions} partitions, {tally.pairs:,} pairs, {tally.wrong} wrong"
                print(told, file=sys.stderr, flush=True)
    return tally, empty


def _worker() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


def num_wrong(whole: Round, number: int, answer: Answer, planted: I64, max_bucket: int) -> int:
    """How many pairs are missing or too many. Within a template any pair is right, and how many there are is known."""
    found = np.stack([documents_of(answer.pairs["a"]), documents_of(answer.pairs["b"])], axis=1)
    template = whole.template_of(found)
    within = (template[:, 0] >= 0) & (template[:, 0] == template[:, 1])
    num_templates = len(range(number, whole.num_templates, whole.num_partitions))
    off = abs(int(within.sum()) - num_templates * pairs_of_full_bucket(TEMPLATE_DOCUMENTS, max_bucket))
    codes = [np.sort(pairs.min(1) * whole.num_documents + pairs.max(1)) for pairs in (found, planted)]
    twice = int((codes[0][1:] == codes[0][:-1]).sum())
    missing = len(codes[1]) - int(np.isin(codes[1], codes[0]).sum())
    more = len(found) - int(within.sum()) - (len(codes[1]) - missing)
    sharing = len(np.unique(planted)) + num_templates * TEMPLATE_DOCUMENTS
    return off + twice + missing + abs(more) + abs(answer.num_sharing - sharing)


def pairs_of_full_bucket(size: int, max_bucket: int) -> int:
    """How many pairs a bucket of more than ``max_bucket`` documents proposes: each meets the few before it, and the first.

    >>> pairs_of_full_bucket(100, 64)  # 99 + 98 + 97 + 96 neighbours, 95 + 94 + 93 + 92 with the first four
    764
    """
    reach = max(1, max_bucket // 16)
    return sum(size - distance for distance in range(1, 2 * reach + 1))


def send_units(whole: Round) -> float:
    """CPU seconds that a unit takes to divide its keys of one band, the mean of a few units."""
    begin = time.process_time()
    for unit in range(SAMPLED_UNITS):
        documents = np.arange(unit * DOCUMENTS_PER_UNIT, (unit + 1) * DOCUMENTS_PER_UNIT, dtype=np.int64)
        records = np.empty(len(documents), KEYED)
        records["key"], records["ref"] = mix(documents.astype(np.uint64), SEED), refs_of(documents)
        sum(len(packed) for _, packed in by_partition(records["key"], records, whole.num_partitions))
    return (time.process_time() - begin) / SAMPLED_UNITS


def merge_units(tally: Tally) -> float:
    """CPU seconds that a unit takes to merge the pairs of the partitions that were run, the mean of a few units."""
    begin = time.process_time()
    for packed in tally.pairs_of_units:
        merge_pairs(unpack(packed, PAIR))
    return (time.process_time() - begin) / SAMPLED_UNITS


def report(whole: Round, tally: Tally, empty_bytes: int, params: DedupParams) -> Iterator[str]:
    """The lines of the result."""
    share, size = tally.partitions / whole.num_partitions, tally.most_keys * KEYED.itemsize
    yield f"{tally.partitions} of {whole.num_partitions} partitions of one band of {whole.num_documents:,} documents"
    yield f"keys {tally.keys:,}, {tally.keys * KEYED.itemsize / 1e9:.2f} GB; the largest partition {size / 1e6:.0f} MB"
    pairs = f"pairs {tally.pairs:,}, {tally.pairs * PAIR.itemsize / 1e9:.2f} GB in {tally.blobs:,} blobs"
    yield f"{pairs}; {tally.capped:,} capped; missing or not planted: {tally.wrong}"
    peak = tally.peak_bytes - empty_bytes
    yield (
        f"peak of the worker {tally.peak_bytes / 1e6:.0f} MB, {peak / 1e6:.0f} above one that has done nothing:"
        f" {peak / size:.1f} times the largest partition"
    )
    means = (f"{name} {seconds / tally.partitions:.2f}" for name, seconds in zip(STEPS, tally.seconds, strict=True))
    yield f"CPU seconds a partition: {', '.join(means)}"
    units, send, merge = whole.num_documents / DOCUMENTS_PER_UNIT, send_units(whole), merge_units(tally) / share
    yield f"CPU seconds a unit of {DOCUMENTS_PER_UNIT:,}: {send:.3f} to divide its keys, {merge:.3f} to merge its pairs"
    band = sum(tally.seconds[:2]) / share + units * (send + merge)
    rounds, num_partitions = (
        -(-params.num_bands // params.bands_per_round),
        params.bands_per_round * whole.num_partitions,
    )
    yield (
        f"one band {band:.0f} CPU s; {params.num_bands} bands in {rounds} rounds of {num_partitions:,} partitions as large:"
        f" {band * params.num_bands / 3600:.1f} CPU hours,"
        f" {KEYED.itemsize * params.num_bands * whole.num_documents / 1e12:.2f} TB"
    )


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.duplicates_billion", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--partitions", type=int, default=PARTITIONS, help="of one band's keys")
    parser.add_argument("--sample", type=int, default=1, help="run one partition of so many")
    args = parser.parse_args(argv)
    params, whole = load_params(DedupParams, "dedup"), Round(args.documents, args.partitions)
    tally, empty = run_round(whole, range(0, args.partitions, args.sample), params.max_bucket)
    print("\n".join(report(whole, tally, empty, params)))
    counts = asdict(tally)
    del counts["pairs_of_units"]
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps({**asdict(whole), **counts, "empty_bytes": empty}, indent=1))
    if tally.wrong:
        raise CorpusmillError("the pairs are not those planted", where="bench.duplicates_billion", got=tally.wrong)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
