"""The trace on a corpus of ten million documents: how long it takes from a document to its rows, and back.

Token shards of made-up documents are written into a scratch folder by the stage's own writers, about 700 MB, one shard
at a time in memory. ``python -m bench.trace`` prints the times and writes ``logs/bench-trace.json``. Cold: after the
system was told to forget the files; command: ``python -m pipelines.trace`` from start to end, interpreter included.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.packing.rows import PackedRows, rows_to_batches, token_shard_schema
from pipelines.packing.strategies import plan_rows
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard, read_manifest, write_manifest
from pipelines.spine.shards import ArrowIndex, ArrowShard
from pipelines.trace_index import INDEX, SCHEMA, Place, documents_of_row, find_document, index_rows

LOG = Path("logs/bench-trace.json")
SEQ_LEN = 31
QUERIES = 200


def write_shard(folder: Path, stem: str, first: int, number: int) -> Shard:
    """Documents ``s:<first>``, ... of 2 to 60 tokens in rows of 32, and their index."""
    lengths = np.random.default_rng(first).integers(2, 61, number)
    ids = np.resize(np.arange(1, 1000, dtype=np.uint16), int(lengths.sum()))
    plan = plan_rows(np.concatenate([[0], lengths.cumsum()]), SEQ_LEN + 1, "best_fit", "split")
    doc_ids = pa.array([f"s:{first + place}" for place in range(number)])
    facts: dict[str, str | int] = {
        "tokenizer_sha256": "0" * 64, "document_start_id": 0, "split": "train", "source": "s", "text_bytes": len(ids),
        "strategy": "best_fit", "long_documents": "split",
    }  # fmt: skip
    schema = token_shard_schema(SEQ_LEN, 1000, facts)
    with ArrowIndex(folder / INDEX / f"{stem}.arrow", SCHEMA) as index:
        index.write(index_rows(doc_ids, plan.segments.document, plan.row_offsets, stem))
    with ArrowShard(folder / f"{stem}.arrow", schema) as shard:
        for batch in rows_to_batches(PackedRows(plan, ids, 0), doc_ids, schema):
            shard.write(batch)
    return shard.published()


def write_corpus(folder: Path, documents: int, shards: int) -> None:
    """Token shards of so many documents in all."""
    borders = np.linspace(0, documents, shards + 1).astype(int).tolist()
    made = [
        write_shard(folder, f"train-s-{number:012x}", borders[number], borders[number + 1] - borders[number])
        for number in range(shards)
    ]
    write_manifest(folder, made)


def forget(folder: Path) -> None:
    """Tells the system to drop the folder's files from memory."""
    for path in folder.rglob("*.arrow"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def query_seconds(folder: Path, queries: Sequence[Callable[[], list[Place]]]) -> dict[str, float]:
    """Seconds of the first query on a cold folder, and of the rest: median and longest."""
    forget(folder)
    seconds = [_seconds(query) for query in queries]
    return {"cold": seconds[0], "median": statistics.median(seconds[1:]), "longest": max(seconds[1:])}


def command_seconds(folder: Path, *arguments: str) -> float:
    """Seconds of the whole command on a cold folder."""
    forget(folder)
    command = [sys.executable, "-m", "pipelines.trace", *arguments, "--input", str(folder)]
    return _seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.trace", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=32)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        folder, draw = Path(scratch) / "pack", random.Random(0)
        written = _seconds(lambda: write_corpus(folder, args.documents, args.shards))
        num_rows = read_manifest(folder).rows
        ids = [f"s:{draw.randrange(args.documents)}" for _ in range(QUERIES)]
        rows = [draw.randrange(num_rows) for _ in range(QUERIES)]
        found = {
            "document -> rows": query_seconds(folder, [lambda one=one: _found(folder, one) for one in ids]),  # type: ignore[misc]
            "row -> documents": query_seconds(
                folder, [lambda row=row: documents_of_row(folder, "train", row) for row in rows]  # type: ignore[misc]
            ),
        }  # fmt: skip
        found["document -> rows"]["command"] = command_seconds(folder, "--doc", ids[0])
        found["row -> documents"]["command"] = command_seconds(folder, "--row", f"train:{rows[0]}")
        sizes = [sum(p.stat().st_size for p in place.glob("*.arrow")) / 1e6 for place in (folder, folder / INDEX)]
    bare = _seconds(lambda: subprocess.run([sys.executable, "-c", "import numpy, pyarrow"], check=True))
    print(f"{args.documents:,} documents in {num_rows:,} rows of {args.shards} shards, written in {written:.0f} s")
    print(f"shards {sizes[0]:,.0f} MB, index {sizes[1]:,.0f} MB; Python with numpy and pyarrow starts in {bare:.2f} s")
    print(f"{'seconds':<18} {'cold':>8} {'median':>8} {'longest':>8} {'command':>8}")
    for name, seconds in found.items():
        print(f"{name:<18} " + " ".join(f"{seconds[key]:8.4f}" for key in ("cold", "median", "longest", "command")))
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps({"documents": args.documents, "rows": num_rows, "start": bare, **found}, indent=1))


def _found(folder: Path, doc_id: str) -> list[Place]:
    places = find_document(folder, doc_id)
    if {place.doc_id for place in places} != {doc_id}:
        raise CorpusmillError("the trace found another document", got=places, expected=doc_id)
    return places


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
