"""Cleaning on Beam: every unit by itself, then the lines of each source counted, then every unit finished.

    units -> Prepare -> (all units of a source) -> CountLines a range of hashes -> (by unit) -> Finish

Elements are numbers of units and packed LINE records; texts and hashes lie in the unit cache, in files that a worker of
any runner reads. `pipelines.clean` says how the steps follow one another.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cleaning.halves import PREPARED, CleanParams, Finished, finish, prepare, row_lines
from pipelines.cleaning.quality_model import QualityModel
from pipelines.cleaning.repeated_lines import (
    LINE,
    LINES_PER_PARTITION,
    NO_LINES,
    Lines,
    among,
    count_lines,
    hash_range,
    merge_lines,
    too_frequent,
)
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import Release
from pipelines.spine.manifest import Shard, read_manifest
from pipelines.spine.progress import Heartbeat
from pipelines.spine.schema import REPEATED_LINE, as_documents
from pipelines.spine.shards import GROUP_BYTES_KEY, read_batches
from pipelines.spine.units import RECEIPT, REQUESTS_AT_ONCE, Receipt, Unit, UnitCache, UnitInput
from pipelines.spine.work import Outcome, run_unit

#: What `PrepareUnit` writes beside the documents: LINE records, ascending by hash, so many in a row of the file. A range
#: of hashes is found by the first and the last of each row.
LINE_FILE = pa.schema(
    [
        pa.field("first", pa.uint64(), False),
        pa.field("last", pa.uint64(), False),
        pa.field("records", pa.binary(), False),
    ],
    metadata={GROUP_BYTES_KEY: b"1"},  # each row can be read without its neighbours
)
LINES_A_ROW = 1 << 14
#: Read at a time of a file in a store: its list of rows, or a row of it.
LINES_READ_BYTES = 1 << 18
MODEL_FILE = "model.arrow"
LINES_OUTPUT = "lines"
#: Rows of a batch that are cleaned together: a foreign file may hold a million in one row group.
MAX_ROWS = 1024


@dataclass(frozen=True)
class Plan:
    """What every worker must know of a run."""

    units: tuple[Unit, ...]
    prepared: UnitCache
    finished: UnitCache
    pointers: str  # a folder or a place in a store: under each unit's name, which lines it lost in this run
    params: CleanParams
    quality_model: str  # a place, "" where there is none
    heartbeat: Heartbeat
    release: Release

    def prepared_receipt(self, unit: Unit) -> Receipt:
        """What the first half left."""
        receipt = self.prepared.receipt(unit)
        if receipt is None:
            raise CorpusmillError("the unit was not prepared", where=unit.name, hint="run again")
        return receipt

    def lines_file(self, unit: Unit) -> str:
        """Where the first half left the unit's lines; no file where it has none."""
        return self.prepared.place(unit, f"{LINES_OUTPUT}-{unit.name}.parquet")

    def has_lines(self, unit: Unit) -> bool:
        """Whether the first half left a file of lines."""
        name = storage.name_of(self.lines_file(unit))
        return any(shard.name == name for shard in self.prepared_receipt(unit).shards)

    def finishing(self, unit: Unit, repeated: str) -> Unit:
        """The unit as the second half takes it: its prepared file, and a digest of the lines that it loses."""
        receipt = self.prepared_receipt(unit)
        ledger = UnitInput(self.prepared.place(unit, RECEIPT), storage.sha256_text(receipt.to_json()), 0)
        rows = tuple(
            UnitInput(self.prepared.place(unit, shard.name), shard.sha256, shard.bytes)
            for shard in receipt.shards
            if shard.name != storage.name_of(self.lines_file(unit))
        )
        return Unit(unit.name, unit.source, (ledger, *rows), (("repeated_lines", repeated),))

    def finished_units(self) -> list[Unit]:
        """All units, as they were finished in this run."""
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
            return list(
                threads.map(lambda unit: self.finishing(unit, storage.read_text(self._pointer(unit))), self.units)
            )

    def point(self, unit: Unit, repeated: str) -> None:
        """Notes which lines the unit loses, for `finished_units`."""
        storage.write_text(self._pointer(unit), repeated)

    def _pointer(self, unit: Unit) -> str:
        return storage.join(self.pointers, unit.name)


@dataclass(frozen=True)
class CleanUnit:
    """Work: a unit whose source loses no repeated lines, in one go. Memory: one row group."""

    params: CleanParams
    quality_model: str  # a place, "" where there is none
    stage: ClassVar[str] = "clean"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a row group."""
        model = load_model(self.quality_model)
        for batch in _read_documents(unit.inputs[0]):
            prepared = prepare(batch, self.params, model)
            outcome = finish(prepared.rows, NO_LINES, self.params, model).outcome
            apart = {**prepared.apart, **outcome.apart}
            yield replace(outcome, apart=apart, tallies={**prepared.tallies, **outcome.tallies})


@dataclass(frozen=True)
class PrepareUnit:
    """Work: a unit -> its documents as their own text decides, and its lines. Memory: one row group and 24 bytes a line."""

    params: CleanParams
    quality_model: str  # a place, "" where there is none
    stage: ClassVar[str] = "clean"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a row group, and one for the lines."""
        model = load_model(self.quality_model)
        parts = []
        for batch in _read_documents(unit.inputs[0]):
            prepared = prepare(batch, self.params, model)
            parts.append(count_lines(*row_lines(prepared.rows)))
            given = {"prepared": prepared.rows.num_rows}
            yield Outcome(
                prepared.rows.num_rows, {"": prepared.rows}, given, apart=prepared.apart, tallies=prepared.tallies
            )
        lines = merge_lines(parts)
        for begin in range(0, len(lines), LINES_A_ROW):
            yield Outcome(outputs={LINES_OUTPUT: _as_row(lines[begin : begin + LINES_A_ROW])}, given={})


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
        counted = Receipt.from_json(storage.read_text(ledger.path)).ledger
        yield Outcome(apart=counted.beside, tallies=counted.tallies)
        removed: Counter[tuple[str, int]] = Counter()
        num_rows = 0
        for part in rows:
            for batch in read_batches(part.path, sha256=part.sha256):
                finished: Finished = finish(batch.cast(PREPARED), self.repeated, self.params, model)
                removed.update(finished.removed)
                num_rows += batch.num_rows
                yield finished.outcome
        if num_rows != counted.taken:
            raise CorpusmillError(
                "the prepared rows are not those taken", where=unit.name, expected=counted.taken, got=num_rows
            )
        yield Outcome(evidence={"repeated_lines": _removed_rows(unit.source, removed)})


