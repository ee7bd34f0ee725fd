"""Our side of the benchmarks of deduplication: documents in, `pipelines.dedup` as a process, its drop lists out."""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench.tools import Usage, run_alone
from pipelines.duplicates.minhash import band_keys, signatures
from pipelines.duplicates.proposals import propose_pairs
from pipelines.duplicates.shingles import shingle_hashes
from pipelines.runner import WORKERS
from pipelines.spine.lineage import VERSIONS_FILE
from pipelines.spine.schema import DOCUMENT
from pipelines.spine.shards import ParquetShard

ROWS = 1024


class Drop(NamedTuple):
    """A row of a drop list, its ids without the source: ``key``, ``kept``, similarity, measure."""

    key: str
    kept: str
    similarity: float
    measure: str


def read_params() -> dict[str, Any]:
    """``params.yaml: dedup`` as it stands."""
    return yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["dedup"]


def write_params(target: Path, **changes: object) -> None:
    """``params.yaml`` for a corpus that may lose all its copies; ``changes`` to ``dedup`` count where it has the key."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    section = params["dedup"]
    section["max_dropped_percent"] = {"default": 100} if isinstance(section["max_dropped_percent"], dict) else 100
    section.update({name: value for name, value in changes.items() if name in section})
    target.write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    shutil.copyfile(VERSIONS_FILE, target.with_name(VERSIONS_FILE))


def write_unit(path: Path, documents: Iterable[tuple[str, str]], language: str = "en") -> int:
    """Writes a shard of documents, (key, text) each, as `clean` would; returns the bytes of their texts."""
    size, left = 0, iter(documents)
    with ParquetShard(path, DOCUMENT) as shard:
        while rows := list(islice(left, ROWS)):
            shard.write(batch_of(rows, language))
            size += sum(len(text.encode()) for _, text in rows)
    return size


def batch_of(rows: Iterable[tuple[str, str]], language: str) -> pa.RecordBatch:
    """Documents of the source "bench"."""
    known = dict.fromkeys(DOCUMENT.names, "") | {"source": "bench", "language": language}
    whole = [{**known, "doc_id": f"bench:{key}", "text": text} for key, text in rows]
    return pa.RecordBatch.from_pylist(whole, schema=DOCUMENT)


def run_dedup(documents: Path, scratch: Path, params: Path, workers: int = 1) -> Usage:
    """What `dedup` takes on a folder of shards, from an empty cache; its output lies in <scratch>/dedup."""
    output = scratch / "dedup"
    places = ["--input", str(documents), "--output", str(output), "--ledger", str(output / "ledger.json")]
    command = [sys.executable, "-m", "pipelines.dedup", *places, "--cache", str(scratch / "cache")]
    return run_alone([*command, "--params", str(params)], workers, {WORKERS: str(workers)})


def read_drops(output: Path) -> list[Drop]:
    """All drops of a run, by unit and row."""
    return [
        Drop(row["doc_id"].partition(":")[2], row["kept_id"].partition(":")[2], row["similarity"], row["measure"])
        for path in sorted(output.glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def read_counts(output: Path) -> dict[str, Any]:
    """What the run says of its search; nothing where it says nothing."""
    path = output / "search.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def proposed_pairs(texts: pa.Array | list[str], params: dict[str, Any], max_bucket: int) -> np.ndarray:
    """Pairs of numbers that the bands propose, longer texts preferred, int64 ``[n_pairs, 2]``; exact copies included."""
    bands = sign_bands(texts, params)
    chars = np.array([len(text) for text in texts])
    preferred = np.lexsort((np.arange(len(chars)), -chars))
    rank = np.empty(len(chars), np.int64)
    rank[preferred] = np.arange(len(chars))
    found = propose_pairs(bands.reshape(-1), np.repeat(rank, bands.shape[1]), max_bucket).pairs
    return np.sort(preferred[found], axis=1)


def sign_bands(texts: pa.Array | list[str], params: dict[str, Any]) -> np.ndarray:
    """Band keys of each text, uint64 ``[n_texts, num_bands]``."""
    hashes, offsets = shingle_hashes(texts, params["shingle_size"])
    signed = signatures(hashes, offsets, params["num_bands"] * params["rows_per_band"], params["seed"])
    return band_keys(signed, params["num_bands"], params["rows_per_band"])


def threshold_of(params: dict[str, Any], name: str = "threshold") -> Fraction:
    """A share of ``params.yaml`` as the decimal fraction that it is written as; 0 where it is missing."""
    return Fraction(str(params.get(name, 0)))


def numbered(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(key, text): the key is the text's number."""
    yield from ((str(number), text) for number, text in enumerate(texts))
