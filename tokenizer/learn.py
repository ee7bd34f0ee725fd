"""Learning the vocabulary: pre-token counts of the train text to a byte-level BPE tokenizer.

    data/count/*.parquet (pre_token, count)  ->  data/learn/tokenizer.json, metrics.json

vocabulary = alphabet (256 bytes) + merges + specials

Run by ``dvc repro learn``, or alone:
``python -m tokenizer.learn --input data/count --output data/learn --ledger data/learn/ledger.json``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.spine import faults, storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import Shard, dump, read_manifest
from pipelines.spine.schema import COUNT, PATTERN_KEY
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Stage, opened
from tokenizer.bpe import ALPHABET, learn_merges
from tokenizer.encoding import Encoder, tokenizer_json

TOKENIZER, METRICS = "tokenizer.json", "metrics.json"

Counts = list[tuple[bytes, int]]


@dataclass(frozen=True)
class LearnParams:
    """``params.yaml: learn``. ``vocab_size`` counts bytes, merges and special tokens together."""

    vocab_size: int
    special_tokens: tuple[str, ...]


def learn_tokenizer(counts: Sequence[tuple[bytes, int]], pattern: str, params: LearnParams) -> str:
    """The text of ``tokenizer.json``, with exactly ``vocab_size`` tokens.

    Args:
        counts: distinct pre-tokens and how often each stands in the train text.
        pattern: the name of the pattern that cut them; the tokenizer will cut by it too.
    Raises:
        CorpusmillError: the vocabulary is too small for its alphabet, or larger than the text supports.
    """
    fixed = len(ALPHABET) + len(params.special_tokens)
    if params.vocab_size < fixed:
        raise CorpusmillError(
            "too small a vocabulary", where="params.yaml: learn.vocab_size",
            expected=f"{fixed:,} or more: 256 bytes and {len(params.special_tokens)} special tokens",
            got=f"{params.vocab_size:,}",
        )  # fmt: skip
    merges = learn_merges(counts, params.vocab_size - fixed)
    if fixed + len(merges) < params.vocab_size:
        raise CorpusmillError(
            "a larger vocabulary than the train text supports: no two tokens are left to merge",
            where="params.yaml: learn.vocab_size", expected=f"{fixed + len(merges):,} or less",
            got=f"{params.vocab_size:,}", hint="set a smaller vocab_size, or add text",
        )  # fmt: skip
    return tokenizer_json(merges, params.special_tokens, pattern)


def measure(counts: Sequence[tuple[bytes, int]], encoder: Encoder) -> dict[str, int | float]:
    """How well the vocabulary fits the text it was learned from: what ``metrics.json`` holds."""
    _, offsets = encoder.encode_batch([token.decode() for token, _ in counts])
    num_bytes = sum(len(token) * count for token, count in counts)
    # Python integers: a sum of 64-bit products could wrap.
    num_tokens = sum(
        tokens * count for tokens, (_, count) in zip((offsets[1:] - offsets[:-1]).tolist(), counts, strict=True)
    )
    return {
        "vocab_size": encoder.vocab_size,
        "distinct_pre_tokens": len(counts),
        "train_bytes": num_bytes,
        "train_tokens": num_tokens,
        "bytes_per_token": round(num_bytes / num_tokens, 4),
    }


def read_counts(folders: Iterable[str]) -> tuple[Counts, str]:
    """All (pre-token, count) rows of the folders, and the pattern that cut them.

    Raises:
        CorpusmillError: no manifest, no rows, other columns than `count` writes, or counts by several patterns.
    """
    counts: Counts = []
    patterns: set[str] = set()
    for folder in folders:
        manifest = read_manifest(folder).check()
        for shard in manifest.shards:
            for batch in read_batches(manifest.path_of(shard)):
                if batch.schema.names != COUNT.names:
                    raise CorpusmillError(
                        "not a table of pre-token counts", where=str(manifest.path_of(shard)),
                        expected=COUNT.names, got=batch.schema.names, hint="give the output of `count` as --input",
                    )  # fmt: skip
                patterns.add((batch.schema.metadata or {}).get(PATTERN_KEY, b"").decode())
                counts += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    if not counts:
        raise CorpusmillError("no pre-tokens to learn from", where=", ".join(folders), hint="is the train split empty?")
    if len(patterns) > 1 or "" in patterns:
        raise CorpusmillError(
            "the counts do not name one pattern that cut them", where=", ".join(folders), got=sorted(patterns),
            hint="run `dvc repro count`",
        )  # fmt: skip
    return counts, patterns.pop()


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv) as job:
        params: LearnParams = job.params
        counts, pattern = read_counts(job.inputs)
        text = learn_tokenizer(counts, pattern, params)
        job.begin()
        storage.write_text(job.output / TOKENIZER, text)
        storage.write_text(job.output / METRICS, dump(measure(counts, Encoder(text))))
        faults.reach("learn:written")
        job.publish([_shard(job.output / TOKENIZER, params.vocab_size)], _ledger(text), others=[METRICS])


def _ledger(tokenizer: str) -> Ledger:
    """Every id of the vocabulary is a byte, a merge or a special token; counted in the file that is published."""
    document = json.loads(tokenizer)
    ledger = Ledger("vocabulary")
    ledger.take(len(Encoder(tokenizer).tokens))
    ledger.give("alphabet", len(ALPHABET))
    ledger.give("specials", len(document["added_tokens"]))
    ledger.give("merges", len(document["model"]["merges"]))
    return ledger


def _shard(path: Path, rows: int) -> Shard:
    return Shard(path.name, rows, path.stat().st_size, storage.sha256_file(path))


STAGE = Stage("tokenizer.learn", LearnParams, ("python", "gigatoken", "numpy", "pyarrow", "tokenizers"))

if __name__ == "__main__":
    sys.exit(run_module("tokenizer.learn"))
