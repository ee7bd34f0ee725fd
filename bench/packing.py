"""Packing alone, without encoding: planning rows and writing them, on real lengths and on a million short documents.

The English articles of the benchmark text are encoded once, then packed by each strategy; ``python -m bench.packing``
prints the table and writes ``logs/bench-packing.json``. Seconds are of one process's CPU. Utilization: tokens of
documents in rows, of all places; needed: documents that are longer than a row.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from pipelines.packing.rows import PackedRows, rows_to_batches, token_dtype, token_shard_schema
from pipelines.packing.strategies import plan_rows
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.shards import ArrowShard
from pipelines.trace_index import index_rows
from tokenizer.encoding import Encoder

Made = TypeVar("Made")

LOG = Path("logs/bench-packing.json")
ARTICLES = "bench/enwiki-2015-aa.jsonl.zst"
WAYS = (("best_fit", "split"), ("best_fit", "truncate"), ("concatenate", "split"))
SHORT_DOCUMENTS = 1_000_000
TEXTS_A_TIME = 256


@dataclass(frozen=True)
class Measured:
    """One packing of one corpus."""

    corpus: str
    tokens: int
    documents: int
    seq_len: int
    way: str
    plan_seconds: float
    write_seconds: float
    index_seconds: float
    utilization: float
    cut: int
    needed: int


def article_tokens(path: Path, encoder: Encoder, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and offsets of the first ``most`` articles."""
    arrays, lengths = [], []
    for texts in _texts(path, most):
        ids, offsets = encoder.encode_documents(texts)
        arrays.append(ids.astype(token_dtype(encoder.vocab_size)))
        lengths.append(np.diff(offsets))
    return np.concatenate(arrays), np.concatenate([[0], *lengths]).cumsum()


def short_tokens(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and offsets of documents of some 30 tokens each, a few of thousands."""
    lengths = np.random.default_rng(0).lognormal(3, 1, number).astype(np.int64) + 1
    return np.zeros(int(lengths.sum()), np.uint16), np.concatenate([[0], lengths.cumsum()])


def measure(corpus: str, ids: np.ndarray, offsets: np.ndarray, seq_len: int, way: tuple[str, str]) -> Measured:
    """Plans the rows, writes them as a shard, and makes their index."""
    doc_ids = pa.array([f"s:{number}" for number in range(len(offsets) - 1)])
    plan, plan_seconds = _timed(lambda: plan_rows(offsets, seq_len + 1, *way))
    schema = token_shard_schema(seq_len, 1 << 16, {"source": "s"})

    def write() -> None:
        path = Path(scratch) / "train-s-0.arrow"
        with ArrowShard(path, schema) as shard:
            for batch in rows_to_batches(PackedRows(plan, ids, 0), doc_ids, schema):
                shard.write(batch)

    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        _, write_seconds = _timed(write)
    _, index_seconds = _timed(lambda: index_rows(doc_ids, plan.segments.document, plan.row_offsets, "bench"))
    needed = int(np.count_nonzero(np.diff(offsets) > seq_len + 1))
    utilization = plan.num_tokens / (plan.num_rows * (seq_len + 1))
    return Measured(
        corpus, len(ids), len(doc_ids), seq_len, "/".join(way), plan_seconds, write_seconds, index_seconds,
        utilization, plan.segments.num_cut, needed,
    )  # fmt: skip


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.packing", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds bench")
    parser.add_argument("--tokenizer", default="data/learn/tokenizer.json", help="default: %(default)s")
    parser.add_argument("--articles", type=int, default=1 << 30, help="so many of them (default: all)")
    parser.add_argument("--seq-len", type=int, nargs="+", default=[1024, 2048])
    args = parser.parse_args(argv)
    corpora = {
        "English articles": article_tokens(args.data / ARTICLES, Encoder(args.tokenizer), args.articles),
        "short documents": short_tokens(SHORT_DOCUMENTS),
    }
    head = f"{'M tokens':>8} {'documents':>10} {'seq_len':>7}  {'way':<20} {'plan s':>7} {'write s':>7} {'index s':>7}"
    print(f"{'corpus':<17} {head} {'utilization':>11} {'cut':>7} {'needed':>7}")
    log = []
    for corpus, (ids, offsets) in corpora.items():
        for seq_len in args.seq_len:
            for way in WAYS:
                m = measure(corpus, ids, offsets, seq_len, way)
                times = f"{m.plan_seconds:7.3f} {m.write_seconds:7.3f} {m.index_seconds:7.3f}"
                sizes = f"{m.tokens / 1e6:8.1f} {m.documents:10,} {seq_len:7,}"
                found = f"{m.utilization:11.4%} {m.cut:7,} {m.needed:7,}"
                print(f"{corpus:<17} {sizes}  {m.way:<20} {times} {found}", flush=True)
                log.append(asdict(m))
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1))


def _texts(path: Path, most: int) -> Iterator[list[str]]:
    if not path.exists():
        raise CorpusmillError("no such file", where=str(path), hint="give --data")
    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
        lines = io.TextIOWrapper(io.BufferedReader(stream), "utf-8")
        texts: list[str] = []
        for _, line in zip(range(most), lines, strict=False):
            texts.append(json.loads(line)["text"])
            if len(texts) == TEXTS_A_TIME:
                yield texts
                texts = []
    if texts:
        yield texts


def _timed(call: Callable[[], Made]) -> tuple[Made, float]:
    begun = time.process_time()
    made = call()
    return made, time.process_time() - begun


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
