"""What training ends with: the weights that are published, and their score on val."""

import dataclasses
from pathlib import Path
from typing import Any

from torch import Tensor

from pipelines.spine.ledger import Ledger
from pipelines.token_shards import ShardFacts
from train.model import build_model
from train.progress import EpochSums, Progress
from train.recipe import PretrainParams
from train.run import Run, to_score, val_indices
from train.saved import weights_to_store
from train.scoring import Score, batch_scores, cut_batches
from train.snapshots import best_name, mean_weights, snapshot_name


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of the leading process; the others hold what they computed.

    Attributes:
        weights: what ``final_weights`` names.
        val: their score.
        last: the score of the weights after the last step.
        train: the sums of the last epoch, whole or not.
    """

    progress: Progress
    weights: dict[str, Tensor]
    val: Score
    last: Score
    train: EpochSums


def outcome_of(run: Run, progress: Progress, last: Score, train: EpochSums) -> Outcome:
    """The weights that ``final_weights`` names, and their score. Every process calls it."""
    chosen = run.params.final_weights
    if chosen == "last":
        return Outcome(progress, run.engine.weights(), last, last, train)
    weights = run.engine.weights("ema") if chosen == "ema" else {}
    if not run.world.leads:
        return Outcome(progress, weights, last, last, train)
    if chosen == "average":
        weights = mean_weights([run.folder / snapshot_name(step) for step in progress.snapshots])
    if chosen == "best":  # the last evaluation gave a number, so there is a best one
        weights = mean_weights([run.folder / best_name(progress.best_step)])
    return Outcome(progress, weights, _score_of(run, weights), last, train)


def metrics(outcome: Outcome, params: PretrainParams, facts: ShardFacts) -> dict[str, Any]:
    """What ``metrics.json`` holds; ``val`` is of the published weights."""
    progress, model = outcome.progress, params.model
    return {
        "steps": progress.step,
        "stopped_early": progress.step < params.steps,
        "tokens": progress.samples * facts.seq_len,
        "parameters": model.num_parameters(facts.vocab_size),
        "parameters_without_embeddings": model.num_parameters(0),
        "flops_per_token": model.flops_per_token(facts.vocab_size, facts.seq_len),
        "left_out": [step for step in progress.left_out if step <= progress.step],
        "weights": params.final_weights,
        "train": {"loss": _rounded(outcome.train.loss), "accuracy": _rounded(outcome.train.accuracy)},
        "val": outcome.val.to_dict(),
        "best": {"step": progress.best_step, "loss": _rounded(progress.best_loss)},
        **({} if params.final_weights == "last" else {"val_last": outcome.last.to_dict()}),
    }


def ledger_of(progress: Progress, seq_len: int) -> Ledger:
    """tokens seen = trained + masked + left out, and by source."""
    ledger = Ledger("tokens")
    ledger.take(progress.samples * seq_len)
    ledger.give("trained", progress.trained)
    ledger.count("masked.padding", progress.padding)
    ledger.count("masked.context", progress.context)
    ledger.count("left_out.update", progress.unused)
    ledger.apart("cut.bpe_dropout", progress.cut)
    for source, number in progress.by_source.items():
        ledger.apart(f"source.{source}", number)
    return ledger


def _score_of(run: Run, weights: dict[str, Tensor]) -> Score:
    """The score of other weights than the engine's, by a plain model in this process."""
    params, val = run.params, run.val
    model = build_model(params.model, val.facts.vocab_size)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    # Of tied tensors one is stored; loading it fills both.
    assert not unexpected
    assert not set(missing) & set(weights_to_store(params.model, model.state_dict())), missing
    batches = cut_batches(val_indices(val, params), params.engine.rows_per_micro_batch)
    model = model.to(run.world.device).eval()
    parts = list(batch_scores(model, val, batches, run.world.device, params.within_documents))
    nll, tokens, right = (sum(part[column] for part in parts) for column in range(3))
    return to_score(val, nll, int(tokens), int(right))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def snapshot_paths(folder: Path, progress: Progress) -> dict[str, Path]:
    """Name in the output -> file, of the snapshots that are kept."""
    return {snapshot_name(step): folder / snapshot_name(step) for step in progress.snapshots}
