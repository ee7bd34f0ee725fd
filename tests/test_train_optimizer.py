"""The optimizers: Muon's orthogonal updates, AdamW equal to torch's, and who gets which."""

import torch
from test_train_recipe import recipe
from token_shards import small_model

from train.optimizer import MuonWithAdamW, build_optimizer, orthogonalized, parameter_groups, set_learning_rate


def test_orthogonalized_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalized(matrices))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_matrices_of_one_shape_are_updated_as_if_alone() -> None:
    matrices = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(0))
    alone = torch.stack([orthogonalized(matrix[None])[0] for matrix in matrices])
    torch.testing.assert_close(orthogonalized(matrices), alone)


def test_embeddings_and_norms_are_neither_decayed_nor_orthogonalized() -> None:
    model = small_model(tie_embeddings=False)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    matrices, rest = parameter_groups(model, recipe())
    assert (matrices["use_muon"], matrices["weight_decay"], matrices["base_lr"]) == (True, 0.1, 0.02)
    assert (rest["use_muon"], rest["weight_decay"], rest["base_lr"]) == (False, 0.0, 0.01)
    assert {names[id(p)].split(".")[-2] for p in matrices["params"]} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert len(matrices["params"]) + len(rest["params"]) == len(names)


def test_its_adamw_is_torchs() -> None:
    ours, theirs = small_model(), small_model()
    params = recipe(optimizer="adamw")
    one, two = MuonWithAdamW(parameter_groups(ours, params)), build_optimizer(theirs, params)
    for step in range(1, 6):
        for model, optimizer in ((ours, one), (theirs, two)):
            set_learning_rate(optimizer.param_groups, 1 / step)
            optimizer.zero_grad()
            model(torch.tensor([[1, 2, 3, step]])).square().mean().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_a_tall_matrix_moves_farther_by_the_root_of_its_sides() -> None:
    for shape, scale in (((4, 4), 1.0), ((4, 16), 1.0), ((16, 4), 2.0)):
        matrix = torch.nn.Parameter(torch.zeros(shape))
        group = {
            "params": [matrix],
            "lr": 0.1,
            "weight_decay": 0.0,
            "use_muon": True,
            "l1": 0.0,
            "betas": (0.9, 0.95),
            "eps": 1e-8,
        }
        matrix.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        MuonWithAdamW([group]).step()
        values = torch.linalg.svdvals(matrix.detach()) / (0.1 * scale)
        assert 0.6 < values.min() <= values.max() < 1.3


def stepped(optimizer: torch.optim.Optimizer, model: torch.nn.Module, factor: float = 1.0) -> None:
    set_learning_rate(optimizer.param_groups, factor)
    optimizer.zero_grad()
    model(torch.tensor([[1, 2, 3, 4]])).square().mean().backward()
    optimizer.step()


def test_l1_brings_matrices_to_zero_and_leaves_embeddings_and_norms() -> None:
    with_l1, without = small_model(), small_model()
    for model, l1 in ((with_l1, 2.0), (without, 0.0)):
        stepped(build_optimizer(model, recipe(optimizer="adamw", l1=l1)), model)
    # lr 0.02 x l1 2: what lies within 0.04 of zero becomes zero, the rest comes nearer by 0.04.
    plain = dict(without.named_parameters())
    for name, parameter in with_l1.named_parameters():
        if parameter.dim() == 2 and "embed" not in name:
            expected = plain[name].sign() * (plain[name].abs() - 0.04).clamp(min=0)
            torch.testing.assert_close(parameter.detach(), expected.detach())
            assert (parameter == 0).any()
        else:
            assert torch.equal(parameter, plain[name])


def test_the_average_follows_the_weights_by_one_minus_its_decay() -> None:
    model = small_model()
    optimizer = build_optimizer(model, recipe(ema_decay=0.75))
    weight = model.model.layers[0].mlp.up_proj.weight
    before = weight.detach().clone()
    stepped(optimizer, model)
    first = weight.detach().clone()
    stepped(optimizer, model)
    expected = 0.75 * (0.75 * before + 0.25 * first) + 0.25 * weight
    torch.testing.assert_close(optimizer.state[weight]["ema"], expected)


def test_a_skipped_step_moves_neither_weights_nor_moments_nor_the_count() -> None:
    model = small_model()
    optimizer = build_optimizer(model, recipe(ema_decay=0.5))
    stepped(optimizer, model)
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    states = [
        {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in s.items()} for s in optimizer.state.values()
    ]
    optimizer.skip = True
    stepped(optimizer, model)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    for before, after in zip(states, optimizer.state.values(), strict=True):
        assert all(torch.equal(torch.as_tensor(before[key]), torch.as_tensor(after[key])) for key in before)
