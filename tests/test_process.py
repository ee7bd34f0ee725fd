"""Units on Beam: the same bytes for any number of workers, an error of ours as itself, Ctrl-C without orphans.

This file is a stage too: its ``main`` copies documents, several row groups a unit.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from apache_beam.testing.test_pipeline import TestPipeline as Pipeline  # a name that pytest does not collect
from apache_beam.testing.util import assert_that, equal_to
from corpora import digests, words, write_documents, write_params

from pipelines.local_workers import COSTS, Cost
from pipelines.process import ProcessUnits, run_units, shuffles_on_disk
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import Release, modules_digest
from pipelines.spine.progress import Heartbeat
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Stage, opened
from pipelines.spine.unit_list import write_units
from pipelines.spine.units import Unit, UnitCache, UnitInput, plan_documents
from pipelines.spine.work import Outcome

RELEASE = Release("pipelines.clean", modules_digest("pipelines.clean"), {})
ROOT = Path(__file__).resolve().parents[1]
NUM_UNITS = 8
RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
BROKEN = CorpusmillError(
    "broken record", where="dump.bz2, line 7", expected="</page>", got="字", hint="fetch it again,\nor leave it out"
)


@dataclass(frozen=True)
class Params:
    fault: str
    ready: str


@dataclass(frozen=True)
class Copy:
    """Copies documents; three in ten are counted under a reason."""

    params: Params
    stage: ClassVar[str] = "test_process"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        for batch in read_batches(unit.inputs[0].path):
            kept = batch.slice(0, batch.num_rows * 7 // 10)
            reasons = {"dropped.last": batch.num_rows - kept.num_rows}
            yield Outcome(taken=batch.num_rows, outputs={"": kept}, reasons=reasons)
        if self.params.fault == "ours":
            raise BROKEN
        if self.params.fault == "gone":
            Path("/no such folder/dump").read_bytes()
        if self.params.fault == "who":
            Path(self.params.ready, str(os.getpid())).touch()
        if self.params.fault == "sleep":
            Path(self.params.ready).write_text("")
            time.sleep(60)


STAGE = Stage("test_process", Params, ("python", "pyarrow"), has_runner=True)


def main(argv: Sequence[str]) -> None:
    with opened(STAGE, argv) as job:
        run_units(job, plan_documents(job.inputs), Copy(job.params))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight files of 30 documents in three languages."""
    folder = tmp_path_factory.mktemp("documents")
    for part in range(NUM_UNITS):
        rows = [(f"{part}-{i}", " ".join(words(100 * part + i, 20)) + "海は広い。新闻") for i in range(30)]
        write_documents(folder / f"{part}.parquet", rows, source=("en", "ja", "zh")[part % 3])
    return folder


def arguments(documents: Path, folder: Path, fault: str = "") -> list[str]:
    values = {"fault": fault, "ready": str(folder / "ready")}
    params = write_params(folder / "params.yaml", test_process=values)
    given = ["--input", str(documents), "--output", str(folder / "out"), "--cache", str(folder / "cache")]
    return [*given, "--params", str(params)]


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSMILL_WORKERS", "1")
    monkeypatch.setenv("CORPUSMILL_RUNNER", "")
    # Worker processes import this file by its name.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))


