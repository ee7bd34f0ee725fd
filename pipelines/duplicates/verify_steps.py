"""Candidate pairs on Beam: those worth a look -> the sets of their documents -> verified pairs -> who goes, by unit."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from pipelines.duplicates.answers import Packed, gathered
from pipelines.duplicates.decisions import by_ref
from pipelines.duplicates.plan import DOCUMENTS, Plan, Round
from pipelines.duplicates.references import (
    DROP,
    KEYED,
    MEASURES,
    PAIR,
    PLACE,
    VERIFIED,
    members_of,
    places_by,
    row_of,
    split_by,
    unit_of,
    unpack,
)  # fmt: skip
from pipelines.duplicates.search_steps import FINGERPRINTS, full_keys
from pipelines.duplicates.shingle_sets import ShingleSets
from pipelines.duplicates.signing import lists_arrays
from pipelines.duplicates.steps import REF, OnPlan, near_step
from pipelines.duplicates.survivors import Survivors, in_order, turned
from pipelines.duplicates.verify import Thresholds, may_be_contained, merge_pairs, verify_pairs, without
from pipelines.spine import faults
from pipelines.spine.errors import CorpusmillError

#: Ordered pairs that are decided at a time, 25 bytes each and 64 more as Python integers.
BLOCK_PAIRS = 1 << 18
DROPS_TOLD = 1 << 20
Question = tuple[int, bytes, bytes]  # the unit that asks, references whose sets it needs, and whose ranks alone


def candidates_step(number_of_pass: int) -> str:
    """The step of a pass's candidate pairs, PAIR records."""
    return f"candidates{number_of_pass}"


def verified_step(number_of_pass: int) -> str:
    """The step of a pass's verified pairs, VERIFIED records."""
    return f"verified{number_of_pass}"


def ordered_step(number_of_pass: int) -> str:
    """The step of a pass's pairs in order, by the number that `Preference.coarse` gives who may go; DROP records."""
    return f"ordered{number_of_pass}"


class GatherCandidates(OnPlan):
    """Number of a unit -> (unit, question) about all documents in the unit's pairs, which become a file.

    The verified pairs of earlier passes are ordered again with the new ones: of their documents the rank is asked.
    """

    def __init__(self, plan: Plan, passes: Sequence[Sequence[Round]]) -> None:
        super().__init__(plan)
        self._passes, self._pass = passes, len(passes) - 1

    def process(self, index: int) -> Iterator[tuple[int, Question]]:
        files, earlier = self._plan.files, range(self._pass)
        rounds = [(of.name, index) for rounds in self._passes for of in rounds]
        pairs = merge_pairs(files.read_all(rounds, PAIR))
        pairs = pairs[self._worth_verifying(index, pairs)]
        for number in earlier:
            pairs = without(pairs, files.read(candidates_step(number), index, PAIR))
        files.write(candidates_step(self._pass), index, pairs)
        known = files.read_all([(verified_step(number), index) for number in earlier], VERIFIED)
        with_sets = members_of(pairs)
        others = np.setdiff1d(members_of(known), with_sets)
        refs = np.concatenate([with_sets, others])
        for unit, places in places_by(unit_of(refs)):
            new = places < len(with_sets)
            yield unit, (index, refs[places[new]].tobytes(), refs[places[~new]].tobytes())

    def _worth_verifying(self, index: int, pairs: np.ndarray) -> np.ndarray:
        """Those that a band proposed, and those that may share enough fingerprints; bool ``[n_pairs]``."""
        table = self._plan.signed_table(index)
        if not len(pairs) or table is None:
            return np.zeros(len(pairs), bool)
        _, sizes = lists_arrays(table["fingerprints"])
        steps = [(full_keys(of, FINGERPRINTS), index) for of in self._passes[-1]]
        holders = row_of(self._plan.files.read_all(steps, KEYED)["ref"])
        full = np.bincount(holders, minlength=len(sizes))
        rows = row_of(pairs["a"])
        return may_be_contained(pairs, sizes[rows], full[rows])


class WriteSets(OnPlan):
    """(unit, questions) -> (who asks, PLACE), once the shingle sets of those documents lie in a file."""

    def __init__(self, plan: Plan, number_of_pass: int) -> None:
        super().__init__(plan)
        self._sets = ShingleSets(plan.files, number_of_pass)

    def process(self, element: tuple[int, Iterable[Question]]) -> Iterator[tuple[int, Packed]]:
        index, asked = element
        questions = list(asked)
        refs = np.unique(unpack((sets for _, sets, _ in questions), REF))
        others = np.setdiff1d(unpack((ranks for _, _, ranks in questions), REF), refs)
        known, rows = self._known(index, np.concatenate([refs, others]), PLACE, "row")
        if len(refs):
            rows_of_shard = rows["row"].to_numpy()[: len(refs)]
            path, size = self._plan.documents(index), self._plan.params.shingle_size
            starts, stops = self._sets.write(index, rows_of_shard, path, size)
            known.records["start"][: len(refs)], known.records["stop"][: len(refs)] = starts, stops
        known = known.distinct()
        for asker, sets, ranks in questions:
            wanted = unpack([sets, ranks], REF)
            yield asker, known.at(np.searchsorted(known.records["ref"], wanted)).packed()


