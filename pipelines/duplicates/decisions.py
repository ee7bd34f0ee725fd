"""Decisions of deduplication: who stays, who goes for whom, and the drop list of a unit."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipelines.duplicates.references import DROP, MEASURES, SignedUnits, make_refs, row_of
from pipelines.duplicates.survivors import choose_survivors
from pipelines.duplicates.verify import read_texts
from pipelines.spine.schema import DUPLICATE, QUARANTINED
from pipelines.spine.units import Unit
from pipelines.spine.work import Outcome

QUARANTINE_RAW_BYTES = 65536


def by_ref(drops: np.ndarray) -> np.ndarray:
    """DROP records sorted by reference; each document is dropped once, so the order is unique."""
    return drops[np.argsort(drops["ref"], kind="stable")]


def repeated_keys(records: np.ndarray, measure: int) -> np.ndarray:
    """DROP records for all but the best-ranked holder of each 128-bit key.

    Rank: more characters first, then the smaller order key, then the smaller reference. Of a repeated id the first
    reference stays: a drop list names ids, and `shard` takes its last rows. Sorted by reference.

    Args:
        records: KEYED, in any order.
        measure: index into MEASURES.
    """
    rank: tuple[np.ndarray, ...] = (records["ref"],)
    if MEASURES[measure] != "repeated_id":
        rank = (records["ref"], records["order"], ~records["chars"])
    order = np.lexsort((*rank, records["key2"], records["key"]))  # the last key sorts first
    records = records[order]
    first = np.ones(len(records), bool)
    first[1:] = (records["key"][1:] != records["key"][:-1]) | (records["key2"][1:] != records["key2"][:-1])
    kept = records["ref"][np.maximum.accumulate(np.where(first, np.arange(len(records)), 0))]
    drops = np.zeros(int((~first).sum()), DROP)
    drops["ref"], drops["kept"] = records["ref"][~first], kept[~first]
    drops["shared"], drops["union"] = int(MEASURES[measure] == "exact"), 1
    drops["measure"] = measure
    return by_ref(drops)


def near_drops(pairs: np.ndarray, refs: np.ndarray, chars: np.ndarray, order: np.ndarray) -> np.ndarray:
    """DROP records of the near copies, sorted by reference.

    Args:
        pairs: VERIFIED, in any order.
        refs: the distinct references in the pairs, ascending.
        chars: characters of each, int64.
        order: order key of each, uint64; ties of length go to the smaller.
    """
    rank = np.empty(len(refs), np.int64)
    rank[np.lexsort((refs, order, -chars))] = np.arange(len(refs))
    pairs = pairs[np.lexsort((pairs["b"], pairs["a"]))]
    members = np.stack([np.searchsorted(refs, pairs["a"]), np.searchsorted(refs, pairs["b"])], axis=1)
    chosen = choose_survivors(rank, members, pairs["shared"] / pairs["union"])
    drops = np.zeros(len(chosen.dropped), DROP)
    drops["ref"], drops["kept"] = refs[chosen.dropped], refs[chosen.kept]
    drops["shared"], drops["union"] = pairs["shared"][chosen.pair], pairs["union"][chosen.pair]
    drops["measure"] = MEASURES.index("jaccard")
    return by_ref(drops)


def repoint(copies: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The exact copies, each pointing at a document that stays.

    A copy of a document that is itself dropped as a near copy takes over that document's decision: its text is the
    same, so the similarity is.
    """
    copies, near = by_ref(copies), by_ref(near)
    if not len(near) or not len(copies):
        return copies
    place = np.minimum(np.searchsorted(near["ref"], copies["kept"]), len(near) - 1)
    moved = near["ref"][place] == copies["kept"]
    for name in ("kept", "shared", "union", "measure"):
        copies[name][moved] = near[name][place[moved]]
    return copies


@dataclass(frozen=True)
class DropsOfUnit:
    """Work: a unit's drops -> its drop list by row; documents with a repeated id go to the quarantine whole.

    Args:
        index: the unit's number in the plan.
        drops: DROP records of this unit, in any order.
        signed: look-up of document ids.
    """

    index: int
    drops: np.ndarray
    signed: SignedUnits
    stage: ClassVar[str] = "dedup"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step: what is kept is counted from the rows that no decision names."""
        num_documents = self.signed.table(self.index).num_rows
        drops = by_ref(self.drops)
        kept = int((~np.isin(make_refs(self.index, num_documents), drops["ref"])).sum())
        if not len(drops):
            yield Outcome(taken=num_documents, given={"kept": kept})
            return
        measures = [MEASURES[code] for code in drops["measure"].tolist()]
        reasons = Counter(f"dropped.{measure}" for measure in measures if measure != "repeated_id")
        yield Outcome(
            taken=num_documents,
            outputs={"": self._table(drops, measures)},
            given={"kept": kept},
            reasons=reasons,
            quarantined=self._quarantine(drops[drops["measure"] == MEASURES.index("repeated_id")], unit),
        )

    def _table(self, drops: np.ndarray, measures: list[str]) -> pa.Table:
        columns = [
            self.signed.take(drops["ref"], ["doc_id"])["doc_id"].combine_chunks(),
            self.signed.take(drops["kept"], ["doc_id"])["doc_id"].combine_chunks(),
            pa.array(drops["shared"] / drops["union"], pa.float64()),
            pa.array(measures, pa.string()),
        ]
        return pa.Table.from_arrays(columns, schema=DUPLICATE)

    def _quarantine(self, drops: np.ndarray, unit: Unit) -> pa.RecordBatch | None:
        if not len(drops):
            return None
        rows = row_of(drops["ref"])
        doc_ids = self.signed.take(drops["ref"], ["doc_id"])["doc_id"].to_pylist()
        columns = [
            [unit.name] * len(drops),
            [f"row {row}" for row in rows.tolist()],
            ["repeated_id"] * len(drops),
            [f"another document has the id {doc_id!r}" for doc_id in doc_ids],
            [text.encode()[:QUARANTINE_RAW_BYTES] for text in read_texts(unit.inputs[0].path, rows)],
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, QUARANTINED, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINED)
