"""Stopped under DVC by any signal: no process stays, the rerun goes on, and ``dvc.lock`` is that of an undisturbed run."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from corpora import write_params
from token_shards import PRETRAIN, TEXTS, changed_params, write_pack, write_tokenizer

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 60.0


class Repository:
    """A DVC repository of one stage; all that runs in it can be told from other processes by a mark."""

    def __init__(self, folder: Path, stage: Mapping[str, object]) -> None:
        self.folder, self.log, self.mark = folder, folder / "log.txt", f"CORPUSMILL_TEST={uuid.uuid4().hex}"
        folder.mkdir(exist_ok=True)
        name, value = self.mark.split("=")
        given = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{folder}"}
        self.environment = {**os.environ, **given, "DVC_NO_ANALYTICS": "1", "DS_ACCELERATOR": "cpu", name: value}
        (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"stage": dict(stage)}}))
        subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=folder, env=self.environment, check=True)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """``dvc repro``, or another command, at the head of a process group as on a terminal."""
        with open(self.log, "wb") as log:
            return subprocess.Popen(
                command or ("dvc", "repro"), cwd=self.folder, env=self.environment, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def processes(self, word: str = "") -> list[int]:
        """Those that live, with the word on their command line."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = self.mark.encode() in (folder / "environ").read_bytes()
                if marked and word.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    @property
    def steps(self) -> int:
        """The last checkpoint of the run that trained last."""
        pointers = sorted(self.folder.glob(".cache/train/*/latest"), key=lambda path: path.stat().st_mtime)
        return int(pointers[-1].read_text().split("-")[1]) if pointers else 0


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def training_repository(folder: Path) -> Repository:
    write_tokenizer(folder / "tokenizer.json")
    write_pack(folder / "pack", folder / "tokenizer.json")
    changed = {"steps": 240, "checkpoint_every": 20, "evaluate_every": 120, "val_rows": 4}
    write_params(folder / "params.yaml", pretrain=changed_params(PRETRAIN, changed))
    command = "python -m train.pretrain --input pack --tokenizer tokenizer.json --output pretrain"
    return Repository(folder, {"cmd": command, "deps": ["pack/manifest.json"], "outs": ["pretrain"]})


def train_until(repository: Repository, steps: int) -> tuple[subprocess.Popen[bytes], int]:
    """A run of DVC that has trained up to a checkpoint, and where it went on."""
    run, before = repository.start(), repository.steps
    wait_for(lambda: repository.steps >= steps and repository.steps != before, repository.log.read_text())
    found = re.search(r"pretrain goes on after step (\d+)", repository.log.read_text())
    return run, int(found[1]) if found else 0


def expect_gone(repository: Repository, run: subprocess.Popen[bytes]) -> None:
    assert run.wait(PATIENCE_SECONDS) != 0
    wait_for(lambda: not repository.processes(), f"they stay: {repository.processes()}")


def test_stopped_by_every_signal_it_goes_on_and_ends_as_if_undisturbed(tmp_path: Path) -> None:
    undisturbed = training_repository(tmp_path / "undisturbed")
    whole = undisturbed.start()
    stopped = training_repository(tmp_path / "stopped")

    run, went_on = train_until(stopped, 20)
    os.killpg(run.pid, signal.SIGINT)  # Ctrl-C
    expect_gone(stopped, run)
    at_first = stopped.steps
    assert (went_on, at_first > 0) == (0, True)

    write_pack(stopped.folder / "pack", stopped.folder / "tokenizer.json", texts=TEXTS[::-1][5:])
    run, went_on = train_until(stopped, 0)
    run.terminate()  # DVC alone
    expect_gone(stopped, run)
    assert went_on == 0  # other shards: afresh

    write_pack(stopped.folder / "pack", stopped.folder / "tokenizer.json")
    run, went_on = train_until(stopped, at_first + 20)
    run.kill()  # DVC alone
    expect_gone(stopped, run)
    assert went_on == at_first
    at_third = stopped.steps

    run, went_on = train_until(stopped, at_third + 20)
    (trainer,) = stopped.processes("python\0-m\0train.pretrain")
    os.kill(trainer, signal.SIGKILL)
    expect_gone(stopped, run)
    assert went_on == at_third

    last = stopped.steps
    run = stopped.start()
    assert run.wait(PATIENCE_SECONDS) == 0, stopped.log.read_text()
    assert f"pretrain goes on after step {last}" in stopped.log.read_text()
    assert whole.wait(PATIENCE_SECONDS) == 0, undisturbed.log.read_text()
    assert "goes on" not in undisturbed.log.read_text()
    assert (stopped.folder / "dvc.lock").read_bytes() == (undisturbed.folder / "dvc.lock").read_bytes()


#: A stage of our kind that takes its time.
SLEEPER = """
import signal
import sys
import time
from pathlib import Path
from pipelines.spine import command

if "import" in sys.argv and __name__ == "__main__":
    Path("begun").touch()
    while not Path("killed").exists():
        time.sleep(0.05)

def main(argv):
    if "deaf" in argv:
        command.GRACE_SECONDS = 0.2
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("begun").touch()
    if "deaf" in argv:
        time.sleep(120)
    time.sleep(2)
    Path("out").touch()

if __name__ == "__main__":
    sys.exit(command.run_module("sleeper"))
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> Callable[[str], Repository]:
    def sleeper(option: str) -> Repository:
        repository = Repository(tmp_path / "sleeper", {"cmd": f"python sleeper.py {option}", "outs": ["out"]})
        (repository.folder / "sleeper.py").write_text(SLEEPER)
        return repository

    return sleeper


def test_a_run_in_the_background_outlives_the_shell_that_started_it(sleeper: Callable[[str], Repository]) -> None:
    repository = sleeper("")
    begun = repository.folder / "begun"
    shell = repository.start("sh", "-c", "dvc repro & while [ ! -e begun ]; do sleep 0.1; done; sleep 0.3")
    assert shell.wait(PATIENCE_SECONDS) == 0
    assert begun.exists()
    wait_for((repository.folder / "dvc.lock").exists, repository.log.read_text())
    wait_for(lambda: not repository.processes(), f"they stay: {repository.processes()}")


def test_a_stage_whose_dvc_dies_while_it_imports_ends_after_that(sleeper: Callable[[str], Repository]) -> None:
    repository = sleeper("import")
    run = repository.start()
    wait_for((repository.folder / "begun").exists, repository.log.read_text())
    run.kill()
    run.wait()
    (repository.folder / "killed").touch()
    expect_gone(repository, run)
    assert not (repository.folder / "out").exists()


def test_a_stage_that_hears_no_signal_ends_with_dvc_all_the_same(sleeper: Callable[[str], Repository]) -> None:
    repository = sleeper("deaf")
    run = repository.start()
    wait_for((repository.folder / "begun").exists, repository.log.read_text())
    run.kill()
    expect_gone(repository, run)


def test_a_stage_adopted_from_a_dvc_that_died_before_it_began_ends_at_once(
    sleeper: Callable[[str], Repository],
) -> None:
    repository = sleeper("")
    repository.environment["DVC_STAGE"] = "stage"  # and a parent of another process group, as an orphan has
    run = repository.start(sys.executable, "sleeper.py")
    assert run.wait(PATIENCE_SECONDS) == 130
    assert not (repository.folder / "out").exists()
