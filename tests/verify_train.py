"""All layouts at 20 steps against one plain process, and kills at every point under every layout: a table.

Run: ``make verify-train``, or ``PYTHONPATH=.:tests .venv/bin/python tests/verify_train.py docs/training_matrix.md``
(6 minutes of 2 cores). The table holds no times and of differences only the decade. Exit status 1 where one is wrong.
"""

import itertools
import math
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpora import digests, write_params
from layout_runs import LayoutRuns
from test_train_recipe import recipe
from token_shards import LSTM, PRETRAIN, changed_params, write_pack, write_tokenizer

from pipelines.spine.errors import CorpusmillError

STEPS = 20
#: Largest |a - b| / b of a step's loss. fp32: against one process. bf16 and fp16: against one process of the same
#: precision that leaves out the same steps, since in fp16 the layout decides which gradients overflow; gradients are
#: rounded to 8 and 11 bits before they are summed, so the order of the sum shows. 1e-3 was seen.
NEAR = {"fp32": 1e-5, "bf16": 5e-3, "fp16": 5e-3}
#: A rate at which 20 steps do not amplify rounding; clipping always acts, so that a wrong norm shows in the losses.
STEADY = {"learning_rate": 0.002, "embedding_learning_rate": 0.002, "gradient_clipping": 0.2, "steps": STEPS}
#: Heading -> changed parameters, processes.
PLACES: dict[str, tuple[dict[str, Any], int]] = {
    "1 process": ({}, 1),
    "2 processes": ({}, 2),
    "tensor parallel 2": ({"engine.tensor_parallel": 2}, 2),
    "pipeline of 2": ({"engine.pipeline_stages": 2}, 2),
}
SOME = ((0, "2 processes"), (2, "2 processes"), (3, "2 processes"), (0, "tensor parallel 2"), (1, "pipeline of 2"))
SHARDED = tuple((stage, "2 processes") for stage in range(4))
#: What is added -> changed parameters, (ZeRO stage, place) where it is tried; what the recipe refuses is left out.
ADDED: dict[str, tuple[dict[str, Any], tuple[tuple[int, str], ...]]] = {
    "accumulation: micro batches of 1 row": ({"engine.rows_per_micro_batch": 1}, (*SOME, (1, "2 processes"))),
    "activation checkpointing": ({"engine.activation_checkpointing": True}, ((0, "1 process"), *SOME)),
    "optimizer offloaded": ({"engine.offload": "optimizer"}, ((1, "1 process"), *SHARDED, (2, "tensor parallel 2"))),
    "parameters offloaded": ({"engine.offload": "parameters"}, ((3, "1 process"), (3, "2 processes"))),
    "attention across documents": ({"attention": "row"}, SOME),
    "label smoothing 0.1": ({"label_smoothing": 0.1}, SOME),
    "embeddings not tied": ({"model.tie_embeddings": False}, SOME),
    "QK-norm": ({"model.qk_norm": True}, SOME),
    "L1": ({"l1": 0.1}, SOME),
    "running average": ({"ema_decay": 0.9}, SOME),
    "LSTM": ({f"model.{name}": value for name, value in LSTM.items()}, SHARDED),
    "torch.compile": ({"engine.compile": True}, ((0, "1 process"), (1, "2 processes"))),
}
#: Lives of a run: each dies at its point, the next goes on. 8 steps, saved every 3, evaluated every 3.
KILLS = (
    "pretrain:step:2",  # nothing is saved yet
    "pretrain:writing@5",  # inside the tensors of the first checkpoint
    "pretrain:saving",  # between the files and the rename
    "pretrain:saved",  # the pointer is written, nothing else
    "pretrain:step:5",  # between two checkpoints
    "pretrain:step:8",  # all steps done, nothing published
)


