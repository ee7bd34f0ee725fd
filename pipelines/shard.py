"""Shards by split: what was decided against goes, the rest is drawn by its content, and nothing leaks across splits.

    data/clean/<unit>.parquet  +  data/dedup/<unit>.parquet  +  data/decontaminate/<unit>.parquet
        ->  data/shard/{train,val,test}-<unit>.parquet
            data/shard/leaked/<unit>.parquet  (doc_id, kept_id, similarity, measure, split)

in = train + val + test + dedup drops (exact, jaccard, contained, repeated_id) + dropped.contaminated + dropped.leaked;
apart: documents_cut, characters_cut

    clean units    ->  draw, shingles of val and test      (DrawUnit, on workers)
    all of these   ->  one index of val and test           (IndexUnit, in the launching process)
    joined units   ->  apply, check against the index, write  (ShardUnit, on workers)

The draw is a hash of the document's clean text, before anything is cut from it: adding a source, or an evaluation set,
never moves a document that stays. A train document that is too like one of val or test goes, and so does one of val
that is too like one of test. The check is exact. Small units of a source share their output files.

Run by ``dvc repro shard``, or alone:
``python -m pipelines.shard --input data/clean --drops data/dedup --output data/shard --ledger data/shard/ledger.json``
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipelines.process import process_units, run_units
from pipelines.spine import faults
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.progress import Heartbeat
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Unit, UnitCache, UnitInput, manifest_inputs, plan_documents
from pipelines.spine.work import run_unit
from pipelines.splitting.drawing import FINE, PARTS, num_parts, shares_that_fit
from pipelines.splitting.joining import LISTS, join_units, with_lists
from pipelines.splitting.steps import DrawUnit, IndexUnit, ShardParams, ShardUnit, index_unit, read_arrow


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv, _add_options) as job:
        _check(job.params)
        units = _plan(job)
        drawn = job.unit_cache(".drawn", job.params.drawing)
        process_units(job, units, DrawUnit(job.params), drawn)
        index = _index(job, units, drawn)
        joined = join_units(units, job.params.min_unit_mb << 20)
        checked = [replace(unit, inputs=(*unit.inputs, *index)) for unit in joined]
        run_units(job, checked, ShardUnit(job.params), cache=job.unit_cache("", job.params.writing))


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--drops", metavar="DIR", help="what `dedup` wrote; without it every document stays")
    parser.add_argument("--contaminated", metavar="DIR", help="what `decontaminate` wrote; without it nothing is cut")


def _plan(job: Job) -> list[Unit]:
    """The clean units, each with the lists that name it."""
    units = plan_documents(job.inputs)
    lists: dict[str, dict[str, UnitInput]] = {}
    for kind in LISTS:
        folder = getattr(job.args, kind)
        if folder:
            job.also_read.append(folder)
            lists[kind] = manifest_inputs(folder)
    _expect_known(job, units, lists)
    return job.units_for_workers(with_lists(units, lists))


def _expect_known(job: Job, units: Sequence[Unit], lists: Mapping[str, Mapping[str, UnitInput]]) -> None:
    stage = {"drops": "dedup", "contaminated": "decontaminate"}
    words = {"drops": "drop lists", "contaminated": "lists of contaminated documents"}
    for kind, files in lists.items():
        strays = sorted(set(files) - {unit.name for unit in units})
        if strays:
            raise CorpusmillError(
                f"{words[kind]} of units that are not here", where=str(getattr(job.args, kind)),
                got=", ".join(strays[:3]), hint=f"run {stage[kind]} on the same --input",
            )  # fmt: skip


def _index(job: Job, units: Sequence[Unit], drawn: UnitCache) -> tuple[UnitInput, ...]:
    """The files of the index of val and test, made unless the cache holds them; none where both splits are empty."""
    _expect_few(job.params, units, drawn)
    unit = index_unit(units, drawn)
    if unit is None:
        return ()
    cache = job.unit_cache(".index", job.params.leaking)
    receipt = run_unit(unit, IndexUnit(job.params), cache, Heartbeat())
    faults.reach("shard:indexed")
    # No bytes: progress is told by the documents that are read.
    return tuple(UnitInput(cache.place(unit, shard.name), shard.sha256, 0) for shard in receipt.shards)


def _expect_few(params: ShardParams, units: Sequence[Unit], drawn: UnitCache) -> None:
    """Passes when val and test are small enough to be indexed.

    Raises:
        CorpusmillError: they are not; it names the shares that would fit.
    """
    numbers = {"val": 0, "test": 0}
    shards = []
    for unit, receipt in zip(units, drawn.receipts(units), strict=True):
        if receipt is None:
            raise CorpusmillError("the unit was not drawn", where=unit.name, hint="run again")
        numbers = {split: number + receipt.ledger.given[split] for split, number in numbers.items()}
        shards += [(drawn.place(unit, shard.name), shard.sha256) for shard in receipt.shards]
    most = params.max_eval_documents
    if sum(numbers.values()) > most:
        parts = np.concatenate([read_arrow(*shard)["part"].to_numpy() for shard in shards])
        val, test = shares_that_fit(parts, params.val_per_10000, params.test_per_10000, most)
        raise CorpusmillError(
            f"val has {numbers['val']:,} documents, test {numbers['test']:,}: too many to check all others against",
            where="params.yaml: shard", expected=f"at most {most:,} in both (shard.max_eval_documents)",
            got=f"{sum(numbers.values()):,}",
            hint=f"val_per_10000: {val:g} and test_per_10000: {test:g} would fit; or raise max_eval_documents, which costs "
            "40 bytes a shingle of them",
        )  # fmt: skip


def _check(params: ShardParams) -> None:
    """Raises CorpusmillError for what makes no sense, before a worker begins."""
    for name in ("val_per_10000", "test_per_10000"):
        share = getattr(params, name)
        if num_parts(share) / FINE != share:
            raise CorpusmillError(
                "more than three decimals", where=f"params.yaml: shard.{name}", got=share, hint=f"{share:.3f}"
            )
    if num_parts(params.val_per_10000) + num_parts(params.test_per_10000) >= PARTS:
        raise CorpusmillError("val and test leave nothing to train on", where="params.yaml: shard")
    for name in ("val_per_10000", "test_per_10000", "max_eval_documents", "min_unit_mb"):
        if getattr(params, name) < 0:
            raise CorpusmillError("negative", where=f"params.yaml: shard.{name}", expected="0 or more")
    if params.shingle_size < 1:
        raise CorpusmillError("too few", where="params.yaml: shard.shingle_size", expected="1 or more")
    if not 0 < params.leak_threshold <= 1:
        raise CorpusmillError(
            "not a similarity", where="params.yaml: shard.leak_threshold", expected="above 0, at most 1",
            got=params.leak_threshold,
        )  # fmt: skip
    if not 0 <= params.leak_containment <= 1:
        raise CorpusmillError(
            "not a share", where="params.yaml: shard.leak_containment", expected="0 (off) to 1",
            got=params.leak_containment,
        )  # fmt: skip


STAGE = Stage("pipelines.shard", ShardParams, ("python", "pyarrow", "numpy"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.shard"))
