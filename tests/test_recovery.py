"""kill -9 at every point of every corpus stage, then run again: the same final bytes, and only unfinished units.

Runs are forks of one process that has imported Beam (`PipelineRuns`); where there are several workers, Beam starts them.
"""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from corpora import digests, words
from warm_runs import PipelineRuns

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("extract", "clean", "dedup", "shard", "count", "learn", "pack")
NUM_UNITS = 8
#: Before the first unit, between units, between write and publish, and after it; each run gets a little further.
UNIT_POINTS = ("unit", "unit@2", "written@3", "published@4")
#: What some stages do once all units are done.
LATER_POINTS = {
    "dedup": ("repeats@2", "pairs", "verified", "resolved", "decided@2"),
    "shard": ("indexed", "unit@2"),
    "count": ("merged",),
}
#: Between the links and the manifest, and between the manifest and the end.
LAST_POINTS = ("linked", "manifest")


def write_raw(folder: Path, part: int) -> None:
    lines = []
    for index in range(12):
        # Index 0 is the same text in every file: exact copies. Index 1 differs in a word: near copies. The others differ.
        text = " ".join(words(100 * part * (index > 1) + index, 60))
        text += f" word{part}" * (index == 1)
        sentence = f"The {text} and that is what there is to say of it, with all the rest that was to be said."
        lines.append(json.dumps({"id": f"{part}-{index}", "text": sentence}))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n")


def command(stage: str, folder: Path, before: Path, params: Path) -> list[str]:
    """Module and arguments of one stage: it reads the folders of ``before``, and writes ``folder/<stage>``."""
    inputs = {"extract": before / "raw", "clean": before / "extract", "dedup": before / "clean"}
    inputs |= {"shard": before / "clean", "count": before / "shard", "learn": before / "count"}
    inputs |= {"pack": before / "shard"}
    options = {
        "extract": ["--kind", "jsonl", "--source", "made", "--language", "en"],
        "shard": ["--drops", str(before / "dedup")],
        "pack": ["--tokenizer", str(before / "learn" / "tokenizer.json")],
    }
    module = "tokenizer.learn" if stage == "learn" else f"pipelines.{stage}"
    given = ["--input", str(inputs[stage]), "--output", str(folder / stage)]
    where = ["--params", str(params), "--cache", str(folder / "cache")]
    return [module, *given, *where, *options.get(stage, [])]


class Stages:
    """Runs, each a process of its own that has Beam from the start, as have the workers beside it."""

    def __init__(self, runs: PipelineRuns) -> None:
        self._runs = runs

    def run(self, arguments: list[str], kill_at: str = "", workers: int = 1) -> tuple[int, str]:
        """(exit status, what it said)."""
        environment = {"CORPUSMILL_WORKERS": str(workers), "CORPUSMILL_RUNNER": ""}
        if kill_at:
            environment["CORPUSMILL_KILL_AT"] = kill_at
        return self._runs.run(arguments[0], arguments[1:], **environment)

    def finish(self, arguments: list[str], workers: int = 1) -> str:
        """What a run said that ended well."""
        status, said = self.run(arguments, workers=workers)
        assert status == 0, f"{arguments[0]}: {said[-2000:]}"
        return said


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory, beam_worker: Path) -> Iterator[Stages]:
    with PipelineRuns(tmp_path_factory.mktemp("runs"), beam_worker) as runs:
        yield Stages(runs)


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's parameters with a vocabulary that the small corpus supports, and a unit for each small file."""
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    for name, value in (("vocab_size", 300), ("min_unit_mb", 0), ("max_units_per_file", 1)):
        text = re.sub(rf"{name}: [\d_]+", f"{name}: {value}", text)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, params: Path, stages: Stages) -> Path:
    """The flow of the corpus stages over eight files, nothing killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for part in range(1, NUM_UNITS + 1):
        write_raw(folder / "raw", part)
    for stage in STAGES:
        stages.finish(command(stage, folder, folder, params))
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_at_every_point_in_turn_ends_with_the_same_bytes(
    stage: str, undisturbed: Path, params: Path, stages: Stages, tmp_path: Path
) -> None:
    arguments = command(stage, tmp_path, undisturbed, params)
    unit_points = () if stage == "learn" else UNIT_POINTS
    for point in (*unit_points, *LATER_POINTS.get(stage, ()), *LAST_POINTS):
        status, said = stages.run(arguments, kill_at=f"{stage}:{point}")
        assert status == -signal.SIGKILL, f"{point} was not reached: {said[-2000:]}"
        assert (tmp_path / stage / "manifest.json").exists() == (point == "manifest")
    stages.finish(arguments)
    assert digests(tmp_path / stage) == digests(undisturbed / stage)


def test_the_flow_gives_the_same_bytes_for_more_workers_and_renamed_and_reordered_files(
    undisturbed: Path, params: Path, stages: Stages, tmp_path: Path
) -> None:
    (tmp_path / "raw").mkdir()
    for part in range(1, NUM_UNITS + 1):  # the first becomes the last
        shutil.copyfile(undisturbed / "raw" / f"{part}.jsonl", tmp_path / "raw" / f"{chr(ord('z') - part)}.jsonl")
    for stage in STAGES:
        stages.finish(command(stage, tmp_path, tmp_path, params), workers=2)
        assert digests(tmp_path / stage) == digests(undisturbed / stage), stage


def test_a_worker_process_that_is_killed_ends_the_stage_with_a_hint(
    undisturbed: Path, params: Path, stages: Stages, tmp_path: Path
) -> None:
    arguments = command("extract", tmp_path, undisturbed, params)
    status, said = stages.run(arguments, kill_at="extract:written", workers=2)
    assert status == 130
    assert "error: worker subprocess exited with return code -9\n  hint: it was killed" in said
    assert "Traceback" not in said
    stages.finish(arguments)
    assert digests(tmp_path / "extract") == digests(undisturbed / "extract")


def reused(said: str) -> int:
    """How many units the run took from the cache, as it says itself."""
    found = re.search(r"\((\d+) units reused\)", said)
    return int(found.group(1)) if found else 0


def test_after_a_kill_at_half_of_eight_units_at_most_five_are_computed(
    undisturbed: Path, params: Path, stages: Stages, tmp_path: Path
) -> None:
    arguments = command("clean", tmp_path, undisturbed, params)
    assert stages.run(arguments, kill_at="clean:unit@5")[0] == -signal.SIGKILL
    assert NUM_UNITS - reused(stages.finish(arguments)) <= 5


def test_a_ninth_file_computes_one_unit_in_extract_and_one_in_clean(
    params: Path, stages: Stages, tmp_path: Path
) -> None:
    for part in range(1, NUM_UNITS + 1):
        write_raw(tmp_path / "raw", part)
    for stage in ("extract", "clean"):
        stages.finish(command(stage, tmp_path, tmp_path, params))
    write_raw(tmp_path / "raw", NUM_UNITS + 1)
    for stage in ("extract", "clean"):
        assert reused(stages.finish(command(stage, tmp_path, tmp_path, params))) == NUM_UNITS
        assert len(list((tmp_path / stage).glob("*.parquet"))) == NUM_UNITS + 1
