"""What `clean` does with a unit: in one go, or in two halves between which the lines of its source are counted.

    unit -> PrepareUnit -> (line_steps) -> FinishUnit

Elements on Beam are numbers of units; texts and hashes lie in the unit cache, in files that a worker of any runner reads.
`pipelines.clean` says how the steps follow one another.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import apache_beam as beam
import pyarrow as pa

from pipelines.cleaning.halves import PREPARED, CleanParams, Finished, finish, prepare, row_lines
from pipelines.cleaning.line_files import line_rows
from pipelines.cleaning.quality_model import QualityModel
from pipelines.cleaning.repeated_lines import LINE, NO_LINES, Lines, count_lines, merge_lines
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import Release
from pipelines.spine.manifest import Shard, read_manifest
from pipelines.spine.progress import Heartbeat
from pipelines.spine.run_files import RunFiles
from pipelines.spine.schema import REPEATED_LINE, as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.unit_list import UnitList
from pipelines.spine.units import RECEIPT, REQUESTS_AT_ONCE, Receipt, Unit, UnitCache, UnitInput
from pipelines.spine.work import Outcome, run_unit

MODEL_FILE = "model.arrow"
LINES_OUTPUT = "lines"
#: The step whose files say, by a digest, which lines a unit loses.
DIGESTS = "digests"
#: Rows of a batch that are cleaned together: a foreign file may hold a million in one row group.
MAX_ROWS = 1024


@dataclass(frozen=True)
class Plan:
    """What every worker must know of a run."""

    units: UnitList
    prepared: UnitCache
    finished: UnitCache
    files: RunFiles  # what this run's steps leave for one another, by number of the unit
    params: CleanParams
    quality_model: str  # a place, "" where there is none
    heartbeat: Heartbeat
    release: Release

    def prepared_receipt(self, unit: Unit) -> Receipt:
        """What the first half left."""
        return _expected(unit, self.prepared.receipt(unit))

    def prepared_receipts(self) -> list[Receipt]:
        """The same of all units; for the launching process alone."""
        units = list(self.units)
        return [_expected(*pair) for pair in zip(units, self.prepared.receipts(units), strict=True)]

    def lines_file(self, unit: Unit) -> str:
        """Where the first half left the unit's lines; no file where it has none."""
        return self.prepared.place(unit, f"{LINES_OUTPUT}-{unit.name}.parquet")

    def has_lines(self, unit: Unit) -> bool:
        """Whether the first half left a file of lines."""
        name = storage.name_of(self.lines_file(unit))
        return any(shard.name == name for shard in self.prepared_receipt(unit).shards)

    def finishing(self, unit: Unit, receipt: Receipt, repeated: str) -> Unit:
        """The unit as the second half takes it: its prepared file, and a digest of the lines that it loses."""
        ledger = UnitInput(self.prepared.place(unit, RECEIPT), storage.sha256_text(receipt.to_json()), 0)
        rows = tuple(
            UnitInput(self.prepared.place(unit, shard.name), shard.sha256, shard.bytes)
            for shard in receipt.shards
            if shard.name != storage.name_of(self.lines_file(unit))
        )
        return Unit(unit.name, unit.source, (ledger, *rows), (("repeated_lines", repeated),))

    def finished_units(self, receipts: Sequence[Receipt]) -> list[Unit]:
        """All units, as they were finished in this run; ``receipts`` are those of the first half."""
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
            digests = list(threads.map(self._digest, range(len(self.units))))
        found = zip(self.units, receipts, digests, strict=True)
        return [self.finishing(unit, receipt, digest) for unit, receipt, digest in found]

    def point(self, index: int, repeated: str) -> None:
        """Notes which lines the unit loses, for `finished_units`."""
        storage.write_text(self.files.place(DIGESTS, index), repeated)

    def _digest(self, index: int) -> str:
        return storage.read_text(self.files.place(DIGESTS, index))


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
        for row in line_rows(merge_lines(parts)):
            yield Outcome(outputs={LINES_OUTPUT: row}, given={})


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


class OnPlan(beam.DoFn):
    """A step that knows the plan. Each asks for the release: a worker that starts late may do the last step alone."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        self._plan.release.expect_here()


class Finish(OnPlan):
    """Number of a prepared unit -> its name, once its shards and receipt lie in the cache.

    Args:
        plan: of the run.
        rounds: names of those whose files hold the lines that the unit loses, ascending by hash.
    """

    def __init__(self, plan: Plan, rounds: Sequence[str]) -> None:
        super().__init__(plan)
        self._rounds = tuple(rounds)

    def process(self, index: int) -> Iterator[str]:
        plan = self._plan
        unit = plan.units[index]
        repeated = plan.files.read_all([(name, index) for name in self._rounds], LINE)
        digest = hashlib.sha256(repeated.tobytes()).hexdigest()
        work = FinishUnit(plan.params, plan.quality_model, repeated)
        run_unit(plan.finishing(unit, plan.prepared_receipt(unit), digest), work, plan.finished, Heartbeat())
        plan.point(index, digest)
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


def _expected(unit: Unit, receipt: Receipt | None) -> Receipt:
    if receipt is None:
        raise CorpusmillError("the unit was not prepared", where=unit.name, hint="run again")
    return receipt


def load_model(path: str) -> QualityModel | None:
    """The model of a place, None of ""."""
    return QualityModel.load(path) if path else None


def _read_documents(one: UnitInput) -> Iterator[pa.RecordBatch]:
    """The documents of a file, at most `MAX_ROWS` together."""
    for batch in read_batches(one.path, sha256=one.sha256):
        for begin in range(0, batch.num_rows, MAX_ROWS):
            yield as_documents(batch.slice(begin, MAX_ROWS), one.path)


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
