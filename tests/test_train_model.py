"""The models: documents kept apart in a row, cache and state, dropout, checkpointed activations, starting weights."""

import math

import pytest
import torch
from token_shards import LSTM, SHAPE, small_model

from train.determinism import set_deterministic
from train.lstm import alike, run_lengths
from train.model import LanguageModel, build_model, document_mask, init_weights
from train.shape import ModelParams
from train.start import compute_twice

TOKENS = torch.arange(1, 13)[None] * 7
SEGMENTS = torch.tensor([[1] * 5 + [2] * 7])
KINDS: dict[str, dict] = {"decoder": {}, "lstm": LSTM}


def test_the_mask_lets_each_position_see_its_own_segment_and_not_ahead() -> None:
    mask = document_mask(torch.tensor([[1, 1, 2, 2, 0]]))
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_within_documents_a_packed_row_equals_its_documents_alone(kind: str) -> None:
    model = small_model(**KINDS[kind])
    packed = model(TOKENS, torch.tensor([[1] * 5 + [2] * 7]))
    torch.testing.assert_close(packed[:, :5], model(TOKENS[:, :5]), atol=1e-5, rtol=0)
    torch.testing.assert_close(packed[:, 5:], model(TOKENS[:, 5:]), atol=1e-5, rtol=0)
    across = model(TOKENS)
    assert (across[:, 5:] - packed[:, 5:]).abs().max() > 0.01


@torch.no_grad()
def test_an_lstm_starts_anew_with_each_segment_of_a_batch() -> None:
    model = small_model(**LSTM)
    rows = torch.arange(1, 25).view(2, 12) * 7
    packed = model(rows, torch.tensor([[1] * 2 + [2] * 9 + [0], [1] * 1 + [2] * 11]))
    for row, start, stop in [(0, 0, 2), (0, 2, 11), (0, 11, 12), (1, 0, 1), (1, 1, 12)]:
        alone = model(rows[row : row + 1, start:stop])
        torch.testing.assert_close(packed[row : row + 1, start:stop], alone, atol=1e-5, rtol=0)


def test_runs_end_where_the_segment_changes_and_where_the_row_ends() -> None:
    assert run_lengths(torch.tensor([[1, 1, 2, 0], [1, 1, 1, 1], [1, 2, 3, 3]])) == [2, 1, 1, 4, 1, 1, 2]
    assert alike([7, 2, 128, 4, 3]) == [[0, 3], [1, 4], [2]]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_cache_gives_the_logits_of_the_whole_row(kind: str) -> None:
    model = small_model(**KINDS[kind])
    logits, caches = model.advance(TOKENS[:, :4], None, None)
    parts = [logits]
    for place in range(4, 12):
        logits, caches = model.advance(TOKENS[:, place : place + 1], None, caches)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), model(TOKENS), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_new_model_knows_nothing_and_its_weights_come_from_the_seed_alone(kind: str) -> None:
    params = ModelParams(**{**SHAPE, **KINDS[kind]})
    first, second, other = (build_model(params, 257) for _ in range(3))
    torch.manual_seed(5)
    init_weights(first, 7)
    torch.manual_seed(6)
    init_weights(second, 7)
    init_weights(other, 8)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    losses = torch.nn.functional.cross_entropy(first(TOKENS)[0, :-1], TOKENS[0, 1:])
    assert float(losses) == pytest.approx(math.log(257), abs=0.05)


def test_an_lstm_begins_with_open_forget_gates() -> None:
    model = build_model(ModelParams(**{**SHAPE, **LSTM}), 257)
    init_weights(model, 7)
    layer = model.model.layers[0]
    assert layer.bias_ih_l0.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32
    assert layer.bias_hh_l0.tolist() == [0.0] * 64


def gradients(model: LanguageModel, seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    model.zero_grad()
    torch.nn.functional.cross_entropy(model(TOKENS, SEGMENTS)[0, :-1], TOKENS[0, 1:]).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_comes_from_torchs_seed_and_is_off_in_evaluation(kind: str) -> None:
    model = small_model(**KINDS[kind], dropout=0.3).train()
    first, again, other = (gradients(model, seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    assert torch.equal(model.eval()(TOKENS), small_model(**KINDS[kind])(TOKENS))


@pytest.mark.parametrize("place", ["model.dropout", "model.layers.0.dropout", "model.layers.0.self_attn"])
def test_each_place_of_dropout_is_at_work_in_a_decoder(place: str) -> None:
    model, plain = small_model(dropout=0.5), small_model()
    model.get_submodule(place).train()
    assert not torch.equal(model(TOKENS), plain(TOKENS))


def test_checkpointed_activations_give_the_same_gradients_to_the_bit() -> None:
    model = small_model(dropout=0.3).train()
    plain = gradients(model)
    compute_twice(model, zero_stage=0)
    calls = []
    model.model.layers[0].self_attn.register_forward_pre_hook(lambda *_: calls.append(1))
    again = gradients(model)
    assert len(calls) == 2  # forward, and once more in the backward pass
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_an_lstms_gradients_are_the_same_each_time_where_torch_must_be_deterministic() -> None:
    before = torch.get_deterministic_debug_mode()
    set_deterministic(1, seed=1)
    try:
        model = small_model(**LSTM).train()
        first, again = gradients(model), gradients(model)
    finally:
        torch.set_deterministic_debug_mode(before)
    assert all(torch.equal(first[name], again[name]) for name in first)
