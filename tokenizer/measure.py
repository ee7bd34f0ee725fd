"""Measuring the vocabularies: ours in every size beside those of others, by source and language.

    data/shard/{val,test}-*.parquet, data/count, data/learn  ->  data/measure/groups.json      sums by vocabulary and group
                                                                 data/measure/vocabulary.json  the tokens of ours
                                                                 data/measure/metrics.json

bytes of text in = measured + beyond the sample. All of Unicode must come back from its ids, or the stage fails.

Run by ``dvc repro measure``, or alone:
``python -m tokenizer.measure --input data/shard --counts data/count --tokenizer data/learn \
--sizes data/learn/sizes.json --output data/measure``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import Shard, dump, read_manifest
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Stage, opened
from tokenizer.encoding import Encoder
from tokenizer.measuring import Group, Vocabulary, measure_groups, ratios, sample_groups
from tokenizer.references import ReferenceParams, load_reference
from tokenizer.vocabulary import Ours, count_occurrences, describe_tokens, expect_round_trip, read_counts

GROUPS, VOCABULARY, METRICS = "groups.json", "vocabulary.json", "metrics.json"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class MeasureParams:
    """``params.yaml: measure``."""

    splits: tuple[str, ...]
    max_mb_per_group: int
    rare_below: int
    tokens_listed: int
    references: tuple[ReferenceParams, ...]


def read_sizes(folder: str | Path, sizes: str | Path) -> list[Ours]:
    """Our tokenizers that ``sizes.json`` lists, the main one first.

    Raises:
        CorpusmillError: the list is damaged, or a file is not the one that it lists.
    """
    try:
        entries = json.loads(Path(sizes).read_text(encoding="utf-8"))["files"]
        listed = [(str(e["name"]), int(e["vocab_size"]), e["sha256"]) for e in entries if e["name"].endswith(".json")]
    except FileNotFoundError:
        raise CorpusmillError("no list of sizes", where=str(sizes), hint="run `dvc repro learn`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusmillError(
            f"not a list of sizes: {error!r}", where=str(sizes), hint="run `dvc repro learn`"
        ) from None
    return [_one_of_ours(Path(folder) / name, size, sha256) for name, size, sha256 in listed]


def _one_of_ours(path: Path, size: int, sha256: str) -> Ours:
    encoder = Encoder(path)
    if encoder.sha256 != sha256:
        raise CorpusmillError(
            "not the tokenizer that sizes.json lists", where=str(path), expected=sha256, got=encoder.sha256,
            hint="run `dvc repro learn`, or `dvc checkout`",
        )  # fmt: skip
    special = [entry["id"] for entry in json.loads(path.read_text(encoding="utf-8"))["added_tokens"]]
    return Ours(f"ours-{size}", encoder, special)


def read_documents(folders: Sequence[str], splits: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The documents of the splits, a row group at a time."""
    for folder in folders:
        manifest = read_manifest(folder).check()
        for split in splits:
            for shard in manifest.of_split(split):
                columns = ["doc_id", "source", "language", "text"]
                yield from read_batches(manifest.place_of(shard), columns, shard.sha256)


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv, _add_options) as job:
        params: MeasureParams = job.params
        _check(params)
        job.also_read += [job.args.counts, job.args.tokenizer]
        ours = read_sizes(job.args.tokenizer, job.args.sizes)
        vocabularies: list[Vocabulary] = [*ours, *map(load_reference, params.references)]
        _expect_different_names(vocabularies)
        groups, offered = sample_groups(read_documents(job.inputs, params.splits), params.max_mb_per_group * 1_000_000)
        rows = measure_groups(groups, vocabularies)
        round_trips = {vocabulary.name: expect_round_trip(vocabulary) for vocabulary in ours}
        occurrences = count_occurrences(read_counts(job.args.counts), ours)
        tokens = {
            vocabulary.name: describe_tokens(vocabulary, times, params.rare_below, params.tokens_listed)
            for vocabulary, times in zip(ours, occurrences, strict=True)
        }
        sizes = {vocabulary.name: vocabulary.vocab_size for vocabulary in vocabularies}
        job.begin()
        tables = {
            GROUPS: {"splits": list(params.splits), "vocabularies": [[name, size] for name, size in sizes.items()],
                     "rows": rows},
            VOCABULARY: {"rare_below": params.rare_below, "round_trips": round_trips, "vocabularies": tokens},
        }  # fmt: skip
        shards = [_write(job.output / name, table, len(rows) if name == GROUPS else len(tokens))
                  for name, table in tables.items()]  # fmt: skip
        storage.write_text(job.output / METRICS, dump(_metrics(rows, sizes, tokens[ours[0].name])))
        job.publish(shards, _ledger(groups, offered), others=[METRICS])


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", required=True, metavar="DIR", help="the pre-token counts of `count`")
    parser.add_argument("--tokenizer", required=True, metavar="DIR", help="the folder of `learn`")
    parser.add_argument("--sizes", required=True, metavar="FILE", help="the list of tokenizers in that folder")


def _check(params: MeasureParams) -> None:
    unknown = [split for split in params.splits if split not in SPLITS]
    if unknown or not params.splits:
        raise CorpusmillError(
            "not a split", where="params.yaml: measure.splits", expected=f"one or more of {', '.join(SPLITS)}",
            got=", ".join(unknown) or "none",
        )  # fmt: skip
    for name in ("max_mb_per_group", "tokens_listed"):
        if getattr(params, name) < 1:
            raise CorpusmillError("too few", where=f"params.yaml: measure.{name}", expected="1 or more")


def _expect_different_names(vocabularies: Sequence[Vocabulary]) -> None:
    names = [vocabulary.name for vocabulary in vocabularies]
    for name in names:
        if names.count(name) > 1:
            raise CorpusmillError("two vocabularies have one name", where="params.yaml: measure.references", got=name)


def _metrics(
    rows: Sequence[Mapping[str, object]], sizes: Mapping[str, int], main_tokens: Mapping[str, object]
) -> dict[str, object]:
    """Each vocabulary over the whole sample, and the tokens of our main one."""
    told = ("train_tokens", "unused_bytes", "unused_merges", "rare_tokens", "not_utf8_tokens")
    by_name = {name: [row for row in rows if row["vocabulary"] == name] for name in sizes}
    return {
        "vocabularies": {name: {"vocab_size": size, **ratios(by_name[name])} for name, size in sizes.items()},
        **{name: main_tokens[name] for name in told},
    }


def _ledger(groups: Mapping[Group, Sequence[str]], offered: int) -> Ledger:
    measured = sum(len(text.encode()) for texts in groups.values() for text in texts)
    ledger = Ledger("bytes")
    ledger.take(offered)
    ledger.give("measured", measured)
    ledger.count("beyond_sample", offered - measured)
    return ledger


def _write(path: Path, table: object, rows: int) -> Shard:
    storage.write_text(path, dump(table))
    return Shard(path.name, rows, path.stat().st_size, storage.sha256_file(path))


STAGE = Stage("tokenizer.measure", MeasureParams, ("python", "gigatoken", "numpy", "pyarrow", "tokenizers"))

if __name__ == "__main__":
    sys.exit(run_module("tokenizer.measure"))
