"""Training on two machines: launchers, a launcher that dies, machines that differ, Slurm, shards in an object store."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from stores import Store, s3_server
from token_shards import write_pack
from train_runs import ROOT
from two_machines import OPTIONS, Launched, Machine, WarmPair, cables

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import PLACES, Shard, dump, read_manifest
from train.data import TokenRows
from train.stop import StopRequest
from train.world import World

PATIENCE_SECONDS = 180.0


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """An object store without buckets."""
    with s3_server() as store:
        yield store


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPair]:
    with WarmPair(tmp_path_factory.mktemp("cluster")) as pair:
        yield pair


def wait_for(condition: Callable[[], object], said: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, said()
        time.sleep(0.02)


def test_a_launcher_that_is_killed_ends_the_other_and_both_go_on_to_the_weights_of_one_machine(
    pair: WarmPair, tmp_path: Path
) -> None:
    for machine in pair.machines:
        machine.configure(steps=80, checkpoint_every=10, evaluate_every=80, val_rows=4)
    cache = tmp_path / "shared"
    with cables() as ends:
        first = Launched(pair.machines, ends, cache)
        try:
            wait_for(lambda: list(cache.glob("train/*/latest")), first.said)
            first.processes[1].kill()
            assert first.wait() == [1, -signal.SIGKILL]
        finally:
            first.end()
    assert "error: process 0 of 2: another process has ended" in first.said()[0]
    again = pair.run(*OPTIONS, "--cache", str(cache))
    assert [status for status, _ in again] == [0, 0], again
    assert re.search(r"pretrain goes on after step \d+0\n.* on 2 machines; \S+ leads and publishes\n", again[0][1])
    for name in ("data/pretrain", "logs"):
        assert not (pair.machines[1].folder / name).exists()
    model = pair.machines[0].model
    uninterrupted = pair.run(*OPTIONS, "--cache", str(tmp_path / "one"), one_machine=True)
    assert [status for status, _ in uninterrupted] == [0, 0], uninterrupted
    assert pair.machines[0].model == model


def test_machines_that_differ_are_named_before_a_step(pair: WarmPair, tmp_path: Path) -> None:
    machine = pair.machines[1]
    write_pack(machine.pack, machine.tokenizer, texts=[(f"{n:03}", "another corpus") for n in range(40)])
    try:
        (status, said), (other, silent) = pair.run(*OPTIONS, "--cache", str(tmp_path))
    finally:
        shutil.rmtree(machine.pack)
        write_pack(machine.pack, machine.tokenizer)
    assert (status, other, "error" in silent) == (1, 1, False)
    assert said.startswith("error: process 1 on ")
    assert "two machines have another token shards: data/pack\n  expected: " in said
    assert "hint: bring the same pack folder to every machine" in said


def test_a_checkpoint_folder_that_is_not_shared_is_refused(pair: WarmPair, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    module = "two_machines"
    assert pair.run(str(tmp_path / "a"), module=module) == [(0, ""), (0, "")]
    (status, said), _ = pair.run(str(tmp_path / "a"), module=module, second=[str(tmp_path / "b")])
    assert status == 1
    assert f"error: {tmp_path / 'a'}: the checkpoint folder is not that of process 1 on " in said
    assert "expected: one folder that all machines see" in said
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "b"]


def test_a_machine_that_falls_silent_ends_the_others(pair: WarmPair) -> None:
    began = time.monotonic()
    (status, said), (other, woken) = pair.run(
        "--silent", "5", module="two_machines", env={"CORPUSMILL_LOST_SECONDS": "2"}
    )
    assert time.monotonic() - began < 50  # of the 60 that both would sleep
    assert (status, other) == (1, 1)
    assert re.match(
        r"error: process 0 on \S+: process 1 on node-b has said nothing for 2 s\n  hint: look whether", said
    )
    assert "the place where the processes met has not answered for 2 s" in woken


def test_the_others_end_after_the_one_that_publishes(pair: WarmPair, tmp_path: Path) -> None:
    for machine in pair.machines:
        machine.configure(steps=3)
    argv = (*OPTIONS, "--cache", str(tmp_path))
    killed = pair.run(*argv, env={"CORPUSMILL_KILL_AT": "pretrain:linked"})
    assert [status for status, _ in killed] == [-signal.SIGKILL, 1], killed
    assert "error: process 1 of 2: another process has ended" in killed[1][1]


def test_a_machine_that_reads_its_checkpoint_for_long_is_not_lost(pair: WarmPair) -> None:
    assert pair.run("--late", "4", module="two_machines", env={"CORPUSMILL_LOST_SECONDS": "1"}) == [(0, ""), (0, "")]


def test_a_machine_that_does_not_come_and_a_host_that_is_none_are_named(pair: WarmPair) -> None:
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": "0", "CORPUSMILL_JOIN_SECONDS": "1"}
    status, said = pair.runs.run("train.pretrain", OPTIONS, **alone, MASTER_ADDR="127.0.0.1")
    assert (status, said.count("error:"), "Traceback" in said) == (1, 1, False)
    assert "the processes did not meet\n  expected: all 2 at 127.0.0.1:0 within 1 s (CORPUSMILL_JOIN_SECONDS)" in said
    status, said = pair.runs.run("train.pretrain", OPTIONS, **{**alone, "RANK": "1"}, MASTER_ADDR="nowhere.invalid")
    assert "waiting for nowhere.invalid: no such host yet" in said
    assert (status, "finds no address for nowhere.invalid: give MASTER_ADDR" in said) == (1, True), said


def test_shards_in_a_store_are_fetched_once_a_machine_and_only_those_that_are_needed(
    pair: WarmPair, store: Store, tmp_path: Path
) -> None:
    here, there = pair.machines
    for machine in pair.machines:
        machine.configure()
    argv = (*OPTIONS, "--cache", str(tmp_path / "local"))
    assert [status for status, _ in pair.run(*argv, one_machine=True)] == [0, 0]
    on_disk = here.model
    bucket = store.create_bucket("corpus")
    shards = move_to(here.pack, f"{bucket}/pack")
    shutil.copytree(here.pack, there.pack, dirs_exist_ok=True)
    move_to(there.pack, f"{bucket}/pack")
    rows = TokenRows(here.pack, "train")
    assert (rows.num_rows, rows.sources, rows.shards.num_opened) == (119, (("s", 119),), 0)

    env = {**store.environment, "CORPUSMILL_LOCAL_CACHE": str(tmp_path / "objects")}
    argv = (*OPTIONS, "--cache", str(tmp_path / "remote"))
    statuses = pair.run(*argv, one_machine=True, env=env)
    assert [status for status, _ in statuses] == [0, 0], statuses
    assert here.model == on_disk
    used = {shard.sha256: shard for shard in read_manifest(here.pack).shards if shard.split != "test"}
    copies = sorted(path for path in (tmp_path / "objects").iterdir() if not path.name.startswith("."))
    assert [path.name for path in copies] == sorted(used)

    # Objects of the same size and other bytes: a run that fetched one again would refuse it.
    for shard in shards:
        put(f"{bucket}/pack/{shard.name}", bytes(shard.bytes))
    statuses = pair.run(*OPTIONS, "--cache", str(tmp_path / "again"), one_machine=True, env=env)
    assert [status for status, _ in statuses] == [0, 0], statuses
    assert here.model == on_disk

    storage.delete(f"{bucket}/pack/{shards[0].name}")
    (status, said), _ = pair.run(*OPTIONS, "--cache", str(tmp_path / "missing"), one_machine=True, env=env)
    assert (status, said.count("error:")) == (1, 1), said
    assert f"{bucket}/pack/{shards[0].name}: a shard is not in the store as the manifest says" in said


def test_a_shard_whose_download_failed_in_the_background_is_tried_again_when_it_is_needed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUSMILL_LOCAL_CACHE", str(tmp_path / "objects"))
    machine = Machine(tmp_path)
    expected = TokenRows(machine.pack, "val").tokens(0).tolist()
    (entry,) = [shard for shard in read_manifest(machine.pack).shards if shard.split == "val"]
    data = (machine.pack / entry.name).read_bytes()
    place = f"{store.create_bucket('again')}/pack"
    move_to(machine.pack, place)
    rows = TokenRows(machine.pack, "val")
    storage.delete(f"{place}/{entry.name}")
    for _ in range(20):  # more often than there are threads
        rows.ahead([0])
        with pytest.raises(CorpusmillError, match="a shard is not in the store"):
            rows.bring([0])
    put(f"{place}/{entry.name}", data)
    assert rows.tokens(0).tolist() == expected


def test_slurm_ends_a_run_before_its_time_limit_and_queues_it_again(pair: WarmPair, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "workspace")
    machine.configure(steps=100000, checkpoint_every=50000, evaluate_every=50000)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHON": sys.executable, "PYTHONPATH": str(ROOT),
        "SLURM_JOB_NODELIST": "node-[a-b]", "SLURM_JOB_ID": str(os.getpid()), "DS_ACCELERATOR": "cpu",
        "SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": "8", "SLURM_PROCID": "0", "GLOO_SOCKET_IFNAME": "lo",
        "TMPDIR": str(tmp_path),
    }  # fmt: skip
    with open(tmp_path / "log.txt", "wb") as log:
        job = subprocess.Popen(
            [ROOT / "runners" / "slurm.sh"], cwd=machine.folder, env=environment, stdout=log, stderr=log
        )
    try:
        wait_for(lambda: [path for path in machine.folder.glob(".cache/train/*/curve.csv")
                          if path.read_bytes().count(b"\n") > 1], (tmp_path / "log.txt").read_text)  # fmt: skip
        os.kill(int((machine.folder / "task-1.pid").read_text()), signal.SIGUSR1)  # of which process 0 hears
        assert job.wait(timeout=PATIENCE_SECONDS) == 75, (tmp_path / "log.txt").read_text()
    finally:
        job.kill()
    said = (tmp_path / "log.txt").read_text()
    (step,) = re.findall(r"pretrain stops after step (\d+) as asked: saved, run again to go on", said)
    (pointer,) = machine.folder.glob(".cache/train/*/latest")
    assert pointer.read_text() == f"step-{int(step):09}\n"
    assert (machine.folder / "requeued").read_text() == f"{os.getpid()}\n"
    assert (machine.folder / "cores").read_text() == "8\n"
    environment = {"CORPUSMILL_KILL_AT": "pretrain:start"}
    given = {"input": machine.pack, "tokenizer": machine.tokenizer, "params": machine.folder / "params.yaml",
             "cache": machine.folder / ".cache", "output": tmp_path / "out"}  # fmt: skip
    argv = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    status, said = pair.runs.run("train.pretrain", argv, **environment)
    assert (status, f"pretrain goes on after step {step}" in said) == (-signal.SIGKILL, True), said


#: Two tasks, as Slurm would start them on two machines.
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
export SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0 SLURM_LOCALID=0
SLURM_PROCID=0 "$@" & first=$!
SLURM_PROCID=1 "$@" & second=$!
echo $second > task-1.pid
echo $SRUN_CPUS_PER_TASK > cores
wait $first; status=$?
wait $second; other=$?
[ $other -gt $status ] && status=$other
exit $status
"""
SCONTROL = """#!/bin/sh
case "$1" in
    show) echo 127.0.0.1; echo node-b ;;
    requeue) echo "$2" > requeued ;;
esac
"""


