"""The decision on Beam: who goes, from the steps before -> the ids of who stays -> each unit's drop list.

near copies          ->  the kept document's unit  ->  its id                              (AskNear, TellIds)
exact copies         ->  the kept document's unit  ->  it and its id, or whom it goes for  (AskExact, TellKept)
all drops of a unit  ->  the drop list                                                     (WriteDrops)
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from pipelines.duplicates.answers import Known, Packed, gathered
from pipelines.duplicates.decisions import DropsOfUnit
from pipelines.duplicates.older import index_schema
from pipelines.duplicates.plan import Plan
from pipelines.duplicates.references import DROP, EXACT, REPEATED_ID, places_by, row_of, unit_of, unpack
from pipelines.duplicates.steps import REF, REPEATS, OnPlan, near_step
from pipelines.spine import faults
from pipelines.spine.progress import Heartbeat
from pipelines.spine.work import run_unit

NAMED = np.dtype([("ref", "<u8")])  # a document of which nothing but the id is told
Asked = tuple[int, bytes]  # the unit that asks, and references


class AskNear(OnPlan):
    """Number of a unit -> (unit, asked) of those for which the unit's near copies go."""

    def __init__(self, plan: Plan, last_pass: int) -> None:
        super().__init__(plan)
        self._near = near_step(last_pass)

    def process(self, index: int) -> Iterator[tuple[int, Asked]]:
        yield from _asked(index, self._plan.files.read(self._near, index, DROP))


class AskExact(OnPlan):
    """Number of a unit -> (unit, asked) of those of which the unit holds exact copies."""

    def process(self, index: int) -> Iterator[tuple[int, Asked]]:
        repeats = self._plan.files.read(REPEATS, index, DROP)
        yield from _asked(index, repeats[repeats["measure"] == EXACT])


def _asked(index: int, drops: np.ndarray) -> Iterator[tuple[int, Asked]]:
    refs = np.unique(drops["kept"])
    for unit, places in places_by(unit_of(refs)):
        yield unit, (index, refs[places].tobytes())


class TellIds(OnPlan):
    """(unit, asked) -> (who asks, NAMED)."""

    def process(self, element: tuple[int, Iterable[Asked]]) -> Iterator[tuple[int, Packed]]:
        index, asked = element
        table = self._plan.signed_table(index)
        assert table is not None
        for asker, packed in asked:
            refs = unpack([packed], REF)
            yield asker, (packed, table["doc_id"].take(row_of(refs)).to_pylist())


class TellKept(OnPlan):
    """(unit, what it asked of its near copies, who asks of its documents) -> (who asks, DROP and the id of the kept).

    Of a document that stays, it is kept for itself. A copy of one that goes as a near copy takes over that decision: its
    text is the same, so the similarity is. (Under a normalization that forgives more than white space, nearly so.)
    """

    def __init__(self, plan: Plan, last_pass: int) -> None:
        super().__init__(plan)
        self._near = near_step(last_pass)

    def process(self, element: tuple[int, Mapping[str, Iterable]]) -> Iterator[tuple[int, Packed]]:
        index, groups = element
        table = self._plan.signed_table(index)
        assert table is not None
        near = named(self._plan.files.read(self._near, index, DROP), groups["near"])
        for asker, packed in groups["asked"]:
            refs = unpack([packed], REF)
            answers = np.zeros(len(refs), DROP)
            answers["ref"] = answers["kept"] = refs
            ids = table["doc_id"].take(row_of(refs)).to_pylist()
            gone, places = _found(refs, near.records["ref"])
            answers[gone] = near.records[places]
            for place, of in zip(np.flatnonzero(gone).tolist(), places.tolist(), strict=True):
                ids[place] = near.ids[of]
            yield asker, Known(answers, ids).packed()


def named(drops: np.ndarray, answers: Iterable[Packed]) -> Known:
    """The DROP records, each with the id of who is kept, as the answers say."""
    told = gathered(answers, NAMED)
    told = told.at(np.argsort(told.records["ref"]))
    return Known(drops, told.at(np.searchsorted(told.records["ref"], drops["kept"])).ids)


def _found(refs: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which references are among others, which ascend; and where those that are stand there."""
    places = np.searchsorted(among, refs)
    there = np.append(among, np.uint64((1 << 64) - 1))[places] == refs
    return there, places[there]


def pointed(copies: np.ndarray, answers: Known) -> Known:
    """The exact copies, each with whom it goes for, and that one's id.

    Args:
        copies: DROP records.
        answers: DROP records of the documents that they are copies of, from `TellKept`, ascending by reference.
    """
    copies = copies.copy()
    told = answers.at(np.searchsorted(answers.records["ref"], copies["kept"]))
    moved = told.records["kept"] != copies["kept"]
    for name in ("kept", "shared", "total", "measure"):
        copies[name][moved] = told.records[name][moved]
    return Known(copies, told.ids)


class WriteDrops(OnPlan):
    """(number of a unit, its answers) -> the number, once the unit's drop list and index lie in the cache."""

    def __init__(self, plan: Plan, last_pass: int) -> None:
        super().__init__(plan)
        self._near = near_step(last_pass)

    def process(self, element: tuple[int, Mapping[str, Iterable]]) -> Iterator[int]:
        index, groups = element
        unit, signed = self._plan.units[index], self._plan.signed_table(index)
        if index < self._plan.num_older or signed is None:
            return
        schema = index_schema(self._plan.params, unit) if self._plan.params.write_index else None
        work = DropsOfUnit(index, signed, self._drops(index, signed, groups), schema)
        run_unit(unit, work, self._plan.decided, Heartbeat())
        faults.reach("dedup:decided")
        yield index

    def _drops(self, index: int, signed: pa.Table, groups: Mapping[str, Iterable[Packed]]) -> Known:
        """Repeated ids, exact copies that point at what stays, and near copies."""
        repeats, near = (self._plan.files.read(step, index, DROP) for step in (REPEATS, self._near))
        again = repeats[repeats["measure"] == REPEATED_ID]
        copies = pointed(repeats[repeats["measure"] == EXACT], gathered(groups["exact"], DROP).distinct())
        near_ids = named(near, groups["near"]).ids
        same_ids = signed["doc_id"].take(row_of(again["ref"])).to_pylist()
        return Known(np.concatenate([again, copies.records, near]), same_ids + copies.ids + near_ids)
