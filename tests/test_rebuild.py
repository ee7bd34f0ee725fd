"""Change -> the stages that run, exactly; and what DVC is for: no-op, push and pull, experiments, older commits."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from corpora import words
from warm_python import FOR_DVC, FOR_STAGES, warm_python

ROOT = Path(__file__).resolve().parents[1]
TRAINING = ["pretrain", "evaluate", "export", "report"]
CORPUS = ["extract", "quality", "clean", "dedup", "decontaminate", "shard", "count", "learn", "measure", "pack"]


class Workspace:
    """A copy of the tracked files with a small corpus and a tiny model, in a git repository of its own.

    Args:
        folder: where it is.
        python: what DVC and its stages run by; the real one where none is given.
    """

    def __init__(self, folder: Path, python: Path = Path(sys.executable)) -> None:
        self.folder, self.python = folder, python

    @classmethod
    def copied_to(cls, folder: Path, python: Path) -> "Workspace":
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True,
            text=True,
        )  # fmt: skip
        for name in listed.stdout.split():
            if (
                name.startswith((".ci/", "tests/", "docs/", "bench/"))
                or name == "dvc.lock"
                or not (ROOT / name).exists()
            ):
                continue
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
        workspace = cls(folder, python)
        workspace.write_corpus()
        workspace.shrink_params()
        workspace.run("git", "init", "--quiet")
        workspace.commit("start")
        return workspace

    def write_corpus(self) -> None:
        for part in (1, 2):
            lines = [json.dumps({"id": f"{part}-{index}", "text": prose(100 * part + index)}) for index in range(60)]
            # A near copy at a similarity of about 0.87: kept or dropped by the threshold.
            lines.append(json.dumps({"id": f"{part}-near", "text": prose(100 * part) + " " + " ".join(words(1, 12))}))
            (self.folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n")

    def shrink_params(self) -> None:
        params = yaml.safe_load((self.folder / "params.yaml").read_text())
        params["fetch"]["sources"] = [
            {"name": "made", "kind": "jsonl", "path": "*.jsonl", "language": "en", "licence": "CC0", "sha256": "",
             "columns": {}, "options": {}},
        ]  # fmt: skip
        params["shard"] |= {"val_per_10000": 1500, "test_per_10000": 1500}
        params["shard"] |= {"leak_threshold": 1.0, "leak_containment": 0}  # else it takes the copies that dedup leaves
        params["dedup"]["containment_threshold"] = 0  # the near copies hold each other whole
        params["learn"] |= {"vocab_size": 300, "more_sizes": [280]}
        params["measure"]["references"] = []  # seconds of building theirs; its own tests compare with some
        params["pack"]["seq_len"] = 32
        params["pretrain"] |= {
            "steps": 4, "rows_per_step": 4, "evaluate_every": 2, "val_rows": 8, "checkpoint_every": 2, "warmup_steps": 1,
        }  # fmt: skip
        params["pretrain"]["engine"] |= {"rows_per_micro_batch": 4, "num_threads": 1}
        params["evaluate"]["num_threads"] = params["export"]["num_threads"] = 1
        params["export"]["onnx"] = False  # seconds at each export; its own test is beside the export's
        params["pretrain"]["model"]["size"] = {
            "width": 32, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2, "mlp_width": 64,
        }  # fmt: skip
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def run(self, *command: str, **environment: str) -> str:
        """Standard output of a command that must end well."""
        done = self.attempt(*command, **environment)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def attempt(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command, whatever its end."""
        path = f"{self.python.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        identity = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        given = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", **identity, **environment}
        if command[0] == "dvc":
            command = (str(self.python), "-m", *command)
        return subprocess.run(command, cwd=self.folder, env=given, capture_output=True, text=True, timeout=400)

    def repro(self, **environment: str) -> list[str]:
        """The stages that ran (or were taken from the run cache), `fetch` apart: it always looks."""
        return stages_in(self.run("dvc", "repro", **environment))

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "--quiet", "-m", message)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new, 1))

    def set_param(self, stage: str, name: str, value: object) -> None:
        params = yaml.safe_load((self.folder / "params.yaml").read_text())
        assert name in params[stage]
        params[stage][name] = value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def stages_in(output: str) -> list[str]:
    """Those that DVC says it ran, or took from its run cache, `fetch` apart."""
    ran = re.findall(r"Running stage '(\w+)'|Stage '(\w+)' is cached", output)
    return [first or second for first, second in ran if "fetch" not in (first, second)]


