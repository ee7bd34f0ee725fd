"""The training section of the report: curves by step, epochs, and gradients by layer.

curve.csv, val.csv, epochs.csv, gradients.csv, metrics.json of ``pretrain``  ->  a section of the page; what a run did
not write is left out of it.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.reporting import charts
from pipelines.reporting.flow import Flow

#: The running mean of the training loss reaches over this share of all steps on either side.
SMOOTHING_PERCENT = 1
#: How much of the first steps is left out of the loss chart: they fall from ln(vocabulary) and flatten the rest.
STEPS_HIDDEN_PERCENT = 3

Rows = Sequence[Mapping[str, str]]


def training_section(flow: Flow) -> dict[str, Any] | None:
    """Loss, accuracy, learning rate and gradient norm by step; epochs; the gradients of each layer."""
    stage = flow["pretrain"]
    if not stage.has_run:
        return None
    curve, val = stage.rows("curve.csv"), stage.rows("val.csv")
    loss = points(curve, "loss")
    hidden = len(loss) * STEPS_HIDDEN_PERCENT // 100
    drawn = {
        "loss": _by_step("loss", curve, val, hidden),
        "accuracy": _by_step("accuracy", curve, val, 0),
    }
    for name in ("learning_rate", "gradient_norm"):
        found = points(curve, name)
        drawn[name] = charts.lines([charts.Series(name, "second", found)], f"{name} by step", True) if found else None
    first = loss[0][1] if loss else 0.0
    metrics = {"parameters": None, "steps": None, "tokens": None, "val": None, **(stage.json("metrics.json") or {})}
    return {
        "charts": drawn, "metrics": metrics, "steps": len(curve), "hidden": hidden, "first": first,
        "epochs": epochs(stage.rows("epochs.csv")), "layers": layers(stage.rows("gradients.csv")),
    }  # fmt: skip


def points(rows: Rows, name: str) -> list[tuple[float, float]]:
    """(step, value) of the rows that have both."""
    return [(float(row["step"]), float(row[name])) for row in rows if row.get("step") and row.get(name)]


def epochs(rows: Rows) -> list[dict[str, float | None]]:
    """The rows as numbers; what a row lacks is None."""
    names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    return [{name: float(row[name]) if row.get(name) else None for name in names} for row in rows]


def layers(rows: Rows) -> list[tuple[str, float, float, float]]:
    """(layer, norm at the first look, median, at the last look), in the order in which layers appear."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["layer"], []).append(float(row["gradient_norm"]))
    return [(layer, norms[0], statistics.median(norms), norms[-1]) for layer, norms in found.items()]


def _by_step(name: str, curve: Rows, val: Rows, hidden: int) -> Any:
    """Each step, a smoothed line, and the evaluations on val; None where no step tells."""
    raw = points(curve, name)
    if not raw:
        return None
    smoothed = charts.smoothed(raw, len(raw) * SMOOTHING_PERCENT // 100)
    series = [
        charts.Series(f"training {name}, each step", "raw", raw[hidden:]),
        charts.Series(f"training {name}, smoothed", "line", smoothed[hidden:]),
        charts.Series(f"val {name}", "points", points(val, name)),
    ]
    return charts.lines(series, f"{name} by step")
