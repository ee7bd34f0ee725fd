"""What a command and all that it starts hold together: their memory, looked at several times a second.

The kernel's peak of a process (`bench.tools.Usage`) is that of the largest one. Here the processes of the tree are added
up by their proportional share (PSS, Linux's ``smaps_rollup``): a page that three of them map counts a third in each. Mapped
files count as well where they lie in memory; ``anonymous`` leaves them out, since the kernel takes such pages back when
it needs them.
"""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.tools import expect_success

INTERVAL_SECONDS = 0.2


@dataclass(frozen=True)
class TreeUsage:
    """Of a command and all processes below it: wall clock and CPU in seconds, peaks in bytes.

    Attributes:
        peak_bytes: the most that all held at once, mapped files included.
        anonymous_bytes: the most without mapped files.
        largest_bytes: the peak of the largest process alone, as the kernel counts it (RSS).
        processes: the most at once.
        first_cpu_seconds: CPU of the command's own process, without those that it started.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    anonymous_bytes: int
    largest_bytes: int
    processes: int
    first_cpu_seconds: float

    def idle_seconds(self, workers: int) -> float:
        """About what the command would take by the clock where each of its workers has a core to itself.

        Its own process and an equal share of the others', one after the other. On a busy machine the clock says less.
        """
        return self.first_cpu_seconds + (self.cpu_seconds - self.first_cpu_seconds) / workers


def run_tree(command: Sequence[str], environment: Mapping[str, str] | None = None) -> TreeUsage:
    """Runs ``command`` to its end.

    Raises:
        CorpusmillError: it failed; the last lines it wrote are in it.
    """
    samples: list[tuple[float, ...]] = [(0, 0, 0, 0)]
    with tempfile.TemporaryFile() as messages:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=messages,
            stderr=messages,
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), **(environment or {})},
        )
        ended = threading.Event()
        watch = threading.Thread(target=_sample, args=(process.pid, ended, samples))
        watch.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.send_signal(signal.SIGTERM)
            raise
        finally:
            ended.set()
            watch.join()
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        expect_success(process.returncode, command, messages)
    peaks = [max(column) for column in zip(*samples, strict=True)]
    cpu = used.ru_utime + used.ru_stime
    first = min(cpu, peaks[3]) if peaks[2] > 1 else cpu
    return TreeUsage(seconds, cpu, int(peaks[0]), int(peaks[1]), used.ru_maxrss * 1024, int(peaks[2]), first)


def _sample(pid: int, ended: threading.Event, samples: list[tuple[float, ...]]) -> None:
    while not ended.wait(INTERVAL_SECONDS):
        held = [memory_of(process) for process in tree_of(pid)]
        sums = sum(pss for pss, _ in held), sum(anonymous for _, anonymous in held)
        samples.append((*sums, len(held), cpu_of(pid)))


def tree_of(pid: int) -> list[int]:
    """The process and all below it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    found = [pid]
    for above in found:  # grows while it is read
        found += [below for below, parent in parents.items() if parent == above]
    return found


def memory_of(pid: int) -> tuple[int, int]:
    """PSS and its anonymous part, in bytes; zeros for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
    return sizes.get("Pss", 0), sizes.get("Pss_Anon", 0)


def cpu_of(pid: int) -> float:
    """CPU seconds of a process by itself; 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
