"""What a run leaves behind while it goes: its tables and what a person watches. Silent where a process does not lead."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

from pipelines.token_shards import ShardFacts
from train.curves import COLUMNS, Curve
from train.engine import StepResult
from train.monitor import by_layer, flags
from train.progress import Progress
from train.recipe import PretrainParams
from train.scoring import Score
from train.watch import Silence, Watch
from train.world import World


def curve_names(params: PretrainParams) -> list[str]:
    """The tables that a run with these parameters writes."""
    return [name for name in COLUMNS if name != "gradients.csv" or params.monitor_every]


@dataclasses.dataclass
class Record:
    """Tables and watch of a run; without tables in the processes that do not lead."""

    watch: Watch
    curves: dict[str, Curve]

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, folder: Path, logs: Path, params: PretrainParams, facts: ShardFacts, progress: Progress, world: World
    ) -> Iterator["Record"]:
        """Goes on where the progress stands.

        Args:
            folder: where the tables grow.
        """
        if not world.leads:
            yield cls(Silence(), {})
            return
        curves = {name: Curve(folder / name, progress) for name in curve_names(params)}
        flops = params.model.flops_per_token(facts.vocab_size, facts.seq_len)
        tokens = params.rows_per_step * facts.seq_len
        with Watch(
            logs, params.steps, progress.step, tokens, flops, world.size, world.device, precision=params.precision,
            run=folder.name,
        ) as watch:  # fmt: skip
            if progress.step:
                watch.say(f"pretrain goes on after step {progress.step}")
            yield cls(watch, curves)

    def step(self, progress: Progress, result: StepResult, tokens: int) -> None:
        """A step that is done; ``tokens`` since training began."""
        values = (result.loss, result.accuracy, result.learning_rate, result.gradient_norm, tokens)
        self._add("curve.csv", progress.step, *values)
        self.watch.step(progress.step, *values)

    def gradients(self, progress: Progress, parameter_norms: dict[str, float]) -> None:
        """A look at the gradients by layer: a line each, and a warning for those that vanish or explode."""
        norms = by_layer(parameter_norms)
        for layer, norm in norms.items():
            self._add("gradients.csv", progress.step, layer, norm)
        for flag in flags(norms, progress.layer_norms):
            self.watch.warn(f"step {progress.step}: {flag.text}")
        self.watch.monitored(progress.step, norms)
        # A checkpoint holds numbers; growth from what is none is none.
        progress.layer_norms = {layer: norm for layer, norm in norms.items() if math.isfinite(norm)}

    def evaluated(self, progress: Progress, score: Score) -> None:
        """An evaluation on val."""
        self._add("val.csv", progress.step, score.loss, score.accuracy, score.bits_per_byte)
        self.watch.evaluated(progress.step, progress.losses[-1] if progress.losses else math.nan, score)

    def epoch(self, epoch: float, progress: Progress, score: Score) -> None:
        """An epoch, or what was seen of the last one: then its number has a fraction."""
        sums = progress.epoch
        self._add("epochs.csv", epoch, sums.loss, sums.accuracy, score.loss, score.accuracy)

    def cut_back(self, progress: Progress) -> None:
        """Forgets what came after an earlier checkpoint."""
        for curve in self.curves.values():
            curve.cut_back(progress)

    def sync(self) -> None:
        """Brings the tables to the disk."""
        for curve in self.curves.values():
            curve.sync()

    def _add(self, name: str, *values: float | str | None) -> None:
        if name in self.curves:
            self.curves[name].add(*values)
