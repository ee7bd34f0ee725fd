"""Counting pre-tokens of the train text: all that the BPE trainer needs to see, in bounded memory.

    data/shard/train-*.parquet  ->  CountPreTokens  ->  data/count/counts-000.parquet  (pre_token, count), sorted

Sum of count x bytes of the pre-token = bytes of train text.

Run by ``dvc repro count``, or alone:
``python -m pipelines.count --input data/shard --output data/count --ledger data/count/ledger.json``
"""

import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.process import NumberUnits, run_pipeline
from pipelines.spine import faults
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.lineage import Release
from pipelines.spine.manifest import Shard
from pipelines.spine.progress import Display, Heartbeat
from pipelines.spine.schema import COUNT, PATTERN_KEY, text_column
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.unit_list import UnitList
from pipelines.spine.units import Receipt, Unit, UnitCache, UnitInput, plan_documents
from pipelines.spine.work import Outcome, run_unit
from tokenizer.counting import add_counts, count_pre_tokens
from tokenizer.patterns import pattern_regex

#: Tables whose counts wait to be added up: each holds the common words once.
TABLES_AT_ONCE = 8


@dataclass(frozen=True)
class CountParams:
    """``params.yaml: count``."""

    pattern: str
    num_partitions: int


def partition_counts(table: pa.Table, num_partitions: int) -> dict[int, pa.Table]:
    """The table's rows by partition, crc32 of the pre-token modulo their number; empty partitions are absent."""
    if num_partitions == 1:
        return {0: table} if table.num_rows else {}
    parts = pa.array([zlib.crc32(token) % num_partitions for token in table["pre_token"].to_pylist()], pa.int32())
    return {part: table.filter(pc.equal(parts, part)) for part in sorted(set(parts.to_pylist()))}


def merge_counts(tables: Sequence[pa.Table]) -> pa.Table:
    """The sum of the counts by pre-token, sorted by the pre-token's bytes."""
    return add_counts(tables).sort_by("pre_token")


def add_up(tables: Iterable[pa.Table]) -> pa.Table:
    """As ``merge_counts``, a few tables at a time: memory is the sum and those few, however many there are."""
    waiting = [COUNT.empty_table()]
    for table in tables:
        waiting.append(table)
        if len(waiting) == TABLES_AT_ONCE:
            waiting = [add_counts(waiting)]
    return merge_counts(waiting)


@dataclass(frozen=True)
class CountUnit:
    """Work: one train shard -> its own (pre-token, count) table a partition, as ``<partition>-<unit>.parquet``.

    Memory: its distinct pre-tokens, and a row group.
    """

    pattern: str
    num_partitions: int
    stage: ClassVar[str] = "count"
    counts: ClassVar[str] = "bytes"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """Bytes in are the text column's; bytes out are those of the counted pre-tokens."""
        path, sha256 = unit.inputs[0].path, unit.inputs[0].sha256
        num_bytes = 0

        def counted() -> Iterator[pa.Table]:
            nonlocal num_bytes
            for batch in read_batches(path, ["text"], sha256):
                texts = text_column(batch, "text", path)
                num_bytes += pc.sum(pc.binary_length(texts)).as_py() or 0
                yield count_pre_tokens(texts, self.pattern)

        table = add_up(counted())
        parts = partition_counts(table, self.num_partitions)
        outputs = {f"{partition:03d}": rows for partition, rows in parts.items()}
        yield Outcome(taken=num_bytes, outputs=outputs, given={"counted": bytes_of(table)})


def bytes_of(table: pa.Table | pa.RecordBatch) -> int:
    """Sum of count x bytes of the pre-token."""
    return int(pc.sum(pc.multiply(table["count"], pc.binary_length(table["pre_token"]).cast(pa.int64()))).as_py() or 0)


@dataclass(frozen=True)
class MergePartition:
    """Work: all units' tables of one partition -> their sum, as ``counts-<partition>.parquet``.

    Memory: the distinct pre-tokens of the partition, and a few of its tables.
    """

    pattern: str
    stage: ClassVar[str] = "count"
    counts: ClassVar[str] = "bytes"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """Bytes in are those of the units' counted pre-tokens, bytes out those of the merged ones."""
        num_bytes = 0

        def tables() -> Iterator[pa.Table]:
            nonlocal num_bytes
            for one in unit.inputs:
                table = pa.Table.from_batches(read_batches(one.path, sha256=one.sha256), COUNT)
                num_bytes += bytes_of(table)
                yield table

        merged = add_up(tables()).cast(COUNT.with_metadata({PATTERN_KEY: self.pattern})).combine_chunks()
        yield Outcome(taken=num_bytes, outputs={"": merged}, given={"counted": bytes_of(merged)})


#: A unit's table of one partition: (the unit's name, where it lies, sha256, bytes).
UnitTable = tuple[str, str, str, int]


