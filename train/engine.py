"""DeepSpeed's engine around the model: one step over a global batch, scores, saving, loading, the weights."""

import dataclasses
import logging
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.spine.errors import CorpusmillError
from train.checkpoint import explained_save
from train.data import StepRows, TokenRows
from train.optimizer import build_optimizer, set_learning_rate
from train.recipe import PretrainParams, deepspeed_config
from train.scoring import batch_scores, cut_batches, num_right, sum_nll, to_tensors
from train.world import World, sum_over

_TAG = "engine"


#: Asked with the loss of the global batch before its update: may the weights be changed by it?
Judge = Callable[[float], bool]


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What one step gave.

    Attributes:
        loss: nats a target over the global batch, without label smoothing.
        accuracy: share of the targets that had the highest logit.
        learning_rate: the matrices'.
        gradient_norm: 2-norm of all gradients before clipping.
        applied: False where the update was left out.
        layer_norms: parameter name -> 2-norm of its gradient, where asked for.
    """

    loss: float
    accuracy: float
    learning_rate: float
    gradient_norm: float
    applied: bool
    layer_norms: dict[str, float] | None = None


class Engine:
    """The model under DeepSpeed, in one of the processes that train together; every process makes the same calls."""

    def __init__(self, model: nn.Module, params: PretrainParams, world: World) -> None:
        self.params, self.world = params, world
        self._deepspeed = _start(model, params, world)

    def step(
        self, rows: StepRows, step: int, judge: Judge, monitor: bool = False, leave_out: bool = False
    ) -> StepResult:
        """One update from a global batch, of which this process computes its share.

        The loss is divided by the valid targets of the whole batch, known from the shards before anything is
        computed. A mean of the processes' means would weight a padded row's tokens more.

        Args:
            step: 1 is the first; decides the learning rate.
            judge: asked before the update.
            monitor: return ``layer_norms``.
            leave_out: compute and report, and change nothing.
        """
        engine, params, world = self._deepspeed, self.params, self.world
        valid = max(rows.num_targets, 1)
        learning_rate = set_learning_rate(engine.optimizer.param_groups, params.learning_rate_factor(step))
        share = rows.num_rows // world.size
        mine = range(world.rank * share, (world.rank + 1) * share)
        total, right = 0.0, 0
        for places in cut_batches(mine, params.engine.rows_per_micro_batch):
            tokens, segments, targets = to_tensors(rows.batch(places), world.device, params.within_documents)
            logits = engine(tokens, segments)
            nll = sum_nll(logits, targets)
            # DeepSpeed averages gradients over the processes; times their number, it sums them.
            engine.backward(nll * (world.size / valid), scale_wrt_gas=False)
            total += float(nll.detach())
            right += int(num_right(logits, targets))
            if not engine.is_gradient_accumulation_boundary():
                engine.step()
        nll_sum, right_sum = sum_over(world, total, right)
        norms = layer_norms(engine.module) if params.engine.zero_stage == 0 else {}
        if applied := judge(nll_sum / valid) and not leave_out:
            engine.step()
        else:
            engine.micro_steps += 1
            engine.zero_grad()
            engine.optimizer.zero_grad()
        norm = math.hypot(*norms.values()) if norms else float(engine.get_global_grad_norm() or 0.0)
        return StepResult(
            nll_sum / valid, right_sum / valid, learning_rate, norm, applied, norms if monitor and norms else None
        )

    def scores(self, rows: TokenRows, indices: Sequence[int]) -> tuple[float, int, int]:
        """(nll, scored tokens, those that had the highest logit) of some rows; the processes share the work."""
        batches = cut_batches(indices, self.params.engine.rows_per_micro_batch)
        mine = batches[self.world.rank :: self.world.size]
        # Under ZeRO 3 every process must go forward equally often; what is computed once more is not counted.
        extra = len(batches[:: self.world.size]) - len(mine)
        self._deepspeed.eval()
        todo = [*mine, *batches[:extra]]
        parts = list(batch_scores(self._deepspeed, rows, todo, self.world.device, self.params.within_documents))
        self._deepspeed.train()
        counted = parts[: len(mine)]
        nll, tokens, right = sum_over(self.world, *(sum(part[column] for part in counted) for column in range(3)))
        return nll, int(tokens), int(right)

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Writes weights, optimizer and ``state`` below the folder."""

        def save() -> None:
            self._deepspeed.save_checkpoint(str(folder), tag=_TAG, client_state=state, save_latest=False)

        explained_save(save, folder)

    def load(self, folder: Path) -> dict[str, Any]:
        """Brings back what ``save`` wrote; returns its ``state``.

        Raises:
            CorpusmillError: the checkpoint is damaged or of another shape.
        """
        try:
            path, state = self._deepspeed.load_checkpoint(str(folder), tag=_TAG)
        except Exception as error:  # torch, pickle, zip and DeepSpeed each raise their own
            raise _damaged(folder, error) from error
        if path is None:
            raise _damaged(folder, "nothing was loaded")
        return dict(state)

    def weights(self, kind: str = "last") -> dict[str, Tensor]:
        """The model's tensors, fp32 on the CPU, whole under every ZeRO stage."""
        import deepspeed

        if kind != "last":
            raise NotImplementedError(kind)

        module = self._deepspeed.module
        enabled = self._deepspeed.zero_optimization_stage() == 3
        with deepspeed.zero.GatheredParameters(list(module.parameters()), enabled=enabled):
            return {n: t.detach().float().cpu().clone() for n, t in module.state_dict().items()}

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of tokens that all processes give alike: for samples of text."""
        self._deepspeed.eval()
        with torch.no_grad():
            logits_BTV: Tensor = self._deepspeed(tokens_BT.to(self.world.device), None)
        self._deepspeed.train()
        return logits_BTV


def _start(model: nn.Module, params: PretrainParams, world: World) -> Any:
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


def layer_norms(module: nn.Module) -> dict[str, float]:
    """2-norm of each parameter's gradient."""
    return {
        name: float(torch.linalg.vector_norm(p.grad, dtype=torch.float64))
        for name, p in module.named_parameters()
        if p.grad is not None
    }


def _damaged(folder: Path, error: object) -> CorpusmillError:
    return CorpusmillError(
        f"the checkpoint cannot be read: {' '.join(str(error).split())[:300]}", where=str(folder),
        hint=f"delete {folder.parent} to train from the start",
    )  # fmt: skip
