"""A split's scores by source and language: every text token counted once, under its document's language.

    rows of a split + the language of each segment  ->  {(source, language): Score}

Bytes of a language are those that its tokens spell. A document whose language is not known counts under ``unknown``.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pipelines.segment_languages import languages_file, read_languages
from pipelines.spine.errors import CorpusmillError
from pipelines.token_shards import MappedShard
from train.data import IGNORED, TokenRows
from train.scoring import Forward, Score, cut_batches, is_right, to_tensors

UNKNOWN = "unknown"

#: (source, language) -> what was scored there.
LanguageScores = dict[tuple[str, str], Score]


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How rows are scored.

    Attributes:
        token_bytes: UTF-8 bytes of each id, int64 ``[vocabulary]``.
        languages: the folder that tells the languages of each shard's segments.
        within_documents: the model sees no other document of the row.
        size: rows a batch.
    """

    token_bytes: np.ndarray
    languages: Path
    device: torch.device
    within_documents: bool
    size: int


def score_by_language(forward: Forward, rows: TokenRows, scoring: Scoring) -> LanguageScores:
    """The scores of a model on all rows of a split.

    Args:
        forward: tokens and segments to logits, or to log-probabilities.
    Raises:
        CorpusmillError: the languages of a shard are missing, or its tokens do not spell the bytes that went in.
    """
    scores: LanguageScores = {}
    for shard, first in zip(rows.shards, rows.first_rows, strict=True):
        found = _score_shard(forward, rows, shard, first, scoring)
        num_bytes = sum(score.bytes for score in found.values())
        if num_bytes != shard.facts.text_bytes:
            raise CorpusmillError(
                "the bytes by language are not those of the shard", where=shard.place,
                expected=f"{shard.facts.text_bytes:,}", got=f"{num_bytes:,}", hint="run `dvc repro pack`",
            )  # fmt: skip
        for language, score in found.items():
            key = (shard.facts.source, language)
            scores[key] = scores[key] + score if key in scores else score
    return scores


def summed(scores: LanguageScores, part: int) -> dict[str, Score]:
    """The scores by source (part 0) or by language (part 1), sorted by name."""
    sums: dict[str, Score] = {}
    for key in sorted(scores):
        sums[key[part]] = sums[key[part]] + scores[key] if key[part] in sums else scores[key]
    return dict(sorted(sums.items()))


def total(scores: Mapping[Any, Score]) -> Score:
    """The sum of all."""
    first, *others = scores.values()
    return sum(others, start=first)


@torch.no_grad()
def _score_shard(
    forward: Forward, rows: TokenRows, shard: MappedShard, first_row: int, scoring: Scoring
) -> dict[str, Score]:
    # The number of the shard's first segment in each of its rows.
    lengths = [len(shard.row(index).lengths) for index in range(shard.num_rows)]
    first_segments = np.append(0, np.cumsum(lengths, dtype=np.int64))
    codes, names = read_languages(languages_file(scoring.languages, shard.name), int(first_segments[-1]))
    sums = np.zeros((3, len(names)), np.int64)  # tokens, bytes, right ones
    parts: list[list[float]] = [[] for _ in names]
    for places in cut_batches(range(shard.num_rows), scoring.size):
        batch = rows.scoring_batch([first_row + place for place in places])
        tokens, segments, targets = to_tensors(batch, scoring.device, scoring.within_documents)
        logits_BTV = forward(tokens, segments).float()
        nll_BT = functional.cross_entropy(
            logits_BTV.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(targets)
        right_BT = is_right(logits_BTV, targets).cpu().numpy()
        row, position = np.nonzero(batch.targets != IGNORED)
        # A scored target is never its segment's first token, so it is of the same segment as the token before it.
        segment = first_segments[np.array(places)[row]] + batch.segments[row, position] - 1
        code, ids = codes[segment], batch.targets[row, position]
        weights = (None, scoring.token_bytes[ids], right_BT[row, position])
        for line, of_tokens in zip(sums, weights, strict=True):
            line += np.bincount(code, of_tokens, len(names)).astype(np.int64)
        nll = np.bincount(code, nll_BT.cpu().numpy().astype(np.float64)[row, position], len(names))
        for part, number in zip(parts, nll.tolist(), strict=True):
            part.append(number)
    scores: dict[str, Score] = {}
    for place, (name, part) in enumerate(zip(names, parts, strict=True)):
        num_tokens, num_bytes, num_right = sums[:, place].tolist()
        if num_tokens:  # empty documents alone have no loss
            score = Score(math.fsum(part), num_tokens, num_bytes, num_right)
            key = name or UNKNOWN  # a corpus may call a language so, too
            scores[key] = scores[key] + score if key in scores else score
    return scores
