"""Small token shards and small models that the tests of ``train/`` write."""

import copy
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from corpora import words

from pipelines.pack import PackParams, pack_documents
from pipelines.packing import token_shard_schema
from pipelines.spine.manifest import Shard, write_manifest
from pipelines.spine.schema import DOCUMENT
from pipelines.spine.shards import ArrowIndex, ArrowShard
from pipelines.spine.units import Unit
from tokenizer.encoding import Encoder, tokenizer_json
from train.model import LanguageModel, build_model, init_weights
from train.saved import ModelConfig, write_model
from train.shape import ModelParams

KEY = "0123456789ab"
SIZE = {"width": 16, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "mlp_width": 24}
SHAPE = {
    "kind": "decoder", "size": SIZE, "rope_theta": 10000.0, "norm_epsilon": 1e-5, "qk_norm": False,
    "tie_embeddings": True, "dropout": 0.0,
}  # fmt: skip
#: Added to ``SHAPE``: an LSTM.
LSTM = {"kind": "lstm", "size": {"width": 16, "num_layers": 2}}
SPIKES = {"action": "none", "window": 4, "deviations": 6.0, "skip_before": 0}
ENGINE = {
    "num_threads": 1, "rows_per_micro_batch": 2, "zero_stage": 0, "tensor_parallel": 1, "pipeline_stages": 1,
    "offload": "none", "activation_checkpointing": False, "compile": False,
}  # fmt: skip
PRETRAIN = {
    "seed": 3, "source_weights": {}, "bpe_dropout": 0.0, "steps": 8, "rows_per_step": 4, "attention": "document",
    "precision": "fp32", "label_smoothing": 0.0, "optimizer": "muon", "learning_rate": 0.02,
    "embedding_learning_rate": 0.01, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1, "l1": 0.0,
    "gradient_clipping": 1.0, "schedule": "linear", "warmup_steps": 2, "decay_steps": 0,
    "final_learning_rate_factor": 0.0, "evaluate_every": 3, "val_rows": 0, "early_stopping_patience": 0,
    "ema_decay": 0.0, "snapshots": 0, "final_weights": "last", "monitor_every": 0, "sample_prompt": "",
    "sample_tokens": 0, "checkpoint_every": 3, "spikes": SPIKES, "engine": ENGINE, "model": SHAPE,
}  # fmt: skip


def changed_params(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with some changed; a key with dots reaches into a part: ``engine.zero_stage``, ``model.size.width``."""
    result = copy.deepcopy(dict(base))
    for name, value in changed.items():
        *parts, last = name.split(".")
        place = result
        for part in parts:
            place = place[part]
        place[last] = value
    return result


#: English, Chinese and Japanese by turns; lengths from one piece to several.
TEXTS = [
    (f"{index:03}", f"{' '.join(words(index, 2 + 5 * index % 17))} {'日本語の文章。中文也一样'[: index % 12]}")
    for index in range(40)
]


def language_of(text: str) -> str:
    """The language that a document of these tests declares."""
    return "en" if text.isascii() else "ja"


def write_tokenizer(path: Path) -> Path:
    """A tokenizer of single bytes: id 0 starts a document, 257 ids in all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tokenizer_json([], ["<|endoftext|>"], "gpt2"), encoding="utf-8")
    return path


def write_pack(
    folder: Path,
    tokenizer: Path,
    seq_len: int = 16,
    texts: Sequence[tuple[str, str]] = TEXTS,
    strategy: str = "best_fit",
    long_documents: str = "split",
) -> Path:
    """Token shards of one source: every fifth document is val, the one after it test, the others train."""
    params, encoder = PackParams(seq_len, strategy, long_documents), Encoder(tokenizer)
    splits = {"train": [t for i, t in enumerate(texts) if i % 5 > 1], "val": texts[::5], "test": texts[1::5]}
    shards = [write_unit(folder, f"{split}-s-{KEY}", chosen, encoder, params) for split, chosen in splits.items()]
    write_manifest(folder, shards)
    return folder


def write_unit(
    folder: Path,
    stem: str,
    texts: Sequence[tuple[str, str]],
    encoder: Encoder,
    params: PackParams,
    source: str = "s",
) -> Shard:
    """The token shard of these (key, text) documents and its index; returns its manifest entry."""
    columns = {name: [""] * len(texts) for name in DOCUMENT.names}
    columns |= {"language": [language_of(text) for _, text in texts]}
    columns |= {"doc_id": [f"{source}:{key}" for key, _ in texts], "text": [text for _, text in texts]}
    batches = pa.table(columns, DOCUMENT).to_batches()
    outcomes = list(pack_documents(batches, encoder, params, stem.partition("-")[0], Unit(stem, source, ())))
    rows = [outcome.outputs[""] for outcome in outcomes if outcome.outputs]
    for outcome in outcomes:
        for kind, batch in outcome.indexes.items():
            with ArrowIndex(folder / kind / f"{stem}.arrow", batch.schema) as shard:
                shard.write(batch)
    return write_shard(folder / f"{stem}.arrow", pa.Table.from_batches(rows))


def write_rows(folder: Path, split: str, rows: Sequence[Mapping[str, list]], **facts: str | int) -> Path:
    """A folder of one shard with exactly these rows (``tokens``, ``segment_lengths``, ``doc_offsets``, ``doc_ids``)."""
    metadata: dict[str, str | int] = {
        "tokenizer_sha256": "t" * 64, "document_start_id": 0, "split": split, "source": "s", "text_bytes": 9,
        "strategy": "best_fit", "long_documents": "split", **facts,
    }  # fmt: skip
    schema = token_shard_schema(len(rows[0]["tokens"]) - 1, 100, metadata)
    starts = [[0, *itertools.accumulate(row["segment_lengths"])][: len(row["segment_lengths"])] for row in rows]
    beside = [{"segment_starts": found, "source": metadata["source"]} for found in starts]
    table = pa.Table.from_pylist([{**row, **more} for row, more in zip(rows, beside, strict=True)], schema=schema)
    write_manifest(folder, [write_shard(folder / f"{split}-s-{KEY}.arrow", table)])
    return folder


def write_shard(path: Path, table: pa.Table) -> Shard:
    """One Arrow shard; returns its manifest entry."""
    with ArrowShard(path, table.schema) as shard:
        for batch in table.to_batches():
            shard.write(batch)
    return shard.published()


def small_model(vocab_size: int = 257, seed: int = 1, **shape: object) -> LanguageModel:
    """A model whose every tensor is at work: what starts at zero gets small numbers too."""
    in_size = {f"size.{name}" if name in SIZE else name: value for name, value in shape.items()}
    model = build_model(ModelParams(**changed_params(SHAPE, in_size)), vocab_size)
    init_weights(model, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model.eval()


def write_trained(
    folder: Path, model: LanguageModel, tokenizer: Path, seq_len: int = 16, attention: str = "document"
) -> Path:
    """The folder that ``train.pretrain`` would publish for this model."""
    vocab_size = model.lm_head.out_features
    config = ModelConfig(model.params, vocab_size, seq_len, 0, Encoder(tokenizer).sha256, attention)
    shards = write_model(folder, config, model.state_dict(), tokenizer)
    (folder / "lineage.json").write_text('{"parents": [{"stage": "pack", "manifest_sha256": "abc"}]}')
    (folder / "metrics.json").write_text(
        '{"parameters": 1, "tokens": 2, "val": {"bits_per_byte": 3.0, "tokens": 2048}}'
    )
    write_manifest(folder, shards)
    return folder
