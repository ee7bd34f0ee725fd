"""Pretraining: token shards to a language model, by DeepSpeed, on one CPU process or on many GPUs.

    data/pack/<train|val>-*.arrow + tokenizer.json  ->  data/pretrain/{model.safetensors, config.json, tokenizer.json,
                                                         curve.csv, val.csv, metrics.json}

tokens seen = steps x rows a step x seq_len = trained + masked(padding, context)

Run by ``dvc repro pretrain``, or alone:
``python -m train.pretrain --input data/pack --tokenizer data/learn/tokenizer.json --output data/pretrain``

Stopped at any time, run again: it goes on from the last checkpoint with the same batches and, on the CPU, the same
losses to the last bit. Several processes: ``CORPUSMILL_PROCESSES=4 python -m train.pretrain ...``, or the same
command under ``torchrun`` or ``deepspeed``.
"""

import argparse
import contextlib
import dataclasses
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch.distributed as dist
from torch import Tensor

from pipelines.spine import faults, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import dump, read_manifest
from pipelines.spine.stage import Job, Stage, opened, run_module
from train.checkpoint import CURVE_COLUMNS, VAL_COLUMNS, CheckpointFolder, Curve, run_fingerprint
from train.data import TokenRows
from train.determinism import set_deterministic
from train.engine import Engine
from train.model import Decoder, init_weights
from train.order import Order
from train.permutation import sample
from train.recipe import PretrainParams
from train.saved import ModelConfig, write_model
from train.scoring import Score
from train.watch import Silence, Watch
from train.world import World, join_world, launch, leave, share, wanted_processes

STAGE = Stage("train.pretrain", PretrainParams, ("python", "torch", "deepspeed"))


@dataclasses.dataclass(frozen=True)
class Task:
    """What all processes must agree on; the leading one reads the command line and shares it."""

    params: PretrainParams
    pack: str
    folder: Path
    logs: Path
    made_for: dict[str, str]


@dataclasses.dataclass
class Progress:
    """What a checkpoint carries beside weights and optimizer: the order needs the samples and nothing else.

    Attributes:
        samples: rows, repeated ones each time.
        trained, padding, context: tokens; ``by_source`` those of each source, the three together.
    """

    step: int = 0
    samples: int = 0
    trained: int = 0
    padding: int = 0
    context: int = 0
    by_source: dict[str, int] = dataclasses.field(default_factory=dict)

    def count(self, rows: TokenRows, indices: Sequence[int]) -> None:
        """Adds one global batch."""
        self.step += 1
        self.samples += len(indices)
        for index in indices:
            row = rows.row(index)
            self.trained += row.num_trained
            self.padding += rows.facts.seq_len + 1 - int(row.lengths.sum())
            self.context += int((row.offsets[1:] > 0).sum())
            source = rows.source_of(index)
            self.by_source[source] = self.by_source.get(source, 0) + rows.facts.seq_len


def main(argv: list[str]) -> None:
    """The command."""
    if processes := wanted_processes():
        return launch(STAGE.module, argv, processes)
    world = join_world()
    if world.leads:
        _lead(argv, world)
    elif (task := share(None)) is not None:
        train(task, world)
    leave(world)


def train(task: Task, world: World) -> tuple[dict[str, Tensor], Progress, Score]:
    """Trains to the last step, from the last checkpoint where there is one: weights, counts, and the val score."""
    params = task.params
    set_deterministic(params.engine.num_threads, params.seed)
    rows, val = TokenRows(task.pack, "train"), TokenRows(task.pack, "val")
    model = Decoder(params.model, rows.facts.vocab_size)
    init_weights(model, params.seed)
    engine = Engine(model, params, world, task.made_for)
    order = Order(params.seed, rows.sources, params.source_weights)
    checkpoints = CheckpointFolder(task.folder, world.leads)
    progress = Progress()
    if latest := checkpoints.latest():
        progress = Progress(**engine.load(latest)["progress"])
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(_Record.opened(task, world, progress.step, rows.facts.seq_len))
        faults.reach("pretrain:start")
        while progress.step < params.steps:
            indices = order.rows(progress.samples, params.rows_per_step).tolist()
            result = engine.step(rows.step_rows(indices), progress.step + 1, _finite(progress.step + 1, indices))
            progress.count(rows, indices)
            tokens = progress.samples * rows.facts.seq_len
            record.curve(progress.step, result.loss, result.learning_rate, result.gradient_norm, tokens)
            record.watch.step(progress.step, result.loss)
            if progress.step % params.evaluate_every == 0 and progress.step < params.steps:
                score = evaluate(engine, val, params)
                record.val(progress.step, score.loss, score.bits_per_byte)
                record.watch.evaluated(progress.step, result.loss, score.loss, score.bits_per_byte)
            if progress.step % params.checkpoint_every == 0 or progress.step == params.steps:
                record.sync()
                _save(engine, checkpoints, progress)
            faults.reach(f"pretrain:step:{progress.step}")
        # The last evaluation follows the last checkpoint, so that a run killed here repeats it and nothing else.
        score = evaluate(engine, val, params)
        record.val(progress.step, score.loss, score.bits_per_byte)
        record.watch.say(f"pretrain {progress.step} steps  val {score.loss:.3f}  {score.bits_per_byte:.3f} bits a byte")
    return engine.weights(), progress, score


def evaluate(engine: Engine, val: TokenRows, params: PretrainParams) -> Score:
    """The score on val, or on ``val_rows`` of its rows drawn by the order's rule; processes share the work.

    Bytes are those of the whole split times the share of its tokens that was scored: exact when all rows are.
    """
    chosen = min(params.val_rows or val.num_rows, val.num_rows)
    nll, tokens, right = engine.scores(val, [sample(params.seed, k, val.num_rows) for k in range(chosen)])
    return Score(nll, tokens, val.text_bytes * tokens / val.num_text_tokens, right)


