"""Storage: a file appears whole or not at all, a lock dies with its holder."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.storage import exclusive, explained, link, publishing, sha256_file, sha256_text, write_text

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import sys, time
from pipelines.spine.storage import exclusive
with exclusive(sys.argv[1], "data/clean"):
    print("held", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with publishing(path) as file:
        file.write("字".encode())
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "字"
    assert names(path.parent) == ["file"]


def test_a_failing_block_publishes_nothing_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), publishing(tmp_path / "file") as file:
        file.write(b"half")
        raise ValueError("broken")
    assert names(tmp_path) == []


def test_a_failing_block_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with pytest.raises(KeyboardInterrupt), publishing(tmp_path / "file") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_two_attempts_that_overlap_both_publish(tmp_path: Path) -> None:
    with publishing(tmp_path / "file") as first, publishing(tmp_path / "file") as second:
        first.write(b"same ")
        second.write(b"same ")
        first.write(b"bytes")
        second.write(b"bytes")
    assert (tmp_path / "file").read_bytes() == b"same bytes"
    assert names(tmp_path) == ["file"]


def test_many_attempts_at_once_never_show_half_a_file(tmp_path: Path) -> None:
    path, content = tmp_path / "file", b"x" * 100_000
    seen: set[int] = set()

    def attempt() -> None:
        with publishing(path) as file:
            for start in range(0, len(content), 1000):
                file.write(content[start : start + 1000])
        seen.add(path.stat().st_size)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {100_000}
    assert names(tmp_path) == ["file"]


def test_a_folder_that_is_a_file_is_one_clear_message(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "")
    with pytest.raises(CorpusmillError) as caught:
        write_text(tmp_path / "file" / "inner", "x")
    assert str(caught.value) == (
        f"{tmp_path}/file/inner: file exists\n  hint: a part of the path is a file, not a folder"
    )


def test_no_space_says_that_finished_units_are_kept() -> None:
    error = explained(OSError(28, "No space left on device"), "data/clean/x")
    assert str(error) == (
        "data/clean/x: no space left on device\n  hint: free some space, then run again: finished units are kept"
    )


def test_an_error_without_a_number_keeps_its_words() -> None:
    assert str(explained(OSError("Corrupt snappy data in /Data/A"), "x")) == "x: Corrupt snappy data in /Data/A"


def test_a_link_shares_the_bytes_and_may_be_made_twice(tmp_path: Path) -> None:
    write_text(tmp_path / "cache", "bytes")
    for _ in range(2):
        link(tmp_path / "cache", tmp_path / "out" / "shard")
    assert (tmp_path / "out" / "shard").stat().st_ino == (tmp_path / "cache").stat().st_ino
    assert names(tmp_path / "out") == ["shard"]


def test_a_link_replaces_what_was_there_without_writing_into_it(tmp_path: Path) -> None:
    write_text(tmp_path / "older", "old")
    link(tmp_path / "older", tmp_path / "shard")
    write_text(tmp_path / "newer", "new")
    link(tmp_path / "newer", tmp_path / "shard")
    assert [(tmp_path / name).read_text() for name in ("older", "shard")] == ["old", "new"]


def test_a_link_to_another_disk_is_a_copy(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk to write to")
    source = other / f"corpusmill-test-{os.getpid()}"
    try:
        source.write_bytes(b"bytes")
        link(source, tmp_path / "shard")
    finally:
        source.unlink(missing_ok=True)
    assert (tmp_path / "shard").read_bytes() == b"bytes"
    assert names(tmp_path) == ["shard"]


def test_a_link_to_nothing_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="no such file or directory\n  hint: check the path"):
        link(tmp_path / "gone", tmp_path / "shard")
    assert names(tmp_path) == []


def test_a_second_process_gets_the_message_and_kill_9_frees_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "one"
    command = [sys.executable, "-c", HOLD, str(lock)]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CorpusmillError) as caught, exclusive(lock, "data/clean"):
            pass
        assert str(caught.value) == (
            "data/clean: another process is writing here\n  hint: wait until it has finished, then run again"
        )
    finally:
        holder.kill()
        holder.communicate()
    with exclusive(lock, "data/clean"):
        pass


def test_the_lock_is_free_after_a_block_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), exclusive(tmp_path / "lock", "x"):
        raise ValueError("broken")
    with exclusive(tmp_path / "lock", "x"), pytest.raises(CorpusmillError), exclusive(tmp_path / "lock", "x"):
        pass


def test_hashes_are_those_of_the_bytes(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "file") == sha256_text("abc") == expected
