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
            "betas": (0.9, 0.95),
            "eps": 1e-8,
        }
        matrix.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        MuonWithAdamW([group]).step()
        values = torch.linalg.svdvals(matrix.detach()) / (0.1 * scale)
        assert 0.6 < values.min() <= values.max() < 1.3
