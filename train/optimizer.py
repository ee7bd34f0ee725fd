"""The optimizer: AdamW, or Muon for matrices with AdamW for the rest. One object, so that DeepSpeed drives it.

What is decayed: matrices. What is not: norms and embeddings (a rare token's row would decay without being trained).
Under ZeRO the tensors it moves are flat shares of many parameters; all it does but Muon is elementwise.
"""

import math
from collections.abc import Container, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from train.partitions import Partitions, Slice
from train.recipe import PretrainParams

#: Quintic of the Newton-Schulz iteration, tuned for speed at zero, not for convergence to exactly 1. Source:
#: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", kellerjordan.github.io/posts/muon.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


def parameter_groups(model: nn.Module, params: PretrainParams) -> list[dict[str, Any]]:
    """Matrices and the rest, in the order of the model's parameters; ``base_lr`` is what the schedule scales."""
    matrices: dict[str, nn.Parameter] = {}
    rest: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        hidden = parameter.dim() == 2 and not name.startswith(("model.embed_tokens", "lm_head"))
        (matrices if hidden else rest)[name] = parameter
    shared = {"betas": (params.beta1, params.beta2), "eps": 1e-8}
    return [
        {"params": list(matrices.values()), "names": frozenset(matrices), "lr": 0.0, "base_lr": params.learning_rate,
         "weight_decay": params.weight_decay, "l1": params.l1, "use_muon": params.optimizer == "muon", **shared},
        {"params": list(rest.values()), "names": frozenset(rest), "lr": 0.0, "weight_decay": 0.0, "l1": 0.0,
         "base_lr": params.embedding_learning_rate, "use_muon": False, **shared},
    ]  # fmt: skip


def build_optimizer(model: nn.Module, params: PretrainParams, held: Container[int] | None = None) -> "MuonWithAdamW":
    """The optimizer that the parameters name; its learning rates are set before each step.

    Args:
        model: the whole model.
        params: the recipe.
        held: ids of the parameters that this process's pipeline stage holds; None: all.
    """
    groups = parameter_groups(model, params)
    if held is not None:
        for group in groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) in held]
    return MuonWithAdamW([group for group in groups if group["params"]], params.ema_decay)


