"""The tables of a run, a line at a time: what was computed after the checkpoint is cut off on resume."""

import math
import os
from collections.abc import Callable
from pathlib import Path

from pipelines.spine import storage
from train.progress import Progress

#: File -> columns. The first one, a step or an epoch, says what a line belongs to.
COLUMNS = {
    "curve.csv": "step,loss,accuracy,learning_rate,gradient_norm,tokens",
    "val.csv": "step,loss,accuracy,bits_per_byte",
    "epochs.csv": "epoch,train_loss,train_accuracy,val_loss,val_accuracy",
    "gradients.csv": "step,layer,gradient_norm",
}
#: File -> the last step or epoch that a checkpoint vouches for.
VOUCHED: dict[str, Callable[[Progress], int]] = {
    "curve.csv": lambda progress: progress.step,
    "val.csv": lambda progress: progress.evaluated,
    "epochs.csv": lambda progress: progress.epochs,
    "gradients.csv": lambda progress: progress.step,
}


class Curve:
    """A CSV file that grows by whole lines."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self.cut_back(progress)

    def cut_back(self, progress: Progress) -> None:
        """Keeps the lines up to where the progress stands."""
        upto, kept = VOUCHED[self.path.name](progress), [COLUMNS[self.path.name]]
        if self.path.exists():
            # A kill can leave half a line; it lies after the checkpoint's step, so no kept line is harmed.
            lines = self.path.read_text(encoding="utf-8").split("\n")[1:-1]
            kept += [line for line in lines if float(line.partition(",")[0]) <= upto]
        storage.write_text(self.path, "\n".join(kept) + "\n")

    def add(self, *values: float | str | None) -> None:
        """Appends one line."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(",".join(map(written, values)) + "\n")

    def sync(self) -> None:
        """Brings the lines to the disk: done before the checkpoint that vouches for them is published."""
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())


def written(value: float | str | None) -> str:
    """A value as a cell: nine digits give an fp32 number back exactly; what is no number is left empty."""
    if isinstance(value, float):
        return f"{value:.9g}" if math.isfinite(value) else ""
    return "" if value is None else str(value)
