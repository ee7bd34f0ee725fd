"""The optimizers: AdamW, or Muon for matrices with AdamW for the rest. One object, so that DeepSpeed drives it.

What is decayed: matrices. What is not: norms and embeddings (a rare token's row would decay without being trained).
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from train.recipe import PretrainParams

#: Quintic of the Newton-Schulz iteration, tuned for speed at zero, not for convergence to exactly 1. Source:
#: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", kellerjordan.github.io/posts/muon.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


def parameter_groups(model: nn.Module, params: PretrainParams) -> list[dict[str, Any]]:
    """Matrices and the rest, in the order of the model's parameters; ``base_lr`` is what the schedule scales."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        hidden = parameter.dim() == 2 and not name.startswith(("model.embed_tokens", "lm_head"))
        (matrices if hidden else rest).append(parameter)
    shared = {"betas": (params.beta1, params.beta2), "eps": 1e-8}
    return [
        {"params": matrices, "lr": 0.0, "base_lr": params.learning_rate, "weight_decay": params.weight_decay,
         "use_muon": params.optimizer == "muon", **shared},
        {"params": rest, "lr": 0.0, "base_lr": params.embedding_learning_rate, "weight_decay": 0.0,
         "use_muon": False, **shared},
    ]  # fmt: skip


def build_optimizer(model: nn.Module, params: PretrainParams) -> torch.optim.Optimizer:
    """The optimizer that the parameters name; its learning rates are set before each step."""
    groups = parameter_groups(model, params)
    if params.optimizer == "muon":
        return MuonWithAdamW(groups)
    return torch.optim.AdamW(groups, foreach=False)


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
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update from the parameters' gradients; ``closure`` is part of torch's signature and not used."""
        for group in self.param_groups:
            trained = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["use_muon"]:
                self._step_muon(trained, group)
            else:
                for parameter in trained:
                    self._step_adamw(parameter, group)

    def _step_muon(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
        momentum = group["betas"][0]
        for matrix in matrices:
            state = self.state[matrix]
            if not state:
                state["momentum"] = torch.zeros_like(matrix)
            grad = matrix.grad
            assert grad is not None
            state["momentum"].lerp_(grad, 1 - momentum)
            update = grad.lerp(state["momentum"], momentum)
            # Tall ones lie down, so that gate, up and down projections share a batch and the square is the small one.
            lying = update if update.shape[0] <= update.shape[1] else update.T
            by_shape.setdefault((lying.shape[0], lying.shape[1]), []).append((matrix, lying))
        for entries in by_shape.values():
            batch = orthogonalized(torch.stack([lying for _, lying in entries]))
            for (matrix, _), lying in zip(entries, batch, strict=True):
                tall = matrix.shape[0] > matrix.shape[1]
                scale = math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(lying.T if tall else lying, alpha=-group["lr"] * scale)

    def _step_adamw(self, parameter: Tensor, group: dict[str, Any]) -> None:
        """Source: Loshchilov and Hutter 2019, arXiv 1711.05101; the order of operations is torch's."""
        state, grad = self.state[parameter], parameter.grad
        assert grad is not None
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["mean"].lerp_(grad, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        root = state["square"].sqrt() / math.sqrt(1 - beta2 ** state["step"])
        parameter.addcdiv_(state["mean"], root.add_(group["eps"]), value=-group["lr"] / (1 - beta1 ** state["step"]))


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
