"""The recipe: learning rates step by step, DeepSpeed's dictionary, and combinations that are refused."""

import pytest
from token_shards import PRETRAIN, changed_params

from pipelines.spine.errors import CorpusmillError
from train.recipe import EngineParams, PretrainParams, SpikeParams, deepspeed_config
from train.shape import ModelParams


def recipe(**changed: object) -> PretrainParams:
    params = changed_params(PRETRAIN, changed)
    parts = {"spikes": SpikeParams, "engine": EngineParams, "model": ModelParams}
    return PretrainParams(**{**params, **{name: kind(**params[name]) for name, kind in parts.items()}})


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 0.8, 0.6, 0.4, 0.2]),
        ("cosine", [0.5, 1.0, 0.9045, 0.6545, 0.3455, 0.0955]),
    ],
)
def test_the_learning_rate_warms_up_and_falls(schedule: str, factors: list[float]) -> None:
    params = recipe(schedule=schedule, steps=6, warmup_steps=2)
    assert [params.learning_rate_factor(step) for step in range(1, 7)] == pytest.approx(factors, abs=1e-4)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    params = recipe(schedule="linear", steps=4, warmup_steps=0)
    assert [params.learning_rate_factor(step) for step in range(1, 5)] == [0.8, 0.6, 0.4, 0.2]


def test_the_dictionary_follows_from_the_parameters_and_the_number_of_processes() -> None:
    assert deepspeed_config(
        recipe(**{"rows_per_step": 12, "engine.rows_per_micro_batch": 2}), world_size=3, num_parameters=1000
    ) == {
        "train_micro_batch_size_per_gpu": 2,
        "gradient_accumulation_steps": 2,
        "gradient_clipping": 0.0,
        "bf16": {"enabled": False},
        "fp16": {"enabled": False},
        "zero_optimization": {
            "stage": 0,
            "overlap_comm": False,
            "reduce_bucket_size": 1000,
            "allgather_bucket_size": 1000,
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }


def test_processes_that_share_the_model_have_no_rows_of_their_own() -> None:
    params = recipe(**{"rows_per_step": 8, "engine.rows_per_micro_batch": 2, "engine.tensor_parallel": 2})
    assert params.micro_batches(world_size=2) == 4
    assert params.micro_batches(world_size=8) == 1
    config = deepspeed_config(params, world_size=4, num_parameters=10)
    assert (config["gradient_accumulation_steps"], config["tensor_parallel"]["autotp_size"]) == (2, 2)
    with pytest.raises(CorpusmillError, match="do not divide into groups that share the model"):
        params.micro_batches(world_size=3)


def test_offload_goes_into_the_dictionary() -> None:
    zero = {
        place: deepspeed_config(recipe(**{"engine.zero_stage": 3, "engine.offload": place}), 1, 10)["zero_optimization"]
        for place in ("none", "optimizer", "parameters")
    }
    assert "offload_optimizer" not in zero["none"]
    assert (zero["optimizer"]["offload_optimizer"], "offload_param" in zero["optimizer"]) == ({"device": "cpu"}, False)
    assert zero["parameters"]["offload_param"] == {"device": "cpu"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer is no such choice\n  expected: adamw | muon"),
        ({"precision": "bf16"}, "bf16 needs ZeRO\n  expected: engine.zero_stage: 1"),
        ({"precision": "fp16"}, "fp16 needs ZeRO"),
        ({"engine.pipeline_stages": 2}, "a pipeline needs ZeRO 1\n  expected: engine.zero_stage: 1\n"),
        ({"engine.pipeline_stages": 2, "engine.zero_stage": 2}, "a pipeline needs ZeRO 1"),
        (
            {"engine.pipeline_stages": 2, "engine.zero_stage": 1, "engine.tensor_parallel": 2},
            "a pipeline whose matrices",
        ),
        ({"engine.pipeline_stages": 2, "engine.zero_stage": 1, "spikes.action": "skip"}, "known after the update"),
        ({"engine.pipeline_stages": 2, "engine.zero_stage": 1, "engine.offload": "optimizer"}, "does not offload"),
        (
            {"engine.pipeline_stages": 3, "engine.zero_stage": 1},
            "more stages than layers\n  expected: engine.pipeline_",
        ),
        ({"engine.offload": "optimizer"}, "offload needs ZeRO"),
        ({"engine.offload": "parameters", "engine.zero_stage": 2}, "offload of parameters needs ZeRO 3"),
        ({"engine.compile": True, "engine.zero_stage": 3}, "torch.compile works with whole modules only"),
        ({"engine.compile": True, "engine.tensor_parallel": 2}, "torch.compile works with whole modules only"),
        ({"engine.compile": True, "engine.activation_checkpointing": True}, "torch.compile plans activations itself"),
        (
            {"model.kind": "lstm", "model.size": {"width": 16, "num_layers": 1}, "engine.compile": True},
            "torch.compile does not take LSTMs",
        ),
        ({"engine.tensor_parallel": 2, "model.qk_norm": True}, "tensor parallelism does not know QK-norm"),
        ({"engine.tensor_parallel": 4}, "model.num_kv_heads does not divide by engine.tensor_parallel"),
        (
            {"model.kind": "lstm", "model.size": {"width": 16, "num_layers": 1}, "engine.tensor_parallel": 2},
            "engine.tensor_parallel is for the decoder",
        ),
        (
            {
                "model.kind": "lstm",
                "model.size": {"width": 16, "num_layers": 1},
                "engine.activation_checkpointing": True,
            },
            "activation checkpointing is for the decoder",
        ),
        ({"engine.zero_stage": 4, "optimizer": "adamw"}, "engine.zero_stage is no ZeRO stage"),
        ({"source_weights": {"a": float("nan")}}, "no weight of a source\n  expected: 0 or more"),
        ({"beta2": 1.0}, "beta2 is no share\n  expected: 0 or more, below 1\n  got: 1.0"),
        (
            {"schedule": "wsd", "steps": 30, "warmup_steps": 3, "decay_steps": 28},
            "wsd falls over decay_steps, which lie after the warm-up\n"
            "  expected: decay_steps from 1 to steps - warmup_steps = 27\n  got: 28",
        ),
        ({"schedule": "wsd", "decay_steps": 0}, "got: 0\n  hint: or take schedule: constant, which does not fall"),
        ({"warmup_steps": 9}, "warmup_steps never ends\n  expected: steps = 8 at most\n  got: 9"),
        ({"steps": 0}, "steps is too small\n  expected: >= 1\n  got: 0"),
    ],
)
def test_what_cannot_train_is_refused_with_what_to_change(changed: dict, message: str) -> None:
    with pytest.raises(CorpusmillError) as caught:
        recipe(**changed).check()
    assert message in str(caught.value)


def test_a_step_that_does_not_divide_is_refused() -> None:
    with pytest.raises(CorpusmillError, match="does not divide") as caught:
        recipe(**{"rows_per_step": 4, "engine.rows_per_micro_batch": 2}).micro_batches(world_size=3)
    assert caught.value.expected.endswith("= 6")
