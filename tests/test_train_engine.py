"""The engine: every kind of layout has the losses of one plain process, and any of them goes on from any other's files."""

import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from layout_runs import LayoutRuns
from token_shards import write_pack, write_tokenizer

from train.data import IGNORED
from train.determinism import seed_dropout
from train.pipeline import smoothed_nll

STEPS = 4

#: What is not the plain one, processes. Chosen so that most pairs of (ZeRO stage, processes, tensor or pipeline
#: parallel, precision, optimizer, accumulation, activation checkpointing, offload) meet; all: tests/verify_train.py.
LAYOUTS: dict[str, tuple[dict[str, Any], int]] = {
    "zero 0, two processes": ({"optimizer": "adamw"}, 2),
    "zero 1, muon, accumulation": ({"engine.zero_stage": 1, "engine.rows_per_micro_batch": 1}, 2),
    "zero 2, muon, recomputed": ({"engine.zero_stage": 2, "engine.activation_checkpointing": True}, 2),
    "zero 3, recomputed": ({"optimizer": "adamw", "engine.zero_stage": 3, "engine.activation_checkpointing": True}, 2),
    "zero 3, muon, parameters offloaded": (
        {"engine.zero_stage": 3, "engine.offload": "parameters", "engine.rows_per_micro_batch": 1}, 1),
    "zero 2, optimizer offloaded": ({"optimizer": "adamw", "engine.zero_stage": 2, "engine.offload": "optimizer"}, 2),
    "tensor parallel, muon": ({"engine.tensor_parallel": 2}, 2),
    "tensor parallel, zero 3, accumulation": (
        {"optimizer": "adamw", "engine.tensor_parallel": 2, "engine.zero_stage": 3}, 2),
    "pipeline, muon, accumulation": (
        {"engine.pipeline_stages": 2, "engine.zero_stage": 1, "engine.rows_per_micro_batch": 1}, 2),
    "pipeline, recomputed": (
        {"optimizer": "adamw", "engine.pipeline_stages": 2, "engine.zero_stage": 1,
         "engine.activation_checkpointing": True}, 2),
    "zero 1, bf16": ({"optimizer": "adamw", "precision": "bf16", "engine.zero_stage": 1}, 2),
    "zero 3, muon, fp16": ({"precision": "fp16", "engine.zero_stage": 3}, 2),
}  # fmt: skip


class Plain:
    """Runs of one process without any layout, each done once."""

    def __init__(self, runs: LayoutRuns) -> None:
        self.runs, self._seen = runs, dict[str, dict[str, Any]]()

    def like(self, changed: dict[str, Any]) -> dict[str, Any]:
        """The plain run of the same mathematics: optimizer and precision."""
        kept = {name: changed[name] for name in ("optimizer", "precision") if name in changed}
        if kept.get("precision", "fp32") != "fp32":
            kept["engine.zero_stage"] = 1
        key = json.dumps(kept, sort_keys=True)
        if key not in self._seen:
            self._seen[key] = self.runs.train({"gradient_clipping": 0.5, "engine.rows_per_micro_batch": 4, **kept},
                                              steps=STEPS)  # fmt: skip
        return self._seen[key]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LayoutRuns]:
    folder = tmp_path_factory.mktemp("engine")
    pack = write_pack(folder / "pack", write_tokenizer(folder / "tokenizer.json"))
    with LayoutRuns(folder, pack) as runs:
        yield runs


@pytest.fixture(scope="module")
def plain(runs: LayoutRuns) -> Plain:
    return Plain(runs)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_has_the_losses_of_one_plain_process(runs: LayoutRuns, plain: Plain, name: str) -> None:
    changed, processes = LAYOUTS[name]
    expected = plain.like(changed)
    # A norm that is clipped: a wrong norm, or one of a part alone, would show in the losses.
    found = runs.train({"gradient_clipping": 0.5, **changed}, processes, steps=STEPS)
    assert found["status"] == [0] * processes, found["said"]
    full = changed.get("precision", "fp32") == "fp32"
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5 if full else 5e-3)
    assert found["names"] == expected["names"]
    whole = sum(norm * norm for norm in found["layer_norms"].values()) ** 0.5
    assert whole == pytest.approx(found["norms"][-1], rel=1e-3 if full else 1e-2)
    if full:  # in bf16 a norm moves by half with the order of a sum
        assert found["norms"] == pytest.approx(expected["norms"], rel=1e-4)
        assert found["scores"] == pytest.approx(expected["scores"], rel=1e-5)
        assert found["accuracies"] == pytest.approx(expected["accuracies"], abs=0.05)
        assert found["sums"] == pytest.approx(expected["sums"], rel=1e-3, abs=1e-3)
        assert found["layer_norms"] == pytest.approx(expected["layer_norms"], rel=1e-3, abs=1e-5)