class _OnPlan(beam.DoFn):
    """A step that knows the plan. Each asks for the release: a worker that starts late may do the last step alone."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        self._plan.release.expect_here()


class Prepare(_OnPlan):
    """(number, unit) -> (source, number)."""

    def process(self, element: tuple[int, Unit]) -> Iterator[tuple[str, int]]:
        index, unit = element
        run_unit(
            unit, PrepareUnit(self._plan.params, self._plan.quality_model), self._plan.prepared, self._plan.heartbeat
        )
        yield unit.source, index


class SpreadLines(_OnPlan):
    """(source, numbers of its units) -> ((number of a range of hashes, how many ranges), numbers)."""

    def process(self, element: tuple[str, Iterable[int]]) -> Iterator[tuple[tuple[int, int], list[int]]]:
        indexes = sorted(element[1])
        num_documents = num_lines = 0
        for index in indexes:
            unit = self._plan.units[index]
            receipt = self._plan.prepared_receipt(unit)
            num_documents += receipt.ledger.taken
            lines = storage.name_of(self._plan.lines_file(unit))
            num_lines += sum(LINES_A_ROW * shard.rows for shard in receipt.shards if shard.name == lines)
        if num_documents > self._plan.params.rules.repeated_lines.max_documents:
            num_partitions = -(-num_lines // LINES_PER_PARTITION)
            for partition in range(num_partitions):
                yield (partition, num_partitions), indexes


class CountLines(_OnPlan):
    """(range of hashes, numbers of a source's units) -> (number, packed LINE records that the unit must know)."""

    def process(self, element: tuple[tuple[int, int], list[int]]) -> Iterator[tuple[int, bytes]]:
        (partition, num_partitions), indexes = element
        first, last = hash_range(partition, num_partitions)
        parts = [self._lines(index, first, last) for index in indexes]
        repeated = too_frequent(merge_lines(parts), self._plan.params.rules.repeated_lines.max_documents)
        for index, lines in zip(indexes, parts, strict=True):
            known = repeated[among(repeated["hash"], lines)]
            if len(known):
                yield index, known.tobytes()

    def _lines(self, index: int, first: int, last: int) -> Lines:
        """The LINE records of a unit within a range of hashes."""
        unit = self._plan.units[index]
        within = [("first", "<=", pa.scalar(last, pa.uint64())), ("last", ">=", pa.scalar(first, pa.uint64()))]
        try:
            with storage.open_input(self._plan.lines_file(unit), LINES_READ_BYTES) as file:
                rows = pq.read_table(file, columns=["records"], filters=within, use_threads=False)
        except FileNotFoundError:
            if self._plan.has_lines(unit):
                raise CorpusmillError(
                    "the lines of a prepared unit are gone", where=self._plan.lines_file(unit), hint="run again"
                ) from None
            return NO_LINES
        lines = np.frombuffer(b"".join(rows["records"].to_pylist()), LINE)
        begin = np.searchsorted(lines["hash"], np.uint64(first), side="left")
        return lines[begin : np.searchsorted(lines["hash"], np.uint64(last), side="right")]


class Finish(_OnPlan):
    """(number, that it is prepared, its repeated lines) -> the unit's name, once its shards and receipt lie in the cache."""

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
        CorpusmillError: the stage has not finished, or the folder is another one's.
    """
    shards = read_manifest(folder).check().shards if folder else ()
    if any(shard.name != MODEL_FILE for shard in shards):
        raise CorpusmillError(
            "not a folder of the stage quality", where=folder, expected=MODEL_FILE, got=shards[0].name,
            hint="give the folder that `python -m pipelines.quality` wrote, or leave --quality out",
        )  # fmt: skip
    return shards[0] if shards else None


def load_model(path: str) -> QualityModel | None:
    """The model of a place, None of ""."""
    return QualityModel.load(path) if path else None


def _read_documents(one: UnitInput) -> Iterator[pa.RecordBatch]:
    """The documents of a file, at most `MAX_ROWS` together."""
    for batch in read_batches(one.path, sha256=one.sha256):
        for begin in range(0, batch.num_rows, MAX_ROWS):
            yield as_documents(batch.slice(begin, MAX_ROWS), one.path)


def _as_row(lines: Lines) -> pa.RecordBatch:
    """One row of LINE_FILE."""
    columns = [[int(lines["hash"][0])], [int(lines["hash"][-1])], [lines.tobytes()]]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, LINE_FILE, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=LINE_FILE)


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
