"""Reads an export with megatron-core's ``IndexedDataset``, in its own environment, and writes it anew with its builder.

python -m bench.read_megatron <export folder> <target.npz>
"""

import filecmp
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder


def main(argv: Sequence[str]) -> None:
    """The command above."""
    split = json.loads((Path(argv[0]) / "export.json").read_text())["split"]
    dataset = IndexedDataset(str(Path(argv[0]) / split))
    np.savez(
        argv[1],
        version=version("megatron-core"),
        tokens=np.concatenate([dataset[index] for index in range(len(dataset))]),
        lengths=dataset.sequence_lengths,
        document_indices=dataset.document_indices,
        same_files=rewritten(dataset, str(Path(argv[0]) / split)),
    )


def rewritten(dataset: IndexedDataset, prefix: str) -> list[bool]:
    """Whether megatron-core's own builder makes the same ``.bin`` and the same ``.idx`` of these documents."""
    with tempfile.TemporaryDirectory() as folder:
        builder = IndexedDatasetBuilder(f"{folder}/own.bin", dtype=dataset.index.dtype)
        for index in range(len(dataset)):
            builder.add_document(torch.from_numpy(dataset[index].astype(np.int64)), [len(dataset[index])])
        builder.finalize(f"{folder}/own.idx")
        return [filecmp.cmp(f"{prefix}.{end}", f"{folder}/own.{end}", shallow=False) for end in ("bin", "idx")]


if __name__ == "__main__":
    main(sys.argv[1:])
