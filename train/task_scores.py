"""Scores of an exported model on tasks of lm-eval, from local files and without the network.

    data/export + train/tasks/<name>.yaml + <file of its rows>  ->  a table, and logs/tasks.json

    python -m train.task_scores --model data/export --task lambada=FILE --task piqa=FILE --task chnsenticorp=FILE

The documents of training begin with the start token, and so does what the model is asked here. Needs the extra ``tasks``
(lm-eval); ``train/task_files.py`` says how a task of your own is written. No stage: its numbers go to ``logs/``.
"""

import argparse
import importlib.util
import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump
from train.hugging_face import LSTM_TYPE
from train.task_files import TASKS, Task, TaskRows, choose_tasks, copy_beside, read_rows, render, spread

#: Draws for the standard errors of perplexity and correlation (5 % of them); those of shares are computed.
BOOTSTRAPS = 200

#: Metric -> (value, standard error; None where lm-eval gives none).
Measured = dict[str, tuple[float, float | None]]


def main(argv: Sequence[str]) -> None:
    """The command."""
    args = _parser().parse_args(argv)
    tasks = choose_tasks(args.task, Path(args.tasks))
    rows = {task.name: read_rows(task) for task in tasks}
    expect_model(Path(args.model))
    expect_harness()
    searched = read_searched(args.decontaminated)
    measured = measure(Path(args.model), tasks, rows, Path(args.tasks), args.limit, args.batch_rows)
    results = {task.name: result_of(task, rows[task.name], measured[task.name], args.limit, searched) for task in tasks}
    print(table(results))
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    storage.write_text(output, dump({"model_sha256": _weights_sha256(Path(args.model)), "tasks": results}))


def expect_harness() -> None:
    """Passes where lm-eval is installed.

    Raises:
        CorpusmillError: it is not; with the command that installs it.
    """
    for name in ("lm_eval", "accelerate"):
        if importlib.util.find_spec(name) is None:
            raise CorpusmillError(
                f"{name} is not installed", where="train.task_scores",
                hint="`pip install -e .[tasks] -c bench/tasks.txt`: some 320 MB, which nothing else needs",
            )  # fmt: skip


def expect_model(folder: Path) -> None:
    """Passes for a folder that `transformers` loads.

    Raises:
        CorpusmillError: it is none, or its model is of a kind that `transformers` does not know.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        known = bool(config.get("architectures")) and config.get("model_type") != LSTM_TYPE
    except (OSError, ValueError):
        raise CorpusmillError("no exported model", where=str(folder), hint="run `dvc repro export`") from None
    if not known:
        raise CorpusmillError(
            "transformers does not know this kind of model", where=str(folder / "config.json"),
            expected="a decoder",
            hint="lm-eval asks decoders alone; the LSTM has loss and accuracy by `evaluate`",
        )  # fmt: skip


def measure(
    model: Path, tasks: Sequence[Task], rows: Mapping[str, TaskRows], beside: Path, limit: int, batch_rows: int
) -> dict[str, tuple[Measured, int]]:
    """What lm-eval measures of each task, and how many requests were longer than the context.

    It sees copies of the rows in a temporary folder and nothing else.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(
            HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_DATASETS_CACHE=str(folder / "datasets"),
            TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error", DISABLE_MULTIPROC="1",
        )  # fmt: skip
        if not sys.stderr.isatty():
            os.environ["TQDM_DISABLE"] = "1"
        copy_beside(beside, folder)
        for task in tasks:
            render(task, spread(rows[task.name].rows, limit), folder)
        return _measure(model, [task.name for task in tasks], folder, batch_rows)


def _measure(model: Path, names: list[str], folder: Path, batch_rows: int) -> dict[str, tuple[Measured, int]]:
    import datasets
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    class OurModel(HFLM):
        """Each request begins as a document does, and may be longer than the context."""

        num_cut = 0

        def tok_encode(self, string: str, *given: Any, **named: Any) -> list[int]:
            ids = super().tok_encode(string, *given, **named)
            return ids if ids[:1] == [self.prefix_token_id] else [self.prefix_token_id, *ids]

        def _loglikelihood_tokens(self, requests: list[Any], *given: Any, **named: Any) -> list[tuple[float, bool]]:
            self.num_cut += sum(len(before) + len(asked) > self.max_length + 1 for _, before, asked in requests)
            parts = [
                (number, (key, *part))
                for number, (key, before, asked) in enumerate(requests)
                for part in in_parts(before, asked, self.max_length)
            ]
            found = super()._loglikelihood_tokens([part for _, part in parts], *given, **named)
            return joined([number for number, _ in parts], found)

    datasets.disable_progress_bars()
    # It tells of each request that is longer than the context; we count them.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = OurModel(pretrained=str(model), batch_size=batch_rows, dtype="float32", device=device)
    known = TaskManager(include_path=folder, include_defaults=False)
    measured = {}
    for name in names:
        loaded.num_cut = 0
        found = simple_evaluate(loaded, tasks=[name], task_manager=known, bootstrap_iters=BOOTSTRAPS, log_samples=False)
        measured[name] = measured_of(found["results"][name]), loaded.num_cut
    return measured


