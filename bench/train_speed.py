"""Training speed: our engine beside a loop of plain PyTorch with the same model, data, optimizer, batch and threads.

    data/pack  ->  rounds of (our steps, plain steps), in turns in one process  ->  the median of the rounds' ratios

Ours does all that ``train.pretrain`` does in a step: the batch's targets counted, DeepSpeed's engine, loss, accuracy,
gradient norm, clipping, update. The plain loop does what a careful person's does: batch, forward, mean loss, backward,
clipping, update. Both start from the same weights; the largest difference of their losses is printed, so that one
sees that both computed the same. fp32 on the CPU.

``python -m bench.train_speed`` prints the table and writes ``logs/bench-train-speed.json``.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params
from train.data import IGNORED, TokenRows
from train.determinism import set_deterministic
from train.engine import Engine
from train.model import build_model, init_weights
from train.optimizer import parameter_groups
from train.recipe import PretrainParams
from train.scoring import to_tensors
from train.shape import SIZES
from train.world import World, join_world, leave

LOG = Path("logs/bench-train-speed.json")
GOAL, FLOOR = 0.97, 0.92
LEARNING_RATE = 3e-4  # constant, of all parameters
#: A step's number -> the mean loss of its batch in nats a target.
Step = Callable[[int], float]


@dataclasses.dataclass(frozen=True)
class Timed:
    """Some steps of one loop: seconds by the clock, seconds of CPU of all threads, and the losses."""

    clock: float
    cpu: float
    losses: list[float]


def recipe(args: argparse.Namespace) -> PretrainParams:
    """The repository's parameters with the size, the batch and the optimizer of this benchmark."""
    params = load_params(PretrainParams, "pretrain", args.params)
    size = dict(zip(SIZES["decoder"], args.size, strict=True)) if args.size else "30m"
    return dataclasses.replace(
        params, optimizer="adamw", precision="fp32", rows_per_step=args.rows, schedule="constant", warmup_steps=0,
        learning_rate=LEARNING_RATE, embedding_learning_rate=LEARNING_RATE, label_smoothing=0.0, l1=0.0, ema_decay=0.0,
        bpe_dropout=0.0, gradient_clipping=1.0,
        engine=dataclasses.replace(
            params.engine, num_threads=args.threads, rows_per_micro_batch=args.rows, zero_stage=0, tensor_parallel=1,
            pipeline_stages=1, offload="none", activation_checkpointing=False, compile=False,
        ),
        model=dataclasses.replace(params.model, kind="decoder", size=size, dropout=0.0),
    )  # fmt: skip


def new_model(params: PretrainParams, vocab_size: int) -> nn.Module:
    """The same weights every time."""
    model = build_model(params.model, vocab_size)
    init_weights(model, params.seed)
    return model


def batch_of(rows: TokenRows, step: int, num_rows: int) -> list[int]:
    """Numbers of the rows of a step: one after the other, from the start again at the end."""
    return [((step - 1) * num_rows + place) % rows.num_rows for place in range(num_rows)]


def our_step(params: PretrainParams, rows: TokenRows, vocab_size: int, world: World) -> Step:
    """A step of `train.engine.Engine` as ``train.pretrain`` calls it."""
    engine = Engine(new_model(params, vocab_size), params, world)

    def step(number: int) -> float:
        indices = batch_of(rows, number, params.rows_per_step)
        return engine.step(rows.step_rows(indices), number, lambda loss: True).loss

    return step


def plain_step(
    params: PretrainParams, rows: TokenRows, vocab_size: int, world: World, exact_norm: bool = False
) -> Step:
    """A step in plain PyTorch.

    Args:
        exact_norm: clip by the fp64 norm. torch's own, in fp32, is up to 2e-3 off at this size, and the losses with it.
    """
    model = new_model(params, vocab_size)
    groups = parameter_groups(model, params)
    settings = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in groups]
    optimizer = torch.optim.AdamW(settings, lr=LEARNING_RATE, betas=(params.beta1, params.beta2))

    def step(number: int) -> float:
        batch = rows.training_batch(batch_of(rows, number, params.rows_per_step))
        tokens, segments, targets = to_tensors(batch, world.device, params.within_documents)
        logits = model(tokens, segments)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        loss.backward()
        if exact_norm:
            norms = [torch.linalg.vector_norm(p.grad, dtype=torch.float64) for p in model.parameters()]
            total = torch.linalg.vector_norm(torch.stack(norms))
            nn.utils.clip_grads_with_norm_(model.parameters(), params.gradient_clipping, total)
        else:
            nn.utils.clip_grad_norm_(model.parameters(), params.gradient_clipping)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def timed(step: Step, numbers: Sequence[int]) -> Timed:
    """The steps of those numbers, one after the other."""
    clock, cpu = time.perf_counter(), time.process_time()
    losses = [step(number) for number in numbers]
    return Timed(time.perf_counter() - clock, time.process_time() - cpu, losses)


