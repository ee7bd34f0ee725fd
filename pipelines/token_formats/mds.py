"""MosaicML streaming's MDS, version 2: a sample a row, for ``streaming.StreamingDataset`` and LLM Foundry.

Columns: ``tokens`` (all ``seq_len`` + 1 of the row), ``segment_lengths`` and ``doc_offsets`` (int32, one entry a
segment, as in the token shard), from which a trainer makes the attention mask and what is a target.

    shard.00000.mds   samples n (uint32), offsets uint32 [n + 1], the configuration as JSON, the samples
    a sample          sizes of the two columns of variable size (uint32 each), then the columns by name; an array of
                      variable size: one byte (dimensions << 2 | log2 of the bytes of a dimension), dimensions, values
    index.json        version and, per shard, its configuration, samples, name and bytes

Source: mosaicml/streaming 0.13.0, base/format/mds/{writer,encodings}.py and base/format/base/writer.py.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.spine import storage
from pipelines.token_formats.blocks import BLOCK_BYTES, blocks_of, write_block
from pipelines.token_formats.facts import Rows, SplitFacts


def write_mds(folder: Path, facts: SplitFacts, shards: Rows, block_bytes: int = BLOCK_BYTES) -> int:
    """Writes ``shard.00000.mds`` and so on and ``index.json``; returns the tokens. Memory: two files of 64 MiB."""
    row_bytes = (facts.seq_len + 1) * facts.dtype.itemsize
    config = _configuration(facts, row_bytes, block_bytes)
    head = json.dumps(config, sort_keys=True).encode()
    entries: list[dict[str, Any]] = []
    for number, block in enumerate(blocks_of(_samples(facts, shards), 8 + len(head), block_bytes)):
        name = f"shard.{number:05}.mds"
        raw = {"basename": name, "bytes": write_block(folder / name, block, head), "hashes": {}}
        entries.append({**config, "samples": len(block), "raw_data": raw, "zip_data": None})
    storage.write_text(folder / "index.json", json.dumps({"version": 2, "shards": entries}, sort_keys=True))
    return sum(entry["samples"] for entry in entries) * (facts.seq_len + 1)


def _configuration(facts: SplitFacts, row_bytes: int, block_bytes: int) -> dict[str, Any]:
    return {
        "version": 2, "format": "mds", "compression": None, "hashes": [], "size_limit": block_bytes,
        "column_names": ["doc_offsets", "segment_lengths", "tokens"],
        "column_encodings": ["ndarray:int32", "ndarray:int32", f"ndarray:{facts.dtype.name}:{facts.seq_len + 1}"],
        "column_sizes": [None, None, row_bytes],
    }  # fmt: skip


def _samples(facts: SplitFacts, shards: Rows) -> Iterator[bytes]:
    for _, rows in shards:
        for row in rows:
            offsets, lengths = _array(row.offsets), _array(row.lengths)
            sizes = np.array([len(offsets), len(lengths)], "<u4").tobytes()
            yield sizes + offsets + lengths + row.tokens.astype(facts.dtype, copy=False).tobytes()


def _array(values: np.ndarray) -> bytes:
    """One dimension of int32, its length in as few bytes (1, 2, 4) as hold it."""
    power = 0 if len(values) < 1 << 8 else 1 if len(values) < 1 << 16 else 2
    return bytes([1 << 2 | power]) + len(values).to_bytes(1 << power, "little") + values.astype("<i4").tobytes()
