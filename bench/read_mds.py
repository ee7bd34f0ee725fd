"""Reads an export with MosaicML's ``StreamingDataset``, in its own environment, and writes it anew with ``MDSWriter``.

python -m bench.read_mds <export folder> <target.npz>

``import streaming`` imports torchvision for its image data sets, and torchvision's wheel does not load beside a torch
for CPUs alone: here empty modules stand in its place, and nothing that reads MDS touches them.
"""

import filecmp
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import transformers  # noqa: F401 (first: it looks whether there is a torchvision)

for _name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[_name] = ModuleType(_name)
vars(sys.modules["torchvision.datasets"])["VisionDataset"] = object
vars(sys.modules["torchvision.transforms.functional"])["to_tensor"] = None

from streaming import MDSWriter, StreamingDataset  # noqa: E402


def main(argv: Sequence[str]) -> None:
    """The command above."""
    dataset = StreamingDataset(local=argv[0], shuffle=False, batch_size=1)
    samples = [dataset[index] for index in range(len(dataset))]
    np.savez(
        argv[1],
        version=version("mosaicml-streaming"),
        tokens=np.stack([sample["tokens"] for sample in samples]),
        num_segments=[len(sample["segment_lengths"]) for sample in samples],
        segment_lengths=np.concatenate([sample["segment_lengths"] for sample in samples]),
        doc_offsets=np.concatenate([sample["doc_offsets"] for sample in samples]),
        same_files=all(rewritten(samples, Path(argv[0]))),
    )


def rewritten(samples: Sequence[dict[str, Any]], export: Path) -> list[bool]:
    """For each file but ``export.json``, whether MosaicML's own writer makes the same one of these samples."""
    (config, *_) = json.loads((export / "index.json").read_text())["shards"]
    columns = dict(zip(config["column_names"], config["column_encodings"], strict=True))
    with tempfile.TemporaryDirectory() as folder:
        with MDSWriter(out=f"{folder}/own", columns=columns, size_limit=config["size_limit"]) as writer:
            for sample in samples:
                writer.write(sample)
        names = sorted(path.name for path in export.iterdir() if path.name != "export.json")
        assert names == sorted(path.name for path in Path(folder, "own").iterdir())
        return [filecmp.cmp(export / name, Path(folder, "own", name), shallow=False) for name in names]


if __name__ == "__main__":
    main(sys.argv[1:])
