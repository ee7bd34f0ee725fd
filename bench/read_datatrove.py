"""Reads an export with datatrove's ``DatatroveFolderDataset``, which nanotron trains on, in its own environment.

Then writes its documents anew with the ``TokenizedFile`` of datatrove's own tokenizer step.

python -m bench.read_datatrove <export folder> <target.npz>
"""

import filecmp
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datatrove.pipeline.tokens.tokenizer import TokenizedFile
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
        same_files=[rewritten(path, size) for path in sorted(Path(argv[0]).glob("*.ds"))],
    )


def rewritten(path: Path, size: int) -> list[bool]:
    """Whether datatrove makes the same ``.ds``, ``.index`` and ``.metadata`` of the documents of one file."""
    ends = np.fromfile(f"{path}.index", "<u8").astype(np.int64)
    tokenizer = Path(f"{path}.metadata").read_text().partition("|")[0]
    with tempfile.TemporaryDirectory() as folder:
        own = TokenizedFile(
            folder, path.name, tokenizer_name_or_path=tokenizer, save_final_metadata=True, token_size=size
        )
        for document in np.split(np.fromfile(path, f"<u{size}"), ends[:-1]):
            own.write(document.tolist(), None)
        own.close()
        return [
            filecmp.cmp(f"{path}{end}", f"{folder}/{path.name}{end}", shallow=False)
            for end in ("", ".index", ".metadata")
        ]


if __name__ == "__main__":
    main(sys.argv[1:])
