"""Learning the vocabulary: pre-token counts of the train text to a byte-level BPE tokenizer.

    data/count/*.parquet (pre_token, count)  ->  data/learn/tokenizer.json, tokenizer.tiktoken, metrics.json, card.md
                                                 tokenizer-<size>.json, .tiktoken and sizes.json for further sizes

vocabulary = alphabet (256 bytes) + merges + specials

All sizes come from one training, since merges are a prefix. The manifest holds ``tokenizer.json`` alone: another further
size must not pack and pretrain anew. ``sizes.json`` lists all tokenizer files with their sha256.

Run by ``dvc repro learn``, or alone:
``python -m tokenizer.learn --input data/count --output data/learn --ledger data/learn/ledger.json``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.spine import faults, storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import NAME, Shard, dump, read_manifest
from pipelines.spine.schema import COUNT, PATTERN_KEY
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Job, Stage, opened
from tokenizer.bpe import ALPHABET, learn_merges
from tokenizer.card import CardFacts, tokenizer_card
from tokenizer.encoding import Encoder, tokenizer_json
from tokenizer.ranks import tiktoken_ranks

TOKENIZER, METRICS, SIZES, CARD = "tokenizer.json", "metrics.json", "sizes.json", "card.md"

Counts = list[tuple[bytes, int]]


@dataclass(frozen=True)
class LearnParams:
    """``params.yaml: learn``. Sizes count bytes, merges and special tokens together."""

    vocab_size: int
    more_sizes: tuple[int, ...]
    special_tokens: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The main size, then the further ones ascending."""
        return (self.vocab_size, *sorted(self.more_sizes))


def learn_tokenizers(counts: Sequence[tuple[bytes, int]], pattern: str, params: LearnParams) -> dict[int, str]:
    """Vocabulary size -> the text of its ``tokenizer.json`` with exactly so many tokens; the main size first.

    Args:
        counts: distinct pre-tokens and how often each stands in the train text.
        pattern: the name of the pattern that cut them; the tokenizers will cut by it too.
    Raises:
        CorpusmillError: a size is too small for its alphabet, larger than the text supports, or given twice.
    """
    fixed = len(ALPHABET) + len(params.special_tokens)
    for size in params.sizes:
        if size < fixed:
            raise CorpusmillError(
                "too small a vocabulary", where=_where(size, params),
                expected=f"{fixed:,} or more: 256 bytes and {len(params.special_tokens)} special tokens",
                got=f"{size:,}",
            )  # fmt: skip
    if len(set(params.sizes)) < len(params.sizes):
        raise CorpusmillError("a size is given twice", where="params.yaml: learn.more_sizes", got=params.sizes)
    largest = max(params.sizes)
    merges = learn_merges(counts, largest - fixed)
    if fixed + len(merges) < largest:
        raise CorpusmillError(
            "a larger vocabulary than the train text supports: no two tokens are left to merge",
            where=_where(largest, params), expected=f"{fixed + len(merges):,} or less",
            got=f"{largest:,}", hint="set a smaller size, or add text",
        )  # fmt: skip
    return {size: tokenizer_json(merges[: size - fixed], params.special_tokens, pattern) for size in params.sizes}


def _where(size: int, params: LearnParams) -> str:
    return f"params.yaml: learn.{'vocab_size' if size == params.vocab_size else 'more_sizes'}"


def file_names(size: int, params: LearnParams) -> tuple[str, str]:
    """The names of a size's ``tokenizer.json`` and ranks; the main size's bear no number."""
    stem = "tokenizer" if size == params.vocab_size else f"tokenizer-{size}"
    return f"{stem}.json", f"{stem}.tiktoken"


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
        texts = learn_tokenizers(counts, pattern, params)
        fits = {size: measure(counts, Encoder(text)) for size, text in texts.items()}
        job.begin()
        names = _write_files(job.output, texts, params)
        storage.write_text(job.output / METRICS, dump(_metrics(fits)))
        facts = CardFacts(
            pattern, params.special_tokens, fits, {size: file_names(size, params) for size in texts}, len(counts),
            _manifest_digests(job),
        )  # fmt: skip
        storage.write_text(job.output / CARD, tokenizer_card(facts))
        faults.reach("learn:written")
        shard = _shard(job.output / TOKENIZER, params.vocab_size)
        job.publish([shard], _ledger(texts), others=[*names, SIZES, METRICS, CARD])


def _write_files(folder: Path, texts: Mapping[int, str], params: LearnParams) -> list[str]:
    """Writes each size's two files and the list of them all, and returns their names."""
    entries = []
    for size, text in texts.items():
        json_name, ranks_name = file_names(size, params)
        ranks = tiktoken_ranks(Encoder(text), len(params.special_tokens))
        for name, content in ((json_name, text), (ranks_name, ranks)):
            storage.write_text(folder / name, content)
            entries.append({"name": name, "vocab_size": size, "sha256": storage.sha256_text(content)})
    storage.write_text(folder / SIZES, dump({"files": entries}))
    return [str(entry["name"]) for entry in entries]


def _metrics(fits: Mapping[int, Mapping[str, int | float]]) -> dict[str, object]:
    """The main size's fit as it is, and the others' by size."""
    (_, main), *others = fits.items()
    return {**main, "more_sizes": {str(size): fit["bytes_per_token"] for size, fit in others}} if others else {**main}


def _manifest_digests(job: Job) -> list[str]:
    places = [Path(place) if Path(place).name == NAME else Path(place) / NAME for place in job.inputs]
    return sorted(storage.sha256_file(place) for place in places)


def _ledger(texts: Mapping[int, str]) -> Ledger:
    """Every id of the vocabulary is a byte, a merge or a special token; counted in the files that are published."""
    ledgers = {}
    for size, text in texts.items():
        document = json.loads(text)
        ledger = ledgers[size] = Ledger("vocabulary")
        ledger.take(len(Encoder(text).tokens))
        ledger.give("alphabet", len(ALPHABET))
        ledger.give("specials", len(document["added_tokens"]))
        ledger.give("merges", len(document["model"]["merges"]))
        ledger.check(f"the vocabulary of {size:,} tokens")
    main, *others = ledgers
    for size in others:
        ledgers[main].apart(f"vocabulary_of_{size}", ledgers[size].taken)
    return ledgers[main]


def _shard(path: Path, rows: int) -> Shard:
    return Shard(path.name, rows, path.stat().st_size, storage.sha256_file(path))


STAGE = Stage("tokenizer.learn", LearnParams, ("python", "gigatoken", "numpy", "pyarrow", "tokenizers"))

if __name__ == "__main__":
    sys.exit(run_module("tokenizer.learn"))
