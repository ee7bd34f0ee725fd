"""Evaluation: how well the model predicts text it has not seen, beside n-gram models of the same tokens.

    data/pack/<val|test>-*.arrow + data/pretrain  ->  data/evaluate/{metrics.json, baselines.csv}

text tokens of the documents = text tokens scored, each exactly once

Evaluation sets that ``evaluate.sets`` names are scored too, text by text as `pack` makes rows (``train.sets``). One that
`decontaminate` did not look for is refused, unless ``allow_contaminated`` is set; then metrics.json says so.

Bits per byte = sum of nll of text tokens / (ln 2 x UTF-8 bytes): comparable between tokenizers. Document starts are
not scored, and a row is all the context there is (``seq_len`` tokens, less at a document's or piece's beginning); the
n-gram models see every document whole.

Run by ``dvc repro evaluate``, or alone:
``python -m train.evaluate --input data/pack --model data/pretrain --sets data/fetch/evaluation.json
--decontaminated data/decontaminate/sets.json --output data/evaluate``
"""

import argparse
import dataclasses
import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.contamination.items import read_texts
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import dump
from pipelines.spine.stage import Stage, opened, run_module
from pipelines.token_shards import MappedShard
from tokenizer.encoding import Encoder
from train.data import TokenRows
from train.determinism import set_deterministic
from train.model import LanguageModel
from train.ngram import NgramModel
from train.saved import TOKENIZER, ModelConfig, check_fits, file_entry, read_model
from train.scoring import Score, batch_scores, cut_batches
from train.sets import PackedTexts, choose_sets, expect_decontaminated, score_texts

SPLITS = ("val", "test")
#: Name in the tables -> tokens of an n-gram. Trigrams are the strongest that a few million tokens can fill.
BASELINES = {"unigram": 1, "bigram": 2, "trigram": 3}
COLUMNS = "split,model,loss,perplexity,bits_per_byte"


@dataclasses.dataclass(frozen=True)
class EvaluateParams:
    """``params.yaml: evaluate``. num_threads shapes the last bits of the sums; rows_per_batch is for memory."""

    num_threads: int
    rows_per_batch: int
    sets: tuple[str, ...]
    allow_contaminated: bool


STAGE = Stage(
    "train.evaluate", EvaluateParams, ("python", "gigatoken", "torch", "numpy", "pyarrow", "tokenizers", "zstandard")
)

#: Sources of a split with what was scored there.
SourceScores = dict[str, Score]


def main(argv: list[str]) -> None:
    """The command."""
    with opened(STAGE, argv, _add_options) as job:
        params: EvaluateParams = job.params
        chosen = choose_sets(params.sets, job.args.sets, job.args.decontaminated, job.cache_root)
        expect_decontaminated(chosen, params.allow_contaminated, job.args.decontaminated)
        set_deterministic(params.num_threads, seed=0)
        folder = Path(job.args.model)
        model, config = read_model(folder)
        encoder = Encoder(folder / TOKENIZER)
        splits = {split: TokenRows(job.inputs[0], split) for split in SPLITS}
        for rows in splits.values():
            check_fits(config, rows)
        ledger = Ledger("tokens")
        scores: dict[tuple[str, str], SourceScores] = {}
        for split, rows in splits.items():
            ledger.take(num_text_tokens(rows, encoder))
            scores[split, "model"] = score_model(model, config, rows, params)
            ledger.give(split, sum(score.tokens for score in scores[split, "model"].values()))
        of_sets = {}
        for one in chosen:
            texts = read_texts(one.fetched)
            packed = PackedTexts([text.text for text in texts.texts], encoder, config.seq_len)
            ledger.take(packed.num_text_tokens)
            score = score_texts(model, config, packed, params.rows_per_batch)
            ledger.give(f"set {one.name}", score.tokens)
            of_sets[one.name] = {**score.to_dict(), "texts": len(texts.texts), **one.facts()}
        train = TokenRows(job.inputs[0], "train")
        for name, order in BASELINES.items():
            documents = (ids for shard in train.shards for ids in shard.documents())
            baseline = NgramModel.fit(documents, config.vocab_size, order)
            for split, rows in splits.items():
                scores[split, name] = score_shards(rows, functools.partial(_ngram_sums, baseline))
        job.also_read += [str(folder), *(str(Path(p).parent) for p in (job.args.sets, job.args.decontaminated) if p)]
        job.begin()
        storage.write_text(job.output / "metrics.json", dump({**metrics(scores), "sets": of_sets}))
        storage.write_text(job.output / "baselines.csv", table(scores))
        names = ("baselines.csv", "metrics.json")
        job.publish([file_entry(job.output / name) for name in names], ledger)
    for split in SPLITS:
        line = "  ".join(f"{name} {_sum(scores[split, name]).bits_per_byte:.3f}" for name in ("model", *BASELINES))
        print(f"evaluate {split}  bits a byte: {line}", file=sys.stderr)
    for one in chosen:
        told = "" if one.entry else "  NOT DECONTAMINATED: the corpus may hold it"
        print(f"evaluate {one.name}  bits a byte: {of_sets[one.name]['bits_per_byte']:.3f}{told}", file=sys.stderr)


