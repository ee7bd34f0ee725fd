"""Training on one GPU: tokens a second and MFU of our engine beside a compiled loop of plain PyTorch, in bf16.

    preset x attention (row, document)  ->  ours, ours compiled, plain compiled  ->  tokens/s, MFU, peak memory

The rows are made: ids at random, documents of 20 tokens to rows' ends. Ours runs under ZeRO 1, which bf16 needs. The plain
loop is what a careful person writes: fp32 weights, forward in autocast, a fused AdamW, ``torch.compile``. ``blocks`` is
attention within documents by `bench.document_attention` instead of a mask of booleans. MFU is over the peak that the
data sheet states for the device (`train.device`), operations as `ModelParams.flops_per_token` counts them.

``python -m bench.train_gpu`` prints the table and writes ``logs/bench-train-gpu.json``. Exit status 2 without a GPU, and
nothing is written: nothing was measured.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bench.document_attention import BlockDecoder
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params
from train.data import IGNORED, Batch
from train.device import Peak, mfu, stated_peak
from train.engine import Engine
from train.model import Decoder, init_weights
from train.optimizer import parameter_groups
from train.recipe import PretrainParams
from train.scoring import to_tensors
from train.world import World, join_world, leave

LOG = Path("logs/bench-train-gpu.json")
NO_GPU = 2
VOCAB_SIZE, LEARNING_RATE = 50_304, 3e-4
#: Name -> (whose loop, compiled, attention).
VARIANTS: dict[str, tuple[str, bool, str]] = {
    "ours, row": ("ours", False, "row"),
    "ours compiled, row": ("ours", True, "row"),
    "plain compiled, row": ("plain", True, "row"),
    "ours, document": ("ours", False, "document"),
    "ours compiled, document": ("ours", True, "document"),
    "plain compiled, document": ("plain", True, "document"),
    "ours compiled, blocks": ("ours", True, "blocks"),
}


@dataclasses.dataclass(frozen=True)
class MadeRows:
    """Rows of a step, drawn from a seed."""

    tokens: np.ndarray
    segments: np.ndarray
    targets: np.ndarray

    @property
    def num_rows(self) -> int:
        return len(self.tokens)

    @property
    def num_targets(self) -> int:
        return int((self.targets != IGNORED).sum())

    def batch(self, places: Sequence[int]) -> Batch:
        chosen = list(places)
        return Batch(self.tokens[chosen], self.segments[chosen], self.targets[chosen])


def made_rows(num_rows: int, seq_len: int, vocab_size: int, seed: int) -> MadeRows:
    """Documents begin at a place with probability 1 / 400; the start of each but the first is no target."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(1, vocab_size, (num_rows, seq_len + 1))
    starts = generator.random((num_rows, seq_len + 1)) < 1 / 400
    targets = np.where(starts, IGNORED, ids)[:, 1:]
    return MadeRows(ids[:, :-1], 1 + np.cumsum(starts[:, :-1], axis=1), targets)


def recipe(params: PretrainParams, preset: str, rows: int, micro: int, compiled: bool, within: bool) -> PretrainParams:
    """The repository's parameters for one GPU and one variant."""
    return dataclasses.replace(
        params, optimizer="adamw", precision="bf16", rows_per_step=rows, schedule="constant", warmup_steps=0,
        learning_rate=LEARNING_RATE, embedding_learning_rate=LEARNING_RATE, label_smoothing=0.0, l1=0.0, ema_decay=0.0,
        bpe_dropout=0.0, gradient_clipping=1.0, attention="document" if within else "row",
        engine=dataclasses.replace(
            params.engine, rows_per_micro_batch=micro, zero_stage=1, tensor_parallel=1, pipeline_stages=1,
            offload="none", activation_checkpointing=False, compile=compiled,
        ),
        model=dataclasses.replace(params.model, kind="decoder", size=preset, dropout=0.0),
    )  # fmt: skip


def new_model(params: PretrainParams, vocab_size: int, attention: str) -> nn.Module:
    model = (BlockDecoder if attention == "blocks" else Decoder)(params.model, vocab_size)
    init_weights(model, params.seed)
    return model


def our_step(params: PretrainParams, vocab_size: int, attention: str, world: World) -> Callable[[int, MadeRows], Any]:
    engine = Engine(new_model(params, vocab_size, attention), params, world)
    return lambda number, rows: engine.step(rows, number, lambda loss: True)