def _finite(step: int, indices: Sequence[int]) -> Callable[[float], bool]:
    def judge(loss: float) -> bool:
        if not math.isfinite(loss):
            raise CorpusmillError(
                "the loss is no number any more", where=f"pretrain, step {step}", got=loss,
                hint=f"lower pretrain.learning_rate, or look at rows {list(indices[:8])}",
            )  # fmt: skip
        return True

    return judge


@dataclasses.dataclass
class _Record:
    """Curves and watch of a run; silent in the processes that do not lead."""

    watch: Watch
    curves: tuple[Curve, Curve] | None

    @classmethod
    @contextlib.contextmanager
    def opened(cls, task: Task, world: World, step: int, seq_len: int) -> Iterator["_Record"]:
        if not world.leads:
            yield cls(Silence(), None)
            return
        tokens_per_step = task.params.rows_per_step * seq_len
        curves = (
            Curve(task.folder / "curve.csv", CURVE_COLUMNS, step),
            # The last step's evaluation follows its checkpoint and is done again.
            Curve(task.folder / "val.csv", VAL_COLUMNS, min(step, task.params.steps - 1)),
        )
        with Watch(task.logs, task.params.steps, step, tokens_per_step) as watch:
            if step:
                watch.say(f"pretrain goes on after step {step}")
            try:
                yield cls(watch, curves)
            finally:
                for curve in curves:
                    curve.close()

    def curve(self, *values: int | float) -> None:
        if self.curves:
            self.curves[0].add(*values)

    def val(self, *values: int | float) -> None:
        if self.curves:
            self.curves[1].add(*values)

    def sync(self) -> None:
        for curve in self.curves or ():
            curve.sync()


def _save(engine: Engine, checkpoints: CheckpointFolder, progress: Progress) -> None:
    engine.save(checkpoints.saving, {"progress": dataclasses.asdict(progress)})
    dist.barrier()
    if checkpoints.leads:
        checkpoints.publish(progress.step)
    dist.barrier()


def _lead(argv: list[str], world: World) -> None:
    with contextlib.ExitStack() as stack:
        try:
            job = stack.enter_context(opened(STAGE, argv, _add_options))
            task = _plan(job, world)
            stack.enter_context(storage.exclusive(task.folder / "lock", str(task.folder)))
        except BaseException:
            share(None)  # the others wait for a task
            raise
        weights, progress, score = train(share(task), world)
        _publish(job, task, weights, progress, score)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", default="data/learn/tokenizer.json", metavar="FILE",
                        help="the tokenizer that the shards were packed with (default: %(default)s)")  # fmt: skip
    parser.add_argument("--logs", default="logs", metavar="DIR", help="speeds go here (default: %(default)s)")


def _plan(job: Job, world: World) -> Task:
    """Checks all that can be checked before a step is computed, and finds the run's checkpoint folder."""
    params: PretrainParams = job.params
    params.check()
    params.micro_batches(world.size)
    rows, _ = TokenRows(job.inputs[0], "train"), TokenRows(job.inputs[0], "val")
    Order(params.seed, rows.sources, params.source_weights)
    if not Path(job.args.tokenizer).exists():
        raise CorpusmillError("no tokenizer", where=job.args.tokenizer, hint="run `dvc repro learn`")
    sha256 = storage.sha256_file(job.args.tokenizer)
    if sha256 != rows.facts.tokenizer_sha256:
        raise CorpusmillError(
            "the shards were packed with another tokenizer", where=str(job.inputs[0]),
            expected=f"{sha256[:12]} ({job.args.tokenizer})", got=rows.facts.tokenizer_sha256[:12],
            hint="run `dvc repro pack`",
        )  # fmt: skip
    manifest = read_manifest(job.inputs[0]).path
    made_for = {"shards": storage.sha256_file(manifest), "tokenizer": sha256}
    fingerprint = run_fingerprint(params, job.versions, STAGE.module, made_for.values())
    return Task(params, job.inputs[0], job.cache_root / "train" / fingerprint, Path(job.args.logs), made_for)


def _publish(job: Job, task: Task, weights: dict[str, Tensor], progress: Progress, score: Score) -> None:
    facts = TokenRows(task.pack, "train").facts
    params = task.params
    config = ModelConfig(
        params.model, facts.vocab_size, facts.seq_len, facts.document_start_id, facts.tokenizer_sha256, params.attention
    )
    tokens = progress.samples * facts.seq_len
    metrics = {
        "steps": progress.step,
        "tokens": tokens,
        "parameters": params.model.num_parameters(facts.vocab_size),
        "flops_per_token": params.model.flops_per_token(facts.vocab_size, facts.seq_len),
        "val": score.to_dict(),
    }
    ledger = Ledger("tokens")
    ledger.take(tokens)
    ledger.give("trained", progress.trained)
    ledger.count("masked.padding", progress.padding)
    ledger.count("masked.context", progress.context)
    for source, number in progress.by_source.items():
        ledger.apart(f"source.{source}", number)
    job.also_read.append(str(Path(job.args.tokenizer).parent))
    job.begin()
    shards = write_model(job.output, config, weights, Path(job.args.tokenizer))
    for name in ("curve.csv", "val.csv"):
        shutil.copyfile(task.folder / name, job.output / name)
    storage.write_text(job.output / "metrics.json", dump(metrics))
    job.publish(shards, ledger, others=("curve.csv", "val.csv", "metrics.json"))


if __name__ == "__main__":
    sys.exit(run_module("train.pretrain"))
