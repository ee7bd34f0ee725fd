"""Synthetic token rows in three formats with the same ids: our shards, one raw file, a `save_to_disk` folder."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa

from pipelines.spine.manifest import write_manifest
from pipelines.spine.shards import ROWS_PER_BATCH, ArrowShard

SEQ_LEN = 2048
VOCAB_SIZE = 32_000
ROWS_PER_SHARD = 16 * ROWS_PER_BATCH


def write_formats(folder: Path, num_rows: int) -> None:
    """Writes ``shards``, ``raw.bin`` and ``saved`` with the same ids; equal on every machine."""
    draw = np.random.Generator(np.random.PCG64(0))
    shards, saved = [], []
    with open(folder / "raw.bin", "wb") as raw:
        for number, first in enumerate(range(0, num_rows, ROWS_PER_SHARD)):
            path = folder / "shards" / f"train-synthetic-{number:012x}.arrow"
            with ArrowShard(path, _schema()) as shard:
                for start in range(first, min(first + ROWS_PER_SHARD, num_rows), ROWS_PER_BATCH):
                    size = (min(ROWS_PER_BATCH, num_rows - start), SEQ_LEN + 1)
                    tokens = draw.integers(1, VOCAB_SIZE, size, np.uint16)
                    shard.write(_packed(tokens, draw))
                    raw.write(tokens.tobytes())
                    offsets = np.arange(0, tokens.size + 1, SEQ_LEN + 1, dtype=np.int32)
                    saved.append(pa.table({"input_ids": pa.ListArray.from_arrays(offsets, tokens.reshape(-1))}))
            shards.append(shard.published())
    write_manifest(folder / "shards", shards)
    datasets.Dataset(pa.concat_tables(saved)).save_to_disk(folder / "saved")


def _schema() -> pa.Schema:
    ids = pa.list_(pa.field("item", pa.uint16(), nullable=False), SEQ_LEN + 1)
    offsets = pa.list_(pa.field("item", pa.int32(), nullable=False))
    names = pa.list_(pa.field("item", pa.string(), nullable=False))
    columns = {
        "tokens": ids, "segment_starts": offsets, "segment_lengths": offsets, "doc_offsets": offsets, "doc_ids": names,
        "source": pa.string(),
    }  # fmt: skip
    facts = {
        "schema_version": 1, "tokenizer_sha256": "0" * 64, "seq_len": SEQ_LEN, "vocab_size": VOCAB_SIZE, "split": "train",
        "document_start_id": 0, "source": "synthetic", "text_bytes": 0, "strategy": "synthetic", "long_documents": "split",
    }  # fmt: skip
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
    return pa.schema(fields, {name: str(value) for name, value in facts.items()})


def _packed(tokens: np.ndarray, draw: np.random.Generator) -> pa.RecordBatch:
    """Rows full of whole documents, four a row on average."""
    count = len(tokens)
    cuts = [np.unique(draw.integers(1, SEQ_LEN, number)) for number in draw.integers(0, 7, count)]
    starts = np.concatenate([[0, *cut] for cut in cuts]).astype(np.int32)
    lengths = np.concatenate([np.diff([0, *cut, SEQ_LEN + 1]) for cut in cuts]).astype(np.int32)
    borders = pa.array(np.cumsum([0, *(len(cut) + 1 for cut in cuts)]), pa.int32())
    values = (
        starts,
        lengths,
        np.zeros(len(starts), np.int32),
        [f"synthetic:{number}" for number in range(len(starts))],
    )
    schema = _schema()
    kinds = [schema.field(name).type for name in ("segment_starts", "segment_lengths", "doc_offsets", "doc_ids")]
    lists = [pa.ListArray.from_arrays(borders, pa.array(v), type=kind) for v, kind in zip(values, kinds, strict=True)]
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(tokens.reshape(-1)), type=schema.field("tokens").type)
    return pa.RecordBatch.from_arrays([fixed, *lists, pa.array(["synthetic"] * count)], schema=schema)
