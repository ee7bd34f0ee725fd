"""How many local processes a stage gets by default: by the size of its input, the cores and the memory it may use."""

import os
from pathlib import Path

import pytest

from pipelines import local_workers
from pipelines.local_workers import COSTS, default_workers, free_bytes, num_cores
from pipelines.spine.units import Unit, UnitInput

GB = 1_000_000_000


def machine(root: Path, available: int = 64 * GB, groups: str = "0::/\n", **files: str) -> Path:
    """A file system in which the kernel says so much; names of files have __ for /."""
    written = {"proc__meminfo": f"MemTotal: 1 kB\nMemAvailable: {available // 1024} kB\n", "proc__self__cgroup": groups}
    for name, text in {**written, **files}.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


def units(number: int, num_bytes: int) -> list[Unit]:
    return [Unit(f"s-{n}", "s", (UnitInput(f"/{n}", f"{n}", num_bytes // number),)) for n in range(number)]


def test_a_small_input_is_done_in_one_process_and_a_large_one_on_all_cores(tmp_path: Path) -> None:
    root = machine(tmp_path)
    for stage, cost in COSTS.items():
        assert default_workers(stage, units(20, cost.min_bytes - 20), root) == 1, stage
        assert default_workers(stage, units(20, cost.min_bytes), root) == 8, stage


def test_raw_tables_are_worth_workers_later_than_dumps(tmp_path: Path) -> None:
    root = machine(tmp_path)
    dump, table = (Unit("s", "s", (UnitInput("/s", "s", 80_000_000),), (("kind", kind),)) for kind in ("warc", "jsonl"))
    assert default_workers("extract", [dump] * 2, root) == 2
    assert default_workers("extract", [table] * 2, root) == 1
    assert default_workers("extract", [table] * 4, root) == 4


def test_no_more_processes_than_units_that_are_left(tmp_path: Path) -> None:
    root = machine(tmp_path)
    assert default_workers("clean", units(3, 3 * GB), root) == 3
    assert default_workers("clean", [], root) == 1


def test_a_stage_that_was_not_measured_takes_one_process(tmp_path: Path) -> None:
    assert default_workers("quality", units(20, 20 * GB), machine(tmp_path)) == 1


def test_no_more_processes_than_fit_into_free_memory(tmp_path: Path) -> None:
    fits = COSTS["shard"].worker_bytes * 3 + 1_000_000
    assert default_workers("shard", units(20, 20 * GB), machine(tmp_path, available=fits)) == 3
    assert default_workers("shard", units(20, 20 * GB), machine(tmp_path, available=1_000_000)) == 1


def test_a_control_group_of_version_2_limits_cores_and_memory(tmp_path: Path) -> None:
    limits = {
        "sys__fs__cgroup__box__cpu.max": "250000 100000\n", "sys__fs__cgroup__box__job__cpu.max": "max 100000\n",
        "sys__fs__cgroup__box__memory.max": f"{4 * GB}\n", "sys__fs__cgroup__box__memory.current": f"{3 * GB}\n",
        "sys__fs__cgroup__box__memory.stat": f"anon {GB}\ninactive_file {2 * GB}\n",
        "sys__fs__cgroup__box__job__memory.max": "max\n", "sys__fs__cgroup__box__job__memory.current": "5\n",
    }  # fmt: skip
    root = machine(tmp_path, groups="0::/box/job\n", **limits)
    assert (num_cores(root), free_bytes(root)) == (3, 3 * GB)  # two cores and a half


def test_a_control_group_of_version_1_limits_cores_and_memory(tmp_path: Path) -> None:
    limits = {
        "sys__fs__cgroup__cpu,cpuacct__box__cpu.cfs_quota_us": "200000\n",
        "sys__fs__cgroup__cpu,cpuacct__box__cpu.cfs_period_us": "100000\n",
        "sys__fs__cgroup__memory__box__memory.limit_in_bytes": f"{2 * GB}\n",
        "sys__fs__cgroup__memory__box__memory.usage_in_bytes": "0\n",
    }
    root = machine(tmp_path, groups="3:cpu,cpuacct:/box\n4:memory:/box\n2:pids:/\n0::/\n", **limits)
    assert (num_cores(root), free_bytes(root)) == (2, 2 * GB)
    unlimited = {"sys__fs__cgroup__cpu,cpuacct__box__cpu.cfs_quota_us": "-1\n"}
    assert num_cores(machine(tmp_path, groups="3:cpu,cpuacct:/box\n", **unlimited)) == 8


def test_a_kernel_that_says_nothing_limits_nothing(tmp_path: Path) -> None:
    assert (num_cores(tmp_path), free_bytes(tmp_path)) == (8, 1 << 62)


def test_this_machine_has_a_core_and_some_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= num_cores() <= len(os.sched_getaffinity(0))
    assert 0 < free_bytes() < 1 << 62
    assert local_workers.default_workers("clean", units(1, 1_000)) == 1
