"""Megatron-LM's ``.bin`` and ``.idx``: one sequence a document, for ``IndexedDataset`` and what stands on it.

    .bin   the ids of all documents, one after another
    .idx   b"MMIDIDX\\0\\0", version 1 (uint64), dtype code (uint8: 8 is uint16, 4 is int32),
           sequences n (uint64), documents + 1 (uint64), lengths int32 [n], byte offsets int64 [n],
           for each document the sequence it begins with, and n at the end: int64 [n + 1]

Megatron has no uint32: ids above 65,535 are stored as int32. Source: NVIDIA/Megatron-LM,
megatron/core/datasets/indexed_dataset.py (megatron-core 0.16.1).
"""

import struct
from array import array
from pathlib import Path

import numpy as np

from pipelines.spine import storage
from pipelines.token_formats.facts import Documents, SplitFacts

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
DTYPE_CODES = {2: ("<u2", 8), 4: ("<i4", 4)}


def write_megatron(folder: Path, facts: SplitFacts, shards: Documents) -> int:
    """Writes ``<split>.bin`` and ``<split>.idx``; returns the tokens. Memory: 28 bytes a document of the split."""
    dtype, code = DTYPE_CODES[facts.dtype.itemsize]
    lengths = array("i")
    with storage.publishing(folder / f"{facts.split}.bin") as file:
        for _, documents in shards:
            for tokens in documents:
                file.write(tokens.astype(dtype, copy=False).tobytes())
                lengths.append(len(tokens))
    sizes = np.frombuffer(lengths, np.int32).astype("<i4")
    ends = np.cumsum(sizes, dtype="<i8")
    with storage.publishing(folder / f"{facts.split}.idx") as file:
        file.write(MAGIC + struct.pack("<QBQQ", VERSION, code, len(sizes), len(sizes) + 1))
        file.write(sizes.tobytes())
        file.write(((ends - sizes) * np.dtype(dtype).itemsize).tobytes())
        file.write(np.arange(len(sizes) + 1, dtype="<i8").tobytes())
    return int(ends[-1]) if len(ends) else 0
