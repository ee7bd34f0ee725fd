"""The order of training rows as a pure function of (seed, index): source weights included, no state, no list.

    Order(seed, ((source, rows of a shard), ...), {source: weight})  ->  row(index), rows(first, count), places(row, epoch)

Any process computes any step alone, and a resumed run needs nothing but the number of consumed samples. In full, with
a table to check another implementation against: ``docs/order.md``. In short, for an epoch of ``num_slots`` slots:

  shares   source s has share_s = round_half_up(weight_s * rows_s) slots, at least 1 unless its weight is 0; its slots
           begin where those of the source before it end, sources in the order in which they appear among the shards
  slot     of place k in the epoch: ``permutation.row_at(seed, epoch, k, num_slots)``
  draw     slot j of its source is the source's draw g = epoch * share_s + j, counted since training began
  row      of the source, numbered through its shards: g % rows_s where share_s is a multiple of rows_s; else draws
           run through a permutation of its own: pass, at = divmod(g, rows_s); row_at(seed_s, pass, at, rows_s)

So a source with weight 0.5 shows each row once in two epochs, with weight 2 twice an epoch, and after any epoch the
rows of a source were shown equally often, give or take one. With all weights 1 an epoch is a permutation of all rows.

Worked example, seed 0, source a of rows 0 1 2, b of rows 3 4 5 6, weights a: 2, b: 0.5 (6 + 2 = 8 slots an epoch):
epoch 0 is 4 2 1 0 1 3 2 0, epoch 1 is 0 6 1 0 5 1 2 2.
"""

import functools
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pipelines.spine.errors import CorpusmillError
from train.permutation import Numbers, place_of, row_at, rows_at

WHERE = "params.yaml: pretrain.source_weights"
#: Slots of an epoch: the permutation and numpy's integers have room.
MAX_SLOTS = 1 << 62


def check_weights(weights: Mapping[str, float]) -> None:
    """Passes when every weight is a number from 0 on; needs no shards.

    Raises:
        CorpusmillError: one is negative, infinite or no number.
    """
    for source, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise CorpusmillError(
                "no weight of a source", where=f"{WHERE}.{source}", expected="0 or more; 0 leaves the source out",
                got=weight,
            )  # fmt: skip


def share_of(weight: float, num_rows: int) -> int:
    """Slots of a source in an epoch: weight * rows, a half rounded up; at least 1 unless the weight is 0.

    The weight is the decimal number that was written, so no binary fraction decides where 0.35 of 10 rows rounds to.
    """
    exact = Fraction(repr(float(weight))) * num_rows
    return max(math.floor(exact + Fraction(1, 2)), 1) if exact else 0


def source_seed(seed: int, source: str) -> int:
    """The seed of the source's own permutation: its name decides, not the company that it is in."""
    return (seed + int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "little")) % (1 << 64)


