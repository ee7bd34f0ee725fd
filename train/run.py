"""What the training loop does now and then: evaluate, save, go on after a kill, and answer a step that went wrong."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch.distributed as dist

from pipelines.spine import faults
from pipelines.spine.errors import CorpusmillError
from train.batches import StepBatch, expect_ids
from train.checkpoint import CheckpointFolder
from train.data import TokenRows
from train.engine import Engine, StepResult
from train.evidence import failure, write_evidence
from train.permutation import sample
from train.progress import EpochSums, Progress
from train.recipe import PretrainParams
from train.record import Record
from train.scoring import Score
from train.snapshots import best_name, delete_later_bests, delete_surplus, snapshot_name, write_snapshot
from train.spikes import persists
from train.world import World, agree, end_after_leader, share

if TYPE_CHECKING:
    from tokenizer.encoding import Encoder


@dataclasses.dataclass
class Run:
    """One life of a training run, in one of its processes; every process makes the same calls.

    Attributes:
        num_slots: rows that an epoch shows.
    """

    params: PretrainParams
    world: World
    engine: Engine
    rows: TokenRows
    val: TokenRows
    encoder: "Encoder | None"
    checkpoints: CheckpointFolder
    num_slots: int

    @property
    def folder(self) -> Path:
        return self.checkpoints.folder

    def resume(self) -> Progress:
        """The progress of the latest checkpoint, whose weights the engine has then; a fresh one without any.

        Which one that is the leading process says: another machine may remember an older pointer for a while.

        Raises:
            CorpusmillError: the checkpoint is damaged, was made for something else, or is not seen from each machine.
        """
        latest, error = None, None
        if self.world.leads:
            try:
                latest = self.checkpoints.latest()
                if latest is not None:
                    self.checkpoints.drop_later(latest)  # a run that went back died before it deleted them
            except CorpusmillError as failure:
                error = failure
        agree(error)
        latest = share(latest)
        if latest is not None:
            return self._load(latest)
        if self.world.leads:
            delete_later_bests(self.folder, 0)  # of a life that ended before its first checkpoint
        return Progress()

    def save(self, record: Record, progress: Progress) -> None:
        """Makes the present state the latest checkpoint."""
        record.sync()
        self.engine.save(self.checkpoints.saving, {"progress": dataclasses.asdict(progress)})
        dist.barrier()
        if self.world.leads:
            self.checkpoints.publish(progress.step)
            delete_surplus(self.folder, self.params.snapshots, self.checkpoints.oldest_step)
        dist.barrier()

    def evaluate(self, record: Record, progress: Progress) -> Score:
        """The score on val, with all that goes with an evaluation: tables, best loss, epoch, snapshot, sample."""
        params, score = self.params, self.score()
        progress.note_evaluation(score.loss, params.early_stopping_patience)
        record.evaluated(progress, score)
        faults.reach("pretrain:evaluated")
        if progress.epoch_ended(self.num_slots):
            record.epoch(progress.samples // self.num_slots, progress, score)
            progress.end_epoch(self.num_slots)
            faults.reach("pretrain:epoch")
        self._keep_weights(progress)
        self._sample(record, progress.step)
        if progress.stopped_early:
            best = f"{progress.best_loss:.4f} of step {progress.best_step}" if progress.best_loss else "any"
            not_best = "" if params.final_weights == "best" else ", not those of the best"
            record.watch.say(
                f"pretrain stops at step {progress.step}: of the last {progress.worse} evaluations none was better than "
                f"{best}; published are its weights by final_weights: {params.final_weights}{not_best}"
            )
        return score

    def _keep_weights(self, progress: Progress) -> None:
        """Leaves the weights of this evaluation in files: a snapshot, the best so far, or neither."""
        params, names = self.params, []
        if params.snapshots:
            progress.keep_snapshot(params.snapshots)
            names.append(snapshot_name(progress.step))
        if params.final_weights == "best" and progress.best_step == progress.step:
            names.append(best_name(progress.step))
        weights = self.engine.weights() if names else {}
        for name in names if self.world.leads else ():
            write_snapshot(self.folder / name, params.model, weights)

    def finish(self, record: Record, progress: Progress) -> tuple[Score, EpochSums]:
        """The score after the last step, and the sums of the last epoch, whole or not."""
        # Stopped early, the evaluation that said so is part of the checkpoint already.
        score = self.score() if progress.evaluated == progress.step else self.evaluate(record, progress)
        if not math.isfinite(score.loss):
            self._end(lambda: _no_score(self.folder, progress.step))
        if not progress.epoch.targets:
            return score, progress.last_epoch
        record.epoch(progress.samples / self.num_slots, progress, score)
        return score, progress.epoch

    def score(self) -> Score:
        """The score of the present weights on val; processes share the work."""
        indices = val_indices(self.val, self.params)
        expect_ids(self.val, indices)
        return to_score(self.val, *self.engine.scores(self.val, indices))

    def answer(
        self, record: Record, progress: Progress, batch: StepBatch, result: StepResult, why: str
    ) -> Progress | None:
        """What ``spikes.action`` makes of a step that went wrong; its batch is kept as a file in any case.

        Returns:
            None: the step's update is left out, go on. Else the progress of the checkpoint that training is back at.
        Raises:
            CorpusmillError: training ends here.
        """
        action, step = self.params.spikes.action, batch.step
        if self.world.leads:
            write_evidence(self.folder, self.rows, batch, result, why)
        if action in ("none", "stop") or (action == "skip" and result.applied):
            self._end(lambda: failure(self.folder, self.rows, batch, why, action))
        if persists([*progress.spikes, step], step, self.params.spikes.window):
            self._end(lambda: _persisting(self.folder, self.rows, batch, why, self.params.spikes.window))
        if action == "skip":
            progress.leave_out([step], step)
            record.watch.warn(f"step {step}: {why}; it is left out")
            return None
        return self._roll_back(record, progress, batch, why)

    def _roll_back(self, record: Record, progress: Progress, batch: StepBatch, why: str) -> Progress:
        """Back to before the first step to leave out. Each time a step is marked anew, so this ends."""
        first = max(batch.step - self.params.spikes.skip_before, 1)
        path = share(self.checkpoints.go_back(first - 1) if self.world.leads else None)
        if path is None:
            self._end(lambda: _no_checkpoint(self.folder, self.rows, batch, why, first))
        earlier = self._load(path)
        earlier.left_out, earlier.spikes = progress.left_out, progress.spikes
        earlier.leave_out(range(first, batch.step + 1), batch.step)
        record.cut_back(earlier)
        steps = f"steps {first} to {batch.step} are" if first < batch.step else f"step {first} is"
        record.watch.warn(f"step {batch.step}: {why}; back to step {earlier.step}, {steps} left out")
        return earlier

    def _load(self, path: Path) -> Progress:
        progress = Progress.from_dict(self.engine.load(path)["progress"])
        if self.world.leads:
            delete_later_bests(self.folder, progress.step)
        return progress

    def _sample(self, record: Record, step: int) -> None:
        if self.encoder is None or not self.params.sample_tokens:
            return
        from train.samples import continued

        prompt, tokens, context = self.params.sample_prompt, self.params.sample_tokens, self.rows.facts.seq_len
        text = continued(self.engine.logits, self.encoder, prompt, tokens, context, agree=share)
        if text is None:
            record.watch.warn("no samples of text: the layers are spread over processes (engine.pipeline_stages)")
            self.encoder = None  # said once
        else:
            record.watch.sample(step, text)

    def _end(self, error: Callable[[], CorpusmillError]) -> NoReturn:
        """Ends training in all processes; the leading one says why, after what it wrote is there."""
        dist.barrier()
        if not self.world.leads:
            end_after_leader()
        raise error()


def val_indices(val: TokenRows, params: PretrainParams) -> list[int]:
    """The rows of val that are scored: all, or ``val_rows`` drawn by the order's rule, the same each time."""
    chosen = min(params.val_rows or val.num_rows, val.num_rows)
    return [sample(params.seed, k, val.num_rows) for k in range(chosen)]


