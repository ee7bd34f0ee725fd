"""Speed of deduplication: signing alone by language, and end to end beside datatrove's MinHash, in one run.

signing     on batches of real text, from within, by CPU time, the best of three: shingles, MinHash and bands alone, and
            all that `sign` does (for exact copies, contained texts and ids too)
end to end  `python -m pipelines.dedup` from Parquet to drop lists, from an empty cache, and datatrove's four steps from
            JSON lines to kept texts, as processes of one worker on one core and of two on two

Ours reads the slice many times over, so that its start weighs little: shifted ids, and every fourth word of a copy ends
in the copy's number, so that no copy is one. Containment, which datatrove does not look for, is off. datatrove writes
the texts that it keeps, ours the drop lists (`shard` writes texts). Of several rounds, the fastest by CPU.

``python -m bench.duplicates_speed`` prints the tables and writes ``logs/bench-duplicates-speed.json``.
"""

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from bench.cleaning_memory import TEXTS, read_articles
from bench.duplicates_ours import batch_of, numbered, run_dedup, write_params, write_unit
from bench.duplicates_peers import run_datatrove, write_json_lines
from bench.duplicates_sets import read_wiki
from bench.peers import DATATROVE
from bench.tools import OURS, Usage
from pipelines.duplicates.minhash import band_keys, signatures
from pipelines.duplicates.parameters import DedupParams
from pipelines.duplicates.shingles import shingle_hashes
from pipelines.duplicates.signing import SignParams, sign
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params

LOG = Path("logs/bench-duplicates-speed.json")
LANGUAGES = ("en", "zh", "ja", "uk")
ROUNDS = 3
BATCH = 256
NUM_WORKERS = (1, 2)
SIGNING_GOAL, SIGNING_FLOOR = 60, 40  # MB/s of CPU
GOAL, FLOOR = 30, 20  # times as fast as datatrove


@dataclass(frozen=True)
class Run:
    """What a tool took for so much text, end to end."""

    tool: str
    workers: int
    megabytes: float
    usage: Usage

    @property
    def speeds(self) -> tuple[float, float]:
        """MB/s by the clock and by CPU."""
        return self.megabytes / self.usage.seconds, self.megabytes / self.usage.cpu_seconds


def read_language(language: str, data: Path) -> Iterator[str]:
    """Real texts of a language."""
    if language == "en":
        yield from (text for _, text in read_articles(data / TEXTS, 20_000_000))
    elif language == "zh":
        for name in ("news/thucnews-zh-1k", "wikitext/zh-novels", "news/peoples-daily-zh-199801a"):
            with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
                yield from (json.loads(line)["text"] for line in lines)
    else:
        yield from read_wiki(data / f"wikidumps/{language}wiki-20230501-multistream.xml.bz2", language)


def sign_bands(batch: pa.RecordBatch, _: int, params: SignParams) -> None:
    """Shingles, MinHash signatures and band keys: the part of `sign` that finds near copies."""
    hashes, offsets = shingle_hashes(batch.column("text"), params.shingle_size)
    signed = signatures(hashes, offsets, params.num_bands * params.rows_per_band, params.seed)
    band_keys(signed, params.num_bands, params.rows_per_band)


def time_signing(language: str, texts: Sequence[str], of: Callable[..., object]) -> float:
    """MB/s of CPU of `sign` or `sign_bands`, the best of the rounds."""
    params = load_params(DedupParams, "dedup").signing
    batches: list[pa.RecordBatch] = []
    rows = iter(numbered(texts))
    while some := list(islice(rows, BATCH)):
        batches.append(batch_of(some, language))
    of(batches[0], 0, params)  # builds its tables
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        for number, batch in enumerate(batches):
            of(batch, number * BATCH, params)
        best = min(best, time.process_time() - begin)
    return sum(len(text.encode()) for text in texts) / 1e6 / best


