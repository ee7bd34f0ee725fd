"""Several checkpoints as one model: the mean of their probabilities, or one model of their mean weights.

    data/pretrain/snapshots/*.safetensors  ->  mean_of_probabilities, model_of_mean_weights

`pretrain` keeps the snapshots where ``pretrain.snapshots`` > 0. The mean of probabilities computes every snapshot and is
never worse than their mean loss (the logarithm is concave); the mean of weights costs one model. Sources: Huang et al.
2017, "Snapshot Ensembles", arXiv 1704.00109; Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima",
arXiv 1803.05407.
"""

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from train.scoring import Forward

FOLDER = "snapshots"


def read_snapshots(folder: Path, model: nn.Module) -> list[nn.Module]:
    """The models of the snapshots that the manifest of the trained model lists, in the order of their names.

    Args:
        folder: of the trained model.
        model: of the same shape; it stays as it is.
    Raises:
        CorpusmillError: fewer than two snapshots, or one that does not fit the model.
    """
    manifest = read_manifest(folder)
    paths = [manifest.local(shard) for shard in manifest.shards if shard.name.startswith(f"{FOLDER}/")]
    if len(paths) < 2:
        raise CorpusmillError(
            "an ensemble needs snapshots of the training", where=str(folder / FOLDER), expected="two or more",
            got=len(paths), hint="set pretrain.snapshots: 2 or more and run `dvc repro`; or evaluate.ensemble: false",
        )  # fmt: skip
    return [_with_weights(model, path) for path in sorted(paths)]


def mean_of_probabilities(models: Sequence[nn.Module]) -> Forward:
    """A function to log-probabilities [B, T, V]: the logarithm of the mean of the models' probabilities."""

    def forward(tokens_BT: Tensor, segments_BT: Tensor | None) -> Tensor:
        summed_BTV: Tensor | None = None
        for model in models:  # one at a time, so that two such tensors are held and not one a model
            log_BTV = torch.log_softmax(model(tokens_BT, segments_BT).float(), dim=-1)
            summed_BTV = log_BTV if summed_BTV is None else torch.logaddexp(summed_BTV, log_BTV)
        assert summed_BTV is not None
        return summed_BTV - math.log(len(models))

    return forward


def model_of_mean_weights(models: Sequence[nn.Module]) -> nn.Module:
    """One model whose every number is the mean of the models'; summed in float64."""
    result = copy.deepcopy(models[0])
    states = [model.state_dict() for model in models]
    mean = {name: torch.stack([state[name].double() for state in states]).mean(0) for name in states[0]}
    result.load_state_dict(mean)
    return result.eval()


def _with_weights(model: nn.Module, path: Path) -> nn.Module:
    """A copy of the model with the weights of a file, in which a tensor that repeats another may be left out."""
    result = copy.deepcopy(model)
    own = result.state_dict()
    places = {name: tensor.data_ptr() for name, tensor in own.items()}
    try:
        weights = safetensors.torch.load_file(path)
        given = {places[name] for name in weights if name in places}
        lacking = [name for name, place in places.items() if name not in weights and place not in given]
        unknown = [name for name in weights if name not in own]
        if lacking or unknown:
            raise ValueError(f"lacking {lacking[:3]}, unknown {unknown[:3]}")
        result.load_state_dict(weights, strict=False)
    except (safetensors.SafetensorError, ValueError, RuntimeError, OSError) as error:
        raise CorpusmillError(
            f"the snapshot does not fit the model: {' '.join(str(error).split())[:300]}", where=str(path),
            hint="run `dvc checkout`, or `dvc repro pretrain`",
        ) from None  # fmt: skip
    return result.eval()
