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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.spine import faults, storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import NAME, Shard, dump, read_manifest
from pipelines.spine.schema import COUNT, PATTERN_KEY
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Job, Stage, opened
from tokenizer.bpe import ALPHABET, Counts, learn_merges
from tokenizer.card import CardFacts, tokenizer_card
from tokenizer.counting import gathered
from tokenizer.encoding import Encoder, tokenizer_json
from tokenizer.ranks import tiktoken_ranks

#: Tables of pre-tokens after which the engine's memory of them is given back: none of them comes again, and 400,000 of
#: them take it 50 MB.
FORGET_AFTER = 3
TOKENIZER, METRICS, SIZES, CARD = "tokenizer.json", "metrics.json", "sizes.json", "card.md"


@dataclass(frozen=True)
class LearnParams:
    """``params.yaml: learn``. Sizes count bytes, merges and special tokens together.

    max_pre_tokens: merges are learned from so many, the most frequent; bounds the memory, 0.2 GB a million.
    """

    vocab_size: int
    more_sizes: tuple[int, ...]
    max_pre_tokens: int
    special_tokens: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The main size, then the further ones ascending."""
        return (self.vocab_size, *sorted(self.more_sizes))


def learn_tokenizers(counts: Counts, pattern: str, params: LearnParams) -> dict[int, str]:
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


def measure(batches: Iterable[pa.RecordBatch], encoder: Encoder) -> dict[str, int | float]:
    """How well the vocabulary fits the text it was learned from: what ``metrics.json`` holds.

    Args:
        batches: (pre_token, count) of the whole train text.
        encoder: the tokenizer.
    """
    distinct = num_bytes = num_tokens = 0
    for number, table in enumerate(gathered(batches), start=1):
        if number % FORGET_AFTER == 0:
            encoder.forget()
        pre_tokens, counts = table.column(0), table.column(1).to_pylist()
        _, offsets = encoder.encode_batch(pre_tokens.cast(pa.string()))
        distinct += len(counts)
        # Python integers: a sum of 64-bit products could wrap.
        num_bytes += sum(
            size * count for size, count in zip(pc.binary_length(pre_tokens).to_pylist(), counts, strict=True)
        )
        num_tokens += sum(tokens * count for tokens, count in zip(np.diff(offsets).tolist(), counts, strict=True))
    return {
        "vocab_size": encoder.vocab_size,
        "distinct_pre_tokens": distinct,
        "train_bytes": num_bytes,
        "train_tokens": num_tokens,
        "bytes_per_token": round(num_bytes / num_tokens, 4),
    }


def read_counts(folders: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The (pre_token, count) rows of the folders, a row group at a time; their metadata name the pattern.

    Raises:
        CorpusmillError: no manifest, or other columns than `count` writes.
    """
    for folder in folders:
        manifest = read_manifest(folder).check()
        for shard in manifest.shards:
            for batch in read_batches(manifest.place_of(shard), sha256=shard.sha256):
                if batch.schema.names != COUNT.names:
                    raise CorpusmillError(
                        "not a table of pre-token counts", where=str(manifest.place_of(shard)),
                        expected=COUNT.names, got=batch.schema.names, hint="give the output of `count` as --input",
                    )  # fmt: skip
                yield batch


def most_frequent(batches: Iterable[pa.RecordBatch], limit: int) -> tuple[pa.Table, str]:
    """The ``limit`` most frequent pre-tokens and their counts, and the pattern that cut them; of equals, by their bytes.

    Memory: twice ``limit`` rows of the column engine, some 25 bytes each.

    Raises:
        CorpusmillError: no rows, or counts by several patterns.
    """
    kept, waiting, num_waiting = COUNT.empty_table(), [], 0
    patterns: set[str] = set()
    for batch in batches:
        patterns.add((batch.schema.metadata or {}).get(PATTERN_KEY, b"").decode())
        waiting.append(batch.replace_schema_metadata(None))
        num_waiting += batch.num_rows
        if num_waiting >= limit:
            kept, waiting, num_waiting = _first(pa.concat_tables([kept, pa.Table.from_batches(waiting)]), limit), [], 0
    kept = _first(pa.concat_tables([kept, pa.Table.from_batches(waiting, COUNT)]), limit)
    where = "the output of `count`"
    if not kept.num_rows:
        raise CorpusmillError("no pre-tokens to learn from", where=where, hint="is the train split empty?")
    if len(patterns) > 1 or "" in patterns:
        raise CorpusmillError(
            "the counts do not name one pattern that cut them", where=where, got=sorted(patterns),
            hint="run `dvc repro count`",
        )  # fmt: skip
    kept = kept.combine_chunks()
    waiting.clear()
    pa.default_memory_pool().release_unused()  # else Arrow keeps the pages of the row groups that were read
    return kept, patterns.pop()


def _first(table: pa.Table, limit: int) -> pa.Table:
    if table.num_rows <= limit:
        return table
    return table.sort_by([("count", "descending"), ("pre_token", "ascending")]).slice(0, limit).combine_chunks()


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv) as job:
        params: LearnParams = job.params
        if params.max_pre_tokens < 1:
            raise CorpusmillError("too few", where="params.yaml: learn.max_pre_tokens", expected="1 or more")
        counts, pattern = most_frequent(read_counts(job.inputs), params.max_pre_tokens)
        num_learned_from = counts.num_rows
        texts = learn_tokenizers(counts, pattern, params)
        del counts
        fits = {size: measure(read_counts(job.inputs), Encoder(text)) for size, text in texts.items()}
        num_distinct = int(fits[params.vocab_size]["distinct_pre_tokens"])
        job.begin()
        names = _write_files(job.output, texts, params)
        storage.write_text(job.output / METRICS, dump(_metrics(fits)))
        facts = CardFacts(
            pattern, params.special_tokens, fits, {size: file_names(size, params) for size in texts}, num_distinct,
            _manifest_digests(job),
        )  # fmt: skip
        storage.write_text(job.output / CARD, tokenizer_card(facts))
        faults.reach("learn:written")
        shard = _shard(job.output / TOKENIZER, params.vocab_size)
        ledger = _ledger(texts)
        ledger.apart("pre_tokens", num_distinct)
        ledger.apart("pre_tokens.left_out", num_distinct - num_learned_from)
        job.publish([shard], ledger, others=[*names, SIZES, METRICS, CARD])


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
