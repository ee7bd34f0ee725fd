"""What a checkpoint carries, the tables that are cut back to it, and the snapshots beside it."""

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from token_shards import SHAPE, write_tokenizer

from tokenizer.encoding import Encoder
from train.batches import StepBatch, StepTokens
from train.checkpoint import CheckpointFolder
from train.curves import Curve
from train.progress import EpochSums, Progress
from train.samples import continued
from train.shape import ModelParams
from train.snapshots import (
    best_name,
    delete_later_bests,
    delete_surplus,
    mean_weights,
    snapshot_name,
    surplus,
    write_snapshot,
)  # fmt: skip


def batch(step: int) -> StepBatch:
    """Four rows of 16 tokens: 50 targets, 10 of padding, 4 of context."""
    rows = None  # the engine's: nothing here looks at them
    return StepBatch(step, 4 * (step - 1), [1, 2, 3, 4], rows, StepTokens(50, 10, 4, {"s": 64}))  # type: ignore[arg-type]


def test_tokens_of_a_step_without_an_update_are_counted_apart_and_the_window_forgets_it() -> None:
    progress = Progress()
    for step, (loss, applied) in enumerate([(5.0, True), (9.0, False), (4.0, True), (3.0, True)], start=1):
        progress.count(batch(step), loss, 0.2, applied, window=2)
    assert (progress.trained, progress.padding, progress.context, progress.unused) == (150, 40, 16, 50)
    assert progress.by_source == {"s": 256}
    assert progress.losses == [4.0, 3.0]
    assert (progress.epoch.loss, progress.epoch.accuracy) == (4.0, 0.2)


