"""Reads an export with ``datasets`` and a torch ``DataLoader`` and trains two steps on it with ``transformers.Trainer``.

python -m bench.read_huggingface <export folder> <target.npz>

In an environment of its own, for the Trainer's sake: it needs ``accelerate``, which the project does not.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_from_disk
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, default_data_collator

STEPS = 2


def main(argv: Sequence[str]) -> None:
    """The command above."""
    dataset = load_from_disk(argv[0])
    loader = torch.utils.data.DataLoader(dataset, batch_size=8, collate_fn=default_data_collator)
    batches = list(loader)
    columns: dict[str, Any] = {
        name: torch.cat([batch[name] for batch in batches]).numpy() for name in dataset.column_names
    }
    vocab_size = json.loads((Path(argv[0]) / "export.json").read_text())["vocab_size"]
    np.savez(argv[1], version=version("transformers"), steps=trained_steps(dataset, vocab_size), **columns)


def trained_steps(dataset: Dataset, vocab_size: int) -> int:
    """How many steps of the Trainer ended with a finite loss."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder, max_steps=STEPS, per_device_train_batch_size=2, logging_steps=1, use_cpu=True, report_to="none",
            save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model, settings, train_dataset=dataset, data_collator=default_data_collator)
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return sum(np.isfinite(float(loss)) for loss in losses)


if __name__ == "__main__":
    main(sys.argv[1:])
