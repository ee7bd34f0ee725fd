"""Export: the trained model as a folder that the Hugging Face ecosystem loads, with equal logits.

    data/pretrain + data/pack/val-*.arrow  ->  data/export/{config.json, model.safetensors, tokenizer.json,
                                               tokenizer_config.json, generation_config.json, README.md}

logits compared = logits equal to the bit; one that differs fails the stage

Run by ``dvc repro export``, or alone:
``python -m train.export --input data/pack --model data/pretrain --output data/export``
"""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import dump, read_manifest
from pipelines.spine.stage import Stage, opened, run_module
from train.data import TokenRows
from train.determinism import set_deterministic
from train.model import Decoder
from train.saved import CONFIG, TOKENIZER, WEIGHTS, ModelConfig, check_fits, file_entry, read_model

DOCUMENT_START = "<|endoftext|>"
FILES = (CONFIG, WEIGHTS, TOKENIZER, "tokenizer_config.json", "generation_config.json", "README.md")


@dataclasses.dataclass(frozen=True)
class ExportParams:
    """``params.yaml: export``. check_rows: rows of val on which the logits are compared."""

    num_threads: int
    check_rows: int


STAGE = Stage("train.export", ExportParams, ("python", "torch", "transformers"))


def main(argv: list[str]) -> None:
    """The command."""
    with opened(STAGE, argv, _add_options) as job:
        params: ExportParams = job.params
        set_deterministic(params.num_threads, seed=0)
        source = Path(job.args.model)
        model, config = read_model(source)
        rows = TokenRows(job.inputs[0], "val")
        check_fits(config, rows)
        job.also_read.append(str(source))
        job.begin()
        write_folder(source, job.output, model, config)
        ledger = Ledger("logits")
        count_equal_logits(model, rows, job.output, params.check_rows, ledger)
        job.publish([file_entry(job.output / name) for name in FILES], ledger)
    print(f"export: {ledger.taken:,} logits equal to the bit; folder {job.output}", file=sys.stderr)


def write_folder(source: Path, target: Path, model: Decoder, config: ModelConfig) -> None:
    """Writes all files. Weights and tokenizer are the trained ones, byte for byte: no tensor is renamed."""
    for name in (WEIGHTS, TOKENIZER):
        storage.link(source / name, target / name)
    storage.write_text(target / CONFIG, dump(architecture(config)))
    start = config.document_start_id
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": DOCUMENT_START,
        "eos_token": DOCUMENT_START,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.seq_len,
    }
    storage.write_text(target / "tokenizer_config.json", dump(tokenizer))
    generation = {"bos_token_id": start, "eos_token_id": start, "pad_token_id": start, "do_sample": True}
    storage.write_text(target / "generation_config.json", dump(generation))
    storage.write_text(target / "README.md", card(source, config))


def architecture(config: ModelConfig) -> dict[str, Any]:
    """Hugging Face's ``config.json``: Llama, or Qwen3 where queries and keys are normalised."""
    model = config.model
    return {
        "architectures": ["Qwen3ForCausalLM" if model.qk_norm else "LlamaForCausalLM"],
        "model_type": "qwen3" if model.qk_norm else "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": model.width,
        "intermediate_size": model.mlp_width,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_heads,
        "num_key_value_heads": model.num_kv_heads,
        "head_dim": model.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": config.seq_len,
        "rms_norm_eps": model.norm_epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "rope_theta": model.rope_theta,  # where versions before 5 look
        "tie_word_embeddings": model.tie_embeddings,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "bos_token_id": config.document_start_id,
        "eos_token_id": config.document_start_id,
        "pad_token_id": config.document_start_id,
        "dtype": "float32",
        "use_cache": True,
    }


def count_equal_logits(model: Decoder, rows: TokenRows, folder: Path, num_rows: int, ledger: Ledger) -> None:
    """Loads the folder as a stranger would and compares the logits of val rows, seen whole by both.

    Raises:
        CorpusmillError: one logit differs.
    """
    stranger = load_in_transformers(folder)
    for index in range(min(num_rows, rows.num_rows)):
        tokens = torch.from_numpy(rows.scoring_batch([index]).tokens.copy())
        with torch.no_grad():
            ours, theirs = model(tokens), stranger(tokens)
        difference = float((ours - theirs).abs().max())
        if not torch.equal(ours, theirs):
            raise CorpusmillError(
                "the exported model computes other logits", where=f"{folder}, row {index} of val",
                expected="a greatest difference of 0", got=f"{difference:.3g}",
                hint="is this the version of transformers that versions.yaml names?",
            )  # fmt: skip
        ledger.take(ours.numel())
        ledger.give("equal", ours.numel())


def load_in_transformers(folder: Path) -> Any:
    """A function from tokens to logits by ``AutoModelForCausalLM``, without the network."""
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


def card(source: Path, config: ModelConfig) -> str:
    """The model card: what it is, how to load it, and what it was made from."""
    lineage = json.loads((source / "lineage.json").read_text(encoding="utf-8"))
    trained = json.loads((source / "metrics.json").read_text(encoding="utf-8"))
    parents = "\n".join(f"- `{p['stage']}`: manifest sha256 `{p['manifest_sha256']}`" for p in lineage["parents"])
    weights = next(shard for shard in read_manifest(source).shards if shard.name == WEIGHTS)
    return CARD.format(
        kind=architecture(config)["architectures"][0], parameters=trained["parameters"], vocab=config.vocab_size,
        seq_len=config.seq_len, tokens=trained["tokens"], bits=trained["val"]["bits_per_byte"], start=DOCUMENT_START,
        parents=parents, weights=weights.sha256, tokenizer=config.tokenizer_sha256,
    )  # fmt: skip


CARD = """\
---
library_name: transformers
pipeline_tag: text-generation
---
# A language model by Corpusmill

`{kind}`, {parameters:,} parameters, vocabulary {vocab:,}, context {seq_len} tokens, trained on {tokens:,} tokens;
{bits:.3f} bits a byte on the validation split.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
ids = tokenizer("{start}In the beginning", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=50)[0]))
```

A document begins with `{start}`, and so does a good prompt; generation stops on it.

## Made from
{parents}
- weights sha256 `{weights}`
- tokenizer sha256 `{tokenizer}`
"""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="data/pretrain", metavar="DIR", help="trained model (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_module("train.export"))