class Compared:
    """Runs beside the plain run of the same mathematics, which is done once."""

    def __init__(self, runs: LayoutRuns) -> None:
        self.runs, self.wrong = runs, list[str]()
        self.count = 0
        self._plain: dict[str, dict[str, Any]] = {}

    def cell(self, what: str, stage: int, place: str, changed: dict[str, Any]) -> str:
        """The decade of the largest difference of a loss; "-" where the recipe refuses it."""
        there, processes = PLACES[place]
        whole = {**STEADY, "engine.zero_stage": stage, **there, **changed}
        try:
            recipe(**whole).check()
        except CorpusmillError:
            return "-"
        found = self.runs.train(whole, processes, steps=STEPS)
        left_out = [step for step, applied in enumerate(found.get("applied", []), start=1) if not applied]
        plain = self.plain(changed, left_out)
        pairs = list(zip(found.get("losses", []), plain["losses"], strict=False))
        worst = max((abs(a - b) / b for a, b in pairs), default=math.inf)
        self.count += 1
        right = found["status"] == [0] * processes and len(pairs) == STEPS
        if not (right and worst <= NEAR[whole.get("precision", "fp32")]):
            self.wrong.append(f"{what}, ZeRO {stage}, {place}: {worst:.1e}\n{found['said'][-2000:]}")
            return f"WRONG {worst:.0e}"
        return "equal" if worst == 0 else f"<= 1e{max(math.ceil(math.log10(worst)), -7)}"

    def plain(self, changed: dict[str, Any], left_out: list[int]) -> dict[str, Any]:
        """The losses of one process, without what changes the layout alone."""
        kept = {name: value for name, value in changed.items() if not name.startswith("engine.")}
        if kept.get("precision", "fp32") != "fp32":
            kept["engine.zero_stage"] = 1
        key = f"{sorted(kept.items())} {left_out}"
        if key not in self._plain:
            alone = {**STEADY, "engine.rows_per_micro_batch": 4, **kept}
            self._plain[key] = self.runs.train(alone, steps=STEPS, left_out=left_out)
            if "losses" not in self._plain[key]:
                raise SystemExit(f"the plain run failed: {kept}\n{self._plain[key]['said']}")
        return self._plain[key]


def product(compared: Compared) -> Iterator[str]:
    """A row for each optimizer, precision and place; a cell for each ZeRO stage."""
    for optimizer, precision, place in itertools.product(("adamw", "muon"), NEAR, PLACES):
        changed = {"optimizer": optimizer, "precision": precision}
        cells = [compared.cell(f"{optimizer}, {precision}", stage, place, changed) for stage in range(4)]
        yield _row(optimizer, precision, place, *cells)


def added(compared: Compared) -> Iterator[str]:
    """A row for each thing that can be added, and a place; muon, fp32."""
    for what, (changed, tried) in ADDED.items():
        for stage, place in tried:
            cell = compared.cell(what, stage, place, changed)
            if cell != "-":
                yield _row(what, stage, place, cell)


def killed(runs: LayoutRuns, folder: Path, wrong: list[str]) -> Iterator[str]:
    """A row for each ZeRO stage, precision and number of processes: the command, killed at each point, run again."""
    for stage, precision, processes in itertools.product(range(4), NEAR, (1, 2)):
        changed = {"engine.zero_stage": stage, "precision": precision, "ema_decay": 0.9, "steps": 8, "val_rows": 4}
        try:
            recipe(**changed).check()
        except CorpusmillError:
            continue
        what = f"ZeRO {stage}, {precision}, {processes} processes"
        whole, torn, cells = folder / "whole", folder / "torn", []
        shutil.rmtree(folder / "cache", ignore_errors=True)
        status, said = runs.pretrain(_command(folder, whole, changed), processes, {})
        expected = digests(whole) if status == [0] * processes else {}
        if not expected:
            wrong.append(f"{what}: undisturbed\n{said}")
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for point in KILLS:
            status, said = runs.pretrain(_command(folder, torn, changed), processes, {"CORPUSMILL_KILL_AT": point})
            dead = status[0] == -signal.SIGKILL and all(status)
            cells.append("killed" if dead else "WRONG")
            if not dead:
                wrong.append(f"{what}: at {point} it ended with {status}\n{said}")
        status, said = runs.pretrain(_command(folder, torn, changed), processes, {})
        equal = status == [0] * processes and digests(torn) == expected
        if not equal:
            wrong.append(f"{what}: {status}, other bytes than undisturbed\n{said[-2000:]}")
        yield _row(stage, precision, processes, *cells, "equal bytes" if equal else "WRONG")
        for path in (whole, torn):
            shutil.rmtree(path, ignore_errors=True)


