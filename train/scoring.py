"""The loss of a split: the sum of negative log-likelihoods over its text tokens, and the numbers read from it."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from train.data import IGNORED, Batch

#: Tokens and segments [B, T] to logits [B, T, V].
Forward = Callable[[Tensor, Tensor | None], Tensor]


class Scorable(Protocol):
    """Rows of a split, or of an evaluation set."""

    def scoring_batch(self, indices: Sequence[int]) -> Batch:
        """The rows of those numbers with text tokens alone as targets."""
        ...


@dataclasses.dataclass(frozen=True)
class Score:
    """Sums over text tokens: ``nll`` in nats, the tokens that were scored, the UTF-8 bytes that they spell, and how
    many of them had the highest probability (None: not counted)."""

    nll: float
    tokens: int
    bytes: float
    right: int | None = None

    @property
    def loss(self) -> float:
        """Nats a token."""
        return self.nll / self.tokens

    @property
    def perplexity(self) -> float:
        return math.exp(self.loss)

    @property
    def bits_per_byte(self) -> float:
        return self.nll / math.log(2) / self.bytes

    @property
    def accuracy(self) -> float | None:
        """Share of the tokens that had the highest probability."""
        return None if self.right is None else self.right / self.tokens

    def __add__(self, other: "Score") -> "Score":
        right = None if self.right is None or other.right is None else self.right + other.right
        return Score(self.nll + other.nll, self.tokens + other.tokens, self.bytes + other.bytes, right)

    def to_dict(self) -> dict[str, float]:
        """What ``metrics.json`` holds; six digits, so that it reads well."""
        return {
            "loss": round(self.loss, 6),
            "perplexity": round(self.perplexity, 4),
            "bits_per_byte": round(self.bits_per_byte, 6),
            "tokens": self.tokens,
            **({} if self.accuracy is None else {"accuracy": round(self.accuracy, 6)}),
        }


def sum_nll(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """The summed loss in nats, fp32 scalar, over the targets that are not ``IGNORED``."""
    return functional.cross_entropy(
        logits_BTV.float().flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def num_right(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """How many targets that count have the highest logit, int64 scalar."""
    return is_right(logits_BTV, targets_BT).sum()


def is_right(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Which targets that count have the highest logit, bool [B, T]; of equal logits each is the highest.

    By the largest value and not by its place: 0.03 instead of 0.12 s of one core for 2,048 x 32,768 logits.
    """
    logits_BTV = logits_BTV.detach()
    logits_BT = logits_BTV.gather(-1, targets_BT.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (logits_BT == logits_BTV.amax(-1)) & (targets_BT != IGNORED)


def to_tensors(batch: Batch, device: torch.device, within_documents: bool) -> tuple[Tensor, Tensor | None, Tensor]:
    """Tokens, segments (None where attention goes across documents) and targets on the device."""
    tokens, segments, targets = (
        torch.from_numpy(array.copy()).to(device) for array in (batch.tokens, batch.segments, batch.targets)
    )
    return tokens, segments if within_documents else None, targets


@torch.no_grad()
def batch_scores(
    forward: Forward,
    rows: Scorable,
    batches: Sequence[Sequence[int]],
    device: torch.device,
    within_documents: bool,
) -> Iterator[tuple[float, int, int]]:
    """(nll, scored tokens, those that had the highest logit) of each batch of row numbers, in order."""
    for indices in batches:
        tokens, segments, targets = to_tensors(rows.scoring_batch(indices), device, within_documents)
        logits = forward(tokens, segments)
        yield float(sum_nll(logits, targets)), int((targets != IGNORED).sum()), int(num_right(logits, targets))


def cut_batches(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    """The numbers in runs of ``size``, the last one shorter."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]
