"""DeepSpeed's engine around the model: one step over a global batch, scores, saving, loading, the weights.

Layouts (docs/training.md has the table): ZeRO 0 to 3, tensor parallel, pipeline parallel, and what goes together.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.data import StepRows, TokenRows
from train.determinism import seed_dropout
from train.layout import Layout
from train.optimizer import set_learning_rate
from train.partitions import Partitions, find_slices, show_to_model
from train.pipeline import Scores, counted, micro_batches, smoothed_nll
from train.recipe import PretrainParams
from train.scoring import batch_scores, cut_batches, num_right, sum_nll, to_tensors
from train.start import start, tensor_group
from train.training_state import TrainingState, digest
from train.world import World, sum_over

#: Asked with the loss of the global batch before its update: may the weights be changed by it?
Judge = Callable[[float], bool]
#: What ``weights`` can give, and the name of its tensors in a checkpoint.
KINDS = {"last": "weight", "ema": "ema"}


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What one step gave.

    Attributes:
        loss: nats a target over the global batch, without label smoothing.
        accuracy: share of the targets that had the highest logit.
        learning_rate: the matrices'.
        gradient_norm: 2-norm of all gradients before clipping.
        applied: False where the update was left out, or fp16 overflowed.
        asked: whether any process said so.
        layer_norms: parameter name -> 2-norm of its gradient, where asked for; in the leading process.
    """

    loss: float
    accuracy: float
    learning_rate: float
    gradient_norm: float
    applied: bool
    asked: bool = False
    layer_norms: dict[str, float] | None = None


