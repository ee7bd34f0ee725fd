"""Packing: text shards and a tokenizer to token shards that any trainer can memory-map.

    data/shard/<split>-<unit>.parquet + tokenizer.json  ->  data/pack/<split>-<unit>.arrow  (rows of seq_len + 1 tokens)
                                                            data/pack/index/<split>-<unit>.arrow  (document -> rows)
                                                            data/pack/languages/<split>-<unit>.arrow  (of each segment)
                                                            data/pack/languages.json  (hashes of these)
                                                            data/pack/state.json, dataset_info.json  (for `datasets`)

tokens in = tokens in rows + dropped.truncated; apart: padding, and the one token of context with which a cut
document continues. The format: ``docs/tokens.md``.

Run by ``dvc repro pack``, or alone:
``python -m pipelines.pack --input data/shard --tokenizer data/learn/tokenizer.json --output data/pack``
One row as text: ``python -m pipelines.pack --show 5 --split val``
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipelines.packing.dataset_files import dataset_files
from pipelines.packing.rows import PackedRows, rows_to_batches, token_shard_schema
from pipelines.packing.showing import SHOW, show_command
from pipelines.packing.strategies import LONG_DOCUMENTS, STRATEGIES, plan_rows
from pipelines.packing.unit_tokens import TEXT_BYTES, UnitTokens
from pipelines.process import process_units
from pipelines.segment_languages import LANGUAGES, languages_list, languages_of_segments
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.schema import as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Stage, opened
from pipelines.spine.units import Unit, UnitInput, plan_documents
from pipelines.spine.work import Outcome
from pipelines.token_shards import SPLITS
from pipelines.trace_index import INDEX, index_rows
from tokenizer.encoding import Encoder


@dataclass(frozen=True)
class PackParams:
    """``params.yaml: pack``. seq_len is the targets of a row; a row holds one token more.

    strategy: best_fit or concatenate; long_documents: split or truncate (best_fit alone, and train alone).
    """

    seq_len: int
    strategy: str
    long_documents: str

    def of_split(self, split: str) -> "PackParams":
        """What holds in a split: val and test drop nothing, whatever train does."""
        return self if split == "train" else dataclasses.replace(self, long_documents="split")


def pack_documents(
    batches: Iterable[pa.RecordBatch], encoder: Encoder, params: PackParams, split: str, unit: Unit
) -> Iterator[Outcome]:
    """What becomes of a unit's documents: counts a batch at a time, then the rows, 1,024 at a time, and their index.

    Args:
        batches: the unit's documents, in the order of the shard.
        encoder: the tokenizer.
        params: how rows are made.
        split: train, val or test; stands in the shard's metadata, as does the unit's source.
        unit: for names.
    """
    with UnitTokens(encoder, unit.name) as tokens:
        yield from _pack(tokens, batches, params.of_split(split), split, unit)


def _pack(
    tokens: UnitTokens, batches: Iterable[pa.RecordBatch], params: PackParams, split: str, unit: Unit
) -> Iterator[Outcome]:
    encoder, row_len, num_taken, text_bytes = tokens.encoder, params.seq_len + 1, 0, 0
    for tallies in tokens.take(batches):
        yield Outcome(taken=len(tokens.ids) - num_taken, given={}, tallies=tallies)
        num_taken = len(tokens.ids)
        text_bytes += sum(tallies[TEXT_BYTES].values())
    if not num_taken:
        return
    offsets, doc_ids = tokens.offsets, pa.concat_arrays(tokens.doc_ids)
    languages = pa.concat_arrays(tokens.languages)
    plan = plan_rows(offsets, row_len, params.strategy, params.long_documents)
    lost = _truncated(offsets, row_len) if params.long_documents == "truncate" else []
    lost_bytes = sum(tokens.num_text_bytes(first, last) for first, last in lost)
    yield Outcome(
        given={split: plan.num_tokens},
        reasons={"dropped.truncated": sum(last - first for first, last in lost)},
        apart={
            "context": plan.segments.num_repeated, "padding": plan.num_padding, "places": plan.num_rows * row_len,
            "documents": len(doc_ids), "documents.cut": plan.segments.num_cut, "documents.truncated": len(lost),
            "text_bytes.truncated": lost_bytes, f"rows.{split}": plan.num_rows,
        },
        indexes={
            INDEX: index_rows(doc_ids, plan.segments.document, plan.row_offsets, unit.name),
            LANGUAGES: languages_of_segments(languages, plan.segments.document),
        },
    )  # fmt: skip
    facts: dict[str, str | int] = {
        "tokenizer_sha256": encoder.sha256, "document_start_id": encoder.document_start_id, "split": split,
        "source": unit.source, "text_bytes": text_bytes - lost_bytes, "strategy": params.strategy,
        "long_documents": params.long_documents,
    }  # fmt: skip
    schema = token_shard_schema(params.seq_len, encoder.vocab_size, facts)
    rows = PackedRows(plan, tokens.ids, encoder.document_start_id)
    for batch in rows_to_batches(rows, doc_ids, schema):
        # The unit's output is named like its text shard: the split stands in the unit's name already.
        yield Outcome(outputs={"": batch}, given={})


def _truncated(offsets: np.ndarray, row_len: int) -> list[tuple[int, int]]:
    """The ids, first and behind the last, of each document that do not fit into its one row."""
    ends = offsets[1:]
    begins = offsets[:-1] + row_len
    return list(zip(begins[begins < ends].tolist(), ends[begins < ends].tolist(), strict=True))


@dataclass
class PackUnit:
    """Work: one text shard -> its token shard and its index.

    Memory: some 300 bytes a document and a row of the unit, whose tokens (2 or 4 bytes each) lie in a temporary file;
    beside them one row group of texts (32 MiB as `shard` writes them), of which 8 MiB at a time, or one longer
    document, are encoded; then 1,024 rows a few times over.

    Args:
        params: how rows are made.
        tokenizer: place of ``tokenizer.json``; loaded once a worker.
    """

    params: PackParams
    tokenizer: str
    stage: ClassVar[str] = "pack"
    counts: ClassVar[str] = "tokens"
    extension: ClassVar[str] = ".arrow"
    _encoder: Encoder | None = field(default=None, repr=False)

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """The counts of each batch of documents, then the rows: packing looks at all lengths of the unit together."""
        path = unit.inputs[0].path
        batches = read_batches(path, sha256=unit.inputs[0].sha256)
        documents = (as_documents(batch, path) for batch in batches)
        split = unit.name.partition("-")[0]
        try:
            yield from pack_documents(documents, self._loaded(), self.params, split, unit)
        except MemoryError as error:
            raise CorpusmillError(
                "the tokens of this unit do not fit in memory", where=unit.name, got=f"{unit.bytes:,} bytes of text",
                hint="lower `shard.min_unit_mb`, give the worker more memory, or run fewer workers on a machine",
            ) from error  # fmt: skip

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            self._encoder = Encoder(storage.local_copy(self.tokenizer))
        return self._encoder

    def __getstate__(self) -> dict:
        return {**vars(self), "_encoder": None}  # the engine does not pickle


def main(argv: Sequence[str]) -> None:
    """The stage's command; with ``--show`` it prints a row instead."""
    if any(argument.partition("=")[0] == SHOW for argument in argv):
        show_command(argv)
        return
    with opened(STAGE, argv, _add_options) as job:
        _check(job.params)
        tokenizer = Path(job.args.tokenizer).resolve()
        Encoder(tokenizer)  # a tokenizer that cannot be read fails here, not in every worker
        job.also_read.append(str(tokenizer.parent))
        place = job.for_workers(tokenizer)
        part = UnitInput(place, storage.sha256_file(tokenizer), tokenizer.stat().st_size)
        units = [
            Unit(_with_split(unit), unit.source, (*unit.inputs, part), unit.settings)
            for unit in job.units_for_workers(plan_documents(job.inputs))
        ]
        cache = job.unit_cache()
        process_units(job, units, PackUnit(job.params, place), cache)
        receipts = [receipt for receipt in cache.receipts(units) if receipt is not None]
        shards = [shard for receipt in receipts for shard in receipt.shards]
        languages = languages_list(shard for receipt in receipts for shard in receipt.evidence)
        job.publish_units(units, PackUnit.counts, cache=cache, texts=dataset_files(shards) | languages)


def _check(params: PackParams) -> None:
    if params.seq_len < 1:
        raise CorpusmillError("too short", where="params.yaml: pack.seq_len", expected="1 or more", got=params.seq_len)
    for name, known in (("strategy", STRATEGIES), ("long_documents", LONG_DOCUMENTS)):
        value = getattr(params, name)
        if value not in known:
            raise CorpusmillError("unknown", where=f"params.yaml: pack.{name}", expected=" or ".join(known), got=value)
    if params.strategy == "concatenate" and params.long_documents == "truncate":
        raise CorpusmillError(
            "concatenated documents are cut where a row ends, and never truncated",
            where="params.yaml: pack.long_documents", expected="split with strategy concatenate", got="truncate",
            hint="write `long_documents: split`, or `strategy: best_fit`",
        )  # fmt: skip


def _with_split(unit: Unit) -> str:
    """The unit's name, ``train-`` before it when its folder knows no splits."""
    return unit.name if unit.name.partition("-")[0] in SPLITS else f"train-{unit.name}"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json, as `learn` writes it")


STAGE = Stage("pipelines.pack", PackParams, ("python", "gigatoken", "pyarrow", "numpy", "tokenizers"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.pack"))
