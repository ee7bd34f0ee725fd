"""The model card: what the model is, who loads it, and what it was made from, down to the sources and their licences."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from train.hugging_face import DOCUMENT_START, architecture, loads_in_transformers
from train.saved import WEIGHTS, ModelConfig


def read_sources(manifest: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """The files of ``data/fetch/manifest.json`` that belong to these sources, in its order.

    Raises:
        CorpusmillError: no such file, another one, or a source that it does not list.
    """
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        listed = {file["source"] for file in files}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusmillError(f"not the manifest of fetch: {error}", where=str(manifest)) from None
    if missing := sorted(set(names) - listed):
        raise CorpusmillError(
            "the shards hold sources that were not fetched", where=str(manifest), expected=", ".join(sorted(listed)),
            got=", ".join(missing), hint="give the manifest of the corpus that the shards were made from",
        )  # fmt: skip
    return [file for file in files if file["source"] in set(names)]


def card(source: Path, config: ModelConfig, files: list[dict[str, Any]] | None, onnx: bool) -> str:
    """The card as Markdown.

    Args:
        source: what `pretrain` published.
        files: as ``read_sources`` gives them; None: not known here.
        onnx: whether the folder holds a graph.
    """
    lineage = json.loads((source / "lineage.json").read_text(encoding="utf-8"))
    trained = json.loads((source / "metrics.json").read_text(encoding="utf-8"))
    weights = next(shard for shard in read_manifest(source).shards if shard.name == WEIGHTS)
    parents = [f"- `{p['stage']}`: manifest sha256 `{p['manifest_sha256']}`" for p in lineage["parents"]]
    use = USE_TRANSFORMERS if loads_in_transformers(config) else USE_OURS
    return "\n".join([
        _head(config, files),
        ABOUT.format(
            kind=architecture(config)["architectures"][0], parameters=trained["parameters"], vocab=config.vocab_size,
            seq_len=config.seq_len, tokens=trained["tokens"], bits=trained["val"]["bits_per_byte"],
            val_tokens=trained["val"]["tokens"],
        ),
        use.replace("START", DOCUMENT_START),
        *([USE_ONNX.replace("START", DOCUMENT_START)] if onnx else []),
        f"A document begins with `{DOCUMENT_START}`, and so does a good prompt; generation stops on it. The model writes as "
        "its\nsources do, their errors and leanings included; nothing was done to make what it says true or kind.\n",
        "## Made from",
        *_sources(files),
        *parents,
        f"- weights sha256 `{weights.sha256}`",
        f"- tokenizer sha256 `{config.tokenizer_sha256}`",
        "",
    ])  # fmt: skip


def _head(config: ModelConfig, files: list[dict[str, Any]] | None) -> str:
    library = "transformers" if loads_in_transformers(config) else "corpusmill"
    languages = sorted({file["language"] for file in files or [] if file["language"]})
    spoken = ["language:", *(f"- {json.dumps(language)}" for language in languages)] if languages else []
    return "\n".join(["---", f"library_name: {library}", "pipeline_tag: text-generation", *spoken, "---"])


def _sources(files: list[dict[str, Any]] | None) -> list[str]:
    """A line for each file of the corpus, at most 50 of them."""
    if files is None:
        return ["- sources: not named when this was exported (`--sources data/fetch/manifest.json` names them)"]
    lines = ["| source | language | licence | bytes | sha256 |", "|---|---|---|---:|---|"]
    for file in files[:MOST_FILES]:
        told = [str(file[key]).replace("|", "/") or "not stated" for key in ("source", "language", "licence")]
        lines.append(f"| {' | '.join(told)} | {file['bytes']:,} | `{file['sha256']}` |")
    more = [f"\nand {len(files) - MOST_FILES:,} files more"] if len(files) > MOST_FILES else []
    return [
        *lines,
        *more,
        "",
        "The licences are those of the sources, as the corpus was told; which one the model is under is for you to say.",
        "",
    ]


MOST_FILES = 50

ABOUT = """\
# A language model by Corpusmill

`{kind}`, {parameters:,} parameters, vocabulary {vocab:,}, context {seq_len} tokens, trained on {tokens:,} tokens;
{bits:.3f} bits a byte on {val_tokens:,} tokens of the validation split.
"""
USE_TRANSFORMERS = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
ids = tokenizer("STARTIn the beginning", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=50)[0]))
```

Corpusmill loads it as well: `python -m train.generate --model . --prompt "In the beginning"`.
"""
USE_OURS = """\
An LSTM: `transformers` has no such model and does not load this folder (its tokenizer it does). Corpusmill does:

```
python -m train.generate --model . --prompt "In the beginning"
```

```python
from pathlib import Path

import torch
from train.saved import read_model

model, config = read_model(Path("."))
logits = model(torch.tensor([[config.document_start_id]]))
```
"""
USE_ONNX = """\
`model.onnx` computes the same, within 0.001 a logit, in ONNX Runtime:

```python
import onnxruntime
from tokenizers import Tokenizer

ids = Tokenizer.from_file("tokenizer.json").encode("STARTIn the beginning").ids
logits = onnxruntime.InferenceSession("model.onnx").run(["logits"], {"input_ids": [ids]})[0]
```
"""