class Engine:
    """The model under DeepSpeed, in one of the processes that train together; every process makes the same calls.

    Args:
        model: whole, and initialised alike in every process.
        params: the recipe.
        world: this process.
        made_for: digests of the shards and the tokenizer by name; a checkpoint that was made for others is refused.
    """

    def __init__(
        self, model: nn.Module, params: PretrainParams, world: World, made_for: Mapping[str, str] | None = None
    ) -> None:
        self.params, self.world = params, world
        self.layout = Layout.of(params.engine, world)
        self._made_for = {**(made_for or {}), "model": digest(dataclasses.asdict(params.model))}
        self._scores = Scores(params.label_smoothing)
        shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        #: state_dict's names, tied ones included, by the parameter's.
        self._keys = {key: names[id(tensor)] for key, tensor in model.state_dict(keep_vars=True).items()}
        self._deepspeed, self._optimizer = start(model, params, world, self._scores)
        engine = self._deepspeed
        if params.engine.pipeline_stages == 1:  # tensor parallelism may have put other tensors there
            names = {id(parameter): name for name, parameter in engine.module.named_parameters()}
        tensor_parallel = params.engine.tensor_parallel
        partitions = Partitions(
            find_slices(engine, names, shapes, tensor_parallel),
            world.device,
            engine.optimizer.dp_process_group if params.engine.zero_stage and self.layout.data_size > 1 else None,
            tensor_group() if tensor_parallel > 1 else None,
        )
        self._optimizer.partitions = partitions
        writer = (self.layout.data_rank * tensor_parallel + self.layout.tensor_rank,
                  self.layout.data_size * tensor_parallel)  # fmt: skip
        # Tied embeddings lie in the first stage and in the last one.
        elsewhere = frozenset({"model.embed_tokens.weight"} if self.layout.stage else ())
        scaler = getattr(engine.optimizer, "loss_scaler", None) if params.precision == "fp16" else None
        self._state = TrainingState(partitions, self._optimizer, scaler, writer, elsewhere)

    def step(
        self,
        rows: StepRows,
        step: int,
        judge: Judge,
        monitor: bool = False,
        leave_out: bool = False,
        asked: bool = False,
    ) -> StepResult:
        """One update from a global batch, of which this process computes its share.

        The loss is divided by the valid targets of the whole batch, known from the shards before anything is
        computed. A mean of the processes' means would weight a padded row's tokens more.

        Args:
            rows: the batch.
            step: 1 is the first; decides the learning rate.
            judge: asked before the update; under pipeline parallelism after it, since DeepSpeed does both at once.
            monitor: return ``layer_norms``.
            leave_out: compute and report, and change nothing.
            asked: whether this process is asked to stop. It travels with the loss, so that to agree costs no collective.
        """
        learning_rate = set_learning_rate(self._optimizer.param_groups, self.params.learning_rate_factor(step))
        if self.params.model.dropout:
            # Drawn anew each step, so that a run that goes on drops what it would have dropped.
            seed_dropout(self.params.seed, step, self.layout.data_rank, self.layout.stage)
        self._optimizer.monitor, self._optimizer.squares = monitor, {}
        self._optimizer.skip = leave_out
        run = self._step_pipeline if self.params.engine.pipeline_stages > 1 else self._step
        try:
            loss, accuracy, norm, applied, any_asked = run(rows, judge, asked)
        finally:
            self._optimizer.skip = False
        layer_norms = self._layer_norms(norm) if monitor else None
        return StepResult(loss, accuracy, learning_rate, norm, applied, any_asked, layer_norms)

    def _step(self, rows: StepRows, judge: Judge, asked: bool) -> tuple[float, float, float, bool, bool]:
        engine, params, world = self._deepspeed, self.params, self.world
        valid = max(rows.num_targets, 1)
        batches = cut_batches(self.layout.rows(rows.num_rows), params.engine.rows_per_micro_batch)
        sums, norm, applied, loss = torch.zeros(2, dtype=torch.float64, device=world.device), 0.0, True, 0.0
        for number, places in enumerate(batches, start=1):
            tokens, segments, targets = to_tensors(rows.batch(places), world.device, params.within_documents)
            logits = engine(tokens, segments)
            nll = sum_nll(logits, targets)
            smoothing = params.label_smoothing
            aim = smoothed_nll(logits, targets, smoothing) if smoothing else nll
            # DeepSpeed averages gradients over the processes; times their number, it sums them.
            engine.backward(aim * (self.layout.data_size / valid), scale_wrt_gas=False)
            sums += torch.stack((nll.detach(), num_right(logits, targets)))
            if number == len(batches):
                nll_sum, num_right_sum, num_asked = sum_over(world, *self._own(sums.tolist()), float(asked))
                loss, right = nll_sum / valid, num_right_sum / valid
                applied = judge(loss) and not self._optimizer.skip
                self._optimizer.skip = not applied
                norm = self._clipped() if params.engine.zero_stage == 0 else 0.0
            engine.step()
        if params.engine.zero_stage > 0:
            norm = float(engine.get_global_grad_norm() or 0.0)
        return loss, right, norm, applied and engine.was_step_applied(), num_asked > 0

    def _step_pipeline(self, rows: StepRows, judge: Judge, asked: bool) -> tuple[float, float, float, bool, bool]:
        engine, valid = self._deepspeed, max(rows.num_targets, 1)
        batches = cut_batches(self.layout.rows(rows.num_rows), self.params.engine.rows_per_micro_batch)
        # DeepSpeed averages over micro batches and processes; times their numbers, it sums.
        self._scores.factor = self.layout.data_size * len(batches) / valid
        self._scores.parts.clear()
        engine.train_batch(micro_batches((rows.batch(places) for places in batches), self.world.device))
        nll, _, right, num_asked = sum_over(self.world, *self._own(counted(self._scores.parts)), float(asked))
        applied = not self._optimizer.skip and engine.was_step_applied()
        judge(nll / valid)
        norm = float(engine.get_global_grad_norm() or 0.0)
        return nll / valid, right / valid, norm, applied, num_asked > 0

    def _own(self, numbers: Iterable[float]) -> list[float]:
        """The numbers, to be summed over all processes; zeros where this one repeats another's, or saw no logits."""
        counts = self.layout.tensor_rank == 0
        return [number if counts else 0.0 for number in numbers]

    def _clipped(self) -> float:
        """The norm of the gradients, which are clipped by it: DeepSpeed's own, in fp32, would be a second one."""
        norm, most = self._plain_norm(), self.params.gradient_clipping
        grads = [p.grad for p in self._deepspeed.module.parameters() if p.grad is not None]
        if most and norm > most:
            for grad in grads:
                grad.mul_(most / (norm + 1e-6))  # as torch.nn.utils.clip_grad_norm_ does
        return norm

    def _plain_norm(self) -> float:
        if self.params.engine.tensor_parallel == 1:
            return gradient_norm(self._deepspeed.module)
        partitions = self._state.partitions
        norms = partitions.norms(
            {
                p.name: p.parameter.grad.double().square().sum()
                for p in partitions.slices
                if p.parameter.grad is not None
            }
        )
        return sum(norm * norm for norm in norms.values()) ** 0.5

    def _layer_norms(self, norm: float) -> dict[str, float] | None:
        """The optimizer saw clipped gradients; the factor is the one that DeepSpeed and torch clip by."""
        clipping = self.params.gradient_clipping
        factor = max(1.0, (norm + 1e-6) / clipping) if clipping else 1.0
        norms = {name: value * factor for name, value in self._state.partitions.norms(self._optimizer.squares).items()}
        return self._from_stages(norms)

    def _from_stages(self, found: dict[str, Any]) -> dict[str, Any]:
        """What the stages of a pipeline have, together in the leading process."""
        if self.params.engine.pipeline_stages == 1:
            return found
        mine = found if self.layout.data_rank == 0 else {}
        parts: list[Any] = [None] * self.world.size
        dist.gather_object(mine, parts if self.world.leads else None)
        return {name: value for part in parts if part for name, value in part.items()} if self.world.leads else found

    def scores(self, rows: TokenRows, indices: Sequence[int]) -> tuple[float, int, int]:
        """(nll, scored tokens, those that had the highest logit) of some rows; the processes share the work."""
        batches = cut_batches(indices, self.params.engine.rows_per_micro_batch)
        size = self.layout.data_size
        mine = batches[self.layout.data_rank :: size]
        # Under ZeRO 3 every process must go forward equally often; what is computed once more is not counted.
        todo = [*mine, *batches[: len(batches[::size]) - len(mine)]]
        self._deepspeed.eval()
        if self.params.engine.pipeline_stages > 1:
            parts = self._piped_scores(rows, todo)
        else:
            within = self.params.within_documents
            parts = list(batch_scores(self._deepspeed, rows, todo, self.world.device, within))
        self._deepspeed.train()
        nll, tokens, right = sum_over(self.world, *self._own(counted(parts[: len(mine)])))
        return nll, int(tokens), int(right)

    def _piped_scores(self, rows: TokenRows, todo: Sequence[Sequence[int]]) -> list[tuple[float, int, int]]:
        self._scores.parts.clear()
        batches = micro_batches((rows.scoring_batch(indices) for indices in todo), self.world.device)
        self._deepspeed.eval_batch(batches, reduce_output=None, bcast_loss=False, num_micro_batches=len(todo))
        return list(self._scores.parts)

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Writes weights, optimizer and ``state`` (plain values) into the folder.

        Raises:
            CorpusmillError: the disk is full, or refuses.
        """
        self._state.write(folder, self.world, {"made_for": self._made_for, "state": state})

    def load(self, folder: Path) -> dict[str, Any]:
        """Brings back what ``save`` wrote, under this or another layout; returns its ``state``.

        Raises:
            CorpusmillError: the checkpoint is damaged or was made for something else.
        """
        index = self._state.read(folder, self.world, self._made_for)
        show_to_model(self._deepspeed)
        return dict(index["state"])

    def weights(self, kind: str = "last") -> dict[str, Tensor]:
        """The model's tensors, or their running averages: fp32 on the CPU, whole, in the leading process."""
        found = {}
        for name, whole in self._state.wholes(KINDS[kind]):
            if self.world.leads or self.layout.stage:
                found[name] = whole.detach().float().cpu().clone()
        found = self._from_stages(found)
        return {key: found[name] for key, name in self._keys.items() if name in found}

    def logits(self, tokens_BT: Tensor) -> Tensor | None:
        """Logits [B, T, V] of tokens that all processes give alike: for samples of text. None in a pipeline."""
        if self.params.engine.pipeline_stages > 1:
            return None
        self._deepspeed.eval()
        # Not compiled: each length of a text that grows would be compiled again, 3 seconds each.
        forward = self._deepspeed.module.forward if self.params.engine.compile else self._deepspeed
        with torch.no_grad():
            logits_BTV: Tensor = forward(tokens_BT.to(self.world.device), None)
        self._deepspeed.train()
        return logits_BTV


def gradient_norm(module: nn.Module) -> float:
    """2-norm over all gradients.

    Row by row in fp32, then in fp64: torch's fp32 norm of one matrix of 12.6 M numbers is 4e-4 off on a CPU, and its
    fp64 norm takes 24 times as long.
    """
    grads = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    norms = [torch.linalg.vector_norm(torch.linalg.vector_norm(g, dim=-1), dtype=torch.float64) for g in grads]
    return float(torch.linalg.vector_norm(torch.stack(norms)))
