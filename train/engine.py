"""DeepSpeed's engine around the model: one step over a global batch, saving, loading, taking the weights out."""

import dataclasses
import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.spine.errors import CorpusmillError
from train.checkpoint import explained_save
from train.data import TokenRows
from train.optimizer import build_optimizer, set_learning_rate
from train.recipe import PretrainParams, deepspeed_config
from train.scoring import cut_batches, sum_nll, to_tensors
from train.world import World, sum_over

_TAG = "engine"


@dataclasses.dataclass(frozen=True)
class StepResult:
    """One line of the curve: nats a target over the global batch, the matrices' learning rate, and the 2-norm of
    all gradients before clipping."""

    loss: float
    learning_rate: float
    gradient_norm: float


def start_engine(model: nn.Module, params: PretrainParams, world: World) -> Any:
    """DeepSpeed's engine; it moves the model to the device and to the precision."""
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")  # of DeepSpeed's own calls
    import deepspeed  # only now: it picks its accelerator on import

    deepspeed.utils.logger.setLevel(logging.ERROR)
    # No op of its own, so that nothing is compiled on first use: its shared-memory collectives take a minute, and a
    # killed build leaves a lock that the next run waits for.
    deepspeed.ops.__compatible_ops__ = {}
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=build_optimizer(model, params),
        config=deepspeed_config(params, world.size, num_parameters),
    )
    return engine


def train_step(
    engine: Any, rows: TokenRows, indices: Sequence[int], step: int, params: PretrainParams, world: World
) -> StepResult:
    """One update from the rows ``indices`` of the global batch, of which this process computes its share.

    The loss is divided by the valid targets of the whole batch, known from the shards before anything is computed.
    A mean of the processes' means would weight a padded row's tokens more.
    """
    valid = max(sum(rows.row(index).num_trained for index in indices), 1)
    learning_rate = set_learning_rate(engine.optimizer.param_groups, params.learning_rate_factor(step))
    share = len(indices) // world.size
    mine = indices[world.rank * share : (world.rank + 1) * share]
    total, norm = 0.0, 0.0
    for batch in cut_batches(mine, params.rows_per_micro_batch):
        tokens, segments, targets = to_tensors(rows.training_batch(batch), world.device, params.within_documents)
        nll = sum_nll(engine(tokens, segments), targets)
        # DeepSpeed averages gradients over the processes; times their number, it sums them.
        engine.backward(nll * (world.size / valid), scale_wrt_gas=False)
        total += float(nll.detach())
        if engine.is_gradient_accumulation_boundary() and params.zero_stage == 0:
            norm = gradient_norm(engine.module)
        engine.step()
    if params.zero_stage > 0:
        norm = float(engine.get_global_grad_norm() or 0.0)
    loss = sum_over(world, total)[0] / valid
    if not math.isfinite(loss):
        raise CorpusmillError(
            "the loss is no number any more", where=f"pretrain, step {step}", got=loss,
            hint=f"lower pretrain.learning_rate, or look at rows {list(indices[:8])} of {rows.where}",
        )  # fmt: skip
    return StepResult(loss, learning_rate, norm)


def gradient_norm(module: nn.Module) -> float:
    """2-norm over all gradients."""
    norms = [torch.linalg.vector_norm(p.grad, dtype=torch.float64) for p in module.parameters() if p.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack(norms)))


def save_engine(engine: Any, folder: Path, state: dict[str, Any]) -> None:
    """Writes weights, optimizer and ``state`` below the folder; every process takes part."""
    explained_save(lambda: engine.save_checkpoint(str(folder), tag=_TAG, client_state=state, save_latest=False), folder)


def load_engine(engine: Any, folder: Path) -> dict[str, Any]:
    """Brings back what ``save_engine`` wrote; returns its ``state``.

    Raises:
        CorpusmillError: the checkpoint is damaged or of another shape.
    """
    try:
        path, state = engine.load_checkpoint(str(folder), tag=_TAG)
    except Exception as error:  # torch, pickle, zip and DeepSpeed each raise their own
        raise _damaged(folder, error) from error
    if path is None:
        raise _damaged(folder, "nothing was loaded")
    return dict(state)


def full_weights(engine: Any) -> dict[str, Tensor]:
    """The model's tensors, fp32 on the CPU, whole under every ZeRO stage; every process takes part."""
    import deepspeed

    parameters = list(engine.module.parameters())
    with deepspeed.zero.GatheredParameters(parameters, enabled=engine.zero_optimization_stage() == 3):
        return {n: t.detach().float().cpu().clone() for n, t in engine.module.state_dict().items()}


def _damaged(folder: Path, error: object) -> CorpusmillError:
    return CorpusmillError(
        f"the checkpoint cannot be read: {' '.join(str(error).split())[:300]}", where=str(folder),
        hint=f"delete {folder.parent} to train from the start",
    )  # fmt: skip