def test_a_step_that_is_left_out_changes_nothing(runs: LayoutRuns) -> None:
    for changed, processes in (({}, 1), ({"engine.zero_stage": 2}, 2),
                               ({"engine.zero_stage": 1, "engine.pipeline_stages": 2}, 2)):  # fmt: skip
        steady = {"schedule": "constant", "warmup_steps": 0, "ema_decay": 0.5, **changed}
        with_it = runs.train(steady, processes, steps=3, left_out=[2, 3])
        without = runs.train(steady, processes, steps=1)
        assert with_it["applied"] == [True, False, False], with_it["said"]
        assert (with_it["weights"], with_it["ema"]) == (without["weights"], without["ema"])


def test_the_running_average_follows_the_weights(runs: LayoutRuns) -> None:
    changed = {"ema_decay": 0.75, "schedule": "constant", "warmup_steps": 0}
    start, one, two = (runs.train(changed, steps=steps) for steps in (0, 1, 2))
    assert start["ema"] == start["sums"]
    split = runs.train({**changed, "engine.zero_stage": 3}, 2, steps=2)
    for name in two["sums"]:
        first = 0.75 * start["sums"][name] + 0.25 * one["sums"][name]
        assert two["ema"][name] == pytest.approx(0.75 * first + 0.25 * two["sums"][name], abs=1e-3)
        assert split["ema"][name] == pytest.approx(two["ema"][name], abs=1e-3)


@pytest.mark.parametrize(
    ("changed", "processes"),
    [
        ({"engine.zero_stage": 3, "precision": "bf16", "ema_decay": 0.9}, 2),
        ({"engine.zero_stage": 2, "precision": "fp16", "optimizer": "adamw"}, 1),
        ({"engine.zero_stage": 1, "engine.pipeline_stages": 2}, 2),
        ({"engine.tensor_parallel": 2, "l1": 0.1}, 2),
        ({"model.dropout": 0.5, "engine.rows_per_micro_batch": 1}, 2),
    ],
)
def test_a_run_that_goes_on_has_the_same_bits(
    runs: LayoutRuns, tmp_path: Path, changed: dict[str, Any], processes: int
) -> None:
    whole = runs.train(changed, processes, steps=4)
    assert whole["status"] == [0] * processes, whole["said"]
    runs.train(changed, processes, steps=2, save=tmp_path / "step-2")
    rest = runs.train(changed, processes, steps=4, load=tmp_path / "step-2")
    assert rest["losses"] == whole["losses"][2:], rest["said"]
    assert rest["weights"] == whole["weights"]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_l1_and_the_running_average_are_those_of_one_process(runs: LayoutRuns, stage: int) -> None:
    changed = {"l1": 0.5, "ema_decay": 0.5, "label_smoothing": 0.1}
    plain = runs.train({**changed, "engine.rows_per_micro_batch": 4}, steps=3)
    found = runs.train({**changed, "engine.zero_stage": stage}, 2, steps=3)
    assert found["losses"] == pytest.approx(plain["losses"], rel=1e-5), found["said"]
    assert found["sums"] == pytest.approx(plain["sums"], rel=1e-3, abs=1e-3)
    assert found["ema"] == pytest.approx(plain["ema"], rel=1e-3, abs=1e-3)
    assert runs.train({**changed, "l1": 0.0}, steps=3)["sums"] != pytest.approx(plain["sums"], rel=1e-3, abs=1e-3)


def test_what_is_dropped_follows_from_seed_step_and_process() -> None:
    drawn = set()
    for numbers in ((3, 1, 0, 0), (4, 1, 0, 0), (3, 2, 0, 0), (3, 1, 1, 0), (20261129, 1, 0, 1)):
        seed_dropout(*numbers)
        first = float(torch.rand(()))
        seed_dropout(*numbers)
        assert float(torch.rand(())) == first
        drawn.add(first)
    assert len(drawn) == 5


