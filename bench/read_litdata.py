"""Reads an export with litdata's ``StreamingDataset`` and ``TokensLoader``, in its own environment.

python -m bench.read_litdata <export folder> <target.npz>
"""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from litdata import StreamingDataLoader, StreamingDataset, TokensLoader


def main(argv: Sequence[str]) -> None:
    """The command above: every row by its number, and again through litdata's own loader."""
    width = json.loads((Path(argv[0]) / "export.json").read_text())["row_tokens"]
    dataset = StreamingDataset(argv[0], item_loader=TokensLoader(block_size=width), shuffle=False)
    batches = [batch.long().numpy() for batch in StreamingDataLoader(dataset, batch_size=8)]
    np.savez(
        argv[1],
        version=version("litdata"),
        tokens=np.stack([dataset[index].long().numpy() for index in range(len(dataset))]),
        loaded=np.concatenate(batches),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