@dataclass(frozen=True)
class Order:
    """Which row of a split is the ``index``-th sample of training.

    Args:
        seed: >= 0, below 2**64.
        shards: (source, rows) of each shard, in the order of the split's rows.
        weights: source -> weight; a source that is not named has 1.
    Raises:
        CorpusmillError: a weight is none, names a source that is not there, or no slot is left.
    """

    seed: int
    shards: tuple[tuple[str, int], ...]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        check_weights(self.weights)
        known = [lane.source for lane in self.lanes]
        for source in self.weights:
            if source not in known:
                raise CorpusmillError(
                    f"there are no train rows of source {source}", where=WHERE, expected=" | ".join(known), got=source
                )
        if not 0 < self.num_slots <= MAX_SLOTS:
            got = f"{Decimal(self.num_slots).normalize():.4g}"
            raise CorpusmillError(
                "an epoch without rows, or with too many", where=WHERE, expected=f"1 to {MAX_SLOTS:,} rows", got=got,
                hint="weights say how often an epoch shows a row: most are between 0 and 10",
            )  # fmt: skip

    @functools.cached_property
    def lanes(self) -> tuple["_Lane", ...]:
        """The sources with rows, in the order in which they appear."""
        runs: dict[str, list[tuple[int, int]]] = {}
        first_row = 0
        for source, num_rows in self.shards:
            runs.setdefault(source, []).append((first_row, num_rows))
            first_row += num_rows
        lanes, first_slot = [], 0
        for source, found in runs.items():
            num_rows = sum(rows for _, rows in found)
            share = share_of(self.weights.get(source, 1.0), num_rows)
            if num_rows:
                lanes.append(_Lane(source, source_seed(self.seed, source), tuple(found), num_rows, share, first_slot))
            first_slot += share
        return tuple(lanes)

    @property
    def num_slots(self) -> int:
        """Rows that an epoch shows, repeated ones counted each time."""
        return sum(lane.share for lane in self.lanes)

    def row(self, index: int) -> int:
        """The row of the ``index``-th sample since training began: O(log sources + log shards)."""
        epoch, k = divmod(index, self.num_slots)
        slot = row_at(self.seed, epoch, k, self.num_slots)
        lane = self.lanes[int(np.searchsorted(self._slot_ends, slot, side="right"))]
        return lane.row_of(epoch, slot - lane.first_slot)

    def rows(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """``row`` of the samples ``first`` to ``first + count - 1``: a step's global batch, int64 ``[count]``."""
        epochs, places = np.divmod(np.uint64(first) + np.arange(count, dtype=np.uint64), np.uint64(self.num_slots))
        slots = rows_at(self.seed, epochs, places, self.num_slots)
        which = np.searchsorted(self._slot_ends, slots.astype(np.int64), side="right")
        rows = np.empty(count, np.int64)
        for number in np.unique(which):
            lane, mine = self.lanes[number], which == number
            rows[mine] = lane.rows_of(epochs[mine], slots[mine] - np.uint64(lane.first_slot))
        return rows

    def places(self, row: int, epoch: int) -> list[int]:
        """The places of the epoch that show ``row``, ascending: about as many as its source's weight, or none.

        The sample with the number ``epoch * num_slots + place`` is that row.

        Raises:
            ValueError: there is no such row.
        """
        for lane in self.lanes:
            if (local := lane.local_of(row)) is not None:
                slots = [lane.first_slot + j for j in lane.slots_of(epoch, local)]
                return sorted(place_of(self.seed, epoch, slot, self.num_slots) for slot in slots)
        raise ValueError(f"row {row} of {sum(rows for _, rows in self.shards)} rows")

    @functools.cached_property
    def _slot_ends(self) -> npt.NDArray[np.int64]:
        return np.cumsum([lane.share for lane in self.lanes])


@dataclass(frozen=True)
class _Lane:
    """One source: its rows in the split, its slots in an epoch, and the row of each draw.

    Attributes:
        runs: (first row in the split, rows) of each of its shards.
        share: slots an epoch, from ``first_slot`` on.
    """

    source: str
    seed: int
    runs: tuple[tuple[int, int], ...]
    num_rows: int
    share: int
    first_slot: int

    @property
    def whole(self) -> bool:
        """Whether an epoch shows all rows equally often: then the slots' permutation shuffles enough."""
        return self.share % self.num_rows == 0

    @functools.cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return np.cumsum([rows for _, rows in self.runs])

    @functools.cached_property
    def _shifts(self) -> npt.NDArray[np.int64]:
        """By run: the row in the split minus the row in the source."""
        firsts, rows = np.array(self.runs, np.int64).T
        return firsts + rows - self._ends

    def row_of(self, epoch: int, j: int) -> int:
        """The row in the split of the epoch's ``j``-th slot of this source."""
        turn, local = divmod(epoch * self.share + j, self.num_rows)
        if not self.whole:
            local = row_at(self.seed, turn, local, self.num_rows)
        return local + int(self._shifts[np.searchsorted(self._ends, local, side="right")])

    def rows_of(self, epochs: Numbers, js: Numbers) -> npt.NDArray[np.int64]:
        """``row_of`` of many pairs."""
        turns, locals_ = np.divmod(epochs * np.uint64(self.share) + js, np.uint64(self.num_rows))
        if not self.whole:
            locals_ = rows_at(self.seed, turns, locals_, self.num_rows)
        found = locals_.astype(np.int64)
        return found + self._shifts[np.searchsorted(self._ends, found, side="right")]

    def local_of(self, row: int) -> int | None:
        """The number in the source of a row of the split; None when it belongs to another."""
        starts = [first for first, _ in self.runs]
        run = int(np.searchsorted(starts, row, side="right")) - 1
        if run < 0 or row >= self.runs[run][0] + self.runs[run][1]:
            return None
        return row - int(self._shifts[run])

    def slots_of(self, epoch: int, local: int) -> list[int]:
        """The slots of this source in the epoch that show its row ``local``."""
        first, end = epoch * self.share, (epoch + 1) * self.share
        found = []
        for turn in range(first // self.num_rows, -(-end // self.num_rows)):
            at = local if self.whole else place_of(self.seed, turn, local, self.num_rows)
            if first <= (draw := turn * self.num_rows + at) < end:
                found.append(draw - first)
        return found
