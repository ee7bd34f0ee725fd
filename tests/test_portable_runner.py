"""The same bytes from a portable job server whose workers hold the built wheel and nothing of this checkout.

Workers run in another process, environment and folder; all that they share with the launching process is the bucket.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from clean_environment import build_project, create_environment, install, run_python
from dataflow_runs import STAGES, SUBMITTED, command, same_shards, same_texts, start, write_workspace
from stores import free_port, s3_server
from warm_runs import PipelineRuns

from pipelines.spine import storage

JOB_SERVER = "apache_beam.runners.portability.local_job_service_main"
#: Of the documented command: it starts a process a job, each of which imports Beam for two seconds.
WORKER_POOL = "apache_beam.runners.worker.worker_pool_main"
#: The same service with its workers in threads of its own process.
THREADS = """
import sys, time
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
address, server = BeamFnExternalWorkerPoolServicer.start(port=int(sys.argv[1]))
time.sleep(3600)
"""


@dataclass
class Cluster:
    """A job server, two kinds of workers, a bucket, and where the flow has run, here and there."""

    folder: Path
    bucket: str
    job_port: int
    pool_port: int
    threads_port: int
    runs: PipelineRuns

    def runner_file(self, workers_port: int) -> Path:
        path = self.folder / f"runner-{workers_port}.yaml"
        options = {
            "runner": "PortableRunner", "job_endpoint": f"localhost:{self.job_port}",
            "environment_type": "EXTERNAL", "environment_config": f"localhost:{workers_port}",
        }  # fmt: skip
        path.write_text(yaml.safe_dump(options))
        return path

    def environment(self, workers_port: int, root: str) -> dict[str, str]:
        return {"CORPUSMILL_RUNNER": str(self.runner_file(workers_port)), "CORPUSMILL_ROOT": root}


@pytest.fixture(scope="module")
def worker_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with this one's packages, the project from its wheel alone."""
    folder = tmp_path_factory.mktemp("worker")
    python = create_environment(folder / "environment")
    site = next((folder / "environment").glob("lib/python*/site-packages"))
    install(python, build_project(folder / "built")[1], site)
    found = run_python(python, "import pipelines.extract; print(pipelines.extract.__file__)")
    assert Path(found).is_relative_to(site)
    return python


@pytest.fixture(scope="module")
def cluster(worker_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    write_workspace(folder / "workspace", folder / "here", folder / "there")
    for name in ("elsewhere", "runs"):
        (folder / name).mkdir()
    ports = [free_port() for _ in range(3)]
    commands = (
        ["-m", JOB_SERVER, "--port", str(ports[0])],
        ["-m", WORKER_POOL, "--service_port", str(ports[1])],
        ["-c", THREADS, str(ports[2])],
    )
    with s3_server() as store, (folder / "log").open("w") as log:
        environment = {**os.environ, "PATH": f"{worker_python.parent}:/usr/bin:/bin", "PYTHONPATH": "",
                       "CORPUSMILL_LOCAL_CACHE": str(folder / "elsewhere" / "copies")}  # fmt: skip
        started = [
            subprocess.Popen(
                [str(worker_python), *arguments], cwd=folder / "elsewhere", env=environment, stdout=log, stderr=log
            )
            for arguments in commands
        ]
        try:
            for port in ports:
                wait_for(port)
            with PipelineRuns(folder / "runs") as runs:
                yield Cluster(folder, store.create_bucket("words"), *ports, runs)
        finally:
            for process in started:
                process.terminate()
                process.wait(timeout=20)


def wait_for(port: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        assert time.monotonic() < end, "the job server did not start"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def flow(cluster: Cluster) -> Path:
    """The flow from raw files to token shards, in ``here`` and in ``there`` below the folder."""
    there = cluster.environment(cluster.threads_port, f"{cluster.bucket}/corpus")
    here = {"CORPUSMILL_RUNNER": "", "CORPUSMILL_ROOT": "", "CORPUSMILL_WORKERS": "1"}
    for stage in STAGES:
        for name, environment in (("here", here), ("there", there)):
            module, *arguments = command(stage, cluster.folder / "workspace", cluster.folder / name)
            status, said = cluster.runs.run(module, arguments, **environment)
            assert status == 0, f"{stage} {name}: {said[-3000:]}"
    return cluster.folder


@pytest.mark.parametrize("stage", SUBMITTED)
def test_a_stage_on_another_environment_s_workers_leaves_the_bytes_of_a_local_run(stage: str, flow: Path) -> None:
    same_texts(flow / "here" / stage, flow / "there" / stage)
    same_shards(flow / "here" / stage, flow / "there" / stage, "s3://words/corpus/units/")


def test_a_quality_model_is_the_same_from_another_environment_s_workers(flow: Path, cluster: Cluster) -> None:
    there = cluster.environment(cluster.threads_port, f"{cluster.bucket}/corpus")
    here = {"CORPUSMILL_RUNNER": "", "CORPUSMILL_ROOT": "", "CORPUSMILL_WORKERS": "1"}
    for name, environment in (("here", here), ("there", there)):
        module, *arguments = command("quality", flow / "workspace", flow / name)
        status, said = cluster.runs.run(module, arguments, **environment)
        assert status == 0, f"{name}: {said[-3000:]}"
    same_texts(flow / "here" / "quality", flow / "there" / "quality")
    assert (flow / "there" / "quality" / "model.arrow").exists()


def test_the_documented_commands_run_a_stage_with_a_root_on_a_shared_disk(flow: Path, cluster: Cluster) -> None:
    root = flow / "shared-disk"
    there = cluster.environment(cluster.pool_port, f"file://{root}")
    arguments = command("extract", flow / "workspace", flow / "documented")
    process = start(arguments, flow / "runs", {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **there})
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said[-2000:]
    same_texts(flow / "here" / "extract", flow / "documented" / "extract")
    same_shards(flow / "here" / "extract", flow / "documented" / "extract", f"{root}/units/")


def test_an_error_in_a_worker_elsewhere_is_a_few_lines(flow: Path, cluster: Cluster) -> None:
    shutil.copytree(flow / "there" / "extract", flow / "damaged" / "extract")
    path = flow / "damaged" / "extract" / "places.json"
    places = json.loads(path.read_text())
    for name, place in places.items():
        places[name] = place.replace("/corpus/", "/damaged/")
        with storage.publishing(places[name]) as file:  # as long as it was, and no Parquet file
            file.write(bytes((flow / "here" / "extract" / name).stat().st_size))
    path.write_text(json.dumps(places))
    shutil.rmtree(cluster.folder / "elsewhere" / "copies")  # the workers hold the right bytes
    there = cluster.environment(cluster.threads_port, f"{cluster.bucket}/damaged")
    module, *arguments = command("clean", flow / "workspace", flow / "damaged")
    status, said = cluster.runs.run(module, arguments, **there)
    assert status == 1
    lines = said.splitlines()
    assert lines[-4].endswith(".parquet: the object holds other bytes than declared")
    assert lines[-1] == "  hint: delete the object and run the stage that wrote it again"
    assert len(lines) < 12, said
    assert "Traceback" not in said.replace("portable: Traceback (most recent call last): ...", "")
    assert not (flow / "damaged" / "clean" / "manifest.json").exists()
