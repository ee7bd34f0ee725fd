"""Hashing several files at a time: their order, the first failure, and an end that does not wait for the rest."""

import threading
import time
from pathlib import Path

import pytest

from pipelines.spine import hashing
from pipelines.spine.hashing import Stop, StoppedError, each, sha256_each


def test_hashes_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("z", "a", "empty")]
    for path, content in zip(paths, (b"abc", b"a" * 1_000_000, b""), strict=True):
        path.write_bytes(content)
    # The first two are those of FIPS 180-2, appendix B, and its test of a million letters a.
    assert sha256_each(paths) == [
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]
    assert sha256_each([]) == []


def test_calls_run_at_once_and_answer_in_order() -> None:
    meeting = threading.Barrier(3)

    def meet(item: int, stop: Stop) -> int:
        meeting.wait(10)  # passes only when three are here
        time.sleep(0.01 * (3 - item))
        return item * item

    assert each(meet, [0, 1, 2], 3) == [0, 1, 4]


def test_the_first_failure_ends_those_that_run_and_spares_those_that_wait() -> None:
    begun: list[int] = []
    running = threading.Event()

    def call(item: int, stop: Stop) -> None:
        begun.append(item)
        if item == 1:
            running.wait(10)
            raise PermissionError(13, "item 1")
        running.set()
        while True:
            stop.check()
            time.sleep(0.001)

    with pytest.raises(PermissionError, match="item 1"):
        each(call, range(50), 2)
    assert sorted(begun) == [0, 1]


def test_an_interruption_ends_the_threads_before_their_files_do(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[int] = []
    running = threading.Barrier(3)

    def call(item: int, stop: Stop) -> None:
        running.wait(10)
        try:
            while True:
                stop.check()
                time.sleep(0.001)
        except StoppedError:
            stopped.append(item)
            raise

    def interrupted(*_: object, **__: object) -> None:
        running.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(hashing, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        each(call, [0, 1], 2)
    assert sorted(stopped) == [0, 1]


def test_a_file_is_not_read_on_once_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 10)
    stop = Stop()
    stop.set()
    with pytest.raises(StoppedError):
        hashing.sha256_until(tmp_path / "a", stop)
