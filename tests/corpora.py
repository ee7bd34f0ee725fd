"""Small corpora that tests write, and small questions they ask of stage folders."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipelines.spine.schema import DOCUMENT
from pipelines.splitting.index import text_shingles
from tokenizer.patterns import split

#: A section `dedup` of params.yaml: three partitions, and rounds that a test may ask for.
DEDUP = {
    "normalization": "whitespace", "threshold": 0.8, "containment_threshold": 0.9, "shingle_size": 5, "num_bands": 20,
    "rows_per_band": 5, "bands_per_round": 6, "seed": 1, "survivor": "longest", "source_priority": [],
    "max_bucket": 64, "max_passes": 3, "num_partitions": 3, "write_index": True,
    "max_dropped_percent": {"default": 100},
}  # fmt: skip


def write_documents(path: Path, rows: Sequence[tuple[str, str]], source: str = "s", language: str = "en") -> None:
    """A Parquet file of documents; rows are (key, text)."""
    columns = {
        "doc_id": [f"{source}:{key}" for key, _ in rows],
        "source": [source] * len(rows),
        "language": [language] * len(rows),
        "title": [""] * len(rows),
        "url": [""] * len(rows),
        "date": [""] * len(rows),
        "author": [""] * len(rows),
        "revision": [""] * len(rows),
        "licence": ["CC0"] * len(rows),
        "text": [text for _, text in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=DOCUMENT), path)


def read_rows(folder: Path) -> list[dict]:
    """All rows of the folder's shards, shard by shard in order of name."""
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def digests(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every file below the folder but lineage.json, which may name more than shapes bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lineage.json")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_params(path: Path, **sections: dict) -> Path:
    """A params.yaml of the given sections."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    return path


def words(seed: int, number: int) -> list[str]:
    """Different words for every seed: pseudo-random and the same everywhere."""
    found = []
    for index in range(number):
        digest = hashlib.sha256(f"{seed} {index}".encode()).hexdigest()
        found.append("w" + digest[: 2 + int(digest[-1], 16) % 7])
    return found


def shingle_sets(texts: Sequence[str], shingle_size: int) -> list[set[int]]:
    """The shingles of each text as Python's sets, as `shard` sees them."""
    hashes, offsets = text_shingles(texts, shingle_size)
    return [set(hashes[begin:end].tolist()) for begin, end in itertools.pairwise(offsets.tolist())]


def pre_token_counts(texts: Iterable[str], pattern: str) -> list[tuple[bytes, int]]:
    """(pre-token, count) of the texts by the pattern alone, without chunks: what counting must come to; sorted."""
    return sorted(Counter(piece.encode() for text in texts for piece in split(text, pattern)).items())
