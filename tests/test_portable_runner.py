"""The same bytes from a portable job server whose workers hold the built wheel and nothing of this checkout."""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from corpora import digests, words

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("extract", "clean", "dedup", "shard")


@pytest.fixture(scope="module")
def worker_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with this one's packages, the project from its wheel alone."""
    folder = tmp_path_factory.mktemp("worker")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "data", "logs", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    site = next((folder / "venv").glob("lib/python*/site-packages"))
    # A .pth line adds the packages of this environment, but not its own .pth files: no editable install.
    (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    python = folder / "venv" / "bin" / "python"
    where = [str(python), "-c", "import pipelines.extract; print(pipelines.extract.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=folder).stdout.strip()
    assert Path(found).is_relative_to(site)
    return python


@pytest.fixture
def runner_file(worker_python: Path, tmp_path: Path) -> Iterator[Path]:
    """A job server and a worker pool in another working directory; yields the runner file that names both."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    port_file, pool_port = tmp_path / "port", free_port()
    python_first = {**os.environ, "PATH": f"{worker_python.parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    server = [str(worker_python), "-m", "apache_beam.runners.portability.local_job_service_main"]
    pool = [str(worker_python), "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port", str(pool_port)]
    with (tmp_path / "log").open("w") as log:
        started = [
            subprocess.Popen(command, cwd=elsewhere, env=python_first, stdout=log, stderr=log)
            for command in ([*server, "--port_file", str(port_file)], pool)
        ]
    try:
        wait_for(port_file.exists)
        wait_for(lambda: is_open(pool_port))
        options = {
            "runner": "PortableRunner",
            "job_endpoint": f"localhost:{port_file.read_text()}",
            "environment_type": "EXTERNAL",
            "environment_config": f"localhost:{pool_port}",
        }
        path = tmp_path / "runner.yaml"
        path.write_text(yaml.safe_dump(options))
        yield path
    finally:
        for process in started:
            process.terminate()
            process.wait(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the job server did not start"
        time.sleep(0.1)


def run_flow(folder: Path, raw: Path, environment: dict[str, str]) -> None:
    """extract -> shard with the repository's own parameters, each stage a process of its own."""
    given = ["--params", str(ROOT / "params.yaml"), "--cache", str(folder / "cache")]
    for stage, before in zip(STAGES, (None, *STAGES), strict=False):
        # shard reads what clean wrote, and dedup's decisions beside it.
        inputs = {"extract": raw, "shard": folder / "clean"}.get(stage, folder / str(before))
        options = ["--input", str(inputs), "--output", str(folder / stage)]
        if stage == "extract":
            options += ["--kind", "jsonl", "--source", "made", "--language", "en"]
        if stage == "shard":
            options += ["--drops", str(folder / "dedup")]
        command = [sys.executable, "-m", f"pipelines.{stage}", *given, *options]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]


def test_extract_to_shard_gives_the_same_bytes_through_a_portable_job_server(runner_file: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for part in range(3):
        lines = [
            json.dumps({"id": f"{part}-{index}", "text": sentence(15 * part + index)}, ensure_ascii=False)
            for index in range(20)
        ]
        (raw / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
    run_flow(tmp_path / "local", raw, {"CORPUSMILL_RUNNER": "", "CORPUSMILL_WORKERS": "1"})
    run_flow(tmp_path / "portable", raw, {"CORPUSMILL_RUNNER": str(runner_file)})
    for stage in STAGES:
        local = digests(tmp_path / "local" / stage)
        assert "manifest.json" in local
        assert len(local) > 2
        assert digests(tmp_path / "portable" / stage) == local


def sentence(seed: int) -> str:
    """Prose enough for the cleaning rules; some seeds stand in two files: exact copies."""
    text = " ".join(words(seed, 80))
    return f"The {text} and that is all of it. This is the end of the text number {seed}, as it was with the others."
