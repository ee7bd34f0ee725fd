"""Every Beam stage through the real DataflowRunner to a service on loopback, which runs what it was sent elsewhere.

"Elsewhere": in a process of a clean environment, with the staged sdist and nothing of this checkout, in an empty folder;
all that the launching process and the workers share is the bucket.
"""

import json
import os
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from clean_environment import ROOT, build_project
from dataflow_runs import (
    STAGES,
    SUBMITTED,
    LaunchRuns,
    command,
    same_shards,
    same_texts,
    start,
    write_runner_file,
    write_workspace,
)
from dataflow_service import DataflowJob, DataflowService
from stores import gcs_server

from pipelines.spine import storage


@dataclass
class Cloud:
    """Service, bucket, what is staged, and where the flow has run, here and there."""

    folder: Path
    bucket: str
    service: DataflowService
    sdist: Path
    wheel: Path
    runs: LaunchRuns
    jobs: dict[str, list[DataflowJob]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that launches with the bucket as its root."""
        here = {"CORPUSMILL_ROOT": f"{self.bucket}/corpus", "PYTHONPATH": str(ROOT)}
        return {**os.environ, **here}

    def runner_file(self, name: str, **changes: object) -> Path:
        return write_runner_file(self.folder / name, self.service.endpoint, self.bucket, **changes)

    def run(self, arguments: list[str], runner: Path | None) -> tuple[int, str]:
        """(exit status, what was said) of a command with that runner file; None runs it here, with no root."""
        given = {"CORPUSMILL_RUNNER": "", "CORPUSMILL_ROOT": "", "CORPUSMILL_WORKERS": "1"}
        if runner is not None:
            given |= {"CORPUSMILL_RUNNER": str(runner), "CORPUSMILL_ROOT": f"{self.bucket}/corpus"}
        return self.runs.run(arguments[0], arguments[1:], **given)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("dataflow")
    write_workspace(folder / "workspace", folder / "here", folder / "there")
    for name in ("service", "runs"):
        (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patch, gcs_server() as store:
        patch.setenv("NO_GCE_CHECK", "true")  # else Google's client looks for its metadata server
        bucket = store.create_bucket("words")
        address = store.environment["STORAGE_EMULATOR_HOST"]
        with DataflowService(folder / "service", address) as service, LaunchRuns(folder / "runs") as runs:
            sdist, wheel = build_project(folder / "built")
            yield Cloud(folder, bucket, service, sdist, wheel, runs)


@pytest.fixture(scope="module")
def flow(cloud: Cloud) -> Cloud:
    """The flow from raw files to token shards, here and on Dataflow's stand-in."""
    runner = cloud.runner_file("dataflow.yaml", extra_package=str(cloud.sdist))
    for stage in STAGES:
        for name, by in (("here", None), ("there", runner)):
            before = len(cloud.service.jobs)
            status, said = cloud.run(command(stage, cloud.folder / "workspace", cloud.folder / name), by)
            told = [job.said[-2000:] for job in cloud.service.jobs[before:]]
            assert status == 0, f"{stage} {name}: {said[-2000:]} {told}"
            cloud.jobs[stage] = cloud.service.jobs[before:]
    return cloud


@pytest.mark.parametrize("stage", SUBMITTED)
def test_a_stage_on_dataflow_leaves_the_manifest_the_ledger_and_the_bytes_of_a_local_run(
    stage: str, flow: Cloud
) -> None:
    assert flow.jobs[stage]
    assert {job.state for job in flow.jobs[stage]} == {"JOB_STATE_DONE"}
    here, there = flow.folder / "here" / stage, flow.folder / "there" / stage
    same_texts(here, there)
    same_shards(here, there, "gs://words/corpus/units/")


def test_the_flow_gives_every_stage_something_to_do(flow: Cloud) -> None:
    def ledger(stage: str) -> dict:
        return json.loads((flow.folder / "there" / stage / "ledger.json").read_text())

    assert ledger("extract")["in"] == 42
    # One document keeps the line that stands in all.
    assert ledger("clean")["apart"] == {"lines_removed.corpus.repeated_line": 41}
    assert ledger("dedup")["reasons"] == {"dropped.exact": 2, "dropped.jaccard": 2}
    assert ledger("decontaminate")["out"] == {"clean": 41, "contaminated": 1}
    assert ledger("shard")["out"] == {"train": 19, "val": 8, "test": 10}
    assert ledger("pack")["in"] == 12668
    assert {stage: len(flow.jobs[stage]) for stage in SUBMITTED} == {
        "extract": 1, "clean": 3, "dedup": 4, "decontaminate": 1, "shard": 2, "count": 1, "pack": 1
    }  # fmt: skip


def test_a_quality_model_learned_from_what_workers_elsewhere_read_is_the_one_learned_here(flow: Cloud) -> None:
    before = len(flow.service.jobs)
    for name, by in (("here", None), ("there", flow.folder / "dataflow.yaml")):
        status, said = flow.run(command("quality", flow.folder / "workspace", flow.folder / name), by)
        assert status == 0, said[-2000:]
    assert [job.state for job in flow.service.jobs[before:]] == ["JOB_STATE_DONE"]
    here, there = flow.folder / "here" / "quality", flow.folder / "there" / "quality"
    same_texts(here, there)
    assert json.loads((there / "ledger.json").read_text())["in"] == 62
    assert {"model.arrow", "metrics.json", "words.json"} <= {path.name for path in there.iterdir()}


def test_a_job_asks_for_what_the_runner_file_says(flow: Cloud) -> None:
    (job,) = flow.jobs["extract"]
    pool, environment = job.pool, job.body["environment"]
    assert job.path == "/v1b3/projects/my-project/locations/europe-west1/jobs"
    assert job.body["name"].startswith("corpusmill-extract-")
    assert job.body["labels"] == {"application": "corpusmill", "team": "words", "corpusmill-stage": "extract"}
    assert environment["serviceAccountEmail"] == "workers@my-project.iam.gserviceaccount.com"
    assert (pool["machineType"], pool["numWorkers"], pool["diskSizeGb"]) == ("n2-standard-4", 2, 50)
    assert pool["autoscalingSettings"] == {"algorithm": 2, "maxNumWorkers": 16}  # BASIC, by throughput
    assert pool["numThreadsPerWorker"] == 1
    assert (pool["ipConfiguration"], pool["subnetwork"]) == (2, "regions/europe-west1/subnetworks/default")  # PRIVATE
    assert pool["workerHarnessContainerImage"] == "europe-docker.pkg.dev/my-project/corpusmill/worker:0.1.0"
    (image,) = pool["sdkHarnessContainerImages"]
    assert image["containerImage"] == pool["workerHarnessContainerImage"]
    assert job.options["temp_location"].startswith("gs://words/tmp/")


def test_what_is_staged_is_the_sdist_and_nothing_of_the_launching_process(flow: Cloud) -> None:
    for stage in SUBMITTED:
        for job in flow.jobs[stage]:
            assert set(job.staged) == {
                "corpusmill-0.1.0.tar.gz", "extra_packages.txt", "submission_environment_dependencies.txt"
            }  # fmt: skip
            staged = flow.service.folder / job.id / "corpusmill-0.1.0.tar.gz"
            assert staged.read_bytes() == flow.sdist.read_bytes()
            # Beam would send what __main__ holds; a job must not need it.
            assert job.options["save_main_session"] is False


def test_without_a_package_the_job_fails_and_the_command_says_what_to_do(cloud: Cloud) -> None:
    arguments = command("extract", cloud.folder / "workspace", cloud.folder / "unpackaged")
    runner = cloud.runner_file("unpackaged.yaml")
    environment = {"CORPUSMILL_RUNNER": str(runner), "CORPUSMILL_ROOT": f"{cloud.bucket}/other"}
    cloud.service.answers_at_once = True  # so Beam waits, asks, and reads the job's messages
    try:
        status, said = cloud.runs.run(arguments[0], arguments[1:], **environment)
    finally:
        cloud.service.answers_at_once = False
    job = cloud.service.jobs[-1]
    page = f"https://console.cloud.google.com/dataflow/jobs/europe-west1/{job.id}?project=my-project"
    assert status == 1
    assert job.state == "JOB_STATE_FAILED"
    lines = said.splitlines()
    assert f"dataflow: Submitted job: {job.id}" in lines
    assert any(
        line.startswith("dataflow: To access the Dataflow monitoring console") and page in line for line in lines
    )
    assert f"dataflow: Job {job.id} is in state JOB_STATE_FAILED" in lines
    assert lines[-3] == f"error: {page}: the workers do not hold this project"
    assert lines[-2].startswith("  got: ModuleNotFoundError: No module named 'pipelines'")
    assert lines[-1] == (
        "  hint: name its image (sdk_container_image) or its sdist (extra_package): "
        "docs/runners.md says how workers get the project"
    )
    assert len(lines) < 15
    assert "Traceback" in (cloud.folder / "runs" / "logs" / "beam-jobs.log").read_text()
    assert not (cloud.folder / "unpackaged" / "extract" / "manifest.json").exists()
    assert storage.sizes_of([f"{cloud.bucket}/other"]) == [None]


def test_workers_with_another_source_than_the_launching_machine_s_refuse_to_work(cloud: Cloud) -> None:
    changed = cloud.folder / "changed" / cloud.wheel.name
    changed.parent.mkdir()
    with zipfile.ZipFile(cloud.wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            more = b"\n# another line\n" if name == "pipelines/extract.py" else b""
            new.writestr(name, old.read(name) + more)
    runner = cloud.runner_file("changed.yaml", extra_package=str(changed))
    arguments = command("extract", cloud.folder / "workspace", cloud.folder / "changed")
    assert cloud.run(arguments, runner)[0] == 1
    assert "pipelines.extract: a worker has another source code of the project" in cloud.service.jobs[-1].said
    assert not (cloud.folder / "changed" / "extract" / "manifest.json").exists()


def test_a_worker_that_dies_is_replaced_and_the_bytes_are_the_same(flow: Cloud) -> None:
    runner = flow.runner_file("dying.yaml", extra_package=str(flow.sdist))
    arguments = command("pack", flow.folder / "workspace", flow.folder / "there")
    environment = {"CORPUSMILL_RUNNER": str(runner), "CORPUSMILL_ROOT": f"{flow.bucket}/dying"}
    arguments[arguments.index("--output") + 1] = str(flow.folder / "dying" / "pack")
    flow.service.dies_at = "pack:written@2"
    status, said = flow.runs.run(arguments[0], arguments[1:], **environment)
    assert status == 0, said[-2000:]
    assert flow.service.jobs[-1].attempts == 2
    for name in ("manifest.json", "ledger.json"):
        there = flow.folder / "dying" / "pack" / name
        assert there.read_bytes() == (flow.folder / "here" / "pack" / name).read_bytes()


def test_ctrl_c_cancels_the_job_which_would_go_on_costing(cloud: Cloud) -> None:
    runner = cloud.runner_file("waiting.yaml", extra_package=str(cloud.sdist))
    arguments = command("extract", cloud.folder / "workspace", cloud.folder / "waiting")
    environment = {**cloud.environment, "CORPUSMILL_RUNNER": str(runner), "CORPUSMILL_ROOT": f"{cloud.bucket}/waiting"}
    cloud.service.answers_at_once = cloud.service.has_no_workers = True
    process = start(arguments, cloud.folder / "runs", environment)
    try:
        assert process.stdout is not None
        while "is in state JOB_STATE_RUNNING" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        cloud.service.answers_at_once = cloud.service.has_no_workers = False
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert said.splitlines()[-2:] == [
        "the job is told to stop", "interrupted; what is finished is kept, run again to go on"
    ]  # fmt: skip
    assert cloud.service.jobs[-1].cancelled.is_set()