class Verify(OnPlan):
    """(unit, PLACE) -> (number of a stretch of the order, turned pairs and PLACE), once its verified pairs lie in a file."""

    def __init__(self, plan: Plan, number_of_pass: int) -> None:
        super().__init__(plan)
        self._pass = number_of_pass

    def process(self, element: tuple[int, Iterable[Packed]]) -> Iterator[tuple[int, tuple[bytes, Packed]]]:
        index, answers = element
        params, files, preference = self._plan.params, self._plan.files, self._plan.preference
        thresholds = Thresholds(Fraction(str(params.threshold)), Fraction(str(params.containment_threshold)))
        known = gathered(answers, PLACE).distinct()
        pairs = files.read(candidates_step(self._pass), index, PAIR)
        earlier = files.read_all([(verified_step(number), index) for number in range(self._pass)], VERIFIED)
        if not len(pairs) and not len(earlier):
            raise CorpusmillError("candidate pairs of this search are gone", where=files.folder, hint="run again")
        verified = verify_pairs(pairs, known.records, ShingleSets(files, self._pass), thresholds)
        files.write(verified_step(self._pass), index, verified)
        faults.reach("dedup:verified")
        refs = known.records["ref"]
        found = turned(np.concatenate([verified, earlier]), refs, preference.rank(known))
        goes = np.searchsorted(refs, found["ref"])
        for stretch, places in places_by(preference.coarse(known)[goes]):
            part = found[places]
            members = np.unique(np.concatenate([part["ref"], part["kept"]]))
            yield stretch, (part.tobytes(), known.at(np.searchsorted(refs, members)).packed())


class Order(OnPlan):
    """(stretch of the order, turned pairs and PLACE) -> (nothing, the stretch), once the pairs lie in a file in order."""

    def __init__(self, plan: Plan, number_of_pass: int) -> None:
        super().__init__(plan)
        self._pass = number_of_pass

    def process(self, element: tuple[int, Iterable[tuple[bytes, Packed]]]) -> Iterator[tuple[None, int]]:
        stretch, parts = element
        packed, answers = zip(*parts, strict=True)
        known = gathered(answers, PLACE).distinct()
        pairs = in_order(unpack(packed, DROP), known.records["ref"], self._plan.preference.rank(known))
        self._plan.files.write(ordered_step(self._pass), stretch, pairs)
        yield None, stretch


class Resolve(OnPlan):
    """(nothing, stretches of the order) -> (unit, DROP) of who goes. One process goes through all pairs, in order.

    It holds a bit a document, a block of pairs, and a million drops, which it tells together: units are many.
    """

    def __init__(self, plan: Plan, number_of_pass: int) -> None:
        super().__init__(plan)
        self._pass = number_of_pass

    def process(self, element: tuple[None, Iterable[int]]) -> Iterator[tuple[int, bytes]]:
        files = self._plan.files
        survivors = Survivors(files.read(DOCUMENTS, 0, np.dtype("<i8")))
        found, num_found = [np.empty(0, DROP)], 0
        for stretch in sorted(element[1]):
            for pairs in files.blocks(ordered_step(self._pass), stretch, DROP, BLOCK_PAIRS):
                found.append(survivors.drops(pairs))
                num_found += len(found[-1])
                if num_found >= DROPS_TOLD:
                    yield from _by_unit(np.concatenate(found))
                    found, num_found = [], 0
        yield from _by_unit(np.concatenate([np.empty(0, DROP), *found]))


def _by_unit(drops: np.ndarray) -> Iterator[tuple[int, bytes]]:
    yield from split_by(unit_of(drops["ref"]), drops)


class WriteNear(OnPlan):
    """(unit, DROP of near copies) -> the unit's number, once they lie in a file, by reference."""

    def __init__(self, plan: Plan, number_of_pass: int) -> None:
        super().__init__(plan)
        self._pass = number_of_pass

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[int]:
        index, packed = element
        self._plan.files.write(near_step(self._pass), index, by_ref(unpack(packed, DROP)))
        faults.reach("dedup:resolved")
        yield index


def count_measures(verified: Iterable[np.ndarray]) -> dict[str, int]:
    """How many verified pairs there are of each measure."""
    counts = np.zeros(len(MEASURES), np.int64)
    for pairs in verified:
        counts += np.bincount(pairs["measure"], minlength=len(MEASURES))
    return dict(zip(MEASURES, counts.tolist(), strict=True))
