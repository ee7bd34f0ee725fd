"""A folder that ``datasets.load_from_disk`` opens, its columns those that ``transformers.Trainer`` takes.

All three int32 ``[seq_len + 1]``; the model shifts the labels itself, so position i is scored by what follows i:

    token          0 11 12 13 25 26 27  0     segment lengths 4 3, document offsets 0 9, one place of padding
    labels         . 11 12 13  . 26 27  .     . is -100: 25 is context (scored in an earlier row), the first has no past
    position_ids   0  1  2  3  0  1  2  0     a restart begins a segment; attention is kept within it

A document start after another segment keeps its label: so the model learns where documents end. There is no
attention mask on purpose: without one, ``transformers`` reads the segments off ``position_ids``.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.spine import storage
from pipelines.spine.manifest import dump
from pipelines.spine.shards import ROWS_PER_BATCH, ArrowShard
from pipelines.token_formats.facts import Rows, SplitFacts
from pipelines.token_shards import Row

COLUMNS = ("input_ids", "labels", "position_ids")
#: The label that torch's cross entropy ignores.
IGNORED = -100


def write_huggingface(folder: Path, facts: SplitFacts, shards: Rows) -> int:
    """Writes ``<shard>.arrow``, ``state.json`` and ``dataset_info.json``; returns the tokens. Memory: 1,024 rows."""
    width = facts.seq_len + 1
    kind = pa.list_(pa.field("item", pa.int32(), nullable=False), width)
    schema = pa.schema([pa.field(name, kind, nullable=False) for name in COLUMNS])
    num_rows, digest = 0, hashlib.sha256(facts.tokenizer_sha256.encode())
    names: list[str] = []
    for name, rows in shards:
        with ArrowShard(folder / f"{name}.arrow", schema) as shard:
            for batch in _batches(rows, width, schema):
                shard.write(batch)
        digest.update(shard.published().sha256.encode())
        num_rows += shard.rows
        names.append(f"{name}.arrow")
    storage.write_text(folder / "state.json", dump(_state(facts.split, names, digest.hexdigest()[:16])))
    # No features: `datasets` reads them from the files, and their names differ between its versions.
    storage.write_text(folder / "dataset_info.json", dump({"description": "", "citation": ""}))
    return num_rows * width


def labels_and_positions(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """What is scored in a row (``IGNORED`` elsewhere) and the position of each token in its segment, both int32."""
    starts = np.asarray(row.starts)
    used, width = int(row.lengths.sum()), len(row.tokens)
    labels = row.tokens.astype(np.int32)
    labels[used:] = IGNORED
    labels[starts[row.offsets > 0]] = IGNORED
    labels[0] = IGNORED
    runs = np.append(starts, used) if used < width else starts  # padding is a run of its own
    lengths = np.diff(np.append(runs, width))
    return labels, (np.arange(width) - np.repeat(runs, lengths)).astype(np.int32)


def _batches(rows: Iterable[Row], width: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    source = iter(rows)
    while group := list(islice(source, ROWS_PER_BATCH)):
        made = [labels_and_positions(row) for row in group]
        columns = [[row.tokens for row in group], [labels for labels, _ in made], [positions for _, positions in made]]
        arrays = [pa.array(np.concatenate(column).astype(np.int32)) for column in columns]
        kind = schema.field(0).type
        fixed = [pa.FixedSizeListArray.from_arrays(array, type=kind) for array in arrays]
        yield pa.RecordBatch.from_arrays(fixed, schema=schema)


def _state(split: str, names: list[str], fingerprint: str) -> dict[str, Any]:
    return {
        "_data_files": [{"filename": name} for name in names], "_fingerprint": fingerprint, "_format_columns": None,
        "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": split,
    }  # fmt: skip
