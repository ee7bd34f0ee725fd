"""The weights after the last evaluations, kept for an average or an ensemble of checkpoints, and those of the best one.

<checkpoints>/snapshots/step-000100.safetensors  ->  data/pretrain/snapshots/step-000100.safetensors
<checkpoints>/best/step-000100.safetensors       ->  data/pretrain/model.safetensors

Their mean is what Izmailov et al. 2018 ("Averaging Weights Leads to Wider Optima", arXiv 1803.05407) call SWA.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from pipelines.spine import faults, storage
from train.saved import weights_to_store
from train.shape import ModelParams

FOLDER, BEST = "snapshots", "best"
_NAME = re.compile(r"step-(\d+)\.safetensors")


def snapshot_name(step: int) -> str:
    """``snapshots/step-000100.safetensors``: the same below the checkpoints and in the output."""
    return f"{FOLDER}/step-{step:06d}.safetensors"


def best_name(step: int) -> str:
    """``best/step-000100.safetensors``, below the checkpoints."""
    return f"{BEST}/step-{step:06d}.safetensors"


def write_snapshot(path: Path, model: ModelParams, weights: dict[str, Tensor]) -> None:
    """Writes the weights as ``model.safetensors`` has them; equal weights give equal bytes."""
    with storage.publishing(path) as file:
        file.write(safetensors.torch.save(weights_to_store(model, weights), metadata={"format": "pt"}))
    faults.reach("pretrain:snapshot")


def surplus(steps: Iterable[int], most: int, oldest_checkpoint: int) -> list[int]:
    """The snapshots that no checkpoint can ask for any more.

    Going on from a checkpoint needs the ``most`` snapshots up to it, and writes the later ones anew.
    """
    before = sorted(step for step in steps if step <= oldest_checkpoint)
    return before[: max(len(before) - most, 0)]


def delete_surplus(folder: Path, most: int, oldest_checkpoint: int) -> None:
    """Deletes what no checkpoint can ask for any more: of the best, all before the last one up to the oldest checkpoint."""
    for name, kept in ((FOLDER, most), (BEST, 1)):
        found = _steps_in(folder / name)
        for step in surplus(found, kept, oldest_checkpoint):
            found[step].unlink()


def delete_later_bests(folder: Path, step: int) -> None:
    """Deletes the best weights of steps after this one: training goes on from there, perhaps in another course."""
    for later, path in _steps_in(folder / BEST).items():
        if later > step:
            path.unlink()


def _steps_in(folder: Path) -> dict[int, Path]:
    return {int(m[1]): path for path in folder.glob("*") if (m := _NAME.fullmatch(path.name))}


def mean_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of each tensor over the files, fp32; summed in float64 in the order given, a tensor at a time."""
    with safe_open(paths[0], "pt") as first:
        names = list(first.keys())
    sums: dict[str, Tensor] = {}
    for path in paths:
        with safe_open(path, "pt") as file:
            for name in names:
                tensor = file.get_tensor(name).to(torch.float64)
                sums[name] = sums[name] + tensor if name in sums else tensor
    return {name: (total / len(paths)).to(torch.float32) for name, total in sums.items()}
