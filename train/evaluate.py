"""Evaluation: how well the model predicts text it has not seen, beside n-gram models of the same tokens.

    data/pack/<val|test>-*.arrow + data/pretrain  ->  data/evaluate/{metrics.json, baselines.csv}

text tokens of the documents = text tokens scored, each exactly once; so are those of the sources and of the languages

Evaluation sets that ``evaluate.sets`` names are scored too, text by text as `pack` makes rows (``train.sets``). One that
`decontaminate` did not look for is refused, unless ``allow_contaminated`` is set; then metrics.json says so.

With ``ensemble`` the snapshots that `pretrain` kept are scored together too (``train.ensemble``).

Bits per byte = sum of nll of text tokens / (ln 2 x UTF-8 bytes): comparable between tokenizers. Document starts are
not scored, and a row is all the context there is (``seq_len`` tokens, less at a document's or piece's beginning); the
n-gram models see every document whole.

Run by ``dvc repro evaluate``, or alone:
``python -m train.evaluate --input data/pack --languages data/pack/languages.json --model data/pretrain
--sets data/fetch/evaluation.json --decontaminated data/decontaminate/sets.json --output data/evaluate``
"""

import argparse
import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from pipelines.contamination.items import read_texts
from pipelines.segment_languages import LANGUAGES
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import dump
from pipelines.spine.stage import Stage, opened, run_module
from tokenizer.encoding import Encoder
from train.data import TokenRows
from train.determinism import set_deterministic
from train.ensemble import mean_of_probabilities, model_of_mean_weights, read_snapshots
from train.language_scores import LanguageScores, Scoring, score_by_language, summed, total
from train.ngram import NgramModel
from train.saved import TOKENIZER, check_fits, file_entry, read_model
from train.scoring import Forward, Score
from train.sets import PackedTexts, choose_sets, expect_decontaminated, score_texts

SPLITS = ("val", "test")
#: Name in the tables -> tokens of an n-gram. Trigrams are the strongest that a few million tokens can fill.
BASELINES = {"unigram": 1, "bigram": 2, "trigram": 3}
COLUMNS = "split,model,loss,perplexity,bits_per_byte,accuracy"
#: The trained model, and the snapshots of its training together, in the tables.
MODEL, ENSEMBLES = "model", ("mean_probabilities", "mean_weights")


@dataclasses.dataclass(frozen=True)
class EvaluateParams:
    """``params.yaml: evaluate``. num_threads shapes the last bits of the sums; rows_per_batch is for memory."""

    num_threads: int
    rows_per_batch: int
    sets: tuple[str, ...]
    allow_contaminated: bool
    ensemble: bool


STAGE = Stage(
    "train.evaluate", EvaluateParams, ("python", "gigatoken", "torch", "numpy", "pyarrow", "tokenizers", "zstandard")
)

#: (split, model) -> what was scored, by source and language.
Scores = dict[tuple[str, str], LanguageScores]


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
        languages = Path(job.args.languages or Path(job.inputs[0]) / LANGUAGES).with_suffix("")  # the folder beside it
        device = next(model.parameters()).device
        scoring = Scoring(bytes_of_tokens(encoder), languages, device, config.within_documents, params.rows_per_batch)
        forwards = _forwards(folder, model, params.ensemble)
        ledger = Ledger("tokens")
        scores: Scores = {}
        for split, rows in splits.items():
            ledger.take(num_text_tokens(rows, encoder))
            for name, forward in forwards.items():
                scores[split, name] = score_by_language(forward, rows, scoring)
            ledger.give(split, total(scores[split, MODEL]).tokens)
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
                scores[split, name] = score_ngrams(baseline, rows)
        job.also_read += [str(folder), *(str(Path(p).parent) for p in (job.args.sets, job.args.decontaminated) if p)]
        job.begin()
        storage.write_text(job.output / "metrics.json", dump({**metrics(scores), "sets": of_sets}))
        storage.write_text(job.output / "baselines.csv", table(scores))
        names = ("baselines.csv", "metrics.json")
        job.publish([file_entry(job.output / name) for name in names], ledger)
    for split in SPLITS:
        line = "  ".join(f"{name} {total(scores[split, name]).bits_per_byte:.3f}" for name in (*forwards, *BASELINES))
        print(f"evaluate {split}  bits a byte: {line}", file=sys.stderr)
    for one in chosen:
        told = "" if one.entry else "  NOT DECONTAMINATED: the corpus may hold it"
        print(f"evaluate {one.name}  bits a byte: {of_sets[one.name]['bits_per_byte']:.3f}{told}", file=sys.stderr)


