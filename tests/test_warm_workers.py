"""Workers that are forked from a warm process end as Beam expects, and leave nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from pipelines import runner, warm_workers
from pipelines.spine.errors import CorpusmillError
from pipelines.warm_workers import WarmStart

LOG = "workers.log"
#: As it is before `quick_beam` gives the server of other tests a Python that has imported Beam.
SERVER_COMMAND = warm_workers.server_command


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WarmStart, Path]]:
    folder = tmp_path_factory.mktemp("warm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm_workers, "server_command", SERVER_COMMAND)
        start = WarmStart(folder / LOG)
    yield start, folder / LOG
    start.end()


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("not within ten seconds")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start_waiting(start: WarmStart, port: int) -> tuple[subprocess.Popen[bytes], int]:
    """The command of a worker that waits for an answer on a port, and the worker's process."""
    before = children(start.pid)
    url = f'url: "127.0.0.1:{port}"'
    environment = {**os.environ, "CONTROL_API_SERVICE_DESCRIPTOR": url, "PIPELINE_OPTIONS": "{}"}
    command = subprocess.Popen(f"exec {start.command}", shell=True, env=environment)
    wait_until(lambda: bool(set(children(start.pid)) - set(before)))
    (worker,) = set(children(start.pid)) - set(before)
    return command, worker


def test_a_worker_that_fails_ends_its_command_with_status_1_and_says_why_in_the_log(
    warm: tuple[WarmStart, Path],
) -> None:
    start, log = warm
    assert subprocess.run(start.command, shell=True, env={"NOTHING": "for a worker"}).returncode == 1
    assert "CONTROL_API_SERVICE_DESCRIPTOR" in log.read_text()


def test_a_worker_goes_when_the_command_that_asked_for_it_is_killed(warm: tuple[WarmStart, Path]) -> None:
    start, _ = warm
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the worker's connection and never answers
        command, worker = start_waiting(start, silent.getsockname()[1])
        time.sleep(0.2)
        assert is_running(worker)
        command.kill()
        command.wait()
        wait_until(lambda: not is_running(worker))


def test_a_killed_worker_ends_its_command_by_the_same_signal(warm: tuple[WarmStart, Path]) -> None:
    start, _ = warm
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command, worker = start_waiting(start, silent.getsockname()[1])
        os.kill(worker, signal.SIGKILL)
        assert command.wait(10) == -signal.SIGKILL
        wait_until(lambda: worker not in children(start.pid))  # waited for


def test_the_interrupt_of_a_terminal_ends_command_and_worker_without_a_word(warm: tuple[WarmStart, Path]) -> None:
    start, _ = warm
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command, worker = start_waiting(start, silent.getsockname()[1])
        command.send_signal(signal.SIGINT)
        assert command.wait(10) == 0
        wait_until(lambda: not is_running(worker))


def test_a_killed_server_takes_its_workers_with_it_and_ends_their_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_workers, "server_command", SERVER_COMMAND)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))  # longer than a socket's path may be
    Path(tempfile.gettempdir()).mkdir()
    start = WarmStart(tmp_path / LOG)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command, worker = start_waiting(start, silent.getsockname()[1])
        os.kill(start.pid, signal.SIGKILL)
        assert command.wait(10) == 1
        wait_until(lambda: not is_running(worker))
    start.end()
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def talk(number: int) -> int:
    for _ in range(200):
        print("much is said here" + "." * 1000)
    return number


def test_what_workers_print_lies_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CORPUSMILL_WORKERS", "2")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    runner._warm_start.cache_clear()
    options = runner.runner_options([])
    with beam.Pipeline(runner=runner.local_processes(options), options=options) as pipeline:
        _ = pipeline | beam.Create([1, 2]) | beam.Map(talk)
    assert (tmp_path / "logs" / "beam-workers.log").read_text().count("much is said here") == 400
    runner._warm_start().end()
    runner._warm_start.cache_clear()


def test_the_server_ends_with_a_stage_that_is_killed(tmp_path: Path) -> None:
    stage = (
        "import sys, time; from pathlib import Path; from pipelines.warm_workers import WarmStart\n"
        f"start = WarmStart(Path({str(tmp_path / LOG)!r})); print(start.pid, flush=True); time.sleep(60)"
    )
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", stage], stdout=subprocess.PIPE, env=variables) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        assert is_running(server)
        process.kill()
    wait_until(lambda: not is_running(server))
    assert list(tmp_path.glob("corpusmill-*")) == []


def test_a_server_that_cannot_start_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_workers, "server_command", lambda place, modules: ["/bin/false"])
    with pytest.raises(CorpusmillError, match="local workers cannot be started") as error:
        WarmStart(tmp_path / LOG)
    assert error.value.where == str(tmp_path / LOG)