def test_a_slurm_task_that_knows_no_place_to_meet_says_what_to_set(pair: WarmPair) -> None:
    task = {"SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "4"}
    status, said = pair.runs.run("train.pretrain", OPTIONS, **task)
    assert (status, "Slurm task 1 of 4: MASTER_ADDR and MASTER_PORT not set" in said) == (1, True), said


def test_a_launcher_gets_the_module_and_its_status_is_the_runs(pair: WarmPair) -> None:
    run = pair.runs
    status, said = run.run("train.pretrain", OPTIONS, CORPUSMILL_LAUNCHER="sh -c 'echo $0 $#; exit 75'")
    assert (status, said) == (75, "train.pretrain 6\n")
    asked = "sh -c 'trap \"exit 75\" USR1; sleep 0.5; kill -USR1 $PPID; sleep 5 & wait'"  # it hears of it as srun would
    assert run.run("train.pretrain", OPTIONS, CORPUSMILL_LAUNCHER=asked) == (75, "")
    deaf = "sh -c '(sleep 0.3; kill -USR1 $PPID) & exec sleep 20'"  # as torchrun
    status, said = run.run("train.pretrain", OPTIONS, CORPUSMILL_LAUNCHER=deaf)
    assert (status, said) == (75, "the launcher died of the signal; run again to go on from the last checkpoint\n")
    status, said = run.run("train.pretrain", ["--output", "elsewhere"], CORPUSMILL_LAUNCHER="true")
    assert (status, "elsewhere: the launcher has ended well, and the output is not here" in said) == (1, True)
    status, said = run.run("train.pretrain", OPTIONS, CORPUSMILL_LAUNCHER="no-such-program python -m")
    assert (status, "error: CORPUSMILL_LAUNCHER: the launcher does not start" in said) == (1, True)


def test_a_file_asks_a_run_to_stop_as_a_signal_does(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    world = World(0, 1, torch.device("cpu"))
    try:
        (tmp_path / "stop").touch()  # of an earlier life
        request = StopRequest(tmp_path, world)
        assert not request.agreed()
        file, request.file, request._looked = request.file, tmp_path / ("x" * 300), 0.0
        assert not request.agreed()  # the disk refuses to answer
        request.file = file
        os.kill(os.getpid(), signal.SIGUSR1)
        assert request.agreed()
        asked = StopRequest(tmp_path, world)
        (tmp_path / "stop").touch()
        assert asked.agreed()
    finally:
        signal.signal(signal.SIGUSR1, before)


def move_to(pack: Path, place: str) -> list[Shard]:
    """Puts the folder's shards there and takes them away here; returns them."""
    manifest = read_manifest(pack)
    for shard in manifest.shards:
        path = pack / shard.name
        put(f"{place}/{shard.name}", path.read_bytes())
        path.unlink()
    (pack / PLACES).write_text(dump({shard.name: f"{place}/{shard.name}" for shard in manifest.shards}))
    return list(manifest.shards)


def put(place: str, data: bytes) -> None:
    with storage.publishing(place) as file:
        file.write(data)


def test_help_is_printed_once_by_processes_that_a_launcher_started_and_all_end_well(pair: WarmPair) -> None:
    (status, said), other = pair.run("--help")
    assert (status, said.count("usage: python -m train.pretrain"), other) == (0, 1, (0, ""))
    task = {"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "2"}
    assert pair.runs.run("train.pretrain", ["-h"], **task) == (0, "")
    (status, said) = pair.runs.run("train.pretrain", ["--help"], CORPUSMILL_PROCESSES="2")
    assert (status, said.count("usage:")) == (0, 1)


def hears(process: int, signal_number: int) -> bool:
    """Whether the process has a handler of the signal."""
    (line,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text())
    return bool(int(line, 16) >> (signal_number - 1) & 1)


def has_torch(process: int) -> bool:
    return "libtorch" in Path(f"/proc/{process}/maps").read_text()


def young_children_of(process: int) -> list[int]:
    """Those that have not imported torch (and are no copy of their parent any more, as before their exec)."""
    pids = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(pid) for pid in pids if not has_torch(int(pid))]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_that_comes_before_torch_is_imported_ends_the_run_by_75(processes: int, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "GLOO_SOCKET_IFNAME": "lo",
                   "CORPUSMILL_PROCESSES": str(processes)}  # fmt: skip
    with open(tmp_path / "log.txt", "wb") as log:
        run = subprocess.Popen(
            [sys.executable, "-m", "train.pretrain", *OPTIONS],
            cwd=machine.folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    said = (tmp_path / "log.txt").read_text
    try:
        if processes == 1:  # as each of a launcher's
            wait_for(lambda: hears(run.pid, signal.SIGUSR1), said)
            assert not has_torch(run.pid)
        else:  # our own has started one, which has no line behind it yet
            wait_for(lambda: young_children_of(run.pid), said)
        run.send_signal(signal.SIGUSR1)
        assert run.wait(PATIENCE_SECONDS) == 75, said()
    finally:
        run.kill()
    assert "pretrain stops before a step as asked: run again to go on\n" in said()
    assert not list(machine.folder.glob(".cache/train/*/latest"))