def test_an_epoch_ends_with_the_step_that_reaches_its_last_row() -> None:
    progress, ended = Progress(), []
    for step in range(1, 8):
        progress.count(batch(step), 1.0, 0.0, True, window=1)
        if progress.epoch_ended(num_slots=10):
            ended.append((step, progress.samples // 10, progress.epoch.targets))
            progress.end_epoch(num_slots=10)
    assert ended == [(3, 1, 150), (5, 2, 100)]  # 12 and 20 rows
    assert (progress.epoch, progress.last_epoch) == (EpochSums(100, 100.0, 0), EpochSums(100, 100.0, 0))


def test_training_stops_when_patience_is_used_up() -> None:
    progress, stopped = Progress(), []
    for step, loss in enumerate([5.0, 4.0, 4.0, 3.9, 4.5, 4.1], start=1):
        progress.step = step
        progress.note_evaluation(loss, patience=2)
        stopped.append(progress.stopped_early)
    assert stopped == [False, False, False, False, False, True]
    assert (progress.best_step, progress.best_loss, progress.worse) == (4, 3.9, 2)


def test_progress_comes_back_from_plain_values() -> None:
    progress = Progress(step=3, losses=[5.0], epoch=EpochSums(3, 2.5, 1), by_source={"s": 2}, best_loss=4.0)
    assert Progress.from_dict(json.loads(json.dumps(dataclasses.asdict(progress)))) == progress


def test_each_table_is_cut_back_to_what_the_checkpoint_vouches_for(tmp_path: Path) -> None:
    written = Progress(step=9, evaluated=9, epochs=3)
    curves = {name: Curve(tmp_path / name, written) for name in ("curve.csv", "val.csv", "epochs.csv", "gradients.csv")}
    for step in (3, 6, 9):
        curves["curve.csv"].add(step, 1 / 3, float("nan"), 0.1, 1.0, 64)
        curves["val.csv"].add(step, 5.0, None, 7.0)
        curves["gradients.csv"].add(step, "layers.0", 1.0)
        curves["gradients.csv"].add(step, "norm", 2.0)
    for epoch in (1, 2, 2.25):
        curves["epochs.csv"].add(epoch, 5.0, 0.1, 5.0, 0.1)
    with open(tmp_path / "curve.csv", "a") as file:
        file.write("10,4.")  # killed inside a line
    for curve in curves.values():
        curve.cut_back(Progress(step=6, evaluated=3, epochs=2))
    assert {name: (tmp_path / name).read_text().splitlines()[1:] for name in curves} == {
        "curve.csv": ["3,0.333333333,,0.1,1,64", "6,0.333333333,,0.1,1,64"],
        "val.csv": ["3,5,,7"],
        "epochs.csv": ["1,5,0.1,5,0.1", "2,5,0.1,5,0.1"],
        "gradients.csv": ["3,layers.0,1", "3,norm,2", "6,layers.0,1", "6,norm,2"],
    }


def test_snapshots_stay_while_a_checkpoint_can_ask_for_them(tmp_path: Path) -> None:
    # Going on from step 300 needs 200 and 300, and from 400 also 400; 500 is of another life.
    assert surplus([500, 100, 200, 300, 400], most=2, oldest_checkpoint=300) == [100]
    assert surplus([200], most=2, oldest_checkpoint=300) == []
    for step in (100, 200, 300):
        write_snapshot(tmp_path / snapshot_name(step), ModelParams(**SHAPE), {"a": torch.ones(2)})
    delete_surplus(tmp_path, most=1, oldest_checkpoint=200)
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == [
        "step-000200.safetensors", "step-000300.safetensors",
    ]  # fmt: skip


def test_the_best_weights_of_each_checkpoint_stay_and_those_of_a_course_that_was_left_go(tmp_path: Path) -> None:
    def kept() -> list[int]:
        return sorted(int(path.stem[5:]) for path in (tmp_path / "best").iterdir())

    for step in (100, 200, 300, 500):
        write_snapshot(tmp_path / best_name(step), ModelParams(**SHAPE), {"a": torch.ones(2)})
    delete_surplus(tmp_path, most=0, oldest_checkpoint=400)  # whose best one is 300
    assert kept() == [300, 500]
    delete_later_bests(tmp_path, 400)
    assert kept() == [300]


def test_the_mean_of_weights_is_taken_in_float64(tmp_path: Path) -> None:
    for number, value in enumerate((1e8, 1.0, -1e8, 1.0)):
        save_file({"w": torch.full((2,), value), "n": torch.tensor([float(number)])}, tmp_path / str(number))
    mean = mean_weights([tmp_path / str(number) for number in range(4)])
    assert mean["w"].tolist() == [0.5, 0.5]  # in fp32 the first 1.0 would be lost
    assert (mean["n"].tolist(), mean["n"].dtype) == ([1.5], torch.float32)


def test_going_back_makes_an_earlier_checkpoint_the_latest_and_deletes_the_later_ones(tmp_path: Path) -> None:
    for step in (3, 6, 9):
        (tmp_path / f"step-{step:09d}").mkdir()
    (tmp_path / "latest").write_text("step-000000009\n")
    checkpoints = CheckpointFolder(tmp_path, leads=True)
    assert checkpoints.go_back(2) is None
    assert (tmp_path / "latest").read_text() == "step-000000009\n"
    assert checkpoints.go_back(7) == tmp_path / "step-000000006"
    assert (tmp_path / "latest").read_text() == "step-000000006\n"
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-000000003", "step-000000006"]


def test_checkpoints_later_than_the_latest_are_deleted(tmp_path: Path) -> None:
    for step in (3, 6):
        (tmp_path / f"step-{step:09d}").mkdir()
    CheckpointFolder(tmp_path, leads=True).drop_later(tmp_path / "step-000000003")
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000003"]


def test_a_sample_is_the_prompt_and_the_likeliest_tokens_up_to_the_end_of_the_document(tmp_path: Path) -> None:
    encoder = Encoder(write_tokenizer(tmp_path / "tokenizer.json"))  # id 0 starts a document, 1 + byte else
    seen = []

    def next_is(*answers: int) -> object:
        waiting = iter(answers)

        def logits_of(tokens_BT: torch.Tensor) -> torch.Tensor:
            seen.append(tokens_BT.tolist()[0])
            logits_BTV = torch.zeros(1, tokens_BT.shape[1], 257)
            logits_BTV[0, -1, next(waiting)] = 1.0
            return logits_BTV

        return logits_of

    ids = {letter: int(encoder.encode_batch([letter])[0][0]) for letter in "abcd"}
    logits_of = next_is(ids["b"], ids["c"], 0, ids["d"])
    assert continued(logits_of, encoder, "a", num_tokens=4, context=3) == "abc"  # type: ignore[arg-type]
    assert seen == [[0, ids["a"]], [0, ids["a"], ids["b"]], [ids["a"], ids["b"], ids["c"]], [ids["b"], ids["c"], 0]]
    assert continued(lambda tokens_BT: None, encoder, "a", num_tokens=4, context=3) is None
