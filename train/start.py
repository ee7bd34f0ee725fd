"""Starting DeepSpeed around a model: what must be set before and while it starts, and nothing that it does later."""

import functools
import logging
import warnings
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from pipelines.spine.errors import CorpusmillError
from train.optimizer import MuonWithAdamW, build_optimizer
from train.pipeline import Scores, build_pipeline
from train.recipe import WHERE, PretrainParams, deepspeed_config
from train.world import World


def start(model: nn.Module, params: PretrainParams, world: World, scores: Scores) -> tuple[Any, MuonWithAdamW]:
    """DeepSpeed's engine, which moves the model to the device and to the precision, and our optimizer in it.

    Raises:
        CorpusmillError: this machine does not compute in the precision.
    """
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")  # of DeepSpeed's own calls
    warnings.filterwarnings("ignore", message="c10d::broadcast_: an autograd kernel")  # AutoTP's and the pipeline's
    import deepspeed  # only now: it picks its accelerator on import

    deepspeed.utils.logger.setLevel(logging.ERROR)
    # No op of its own, so that nothing is compiled on first use: its shared-memory collectives take a minute, and a
    # killed build leaves a lock that the next run waits for.
    deepspeed.ops.__compatible_ops__ = {}
    deepspeed.init_distributed(auto_mpi_discovery=False)
    _check_precision(params.precision)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    if params.engine.activation_checkpointing:
        compute_twice(model, params.engine.zero_stage)
    if params.engine.compile:
        model.compile()  # in place: names stay
    module: Any = model
    held = None
    if params.engine.pipeline_stages > 1:
        module = build_pipeline(model, params.engine.pipeline_stages, params.within_documents, scores)  # type: ignore[arg-type]
        held = {id(parameter) for parameter in module.parameters()}
    optimizer = build_optimizer(model, params, held)
    engine, *_ = deepspeed.initialize(
        model=module, optimizer=optimizer, config=deepspeed_config(params, world.size, num_parameters)
    )
    return engine, optimizer


def _check_precision(precision: str) -> None:
    from deepspeed.accelerator import get_accelerator

    if precision == "fp16" and not get_accelerator().is_fp16_supported():
        raise CorpusmillError(
            "this machine does not compute in fp16", where=WHERE, expected="precision: bf16 or fp32", got="fp16",
            hint="on a CPU it needs AVX512-FP16",
        )  # fmt: skip


def compute_twice(model: nn.Module, zero_stage: int) -> None:
    """Each layer keeps its input alone; backward computes the rest again."""
    for layer in model.model.layers:  # type: ignore[union-attr]
        # The newer form compares shapes, which ZeRO 3 changes in between.
        layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=zero_stage == 3)


def tensor_group() -> Any:
    """The processes that share matrices, of a started engine."""
    from deepspeed.utils import groups

    return groups.get_tensor_model_parallel_group()
