"""Two machines on one: each has its folder and its processes; the checkpoint folder alone they share.

Where this process may make network namespaces, each machine has a network of its own too, and a cable between them.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from corpora import write_params
from stores import free_port
from token_shards import PRETRAIN, changed_params, write_pack, write_tokenizer
from train_runs import ROOT, TrainRuns

OPTIONS = ("--input", "data/pack", "--tokenizer", "data/learn/tokenizer.json", "--output", "data/pretrain")
PARAMS = changed_params(PRETRAIN, {"engine.rows_per_micro_batch": 1})


class Machine:
    """A workspace of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pack = folder, folder / "data" / "pack"
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer = write_tokenizer(folder / "data" / "learn" / "tokenizer.json")
        write_pack(self.pack, self.tokenizer)
        self.configure()

    def configure(self, **changed: object) -> None:
        """Writes ``params.yaml``."""
        write_params(self.folder / "params.yaml", pretrain=changed_params(PARAMS, changed))

    @property
    def model(self) -> bytes:
        return (self.folder / "data" / "pretrain" / "model.safetensors").read_bytes()


class Launched:
    """``torchrun`` on each of two machines."""

    def __init__(self, machines: Sequence[Machine], cables: Sequence["Cable"], cache: Path) -> None:
        port, address = free_port(), cables[0].address
        self.processes = []
        for number, (machine, cable) in enumerate(zip(machines, cables, strict=True)):
            command = [
                *cable.prefix, sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1",
                f"--node-rank={number}", f"--master-addr={address}", f"--master-port={port}", "-m", "--",
                "train.pretrain", *OPTIONS, "--cache", str(cache),
            ]  # fmt: skip
            environment = {**os.environ, **cable.environment, "PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu"}
            with open(machine.folder / "log.txt", "wb") as log:
                self.processes.append(
                    subprocess.Popen(command, cwd=machine.folder, env=environment, stdout=log, stderr=log)
                )
        self._logs = [machine.folder / "log.txt" for machine in machines]

    def said(self) -> list[str]:
        return [log.read_text() for log in self._logs]

    def wait(self) -> list[int]:
        """The exit statuses."""
        return [process.wait(timeout=180) for process in self.processes]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


class Cable:
    """A machine's end of the network: how to start a process there, and its address."""

    def __init__(self, prefix: Sequence[str], address: str, interface: str) -> None:
        self.prefix, self.address = list(prefix), address
        self.environment = {"GLOO_SOCKET_IFNAME": interface}


@contextlib.contextmanager
def cables() -> Iterator[tuple[Cable, Cable]]:
    """Two ends of a cable between two network namespaces; loopback twice where we may make none."""
    names = [f"corpusmill-{os.getpid()}-{number}" for number in (0, 1)]
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
        _ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        for number, name in enumerate(names, start=1):
            _ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "cable")
            for interface in ("cable", "lo"):
                _ip("-n", name, "link", "set", interface, "up")
        first, second = (
            Cable(["ip", "netns", "exec", name], f"10.77.0.{number}", "cable") for number, name in enumerate(names, 1)
        )
        yield first, second
    except (OSError, subprocess.CalledProcessError):
        yield Cable([], "127.0.0.1", "lo"), Cable([], "127.0.0.1", "lo")
    finally:
        for name in names:
            with contextlib.suppress(OSError):
                subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class WarmPair:
    """Two processes at a time, as a launcher would start them, without waiting for their imports; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.machines = [Machine(folder / f"machine-{number}") for number in (0, 1)]
        self.runs = TrainRuns(self.machines[0].folder)

    def __enter__(self) -> "WarmPair":
        self.runs.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self.runs.__exit__(*failure)

    def run(
        self,
        *argv: str,
        module: str = "train.pretrain",
        second: Sequence[str] | None = None,
        one_machine: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> list[tuple[int, str]]:
        """(exit status, what it said) of both.

        Args:
            second: the other process's command line, where it is not the same.
            one_machine: both in the first one's folder.
        """
        here, there = (machine.folder for machine in self.machines)
        return self.runs.run_ranks(
            [argv, argv if second is None else second], [here, here if one_machine else there], module,
            machines=1 if one_machine else 2, **(env or {}),
        )  # fmt: skip


def main(argv: Sequence[str]) -> None:
    """Compares two machines, each with the checkpoint folder on its command line.

    ``--silent``: one is halted for some seconds while it trains; ``--late``: it begins to train some seconds later.
    """
    import torch.distributed as dist

    from train.nodes import expect_alike
    from train.pulse import pulse
    from train.world import join_world, left_at_end

    world = join_world()
    with left_at_end(world):
        if argv[0] == "--late":
            if not world.leads:
                time.sleep(float(argv[1]))
            with pulse(world, {0: "node-a", 1: "node-b"}):
                return dist.barrier()
        if argv[0] != "--silent":
            expect_alike(world, "train.pretrain", (), OPTIONS[1], Path(OPTIONS[3]), Path(argv[0]))
            return
        with pulse(world, {0: "node-a", 1: "node-b"}):
            if not world.leads:
                subprocess.Popen(["sh", "-c", f"sleep {argv[1]}; kill -CONT {os.getpid()}"])
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(60)