def measure(ours: Step, plain: Step, rounds: int, steps: int, warmup: int = 2) -> list[tuple[Timed, Timed]]:
    """(ours, plain) of each round, first and second by turns; what is loaded or allocated late is so before."""
    for loop in (ours, plain):
        timed(loop, range(1, warmup + 1))
    pairs = []
    for number in range(rounds):
        first = warmup + 1 + number * steps
        numbers = range(first, first + steps)
        if number % 2:
            beside, own = timed(plain, numbers), timed(ours, numbers)
        else:
            own, beside = timed(ours, numbers), timed(plain, numbers)
        pairs.append((own, beside))
    return pairs


def summary(pairs: Sequence[tuple[Timed, Timed]], tokens: int) -> dict[str, float]:
    """Tokens a second of both, the median ratio (above 1: ours is faster), and how far the losses are apart.

    Args:
        tokens: of each loop in one round.
    """
    differences = [
        abs(a - b) / b for own, beside in pairs for a, b in zip(own.losses, beside.losses, strict=True)
    ]  # fmt: skip
    return {
        "ours": statistics.median(tokens / own.clock for own, _ in pairs),
        "plain": statistics.median(tokens / beside.clock for _, beside in pairs),
        "ratio": statistics.median(beside.clock / own.clock for own, beside in pairs),
        "ratio_cpu": statistics.median(beside.cpu / own.cpu for own, beside in pairs),
        "largest_loss_difference": max(differences),
    }


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--input", default="data/pack", help="token shards (default: %(default)s)")
    parser.add_argument("--params", default="params.yaml", help="the rest of the recipe (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=5, metavar="N", default=(),
                        help="width, layers, heads, key-value heads, MLP width (default: the preset 30m)")  # fmt: skip
    parser.add_argument("--vocab", type=int, default=32_768, help="of the model, which with it has 30 M parameters")
    parser.add_argument("--rows", type=int, default=16, help="a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="of each loop in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(default: all cores)")
    parser.add_argument("--exact-norm", action="store_true", help="clip the plain loop by the fp64 norm: equal losses")
    args = parser.parse_args(argv)
    params = recipe(args)
    set_deterministic(args.threads, params.seed)
    rows, world = TokenRows(args.input, "train"), join_world()
    vocab_size = max(args.vocab, rows.facts.vocab_size)
    ours = our_step(params, rows, vocab_size, world)
    plain = plain_step(params, rows, vocab_size, world, args.exact_norm)
    pairs = measure(ours, plain, args.rounds, args.steps)
    found = summary(pairs, args.steps * args.rows * rows.facts.seq_len)
    parameters = params.model.num_parameters(vocab_size)
    print(f"{parameters / 1e6:.1f} M parameters, {args.rows} rows of {rows.facts.seq_len} tokens, {args.threads} threads,"
          f" torch {torch.__version__}, fp32 on the CPU, AdamW\n"
          f"{'round':>5} {'ours tok/s':>11} {'plain tok/s':>12} {'ratio':>7}")  # fmt: skip
    tokens = args.steps * args.rows * rows.facts.seq_len
    for number, (own, beside) in enumerate(pairs, start=1):
        print(f"{number:5} {tokens / own.clock:11,.0f} {tokens / beside.clock:12,.0f} {beside.clock / own.clock:7.3f}")
    print(f"median ratio {found['ratio']:.3f} by the clock, {found['ratio_cpu']:.3f} by CPU seconds"
          f" (goal {GOAL}, floor {FLOOR}); losses at most {found['largest_loss_difference']:.1e} apart")  # fmt: skip
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps({"parameters": parameters, **found}, indent=1) + "\n")
    leave(world)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
