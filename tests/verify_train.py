"""All layouts at 20 steps against one plain process, and kills at every point under every layout: a table.

Run: ``PYTHONPATH=. .venv/bin/python tests/verify_train.py docs/training_matrix.md`` (minutes; 4 processes at most).
The table holds no times and no losses, so it changes only when an answer does. Exit status 1 where one is wrong.
"""

import itertools
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layout_runs import LayoutRuns
from test_train_recipe import recipe
from token_shards import write_pack, write_tokenizer

from pipelines.spine.errors import CorpusmillError

STEPS = 20
#: Largest |a - b| / b of a step's loss: fp32 against one process; the others against one process of their precision.
NEAR = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 5e-2}
#: A rate at which 20 steps do not amplify rounding; clipping always acts.
STEADY = {"learning_rate": 0.002, "embedding_learning_rate": 0.002, "gradient_clipping": 0.2, "steps": STEPS}
KILLS = ("pretrain:writing@1", "pretrain:writing@20")


def layouts() -> Iterator[tuple[dict[str, Any], int]]:
    """Every combination that the recipe allows, with its processes."""
    for optimizer, precision, stage, (tensor, stages), data, again, offload in itertools.product(
        ("adamw", "muon"), ("fp32", "bf16", "fp16"), range(4), ((1, 1), (2, 1), (1, 2)), (1, 2), (False, True),
        ("none", "optimizer", "parameters"),
    ):  # fmt: skip
        changed = {
            "optimizer": optimizer, "precision": precision, "engine.zero_stage": stage,
            "engine.tensor_parallel": tensor, "engine.pipeline_stages": stages, "engine.offload": offload,
            "engine.activation_checkpointing": again, "engine.rows_per_micro_batch": 1 if again else 2,
        }  # fmt: skip
        try:
            recipe(**changed).check()
        except CorpusmillError:
            continue
        yield changed, data * tensor * stages


def compared(runs: LayoutRuns) -> Iterator[tuple[str, bool]]:
    """A row of the table for each layout."""
    plain: dict[tuple[str, str], list[float]] = {}
    for changed, processes in layouts():
        key = (changed["optimizer"], changed["precision"])
        if key not in plain:
            alone = {"optimizer": key[0], "precision": key[1], "engine.zero_stage": int(key[1] != "fp32")}
            plain[key] = runs.train({**STEADY, **alone}, steps=STEPS)["losses"]
        found = runs.train({**STEADY, **changed}, processes, steps=STEPS)
        worst = max((abs(a - b) / b for a, b in zip(found.get("losses", []), plain[key], strict=False)), default=9.0)
        right = found["status"] == [0] * processes and worst <= NEAR[key[1]]
        cells = [str(changed[name]) for name in changed] + [str(processes), "equal" if right else f"WRONG {worst:.0e}"]
        if not right:
            print(cells, found["said"][-2000:], file=sys.stderr, flush=True)
        yield "| " + " | ".join(cells) + " |", right


def killed(runs: LayoutRuns, folder: Path) -> Iterator[tuple[str, bool]]:
    """A row for each ZeRO stage, precision and number of processes: killed while it saves, it goes on to equal bits."""
    for stage, precision, processes in itertools.product(range(4), ("fp32", "bf16", "fp16"), (1, 2)):
        if precision != "fp32" and stage == 0:
            continue
        changed = {"engine.zero_stage": stage, "precision": precision, "ema_decay": 0.9}
        whole = runs.train(changed, processes, steps=6)
        good = folder / f"{stage}-{precision}-{processes}"
        runs.train(changed, processes, steps=3, save=good)
        right = True
        for number, point in enumerate(KILLS):
            torn = folder / f"torn-{stage}-{precision}-{processes}-{number}"
            dead = runs.train(changed, processes, steps=5, load=good, save=torn, env={"CORPUSMILL_KILL_AT": point})
            right &= dead["status"] == [-signal.SIGKILL] * processes and not (torn / "index.json").exists()
            rest = runs.train(changed, processes, steps=6, load=good)
            right &= rest.get("losses") == whole["losses"][3:] and rest.get("weights") == whole["weights"]
        yield f"| {stage} | {precision} | {processes} | {'equal bits' if right else 'WRONG'} |", right


def main(target: str) -> int:
    """Writes the table; returns the exit status."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pack = write_pack(folder / "pack", write_tokenizer(folder / "tokenizer.json"))
        with LayoutRuns(folder, pack) as runs:
            losses, kills = list(compared(runs)), list(killed(runs, folder))
    lines = [
        "# Layouts against one plain process",
        "",
        "Written by `make verify-train` (tests/verify_train.py). Losses of 20 steps with clipping: equal means "
        "|a - b| / b <= 1e-5 at each step in fp32, and <= 5e-2 against one process of the same precision else.",
        "",
        "| optimizer | precision | ZeRO | tensor | stages | offload | recomputed | micro batch | processes | losses |",
        "|" + "---|" * 10,
        *(row for row, _ in losses),
        "",
        "Killed (SIGKILL) at two points of a save, then run again from the checkpoint before:",
        "",
        "| ZeRO | precision | processes | losses and weights of the rest |",
        "|" + "---|" * 4,
        *(row for row, _ in kills),
    ]
    Path(target).write_text("\n".join(lines) + "\n", encoding="utf-8")
    wrong = [row for row, right in (*losses, *kills) if not right]
    print(f"{len(losses)} layouts, {len(kills)} resumed: {len(wrong)} wrong", *wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
