"""Workers that are forked from a warm process end as Beam expects, and leave nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines import warm_workers
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


def test_the_server_ends_with_a_stage_that_is_killed(tmp_path: Path) -> None:
    stage = (
        "import sys, time; from pathlib import Path; from pipelines.warm_workers import WarmStart\n"
        f"start = WarmStart(Path({str(tmp_path / LOG)!r})); print(start.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", stage], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        assert is_running(server)
        process.kill()
    wait_until(lambda: not is_running(server))


def test_a_server_that_cannot_start_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_workers, "server_command", lambda place, modules: ["/bin/false"])
    with pytest.raises(CorpusmillError, match="local workers cannot be started") as error:
        WarmStart(tmp_path / LOG)
    assert error.value.where == str(tmp_path / LOG)
