"""The model: attention within documents, the key-value cache, starting weights, and counts."""

import math
from pathlib import Path

import pytest
import torch
from token_shards import SHAPE, changed_params, small_model

from pipelines.spine.errors import CorpusmillError
from train.model import Decoder, document_mask, init_weights
from train.shape import ModelParams

TOKENS = torch.arange(1, 13)[None] * 7


def test_the_mask_lets_each_position_see_its_own_segment_and_not_ahead() -> None:
    mask = document_mask(torch.tensor([[1, 1, 2, 2, 0]]))
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]


@torch.no_grad()
def test_within_documents_a_packed_row_equals_its_documents_alone() -> None:
    model = small_model()
    packed = model(TOKENS, torch.tensor([[1] * 5 + [2] * 7]))
    torch.testing.assert_close(packed[:, :5], model(TOKENS[:, :5]), atol=1e-5, rtol=0)
    torch.testing.assert_close(packed[:, 5:], model(TOKENS[:, 5:]), atol=1e-5, rtol=0)
    across = model(TOKENS)
    assert (across[:, 5:] - packed[:, 5:]).abs().max() > 0.01


@torch.no_grad()
def test_the_cache_gives_the_logits_of_the_whole_row() -> None:
    model = small_model()
    logits, caches = model.advance(TOKENS[:, :4], None, None)
    parts = [logits]
    for place in range(4, 12):
        logits, caches = model.advance(TOKENS[:, place : place + 1], None, caches)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), model(TOKENS), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_new_model_knows_nothing_and_its_weights_come_from_the_seed_alone() -> None:
    first, second, other = (Decoder(ModelParams(**SHAPE), 257) for _ in range(3))
    torch.manual_seed(5)
    init_weights(first, 7)
    torch.manual_seed(6)
    init_weights(second, 7)
    init_weights(other, 8)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    losses = torch.nn.functional.cross_entropy(first(TOKENS)[0, :-1], TOKENS[0, 1:])
    assert float(losses) == pytest.approx(math.log(257), abs=0.05)


@pytest.mark.parametrize("shape", [{}, {"qk_norm": True}, {"tie_embeddings": False}, {"num_kv_heads": 4}])
def test_parameters_are_counted_as_they_are(shape: dict) -> None:
    model = small_model(**shape)
    assert model.params.num_parameters(257) == sum(p.numel() for p in model.parameters())


def test_flops_of_gpt2_small_are_near_six_a_parameter() -> None:
    size = {"width": 768, "num_layers": 12, "num_heads": 12, "num_kv_heads": 12, "mlp_width": 2048}
    gpt2 = ModelParams("decoder", size, 10000.0, 1e-5, False, True, 0.0)
    assert gpt2.num_parameters(50257) == 123_551_232
    assert gpt2.flops_per_token(50257, 1024) == 6 * (12 * (4 * 768**2 + 3 * 768 * 2048 + 768 * 1024) + 768 * 50257)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size.width": 18}, "width does not split into heads of even width"),
        ({"size.num_kv_heads": 3}, "num_heads is not a multiple of num_kv_heads"),
        ({"size.num_layers": 0}, "a size is not positive"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused_by_name(wrong: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match=message):
        ModelParams(**changed_params(SHAPE, wrong)).check("params.yaml: pretrain.model")
