"""Gradients by layer: what belongs together, and what vanishes or explodes."""

import math

import pytest

from train.monitor import Flag, by_layer, flags, layer_of


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [
        ("model.embed_tokens.weight", "embed_tokens"),
        ("model.layers.11.self_attn.q_proj.weight", "layers.11"),
        ("model.layers.0.input_layernorm.weight", "layers.0"),
        ("model.norm.weight", "norm"),
        ("lm_head.weight", "lm_head"),
        ("lm_head.bias", "lm_head"),
        ("model.layers.1.weight_ih_l0", "layers.1"),
        ("model.lstm.weight_hh_l2", "lstm.2"),
        ("model.lstm.bias_ih_l0", "lstm.0"),
    ],
)
def test_a_parameter_counts_to_its_layer(parameter: str, layer: str) -> None:
    assert layer_of(parameter) == layer


def test_the_norm_of_a_layer_is_that_of_all_its_gradients() -> None:
    norms = {"model.layers.0.a.weight": 3.0, "model.norm.weight": 2.0, "model.layers.0.b.weight": 4.0}
    assert by_layer(norms) == {"layers.0": 5.0, "norm": 2.0}


def test_layers_of_one_order_are_not_flagged() -> None:
    norms = {"embed_tokens": 0.001, "layers.0": 1.0, "layers.1": 0.2, "layers.2": 4.0, "norm": 300.0}
    assert flags(norms, {name: norm / 9 for name, norm in norms.items()}) == []


def test_a_layer_far_below_the_others_vanishes_and_one_far_above_explodes() -> None:
    found = flags({"layers.0": 0.001, "layers.1": 1.0, "layers.2": 1.0, "layers.3": 250.0}, {})
    assert found == [
        Flag("layers.0", "vanishing", "norm 0.001, 1000 times less than the layers' median 1"),
        Flag("layers.3", "exploding", "norm 250, 250 times the layers' median 1"),
    ]
    assert found[0].text.startswith("vanishing gradient in layers.0: norm 0.001, 1000 times less")
    assert "lower learning_rate" in found[1].text


def test_growth_since_the_look_before_and_what_is_no_number_explode() -> None:
    found = flags({"lm_head": 22.0, "norm": math.nan}, {"lm_head": 2.0, "norm": 1.0})
    assert [(flag.layer, flag.why) for flag in found] == [
        ("lm_head", "norm 22, 11 times that of the look before"), ("norm", "norm nan"),
    ]  # fmt: skip


def test_a_gradient_below_what_adam_moves_vanishes_in_any_layer() -> None:
    assert [(flag.layer, flag.what) for flag in flags({"embed_tokens": 0.0}, {})] == [("embed_tokens", "vanishing")]