def to_score(val: TokenRows, nll: float, tokens: int, right: int) -> Score:
    """Bytes are those of the whole split times the share of its tokens that was scored: exact when all rows are."""
    return Score(nll, tokens, val.text_bytes * tokens / val.num_text_tokens, right)


def _no_score(folder: Path, step: int) -> CorpusmillError:
    return CorpusmillError(
        "the trained weights give no number on val", where=f"pretrain, step {step}",
        hint=f"nothing is published; the last checkpoints lie in {folder}: lower pretrain.learning_rate, or clip "
        "(gradient_clipping: 1.0)",
    )  # fmt: skip


def _persisting(folder: Path, rows: TokenRows, batch: StepBatch, why: str, window: int) -> CorpusmillError:
    error = failure(folder, rows, batch, f"{why}, as in more than half of the last {window} steps: it is no spike")
    error.hint = "lower learning_rate, raise spikes.deviations or skip_before, or look whether the data change here"
    return error


def _no_checkpoint(folder: Path, rows: TokenRows, batch: StepBatch, why: str, first: int) -> CorpusmillError:
    error = failure(folder, rows, batch, f"{why}, and there is no checkpoint before step {first} to go back to")
    error.hint = "lower checkpoint_every, lengthen spikes.window, or take spikes.action: skip; each begins anew"
    return error