def in_parts(before: list[int], asked: list[int], max_length: int) -> list[tuple[list[int], list[int]]]:
    """What is asked in parts that leave half of the context to what stands before each: lm-eval refuses longer ones.

    The log-probabilities of the parts add up to that of the whole.
    """
    if len(asked) <= max_length:
        return [(before, asked)]
    step = max(max_length // 2, 1)
    return [(before + asked[:first], asked[first : first + step]) for first in range(0, len(asked), step)]


def joined(numbers: Sequence[int], found: Sequence[tuple[float, bool]]) -> list[tuple[float, bool]]:
    """The answers to the parts of each request as one: log-probabilities summed, and likeliest if all parts were."""
    sums: dict[int, tuple[float, bool]] = {}
    for number, (log_probability, is_likeliest) in zip(numbers, found, strict=True):
        before, all_likeliest = sums.get(number, (0.0, True))
        sums[number] = before + log_probability, all_likeliest and is_likeliest
    return list(sums.values())


def measured_of(result: Mapping[str, Any]) -> Measured:
    """The numbers of lm-eval's result: ``{"acc,none": 0.5, "acc_stderr,none": 0.01}`` -> ``{"acc": (0.5, 0.01)}``.

    A filter other than ``none`` stays in the name; an error that is "N/A" is None.
    """
    numbers = {key.removesuffix(",none"): value for key, value in result.items() if "," in key}
    measured: Measured = {}
    for name, value in numbers.items():
        metric, comma, chosen = name.partition(",")
        if not metric.endswith("_stderr"):
            error = numbers.get(f"{metric}_stderr{comma}{chosen}")
            measured[name] = float(value), float(error) if isinstance(error, float | int) else None
    return measured


def result_of(
    task: Task, rows: TaskRows, measured: tuple[Measured, int], limit: int, searched: Mapping[str, int] | None
) -> dict[str, Any]:
    """What the table and the JSON say of a task; its file by content, never by path."""
    metrics, num_cut = measured
    return {
        "sha256": rows.sha256,
        "rows": rows.num_all,
        "without_text": rows.num_blank,
        "asked": len(spread(rows.rows, limit)),
        "cut": num_cut,
        "chance": rows.chance(task.label),
        "metrics": {name: {"value": value, "stderr": error} for name, (value, error) in sorted(metrics.items())},
        "decontaminated": None if searched is None else rows.sha256 in searched,
        "documents_found": None if searched is None else searched.get(rows.sha256),
    }


def read_searched(place: str) -> dict[str, int] | None:
    """Of each file that `decontaminate` looked for, by its sha256, in how many documents it was found.

    None: no ``sets.json`` was given, so nothing is known.

    Raises:
        CorpusmillError: the file is missing or damaged.
    """
    if not place:
        return None
    try:
        sets = json.loads(Path(place).read_text(encoding="utf-8"))["sets"]
        return {file["sha256"]: int(entry["documents"]) for entry in sets for file in entry["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusmillError(f"damaged: {error!r}", where=place, hint="run `dvc repro decontaminate`") from None


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """One line a metric, then what is known of contamination."""
    lines = [f"{'task':<16}{'metric':<12}{'value':>12}{'stderr':>12}{'chance':>10}{'asked':>8}"]
    for name, result in results.items():
        for metric, found in result["metrics"].items():
            chance = result["chance"] if metric.startswith("acc") else None
            value, error, guessed = (_written(number) for number in (found["value"], found["stderr"], chance))
            lines.append(f"{name:<16}{metric:<12}{value:>12}{error:>12}{guessed:>10}{result['asked']:>8}")
    lines += [f"{name}: {told_of(result)}" for name, result in results.items()]
    return "\n".join(lines)


def _written(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:.4f}" if abs(number) < 1000 else f"{number:.4g}"


def told_of(result: Mapping[str, Any]) -> str:
    """What is known of copies of the task in the corpus, and of rows that could not be asked."""
    beside = f"; {result['without_text']} of {result['rows']:,} rows lack text" if result["without_text"] else ""
    beside += f"; {result['cut']:,} requests longer than the context, cut on the left" if result["cut"] else ""
    if result["decontaminated"] is None:
        return f"not known whether the corpus holds it (--decontaminated data/decontaminate/sets.json){beside}"
    if not result["decontaminated"]:
        return f"NOT DECONTAMINATED: `decontaminate` did not look for this file, the corpus may hold it{beside}"
    return f"looked for by `decontaminate`, found in {result['documents_found']:,} documents{beside}"


def _weights_sha256(model: Path) -> str:
    weights = model / "model.safetensors"
    return storage.sha256_file(weights) if weights.is_file() else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train.task_scores", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--model", default="data/export", metavar="DIR", help="exported model (default: %(default)s)")
    parser.add_argument("--task", action="append", required=True, metavar="NAME=FILE", help="repeat for several")
    parser.add_argument("--tasks", default=str(TASKS), metavar="DIR", help="folder of the tasks' YAML (default: ours)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="rows of each, at equal distances; 0: all")
    parser.add_argument("--batch-rows", type=int, default=32, metavar="N", help="for memory (default: %(default)s)")
    parser.add_argument("--decontaminated", default="", metavar="FILE", help="sets.json of `decontaminate`")
    parser.add_argument("--output", default="logs/tasks.json", metavar="FILE", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(run_module("train.task_scores"))
