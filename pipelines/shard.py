"""Shards by split: what `dedup` dropped goes, the rest is drawn into train, val and test by its own content.

    data/clean/<unit>.parquet + data/dedup/<unit>.parquet  ->  data/shard/{train,val,test}-<unit>.parquet

in = train + val + test + dedup drops (exact, jaccard, repeated_id)

The draw is a hash of the document's text, so adding a source or another document never moves one that stays.

Run by ``dvc repro shard``, or alone:
``python -m pipelines.shard --input data/clean --drops data/dedup --output data/shard --ledger data/shard/ledger.json``
"""

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipelines.process import run_units
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.schema import DOCUMENT, as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Stage, opened
from pipelines.spine.units import Unit, manifest_inputs, pair_units, plan_documents
from pipelines.spine.work import Outcome

SPLITS = ("train", "val", "test")
PARTS = 10_000  # shares are given in ten-thousandths: integers compare the same everywhere


@dataclass(frozen=True)
class ShardParams:
    """``params.yaml: shard``. Shares are in 1/10,000 of documents; the rest is train."""

    val_per_10000: int
    test_per_10000: int


def draw_split(text: str, params: ShardParams) -> str:
    """``train``, ``val`` or ``test``, by the text alone.

    >>> draw_split("", ShardParams(val_per_10000=10_000, test_per_10000=0))
    'val'
    """
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, person=b"corpusmill.split").digest()
    part = int.from_bytes(digest, "big") * PARTS >> 64
    if part < params.val_per_10000:
        return "val"
    return "test" if part < params.val_per_10000 + params.test_per_10000 else "train"


def rows_to_drop(doc_ids: Sequence[str], drops: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Row -> measure, for the rows of a unit that its drop list names.

    An id that is listed ``n`` times loses its last ``n`` rows: a repeated id keeps its first document.
    """
    rows: dict[str, list[int]] = {}
    for row, doc_id in enumerate(doc_ids):
        if doc_id in drops:
            rows.setdefault(doc_id, []).append(row)
    found: dict[int, str] = {}
    for doc_id, places in rows.items():
        measures = drops[doc_id]
        found.update(zip(places[-len(measures) :], measures, strict=False))
    return found


@dataclass(frozen=True)
class ShardUnit:
    """Work: one unit's clean documents and drop list -> its train, val and test pieces, by doc_id."""

    params: ShardParams
    stage: ClassVar[str] = "shard"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """Holds one unit, a file of at most a few hundred MB, to put it in doc_id order."""
        path = unit.inputs[0].path
        batches = [as_documents(batch, path) for batch in read_batches(path)]
        table = pa.Table.from_batches(batches, DOCUMENT).combine_chunks()
        if not table.num_rows:
            return
        doc_ids = table["doc_id"].to_pylist()
        drops = _read_drops(unit)
        dropped = rows_to_drop(doc_ids, drops)
        if len(dropped) != sum(map(len, drops.values())):
            raise CorpusmillError(
                "the drop list names documents that are not here", where=unit.name, hint="run dedup on the same --input"
            )
        kept = [row for row in range(len(doc_ids)) if row not in dropped]
        kept.sort(key=doc_ids.__getitem__)
        texts = table["text"]
        splits = np.array([SPLITS.index(draw_split(texts[row].as_py(), self.params)) for row in kept], np.int8)
        order = np.array(kept, np.int64)
        outputs = {name: table.take(order[splits == index]) for index, name in enumerate(SPLITS)}
        reasons = Counter(f"dropped.{measure}" for measure in dropped.values())
        yield Outcome(taken=len(doc_ids), outputs=outputs, reasons=reasons)


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv, _add_options) as job:
        if job.params.val_per_10000 + job.params.test_per_10000 >= PARTS:
            raise CorpusmillError("val and test leave nothing to train on", where="params.yaml: shard")
        drops = {}
        if job.args.drops:
            job.also_read.append(job.args.drops)
            drops = manifest_inputs(job.args.drops)
        units = plan_documents(job.inputs)
        strays = sorted(set(drops) - {unit.name for unit in units})
        if strays:
            raise CorpusmillError(
                "drop lists of units that are not here", where=str(job.args.drops), got=", ".join(strays[:3]),
                hint="run dedup on the same --input",
            )  # fmt: skip
        run_units(job, pair_units(units, drops), ShardUnit(job.params))


def _read_drops(unit: Unit) -> dict[str, list[str]]:
    drops: dict[str, list[str]] = {}
    for part in unit.inputs[1:]:
        for batch in read_batches(part.path, ["doc_id", "measure"]):
            for row in batch.to_pylist():
                drops.setdefault(row["doc_id"], []).append(row["measure"])
    return drops


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--drops", metavar="DIR", help="what `dedup` wrote; without it every document stays")


STAGE = Stage("pipelines.shard", ShardParams, ("python", "pyarrow"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.shard"))