def resized(runs: LayoutRuns, folder: Path, wrong: list[str]) -> Iterator[str]:
    """Two processes, then one, then two: fp32 losses against one plain process."""
    for optimizer, stage in itertools.product(("adamw", "muon"), range(4)):
        changed = {**STEADY, "optimizer": optimizer, "engine.zero_stage": stage}
        whole = runs.train({**changed, "engine.zero_stage": 0}, steps=9)["losses"]
        losses, load = list[float](), None
        for number, processes in enumerate((2, 1, 2), start=1):
            save = folder / f"resized-{optimizer}-{stage}" / f"step-{3 * number:09d}"
            found = runs.train(changed, processes, steps=3 * number, load=load, save=save)
            losses += found.get("losses", [])
            load = save
        worst = max((abs(a - b) / b for a, b in zip(losses, whole, strict=False)), default=math.inf)
        right = len(losses) == 9 and worst <= NEAR["fp32"]
        if not right:
            wrong.append(f"2 -> 1 -> 2 processes, {optimizer}, ZeRO {stage}: {worst:.1e}\n{found['said'][-2000:]}")
        yield _row(optimizer, stage, "<= 1e-5" if right else f"WRONG {worst:.0e}")


def _command(folder: Path, output: Path, changed: dict[str, Any]) -> list[str]:
    params = write_params(folder / "params.yaml", pretrain=changed_params(PRETRAIN, changed))
    options = {"input": folder / "pack", "output": output, "params": params, "tokenizer": folder / "tokenizer.json",
               "cache": folder / "cache", "logs": folder / "logs"}  # fmt: skip
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _table(heading: str, rows: list[str]) -> list[str]:
    return [heading, "|" + "---|" * (heading.count("|") - 1), *rows, ""]


def main(target: str) -> int:
    """Writes the table; returns the exit status."""
    begun, wrong = time.monotonic(), list[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pack = write_pack(folder / "pack", write_tokenizer(folder / "tokenizer.json"))
        with LayoutRuns(folder, pack) as runs:
            compared = Compared(runs)
            parts = []
            for part in (product(compared), added(compared), killed(runs, folder, wrong), resized(runs, folder, wrong)):
                parts.append(list(part))
                print(f"{len(parts[-1])} rows after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    losses, options, kills, sizes = parts
    wrong = [*compared.wrong, *wrong]
    lines = [
        "# Layouts against one plain process",
        "",
        "Written by `make verify-train` (`tests/verify_train.py`), 6 minutes of 2 cores. A cell holds the decade of the "
        f"largest |a - b| / b of a loss over {STEPS} steps, clipping at each; `-`: refused by the recipe, with what to "
        "change. fp32 is compared with one process without any layout, and 1e-5 is allowed. bf16 and fp16 are compared "
        "with one process of the same precision that leaves out the same steps (in fp16 the number of processes decides "
        "which gradients overflow), and 5e-3 is allowed: gradients are rounded to 8 and 11 bits before the processes sum "
        "them, so that the order of the sum shows.",
        "",
        *_table("| optimizer | precision | | ZeRO 0 | ZeRO 1 | ZeRO 2 | ZeRO 3 |", losses),
        "What can be added, in fp32 with Muon:",
        "",
        *_table("| added | ZeRO | | losses |", options),
        "`python -m train.pretrain`, killed (SIGKILL) at one point after the other and run again; at the end all files "
        "that are published (weights, curves, metrics, ledger) are compared with those of an undisturbed run:",
        "",
        *_table("| ZeRO | precision | processes | " + " | ".join(f"`{point}`" for point in KILLS) + " | at the end |",
                kills),
        "Two processes for 3 steps, then one, then two, in fp32 against one plain process:",
        "",
        *_table("| optimizer | ZeRO | losses |", sizes),
    ]  # fmt: skip
    Path(target).write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print(f"{compared.count} layouts, {len(kills)} resumed, {len(sizes)} resized: {len(wrong)} wrong", *wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
