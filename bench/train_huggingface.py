"""Trains ``LlamaForCausalLM`` with ``transformers.Trainer`` on rows in a file.

python -m bench.train_huggingface <job.json> <target folder>

In an environment of its own (``bench/read_huggingface.txt``). The job: ``rows`` (npz with ``input_ids`` and ``labels``,
int64 [rows, T], in the order in which they are to be shown), ``config`` (of ``LlamaConfig``), ``seed``, ``num_threads``,
``rows_per_step``, and ``arguments``, what is not the Trainer's default.
"""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

IGNORED = -100


class Rows(torch.utils.data.Dataset):
    """The rows as the model takes them."""

    def __init__(self, path: Path) -> None:
        found = np.load(path)
        self.inputs, self.labels = (torch.from_numpy(found[name]) for name in ("input_ids", "labels"))

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.inputs[index], "labels": self.labels[index]}


def loss_of(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
    """Mean over the targets: ours stand one place to the left already, where Llama's own loss would shift them."""
    logits = outputs.logits.float().flatten(0, 1)
    return functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED)


def main(argv: Sequence[str]) -> None:
    """The command above."""
    job, target = json.loads(Path(argv[0]).read_text()), Path(argv[1])
    torch.set_num_threads(job["num_threads"])
    set_seed(job["seed"])
    model = LlamaForCausalLM(LlamaConfig(**job["config"]))
    arguments = TrainingArguments(
        output_dir=str(target / "runs"), per_device_train_batch_size=job["rows_per_step"], num_train_epochs=1,
        seed=job["seed"], use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True, **job["arguments"],
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=Rows(Path(job["rows"])), compute_loss_func=loss_of)
    steps = trainer.train().global_step
    model.save_pretrained(target)
    (target / "facts.json").write_text(json.dumps({"steps": steps, "version": version("transformers")}))


if __name__ == "__main__":
    main(sys.argv[1:])
