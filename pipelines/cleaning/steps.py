"""Cleaning on Beam: every unit by itself, then the lines of each source counted, then every unit finished.

    units -> Prepare -> (all units of a source) -> CountLines a range of hashes -> (by unit) -> Finish

Elements are numbers of units and packed LINE records; texts and hashes lie in the unit cache, in files that a worker of
any runner reads. `pipelines.clean` says how the steps follow one another.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cleaning.halves import PREPARED, CleanParams, Finished, finish, prepare
from pipelines.cleaning.quality_model import QualityModel
from pipelines.cleaning.repeated_lines import (
    LINE,
    LINE_COLUMNS,
    LINES_PER_PARTITION,
    NO_LINES,
    Lines,
    count_lines,
    hash_range,
    merge_lines,
    order_keys,
    too_frequent,
)
from pipelines.process import check_worker
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard, read_manifest
from pipelines.spine.progress import Heartbeat
from pipelines.spine.schema import REPEATED_LINE, as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.units import RECEIPT, Receipt, Unit, UnitCache, UnitInput
from pipelines.spine.work import Outcome, run_unit

#: What `PrepareUnit` writes beside the documents: LINE records, ascending by hash.
LINE_FILE = pa.schema([pa.field(name, pa.uint64(), False) for name in LINE_COLUMNS])
LINES_OUTPUT = "lines"


@dataclass(frozen=True)
class Plan:
    """What every worker must know of a run."""

    units: tuple[Unit, ...]
    prepared: UnitCache
    finished: UnitCache
    pointers: str  # a folder: under each unit's name, which lines it lost in this run
    params: CleanParams
    quality_model: str
    heartbeat: Heartbeat
    versions: dict[str, str]

    def prepared_receipt(self, unit: Unit) -> Receipt:
        """What the first half left."""
        receipt = self.prepared.receipt(unit)
        if receipt is None:
            raise CorpusmillError("the unit was not prepared", where=unit.name, hint="run again")
        return receipt

    def finishing(self, unit: Unit, repeated: str) -> Unit:
        """The unit as the second half takes it: its prepared file, and a digest of the lines that it loses."""
        receipt, folder = self.prepared_receipt(unit), self.prepared.folder(unit)
        ledger = UnitInput(str(folder / RECEIPT), storage.sha256_file(folder / RECEIPT), 0)
        rows = tuple(
            UnitInput(str(folder / shard.name), shard.sha256, shard.bytes)
            for shard in receipt.shards
            if not shard.name.startswith(f"{LINES_OUTPUT}-")
        )
        return Unit(unit.name, unit.source, (ledger, *rows), (("repeated_lines", repeated),))

    def finished_units(self) -> list[Unit]:
        """All units, as they were finished in this run."""
        return [self.finishing(unit, self._pointer(unit).read_text()) for unit in self.units]

    def point(self, unit: Unit, repeated: str) -> None:
        """Notes which lines the unit loses, for `finished_units`."""
        storage.write_text(self._pointer(unit), repeated)

    def _pointer(self, unit: Unit) -> Path:
        return Path(self.pointers) / unit.name


@dataclass(frozen=True)
class CleanUnit:
    """Work: a unit whose source loses no repeated lines, in one go. Memory: one row group."""

    params: CleanParams
    quality_model: str  # a path, "" where there is none
    stage: ClassVar[str] = "clean"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a row group."""
        path, model = unit.inputs[0].path, load_model(self.quality_model)
        for batch in read_batches(path):
            prepared = prepare(as_documents(batch, path), self.params, model)
            outcome = finish(prepared.rows, NO_LINES, self.params, model).outcome
            apart = {**prepared.apart, **outcome.apart}
            yield replace(outcome, apart=apart, tallies={**prepared.tallies, **outcome.tallies})


@dataclass(frozen=True)
class PrepareUnit:
    """Work: a unit -> its documents as their own text decides, and its lines. Memory: one row group and 24 bytes a line."""

    params: CleanParams
    quality_model: str  # a path, "" where there is none
    stage: ClassVar[str] = "clean"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a row group, and one for the lines."""
        path, model = unit.inputs[0].path, load_model(self.quality_model)
        parts = []
        for batch in read_batches(path):
            prepared = prepare(as_documents(batch, path), self.params, model)
            parts.append(_lines_of(prepared.rows))
            given = {"prepared": prepared.rows.num_rows}
            yield Outcome(
                prepared.rows.num_rows, {"": prepared.rows}, given, apart=prepared.apart, tallies=prepared.tallies
            )
        yield Outcome(outputs={LINES_OUTPUT: _as_batch(merge_lines(parts))}, given={})


@dataclass(frozen=True)
class FinishUnit:
    """Work: a prepared unit and its repeated lines -> clean documents. Memory: one row group."""

    params: CleanParams
    quality_model: str
    repeated: Lines
    stage: ClassVar[str] = "clean"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """What the first half counted, one step a row group, and the lines that went."""
        ledger, *rows = unit.inputs
        model = load_model(self.quality_model)
        counted = Receipt.from_json(Path(ledger.path).read_text(encoding="utf-8")).ledger
        yield Outcome(apart=counted.beside, tallies=counted.tallies)
        removed: Counter[tuple[str, int]] = Counter()
        for part in rows:
            for batch in read_batches(part.path):
                finished: Finished = finish(batch.cast(PREPARED), self.repeated, self.params, model)
                removed.update(finished.removed)
                yield finished.outcome
        yield Outcome(evidence={"repeated_lines": _removed_rows(unit.source, removed)})


class Prepare(beam.DoFn):
    """(number, unit) -> (source, number)."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        check_worker(self._plan.versions)

    def process(self, element: tuple[int, Unit]) -> Iterator[tuple[str, int]]:
        index, unit = element
        run_unit(
            unit, PrepareUnit(self._plan.params, self._plan.quality_model), self._plan.prepared, self._plan.heartbeat
        )
        yield unit.source, index


