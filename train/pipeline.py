"""Pipeline parallelism: the decoder's layers spread over stages, each with its share of the processes.

    tokens, segments -> embedding | layer | ... | layer -> norm -> head -> logits
                        stage 0 ..........................stage n - 1

Every process builds and initialises the whole model alike and keeps its stage, so the weights are those of one
process. Tied embeddings live in the first and the last stage; DeepSpeed sums their gradients.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.data import Batch
from train.model import Decoder, Layer, document_mask, rotary_tables
from train.scoring import num_right, sum_nll, to_tensors
from train.shape import ModelParams

#: The stream [B, T, D] (at first tokens [B, T]) and the segments [B, T], zeros where attention is across documents.
Passed = tuple[Tensor, Tensor]


class Embed(nn.Module):
    """Tokens in, stream out."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, passed: Passed) -> Passed:
        return self.embedding(passed[0]), passed[1]


class PipedLayer(nn.Module):
    """A layer that finds positions and mask by itself, so that they need not travel between stages."""

    def __init__(self, layer: Layer, params: ModelParams, within_documents: bool) -> None:
        super().__init__()
        self.layer, self.params, self.within_documents = layer, params, within_documents

    def forward(self, passed: Passed) -> Passed:
        x_BTD, segments_BT = passed
        positions_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
        cos, sin = rotary_tables(positions_T, self.params.head_width, self.params.rope_theta)
        mask = document_mask(segments_BT) if self.within_documents else None
        return self.layer(x_BTD, (cos.to(x_BTD.dtype), sin.to(x_BTD.dtype)), mask, None)[0], segments_BT


class Normed(nn.Module):
    """The last norm."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, passed: Passed) -> Passed:
        return self.norm(passed[0]), passed[1]


class Head(nn.Module):
    """Stream in, logits out, by a matrix of its own."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.head = head

    def forward(self, passed: Passed) -> Tensor:
        logits_BTV: Tensor = self.head(passed[0])
        return logits_BTV


def tied_head(embed: Embed, passed: Passed) -> Tensor:
    """Logits by the embeddings' matrix."""
    return functional.linear(passed[0], embed.embedding.weight)


class Scores:
    """The pipeline's loss function; counts what goes by, in the last stage alone.

    Attributes:
        factor: what the sum of a micro batch is multiplied with before DeepSpeed's own averages.
        parts: (nll, targets that count, those that had the highest logit) of each micro batch.
    """

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing
        self.factor = 1.0
        self.parts: list[tuple[float, int, int]] = []

    def __call__(self, logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
        nll = sum_nll(logits_BTV, targets_BT)
        tokens = int((targets_BT >= 0).sum())
        self.parts.append((float(nll.detach()), tokens, int(num_right(logits_BTV, targets_BT))))
        if self.label_smoothing and torch.is_grad_enabled():
            nll = smoothed_nll(logits_BTV, targets_BT, self.label_smoothing)
        return nll * self.factor


def smoothed_nll(logits_BTV: Tensor, targets_BT: Tensor, label_smoothing: float) -> Tensor:
    """The sum that training lowers where targets are smoothed: Szegedy et al. 2016, arXiv 1512.00567, section 7."""
    return functional.cross_entropy(
        logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction="sum", label_smoothing=label_smoothing
    )


def build_pipeline(model: Decoder, stages: int, within_documents: bool, scores: Scores) -> Any:
    """DeepSpeed's pipeline of a whole model: this process keeps its stage's layers."""
    from deepspeed.pipe import PipelineModule, TiedLayerSpec

    tied = model.params.tie_embeddings
    embedding = model.model.embed_tokens
    layers: list[Any] = [
        TiedLayerSpec("embedding", Embed, embedding, tied_weight_attr=["embedding.weight"])
        if tied
        else Embed(embedding)
    ]
    layers += [
        PipedLayer(layer, model.params, within_documents)  # type: ignore[arg-type]
        for layer in model.model.layers
    ]
    layers.append(Normed(model.model.norm))
    layers.append(
        TiedLayerSpec("embedding", Embed, embedding, forward_fn=tied_head, tied_weight_attr=["embedding.weight"])
        if tied
        else Head(model.lm_head)
    )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its plan
        return PipelineModule(
            # Equal numbers of layers: a stage of norm and head alone would have no matrices, and DeepSpeed reduces
            # one norm a group of parameters over all stages.
            layers, num_stages=stages, loss_fn=scores, partition_method="type:PipedLayer", dynamic_shape=True,
            activation_checkpoint_interval=0,
        )  # fmt: skip


def micro_batches(batches: Iterable[Batch], device: torch.device) -> Iterator[tuple[Passed, Tensor]]:
    """What DeepSpeed's schedule takes: ((tokens, segments), targets)."""
    for batch in batches:
        tokens, segments, targets = to_tensors(batch, device, within_documents=True)
        assert segments is not None
        yield (tokens, segments), targets


def counted(parts: Sequence[tuple[float, int, int]]) -> tuple[float, int, int]:
    """The sums of some micro batches."""
    return sum(part[0] for part in parts), sum(part[1] for part in parts), sum(part[2] for part in parts)
