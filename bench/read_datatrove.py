"""Reads an export with datatrove's ``DatatroveFolderDataset``, which nanotron trains on, in its own environment.

python -m bench.read_datatrove <export folder> <target.npz>
"""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datatrove.utils.dataset import DatatroveFolderDataset


def main(argv: Sequence[str]) -> None:
    """The command above: windows of ``seq_len`` + 1 with positions, and, as windows leave a rest, every single token."""
    said = json.loads((Path(argv[0]) / "export.json").read_text())
    size = 2 if said["vocab_size"] <= 1 << 16 else 4
    windows = DatatroveFolderDataset(argv[0], seq_len=said["seq_len"], token_size=size, return_positions=True)
    singles = DatatroveFolderDataset(argv[0], seq_len=0, token_size=size)
    found = [windows[index] for index in range(len(windows))]
    np.savez(
        argv[1],
        version=version("datatrove"),
        tokens=np.concatenate([singles[index]["input_ids"].numpy() for index in range(len(singles))]),
        windows=np.stack([window["input_ids"].numpy() for window in found]),
        positions=np.stack([window["positions"].numpy() for window in found]),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
