"""Decisions of deduplication: who stays, who goes for whom, and the drop list of a unit."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipelines.duplicates.references import (
    DROP,
    EXACT,
    JACCARD,
    MEASURES,
    REPEATED_ID,
    SignedUnits,
    make_refs,
    row_of,
    sharing,
)  # fmt: skip
from pipelines.duplicates.shingle_sets import read_texts
from pipelines.duplicates.survivors import choose_survivors
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


def repeated_keys(keys: np.ndarray, refs: np.ndarray, rank: np.ndarray, measure: int) -> np.ndarray:
    """DROP records for all but the best-ranked holder of each 128-bit key, sorted by reference.

    Args:
        keys: uint64 ``[n, 2]``.
        refs: whose keys they are, distinct, uint64 ``[n]``.
        rank: int64 ``[n]``, all different; the lowest holder of a key stays.
        measure: index into MEASURES.
    """
    order = np.lexsort((rank, keys[:, 1], keys[:, 0]))  # the last key sorts first
    keys, refs = keys[order], refs[order]
    first = np.ones(len(refs), bool)
    first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    kept = refs[np.maximum.accumulate(np.where(first, np.arange(len(refs)), 0))]
    drops = np.zeros(int((~first).sum()), DROP)
    drops["ref"], drops["kept"] = refs[~first], kept[~first]
    drops["shared"], drops["total"] = int(measure == EXACT), 1
    drops["measure"] = measure
    return by_ref(drops)


def near_drops(pairs: np.ndarray, refs: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """DROP records of near copies and contained texts, sorted by reference.

    Of a document's kept twins an alike one is named before one that contains it, and of each kind the most similar. A
    document that stands in another goes only if that other one is preferred to it.

    Args:
        pairs: VERIFIED, in any order.
        refs: the distinct references in the pairs, ascending.
        rank: of each reference, int64, all different; the lowest is preferred.
    """
    pairs = pairs[np.lexsort((pairs["b"], pairs["a"]))]
    members = np.stack([np.searchsorted(refs, pairs["a"]), np.searchsorted(refs, pairs["b"])], axis=1)
    worse = (rank[members[:, 1]] > rank[members[:, 0]]).astype(np.uint8)
    counts = (pairs["measure"] == JACCARD) | (pairs["inner"] == 2) | (pairs["inner"] == worse)
    pairs, members = pairs[counts], members[counts]
    chosen = choose_survivors(rank, members, pairs["shared"] / pairs["total"] + (pairs["measure"] == JACCARD))
    drops = np.zeros(len(chosen.dropped), DROP)
    drops["ref"], drops["kept"] = refs[chosen.dropped], refs[chosen.kept]
    for name in ("shared", "total", "measure"):
        drops[name] = pairs[name][chosen.pair]
    return by_ref(drops)


def repoint(copies: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The exact copies, each pointing at a document that stays.

    A copy of a document that is itself dropped as a near copy takes over that document's decision: its text is the
    same, so the similarity is. (Under a normalization that forgives more than white space, nearly so.)

    Args:
        copies: DROP records.
        near: DROP records of the documents that they are copies of, ascending by reference.
    """
    copies = by_ref(copies)
    if not len(near) or not len(copies):
        return copies
    place = np.minimum(np.searchsorted(near["ref"], copies["kept"]), len(near) - 1)
    moved = near["ref"][place] == copies["kept"]
    for name in ("kept", "shared", "total", "measure"):
        copies[name][moved] = near[name][place[moved]]
    return copies


@dataclass(frozen=True)
class DropsOfUnit:
    """Work: a unit's drops -> its drop list by row, and the index of what stays; repeated ids go to the quarantine whole.

    Args:
        index: the unit's number in the plan.
        drops: DROP records of this unit, in any order.
        signed: look-up of document ids.
        index_schema: of the index, with its metadata; None: none is written.
    """

    index: int
    drops: np.ndarray
    signed: SignedUnits
    index_schema: pa.Schema | None
    stage: ClassVar[str] = "dedup"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step: what is kept is counted from the rows that no decision names."""
        table = self.signed.table(self.index)
        drops = by_ref(self.drops)
        kept = ~np.isin(make_refs(self.index, table.num_rows), drops["ref"])
        measures = [MEASURES[code] for code in drops["measure"].tolist()]
        yield Outcome(
            taken=table.num_rows,
            outputs={"": self._table(drops, measures)} if len(drops) else {},
            given={"kept": int(kept.sum())},
            reasons=Counter(f"dropped.{measure}" for measure in measures if measure != "repeated_id"),
            quarantined=self._quarantine(drops[drops["measure"] == REPEATED_ID], unit),
        )
        if self.index_schema is not None:
            for batch in table.filter(pa.array(kept)).to_batches():
                columns = [batch.column(name) for name in self.index_schema.names]
                rows = pa.RecordBatch.from_arrays(columns, schema=self.index_schema)
                yield Outcome(given={}, evidence={"index": rows})

    def _table(self, drops: np.ndarray, measures: list[str]) -> pa.Table:
        columns = [
            self.signed.take(drops["ref"], ["doc_id"])["doc_id"].combine_chunks(),
            self.signed.take(drops["kept"], ["doc_id"])["doc_id"].combine_chunks(),
            pa.array(drops["shared"] / drops["total"], pa.float64()),
            pa.array(measures, pa.string()),
        ]
        return pa.Table.from_arrays(columns, schema=DUPLICATE)

    def _quarantine(self, drops: np.ndarray, unit: Unit) -> pa.RecordBatch | None:
        if not len(drops):
            return None
        rows = row_of(drops["ref"])  # in a unit of this run, signed rows are the shard's rows
        doc_ids = self.signed.take(drops["ref"], ["doc_id"])["doc_id"].to_pylist()
        texts = (text for texts in read_texts(unit.inputs[-1].path, rows) for text in texts.to_pylist())
        columns = [
            [unit.name] * len(drops),
            [f"row {row}" for row in rows.tolist()],
            ["repeated_id"] * len(drops),
            [f"another document has the id {doc_id!r}" for doc_id in doc_ids],
            [text.encode()[:QUARANTINE_RAW_BYTES] for text in texts],
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, QUARANTINED, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINED)