def test_targets_are_smoothed_over_the_vocabulary_and_only_those_that_count() -> None:
    logits = torch.tensor([[[0.0, 0.0, math.log(2.0)], [5.0, 1.0, 1.0]]])
    # Probabilities 1/4, 1/4, 1/2. 0.7 on the target beside 0.3 / 3 on each: 0.8 log 2 + 0.1 log 4 + 0.1 log 4.
    smoothed = float(smoothed_nll(logits, torch.tensor([[2, IGNORED]]), 0.3))
    assert smoothed == pytest.approx((0.8 + 0.2 + 0.2) * math.log(2.0), rel=1e-6)


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_fp16_supported(), reason="fp16 needs AVX512-FP16")
def test_an_overflow_in_fp16_leaves_the_step_out_and_the_loss_scale_is_part_of_the_checkpoint(
    runs: LayoutRuns, tmp_path: Path
) -> None:
    changed = {"precision": "fp16", "engine.zero_stage": 1, "learning_rate": 0.002, "embedding_learning_rate": 0.002,
               "gradient_clipping": 0.2, "steps": 20}  # fmt: skip
    whole = runs.train(changed, 2, steps=10)
    assert whole["applied"] == [True] * 4 + [False] + [True] * 3 + [False, True], whole["said"]
    assert whole["norms"][4] == whole["norms"][8] == math.inf
    runs.train(changed, 2, steps=4, save=tmp_path / "step-4")
    over = runs.train(changed, 2, steps=5, load=tmp_path / "step-4", save=tmp_path / "step-5")
    assert over["weights"] == runs.train(changed, 2, steps=4)["weights"]
    index = json.loads((tmp_path / "step-5" / "index.json").read_text())
    assert index["optimizer_step"] == 4
    assert index["loss_scaler"]["last_overflow_iter"] == 4
    rest = runs.train(changed, 2, steps=10, load=tmp_path / "step-5")
    assert (rest["losses"], rest["weights"]) == (whole["losses"][5:], whole["weights"])


def test_it_goes_on_under_other_layouts_and_numbers_of_processes(runs: LayoutRuns, tmp_path: Path) -> None:
    whole = runs.train({}, steps=5)
    folder = None
    layouts = [
        ({"engine.zero_stage": 2}, 2),
        ({"engine.zero_stage": 3}, 1),
        ({"engine.zero_stage": 1, "engine.pipeline_stages": 2}, 2),
        ({"engine.zero_stage": 0, "engine.tensor_parallel": 2}, 2),
        ({"engine.zero_stage": 3}, 2),
    ]
    for step, (changed, processes) in enumerate(layouts, start=1):
        saved = tmp_path / f"step-{step}"
        found = runs.train(changed, processes, steps=step, load=folder, save=saved)
        assert found["losses"] == pytest.approx(whole["losses"][step - 1 : step], rel=1e-5), found["said"]
        folder = saved


def test_a_run_in_bf16_goes_on_from_fp32_weights(runs: LayoutRuns, tmp_path: Path) -> None:
    runs.train({}, steps=2, save=tmp_path / "step-2")
    whole = runs.train({}, steps=3)
    found = runs.train({"precision": "bf16", "engine.zero_stage": 1}, steps=3, load=tmp_path / "step-2")
    assert found["losses"] == pytest.approx(whole["losses"][2:], rel=1e-2), found["said"]


def test_a_damaged_file_is_named_and_the_checkpoint_before_it_is_pointed_to(runs: LayoutRuns, tmp_path: Path) -> None:
    for step in (1, 2):
        runs.train({}, 2, steps=step, save=tmp_path / f"step-00{step}")
    damaged = tmp_path / "step-002" / "part-00001.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    found = runs.train({}, steps=3, load=tmp_path / "step-002")
    assert found["status"] == [1]
    assert "part-00001.safetensors: the checkpoint cannot be read: other bytes" in found["said"]
    assert "hint: delete" in found["said"]
    assert "training goes on from step-001, the checkpoint before it" in found["said"]
    assert runs.train({}, steps=3, load=tmp_path / "step-001")["status"] == [0]


def test_a_checkpoint_of_other_shards_or_another_model_is_refused_with_both_fingerprints(
    runs: LayoutRuns, tmp_path: Path
) -> None:
    runs.train({}, steps=1, save=tmp_path / "step-1", made_for={"shards": "a" * 64})
    found = runs.train({}, steps=2, load=tmp_path / "step-1", made_for={"shards": "b" * 64})
    assert found["status"] == [1]
    assert f"made for another shards\n  expected: shards {'b' * 12}\n  got: shards {'a' * 12}" in found["said"]
    found = runs.train({"model.rope_theta": 5000.0}, steps=2, load=tmp_path / "step-1", made_for={})
    assert (found["status"], "made for another model" in found["said"]) == ([1], True)


def test_killed_while_it_writes_it_leaves_no_index(runs: LayoutRuns, tmp_path: Path) -> None:
    found = runs.train({}, steps=1, save=tmp_path / "saving", env={"CORPUSMILL_KILL_AT": "pretrain:writing@5"})
    assert found["status"] == [-signal.SIGKILL]
    assert [path.name for path in (tmp_path / "saving").iterdir()] == ["part-00000.safetensors"]


def test_a_full_disk_ends_all_processes_with_one_message(runs: LayoutRuns, tmp_path: Path) -> None:
    found = runs.train({"engine.zero_stage": 2}, 2, steps=1, save=tmp_path / "saving", file_bytes=20_000)
    assert found["status"] == [1, 1]
    assert found["said"].count("error:") == 1
    assert "the checkpoint could not be saved: file too large" in found["said"]
    assert "hint: free some space and run again: training goes on from the checkpoint before" in found["said"]
    assert not (tmp_path / "saving" / "index.json").exists()
