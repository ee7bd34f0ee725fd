"""How many local processes a Beam stage gets where nobody says: all cores, once its input is worth starting them.

    bytes and number of the units  ->  default_workers  ->  1, or one process a core

Two worker processes and their server cost some 2.5 s of CPU and 300 MB before they have read anything, so a small corpus
is done sooner in the launching process. From which size on two are faster was measured by stage; `dedup`, which starts
workers for each round, gains last. ``CORPUSMILL_WORKERS`` goes before all this, and no number changes a byte.

Memory: a worker counts with the most that one held at 1 GB and at 2 GB of text; no more are started than fit into what is
free. How it was measured: docs/scaling.md.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.spine.units import Unit

MB = 1_000_000


@dataclass(frozen=True)
class Cost:
    """What several workers of a stage need.

    Attributes:
        min_bytes: of the units' input as it lies, mostly compressed, from which on two workers are faster than one.
        worker_bytes: the most memory that one was seen to hold.
    """

    min_bytes: int
    worker_bytes: int


#: A stage that is not here is never large: `quality` reads samples.
COSTS = {
    "extract": Cost(14 * MB, 400 * MB),
    "clean": Cost(16 * MB, 800 * MB),
    "dedup": Cost(72 * MB, 600 * MB),
    "decontaminate": Cost(40 * MB, 350 * MB),
    "shard": Cost(22 * MB, 1_000 * MB),
    "count": Cost(25 * MB, 600 * MB),
    "pack": Cost(60 * MB, 500 * MB),
}
#: Kinds of raw files that are read so fast that they are worth workers at so many times the size that dumps and pages are.
TABLES, TABLES_TIMES = ("arrow", "csv", "hf", "jsonl", "parquet"), 12


def default_workers(stage: str, units: Sequence[Unit], root: Path = Path("/")) -> int:
    """How many processes work on the units, at least 1.

    Args:
        stage: its name.
        units: those that are still to be done; a unit is never shared.
        root: of the file system in which the kernel says what this process may use.
    """
    cost = COSTS.get(stage)
    if cost is None or sum(map(_worth, units)) < cost.min_bytes:
        return 1
    return max(1, min(num_cores(root), len(units), free_bytes(root) // cost.worker_bytes))


def _worth(unit: Unit) -> int:
    """Its bytes, of a table the part that would take as long if it were a dump."""
    return unit.bytes // (TABLES_TIMES if unit.setting("kind") in TABLES else 1)


def num_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: its affinity, and its control group's share of time, rounded up."""
    cores = len(os.sched_getaffinity(0))
    for folder in _groups(root, "cpu"):
        quota, _, period = (_read(folder / "cpu.max") or "").partition(" ")  # version 2: "150000 100000", "max 100000"
        if not period:
            quota, period = _read(folder / "cpu.cfs_quota_us") or "max", _read(folder / "cpu.cfs_period_us") or ""
        if quota.isdecimal() and period.isdecimal() and int(period):
            cores = min(cores, max(1, -(-int(quota) // int(period))))
    return cores


def free_bytes(root: Path = Path("/")) -> int:
    """Memory that this process may still take: what the machine has available, or its control groups leave."""
    lines = (_read(root / "proc/meminfo") or "").splitlines()
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 1 << 62)
    for folder in _groups(root, "memory"):
        for most, held in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            limit, used = _read(folder / most) or "", _read(folder / held) or ""
            if limit.isdecimal() and used.isdecimal():
                free = min(free, max(0, int(limit) - int(used) + _reclaimable(folder)))
    return free


def _reclaimable(group: Path) -> int:
    """Bytes of files that lie in a control group's memory for speed alone: they count as used, and go when asked for."""
    words = (_read(group / "memory.stat") or "").split()
    numbers = dict(zip(words[::2], words[1::2], strict=False))
    return int(numbers.get("total_inactive_file", numbers.get("inactive_file", "0")))


def _groups(root: Path, controller: str) -> list[Path]:
    """The folders of the control groups that hold this process, the innermost first; both versions of the kernel's."""
    found = []
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        number, controllers, place = line.split(":", 2)
        if number == "0" or controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / ("" if number == "0" else controllers)
            inner = top / place.lstrip("/")
            found += [inner, *(folder for folder in inner.parents if folder.is_relative_to(top))]
    return found


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