def plain_step(params: PretrainParams, vocab_size: int, attention: str, world: World) -> Callable[[int, MadeRows], Any]:
    """A compiled loop in autocast."""
    model = new_model(params, vocab_size, attention).to(world.device)
    groups = parameter_groups(model, params)
    settings = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in groups]
    betas = (params.beta1, params.beta2)
    optimizer = torch.optim.AdamW(settings, lr=LEARNING_RATE, betas=betas, fused=world.device.type == "cuda")
    forward: Any = torch.compile(model) if params.engine.compile else model

    def step(number: int, rows: MadeRows) -> float:
        micro, total = params.engine.rows_per_micro_batch, torch.zeros((), device=world.device)
        for first in range(0, rows.num_rows, micro):
            batch = rows.batch(range(first, min(first + micro, rows.num_rows)))
            tokens, segments, targets = to_tensors(batch, world.device, params.within_documents)
            with torch.autocast(world.device.type, torch.bfloat16):
                logits = forward(tokens, segments)
            flat = logits.float().flatten(0, 1)
            nll = functional.cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction="sum")
            (nll / rows.num_targets).backward()
            total += nll.detach()
        nn.utils.clip_grad_norm_(model.parameters(), params.gradient_clipping)
        optimizer.step()
        optimizer.zero_grad()
        return float(total)

    return step


def tokens_per_second(
    step: Callable[[int, MadeRows], Any], made: MadeRows, steps: int, wait: Callable[[], None]
) -> float:
    """Over so many steps after three that compile and allocate."""
    for number in range(1, 4):
        step(number, made)
    wait()
    begun = time.perf_counter()
    for number in range(4, 4 + steps):
        step(number, made)
    wait()
    return steps * made.tokens.size / (time.perf_counter() - begun)


def line(variant: str, speed: float, flops_per_token: float, peak: Peak | None, memory: int) -> str:
    """One line of the table; no MFU where no peak is stated for the device."""
    used = f"{mfu(speed, flops_per_token, peak.flops, 1):7.1%}" if peak else f"{'-':>7}"
    return f"{variant:26} {speed:12,.0f} {used} {memory / 2**30:8.1f}"


def main(argv: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--params", default="params.yaml", help="the rest of the recipe (default: %(default)s)")
    parser.add_argument("--presets", nargs="+", default=["124m", "1b"], help="(default: %(default)s)")
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--seq-len", type=int, default=1024, help="(default: %(default)s)")
    parser.add_argument("--rows", type=int, default=64, help="a step (default: %(default)s)")
    parser.add_argument("--micro", type=int, default=16, help="rows of a micro batch (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="(default: %(default)s)")
    args = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("no GPU: nothing measured", file=sys.stderr)
        return NO_GPU
    world, name = join_world(), torch.cuda.get_device_name()
    base, peak = load_params(PretrainParams, "pretrain", args.params), stated_peak(name, "bf16")
    made = made_rows(args.rows, args.seq_len, VOCAB_SIZE, seed=0)
    print(
        f"{name}, peak {peak or 'unknown'}, torch {torch.__version__}, bf16, AdamW, {args.rows} rows of {args.seq_len}"
    )
    log: dict[str, Any] = {"device": name, "peak": str(peak)}
    for preset in args.presets:
        print(f"\n{preset:26} {'tokens/s':>12} {'MFU':>7} {'peak GiB':>8}")
        for variant in args.variants:
            whose, compiled, attention = VARIANTS[variant]
            params = recipe(base, preset, args.rows, args.micro, compiled, attention != "row")
            torch.cuda.reset_peak_memory_stats()
            step = (our_step if whose == "ours" else plain_step)(params, VOCAB_SIZE, attention, world)
            speed = tokens_per_second(step, made, args.steps, torch.cuda.synchronize)
            flops = params.model.flops_per_token(VOCAB_SIZE, args.seq_len)
            print(line(variant, speed, flops, peak, torch.cuda.max_memory_allocated()), flush=True)
            log[f"{preset} {variant}"] = speed
            del step
            torch._dynamo.reset()
            torch.cuda.empty_cache()
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1) + "\n")
    leave(world)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
