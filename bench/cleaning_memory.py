"""Memory and workers: the peak of `clean` on 20 MB of text and on 25 times as much, and equal bytes from 1, 2, 4 workers.

The English benchmark text is repeated with shifted ids, a unit a copy; each line of a copy ends with the copy's number,
so that the lines which are counted over the whole source grow with it. Counted is the largest process of the command.

``python -m bench.cleaning_memory`` prints the tables and writes ``logs/bench-cleaning-memory.json``.
"""

import argparse
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import zstandard

from bench.tools import Usage, run_alone
from pipelines.runner import WORKERS
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.schema import DOCUMENT
from pipelines.spine.shards import ParquetShard

LOG = Path("logs/bench-cleaning-memory.json")
TEXTS = "bench/enwiki-2015-aa.jsonl.zst"
UNIT_BYTES = 20_000_000
BATCH = 256
NUM_WORKERS = (1, 2, 4)


def read_articles(path: Path, max_bytes: int) -> list[tuple[str, str]]:
    """(id, text) of the first articles, about so many bytes of text."""
    articles, taken = [], 0
    with zstandard.open(path, "rb") as file:
        for line in io.TextIOWrapper(file, encoding="utf-8"):
            row = json.loads(line)
            articles.append((str(row["id"]), row["text"]))
            taken += len(row["text"].encode())
            if taken >= max_bytes:
                break
    return articles


def write_units(folder: Path, articles: Sequence[tuple[str, str]], copies: int) -> int:
    """Writes a Parquet file a copy; returns the bytes of all texts."""
    size = 0
    for copy in range(copies):
        with ParquetShard(folder / f"copy-{copy}.parquet", DOCUMENT) as shard:
            for batch in _batches(articles, copy):
                shard.write(batch)
                size += sum(len(text.encode()) for text in batch.column("text").to_pylist())
    return size


def _batches(articles: Sequence[tuple[str, str]], copy: int) -> Iterator[pa.RecordBatch]:
    for begin in range(0, len(articles), BATCH):
        rows = [
            {
                "doc_id": f"bench:{copy}-{key}",
                "source": "bench",
                "language": "en",
                "text": "\n".join(f"{line} {copy}." if line.strip() else line for line in text.split("\n")),
            }
            for key, text in articles[begin : begin + BATCH]
        ]
        known = [{name: row.get(name, "") for name in DOCUMENT.names} for row in rows]
        yield pa.RecordBatch.from_pylist(known, schema=DOCUMENT)


def clean(texts: Path, num_workers: int) -> tuple[Usage, str]:
    """What cleaning the folder took with that many processes, and a digest of all that it gave."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        output = Path(scratch) / "clean"
        places = ["--output", str(output), "--cache", str(Path(scratch) / "cache")]
        command = [sys.executable, "-m", "pipelines.clean", "--input", str(texts), *places]
        usage = run_alone(command, 2, {WORKERS: str(num_workers)})
        digest = hashlib.sha256()
        for path in sorted(output.rglob("*")):
            if path.is_file() and path.name != "lineage.json":
                digest.update(path.relative_to(output).as_posix().encode() + path.read_bytes())
    return usage, digest.hexdigest()


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.cleaning_memory", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the bench text")
    parser.add_argument("--copies", type=int, nargs="+", default=(1, 5, 25), help="how often the text is repeated")
    args = parser.parse_args(argv)
    articles = read_articles(args.data / TEXTS, UNIT_BYTES)
    log: dict[str, list] = {"sizes": [], "workers": []}
    print(f"peak memory of clean, one worker\n{'MB of text':>10} {'peak MB':>8} {'seconds':>8} {'MB/s of CPU':>11}")
    for copies in args.copies:
        with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as folder:
            size = write_units(Path(folder), articles, copies)
            usage, _ = clean(Path(folder), 1)
        speed = size / 1e6 / usage.cpu_seconds
        print(f"{size / 1e6:10.0f} {usage.peak_bytes / 1e6:8.0f} {usage.seconds:8.0f} {speed:11.1f}", flush=True)
        log["sizes"].append({"text_bytes": size, **asdict(usage)})
    digests = set()
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as folder:
        size = write_units(Path(folder), articles, max(NUM_WORKERS))
        print(f"workers on {size / 1e6:.0f} MB of text in {max(NUM_WORKERS)} units, two cores")
        for num_workers in NUM_WORKERS:
            usage, digest = clean(Path(folder), num_workers)
            digests.add(digest)
            cores = usage.cpu_seconds / usage.seconds
            print(f"{num_workers} workers: {usage.seconds:6.1f} s, {cores:.2f} cores, peak of one process"
                  f" {usage.peak_bytes / 1e6:.0f} MB", flush=True)  # fmt: skip
            log["workers"].append({"workers": num_workers, **asdict(usage)})
    print("the same bytes with 1, 2 and 4" if len(digests) == 1 else "DIFFERENT BYTES")
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1))
    if len(digests) != 1:
        raise CorpusmillError("workers change bytes", where="clean")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