def copied(texts: Sequence[str], copy: int) -> Iterator[tuple[str, str]]:
    """(key, text) of a copy that resembles no other: every fourth word ends in its number."""
    for number, text in enumerate(texts):
        words = text.split(" ")
        words[::4] = [f"{word}{copy}" for word in words[::4]]
        yield f"{copy}-{number}", " ".join(words)


def measure(texts: Sequence[str], copies: int, rounds: int) -> Iterator[list[Run]]:
    """Ours and datatrove's run, by worker count."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        folder = Path(scratch)
        ours = sum(write_unit(folder / "clean" / f"copy-{c}.parquet", copied(texts, c)) for c in range(copies)) / 1e6
        write_params(folder / "params.yaml", containment_threshold=0.0)
        write_json_lines(folder / "documents", texts)
        theirs = sum(len(text.encode()) for text in texts) / 1e6
        for workers in NUM_WORKERS:
            runs: dict[str, list[Usage]] = {OURS: [], DATATROVE: []}
            for number in range(rounds):
                place = folder / f"{workers}-{number}"
                runs[OURS].append(run_dedup(folder / "clean", place, folder / "params.yaml", workers))
                runs[DATATROVE].append(run_datatrove(folder / "documents", place / DATATROVE, "en", workers))
            best = {tool: min(used, key=lambda usage: usage.cpu_seconds) for tool, used in runs.items()}
            yield [Run(OURS, workers, ours, best[OURS]), Run(DATATROVE, workers, theirs, best[DATATROVE])]


def row(run: Run, ours: Run) -> str:
    """The line of the table; behind a peer's speeds stands how many times as fast ours is."""
    by_clock, by_cpu = run.speeds
    compared = "" if run.tool == OURS else f"  {ours.speeds[0] / by_clock:.1f} x by the clock, {verdict(run, ours)}"
    line = f"{run.tool:10} {run.workers:7} {run.megabytes:7.1f} {run.usage.seconds:7.1f} {run.usage.cpu_seconds:7.1f}"
    return f"{line} {by_clock:7.2f} {by_cpu:8.2f}{compared}"


def verdict(run: Run, ours: Run) -> str:
    """The ratio by CPU, and whether it reaches the goal of 30 x, the floor of 20 x, or neither."""
    ratio = ours.speeds[1] / run.speeds[1]
    return f"{ratio:.1f} x by CPU ({'goal' if ratio >= GOAL else 'floor' if ratio >= FLOOR else 'BELOW THE FLOOR'})"


def signing_verdict(speed: float) -> str:
    """Whether signing reaches the goal of 60 MB/s of CPU, the floor of 40, or neither."""
    return "goal" if speed >= SIGNING_GOAL else "floor" if speed >= SIGNING_FLOOR else "BELOW THE FLOOR"


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.duplicates_speed", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--megabytes", type=float, default=8.0, help="of English text in the slice")
    parser.add_argument("--copies", type=int, default=40, help="how often ours reads the slice")
    parser.add_argument("--rounds", type=int, default=2, help="how often each tool runs")
    args = parser.parse_args(argv)
    log: dict = {"signing": {}, "runs": []}
    print("signing, MB/s of CPU: MinHash and bands; all")
    for language in LANGUAGES:
        texts = list(read_language(language, args.data))
        bands, whole = (time_signing(language, texts, of) for of in (sign_bands, sign))
        log["signing"][language] = {"bands": bands, "all": whole}
        print(f"{language}  {bands:6.1f}  {signing_verdict(bands):16}  {whole:6.1f}", flush=True)
    texts = [text for _, text in read_articles(args.data / TEXTS, int(args.megabytes * 1e6))]
    print(f"\n{'tool':10} workers      MB  wall s   CPU s    MB/s MB/CPU s")
    for runs in measure(texts, args.copies, args.rounds):
        print("\n".join(row(run, runs[0]) for run in runs), flush=True)
        log["runs"] += map(asdict, runs)
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