@pytest.fixture(scope="module")
def undisturbed(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of a run in one process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    main(arguments(documents, folder))
    return digests(folder / "out")


def copied(documents: Path, folder: Path, times: int = 1, release: Release = RELEASE) -> ProcessUnits:
    """The transform that copies all units, each so many times, into a cache of the folder."""
    units = write_units(plan_documents([str(documents)]) * times, str(folder / "plans"))
    return ProcessUnits(units, Copy(Params("", "")), UnitCache(str(folder), "recipe"), Heartbeat(), release)


def test_every_unit_gives_its_name_once_its_shards_lie_in_the_cache(documents: Path, tmp_path: Path) -> None:
    units, cache = plan_documents([str(documents)]), UnitCache(str(tmp_path), "recipe")
    with Pipeline(argv=[RUNNER]) as pipeline:
        names = pipeline | copied(documents, tmp_path)
        assert_that(names, equal_to([unit.name for unit in units]))
    receipts = [cache.receipt(unit) for unit in units]
    assert [receipt.ledger.to_dict()["out"] for receipt in receipts if receipt] == [{"documents": 21}] * NUM_UNITS
    assert all(cache.is_sound(unit) for unit in units)


def test_units_processed_twice_are_harmless(documents: Path, tmp_path: Path) -> None:
    units, cache = plan_documents([str(documents)]), UnitCache(str(tmp_path), "recipe")
    with Pipeline(argv=[RUNNER]) as pipeline:
        names = pipeline | copied(documents, tmp_path, times=2)
        assert_that(names, equal_to([unit.name for unit in units] * 2))
    assert all(cache.is_sound(unit) for unit in units)


def test_a_job_for_a_thousand_times_the_units_is_hardly_larger(tmp_path: Path) -> None:
    sizes = []
    for number in (8, 8000):
        names = [hashlib.sha256(str(unit).encode()).hexdigest() for unit in range(number)]
        units = [Unit(name, "s", (UnitInput(f"/{name}", name, 1),)) for name in names]
        transform = ProcessUnits(
            write_units(units, str(tmp_path)), Copy(Params("", "")), UnitCache("/", "r"), Heartbeat(), RELEASE
        )
        pipeline = Pipeline(argv=[RUNNER])
        _ = pipeline | transform
        sizes.append(len(pipeline.to_runner_api().SerializeToString()))
    # The functions lie in it compressed: other digests take some bytes more or fewer.
    assert abs(sizes[1] - sizes[0]) < 100


@pytest.mark.parametrize(
    ("runner", "on_disk"), [("FnApiRunner", False), ("PortableRunner", False), ("FlinkRunner", True)]
)
def test_the_runners_of_clusters_shuffle_on_disk(runner: str, on_disk: bool, documents: Path, tmp_path: Path) -> None:
    with opened(STAGE, [*arguments(documents, tmp_path), f"--runner={runner}"]) as job:
        assert shuffles_on_disk(job) == on_disk


def test_the_folder_holds_a_shard_a_unit_and_a_ledger_that_closes(undisturbed: dict[str, str]) -> None:
    assert len(undisturbed) == NUM_UNITS + 2
    assert {"manifest.json", "ledger.json"} < set(undisturbed)


@pytest.mark.parametrize("order", ["twice", "reversed"])
def test_units_given_twice_or_in_another_order_change_no_byte(
    order: str, documents: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    with opened(STAGE, arguments(documents, tmp_path)) as job:
        units = plan_documents(job.inputs)
        units = [*units, *units] if order == "twice" else units[::-1]
        run_units(job, units, Copy(job.params))
    assert digests(tmp_path / "out") == undisturbed
    assert json.loads((tmp_path / "out" / "ledger.json").read_text())["in"] == 30 * NUM_UNITS


def test_one_and_two_processes_give_the_same_bytes(
    documents: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUSMILL_WORKERS", "2")
    main(arguments(documents, tmp_path))
    assert digests(tmp_path / "out") == undisturbed


@pytest.mark.parametrize(("min_bytes", "num_processes"), [(1, 2), (1 << 40, 1)])
def test_all_cores_work_where_nobody_says_how_many_and_the_input_is_worth_it(
    min_bytes: int, num_processes: int, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CORPUSMILL_WORKERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setitem(COSTS, "test_process", Cost(min_bytes, 1))
    (tmp_path / "ready").mkdir()
    main(arguments(documents, tmp_path, fault="who"))
    found = {path.name for path in (tmp_path / "ready").iterdir()}
    assert len(found) == num_processes
    assert (str(os.getpid()) in found) == (num_processes == 1)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_error_of_ours_in_a_worker_surfaces_as_itself(
    workers: str, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUSMILL_WORKERS", workers)
    with pytest.raises(CorpusmillError) as caught:
        main(arguments(documents, tmp_path, fault="ours"))
    assert str(caught.value) == str(BROKEN)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_worker_with_another_version_refuses_to_work(documents: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError) as caught:
        Release("pipelines.clean", modules_digest("pipelines.clean"), {"python": "2.7"}).expect_here()
    assert str(caught.value) == (
        f"a worker has another version of python\n  expected: 2.7\n  got: {sys.version_info[0]}.{sys.version_info[1]}\n"
        "  hint: install the project with its constraints.txt on the workers"
    )
    other = Release("pipelines.clean", "", {"pyarrow": "0.1.0"})
    with pytest.raises(Exception, match="a worker has another version of pyarrow"), Pipeline(argv=[RUNNER]) as root:
        _ = root | copied(documents, tmp_path, release=other)


def start(options: Sequence[str], log: Path, **environment: str) -> subprocess.Popen[str]:
    """The stage as the leader of a process group of its own."""
    code = "import sys; from pipelines.spine.command import run_module; sys.exit(run_module('test_process'))"
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-c", code, *options], env={**os.environ, **environment}, cwd=ROOT, text=True,
            stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


def members(group: int) -> list[str]:
    """Process ids of the group that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it ended while we looked
        if int(of_group) == group and state != "Z":
            found.append(path.parent.name)
    return found


def wait_until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_a_running_stage_with_130_and_leaves_no_process(
    workers: str, documents: Path, tmp_path: Path
) -> None:
    options, log = arguments(documents, tmp_path, fault="sleep"), tmp_path / "log"
    process = start(options, log, CORPUSMILL_WORKERS=workers)
    try:
        wait_until((tmp_path / "ready").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        said = log.read_text().splitlines()
        assert said[-1] == "interrupted; what is finished is kept, run again to go on"
        assert workers != "1" or len(said) == 1
        wait_until(lambda: not members(process.pid))
    finally:
        if process.poll() is None or members(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_input_that_a_worker_cannot_read_is_one_clear_message(documents: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError) as caught:
        main(arguments(documents, tmp_path, fault="gone"))
    assert str(caught.value) == "/no such folder/dump: no such file or directory\n  hint: check the path"


def test_an_error_in_a_worker_is_one_message_and_status_1(documents: Path, tmp_path: Path) -> None:
    process = start(arguments(documents, tmp_path, fault="ours"), tmp_path / "log")
    assert process.wait(timeout=60) == 1
    assert (tmp_path / "log").read_text() == f"error: {BROKEN}\n"