def num_text_tokens(rows: TokenRows, encoder: Encoder) -> int:
    """Text tokens of the split's documents, put together again from their pieces.

    Raises:
        CorpusmillError: pieces overlap or leave a gap, the tokens do not spell the bytes that went in, or there are none.
    """
    num_bytes = bytes_of_tokens(encoder)
    tokens = 0
    for shard in rows.shards:
        spelled = 0
        for ids in shard.documents():
            tokens += len(ids) - 1
            spelled += int(num_bytes[ids[1:]].sum())
        if spelled != shard.facts.text_bytes:
            raise CorpusmillError(
                "the tokens of the shard do not spell its documents", where=shard.place,
                expected=f"{shard.facts.text_bytes:,} bytes", got=f"{spelled:,}", hint="run `dvc repro pack`",
            )  # fmt: skip
    if not tokens:
        raise CorpusmillError("there is no text to score", where=rows.where, hint="its documents are all empty")
    return tokens


def bytes_of_tokens(encoder: Encoder) -> np.ndarray:
    """UTF-8 bytes that each id spells, int64 ``[vocabulary]``; special tokens count as they are written."""
    return np.array([len(token) for token in encoder.tokens], np.int64)


def score_ngrams(baseline: NgramModel, rows: TokenRows) -> LanguageScores:
    """The scores of an n-gram model, which sees documents whole: by source alone."""
    scores: LanguageScores = {}
    for shard in rows.shards:
        nll = baseline.nll(shard.documents())
        key = (shard.facts.source, "")
        score = Score(math.fsum(nll.tolist()), len(nll), shard.facts.text_bytes)
        scores[key] = scores[key] + score if key in scores else score
    return scores


def metrics(scores: Scores) -> dict[str, Any]:
    """What ``metrics.json`` holds of the splits: the model's score, by source, by language, the baselines, ensembles."""
    found = {}
    for split in SPLITS:
        ours = scores[split, MODEL]
        found[split] = {
            **_dict(total(ours)),
            "by_source": _dicts(summed(ours, 0)),
            "by_language": _dicts(summed(ours, 1)),
            "baselines": _dicts({name: total(scores[split, name]) for name in BASELINES}),
        }
        ensemble = {name: total(scores[split, name]) for name in ENSEMBLES if (split, name) in scores}
        if ensemble:
            found[split]["ensemble"] = _dicts(ensemble)
    return found


def table(scores: Scores) -> str:
    """The same as a table for plots, the model last; the n-gram models' accuracy is not counted."""
    lines = [COLUMNS]
    for split in SPLITS:
        for name in (*BASELINES, *(name for name in ENSEMBLES if (split, name) in scores), MODEL):
            score = total(scores[split, name])
            accuracy = "" if score.accuracy is None else f"{score.accuracy:.6f}"
            numbers = f"{score.loss:.6f},{score.perplexity:.4f},{score.bits_per_byte:.6f},{accuracy}"
            lines.append(f"{split},{name},{numbers}")
    return "\n".join(lines) + "\n"


def _forwards(folder: Path, model: nn.Module, ensemble: bool) -> dict[str, Forward]:
    """What is scored: the model, and where asked for its snapshots together."""
    if not ensemble:
        return {MODEL: model}
    snapshots = read_snapshots(folder, model)
    together = (mean_of_probabilities(snapshots), model_of_mean_weights(snapshots))
    return {MODEL: model, **dict(zip(ENSEMBLES, together, strict=True))}


def _dict(score: Score) -> dict[str, float]:
    return {**score.to_dict(), "bytes": score.bytes}


def _dicts(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    return {name: _dict(score) for name, score in scores.items()}


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="data/pretrain", metavar="DIR", help="trained model (default: %(default)s)")
    parser.add_argument("--languages", default="", metavar="FILE", help="of each segment (default: beside the shards)")
    parser.add_argument("--sets", default="", metavar="FILE", help="evaluation.json of fetch, for evaluate.sets")
    parser.add_argument("--decontaminated", default="", metavar="FILE", help="sets.json of decontaminate")


if __name__ == "__main__":
    sys.exit(run_module("train.evaluate"))
