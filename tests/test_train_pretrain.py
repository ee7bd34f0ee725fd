"""Pretraining as a command: what it writes, killed anywhere and run again, several processes, and what it refuses."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from corpora import digests, write_params
from token_shards import PRETRAIN, TEXTS, changed_params, write_pack, write_rows, write_shard, write_tokenizer
from train_runs import ROOT, TrainRuns

from pipelines.spine.manifest import read_manifest, write_manifest
from train.data import TokenRows
from train.order import Order, share_of

#: In this order, each life of the run dies at the next point: at the end all of them lie behind it.
KILL_POINTS = (
    "pretrain:start",  # before the first step
    "pretrain:saving",  # inside the first save, between write and publish
    "pretrain:step:4",  # after a step without a checkpoint
    "pretrain:saving",  # inside the second save: the first one stands
    "pretrain:saved",  # the pointer is written, nothing else
    "pretrain:step:8",  # all steps done, nothing published
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


def test_killed_anywhere_and_run_again_it_ends_with_the_same_bytes(place: Place) -> None:
    for point in KILL_POINTS:
        status, said = place.train("killed", {"CORPUSMILL_KILL_AT": point})
        assert status == -signal.SIGKILL, f"{point}: {said}"
    status, said = place.train("killed")
    assert status == 0, said
    assert digests(place.folder / "killed") == digests(place.folder / "first")


def test_a_rerun_goes_on_after_the_checkpoint_and_cuts_the_curve_back(place: Place) -> None:
    place.train("again", {"CORPUSMILL_KILL_AT": "pretrain:step:5"})
    (folder,) = (place.folder / "cache-again" / "train").iterdir()
    assert (folder / "latest").read_text() == "step-000000003\n"
    assert len((folder / "curve.csv").read_text().splitlines()) == 6
    status, said = place.train("again", {"CORPUSMILL_KILL_AT": "pretrain:start"})
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
        "curve.csv", "latest", "lock", "step-000000006", "step-000000008", "val.csv",
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
    status, said = place.train(two, {"CORPUSMILL_PROCESSES": "2"}, **changed)
    assert status == 0, said
    for file, column in (("curve.csv", "loss"), ("curve.csv", "gradient_norm"), ("val.csv", "loss")):
        ours, theirs = ([row[column] for row in place.curve(out, file)] for out in (one, two))
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_of_several_processes_one_says_what_is_wrong(place: Place) -> None:
    status, said = place.train("three", {"CORPUSMILL_PROCESSES": "3"}, **{"engine.rows_per_micro_batch": 1})
    assert status == 1
    assert said.count("error:") == 1
    assert "a step does not divide into micro batches" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rows_per_step": 5}, "a step does not divide into micro batches"),
        ({"learning_rate": 1.0e30, "gradient_clipping": 0.0}, "the loss is no number any more"),
        ({"source_weights": {"wiki": 2.0}}, "there are no train rows of source wiki"),
        ({"source_weights": {"s": -1.0}}, "no weight of a source"),
        ({"source_weights": {"s": "much"}}, "wrong type"),
        ({"source_weights": {"s": 0.0}}, "an epoch without rows"),
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
