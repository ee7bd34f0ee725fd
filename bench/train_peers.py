"""Bits per byte on the sample corpus: ours beside a plain loop in nanoGPT's style and ``transformers.Trainer``.

    data/pack train rows  ->  one model a trainer and seed, of equal parameters, steps and tokens  ->  data/pack test rows

ours      ``python -m train.pretrain`` with the repository's parameters, the seed and the steps apart
gpt2      `bench.gpt2_style`: GPT-2's architecture, nanoGPT's published hyperparameters (cited there); its width is the
          one that brings its parameters nearest to ours
trainer   ``LlamaForCausalLM`` of our sizes and ``transformers.Trainer`` with its defaults (AdamW, learning rate 5e-5,
          down by a line)
trainer*  the same at a learning rate of 1e-3 with 20 warm-up steps: the defaults are meant for fine-tuning

One scorer for all: nats of every text token of the same test rows, document starts apart. Each sees what it was trained
to see: ours the document (as ``pretrain.attention`` says), the others the row.

``python -m bench.train_peers`` prints the table and writes ``logs/bench-train-peers.json``.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
from torch import nn

from bench.gpt2_style import Gpt2, drawn, fitting_width, trained
from bench.peers import python_of, requirements
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params
from train.data import TokenRows
from train.model import build_model
from train.recipe import PretrainParams
from train.saved import load_model
from train.scoring import Score, batch_scores, cut_batches

LOG = Path("logs/bench-train-peers.json")
#: Of Student's t: the middle 95 % with so many degrees of freedom.
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571}
MOST_APART = 0.02
TRAINER_RATES: dict[str, dict[str, Any]] = {
    "trainer": {},
    "trainer*": {"learning_rate": 1e-3, "warmup_steps": 20},
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is equal for all."""

    pack: str
    tokenizer: str
    params_file: Path
    params: PretrainParams
    scratch: Path

    @property
    def rows(self) -> TokenRows:
        return TokenRows(self.pack, "train")


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model, ready to score, and whether it is to see one document alone."""

    model: nn.Module
    within_documents: bool


def train_ours(setting: Setting, seed: int) -> Trained:
    """By the real command."""
    folder = setting.scratch / f"ours-{seed}"
    everything = yaml.safe_load(setting.params_file.read_text())
    everything["pretrain"] |= {"seed": seed, "steps": setting.params.steps}
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(everything, sort_keys=False))
    places = ["--input", setting.pack, "--tokenizer", setting.tokenizer, "--output", str(folder / "model")]
    more = ["--params", str(folder / "params.yaml"), "--cache", str(folder / "cache"), "--logs", str(folder / "logs")]
    _run([sys.executable, "-m", "train.pretrain", *places, *more])
    return Trained(load_model(folder / "model")[0], setting.params.within_documents)


def train_gpt2(setting: Setting, seed: int) -> Trained:
    """Here, in plain PyTorch."""
    params, facts = setting.params, setting.rows.facts
    shape = (params.model.num_layers, params.model.num_heads, facts.vocab_size, facts.seq_len)
    torch.manual_seed(seed)
    width = fitting_width(params.model.num_parameters(facts.vocab_size), *shape)
    model = trained(setting.rows, Gpt2(width, *shape), params.steps, params.rows_per_step, seed)
    return Trained(model.eval(), False)


def train_trainer(setting: Setting, seed: int, name: str) -> Trained:
    """In the Trainer's own environment; the weights come back under the names that our model has too."""
    folder = setting.scratch / f"{name}-{seed}".replace("*", "-tuned")
    folder.mkdir()
    params, rows = setting.params, setting.rows
    batch = rows.training_batch(drawn(rows.num_rows, params.steps * params.rows_per_step, seed).tolist())
    np.savez(folder / "rows.npz", input_ids=batch.tokens, labels=batch.targets)
    job = {
        "rows": str(folder / "rows.npz"), "config": llama_config(params, rows), "seed": seed,
        "num_threads": params.engine.num_threads, "rows_per_step": params.rows_per_step,
        "arguments": TRAINER_RATES[name],
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    python = python_of("read_huggingface", ["--no-deps", *requirements("read_huggingface")])
    _run([str(python), "-m", "bench.train_huggingface", str(folder / "job.json"), str(folder)])
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    if params.model.tie_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model = build_model(params.model, rows.facts.vocab_size)
    model.load_state_dict(weights)
    return Trained(model.eval(), False)


def llama_config(params: PretrainParams, rows: TokenRows) -> dict[str, Any]:
    """Our sizes in Llama's words."""
    model = params.model
    return {
        "vocab_size": rows.facts.vocab_size, "hidden_size": model.width, "intermediate_size": model.mlp_width,
        "num_hidden_layers": model.num_layers, "num_attention_heads": model.num_heads,
        "num_key_value_heads": model.num_kv_heads, "max_position_embeddings": rows.facts.seq_len,
        "rms_norm_eps": model.norm_epsilon, "rope_theta": model.rope_theta,
        "tie_word_embeddings": model.tie_embeddings, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip


TRAINERS: dict[str, Callable[[Setting, int], Trained]] = {
    "ours": train_ours,
    "gpt2": train_gpt2,
    "trainer": lambda setting, seed: train_trainer(setting, seed, "trainer"),
    "trainer*": lambda setting, seed: train_trainer(setting, seed, "trainer*"),
}


def score(found: Trained, rows: TokenRows) -> Score:
    """Of all rows of the split."""
    batches = cut_batches(range(rows.num_rows), 32)
    parts = list(batch_scores(found.model, rows, batches, torch.device("cpu"), found.within_documents))
    nll, tokens, right = (sum(part[column] for part in parts) for column in range(3))
    return Score(nll, int(tokens), rows.text_bytes, int(right))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t; 0 where there is one value."""
    if len(values) < 2:
        return values[0], 0.0
    spread = statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values), T_95[len(values) - 1] * spread


def expect_equal(name: str, found: Trained, wanted: int) -> int:
    """The model's parameters, tied ones once.

    Raises:
        CorpusmillError: they are more than 2 % apart from ours.
    """
    number = sum(parameter.numel() for parameter in found.model.parameters())
    if abs(number - wanted) > MOST_APART * wanted:
        raise CorpusmillError("a peer's parameters are not ours", where=name, expected=f"{wanted:,}", got=f"{number:,}")
    return number


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CorpusmillError(
            "a trainer failed", where=" ".join(command[1:3]), got=" / ".join(done.stderr.strip().splitlines()[-3:])
        )


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_peers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--input", default="data/pack", help="token shards (default: %(default)s)")
    parser.add_argument("--tokenizer", default="data/learn/tokenizer.json", help="(default: %(default)s)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, help="of every trainer (default: pretrain.steps)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument("--trainers", nargs="+", choices=tuple(TRAINERS), default=list(TRAINERS), help="(default: all)")
    args = parser.parse_args(argv)
    params = load_params(PretrainParams, "pretrain", args.params)
    params = dataclasses.replace(params, steps=args.steps or params.steps)
    torch.set_num_threads(params.engine.num_threads)
    rows, test = TokenRows(args.input, "train"), TokenRows(args.input, "test")
    wanted = params.model.num_parameters(rows.facts.vocab_size)
    tokens = params.steps * params.rows_per_step * rows.facts.seq_len
    print(f"{params.steps} steps, {tokens:,} tokens, {test.num_text_tokens:,} text tokens of test\n"
          f"{'trainer':9} {'parameters':>10} {'bits a byte on test':>22}   seeds {args.seeds}", flush=True)  # fmt: skip
    log: dict[str, Any] = {"steps": params.steps, "tokens": tokens}
    for name in args.trainers:
        found, seconds, number = [], [], 0
        for seed in args.seeds:
            with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as folder:
                setting = Setting(args.input, args.tokenizer, args.params, params, Path(folder))
                begun = time.perf_counter()
                model = TRAINERS[name](setting, seed)
                seconds.append(time.perf_counter() - begun)
                number = expect_equal(name, model, wanted)
                found.append(score(model, test).bits_per_byte)
        mean, half = interval(found)
        each = "  ".join(f"{value:.4f} ({took:.0f} s)" for value, took in zip(found, seconds, strict=True))
        print(f"{name:9} {number:10,} {f'{mean:.4f} +- {half:.4f}':>22}   {each}", flush=True)
        log[name] = {"parameters": number, "bits_per_byte": found, "mean": mean, "half_interval": half}
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
