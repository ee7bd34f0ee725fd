"""The measurements of training: what they compute is right on models of a few hundred weights."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from token_shards import PRETRAIN, changed_params, write_pack, write_tokenizer
from train_runs import TrainRuns

from bench.gpt2_style import Gpt2, drawn, fitting_width, learning_rate, num_parameters
from bench.train_peers import interval
from bench.train_speed import Timed, measure, summary

TINY = ("16", "2", "4", "2", "24")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parameters, a tokenizer and token shards."""
    folder = tmp_path_factory.mktemp("bench")
    write_pack(folder / "pack", write_tokenizer(folder / "tokenizer.json"))
    # A size that GPT-2's steps of four in width come near to.
    changed = {"engine.rows_per_micro_batch": 4, "model.size.width": 48, "model.size.mlp_width": 80}
    (folder / "params.yaml").write_text(yaml.safe_dump({"pretrain": changed_params(PRETRAIN, changed)}))
    return folder


@pytest.fixture(scope="module")
def runs(folder: Path) -> Iterator[TrainRuns]:
    with TrainRuns(folder) as started:
        yield started


def test_our_step_and_the_plain_one_are_timed_and_compute_the_same_losses(folder: Path, runs: TrainRuns) -> None:
    argv = ["--input", "pack", "--params", "params.yaml", "--size", *TINY, "--vocab", "300", "--rows", "4"]
    status, said = runs.run("bench.train_speed", [*argv, "--steps", "2", "--rounds", "2", "--threads", "1"])
    assert status == 0, said
    found = json.loads((folder / "logs" / "bench-train-speed.json").read_text())
    assert found["parameters"] == 300 * 16 + 2 * (2 * 16 * (16 + 8) + 3 * 16 * 24 + 2 * 16) + 16
    assert found["ours"] > 0
    assert found["plain"] > 0
    assert 0 <= found["largest_loss_difference"] < 1e-5


def test_the_ratio_is_the_median_of_rounds_and_above_one_where_ours_is_faster() -> None:
    pairs = [(Timed(own, own, [2.0]), Timed(2.0, 1.0, [2.0])) for own in (1.0, 2.0, 4.0, 0.5, 8.0)]
    pairs[0][0].losses[0] = 2.5
    found = summary(pairs, tokens=8)
    assert found == {"ours": 4.0, "plain": 4.0, "ratio": 1.0, "ratio_cpu": 0.5, "largest_loss_difference": 0.25}


def test_both_loops_go_through_the_same_steps_and_take_turns_at_being_first() -> None:
    seen: list[tuple[str, int]] = []
    steps = [lambda number, name=name: float(seen.append((name, number)) is None) for name in ("ours", "plain")]
    measure(*steps, rounds=2, steps=2, warmup=1)
    order = [("ours", 1), ("plain", 1), *[(name, n) for name in ("ours", "plain") for n in (2, 3)]]
    assert seen == [*order, *[(name, n) for name in ("plain", "ours") for n in (4, 5)]]


def test_peers_are_scored_on_the_same_tokens_and_their_parameters_are_ours(folder: Path, runs: TrainRuns) -> None:
    argv = ["--input", "pack", "--tokenizer", "tokenizer.json", "--params", "params.yaml", "--seeds", "1", "2"]
    status, said = runs.run("bench.train_peers", [*argv, "--trainers", "gpt2", "--steps", "30"])
    assert status == 0, said
    found = json.loads((folder / "logs" / "bench-train-peers.json").read_text())
    assert found["tokens"] == 30 * 4 * 16
    assert found["gpt2"]["parameters"] == num_parameters(40, 2, 257, 16)
    # Bytes drawn blindly from 257 cost 8.0 bits each; the model has seen which of them text holds.
    assert 2 < found["gpt2"]["mean"] < 7.5
    assert found["gpt2"]["bits_per_byte"][0] != found["gpt2"]["bits_per_byte"][1]


def test_the_interval_is_that_of_students_t() -> None:
    # Deviation 1 of three values: 4.303 x 1 / sqrt(3).
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.4843), abs=1e-3)
    assert interval([1.5]) == (1.5, 0.0)


def test_the_width_that_fits_has_the_parameters_that_are_counted() -> None:
    width = fitting_width(770_944, 3, 4, 1024, 128)
    assert width == 132
    model = Gpt2(width, 3, 4, 1024, 128)
    assert sum(p.numel() for p in model.parameters()) == num_parameters(width, 3, 1024, 128) == 780_252


def test_gpt2_sees_nothing_ahead() -> None:
    torch.manual_seed(0)
    model = Gpt2(16, 2, 4, 30, 8).eval()
    tokens = torch.arange(8)[None]
    changed = tokens.clone()
    changed[0, 5] = 20
    torch.testing.assert_close(model(tokens)[:, :5], model(changed)[:, :5])
    assert not torch.allclose(model(tokens)[:, 5:], model(changed)[:, 5:])


def test_the_published_schedule_rises_to_1e_3_and_ends_near_1e_4() -> None:
    rates = [learning_rate(step, 2000) for step in range(2000)]
    assert rates[0] == pytest.approx(1e-3 / 101)
    assert rates[100] == pytest.approx(1e-3)
    assert rates[1050] == pytest.approx(5.5e-4)
    assert rates[-1] == pytest.approx(1e-4, rel=1e-3)
    assert max(rates) == pytest.approx(1e-3)


def test_each_epoch_shows_every_row_once() -> None:
    rows = drawn(5, 12, seed=1)
    assert sorted(rows[:5]) == sorted(rows[5:10]) == [0, 1, 2, 3, 4]
    assert not np.array_equal(rows[:5], rows[5:10])
    assert math.prod(rows.shape) == 12
