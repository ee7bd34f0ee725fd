"""The decision on Beam: candidate pairs -> shingle sets -> verified pairs -> who goes -> each unit's drop list.

Steps wait for one another by the numbers of the units that are done; what they found lies in the plan's files.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from pipelines.duplicates.decisions import DropsOfUnit, by_ref, near_drops, repoint
from pipelines.duplicates.older import index_schema
from pipelines.duplicates.plan import Plan, Round
from pipelines.duplicates.references import (
    DROP,
    MEASURES,
    PAIR,
    REPEATED_ID,
    VERIFIED,
    members_of,
    split_by,
    unit_of,
    unpack,
)  # fmt: skip
from pipelines.duplicates.shingle_sets import ShingleSets
from pipelines.duplicates.signing import lists_arrays
from pipelines.duplicates.steps import REPEATS, OnPlan, near_step
from pipelines.duplicates.verify import Thresholds, merge_pairs, share_enough, verify_pairs, without
from pipelines.spine import faults
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.progress import Heartbeat
from pipelines.spine.units import Unit
from pipelines.spine.work import run_unit

REF = np.dtype("<u8")
#: Pairs whose documents' fingerprints are held at a time: stock phrases propose dozens of pairs a document, and a long
#: article has a kilobyte of fingerprints.
ASKED_PAIRS = 1 << 14


def candidates_step(number_of_pass: int) -> str:
    """The step of a pass's candidate pairs, PAIR records."""
    return f"candidates{number_of_pass}"


def verified_step(number_of_pass: int) -> str:
    """The step of a pass's verified pairs, VERIFIED records."""
    return f"verified{number_of_pass}"


class GatherCandidates(OnPlan):
    """(number, unit) -> (unit, packed references) of all documents in the unit's pairs, which become a file."""

    def __init__(self, plan: Plan, rounds: Sequence[Round]) -> None:
        super().__init__(plan)
        self._rounds, self._pass = rounds, rounds[0].number_of_pass

    def process(self, element: tuple[int, Unit]) -> Iterator[tuple[int, bytes]]:
        index, _ = element
        files = self._plan.files
        pairs = merge_pairs(files.read_all([(of.name, index) for of in self._rounds], PAIR))
        pairs = pairs[self._worth_verifying(pairs)]
        for earlier in range(self._pass):
            pairs = without(pairs, files.read(candidates_step(earlier), index, PAIR))
        files.write(candidates_step(self._pass), index, pairs)
        refs = members_of(pairs)
        yield from split_by(unit_of(refs), refs)

    def _worth_verifying(self, pairs: np.ndarray) -> np.ndarray:
        """Those that a band proposed, and those that share enough fingerprints; bool ``[n_pairs]``."""
        worth = pairs["banded"] > 0
        asked, enough = pairs[~worth], [np.empty(0, bool)]
        for begin in range(0, len(asked), ASKED_PAIRS):
            part = asked[begin : begin + ASKED_PAIRS]
            refs = members_of(part)
            fingerprints = self._signed.take(refs, ["fingerprints"])["fingerprints"]
            enough.append(share_enough(part, refs, *lists_arrays(fingerprints)))
        worth[~worth] = np.concatenate(enough)
        return worth


class WriteSets(OnPlan):
    """(unit, packed references) -> the unit's number, once the shingle sets of those documents lie in a file."""

    def __init__(self, plan: Plan, number_of_pass: int) -> None:
        super().__init__(plan)
        self._sets = ShingleSets(plan.files, number_of_pass)

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[int]:
        index, packed = element
        refs = np.unique(unpack(packed, REF))
        rows = self._signed.take(refs, ["row"])["row"].to_numpy()
        self._sets.write(index, refs, rows, self._plan.documents(index), self._plan.params.shingle_size)
        yield index


class Verify(OnPlan):
    """(number, unit) -> the number, once its verified pairs lie in a file; reads the sets of other units too."""

    def __init__(self, plan: Plan, number_of_pass: int) -> None:
        super().__init__(plan)
        self._pass = number_of_pass

    def process(self, element: tuple[int, Unit], sets_written: Iterable[int]) -> Iterator[int]:
        index, _ = element
        params, files = self._plan.params, self._plan.files
        thresholds = Thresholds(Fraction(str(params.threshold)), Fraction(str(params.containment_threshold)))
        pairs = files.read(candidates_step(self._pass), index, PAIR)
        verified = verify_pairs(pairs, ShingleSets(files, self._pass), thresholds)
        files.write(verified_step(self._pass), index, verified)
        faults.reach("dedup:verified")
        yield index


class Resolve(OnPlan):
    """(one key, nothing) -> the pass's number, once who goes lies in files by unit. One process holds all pairs.

    The pairs of earlier passes count too: whoever they dropped is asked again.
    """

    def __init__(self, plan: Plan, number_of_pass: int) -> None:
        super().__init__(plan)
        self._pass = number_of_pass

    def process(self, element: tuple[None, Iterable[int]]) -> Iterator[int]:
        steps = [verified_step(number) for number in range(self._pass + 1)]
        parts = [(step, index) for step in steps for index in range(len(self._plan.units))]
        self._refuse_too_many(self._plan.files.num_records(parts, VERIFIED))
        verified = self._plan.files.read_all(parts, VERIFIED)
        refs = members_of(verified)
        drops = near_drops(verified, refs, self._plan.preference.rank(refs, self._signed))
        for index, packed in split_by(unit_of(drops["ref"]), drops):
            self._plan.files.write(near_step(self._pass), index, unpack([packed], DROP))
        faults.reach("dedup:resolved")
        yield self._pass

    def _refuse_too_many(self, number: int) -> None:
        limit = self._plan.params.max_verified_pairs
        if number > limit:
            raise CorpusmillError(
                f"{number:,} verified pairs of near copies",
                where="dedup",
                expected=f"at most {limit:,} (dedup.max_verified_pairs)",
                hint=f"one process holds them, {VERIFIED.itemsize} bytes each and about 10 times that to resolve; raise "
                "the limit, or look for boilerplate that makes everything alike",
            )


class WriteDrops(OnPlan):
    """(number, unit) -> the number, once the unit's drop list and index lie in the cache."""

    def __init__(self, plan: Plan, last_pass: int) -> None:
        super().__init__(plan)
        self._near = near_step(last_pass)

    def process(self, element: tuple[int, Unit]) -> Iterator[int]:
        index, unit = element
        if index >= self._plan.num_older and self._signed.paths[index]:
            schema = index_schema(self._plan.params, unit) if self._plan.params.write_index else None
            work = DropsOfUnit(index, self._drops(index), self._signed, schema)
            run_unit(unit, work, self._plan.decided, Heartbeat())
            faults.reach("dedup:decided")
            yield index

    def _drops(self, index: int) -> np.ndarray:
        """Repeated ids, exact copies that point at what stays, and near copies of one unit."""
        files = self._plan.files
        repeats = files.read(REPEATS, index, DROP)
        exact = repeats["measure"] != REPEATED_ID
        units = np.unique(unit_of(repeats["kept"][exact])).tolist()
        near = files.read_all([(self._near, unit) for unit in units], DROP)
        return np.concatenate(
            [repeats[~exact], repoint(repeats[exact], by_ref(near)), files.read(self._near, index, DROP)]
        )


def count_measures(verified: Iterable[np.ndarray]) -> dict[str, int]:
    """How many verified pairs there are of each measure."""
    counts = np.zeros(len(MEASURES), np.int64)
    for pairs in verified:
        counts += np.bincount(pairs["measure"], minlength=len(MEASURES))
    return dict(zip(MEASURES, counts.tolist(), strict=True))