def set_learning_rate(groups: Iterable[dict[str, Any]], factor: float) -> float:
    """Scales every group's base rate; returns the matrices' rate, the one that is logged."""
    groups = list(groups)
    for group in groups:
        group["lr"] = group["base_lr"] * factor
    return float(groups[0]["lr"])


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon on the groups with ``use_muon``, AdamW on the others.

    A matrix [R, C] moves by lr x sqrt(max(1, R / C)) x the orthogonalised momentum; beta1 is Nesterov's momentum.
    Matrices of one shape are orthogonalised in one batch: 28 small products one by one took twice as long.

    Attributes:
        skip: while true, ``step`` changes nothing: an update that is left out, whatever drives the optimizer.
        partitions: where the parameters lie once DeepSpeed has taken them; None before, and in tests.
        monitor: while true, ``step`` leaves each parameter's sum of squared gradients (as they come: clipped) in
            ``squares``.
    """

    def __init__(self, groups: list[dict[str, Any]], ema_decay: float = 0.0) -> None:
        super().__init__(groups, {})
        self.ema_decay = ema_decay
        self.skip, self.monitor = False, False
        self.partitions: Partitions | None = None
        self.squares: dict[str, Tensor] = {}

    def kinds_of(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the tensors that the parameters of a group have here."""
        moments = ("momentum",) if group["use_muon"] else ("mean", "square")
        return (*moments, "ema") if self.ema_decay else moments

    def prepare(self, tensor: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """The state of a tensor before its first step, made where there is none."""
        state: dict[str, Any] = self.state[tensor]
        if not state:
            state["step"] = 0
            for kind in self.kinds_of(group):
                # The average begins at the initial weights.
                state[kind] = (
                    tensor.detach().clone() if kind == "ema" else torch.zeros_like(tensor, requires_grad=False)
                )
        return state

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update from the parameters' gradients; ``closure`` is part of torch's signature and not used."""
        for group in self.param_groups:
            trained = [parameter for parameter in group["params"] if parameter.grad is not None]
            if self.monitor and self.partitions is not None:
                self._note_squares(trained)
            if self.skip or not trained:  # ZeRO 3 moves one group at a time, and shows the others empty
                continue
            for tensor in trained:
                self.prepare(tensor, group)["step"] += 1
            if group["use_muon"]:
                self._step_muon(trained, group)
            else:
                for tensor in trained:
                    self._step_adamw(tensor, group)
            for tensor in trained:
                if group["l1"]:
                    # Decoupled, like the decay: not through the moments, so that weights reach zero and stay there.
                    tensor.copy_(functional.softshrink(tensor, group["lr"] * group["l1"]))
                if self.ema_decay:
                    self.state[tensor]["ema"].lerp_(tensor, 1 - self.ema_decay)

    def _note_squares(self, tensors: list[Tensor]) -> None:
        assert self.partitions is not None
        for tensor in tensors:
            assert tensor.grad is not None
            for part in self.partitions.slices_of(tensor):
                self.squares[part.name] = part.of(tensor.grad).double().square().sum()

    def _step_muon(self, tensors: list[Tensor], group: dict[str, Any]) -> None:
        momentum = group["betas"][0]
        updates = []
        for tensor in tensors:
            state, grad = self.state[tensor], tensor.grad
            assert grad is not None
            state["momentum"].lerp_(grad, 1 - momentum)
            updates.append(grad.lerp(state["momentum"], momentum))
            tensor.mul_(1 - group["lr"] * group["weight_decay"])
        cut = self.partitions is not None and self.partitions.tensor_group is not None
        if not cut and all(tensor.dim() == 2 for tensor in tensors):
            moves = orthogonal_moves(updates)
            for tensor, move in zip(tensors, moves, strict=True):
                tensor.add_(move, alpha=-group["lr"])
        else:
            self._move_split(dict(zip(map(id, tensors), updates, strict=True)), group)

    def _move_split(self, updates: dict[int, Tensor], group: dict[str, Any]) -> None:
        """Muon where the matrices lie in pieces: all come together, each process does its share, and shares it.

        Holds the group's matrices once whole, fp32.
        """
        partitions = self.partitions
        assert partitions is not None
        parts = [part for part in partitions.slices if part.name in group["names"]]
        wholes = [partitions.whole(part, _found(updates, part)) for part in parts]
        if partitions.data_group is None:
            moves = orthogonal_moves(wholes)
        else:
            rank, size = dist.get_rank(partitions.data_group), dist.get_world_size(partitions.data_group)
            # By turns within each shape, so that every process has about as much to do.
            turn = sorted(range(len(wholes)), key=lambda index: (tuple(wholes[index].shape), index))
            mine = turn[rank::size]
            for index, move in zip(mine, orthogonal_moves([wholes[index] for index in mine]), strict=True):
                wholes[index] = move.contiguous()  # a tall one lies transposed, and numbers are sent as they lie
            for index in set(range(len(wholes))) - set(mine):
                wholes[index] = torch.zeros_like(wholes[index])
            for whole in wholes:
                dist.all_reduce(whole, group=partitions.data_group)
            moves = wholes
        for part, move in zip(parts, moves, strict=True):
            if part.partition is not None and part.length:
                own = partitions.own(part, move).to(part.partition.device)
                part.of(part.partition.data).add_(own, alpha=-group["lr"])

    def _step_adamw(self, parameter: Tensor, group: dict[str, Any]) -> None:
        """Source: Loshchilov and Hutter 2019, arXiv 1711.05101; the order of operations is torch's."""
        state, grad = self.state[parameter], parameter.grad
        assert grad is not None
        beta1, beta2 = group["betas"]
        state["mean"].lerp_(grad, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        root = state["square"].sqrt() / math.sqrt(1 - beta2 ** state["step"])
        parameter.addcdiv_(state["mean"], root.add_(group["eps"]), value=-group["lr"] / (1 - beta1 ** state["step"]))


def orthogonal_moves(updates: list[Tensor]) -> list[Tensor]:
    """What Muon moves each matrix by at learning rate 1: orthogonalised, times the root of its sides."""
    by_shape: dict[tuple[int, int], list[int]] = {}
    # Tall ones lie down, so that gate, up and down projections share a batch and the square is the small one.
    lying = [update if update.shape[0] <= update.shape[1] else update.T for update in updates]
    for index, matrix in enumerate(lying):
        by_shape.setdefault((matrix.shape[0], matrix.shape[1]), []).append(index)
    moves: dict[int, Tensor] = {}
    for indices in by_shape.values():
        batch = orthogonalized(torch.stack([lying[index] for index in indices]))
        for index, matrix in zip(indices, batch, strict=True):
            rows, columns = updates[index].shape
            moves[index] = matrix.T * math.sqrt(rows / columns) if rows > columns else matrix
    return [moves[index] for index in range(len(updates))]


def _found(updates: dict[int, Tensor], part: Slice) -> Tensor | None:
    return None if part.partition is None else updates.get(id(part.partition))


def orthogonalized(matrices_NRC: Tensor) -> Tensor:
    """Each matrix with its singular values brought near 1 (0.7 to 1.2); R <= C. In the matrices' own precision."""
    a, b, c = NEWTON_SCHULZ
    x_NRC = matrices_NRC / (matrices_NRC.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square_NRR = x_NRC @ x_NRC.mT
        # x <- a x + (b A + c A A) x with A = x x^T; scaling inside the products is a fifth faster on a CPU.
        polynomial_NRR = torch.baddbmm(square_NRR, square_NRR, square_NRR, beta=b, alpha=c)
        x_NRC = torch.baddbmm(x_NRC, polynomial_NRR, x_NRC, beta=a)
    return x_NRC
