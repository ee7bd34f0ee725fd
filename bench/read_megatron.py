"""Reads an export with megatron-core's ``IndexedDataset``, in its own environment.

python -m bench.read_megatron <export folder> <target.npz>
"""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from megatron.core.datasets.indexed_dataset import IndexedDataset


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
    )


if __name__ == "__main__":
    main(sys.argv[1:])
