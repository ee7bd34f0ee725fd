"""Packing: text shards and a tokenizer to token shards that any trainer can memory-map.

    data/shard/<split>-<unit>.parquet + tokenizer.json  ->  data/pack/<split>-<unit>.arrow  (rows of seq_len + 1 tokens)

tokens in = tokens in rows; apart: padding, and the one token of context with which a cut document continues

Run by ``dvc repro pack``, or alone:
``python -m pipelines.pack --input data/shard --tokenizer data/learn/tokenizer.json --output data/pack``
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from pipelines.packing import pack_rows, rows_to_batches, split_documents, token_shard_schema
from pipelines.process import run_units
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.schema import DOCUMENT, as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Stage, opened
from pipelines.spine.units import Unit, UnitInput, plan_documents
from pipelines.spine.work import Outcome
from tokenizer.encoding import Encoder

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class PackParams:
    """``params.yaml: pack``. seq_len is the targets of a row; a row holds one token more."""

    seq_len: int


def pack_documents(
    documents: pa.Table, encoder: Encoder, seq_len: int, split: str, source: str
) -> tuple[pa.Table, dict[str, int]]:
    """A unit's documents as rows of tokens, and the counts: taken, in rows, context, padding (all tokens).

    Args:
        documents: all of a unit's documents, in the order of the shard.
        encoder: the tokenizer.
        seq_len: targets a row.
        split: train, val or test; stands in the shard's metadata, as does ``source``.
    """
    texts = documents["text"].to_pylist()
    ids, offsets = encoder.encode_documents(texts)
    pieces = split_documents(offsets, seq_len + 1)
    rows = pack_rows(ids, pieces, seq_len + 1, encoder.document_start_id, encoder.vocab_size)
    facts: dict[str, str | int] = {
        "tokenizer_sha256": encoder.sha256,
        "document_start_id": encoder.document_start_id,
        "split": split,
        "source": source,
        "text_bytes": sum(len(text.encode()) for text in texts),
    }
    schema = token_shard_schema(seq_len, encoder.vocab_size, facts)
    batches = rows_to_batches(rows, documents["doc_id"].combine_chunks(), schema)
    in_rows = int(rows.segments.length.sum()) - rows.segments.num_repeated
    counts = {"taken": len(ids), "rows": in_rows, "context": rows.segments.num_repeated, "padding": rows.num_padding}
    return pa.Table.from_batches(batches, schema), counts


@dataclass
class PackUnit:
    """Work: one text shard -> its token shard. Memory: the unit's text and its tokens.

    Args:
        seq_len: targets a row.
        tokenizer: path of ``tokenizer.json``; loaded once a worker.
    """

    seq_len: int
    tokenizer: str
    stage: ClassVar[str] = "pack"
    counts: ClassVar[str] = "tokens"
    extension: ClassVar[str] = ".arrow"
    _encoder: Encoder | None = field(default=None, repr=False)

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step: packing looks at all documents of the unit together."""
        path = unit.inputs[0].path
        documents = pa.Table.from_batches([as_documents(batch, path) for batch in read_batches(path)], DOCUMENT)
        if not documents.num_rows:
            return
        split = unit.name.partition("-")[0]
        table, counts = pack_documents(documents, self._loaded(), self.seq_len, split, unit.source)
        apart = {"context": counts["context"], "padding": counts["padding"], f"rows.{split}": table.num_rows}
        # The unit's output is named like its text shard: the split stands in the unit's name already.
        yield Outcome(taken=counts["taken"], outputs={"": table}, given={split: counts["rows"]}, apart=apart)

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            self._encoder = Encoder(Path(self.tokenizer))
        return self._encoder

    def __getstate__(self) -> dict:
        return {**vars(self), "_encoder": None}  # the engine does not pickle


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv, _add_options) as job:
        if job.params.seq_len < 1:
            raise CorpusmillError("too short", where="params.yaml: pack.seq_len", expected="1 or more")
        tokenizer = Path(job.args.tokenizer).resolve()
        Encoder(tokenizer)  # a tokenizer that cannot be read fails here, not in every worker
        job.also_read.append(str(tokenizer.parent))
        part = UnitInput(str(tokenizer), storage.sha256_file(tokenizer), tokenizer.stat().st_size)
        units = [
            Unit(_with_split(unit), unit.source, (*unit.inputs, part), unit.settings)
            for unit in plan_documents(job.inputs)
        ]
        run_units(job, units, PackUnit(job.params.seq_len, str(tokenizer)))


def _with_split(unit: Unit) -> str:
    """The unit's name, ``train-`` before it when its folder knows no splits."""
    return unit.name if unit.name.partition("-")[0] in SPLITS else f"train-{unit.name}"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json, as `learn` writes it")


STAGE = Stage("pipelines.pack", PackParams, ("python", "gigatoken", "pyarrow", "numpy", "tokenizers"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.pack"))
