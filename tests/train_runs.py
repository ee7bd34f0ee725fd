"""Runs of ``python -m train.<stage>`` that start in milliseconds: one process imports torch, each run is its fork."""

from collections.abc import Sequence
from pathlib import Path

from stores import free_port
from warm_runs import ROOT as ROOT
from warm_runs import Asked, WarmRuns


class TrainRuns(WarmRuns):
    """A process from which runs fork; a context manager."""

    #: Also what DeepSpeed and torch import on first use: without it a run of eight steps took 2.2 s of CPU, with it 0.65.
    modules = ("deepspeed.pipe", "deepspeed.module_inject", "deepspeed.runtime.zero.stage3",
               "deepspeed.runtime.zero.muon.original_muon", "tensorboard.summary.writer.record_writer",
               "torch._dynamo", "torch.profiler", "train.pretrain")  # fmt: skip

    def run_ranks(
        self,
        argv: Sequence[Sequence[str]],
        folders: Sequence[Path],
        module: str = "train.pretrain",
        machines: int = 1,
        **env: str,
    ) -> list[tuple[int, str]]:
        """(exit status, what it said) of processes that train together, as a launcher would start them.

        Args:
            argv: of each process.
            folders: in which each starts.
            machines: 1, or as many as there are processes.
        """
        common = {"WORLD_SIZE": str(len(argv)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
                  "GLOO_SOCKET_IFNAME": "lo", **env}  # fmt: skip
        return self.together([
            Asked(module, given, {**common, "RANK": str(rank), "LOCAL_RANK": str(rank if machines == 1 else 0)}, folder)
            for rank, (given, folder) in enumerate(zip(argv, folders, strict=True))
        ])  # fmt: skip
