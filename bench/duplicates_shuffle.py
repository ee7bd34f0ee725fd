"""What deduplication would shuffle and hold over 1, 10 and 100 billion documents: on paper, and one partition of it run.

Sizes of records are those of `pipelines.duplicates.references`. How many keys and pairs a document brings is measured on
planted corpora of three sizes (``bench.duplicates_planted``), whose pairs come from copies: a share of the corpus, so
pairs a document stay the same. Real text adds accidental pairs, which grow with the corpus: 20 bands of 5 rows propose
two documents of similarity s with 20 s^5, so at s = 0.01 a document meets 2 of a billion others; no full bucket gives a
document more than ``max_bucket / 8`` pairs. Both stand apart from what is measured here.

The simulation unpacks one partition of a round's keys and proposes its pairs, as `search_steps.Propose` does, in a
process of its own. From its peak above an empty process come the partitions that 2 GB a worker need.

``python -m bench.duplicates_shuffle`` prints the tables and writes ``logs/bench-duplicates-shuffle.json``.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from bench.duplicates_ours import batch_of
from bench.duplicates_planted import Planted
from bench.tools import Usage, run_alone
from pipelines.duplicates.parameters import DedupParams
from pipelines.duplicates.proposals import propose_pairs
from pipelines.duplicates.references import DROP, KEYED, PAIR, PLACE, make_refs, unpack
from pipelines.duplicates.search_steps import by_crowd, pairs_of
from pipelines.duplicates.signing import fixed_lists_array, sign
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params

LOG = Path("logs/bench-duplicates-shuffle.json")
SIZES = (5_000, 10_000, 20_000)
BILLIONS = (1, 10, 100)
WORKER_BYTES = 2_000_000_000
RECORDS = 4_000_000
SEED = 11
#: Of the simulated records, the share whose key another one has too, and the size of their buckets.
SHARED, BUCKET = 0.10, 3
#: Bytes of a reference: the question about a candidate document.
REF_BYTES = np.dtype(np.uint64).itemsize


@dataclass(frozen=True)
class Rates:
    """What a document brings, on average.

    Attributes:
        bands: keys of all bands.
        fingerprints: keys of its fingerprints.
        proposals: pairs that cross, each as often as a partition of a round proposes it.
        pairs: distinct pairs.
    """

    num_documents: int
    bands: float
    fingerprints: float
    proposals: float
    pairs: float


@dataclass(frozen=True)
class Step:
    """A shuffle: bytes a document, and in how many rounds they cross."""

    name: str
    bytes_per_document: float
    rounds: int


def measure(num_documents: int, params: DedupParams) -> Rates:
    """The rates of a planted corpus, its exact copies taken out first, as `dedup` does."""
    corpus = Planted(SEED, num_documents)
    rows = [(str(number), corpus.text(number)) for number in range(num_documents)]
    table = sign(batch_of(rows, ""), 0, params.signing)
    _, first = np.unique(fixed_lists_array(table.column("content_key")), axis=0, return_index=True)
    table = table.take(first)
    bands = fixed_lists_array(table.column("bands"))
    column = table.column("fingerprints")
    values, lengths = column.flatten().to_numpy(zero_copy_only=False), pc.list_value_length(column).to_numpy()
    documents = np.arange(len(bands))
    found = []
    for begin in range(0, params.num_bands, params.bands_per_round):
        part = bands[:, begin : begin + params.bands_per_round]
        found += list(_proposals(part.reshape(-1), np.repeat(documents, part.shape[1]), params))
    found += list(_proposals(values, np.repeat(documents, lengths), params))
    codes = np.concatenate([pairs[:, 0] * len(bands) + pairs[:, 1] for pairs in found])
    counts = (bands.size, len(values), len(codes), len(np.unique(codes)))
    return Rates(num_documents, *(count / num_documents for count in counts))


def _proposals(keys: np.ndarray, documents: np.ndarray, params: DedupParams) -> Iterator[np.ndarray]:
    """The pairs of each partition of a round."""
    for partition in range(params.num_partitions):
        mine = keys % np.uint64(params.num_partitions) == partition
        yield propose_pairs(keys[mine], documents[mine], params.max_bucket).pairs


def steps(rates: Rates, params: DedupParams) -> list[Step]:
    """The large shuffles of `pipelines.dedup`, in order. Units' numbers and counts, which cross too, are few."""
    rounds = -(-params.num_bands // params.bands_per_round)
    print_rounds = -(-int(np.ceil(rates.fingerprints)) // params.bands_per_round)
    candidates = min(2 * rates.pairs, 1.0)
    return [
        Step("ids", KEYED.itemsize, 1),
        Step("contents", KEYED.itemsize, 1),
        Step("bands", KEYED.itemsize * rates.bands, rounds),
        Step("fingerprints", KEYED.itemsize * rates.fingerprints, max(print_rounds, 1)),
        Step("proposed pairs", PAIR.itemsize * rates.proposals, rounds + print_rounds),
        Step("candidates", (REF_BYTES + PLACE.itemsize) * candidates, 1),
        Step("verified pairs", (DROP.itemsize + 2 * PLACE.itemsize) * rates.pairs, 1),
    ]


def partitions(step: Step, num_documents: int, held_per_byte: float) -> int:
    """How many partitions a round of a step needs for one of them to fit in `WORKER_BYTES`."""
    return max(1, int(np.ceil(step.bytes_per_document / step.rounds * num_documents * held_per_byte / WORKER_BYTES)))


def synthetic(records: int, seed: int) -> bytes:
    """Packed KEYED of a partition: random keys, a tenth of them in buckets of three; each document has one key."""
    draw = np.random.default_rng(seed)
    keyed = np.empty(records, KEYED)
    keyed["key"] = draw.integers(1 << 63, size=records, dtype=np.uint64)
    shared = int(records * SHARED) // BUCKET * BUCKET
    keyed["key"][:shared] = np.repeat(keyed["key"][: shared // BUCKET], BUCKET)
    keyed["ref"] = make_refs(0, records)
    return draw.permutation(keyed).tobytes()


def simulate(records: int, max_bucket: int) -> int:
    """Proposes the pairs of a synthetic partition; returns how many."""
    if not records:
        return 0
    few, _ = by_crowd(unpack([synthetic(records, SEED)], KEYED), max_bucket)
    return len(pairs_of(few, np.zeros(len(few), np.int64), max_bucket)[1])


def run_simulation(records: int) -> Usage:
    """What `simulate` takes in a process of its own, above one that simulates nothing."""
    command = [sys.executable, "-m", "bench.duplicates_shuffle", "--simulate"]
    empty, full = run_alone([*command, "0"]), run_alone([*command, str(records)])
    seconds, cpu = full.seconds - empty.seconds, full.cpu_seconds - empty.cpu_seconds
    return Usage(seconds, cpu, full.peak_bytes - empty.peak_bytes)


def report(rates: Rates, params: DedupParams, records: int, usage: Usage) -> Iterator[str]:
    """The lines on paper."""
    held_per_byte = usage.peak_bytes / (records * KEYED.itemsize)
    head = "".join(f"{f'{billion} billion: TB':>18} {'partitions':>10}" for billion in BILLIONS)
    yield f"{'shuffle':15} {'B a doc':>8} {'rounds':>6}{head}"
    planned = steps(rates, params)
    for step in planned:
        line = f"{step.name:15} {step.bytes_per_document:8.1f} {step.rounds:6}"
        for billion in BILLIONS:
            number = billion * 10**9
            terabytes = step.bytes_per_document * number / 1e12
            line += f"{terabytes:18.3f} {partitions(step, number, held_per_byte):10}"
        yield line
    total = sum(step.bytes_per_document for step in planned)
    shares = "".join(f"{total * billion * 1e9 / 1e12:18.3f} {'':10}" for billion in BILLIONS)
    yield f"{'all':15} {total:8.1f} {'':6}{shares}".rstrip()
    per_pair = PAIR.itemsize * rates.proposals / rates.pairs if rates.pairs else 0.0
    yield f"a distinct candidate pair crosses as {per_pair:.0f} bytes ({PAIR.itemsize} each time that it is proposed)"
    yield ""
    # At most every candidate pair is verified.
    for billion in BILLIONS:
        pairs = rates.pairs * billion * 1e9
        yield (
            f"{billion:3} billion: at most {pairs:.2e} verified pairs, {pairs * DROP.itemsize / 1e9:.0f} GB; the one process"
            f" that decides them, in order, holds {billion * 1e9 / 8e9:.2f} GB"
        )


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.duplicates_shuffle", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--records", type=int, default=RECORDS, help="in the simulated partition")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="documents of the measured corpora")
    parser.add_argument("--simulate", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    params = load_params(DedupParams, "dedup")
    if args.simulate is not None:
        simulate(args.simulate, params.max_bucket)
        return
    print(f"{'documents':>9} {'bands':>6} {'fingerprints':>12} {'proposals':>9} {'pairs':>7}   a document")
    measured = [measure(size, params) for size in args.sizes]
    for rates in measured:
        keys = f"{rates.num_documents:9} {rates.bands:6.1f} {rates.fingerprints:12.2f}"
        print(f"{keys} {rates.proposals:9.3f} {rates.pairs:7.4f}", flush=True)
    usage = run_simulation(args.records)
    size = args.records * KEYED.itemsize
    number = 10**9 * params.bands_per_round / args.records
    print(
        f"\none of {number:,.0f} partitions of a round of bands over a billion documents: {args.records:,} keys,"
        f" {size / 1e6:.0f} MB, {usage.cpu_seconds:.1f} CPU s, peak {usage.peak_bytes / 1e6:.0f} MB"
        f" ({usage.peak_bytes / size:.1f} times)\n"
    )
    print("\n".join(report(measured[-1], params, args.records, usage)))
    LOG.parent.mkdir(exist_ok=True)
    log = {"rates": [asdict(rates) for rates in measured], "records": args.records, "usage": asdict(usage)}
    LOG.write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