def num_text_tokens(rows: TokenRows, encoder: Encoder) -> int:
    """Text tokens of the split's documents, put together again from their pieces.

    Raises:
        CorpusmillError: pieces overlap or leave a gap, or the tokens do not spell the bytes that went in.
    """
    num_bytes = np.array([len(token) for token in encoder.tokens], np.int64)
    tokens = 0
    for shard in rows.shards:
        spelled = 0
        for ids in shard.documents():
            tokens += len(ids) - 1
            spelled += int(num_bytes[ids[1:]].sum())
        if spelled != shard.facts.text_bytes:
            raise CorpusmillError(
                "the tokens of the shard do not spell its documents", where=str(shard.path),
                expected=f"{shard.facts.text_bytes:,} bytes", got=f"{spelled:,}", hint="run `dvc repro pack`",
            )  # fmt: skip
    return tokens


def score_model(model: LanguageModel, config: ModelConfig, rows: TokenRows, params: EvaluateParams) -> SourceScores:
    """The model's scores on a split by source."""
    device = next(model.parameters()).device
    firsts = {id(shard): first for shard, first in zip(rows.shards, rows.first_rows, strict=True)}

    def sums(shard: MappedShard) -> tuple[float, int, int]:
        first = firsts[id(shard)]
        batches = cut_batches(range(first, first + shard.num_rows), params.rows_per_batch)
        parts = list(batch_scores(model, rows, batches, device, config.within_documents))
        return math.fsum(part[0] for part in parts), sum(part[1] for part in parts), sum(part[2] for part in parts)

    return score_shards(rows, sums)


def score_shards(rows: TokenRows, sums: Callable[[MappedShard], tuple[float, int, int | None]]) -> SourceScores:
    """Scores by source, from a function that gives (nll, tokens, right ones or None) of a shard."""
    scores: SourceScores = {}
    for shard in rows.shards:
        nll, tokens, right = sums(shard)
        score = Score(nll, tokens, shard.facts.text_bytes, right)
        source = shard.facts.source
        scores[source] = scores[source] + score if source in scores else score
    return scores


def metrics(scores: dict[tuple[str, str], SourceScores]) -> dict[str, Any]:
    """What ``metrics.json`` holds of the splits: by split the model's score, its sources, and the baselines."""
    return {
        split: {
            **_sum(scores[split, "model"]).to_dict(),
            "by_source": {source: score.to_dict() for source, score in sorted(scores[split, "model"].items())},
            "baselines": {name: _sum(scores[split, name]).to_dict() for name in BASELINES},
        }
        for split in SPLITS
    }


def table(scores: dict[tuple[str, str], SourceScores]) -> str:
    """The same as a table for plots, the model last."""
    lines = [COLUMNS]
    for split in SPLITS:
        for name in (*BASELINES, "model"):
            score = _sum(scores[split, name])
            lines.append(f"{split},{name},{score.loss:.6f},{score.perplexity:.4f},{score.bits_per_byte:.6f}")
    return "\n".join(lines) + "\n"


def _ngram_sums(baseline: NgramModel, shard: MappedShard) -> tuple[float, int, None]:
    nll = baseline.nll(shard.documents())
    return math.fsum(nll.tolist()), len(nll), None


def _sum(scores: SourceScores) -> Score:
    first, *others = scores.values()
    return sum(others, start=first)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="data/pretrain", metavar="DIR", help="trained model (default: %(default)s)")
    parser.add_argument("--sets", default="", metavar="FILE", help="evaluation.json of fetch, for evaluate.sets")
    parser.add_argument("--decontaminated", default="", metavar="FILE", help="sets.json of decontaminate")


if __name__ == "__main__":
    sys.exit(run_module("train.evaluate"))
