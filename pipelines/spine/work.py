"""How a stage maps one unit to shards: read batches, apply pure functions, publish under the unit's name.

A stage says what becomes of its records as a stream of ``Outcome``; this module writes them, counts them, checks
that the count closes, and publishes the unit's receipt last. It knows nothing of Beam: a worker of any runner, or
a test, calls ``run_unit``.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import pyarrow as pa

from pipelines.spine import faults, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import Shard
from pipelines.spine.progress import Heartbeat
from pipelines.spine.schema import DROPPED, QUARANTINED, SKIPPED
from pipelines.spine.shards import ArrowIndex, ArrowShard, ParquetShard, open_shard
from pipelines.spine.units import RECEIPT, Receipt, Unit, UnitCache


@dataclass(frozen=True)
class Outcome:
    """What became of the records that one step read.

    Attributes:
        taken: how many went in.
        outputs: rows that come out, by output name: "" is the unit's one shard, else a split. Without rows, no shard.
            The first rows' schema, metadata included, is the shard's.
        given: what the ledger counts as out by name, where that is not rows (`pack` counts tokens).
        reasons: counts of what did not come out and leaves no evidence.
        skipped: evidence rows of records that are no documents by rule; each counts under ``skipped.<reason>``.
        dropped: evidence rows; each counts under ``dropped.<rule>``.
        quarantined: unreadable records; each counts under ``quarantined.<reason>``.
        evidence: further rows to keep beside the shards, by kind, which count for nothing.
        indexes: the same, to be searched: kept as Arrow in one record batch, so that a search needs no reading.
        apart: counts outside the sum.
        tallies: counts of open-ended kinds outside the sum: tally -> name -> number.
    """

    taken: int = 0
    outputs: Mapping[str, pa.RecordBatch | pa.Table] = field(default_factory=dict)
    given: Mapping[str, int] | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    skipped: pa.RecordBatch | None = None
    dropped: pa.RecordBatch | None = None
    quarantined: pa.RecordBatch | None = None
    evidence: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    indexes: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    apart: Mapping[str, int] = field(default_factory=dict)
    tallies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Work(Protocol):
    """What a stage does with one unit; pickled to workers, so it holds its configuration and nothing else."""

    stage: ClassVar[str]
    counts: ClassVar[str]
    extension: ClassVar[str]

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """Reads the unit and says, step by step, what became of its records."""
        ...


def run_unit(unit: Unit, work: Work, cache: UnitCache, heartbeat: Heartbeat) -> Receipt:
    """The receipt of the finished unit; computes it unless the cache holds it whole.

    Running it twice, or twice at once, publishes equal bytes. A worker that dies leaves no receipt, so the unit
    is computed again.

    Raises:
        CorpusmillError: the ledger does not close, or a file cannot be read or written.
    """
    if cache.is_sound(unit):
        receipt = cache.receipt(unit)
        assert receipt is not None
        return receipt
    faults.reach(f"{work.stage}:unit")
    with contextlib.ExitStack() as stack:
        writer = _UnitWriter(unit, work, functools.partial(cache.place, unit), stack)
        with heartbeat.unit(unit) as beat:
            for outcome in _outcomes(unit, work):
                writer.write(outcome)
                beat(outcome.taken)
    faults.reach(f"{work.stage}:written")
    receipt = writer.receipt()
    storage.write_text(cache.place(unit, RECEIPT), receipt.to_json())
    faults.reach(f"{work.stage}:published")
    return receipt


def _outcomes(unit: Unit, work: Work) -> Iterator[Outcome]:
    """The work's outcomes; what cannot be read is named here, before the shard being written claims the error."""
    try:
        yield from work.outcomes(unit)
    except OSError as error:
        raise storage.explained(error, error.filename or unit.inputs[0].path) from error


class _UnitWriter:
    """The shards, evidence files and ledger of one unit while it is being worked on."""

    def __init__(self, unit: Unit, work: Work, place: Callable[[str], str], stack: contextlib.ExitStack) -> None:
        self.unit, self.work, self.place, self.stack = unit, work, place, stack
        self.ledger = Ledger(work.counts)
        self.shards: dict[str, ParquetShard | ArrowShard] = {}
        self.evidence: dict[str, ParquetShard | ArrowShard] = {}
        self.num_rows = 0

    def write(self, outcome: Outcome) -> None:
        self.ledger.take(outcome.taken)
        for name, batch in outcome.outputs.items():
            if batch.num_rows:  # an output without rows leaves no shard
                self._write_rows(name, batch)
            if outcome.given is None:
                self.ledger.give(name or self.work.counts, batch.num_rows)
        for name, number in (outcome.given or {}).items():
            self.ledger.give(name, number)
        for reason, number in outcome.reasons.items():
            self.ledger.count(reason, number)
        for name, number in outcome.apart.items():
            self.ledger.apart(name, number)
        for name, numbers in outcome.tallies.items():
            self.ledger.tally(name, numbers)
        self._count("skipped", "reason", outcome.skipped, SKIPPED)
        self._count("dropped", "rule", outcome.dropped, DROPPED)
        self._count("quarantined", "reason", outcome.quarantined, QUARANTINED)
        for kind, batch in outcome.evidence.items():
            self._keep(kind, batch)
        for kind, batch in outcome.indexes.items():
            self._keep(kind, batch, as_index=True)

    def receipt(self) -> Receipt:
        """The receipt, once the ledger closes and agrees with the rows on disk."""
        where = f"{self.work.stage}: {self.unit.name}"
        self.ledger.check(where)
        written = sum(shard.rows for shard in self.shards.values())
        if written != self.num_rows:
            raise CorpusmillError("rows on disk are not those given", where=where, expected=self.num_rows, got=written)
        shards = (self.shards[name].published() for name in sorted(self.shards))
        evidence = (self.evidence[name].published() for name in sorted(self.evidence))
        return Receipt(tuple(shards), tuple(evidence), self.ledger)

    def _write_rows(self, name: str, rows: pa.RecordBatch | pa.Table) -> None:
        if name not in self.shards:
            stem = f"{name}-{self.unit.name}" if name else self.unit.name
            shard = open_shard(self.place(f"{stem}{self.work.extension}"), rows.schema)
            self.stack.enter_context(shard)
            self.shards[name] = shard
        self.num_rows += rows.num_rows
        for batch in rows.to_batches() if isinstance(rows, pa.Table) else [rows]:
            self.shards[name].write(batch)

    def _count(self, kind: str, column: str, batch: pa.RecordBatch | None, schema: pa.Schema) -> None:
        """Keeps the rows of what did not come out, and counts each under its reason."""
        if batch is None:
            return
        for entry in batch.column(column).value_counts().to_pylist():
            self.ledger.count(f"{kind}.{entry['values']}", entry["counts"])
        self._keep(kind, batch.cast(schema))

    def _keep(self, kind: str, batch: pa.RecordBatch, as_index: bool = False) -> None:
        if not batch.num_rows:
            return
        if kind not in self.evidence:
            path = self.place(f"{kind}-{self.unit.name}{'.arrow' if as_index else '.parquet'}")
            kept: ParquetShard | ArrowShard = (
                ArrowIndex(path, batch.schema) if as_index else open_shard(path, batch.schema)
            )
            self.stack.enter_context(kept)
            self.evidence[kind] = kept
        self.evidence[kind].write(batch)


def evidence_place(shard: Shard) -> str:
    """Where an evidence file lies in the stage's folder: ``dropped/<unit>.parquet``, ``index/<unit>.arrow``."""
    kind, _, name = shard.name.partition("-")
    return f"{kind}/{name}"
