"""A model on disk: weights, what they are for, and the tokenizer. All that evaluation, export, generation need.

data/pretrain/model.safetensors   fp32; a tied lm_head is left out
data/pretrain/config.json         shape, vocabulary, context length, tokenizer hash
data/pretrain/tokenizer.json      the file whose hash the token shards carry
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import NAME, Shard, dump, read_manifest
from train.data import TokenRows
from train.model import LanguageModel, build_model
from train.shape import ModelParams

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
#: Where our configuration stands in an exported config.json, whose other keys are Hugging Face's.
OURS = "corpusmill"


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What a trained model is for.

    Attributes:
        attention: ``document`` or ``row``: what it could see of a row in training.
    """

    model: ModelParams
    vocab_size: int
    seq_len: int
    document_start_id: int
    tokenizer_sha256: str
    attention: str

    @property
    def within_documents(self) -> bool:
        return self.attention == "document"


def weights_to_store(model_params: ModelParams, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the one that only repeats the embeddings."""
    tied = {"lm_head.weight"} if model_params.tie_embeddings else set()
    return {name: tensor.contiguous() for name, tensor in weights.items() if name not in tied}


def write_model(folder: Path, config: ModelConfig, weights: dict[str, Tensor], tokenizer: Path) -> list[Shard]:
    """Writes the three files and returns their manifest entries; equal weights give equal bytes."""
    config = dataclasses.replace(config, model=config.model.resolved)
    stored = weights_to_store(config.model, weights)
    with storage.publishing(folder / WEIGHTS) as file:
        file.write(safetensors.torch.save(stored, metadata={"format": "pt"}))
    storage.write_text(folder / CONFIG, dump(dataclasses.asdict(config)))
    with storage.publishing(folder / TOKENIZER) as file:
        file.write(tokenizer.read_bytes())
    return [file_entry(folder / WEIGHTS, rows=len(stored)), file_entry(folder / CONFIG), file_entry(folder / TOKENIZER)]


def file_entry(path: Path, rows: int = 0) -> Shard:
    """A manifest entry; ``rows`` are tensors where the file holds some."""
    return Shard(path.name, rows, path.stat().st_size, storage.sha256_file(path))


def read_model(folder: Path) -> tuple[LanguageModel, ModelConfig]:
    """The model, ready to score, and its configuration: from what `pretrain` or `export` published.

    Raises:
        CorpusmillError: there is none yet, or its files do not fit together.
    """
    if not (folder / NAME).exists():
        raise CorpusmillError(
            "there is no trained model yet", where=str(folder),
            hint="run `make repro` to train one, or `dvc pull` to fetch one that was trained",
        )  # fmt: skip
    read_manifest(folder).check()
    return load_model(folder)


def load_model(folder: Path) -> tuple[LanguageModel, ModelConfig]:
    """The same from a folder that is not published yet.

    Raises:
        CorpusmillError: its files do not fit together.
    """
    config = read_config(folder / CONFIG)
    model = build_model(config.model, config.vocab_size)
    try:
        weights = safetensors.torch.load_file(folder / WEIGHTS)
        if config.model.tie_embeddings:
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        model.load_state_dict(weights)
    except (safetensors.SafetensorError, RuntimeError, KeyError, OSError) as error:
        raise CorpusmillError(
            f"the weights do not fit {CONFIG}: {' '.join(str(error).split())[:300]}", where=str(folder / WEIGHTS),
            hint="run `dvc checkout`, or `dvc repro pretrain`",
        ) from None  # fmt: skip
    return model.eval(), config


def read_config(path: Path) -> ModelConfig:
    """The configuration that ``write_model`` wrote, alone or under ``corpusmill`` in an exported one.

    Raises:
        CorpusmillError: no such file, or a damaged one.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        document = document.get(OURS, document)
        config = ModelConfig(**{**document, "model": ModelParams(**document["model"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusmillError(f"not a model's configuration: {error}", where=str(path)) from None
    config.model.check(f"{path}: model")
    return config


def check_fits(config: ModelConfig, rows: TokenRows) -> None:
    """Passes when the model was trained on shards of this tokenizer, vocabulary and context length.

    Raises:
        CorpusmillError: it was not.
    """
    facts = rows.facts
    for what, of_model, of_shards in (
        ("tokenizer", config.tokenizer_sha256[:12], facts.tokenizer_sha256[:12]),
        ("vocabulary", config.vocab_size, facts.vocab_size),
        ("seq_len", config.seq_len, facts.seq_len),
    ):
        if of_model != of_shards:
            raise CorpusmillError(
                f"the shards have another {what} than the model was built for", where=rows.where,
                expected=of_model, got=of_shards, hint="run `dvc repro pretrain`, or give the shards it was trained on",
            )  # fmt: skip
