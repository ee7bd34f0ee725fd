"""Pretraining as a command: what it writes, killed anywhere and run again, several processes, and what it refuses."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from corpora import digests, write_params
from safetensors.torch import load_file
from token_shards import KEY, PRETRAIN, TEXTS, changed_params, write_pack, write_rows, write_shard, write_tokenizer
from train_runs import ROOT, TrainRuns

from pipelines.spine.manifest import read_manifest, write_manifest
from train.data import TokenRows
from train.order import Order, share_of
from train.saved import read_model
from train.scoring import batch_scores

#: All that a run can do beside its steps: 18 rows an epoch, so that epochs end at steps 5, 9 and 14; a spike at step 12
#: that leads back to step 6; snapshots and their average.
STEADY = {
    "source_weights": {"s": 0.15}, "steps": 14, "monitor_every": 7, "snapshots": 2, "final_weights": "average",
    "spikes.action": "rollback", "spikes.window": 3, "spikes.deviations": 1.0, "spikes.skip_before": 3,
}  # fmt: skip
#: In this order, each life of the run dies at the next point: at the end all of them lie behind it.
KILL_POINTS = (
    "pretrain:start",  # before the first step
    "pretrain:snapshot",  # step 3: evaluated, its snapshot written, no checkpoint yet
    "pretrain:saving",  # inside the first save, between write and publish
    "pretrain:step:4",  # after a step without a checkpoint
    "pretrain:epoch",  # step 5: the epoch has its line
    "pretrain:saving",  # inside the second save: the first one stands
    "pretrain:saved",  # the pointer is written, nothing else
    "pretrain:rollback",  # step 12: the pointer names step 6 again, the checkpoint of step 9 lies there still
    "pretrain:saving@2",  # step 9, for the second time in this life
    "pretrain:step:14",  # all steps done, nothing published
    "pretrain:snapshot",  # of the last evaluation, after the last checkpoint
    "pretrain:linked",  # between the files and the manifest
    "pretrain:manifest",  # between manifest and exit
)


def write_second_source(pack: Path) -> Path:
    """Adds the train shard a second time, as rows of source t; returns the folder."""
    shards = list(read_manifest(pack).shards)
    (train,) = [shard for shard in shards if shard.split == "train"]
    table = pa.ipc.open_stream((pack / train.name).read_bytes()).read_all()
    table = table.replace_schema_metadata({**table.schema.metadata, b"source": b"t"})
    shards.append(write_shard(pack / train.name.replace("train-s", "train-t"), table))
    write_manifest(pack, shards)
    return pack


class Place:
    """A corpus, a tokenizer, and commands that train on them."""

    def __init__(self, folder: Path, runs: TrainRuns) -> None:
        self.folder, self.runs = folder, runs
        self.tokenizer = write_tokenizer(folder / "tokenizer.json")
        self.pack = write_pack(folder / "pack", self.tokenizer)

    def argv(self, out: str, cache: str, **changed: object) -> list[str]:
        params = write_params(self.folder / f"{out}.yaml", pretrain=changed_params(PRETRAIN, changed))
        options = {"input": self.pack, "output": self.folder / out, "params": params, "tokenizer": self.tokenizer}
        options |= {"cache": self.folder / cache, "logs": self.folder / "logs"}
        return [part for name, value in options.items() for part in (f"--{name}", str(value))]

    def train(self, out: str, env: dict[str, str] | None = None, cache: str = "", **changed: object) -> tuple[int, str]:
        return self.runs.run("train.pretrain", self.argv(out, cache or f"cache-{out}", **changed), **env or {})

    def train_by_two(self, out: str, **changed: object) -> tuple[int, str]:
        """The status of the process that leads, and what both said; nobody waits for a launcher's imports."""
        (status, said), (_, more) = self.runs.run_ranks(
            [self.argv(out, f"cache-{out}", **changed)] * 2, [self.folder] * 2
        )
        return status, said + more

    def curve(self, out: str, name: str = "curve.csv") -> list[dict[str, float]]:
        with open(self.folder / out / name, encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("pretrain")
    with TrainRuns(folder) as runs:
        place = Place(folder, runs)
        assert place.train("first") == (0, place.runs.log.read_text())
        yield place


@pytest.fixture(scope="module")
def steady(place: Place) -> str:
    """What a run said that did everything in one life."""
    status, said = place.train("steady", **STEADY)
    assert status == 0, said
    return said


def test_it_learns_and_writes_model_curves_and_metrics(place: Place) -> None:
    assert [shard.name for shard in read_manifest(place.folder / "first").check().shards] == [
        "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    curve, val = place.curve("first"), place.curve("first", "val.csv")
    assert [row["step"] for row in curve] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [row["tokens"] for row in curve] == [64 * step for step in range(1, 9)]
    assert curve[0]["learning_rate"] == 0.01
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.3
    assert all(0 < row["gradient_norm"] < 10 for row in curve)
    assert [row["step"] for row in val] == [3, 6, 8]
    metrics = json.loads((place.folder / "first" / "metrics.json").read_text())
    assert (metrics["steps"], metrics["tokens"], metrics["val"]["tokens"]) == (8, 512, 713)
    assert metrics["val"]["loss"] == pytest.approx(val[-1]["loss"], abs=1e-6)


def test_the_ledger_counts_every_position_of_every_step(place: Place) -> None:
    ledger = json.loads((place.folder / "first" / "ledger.json").read_text())
    assert (ledger["counts"], ledger["in"]) == ("tokens", 8 * 4 * 16)
    assert ledger["out"]["trained"] + sum(ledger["reasons"].values()) == 512
    assert set(ledger["reasons"]) == {"masked.context", "masked.padding"}
    assert ledger["apart"] == {"source.s": 512}


def test_source_weights_shape_the_batches_and_the_ledger_counts_by_source(place: Place, tmp_path: Path) -> None:
    pack = write_second_source(write_pack(tmp_path / "pack", place.tokenizer))
    (first, num_rows), (second, _) = TokenRows(pack, "train").sources
    assert (first, second) == ("s", "t")
    weights = {"s": 0.5, "t": 1.5}
    shares = [share_of(weight, num_rows) for weight in weights.values()]
    argv = place.argv("weighted", "cache-weighted", source_weights=weights, steps=sum(shares) // 4)
    argv[argv.index("--input") + 1] = str(pack)
    # Killed and run again: the counts by source go on where the checkpoint left them.
    assert place.runs.run("train.pretrain", argv, CORPUSMILL_KILL_AT="pretrain:step:4")[0] == -signal.SIGKILL
    status, said = place.runs.run("train.pretrain", argv)
    assert (status, "goes on after step 3" in said) == (0, True)
    order = Order(PRETRAIN["seed"], (("s", num_rows), ("t", num_rows)), weights)
    of_s = sum(row < num_rows for row in order.rows(0, sum(shares) // 4 * 4).tolist())
    ledger = json.loads((place.folder / "weighted" / "ledger.json").read_text())
    assert ledger["apart"] == {"source.s": of_s * 16, "source.t": (sum(shares) // 4 * 4 - of_s) * 16}
    assert abs(of_s - shares[0]) <= 3  # the epoch but for the rows that fill no step
    assert sum(ledger["apart"].values()) == ledger["in"]


def test_killed_anywhere_and_run_again_it_ends_with_the_same_bytes(place: Place, steady: str) -> None:
    for point in KILL_POINTS:
        status, said = place.train("killed", {"CORPUSMILL_KILL_AT": point}, **STEADY)
        assert status == -signal.SIGKILL, f"{point}: {said}"
    status, said = place.train("killed", **STEADY)
    assert status == 0, said
    assert digests(place.folder / "killed") == digests(place.folder / "steady")


def test_a_spike_leads_back_to_a_checkpoint_before_it_and_the_order_of_batches_stays(place: Place, steady: str) -> None:
    assert "warning: step 12: the loss 4.654 is a spike (above 4.515); back to step 6, steps 9 to 12 are left" in steady
    assert place.train("calm", **{**STEADY, "spikes.action": "none", "steps": 14})[0] == 0
    curve, calm = place.curve("steady"), place.curve("calm")
    assert [row["step"] for row in curve] == list(range(1, 15))
    # The same batches meet the same weights up to step 9, whose update is the first to be left out.
    assert curve[:9] == calm[:9]
    assert [row["loss"] == calm[i]["loss"] for i, row in enumerate(curve[9:], start=9)] == [False] * 5
    metrics = json.loads((place.folder / "steady" / "metrics.json").read_text())
    assert (metrics["left_out"], metrics["steps"], metrics["stopped_early"]) == ([9, 10, 11, 12], 14, False)
    ledger = json.loads((place.folder / "steady" / "ledger.json").read_text())
    assert (ledger["in"], ledger["out"]) == (14 * 64, {"trained": 638})
    assert ledger["reasons"] == {"left_out.update": 249, "masked.context": 6, "masked.padding": 3}


def test_epochs_and_gradients_by_layer_have_their_tables(place: Place, steady: str) -> None:
    epochs, val = place.curve("steady", "epochs.csv"), place.curve("steady", "val.csv")
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    assert [row["step"] for row in val] == [3, 5, 6, 9, 12, 14]
    assert [(row["val_loss"], row["val_accuracy"]) for row in epochs] == [
        (row["loss"], row["accuracy"]) for row in val if row["step"] in (5, 9, 14)
    ]
    with open(place.folder / "steady" / "gradients.csv", encoding="utf-8") as file:
        rows = [(int(row["step"]), row["layer"]) for row in csv.DictReader(file)]
    assert rows == [(step, name) for step in (7, 14) for name in ("embed_tokens", "layers.0", "layers.1", "norm")]
    metrics = json.loads((place.folder / "steady" / "metrics.json").read_text())
    assert metrics["train"]["loss"] == pytest.approx(epochs[-1]["train_loss"], abs=1e-6)
    assert metrics["best"] == {"step": 14, "loss": round(val[-1]["loss"], 6)}


def test_a_part_of_an_epoch_has_a_line_with_its_fraction(place: Place) -> None:
    (row,) = place.curve("first", "epochs.csv")
    assert row["epoch"] == pytest.approx(32 / 119)
    assert row["train_loss"] == pytest.approx(sum(r["loss"] for r in place.curve("first")) / 8, rel=0.01)


def test_the_mean_of_the_snapshots_is_published_with_its_own_score(place: Place, steady: str) -> None:
    folder = place.folder / "steady"
    names = [shard.name for shard in read_manifest(folder).check().shards]
    assert names == [
        "config.json", "model.safetensors", "snapshots/step-000012.safetensors", "snapshots/step-000014.safetensors",
        "tokenizer.json",
    ]  # fmt: skip
    mean, *parts = (load_file(folder / name) for name in names[1:4])
    for name, tensor in mean.items():
        assert torch.allclose(tensor, (parts[0][name] + parts[1][name]) / 2, rtol=1e-6, atol=0)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["weights"] == "average"
    assert metrics["val_last"]["loss"] == metrics["best"]["loss"] != metrics["val"]["loss"]
    model, config = read_model(folder)
    val = TokenRows(place.pack, "val")
    (part,) = batch_scores(model, val, [range(val.num_rows)], torch.device("cpu"), config.within_documents)
    assert metrics["val"]["loss"] == pytest.approx(part[0] / part[1], abs=1e-6)


def test_a_spike_is_skipped_and_samples_are_said(place: Place) -> None:
    changed = {**STEADY, "spikes.action": "skip", "final_weights": "last", "sample_prompt": "The", "sample_tokens": 2}
    status, said = place.train("skips", **changed)
    assert (status, "step 12: the loss 4.654 is a spike (above 4.515); it is left out" in said) == (0, True)
    sizes = "width 16, num_layers 2, num_heads 4, num_kv_heads 2, mlp_width 24"
    assert f"pretrain decoder {sizes}: 0.008032 M parameters (0.00392 M without embeddings)" in said
    assert said.count("The") == 6
    curve, weights = place.curve("skips"), json.loads((place.folder / "skips" / "metrics.json").read_text())
    assert (weights["left_out"], weights["weights"], len(curve)) == ([12], "last", 14)


def test_training_stops_early_also_when_it_was_killed_there(place: Place) -> None:
    changed = {"embedding_learning_rate": 1.0, "schedule": "constant", "early_stopping_patience": 1, "steps": 20,
               "source_weights": {"s": 0.15}}  # fmt: skip
    status, said = place.train("early", **changed)
    best = place.curve("early", "val.csv")[1]["loss"]
    told = f"pretrain stops at step 6: of the last 1 evaluations none was better than {best:.4f} of step 5; published"
    assert (status, told in said) == (0, True)
    metrics = json.loads((place.folder / "early" / "metrics.json").read_text())
    assert (metrics["stopped_early"], metrics["steps"], metrics["best"]["step"]) == (True, 6, 5)
    assert [row["step"] for row in place.curve("early", "val.csv")] == [3, 5, 6]
    assert [row["epoch"] for row in place.curve("early", "epochs.csv")] == [1, pytest.approx(24 / 18)]
    assert place.train("later", {"CORPUSMILL_KILL_AT": "pretrain:step:6"}, **changed)[0] == -signal.SIGKILL
    status, said = place.train("later", **changed)
    assert (status, "goes on after step 6" in said) == (0, True)
    assert digests(place.folder / "later") == digests(place.folder / "early")


def test_the_weights_of_the_best_evaluation_are_published_also_when_it_was_killed(place: Place) -> None:
    changed = {"embedding_learning_rate": 1.0, "schedule": "constant", "early_stopping_patience": 1, "steps": 20,
               "source_weights": {"s": 0.15}, "final_weights": "best"}  # fmt: skip
    status, said = place.train("best", **changed)
    assert (status, "of step 5; published are its weights by final_weights: best\n" in said) == (0, True), said
    metrics = json.loads((place.folder / "best" / "metrics.json").read_text())
    assert (metrics["weights"], metrics["steps"], metrics["best"]["step"]) == ("best", 6, 5)
    assert metrics["val"]["loss"] == pytest.approx(metrics["best"]["loss"], abs=1e-6)
    assert metrics["val_last"]["loss"] > metrics["val"]["loss"]
    until_then = {**changed, "steps": 5, "early_stopping_patience": 0, "final_weights": "last"}
    assert place.train("five", **until_then)[0] == 0
    model = (place.folder / "best" / "model.safetensors").read_bytes()
    assert model == (place.folder / "five" / "model.safetensors").read_bytes()
    for point in ("pretrain:snapshot", "pretrain:step:4", "pretrain:step:6"):
        assert place.train("best-killed", {"CORPUSMILL_KILL_AT": point}, **changed)[0] == -signal.SIGKILL, point
    assert place.train("best-killed", **changed)[0] == 0
    assert digests(place.folder / "best-killed") == digests(place.folder / "best")


def test_a_loss_that_is_no_number_leaves_its_batch_as_a_file(place: Place) -> None:
    changed = {"learning_rate": 1.0e30, "gradient_clipping": 0.0, "engine.rows_per_micro_batch": 1}
    status, said = place.train_by_two("nan", **changed)
    assert (status, said.count("error:"), "Traceback" in said) == (1, 1, False)
    (path,) = (place.folder / "cache-nan").glob("train/*/batch-step-000002.json")
    found = json.loads(path.read_text())
    rows = TokenRows(place.pack, "train")
    indices = Order(PRETRAIN["seed"], rows.sources, {}).rows(4, 4).tolist()
    assert (found["step"], found["loss"], found["first_sample"]) == (2, "nan", 4)
    assert [row["row"] for row in found["rows"]] == indices
    assert [row["tokens"] for row in found["rows"]] == [rows.tokens(index).tolist() for index in indices]
    document = rows.shards[0].doc_ids(indices[0])[0]
    assert found["rows"][0]["segments"][0]["doc_id"] == document
    assert f"pretrain, step 2: the loss is no number any more (nan)\n  got: documents {document}, " in said
    assert str(path) in said


def test_a_loss_that_never_comes_back_ends_training(place: Place) -> None:
    status, said = place.train("lost", **{"spikes.action": "skip", "learning_rate": 1.0e30, "gradient_clipping": 0.0})
    assert status == 1
    assert "step 4: the loss is no number any more (nan), as in more than half of the last 4 steps" in said


def test_without_an_earlier_checkpoint_a_rollback_says_so(place: Place) -> None:
    status, said = place.train("nowhere", **{**STEADY, "spikes.deviations": -0.0, "checkpoint_every": 13})
    assert (status, "and there is no checkpoint before step" in said) == (1, True)
    assert "hint: lower checkpoint_every" in said


def test_a_rerun_goes_on_after_the_checkpoint_and_cuts_the_curve_back(place: Place) -> None:
    place.train("again", {"CORPUSMILL_KILL_AT": "pretrain:step:5"})
    (folder,) = (place.folder / "cache-again" / "train").iterdir()
    assert (folder / "latest").read_text() == "step-000000003\n"
    assert len((folder / "curve.csv").read_text().splitlines()) == 6
    # In another layout: how a step is computed is no part of what the checkpoint fits.
    layout = {"engine.rows_per_micro_batch": 4}
    status, said = place.train("again", {"CORPUSMILL_KILL_AT": "pretrain:start"}, **layout)
    assert (status, "pretrain goes on after step 3" in said) == (-signal.SIGKILL, True)
    assert len((folder / "curve.csv").read_text().splitlines()) == 4


def test_other_parameters_start_afresh_and_the_former_ones_go_on(place: Place) -> None:
    place.train("both", {"CORPUSMILL_KILL_AT": "pretrain:step:5"})
    status, said = place.train("both", learning_rate=0.03)
    assert (status, "goes on" in said) == (0, False)
    status, said = place.train("both")
    assert (status, "goes on after step 3" in said) == (0, True)
    assert digests(place.folder / "both") == digests(place.folder / "first")


def test_other_source_weights_start_afresh(place: Place) -> None:
    place.train("weights", {"CORPUSMILL_KILL_AT": "pretrain:step:5"})
    status, said = place.train("weights", source_weights={"s": 0.5})
    assert (status, "goes on" in said) == (0, False)
    assert place.curve("weights")[-1]["loss"] != place.curve("first")[-1]["loss"]


def test_two_checkpoints_are_kept(place: Place) -> None:
    (folder,) = (place.folder / "cache-first" / "train").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "curve.csv", "epochs.csv", "latest", "lock", "step-000000006", "step-000000008", "val.csv",
    ]  # fmt: skip


def test_a_damaged_checkpoint_is_refused_by_name(place: Place) -> None:
    place.train("damaged", {"CORPUSMILL_KILL_AT": "pretrain:step:4"})
    (state,) = (place.folder / "cache-damaged" / "train").rglob("part-00000.safetensors")
    state.write_bytes(state.read_bytes()[:1000])
    status, said = place.train("damaged")
    assert status == 1
    assert "step-000000003/part-00000.safetensors: the checkpoint cannot be read: another size" in said
    assert "hint: delete" in said


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("muon", {"gradient_clipping": 0.1}),
        (
            "zero2",
            {"optimizer": "adamw", "engine.zero_stage": 2, "attention": "row", "schedule": "cosine", "val_rows": 9},
        ),
    ],
)
def test_two_processes_have_the_losses_of_one(place: Place, name: str, changed: dict) -> None:
    one, two = f"{name}-1", f"{name}-2"
    assert place.train(one, **{"steps": 4, "engine.rows_per_micro_batch": 4, **changed})[0] == 0
    changed = {"steps": 4, "engine.rows_per_micro_batch": 1, **changed}
    if name == "muon":
        status, said = place.train(two, {"CORPUSMILL_PROCESSES": "2"}, **changed)
    else:
        status, said = place.train_by_two(two, **changed)
    assert status == 0, said
    for file, column in (("curve.csv", "loss"), ("curve.csv", "gradient_norm"), ("val.csv", "loss")):
        ours, theirs = ([row[column] for row in place.curve(out, file)] for out in (one, two))
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_of_several_processes_one_says_what_is_wrong(place: Place) -> None:
    changed = {"rows_per_step": 3, "engine.rows_per_micro_batch": 1}
    status, said = place.train("three", {"CORPUSMILL_PROCESSES": "2"}, **changed)
    assert status == 1
    assert said.count("error:") == 1
    assert "a step does not divide into micro batches" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rows_per_step": 5}, "a step does not divide into micro batches"),
        ({"source_weights": {"wiki": 2.0}}, "there are no train rows of source wiki"),
        ({"source_weights": {"s": -1.0}}, "no weight of a source"),
        ({"source_weights": {"s": "much"}}, "wrong type"),
        ({"source_weights": {"s": 0.0}}, "an epoch without rows"),
        ({"rows_per_step": 120}, "the train rows do not fill a step\n  expected: rows_per_step up to 119"),
        ({"model.size.num_heads": 3}, "width does not split into heads of even width"),
    ],
)
def test_what_cannot_train_ends_with_one_message(place: Place, changed: dict, message: str) -> None:
    status, said = place.train("refused", cache="cache-refused", **changed)
    assert (status, said.count("error:")) == (1, 1)
    assert message in said
    assert "Traceback" not in said
    assert not (place.folder / "refused" / "manifest.json").exists()


def test_shards_of_another_tokenizer_are_refused(place: Place, tmp_path: Path) -> None:
    pack = write_rows(
        tmp_path / "pack",
        "train",
        [{"tokens": [0, 1, 2], "segment_lengths": [3], "doc_offsets": [0], "doc_ids": ["a"]}],
    )
    argv = place.argv("other", "cache-other")
    argv[argv.index("--input") + 1] = str(pack)
    status, said = place.runs.run("train.pretrain", argv)
    assert (status, "no rows in split val" in said) == (1, True)
    full = write_pack(tmp_path / "full", write_tokenizer(tmp_path / "tokenizer.json"), texts=TEXTS[:20])
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text() + "\n")
    argv[argv.index("--input") + 1] = str(full)
    argv[argv.index("--tokenizer") + 1] = str(tmp_path / "tokenizer.json")
    status, said = place.runs.run("train.pretrain", argv)
    assert (status, "the shards were packed with another tokenizer" in said) == (1, True)


def rewritten(pack: Path, split: str, **facts: object) -> None:
    """Gives the split's shard other schema metadata."""
    shards = [shard for shard in read_manifest(pack).shards if shard.split != split]
    (name,) = (shard.name for shard in read_manifest(pack).of_split(split))
    table = pa.ipc.open_stream((pack / name).read_bytes()).read_all()
    more = {key.encode(): str(value).encode() for key, value in facts.items()}
    table = table.replace_schema_metadata({**table.schema.metadata, **more})
    write_manifest(pack, [*shards, write_shard(pack / name, table)])


def refusal(place: Place, pack: Path, **options: Path) -> str:
    """What a run on those shards says; it must end with status 1 and one message."""
    argv = place.argv("bad", "cache-bad")
    for name, value in {"input": pack, **options}.items():
        argv[argv.index(f"--{name}") + 1] = str(value)
    status, said = place.runs.run("train.pretrain", argv)
    assert (status, said.count("error:"), "Traceback" in said) == (1, 1, False)
    assert not (place.folder / "bad" / "manifest.json").exists()
    return said


def test_ids_beyond_the_vocabulary_are_refused_by_shard_and_row(place: Place, tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "pack", place.tokenizer)
    for split in ("train", "val"):
        rewritten(pack, split, vocab_size=150)
    said = refusal(place, pack)
    assert f"train-s-{KEY}.arrow: row " in said
    assert "a token id beyond the vocabulary\n  expected: below 150" in said


def test_shards_that_do_not_fit_together_or_are_missing_are_refused(place: Place, tmp_path: Path) -> None:
    assert "no manifest: the stage that writes this folder has not finished" in refusal(place, tmp_path / "none")
    pack = write_pack(tmp_path / "pack", place.tokenizer)
    rewritten(pack, "val", seq_len=8)
    assert "train and val shards have another seq_len\n  expected: 16, as in train" in refusal(place, pack)
    shards = read_manifest(pack).shards
    write_manifest(pack, [shard for shard in shards if shard.split != "val"])
    assert "no rows in split val" in refusal(place, pack)
    write_manifest(pack, [])
    assert "no rows in split train" in refusal(place, pack)
    assert "no tokenizer" in refusal(place, place.pack, tokenizer=tmp_path / "tokenizer.json")


def test_a_checkpoint_of_another_model_is_refused_with_both_fingerprints(place: Place) -> None:
    kill = {"CORPUSMILL_KILL_AT": "pretrain:step:3"}
    place.train("mixed", kill, **{"model.size.mlp_width": 32})
    (other,) = (place.folder / "cache-mixed" / "train").iterdir()
    place.train("mixed", kill)
    (own,) = (path for path in other.parent.iterdir() if path != other)
    shutil.rmtree(own)
    other.rename(own)
    status, said = place.train("mixed")
    assert (status, "step-000000003" in said) == (1, True)
    assert "model" in said
    assert all(word in said for word in ("expected: ", "got: ", "hint: "))


def test_the_running_average_is_published_with_its_own_score(place: Place) -> None:
    status, said = place.train("ema", ema_decay=0.5, final_weights="ema")
    assert status == 0, said
    metrics = json.loads((place.folder / "ema" / "metrics.json").read_text())
    assert metrics["weights"] == "ema"
    assert metrics["val_last"]["loss"] == metrics["best"]["loss"] != metrics["val"]["loss"]
    assert f"publishes the weights of final_weights: ema, val {metrics['val']['loss']:.3f}  " in said
    # Of weights that keep learning, the average lags behind.
    assert metrics["val_last"]["loss"] < metrics["val"]["loss"] < place.curve("ema", "val.csv")[0]["loss"]


def test_a_second_run_of_the_same_training_is_refused_and_sigterm_ends_the_first_cleanly(place: Place) -> None:
    argv = place.argv("long", "cache-long", steps=100000, checkpoint_every=50000, evaluate_every=100000)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(
        [sys.executable, "-m", "train.pretrain", *argv], env=environment, cwd=place.folder, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not list((place.folder / "cache-long").glob("train/*/curve.csv")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    argv[argv.index("--output") + 1] = str(place.folder / "elsewhere")
    status, said = place.runs.run("train.pretrain", argv)
    assert (status, "another process is writing here" in said) == (1, True)
    first.send_signal(signal.SIGTERM)
    _, said_first = first.communicate(timeout=30)
    assert first.returncode == 130
    assert b"Traceback" not in said_first


def test_a_process_that_is_killed_ends_the_others_with_one_message_and_the_rerun_goes_on(place: Place) -> None:
    out = "partner"
    argv = place.argv(out, f"cache-{out}", steps=100000, checkpoint_every=20, evaluate_every=50000)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CORPUSMILL_PROCESSES": "2"}
    launcher = subprocess.Popen(
        [sys.executable, "-m", "train.pretrain", *argv], env=environment, cwd=place.folder, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not (pointers := list((place.folder / f"cache-{out}").glob("train/*/latest"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = {_environment(child)["RANK"]: child for child in _children(launcher.pid)}
    os.kill(workers["1"], signal.SIGKILL)  # the other one waits for it, and talks
    said = launcher.communicate(timeout=60)[1].decode()
    assert launcher.returncode == 1
    assert (said.count("error:"), "Traceback" in said) == (1, False), said
    assert "process 1 of 2 was ended by signal 9; the others were stopped" in said
    assert "hint: run again: it goes on from the last checkpoint" in said
    assert not [worker for worker in workers.values() if Path(f"/proc/{worker}").exists()]
    step = int(pointers[0].read_text().partition("-")[2])
    status, said = place.runs.run("train.pretrain", argv, CORPUSMILL_KILL_AT="pretrain:start")
    assert (status, f"pretrain goes on after step {step}" in said) == (-signal.SIGKILL, True), said


def _children(process: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _environment(process: int) -> dict[str, str]:
    parts = Path(f"/proc/{process}/environ").read_text().split("\0")
    return dict(part.split("=", 1) for part in parts if "=" in part)
