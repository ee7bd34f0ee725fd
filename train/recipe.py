"""How to train, as plain values and pure functions: parameters, learning rate, DeepSpeed's dictionary. No torch.

params.yaml: pretrain  ->  PretrainParams  ->  learning_rate_factor(step), deepspeed_config(world_size)
"""

import dataclasses
import math
from typing import Any

from pipelines.spine.errors import CorpusmillError
from train.order import check_weights
from train.shape import ModelParams

WHERE = "params.yaml: pretrain"
CHOICES = {
    "attention": ("document", "row"),
    "precision": ("fp32", "bf16"),
    "optimizer": ("adamw", "muon"),
    "schedule": ("constant", "linear", "cosine"),
}


@dataclasses.dataclass(frozen=True)
class PretrainParams:
    """``params.yaml: pretrain``; each key is explained there."""

    seed: int
    source_weights: dict[str, float]
    num_threads: int
    steps: int
    rows_per_step: int
    rows_per_micro_batch: int
    attention: str
    precision: str
    zero_stage: int
    optimizer: str
    learning_rate: float
    embedding_learning_rate: float
    beta1: float
    beta2: float
    weight_decay: float
    gradient_clipping: float
    schedule: str
    warmup_steps: int
    evaluate_every: int
    val_rows: int
    checkpoint_every: int
    model: ModelParams

    @property
    def within_documents(self) -> bool:
        """Whether attention stops at document borders."""
        return self.attention == "document"

    def check(self) -> None:
        """Refuses values that cannot train, before anything is loaded.

        Raises:
            CorpusmillError: a value out of its range or choice, or two that exclude each other; with what to change.
        """
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise CorpusmillError(
                    f"{name} is no such choice", where=WHERE, expected=" | ".join(choices), got=getattr(self, name)
                )
        least = {"seed": 0, "val_rows": 0, "warmup_steps": 0}
        for name in (
            "seed", "num_threads", "steps", "rows_per_step", "rows_per_micro_batch", "warmup_steps", "evaluate_every",
            "val_rows", "checkpoint_every",
        ):  # fmt: skip
            if getattr(self, name) < least.get(name, 1):
                raise CorpusmillError(
                    f"{name} is too small", where=WHERE, expected=f">= {least.get(name, 1)}", got=getattr(self, name)
                )
        if not 0 <= self.zero_stage <= 3:
            raise CorpusmillError("no such ZeRO stage", where=WHERE, expected="0 to 3", got=self.zero_stage)
        check_weights(self.source_weights)
        self._check_together()
        self.model.check(f"{WHERE}.model")

    def _check_together(self) -> None:
        # DeepSpeed's bf16 optimizer without ZeRO steps once on zero gradients at start: Adam's count is off by one.
        if self.precision == "bf16" and self.zero_stage == 0:
            raise CorpusmillError("bf16 needs ZeRO", where=WHERE, expected="zero_stage: 1", got=0)
        # ZeRO flattens the matrices, and our Muon needs them whole.
        if self.optimizer == "muon" and self.zero_stage > 0:
            raise CorpusmillError(
                "muon works without ZeRO only", where=WHERE, expected="zero_stage: 0, or optimizer: adamw",
                got=f"zero_stage: {self.zero_stage}",
            )  # fmt: skip

    def micro_batches(self, world_size: int) -> int:
        """Micro batches a process and step: gradient accumulation.

        Raises:
            CorpusmillError: the step does not divide.
        """
        rows = self.rows_per_micro_batch * world_size
        if self.rows_per_step % rows:
            raise CorpusmillError(
                "a step does not divide into micro batches", where=WHERE,
                expected=f"rows_per_step a multiple of rows_per_micro_batch x processes = {rows}",
                got=self.rows_per_step, hint="change rows_per_micro_batch: the result stays the same",
            )  # fmt: skip
        return self.rows_per_step // rows

    def learning_rate_factor(self, step: int) -> float:
        """What the base learning rates are multiplied with at a step (1 is the first): a pure function.

        Linear from 0 over the warm-up, then constant, or down to 0 after the last step, by a line or half a cosine.
        """
        if step <= self.warmup_steps:
            return step / self.warmup_steps
        if self.schedule == "constant":
            return 1.0
        left = (self.steps + 1 - step) / (self.steps + 1 - self.warmup_steps)
        return left if self.schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)


def deepspeed_config(params: PretrainParams, world_size: int, num_parameters: int) -> dict[str, Any]:
    """DeepSpeed's dictionary; the optimizer is ours and comes beside it."""
    # Its buckets of 500 million numbers are allocated anew each step: 2 GB, seconds, for a model of any size.
    bucket = min(num_parameters, 500_000_000)
    return {
        "train_batch_size": params.rows_per_step,
        "train_micro_batch_size_per_gpu": params.rows_per_micro_batch,
        "gradient_accumulation_steps": params.micro_batches(world_size),
        "gradient_clipping": params.gradient_clipping,  # left out, DeepSpeed would clip at 1.0
        "bf16": {"enabled": params.precision == "bf16"},
        "zero_optimization": {
            "stage": params.zero_stage,
            "overlap_comm": False,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
        },
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }
