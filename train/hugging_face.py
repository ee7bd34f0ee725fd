"""What Hugging Face's libraries read beside the weights: config.json, tokenizer_config.json, generation_config.json."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from train.saved import OURS, ModelConfig

DOCUMENT_START = "<|endoftext|>"
#: ``model_type`` of an LSTM: no architecture of ``transformers``, and named so that none is taken for it.
LSTM_TYPE = "corpusmill_lstm"


def loads_in_transformers(config: ModelConfig) -> bool:
    """Whether ``transformers`` has the architecture."""
    return config.model.kind == "decoder"


def architecture(config: ModelConfig) -> dict[str, Any]:
    """``config.json``: Llama, or Qwen3 where queries and keys are normalised; an LSTM under its own name.

    Our configuration stands below ``corpusmill``, so that ``train.generate --model`` takes the folder too.
    """
    model, start = config.model, config.document_start_id
    ours = dataclasses.asdict(dataclasses.replace(config, model=model.resolved))
    shared = {
        "vocab_size": config.vocab_size,
        "hidden_size": model.width,
        "num_hidden_layers": model.num_layers,
        "max_position_embeddings": config.seq_len,
        "tie_word_embeddings": model.tie_embeddings,
        "bos_token_id": start,
        "eos_token_id": start,
        "pad_token_id": start,
        "dtype": "float32",
        OURS: ours,
    }
    if not loads_in_transformers(config):
        return {"architectures": ["LstmModel"], "model_type": LSTM_TYPE, **shared}
    return {
        "architectures": ["Qwen3ForCausalLM" if model.qk_norm else "LlamaForCausalLM"],
        "model_type": "qwen3" if model.qk_norm else "llama",
        "intermediate_size": model.mlp_width,
        "num_attention_heads": model.num_heads,
        "num_key_value_heads": model.num_kv_heads,
        "head_dim": model.head_width,
        "hidden_act": "silu",
        "rms_norm_eps": model.norm_epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "rope_theta": model.rope_theta,  # where versions before 5 look
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "use_cache": True,
        **shared,
    }


def tokenizer_config(config: ModelConfig) -> dict[str, Any]:
    """``tokenizer_config.json``."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": DOCUMENT_START,
        "eos_token": DOCUMENT_START,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.seq_len,
    }


def generation_config(config: ModelConfig) -> dict[str, Any]:
    """``generation_config.json``: drawn tokens, as ``train.generate`` draws them, until the document's end."""
    start = config.document_start_id
    return {
        "bos_token_id": start, "eos_token_id": start, "pad_token_id": start, "do_sample": True, "temperature": 0.8,
        "top_k": 0, "top_p": 0.95,
    }  # fmt: skip


def load_in_transformers(folder: Path) -> Callable[[Tensor], Tensor]:
    """A function from tokens [B, T] to logits [B, T, V] by ``AutoModelForCausalLM``, without the network."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    # Only here: its import takes seconds.
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    loaded = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, attn_implementation="sdpa").eval()

    def forward(tokens_BT: Tensor) -> Tensor:
        logits_BTV: Tensor = loaded(tokens_BT, use_cache=False).logits
        return logits_BTV

    return forward
