"""How far a run has come: all that a checkpoint carries beside weights and optimizer. Plain values, no files."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from train.batches import StepBatch


@dataclasses.dataclass
class EpochSums:
    """Of the steps of the current epoch that trained: targets that counted, their nll in nats, those got right."""

    targets: int = 0
    nll: float = 0.0
    right: int = 0

    @property
    def loss(self) -> float | None:
        return self.nll / self.targets if self.targets else None

    @property
    def accuracy(self) -> float | None:
        return self.right / self.targets if self.targets else None


@dataclasses.dataclass
class Progress:
    """The batch of a step follows from its number alone; the rest are sums and what the next decisions look back at.

    Attributes:
        samples: rows, repeated ones and those of steps that were left out each time.
        trained, padding, context, unused: tokens; ``unused`` are the targets of steps that changed nothing;
            ``by_source`` those of each source, the four together. Beside them ``cut``: what BPE dropout had no room for.
        losses: of the last steps that trained, ``spikes.window`` at most.
        left_out: steps whose update is not taken; after a rollback some lie ahead.
        spikes: steps that were found to be one.
        evaluated: the last step that an evaluation followed; 0: none yet.
        epoch, last_epoch: of the present epoch, and of the whole one before it.
        epochs: whole epochs that have their line in epochs.csv.
        worse: evaluations since the best one.
        snapshots: steps of the evaluations whose weights are kept.
        layer_norms: of the last look at the gradients.
    """

    step: int = 0
    samples: int = 0
    trained: int = 0
    padding: int = 0
    context: int = 0
    unused: int = 0
    cut: int = 0
    by_source: dict[str, int] = dataclasses.field(default_factory=dict)
    losses: list[float] = dataclasses.field(default_factory=list)
    left_out: list[int] = dataclasses.field(default_factory=list)
    spikes: list[int] = dataclasses.field(default_factory=list)
    epoch: EpochSums = dataclasses.field(default_factory=EpochSums)
    last_epoch: EpochSums = dataclasses.field(default_factory=EpochSums)
    evaluated: int = 0
    epochs: int = 0
    best_step: int = 0
    best_loss: float | None = None
    worse: int = 0
    stopped_early: bool = False
    snapshots: list[int] = dataclasses.field(default_factory=list)
    layer_norms: dict[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Progress":
        """The progress that ``dataclasses.asdict`` made plain."""
        sums = {name: EpochSums(**state[name]) for name in ("epoch", "last_epoch")}
        return cls(**{**state, **sums})

    def count(self, batch: StepBatch, loss: float, accuracy: float, applied: bool, window: int) -> None:
        """Adds one step.

        Targets of a step without an update are counted under ``unused``: they were seen and taught nothing. Padding
        and context are masked whether or not, so that both sums stay facts about the rows.
        """
        tokens = batch.tokens
        self.step += 1
        self.samples += len(batch.indices)
        self.padding += tokens.padding
        self.context += tokens.context
        self.cut += tokens.cut
        for source, number in tokens.by_source.items():
            self.by_source[source] = self.by_source.get(source, 0) + number
        if not applied:
            self.unused += tokens.targets
            return
        self.trained += tokens.targets
        self.losses = [*self.losses, loss][-window:]
        self.epoch.targets += tokens.targets
        self.epoch.nll += loss * tokens.targets
        self.epoch.right += round(accuracy * tokens.targets)

    def leave_out(self, steps: Iterable[int], spike: int) -> None:
        """Marks steps whose update is not taken, because of the spike in one of them."""
        self.left_out = sorted({*self.left_out, *steps})
        self.spikes = sorted({*self.spikes, spike})

    def epoch_ended(self, num_slots: int) -> bool:
        """Whether the last step completed an epoch that has no line yet."""
        return self.samples // num_slots > self.epochs

    def end_epoch(self, num_slots: int) -> None:
        """Starts the sums of the next epoch; the step that straddles the border counts to the one that it ends."""
        self.epochs = self.samples // num_slots
        self.last_epoch, self.epoch = self.epoch, EpochSums()

    def note_evaluation(self, loss: float, patience: int) -> None:
        """Keeps the best loss on val, and stops when ``patience`` evaluations in a row were no better (0: never)."""
        self.evaluated = self.step
        if math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss):
            self.best_step, self.best_loss, self.worse = self.step, loss, 0
        else:
            self.worse += 1
        self.stopped_early = bool(patience) and self.worse >= patience

    def keep_snapshot(self, most: int) -> None:
        """Adds the weights after this step to those that are kept."""
        self.snapshots = sorted({*self.snapshots, self.step})[-most:]
