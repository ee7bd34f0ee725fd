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
    "precision": ("fp32", "bf16", "fp16"),
    "optimizer": ("adamw", "muon"),
    "schedule": ("constant", "linear", "cosine", "wsd"),
    "final_weights": ("last", "ema", "average"),
    "spikes.action": ("none", "stop", "skip", "rollback"),
    "engine.offload": ("none", "optimizer", "parameters"),
}
#: The least value of whole numbers; no entry: 1.
LEAST = {
    "seed": 0, "val_rows": 0, "warmup_steps": 0, "decay_steps": 0, "early_stopping_patience": 0, "snapshots": 0,
    "monitor_every": 0, "sample_tokens": 0, "engine.zero_stage": 0, "spikes.skip_before": 0,
}  # fmt: skip
#: Numbers from 0 on that stay below 1.
SHARES = ("bpe_dropout", "label_smoothing", "ema_decay", "final_learning_rate_factor")
#: Numbers from 0 on.
AMOUNTS = ("learning_rate", "embedding_learning_rate", "weight_decay", "l1", "gradient_clipping", "spikes.deviations")


@dataclasses.dataclass(frozen=True)
class SpikeParams:
    """``params.yaml: pretrain.spikes``: what a loss far above the ones before it leads to."""

    action: str
    window: int
    deviations: float
    skip_before: int


@dataclasses.dataclass(frozen=True)
class EngineParams:
    """``params.yaml: pretrain.engine``: how it is computed; changes speed and memory, and results by rounding alone."""

    num_threads: int
    rows_per_micro_batch: int
    zero_stage: int
    tensor_parallel: int
    pipeline_stages: int
    offload: str
    activation_checkpointing: bool
    compile: bool


