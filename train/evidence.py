"""The batch of a step that went wrong, as a file that a person reads: which rows, which documents, which tokens.

<checkpoints>/batch-step-000012.json

{"step": 12, "loss": "nan", "gradient_norm": "nan", "why": "the loss is no number any more (nan)", "first_sample": 44,
 "rows": [{"sample": 44, "row": 7, "shard": "train-s-0123456789ab.arrow", "row_in_shard": 7, "source": "s",
           "segments": [{"doc_id": "s:012", "start": 0, "length": 17, "doc_offset": 0}], "tokens": [0, 85, ...]}, ...]}
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump
from train.batches import StepBatch
from train.data import TokenRows
from train.engine import StepResult


def evidence_path(folder: Path, step: int) -> Path:
    return folder / f"batch-step-{step:06d}.json"


def write_evidence(folder: Path, rows: TokenRows, batch: StepBatch, result: StepResult, why: str) -> None:
    """Writes the batch of a step. Tokens are those of the shards; under BPE dropout they were cut anew by sample."""
    document = {
        "step": batch.step,
        "loss": str(result.loss),  # JSON has no nan
        "gradient_norm": str(result.gradient_norm),
        "why": why,
        "first_sample": batch.first,
        "rows": [_row(rows, batch.first + place, index) for place, index in enumerate(batch.indices)],
    }
    storage.write_text(evidence_path(folder, batch.step), dump(document))


def first_documents(rows: TokenRows, indices: Sequence[int], most: int = 3) -> list[str]:
    """The documents that the rows begin with, each once, at most so many."""
    found: dict[str, None] = {}
    for index in indices:
        shard, place = rows.place(index)
        found.update(dict.fromkeys(shard.doc_ids(place)))
        if len(found) >= most:
            break
    return list(itertools.islice(found, most))


def failure(folder: Path, rows: TokenRows, batch: StepBatch, why: str, action: str = "") -> CorpusmillError:
    """The error that ends training on this batch; ``action`` is the ``spikes.action`` that did not prevent it."""
    # Another action is another run: what it would have left out before the last checkpoint is not known.
    without = "" if action in ("skip", "rollback") else "; or begin anew with spikes.action: skip or rollback"
    documents = ", ".join(first_documents(rows, batch.indices))
    return CorpusmillError(
        why, where=f"pretrain, step {batch.step}",
        got=f"documents {documents}, ...; the whole batch: {evidence_path(folder, batch.step)}",
        hint="lower pretrain.learning_rate, lengthen warmup_steps, or clip (gradient_clipping: 1.0)" + without,
    )  # fmt: skip


def _row(rows: TokenRows, sample: int, index: int) -> dict[str, Any]:
    shard, place = rows.place(index)
    row = rows.row(index)
    columns = (shard.doc_ids(place), row.starts.tolist(), row.lengths.tolist(), row.offsets.tolist())
    names = ("doc_id", "start", "length", "doc_offset")
    return {
        "sample": sample,
        "row": index,
        "shard": shard.name,
        "row_in_shard": place,
        "source": shard.facts.source,
        "segments": [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)],
        "tokens": row.tokens.tolist(),
    }
