"""Sizes: presets, counts, and what cannot be built is refused with what to write."""

import pytest
from token_shards import LSTM, SHAPE, changed_params, small_model

from pipelines.spine.errors import CorpusmillError
from train import shape
from train.shape import PRESETS, ModelParams


def preset(kind: str, size: str, tied: bool = True) -> ModelParams:
    return ModelParams(kind, size, 10000.0, 1e-5, False, tied, 0.0)


@pytest.mark.parametrize(
    "changed",
    [{}, {"qk_norm": True}, {"tie_embeddings": False}, {"num_kv_heads": 4}, LSTM, {**LSTM, "tie_embeddings": False}],
)
def test_parameters_are_counted_as_they_are(changed: dict) -> None:
    model = small_model(**changed)
    assert model.params.num_parameters(257) == sum(p.numel() for p in model.parameters())
    inner = sum(
        p.numel() for name, p in model.named_parameters() if "embed_tokens" not in name and "lm_head" not in name
    )
    assert model.params.num_parameters(257, embeddings=False) == inner


@pytest.mark.parametrize(
    ("size", "vocab_size", "parameters"),
    [("tiny", 1024, 770_944), ("30m", 32000, 29_990_784), ("124m", 50257, 123_551_232), ("350m", 50257, 355_076_096)],
)
def test_presets_have_the_parameters_of_their_names_and_an_lstm_about_as_many(
    size: str, vocab_size: int, parameters: int
) -> None:
    assert preset("decoder", size).num_parameters(vocab_size) == parameters
    assert preset("lstm", size).num_parameters(vocab_size) == pytest.approx(parameters, rel=0.03)


def test_the_largest_preset_is_tinyllama() -> None:
    assert preset("decoder", "1b", tied=False).num_parameters(32000) == 1_100_048_384
    assert preset("lstm", "1b").num_parameters(32000) == pytest.approx(1.03e9, rel=0.01)


@pytest.mark.parametrize(("kind", "size"), [(kind, size) for kind in PRESETS for size in PRESETS[kind]])
def test_every_preset_can_be_built(kind: str, size: str) -> None:
    preset(kind, size).check("here")


def test_flops_of_gpt2_small_are_near_six_a_parameter() -> None:
    expected = 6 * (12 * (4 * 768**2 + 3 * 768 * 2048 + 768 * 1024) + 768 * 50257)
    assert preset("decoder", "124m").flops_per_token(50257, 1024) == expected == 797_815_296


def test_flops_of_an_lstm_are_six_a_weight_and_do_not_grow_with_the_context() -> None:
    lstm = preset("lstm", "tiny")
    assert lstm.flops_per_token(1024, 128) == 6 * (2 * 8 * 192 * 192 + 192 * 1024) == lstm.flops_per_token(1024, 4096)


def test_the_numbers_take_the_place_of_the_name() -> None:
    numbers = {"width": 128, "num_layers": 3, "num_heads": 4, "num_kv_heads": 4, "mlp_width": 384}
    assert preset("decoder", "tiny").resolved.size == numbers


@pytest.mark.parametrize(
    ("wrong", "message", "told"),
    [
        ({"kind": "gru"}, "no such kind of model", "expected: decoder | lstm"),
        ({"size": "huge"}, "no such size of decoder", "hint: write size: {width: 128, num_layers: 3, num_heads: 4"),
        (
            {"kind": "lstm"},
            "a size does not fit the kind lstm",
            "write size: {width: 192, num_layers: 2}, or one of tiny",
        ),
        ({"size": {}}, "a size does not fit the kind decoder", "got: nothing"),
        ({"size.width": 18}, "width does not split into heads of even width", "got: 18 / 4"),
        ({"size.num_kv_heads": 3}, "num_heads is not a multiple of num_kv_heads", "got: 4 / 3"),
        ({"size.num_layers": 0}, "a size is not positive", "got: 0"),
        ({"dropout": 1.0}, "dropout is no share", "below 1"),
        ({**LSTM, "qk_norm": True}, "an LSTM has no queries and keys", "write `qk_norm: false`, or `kind: decoder`"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused_with_what_to_write(wrong: dict, message: str, told: str) -> None:
    with pytest.raises(CorpusmillError, match=message) as caught:
        ModelParams(**changed_params(SHAPE, wrong)).check("params.yaml: pretrain.model")
    assert told in str(caught.value)


def test_the_command_prints_a_line_for_each_preset(capsys: pytest.CaptureFixture[str]) -> None:
    shape.main(["--vocab-size", "1024", "--seq-len", "128"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "vocabulary 1,024, 128 tokens of context, embeddings tied"
    assert lines[3].split() == ["decoder", "tiny", "128", "3", "4/4", "770,944", "639,872", "4,915,200"]
    assert sum(line.startswith(("decoder ", "lstm ")) for line in lines) == 10
    with pytest.raises(CorpusmillError, match="--seq-len: out of range"):
        shape.main(["--seq-len", "0"])
