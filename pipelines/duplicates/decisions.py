"""Decisions of deduplication: which of several holders of a key goes, and the drop list of a unit."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipelines.duplicates.answers import Known
from pipelines.duplicates.references import DROP, EXACT, MEASURES, REPEATED_ID, make_refs, row_of, sharing
from pipelines.duplicates.shingle_sets import read_texts
from pipelines.spine.schema import DUPLICATE, QUARANTINED
from pipelines.spine.units import Unit
from pipelines.spine.work import Outcome

QUARANTINE_RAW_BYTES = 65536


def by_ref(drops: np.ndarray) -> np.ndarray:
    """DROP records sorted by reference; each document is dropped once, so the order is unique."""
    return drops[np.argsort(drops["ref"], kind="stable")]


def shared_keys(records: np.ndarray) -> np.ndarray:
    """The references, ascending, of the KEYED records whose key another one has too; each reference has one key."""
    return np.sort(sharing(records)["ref"])


def repeated_keys(holders: np.ndarray, rank: np.ndarray, measure: int) -> np.ndarray:
    """DROP records for all but the best-ranked holder of each 128-bit key, sorted by reference.

    Args:
        holders: HOLDER records, one a document.
        rank: int64 ``[n]``, all different; the lowest holder of a key stays.
        measure: index into MEASURES.
    """
    order = np.lexsort((rank, holders["second"], holders["first"]))  # the last key sorts first
    holders = holders[order]
    refs = holders["ref"]
    first = np.ones(len(refs), bool)
    first[1:] = (holders["first"][1:] != holders["first"][:-1]) | (holders["second"][1:] != holders["second"][:-1])
    kept = refs[np.maximum.accumulate(np.where(first, np.arange(len(refs)), 0))]
    drops = np.zeros(int((~first).sum()), DROP)
    drops["ref"], drops["kept"] = refs[~first], kept[~first]
    drops["shared"], drops["total"] = int(measure == EXACT), 1
    drops["measure"] = measure
    return by_ref(drops)


@dataclass(frozen=True)
class DropsOfUnit:
    """Work: a unit's drops -> its drop list by row, and the index of what stays; repeated ids go to the quarantine whole.

    Args:
        index: the unit's number in the plan.
        signed: its signed rows.
        drops: DROP records of this unit, in any order, and the id of who is kept in each.
        index_schema: of the index, with its metadata; None: none is written.
    """

    index: int
    signed: pa.Table
    drops: Known
    index_schema: pa.Schema | None
    stage: ClassVar[str] = "dedup"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step: what is kept is counted from the rows that no decision names."""
        drops = self.drops.at(np.argsort(self.drops.records["ref"], kind="stable"))
        records = drops.records
        kept = ~np.isin(make_refs(self.index, self.signed.num_rows), records["ref"])
        measures = [MEASURES[code] for code in records["measure"].tolist()]
        yield Outcome(
            taken=self.signed.num_rows,
            outputs={"": self._table(drops, measures)} if measures else {},
            given={"kept": int(kept.sum())},
            reasons=Counter(f"dropped.{measure}" for measure in measures if measure != "repeated_id"),
            quarantined=self._quarantine(records[records["measure"] == REPEATED_ID], unit),
        )
        if self.index_schema is not None:
            for batch in self.signed.filter(pa.array(kept)).to_batches():
                columns = [batch.column(name) for name in self.index_schema.names]
                rows = pa.RecordBatch.from_arrays(columns, schema=self.index_schema)
                yield Outcome(given={}, evidence={"index": rows})

    def _table(self, drops: Known, measures: list[str]) -> pa.Table:
        columns = [
            self._ids(drops.records),
            pa.array(drops.ids, pa.string()),
            pa.array(drops.records["shared"] / drops.records["total"], pa.float64()),
            pa.array(measures, pa.string()),
        ]
        return pa.Table.from_arrays(columns, schema=DUPLICATE)

    def _ids(self, drops: np.ndarray) -> pa.Array:
        return self.signed["doc_id"].take(pa.array(row_of(drops["ref"]))).combine_chunks()

    def _quarantine(self, drops: np.ndarray, unit: Unit) -> pa.RecordBatch | None:
        if not len(drops):
            return None
        rows = row_of(drops["ref"])  # in a unit of this run, signed rows are the shard's rows
        texts = (text for texts in read_texts(unit.inputs[-1].path, rows) for text in texts.to_pylist())
        columns = [
            [unit.name] * len(drops),
            [f"row {row}" for row in rows.tolist()],
            ["repeated_id"] * len(drops),
            [f"another document has the id {doc_id!r}" for doc_id in self._ids(drops).to_pylist()],
            [text.encode()[:QUARANTINE_RAW_BYTES] for text in texts],
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, QUARANTINED, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINED)
