"""Runs of ``python -m train.<stage>`` that start in milliseconds: one process imports torch, each run is its fork."""

from warm_runs import ROOT as ROOT
from warm_runs import WarmRuns


class TrainRuns(WarmRuns):
    """A process from which runs fork; a context manager."""

    modules = ("deepspeed", "tensorboard.summary.writer.record_writer")
