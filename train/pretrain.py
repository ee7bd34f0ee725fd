"""Pretraining: token shards to a language model, by DeepSpeed, on one CPU process or on many GPUs.

    data/pack/<train|val>-*.arrow + tokenizer.json  ->  data/pretrain/{model.safetensors, config.json, tokenizer.json,
                                                         curve.csv, val.csv, epochs.csv, gradients.csv, metrics.json,
                                                         snapshots/}

tokens seen = steps x rows a step x seq_len = trained + masked(padding, context) + left out(update)

Run by ``dvc repro pretrain``, or alone:
``python -m train.pretrain --input data/pack --tokenizer data/learn/tokenizer.json --output data/pretrain``

Stopped at any time, run again: it goes on from the last checkpoint with the same batches and, on the CPU, the same
losses to the last bit. Several processes: ``CORPUSMILL_PROCESSES=4 python -m train.pretrain ...``, or the same
command under ``torchrun``, ``deepspeed`` or ``srun``: ``docs/cluster.md``. What keeps it stable:
``docs/training_stability.md``.
"""

import sys

if __name__ == "__main__":  # before torch, whose import takes seconds
    from train.asked import listen

    listen()

import argparse
import contextlib
import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.spine import faults, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump, read_manifest
from pipelines.spine.stage import Job, Stage, opened, run_module
from train.asked import STATUS, listen
from train.batches import Batches
from train.checkpoint import CheckpointFolder, run_fingerprint
from train.determinism import set_deterministic
from train.engine import Engine
from train.inputs import expect_a_step, expect_tokenizer, open_splits
from train.launch import asks_for_help, started_others, without_rank
from train.model import build_model, init_weights
from train.nodes import expect_alike, naming
from train.order import Order
from train.outcome import Outcome, ledger_of, metrics, outcome_of, snapshot_paths
from train.pulse import pulse
from train.recipe import PretrainParams
from train.record import Record, curve_names
from train.rendezvous import number_here
from train.run import Run
from train.saved import ModelConfig, file_entry, write_model
from train.spikes import Judge
from train.stop import StopRequest
from train.summary import summary
from train.world import World, agree, end_after_leader, join_world, left_at_end, lost_partners, share

if TYPE_CHECKING:
    from tokenizer.encoding import Encoder

VERSIONS = ("python", "torch", "deepspeed", "numpy", "gigatoken", "tokenizers")
STAGE = Stage("train.pretrain", PretrainParams, VERSIONS)


@dataclasses.dataclass(frozen=True)
class Task:
    """What all processes must agree on; the leading one reads the command line and shares it.

    Attributes:
        made_for: name -> fingerprint of what the checkpoints in ``folder`` fit.
    """

    params: PretrainParams
    pack: str
    tokenizer: Path
    folder: Path
    logs: Path
    made_for: dict[str, str]


def main(argv: list[str]) -> None:
    """The command."""
    listen()
    if asks_for_help(argv):  # of several processes the first one answers, and none waits for another
        if number_here() == 0:
            with opened(STAGE, argv, _add_options):
                pass
        return
    if started_others(STAGE.module, argv):
        return
    world = join_world()
    with left_at_end(world), lost_partners(world):
        if world.leads:
            _lead(without_rank(argv), world)
        elif (task := share(None)) is not None:
            train(task, world)
            agree(
                None
            )  # until all is published: a launcher may end what still runs some time after the first has ended
        else:
            end_after_leader()