def prose(seed: int) -> str:
    """Enough like prose for the cleaning rules, and different for every seed."""
    return f"The {' '.join(words(seed, 70))} and that is what there is to say of it, with all that was to be said."


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The small workspace with the flow run once and committed."""
    with warm_python((*FOR_DVC, *FOR_STAGES)) as python:
        workspace = Workspace.copied_to(tmp_path_factory.mktemp("workspace"), python)
        assert workspace.repro() == CORPUS + TRAINING
        workspace.commit("built")
        yield workspace


@pytest.fixture
def workspace(built: Workspace) -> Iterator[Workspace]:
    """The built workspace; put back as it was afterwards."""
    yield built
    built.run("git", "clean", "--quiet", "-fd")
    built.run("git", "checkout", "--quiet", "--", ".")
    built.run("dvc", "checkout", "--force", "--quiet")


def test_touched_and_renamed_sources_more_workers_and_a_runner_file_run_nothing(workspace: Workspace) -> None:
    assert workspace.repro() == []
    (workspace.folder / "2.jsonl").touch()
    (workspace.folder / "1.jsonl").rename(workspace.folder / "9.jsonl")
    assert workspace.repro(CORPUSMILL_WORKERS="2", CORPUSMILL_RUNNER="runners/local.yaml") == []


def test_a_comment_in_a_module_of_train_runs_that_modules_stage(workspace: Workspace) -> None:
    workspace.edit("train/ngram.py", "import numpy as np\n", "import numpy as np  # a comment\n")
    assert workspace.repro() == ["evaluate"]


def test_a_threshold_that_changes_no_decision_runs_dedup_and_the_report_that_names_it(workspace: Workspace) -> None:
    workspace.set_param("dedup", "threshold", 0.81)
    assert workspace.repro() == ["dedup", "report"]


def test_a_threshold_that_changes_a_decision_rebuilds_what_follows(workspace: Workspace) -> None:
    workspace.set_param("dedup", "threshold", 0.95)
    assert workspace.repro() == ["dedup", "shard", "count", "learn", "measure", "pack", *TRAINING]


def test_another_further_size_of_the_vocabulary_is_measured_and_trains_nothing_anew(workspace: Workspace) -> None:
    workspace.set_param("learn", "more_sizes", [290])
    assert workspace.repro() == ["learn", "measure", "report"]


def test_a_shard_deleted_by_hand_runs_the_stage_that_made_it(workspace: Workspace) -> None:
    next((workspace.folder / "data" / "clean").glob("*.parquet")).unlink()
    assert workspace.repro() == ["clean"]


def test_a_fresh_clone_pulls_the_model_and_generates_without_a_rebuild(workspace: Workspace, tmp_path: Path) -> None:
    workspace.run("dvc", "remote", "add", "--local", "--default", "--force", "store", str(tmp_path / "store"))
    workspace.run("dvc", "push", "--quiet")
    clone = Workspace(tmp_path / "clone")
    workspace.run("git", "clone", "--quiet", ".", str(clone.folder))
    clone.run("dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    clone.run("dvc", "pull", "--quiet")
    said = ["python", "-m", "train.generate", "--prompt", "The ", "--max-tokens", "8", "--seed", "1"]
    assert clone.run(*said) == workspace.run(*said)


def test_an_experiment_with_a_learning_rate_runs_training_and_later_and_the_commit_brings_the_older_model(
    workspace: Workspace,
) -> None:
    shown = json.loads(workspace.run("dvc", "metrics", "show", "--json"))
    assert "data/evaluate/metrics.json" in shown[""]["data"]
    model = workspace.folder / "data" / "pretrain" / "model.safetensors"
    older = model.read_bytes()
    assert stages_in(workspace.run("dvc", "exp", "run", "-S", "pretrain.learning_rate=0.001")) == TRAINING
    assert model.read_bytes() != older
    differing = workspace.run("dvc", "metrics", "diff", "--json")
    assert "data/evaluate/metrics.json" in json.loads(differing)
    workspace.run("dvc", "plots", "show", "--out", "logs/plots")
    assert (workspace.folder / "logs" / "plots" / "index.html").exists()
    workspace.run("git", "checkout", "--quiet", "--", ".")
    workspace.run("dvc", "checkout", "--quiet")
    assert model.read_bytes() == older
