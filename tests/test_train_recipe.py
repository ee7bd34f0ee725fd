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
        "train_batch_size": 12,
        "train_micro_batch_size_per_gpu": 2,
        "gradient_accumulation_steps": 2,
        "gradient_clipping": 1.0,
        "bf16": {"enabled": False},
        "zero_optimization": {
            "stage": 0,
            "overlap_comm": False,
            "reduce_bucket_size": 1000,
            "allgather_bucket_size": 1000,
        },
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer is no such choice\n  expected: adamw | muon"),
        ({"precision": "bf16"}, "bf16 needs ZeRO\n  expected: engine.zero_stage: 1"),
        ({"engine.zero_stage": 1}, "muon works without ZeRO only"),
        ({"engine.zero_stage": 4, "optimizer": "adamw"}, "engine.zero_stage is no ZeRO stage"),
        ({"source_weights": {"a": float("nan")}}, "no weight of a source\n  expected: 0 or more"),
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