class SpreadLines(beam.DoFn):
    """(source, numbers of its units) -> ((number of a range of hashes, how many ranges), numbers)."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def process(self, element: tuple[str, Iterable[int]]) -> Iterator[tuple[tuple[int, int], list[int]]]:
        indexes = sorted(element[1])
        num_documents = num_lines = 0
        for index in indexes:
            receipt = self._plan.prepared_receipt(self._plan.units[index])
            num_documents += receipt.ledger.taken
            num_lines += sum(shard.rows for shard in receipt.shards if shard.name.startswith(f"{LINES_OUTPUT}-"))
        if num_documents > self._plan.params.rules.repeated_lines.max_documents:
            num_partitions = -(-num_lines // LINES_PER_PARTITION)
            for partition in range(num_partitions):
                yield (partition, num_partitions), indexes


class CountLines(beam.DoFn):
    """(range of hashes, numbers of a source's units) -> (number, packed LINE records that the unit must know)."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def process(self, element: tuple[tuple[int, int], list[int]]) -> Iterator[tuple[int, bytes]]:
        (partition, num_partitions), indexes = element
        first, last = hash_range(partition, num_partitions)
        parts = [self._lines(index, first, last) for index in indexes]
        repeated = too_frequent(merge_lines(parts), self._plan.params.rules.repeated_lines.max_documents)
        for index, lines in zip(indexes, parts, strict=True):
            known = repeated[np.isin(repeated["hash"], lines["hash"])]
            if len(known):
                yield index, known.tobytes()

    def _lines(self, index: int, first: int, last: int) -> Lines:
        """The LINE records of a unit within a range of hashes."""
        unit = self._plan.units[index]
        parts = [NO_LINES]
        for shard in self._plan.prepared_receipt(unit).shards:
            if shard.name.startswith(f"{LINES_OUTPUT}-"):
                path = self._plan.prepared.folder(unit) / shard.name
                within = [("hash", ">=", pa.scalar(first, pa.uint64())), ("hash", "<=", pa.scalar(last, pa.uint64()))]
                table = pq.read_table(path, filters=within, use_threads=False)
                lines = np.empty(table.num_rows, LINE)
                for name in LINE_COLUMNS:
                    lines[name] = table[name].to_numpy()
                parts.append(lines)
        return np.concatenate(parts)


class Finish(beam.DoFn):
    """(number, that it is prepared, its repeated lines) -> the unit's name, once its shards and receipt lie in the cache."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[str]:
        index, groups = element
        unit = self._plan.units[index]
        repeated = merge_lines(np.frombuffer(blob, LINE) for blob in groups["lines"])
        digest = hashlib.sha256(repeated.tobytes()).hexdigest()
        work = FinishUnit(self._plan.params, self._plan.quality_model, repeated)
        run_unit(self._plan.finishing(unit, digest), work, self._plan.finished, Heartbeat())
        self._plan.point(unit, digest)
        yield unit.name


def published_model(folder: str) -> Shard | None:
    """The model that the stage `quality` left in its folder, None where it is off or no folder is given.

    Raises:
        CorpusmillError: the stage has not finished.
    """
    shards = read_manifest(folder).check().shards if folder else ()
    return shards[0] if shards else None


def load_model(path: str) -> QualityModel | None:
    """The model of a path, None of ""."""
    return QualityModel.load(path) if path else None


def _lines_of(rows: pa.RecordBatch) -> Lines:
    """The distinct lines of prepared documents."""
    lists = rows.column("lines")
    keys = order_keys(rows.column("doc_id").to_pylist())
    lengths = np.diff(lists.offsets.to_numpy())
    return count_lines(lists.flatten().to_numpy(zero_copy_only=False), np.repeat(keys, lengths))


def _as_batch(lines: Lines) -> pa.RecordBatch:
    columns = [pa.array(np.ascontiguousarray(lines[name]), pa.uint64()) for name in LINE_COLUMNS]
    return pa.RecordBatch.from_arrays(columns, schema=LINE_FILE)


def _removed_rows(source: str, removed: Counter[tuple[str, int]]) -> pa.RecordBatch:
    """REPEATED_LINE rows, the most frequent line first."""
    ordered = sorted(removed.items(), key=lambda item: (-item[0][1], item[0][0]))
    columns = [
        [source] * len(ordered),
        [line for (line, _), _ in ordered],
        [documents for (_, documents), _ in ordered],
        [number for _, number in ordered],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, REPEATED_LINE, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=REPEATED_LINE)
