"""How to train, as plain values and pure functions: parameters, learning rate, DeepSpeed's dictionary. No torch.

params.yaml: pretrain  ->  PretrainParams  ->  learning_rate_factor(step), deepspeed_config(world_size)
"""

import dataclasses
import math
from collections.abc import Iterator
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
    "final_weights": ("last", "ema", "average", "best"),
    "spikes.action": ("none", "stop", "skip", "rollback"),
    "engine.offload": ("none", "optimizer", "parameters"),
}
#: The least value of whole numbers; no entry: 1.
LEAST = {
    "seed": 0, "val_rows": 0, "warmup_steps": 0, "decay_steps": 0, "early_stopping_patience": 0, "snapshots": 0,
    "monitor_every": 0, "sample_tokens": 0, "engine.zero_stage": 0, "spikes.skip_before": 0,
}  # fmt: skip
#: Numbers from 0 on that stay below 1.
SHARES = ("bpe_dropout", "label_smoothing", "beta1", "beta2", "ema_decay", "final_learning_rate_factor")
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
        _expect("warmup_steps", self.warmup_steps <= self.steps, "never ends", f"steps = {self.steps} at most",
                self.warmup_steps)  # fmt: skip
        # A longer fall would begin far below the rate that the warm-up ends at; none at all is another schedule.
        if self.schedule == "wsd" and not 1 <= self.decay_steps <= self.steps - self.warmup_steps:
            raise CorpusmillError(
                "wsd falls over decay_steps, which lie after the warm-up", where=WHERE,
                expected=f"decay_steps from 1 to steps - warmup_steps = {self.steps - self.warmup_steps}",
                got=self.decay_steps, hint="or take schedule: constant, which does not fall",
            )  # fmt: skip
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
        engine = self.engine
        for wrong, message, expected, got in (*self._layout_rules(), *self._model_rules()):
            if wrong:
                raise CorpusmillError(message, where=WHERE, expected=expected, got=got)
        if engine.tensor_parallel > 1:
            self._check_cut()

    def _layout_rules(self) -> Iterator[tuple[bool, str, str, object]]:
        """(wrong, what, what to change, what is there) of precision and layout."""
        engine, stage = self.engine, self.engine.zero_stage
        piped, cut = engine.pipeline_stages > 1, engine.tensor_parallel > 1
        # Without ZeRO, DeepSpeed's optimizer for bf16 clips and accumulates in other ways.
        yield (self.precision != "fp32" and stage == 0, f"{self.precision} needs ZeRO",
               "engine.zero_stage: 1, 2 or 3", 0)  # fmt: skip
        # Without ZeRO, DeepSpeed clips by the norm of each stage's own gradients; 2 and 3 it refuses in a pipeline.
        yield piped and stage != 1, "a pipeline needs ZeRO 1", "engine.zero_stage: 1", stage
        yield (piped and cut, "a pipeline whose matrices are split is not supported",
               "engine.pipeline_stages: 1, or engine.tensor_parallel: 1", engine.tensor_parallel)  # fmt: skip
        yield (piped and self.spikes.action == "skip", "in a pipeline the loss is known after the update",
               "spikes.action: none, stop or rollback", "skip")  # fmt: skip
        yield (engine.offload == "optimizer" and stage == 0, "offload needs ZeRO",
               "engine.zero_stage: 1, 2 or 3, or engine.offload: none", 0)  # fmt: skip
        yield (engine.offload == "parameters" and stage != 3, "offload of parameters needs ZeRO 3",
               "engine.zero_stage: 3, or engine.offload: optimizer", stage)  # fmt: skip
        yield (piped and engine.offload != "none", "a pipeline does not offload", "engine.offload: none",
               engine.offload)  # fmt: skip
        yield (engine.compile and (piped or cut or stage == 3), "torch.compile works with whole modules only",
               "engine.compile: false, or zero_stage 0 to 2 without tensor_parallel and pipeline_stages",
               True)  # fmt: skip
        yield (engine.compile and engine.activation_checkpointing, "torch.compile plans activations itself",
               "engine.compile: false, or engine.activation_checkpointing: false", True)  # fmt: skip

    def _model_rules(self) -> Iterator[tuple[bool, str, str, object]]:
        engine, model = self.engine, self.model
        lstm = model.kind != "decoder"
        for name in ("tensor_parallel", "pipeline_stages"):
            parts = getattr(engine, name)
            yield lstm and parts > 1, f"engine.{name} is for the decoder", f"engine.{name}: 1", parts
        yield (lstm and engine.compile, "torch.compile does not take LSTMs", "engine.compile: false", True)
        yield (lstm and engine.activation_checkpointing, "activation checkpointing is for the decoder",
               "engine.activation_checkpointing: false", True)  # fmt: skip
        # Each process would see the gradient of its own heads in the norm that all heads share.
        yield (model.qk_norm and engine.tensor_parallel > 1, "tensor parallelism does not know QK-norm",
               "model.qk_norm: false, or engine.tensor_parallel: 1", engine.tensor_parallel)  # fmt: skip
        yield (not lstm and engine.pipeline_stages > model.num_layers, "more stages than layers",
               f"engine.pipeline_stages: at most {model.num_layers}", engine.pipeline_stages)  # fmt: skip

    def _check_cut(self) -> None:
        """Tensor parallelism cuts heads and the MLP's width into equal parts."""
        for name in ("num_heads", "num_kv_heads", "mlp_width"):
            if getattr(self.model, name) % self.engine.tensor_parallel:
                raise CorpusmillError(
                    f"model.{name} does not divide by engine.tensor_parallel", where=WHERE,
                    expected=f"a multiple of {self.engine.tensor_parallel}", got=getattr(self.model, name),
                )  # fmt: skip

    def micro_batches(self, world_size: int) -> int:
        """Micro batches a process and step: gradient accumulation.

        Raises:
            CorpusmillError: the processes do not divide, or the step does not.
        """
        together = self.engine.tensor_parallel * self.engine.pipeline_stages
        if world_size % together:
            raise CorpusmillError(
                "the processes do not divide into groups that share the model", where=WHERE,
                expected=f"a multiple of engine.tensor_parallel x engine.pipeline_stages = {together} processes",
                got=world_size, hint="CORPUSMILL_PROCESSES says how many there are",
            )  # fmt: skip
        rows = self.engine.rows_per_micro_batch * (world_size // together)
        if self.rows_per_step % rows:
            shared = "" if together == 1 else f" / {together}"
            raise CorpusmillError(
                "a step does not divide into micro batches", where=WHERE,
                expected=f"rows_per_step a multiple of engine.rows_per_micro_batch x processes{shared} = {rows}",
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
    engine = params.engine
    # Its buckets of 500 million numbers are allocated anew each step: 2 GB, seconds, for a model of any size.
    bucket = min(num_parameters, 500_000_000)
    config: dict[str, Any] = {
        # Without train_batch_size, the product of these and the processes that have rows of their own: DeepSpeed
        # counts those that share matrices in one place and not in another.
        "train_micro_batch_size_per_gpu": engine.rows_per_micro_batch,
        "gradient_accumulation_steps": params.micro_batches(world_size),
        # Without ZeRO we clip, by the norm that is logged; left out, DeepSpeed would clip at 1.0.
        "gradient_clipping": params.gradient_clipping if engine.zero_stage else 0.0,
        "bf16": {"enabled": params.precision == "bf16"},
        "fp16": {"enabled": params.precision == "fp16"},  # the scale moves by itself
        "zero_optimization": {
            "stage": engine.zero_stage,
            "overlap_comm": False,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
        },
        "zero_allow_untested_optimizer": True,  # ours is elementwise, and where it is not it knows the partitions
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }
    if engine.offload != "none":
        config["zero_optimization"]["offload_optimizer"] = {"device": "cpu"}
        config["zero_force_ds_cpu_optimizer"] = False  # DeepSpeed's own would be compiled on first use
    if engine.offload == "parameters":
        config["zero_optimization"]["offload_param"] = {"device": "cpu"}
    if engine.tensor_parallel > 1:
        config["tensor_parallel"] = {"autotp_size": engine.tensor_parallel, "preset_model": "llama"}
    return config


def _whole_numbers() -> list[str]:
    """Names of the whole numbers of ``pretrain``, those of its parts with a dot."""
    parts = (("", PretrainParams), ("spikes.", SpikeParams), ("engine.", EngineParams))
    return [prefix + field.name for prefix, part in parts for field in dataclasses.fields(part) if field.type is int]


def _expect(name: str, right: bool, what: str, expected: str, got: Any) -> None:
    if not right:
        raise CorpusmillError(f"{name} {what}", where=WHERE, expected=expected, got=got)