def train(task: Task, world: World) -> Outcome:
    """Trains to the last step, from the last checkpoint where there is one."""
    params = task.params
    machines = expect_alike(world, STAGE.module, VERSIONS, task.pack, task.tokenizer, task.folder)
    stop = StopRequest(task.folder, world)
    if stop.agreed():  # while this process imported, or waited for the others
        if world.leads:
            print("pretrain stops before a step as asked: run again to go on", file=sys.stderr)
        raise SystemExit(STATUS)
    set_deterministic(params.engine.num_threads, params.seed)
    rows, val = open_splits(task.pack, checked=True)
    order = Order(params.seed, rows.sources, params.source_weights)
    encoder = _encoder(task)
    batches = Batches(rows, order, params, encoder)
    model = build_model(params.model, rows.facts.vocab_size)
    init_weights(model, params.seed)
    engine = Engine(model, params, world, task.made_for)
    checkpoints = CheckpointFolder(task.folder, world.leads)
    run = Run(params, world, engine, rows, val, encoder, checkpoints, order.num_slots)
    progress = run.resume()
    with (
        pulse(world, machines),
        Record.opened(task.folder, task.logs, params, rows.facts, progress, world) as record,
    ):
        record.watch.say(summary(params, rows.facts, order.num_slots, world.size) + naming(machines))
        faults.reach("pretrain:start")
        while progress.step < params.steps and not progress.stopped_early:
            batch = batches.of(progress.step + 1)
            left_out = batch.step in progress.left_out
            judge = Judge.of(params.spikes, progress.losses)
            monitor = bool(params.monitor_every) and batch.step % params.monitor_every == 0
            result = engine.step(batch.rows, batch.step, judge, monitor, left_out, asked=stop.here())

            why = "" if left_out else judge.trouble(result.loss, result.gradient_norm, result.applied)
            if why and (earlier := run.answer(record, progress, batch, result, why)) is not None:
                progress = earlier
                continue

            progress.count(batch, result.loss, result.accuracy, result.applied, params.spikes.window)
            record.step(progress, result, progress.samples * rows.facts.seq_len)
            if result.layer_norms:
                record.gradients(progress, result.layer_norms)
            last = progress.step == params.steps
            due = progress.step % params.evaluate_every == 0 or progress.epoch_ended(order.num_slots)
            if due and not last:
                run.evaluate(record, progress)
            last = last or progress.stopped_early
            stopping = result.asked and not last
            if progress.step % params.checkpoint_every == 0 or last or stopping:
                run.save(record, progress)
            faults.reach(f"pretrain:step:{progress.step}")
            if stopping:
                record.watch.say(f"pretrain stops after step {progress.step} as asked: saved, run again to go on")
                raise SystemExit(STATUS)
        # The last evaluation follows the last checkpoint, so that a run killed here repeats it and nothing else.
        score, train = run.finish(record, progress)
        outcome = outcome_of(run, progress, score, train)
        if params.final_weights != "last":  # what was told so far is of the last weights
            told = f"val {outcome.val.loss:.3f}  {outcome.val.bits_per_byte:.3f} bits a byte"
            record.watch.say(f"pretrain publishes the weights of final_weights: {params.final_weights}, {told}")
        return outcome


def _encoder(task: Task) -> "Encoder | None":
    """The tokenizer, in each process, where texts are cut anew or samples are said."""
    if not (task.params.bpe_dropout or task.params.sample_tokens):
        return None
    from tokenizer.encoding import Encoder  # its engine takes a moment to load

    return Encoder(task.tokenizer)


def _lead(argv: list[str], world: World) -> None:
    with contextlib.ExitStack() as stack:
        try:
            job = stack.enter_context(opened(STAGE, argv, _add_options))
            task = _plan(job, world)
            stack.enter_context(storage.exclusive(task.folder / "lock", str(task.folder)))
        except BaseException:
            share(None)  # the others wait for a task
            raise
        outcome = train(share(task), world)
        error: Exception | None = None
        try:
            _publish(job, task, outcome)
        except (CorpusmillError, OSError) as failure:
            error = failure
        agree(error)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", default="data/learn/tokenizer.json", metavar="FILE",
                        help="the tokenizer that the shards were packed with (default: %(default)s)")  # fmt: skip
    parser.add_argument("--logs", default="logs", metavar="DIR", help="speeds go here (default: %(default)s)")


def _plan(job: Job, world: World) -> Task:
    """Checks all that can be checked before a step is computed, and finds the run's checkpoint folder."""
    params: PretrainParams = job.params
    params.check()
    params.micro_batches(world.size)
    rows, _ = open_splits(job.inputs[0])
    expect_a_step(Order(params.seed, rows.sources, params.source_weights), params)
    tokenizer = Path(job.args.tokenizer)
    made_for = {
        "shards": storage.sha256_file(read_manifest(job.inputs[0]).path),
        "tokenizer": expect_tokenizer(tokenizer, rows),
    }
    fingerprint = run_fingerprint(params, job.versions, STAGE.module, (*made_for.values(), world.device.type))
    folder = job.cache_root / "train" / fingerprint
    return Task(params, job.inputs[0], tokenizer, folder, Path(job.args.logs), made_for)


def _publish(job: Job, task: Task, outcome: Outcome) -> None:
    params, facts = task.params, open_splits(task.pack, checked=True)[0].facts
    config = ModelConfig(
        params.model, facts.vocab_size, facts.seq_len, facts.document_start_id, facts.tokenizer_sha256, params.attention
    )
    job.also_read.append(str(task.tokenizer.parent))
    job.begin()
    shards = write_model(job.output, config, outcome.weights, task.tokenizer)
    for name, path in snapshot_paths(task.folder, outcome.progress).items():
        storage.link(path, job.output / name)
        shards.append(dataclasses.replace(file_entry(job.output / name), name=name))
    tables = curve_names(params)
    for name in tables:
        shutil.copyfile(task.folder / name, job.output / name)
    storage.write_text(job.output / "metrics.json", dump(metrics(outcome, params, facts)))
    job.publish(shards, ledger_of(outcome.progress, facts.seq_len), others=(*tables, "metrics.json"))


if __name__ == "__main__":
    sys.exit(run_module("train.pretrain"))