@dataclasses.dataclass(frozen=True)
class PretrainParams:
    """``params.yaml: pretrain``; each key is explained there."""

    seed: int
    source_weights: dict[str, float]
    bpe_dropout: float
    steps: int
    rows_per_step: int
    attention: str
    precision: str
    label_smoothing: float
    optimizer: str
    learning_rate: float
    embedding_learning_rate: float
    beta1: float
    beta2: float
    weight_decay: float
    l1: float
    gradient_clipping: float
    schedule: str
    warmup_steps: int
    decay_steps: int
    final_learning_rate_factor: float
    evaluate_every: int
    val_rows: int
    early_stopping_patience: int
    ema_decay: float
    snapshots: int
    final_weights: str
    monitor_every: int
    sample_prompt: str
    sample_tokens: int
    checkpoint_every: int
    spikes: SpikeParams
    engine: EngineParams
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
            _expect(name, self._value(name) in choices, "is no such choice", " | ".join(choices), self._value(name))
        for name in _whole_numbers():
            least = LEAST.get(name, 1)
            _expect(name, self._value(name) >= least, "is too small", f">= {least}", self._value(name))
        for name in SHARES:
            _expect(name, 0 <= self._value(name) < 1, "is no share", "0 or more, below 1", self._value(name))
        for name in AMOUNTS:
            right = 0 <= self._value(name) < math.inf
            _expect(name, right, "is no such amount", "0 or more", self._value(name))
        _expect("engine.zero_stage", self.engine.zero_stage <= 3, "is no ZeRO stage", "0 to 3", self.engine.zero_stage)
        check_weights(self.source_weights)
        self._check_stability()
        self._check_together()
        self.model.check(f"{WHERE}.model")

    def _check_stability(self) -> None:
        needed = {"ema": ("ema_decay", self.ema_decay > 0, "above 0, as 0.999"),
                  "average": ("snapshots", self.snapshots > 0, "1 or more")}  # fmt: skip
        if self.final_weights in needed:
            name, there, expected = needed[self.final_weights]
            _expect(f"final_weights: {self.final_weights} without {name}", there, "has no weights", expected, 0)
        # The last two checkpoints are kept: from any step, the older one lies at least checkpoint_every back.
        skip_before = self.spikes.skip_before
        if self.spikes.action == "rollback" and skip_before > self.checkpoint_every:
            raise CorpusmillError(
                "a rollback reaches further back than the checkpoints that are kept", where=WHERE,
                expected=f"spikes.skip_before up to checkpoint_every = {self.checkpoint_every}", got=skip_before,
            )  # fmt: skip

    def _value(self, name: str) -> Any:
        value: Any = self
        for part in name.split("."):
            value = getattr(value, part)
        return value

    def _check_together(self) -> None:
        zero_stage = self.engine.zero_stage
        # DeepSpeed's bf16 optimizer without ZeRO steps once on zero gradients at start: Adam's count is off by one.
        if self.precision != "fp32" and zero_stage == 0:
            raise CorpusmillError(
                f"{self.precision} needs ZeRO", where=WHERE, expected="engine.zero_stage: 1, 2 or 3", got=0
            )
        # ZeRO flattens the matrices, and our Muon needs them whole.
        if self.optimizer == "muon" and zero_stage > 0:
            raise CorpusmillError(
                "muon works without ZeRO only", where=WHERE, expected="engine.zero_stage: 0, or optimizer: adamw",
                got=f"engine.zero_stage: {zero_stage}",
            )  # fmt: skip

    def micro_batches(self, world_size: int) -> int:
        """Micro batches a process and step: gradient accumulation.

        Raises:
            CorpusmillError: the step does not divide.
        """
        rows = self.engine.rows_per_micro_batch * world_size
        if self.rows_per_step % rows:
            raise CorpusmillError(
                "a step does not divide into micro batches", where=WHERE,
                expected=f"rows_per_step a multiple of engine.rows_per_micro_batch x processes = {rows}",
                got=self.rows_per_step, hint="change engine.rows_per_micro_batch: the result stays the same",
            )  # fmt: skip
        return self.rows_per_step // rows

    def learning_rate_factor(self, step: int) -> float:
        """What the base learning rates are multiplied with at a step (1 is the first): a pure function.

        Linear from 0 over the warm-up, then constant, or down to ``final_learning_rate_factor`` after the last step:
        by a line, by half a cosine, or (wsd) by a line over the last ``decay_steps`` alone (Hu et al. 2024, MiniCPM,
        arXiv 2404.06395).
        """
        if step <= self.warmup_steps:
            return step / self.warmup_steps
        if self.schedule == "constant":
            return 1.0
        falling = self.decay_steps if self.schedule == "wsd" else self.steps - self.warmup_steps
        left = min((self.steps + 1 - step) / (falling + 1), 1.0)
        if self.schedule == "cosine":
            left = 0.5 - 0.5 * math.cos(math.pi * left)
        return self.final_learning_rate_factor + (1 - self.final_learning_rate_factor) * left


def deepspeed_config(params: PretrainParams, world_size: int, num_parameters: int) -> dict[str, Any]:
    """DeepSpeed's dictionary; the optimizer is ours and comes beside it."""
    # Its buckets of 500 million numbers are allocated anew each step: 2 GB, seconds, for a model of any size.
    bucket = min(num_parameters, 500_000_000)
    return {
        "train_batch_size": params.rows_per_step,
        "train_micro_batch_size_per_gpu": params.engine.rows_per_micro_batch,
        "gradient_accumulation_steps": params.micro_batches(world_size),
        "gradient_clipping": params.gradient_clipping,  # left out, DeepSpeed would clip at 1.0
        "bf16": {"enabled": params.precision == "bf16"},
        "zero_optimization": {
            "stage": params.engine.zero_stage,
            "overlap_comm": False,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
        },
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }


def _whole_numbers() -> list[str]:
    """Names of the whole numbers of ``pretrain``, those of its parts with a dot."""
    parts = (("", PretrainParams), ("spikes.", SpikeParams), ("engine.", EngineParams))
    return [prefix + field.name for prefix, part in parts for field in dataclasses.fields(part) if field.type is int]


def _expect(name: str, right: bool, what: str, expected: str, got: Any) -> None:
    if not right:
        raise CorpusmillError(f"{name} {what}", where=WHERE, expected=expected, got=got)