def merge_unit(partition: int, tables: Iterable[UnitTable]) -> Unit:
    """What `MergePartition` takes, whatever the order of the tables."""
    inputs = tuple(UnitInput(place, sha256, size) for _, place, sha256, size in sorted(tables))
    return Unit(f"counts-{partition:03d}", "", inputs)


def unit_tables(unit: Unit, receipt: Receipt, cache: UnitCache) -> Iterator[tuple[int, UnitTable]]:
    """(partition, table) of what `CountUnit` left of a unit."""
    for shard in receipt.shards:
        yield int(shard.name.partition("-")[0]), (unit.name, cache.place(unit, shard.name), shard.sha256, shard.bytes)


class CountPreTokens(beam.PTransform):
    """A pipeline's root -> partitions, once their merged counts lie in the cache. Shuffles the names of the units' files.

    The largest partition (distinct pre-tokens / ``num_partitions``) must fit in one worker's memory.
    """

    def __init__(self, job: Job, units: UnitList, counted: UnitCache, merged: UnitCache, heartbeat: Heartbeat) -> None:
        super().__init__()
        work = CountUnit(job.params.pattern, job.params.num_partitions)
        self._units, self._count = units, _CountUnit(units, work, counted, heartbeat, job.release)
        self._merge = _MergeUnit(MergePartition(job.params.pattern), merged, job.release)

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        return (
            root
            | NumberUnits(self._units)
            | "CountUnit" >> beam.ParDo(self._count)
            | "ByPartition" >> beam.GroupByKey()
            | "MergePartition" >> beam.ParDo(self._merge)
        )


class _CountUnit(beam.DoFn):
    def __init__(
        self, units: UnitList, work: CountUnit, cache: UnitCache, heartbeat: Heartbeat, release: Release
    ) -> None:
        self._units, self._work, self._cache, self._heartbeat, self._release = units, work, cache, heartbeat, release

    def setup(self) -> None:
        self._release.expect_here()

    def process(self, index: int) -> Iterator[tuple[int, UnitTable]]:
        unit = self._units[index]
        receipt = run_unit(unit, self._work, self._cache, self._heartbeat)
        yield from unit_tables(unit, receipt, self._cache)


class _MergeUnit(beam.DoFn):
    def __init__(self, work: MergePartition, cache: UnitCache, release: Release) -> None:
        self._work, self._cache, self._release = work, cache, release

    def setup(self) -> None:
        self._release.expect_here()

    def process(self, element: tuple[int, Iterable[UnitTable]]) -> Iterator[int]:
        partition, tables = element
        run_unit(merge_unit(partition, tables), self._work, self._cache, Heartbeat())
        faults.reach("count:merged")
        yield partition


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv) as job:
        pattern_regex(job.params.pattern)  # an unknown one fails here, not in every worker
        units = [unit for unit in plan_documents(job.inputs) if not unit.name.startswith(("val-", "test-"))]
        if not units:
            raise CorpusmillError("no train shards to count", where=job.inputs[0], hint="lower shard.val_per_10000")
        if job.params.num_partitions < 1:
            raise CorpusmillError("too few", where="params.yaml: count.num_partitions", expected="1 or more")
        units = job.units_for_workers(units)
        counted, merged, heartbeat = job.unit_cache(), job.unit_cache(".merged"), job.heartbeat()
        transform = CountPreTokens(job, job.unit_list(units), counted, merged, heartbeat)
        with Display("count", "bytes", units, heartbeat):
            run_pipeline(job, lambda root: root | transform, units)
        _publish(job, units, counted, merged)


def _publish(job: Job, units: Sequence[Unit], counted: UnitCache, merged: UnitCache) -> None:
    """The merged partitions; what they hold stands in their receipts, so none is read again."""
    ledger = Ledger("bytes")
    tables: dict[int, list[UnitTable]] = {}
    for unit, receipt in zip(units, counted.receipts(units), strict=True):
        ledger.take(_expected(receipt, unit).ledger.taken)
        for partition, table in unit_tables(unit, _expected(receipt, unit), counted):
            tables.setdefault(partition, []).append(table)
    if not ledger.taken:
        raise CorpusmillError("no train text to count", where=job.inputs[0], hint="see what the stages before dropped")
    partitions = [merge_unit(partition, tables[partition]) for partition in sorted(tables)]
    places: dict[str, str] = {}
    shards: list[Shard] = []
    for unit, receipt in zip(partitions, merged.receipts(partitions), strict=True):
        ledger.give("counted", _expected(receipt, unit).ledger.given["counted"])
        shards += _expected(receipt, unit).shards
        places |= {shard.name: merged.place(unit, shard.name) for shard in _expected(receipt, unit).shards}
    job.put(places)
    job.publish(shards, ledger)


def _expected(receipt: Receipt | None, unit: Unit) -> Receipt:
    if receipt is None:
        raise CorpusmillError("the unit left no receipt", where=unit.name, hint="run again")
    return receipt


STAGE = Stage("pipelines.count", CountParams, ("python", "numpy", "pyarrow", "tokenizers"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.count"))
