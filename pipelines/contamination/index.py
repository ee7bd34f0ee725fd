"""The index of evaluation sets: every window of their texts, sorted by hash, in a folder that workers map.

    [("lambada", texts), ...]  ->  build_index  ->  Index  ->  matches(units of documents)  ->  (start, length, text), ...

A text that is shorter than a window is there as a whole; where a document goes on as none of them begins is told by a
filter. A run that several texts hold is there once, for the first of them by set and item; which sets hold it is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.contamination.items import ItemText
from pipelines.contamination.windows import NgramSizes, UnitSums
from pipelines.duplicates.text_units import I64, U8, U64, TextUnits, unit_blocks

#: Bits of the filter for each hash: of 16 hashes of text that no set holds, one is looked up.
FILTER_BITS_PER_HASH = 16
MIN_FILTER_BITS, MAX_FILTER_BITS = 16, 32


@dataclass(frozen=True)
class Grams:
    """Runs of units to look for.

    Attributes:
        hashes: of the runs, ascending, each once, uint64.
        starts: where the run begins in the units of all texts, int64.
        stops: where it ends.
        sets: which sets hold it, a number into ``Index.set_groups``.
        filter: a bit for each value of the hashes' first bits: 0 where no hash begins so; packed, little-endian.
    """

    hashes: U64
    starts: I64
    stops: I64
    sets: I64
    filter: U8

    def candidates(self, hashes: U64) -> tuple[I64, I64]:
        """(place in ``hashes``, entry) of every pair of equal hashes, by place; no place has two."""
        places = np.flatnonzero(may_be_there(self.filter, hashes))
        entries = np.searchsorted(self.hashes, hashes[places])
        there = self.hashes.take(entries, mode="clip") == hashes[places] if len(self.hashes) else np.zeros(0, bool)
        return places[there], entries[there]


class Matches(NamedTuple):
    """Runs of units of documents that a set holds too: first unit, one past the last, text and sets of the index."""

    starts: I64
    stops: I64
    texts: I64
    sets: I64


@dataclass(frozen=True)
class Index:
    """What is looked for.

    Attributes:
        sizes: of the windows.
        set_names: ascending.
        set_groups: the sets that hold a run together, as numbers of ``set_names``.
        texts: columns set (a number) and item of each text.
        text_ends: the units of text t are ``text_ends[t] : text_ends[t + 1]``.
        letters: the folded letters of all units, end to end.
        letter_ends: those of unit u are ``letter_ends[u] : letter_ends[u + 1]``.
        full: windows.
        short: whole texts that are shorter.
        openings: a filter, as in ``Grams``, of the lightest windows with which the short ones begin.
        short_lengths: their lengths in units, ascending.
    """

    sizes: NgramSizes
    set_names: tuple[str, ...]
    set_groups: tuple[tuple[int, ...], ...]
    texts: pa.Table
    text_ends: I64
    letters: U8
    letter_ends: I64
    full: Grams
    short: Grams
    openings: U8
    short_lengths: I64

    def matches(self, units: TextUnits) -> Matches:
        """Every window of the documents that a set holds, and every short text whole, sorted by where it begins."""
        sums = UnitSums(units, self.sizes)
        stops = sums.stops(self.sizes.full)
        starts = np.flatnonzero(stops <= sums.text_stops)
        found = [self._matches(units, sums, self.full, starts, stops[starts])]
        if len(self.short_lengths):
            stops = sums.stops(self.sizes.least)
            starts = np.flatnonzero(stops <= sums.text_stops)
            starts = starts[may_be_there(self.openings, sums.hashes(starts, stops[starts]))]
            for length in self.short_lengths.tolist():
                inside = starts[starts + length <= sums.text_stops[starts]]
                found.append(self._matches(units, sums, self.short, inside, inside + length))
        joined = Matches(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        order = np.argsort(joined.starts, kind="stable")
        return Matches(*(part[order] for part in joined))

    def _matches(self, units: TextUnits, sums: UnitSums, grams: Grams, starts: I64, stops: I64) -> Matches:
        """Those of the runs ``[start, stop)`` of the documents that are among the grams, unit by unit."""
        places, entries = grams.candidates(sums.hashes(starts, stops))
        starts, lengths = starts[places], (stops - starts)[places]
        alike = lengths == grams.stops[entries] - grams.starts[entries]
        starts, lengths, entries = starts[alike], lengths[alike], entries[alike]
        same = self._are_same(units, starts, grams.starts[entries], lengths)
        starts, lengths, entries = starts[same], lengths[same], entries[same]
        texts = np.searchsorted(self.text_ends, grams.starts[entries], side="right") - 1
        return Matches(starts, starts + lengths, texts, grams.sets[entries])

    def _are_same(self, units: TextUnits, starts: I64, others: I64, lengths: I64) -> npt.NDArray[np.bool_]:
        """Whether the units of documents from each start on are those of the index from ``others`` on, letter by letter.

        Neighbouring windows share most of their units: each pair of units is compared once.
        """
        if not len(starts):
            return np.empty(0, bool)
        order = np.lexsort((starts, starts - others))
        first, other, stop = starts[order], others[order], (starts + lengths)[order]
        opens = np.ones(len(order), bool)
        opens[1:] = ((first - other)[1:] != (first - other)[:-1]) | (first[1:] > stop[:-1])
        heads = np.flatnonzero(opens)
        sizes = np.maximum.reduceat(stop, heads) - first[heads]
        differs = ~self._are_same_units(units, _ranges(first[heads], sizes), _ranges(other[heads], sizes))
        num_different = np.concatenate([[0], np.cumsum(differs)])
        run = np.cumsum(opens) - 1
        offset = (np.cumsum(sizes) - sizes)[run] + first - first[heads][run]
        same = np.empty(len(order), bool)
        same[order] = num_different[offset + stop - first] == num_different[offset]
        return same

    def _are_same_units(self, units: TextUnits, mine: I64, theirs: I64) -> npt.NDArray[np.bool_]:
        lengths = units.stops[mine] - units.starts[mine]
        same = lengths == self.letter_ends[theirs + 1] - self.letter_ends[theirs]
        lengths, left, right = lengths[same], units.starts[mine[same]], self.letter_ends[theirs[same]]
        if len(lengths):
            equal = units.folded[_ranges(left, lengths)] == self.letters[_ranges(right, lengths)]
            same[same] = np.logical_and.reduceat(equal, np.cumsum(lengths) - lengths)
        return same


@dataclass
class Coverage:
    """How many texts of a set are looked for; ``unchecked`` are too short, and of items those without any other text."""

    texts: int = 0
    texts_unchecked: int = 0
    items: int = 0
    items_unchecked: int = 0


def build_index(sets: Sequence[tuple[str, Sequence[ItemText]]], sizes: NgramSizes) -> tuple[Index, dict[str, Coverage]]:
    """The index of the sets, and how much of each it holds.

    Args:
        sets: (name, texts) of each, in any order; names differ.
        sizes: how much text must be shared.
    """
    sets = sorted(sets, key=lambda one: one[0])
    set_names = tuple(name for name, _ in sets)
    numbered = [(number, text) for number, (_, texts) in enumerate(sets) for text in texts]
    gathered = _Gathered(sizes)
    for _, _, units in unit_blocks([text.text for _, text in numbered]):
        gathered.add(units)
    set_of_text = np.array([number for number, _ in numbered], np.int64)
    items = pa.array([text.item for _, text in numbered], pa.string())
    texts = pa.table({"set": pa.array(set_of_text, pa.int32()), "item": items})
    text_ends = _ends(gathered.num_units)
    groups: dict[tuple[int, ...], int] = {(number,): number for number in range(len(sets))}
    full, short = (_grams(*_joined(part), set_of_text, text_ends, groups) for part in (gathered.full, gathered.short))
    letters = np.concatenate([np.empty(0, np.uint8), *gathered.letters])
    openings = hash_filter(np.concatenate([np.empty(0, np.uint64), *gathered.openings]))
    lengths = np.unique(short.stops - short.starts)
    index = Index(
        sizes, set_names, tuple(groups), texts, text_ends, letters, _ends(gathered.lengths), full, short, openings, lengths
    )  # fmt: skip
    return index, _coverage(set_names, numbered, np.concatenate([np.empty(0, bool), *gathered.checked]))


class _Gathered:
    """What the texts of all sets hold, block by block."""

    def __init__(self, sizes: NgramSizes) -> None:
        self._sizes, self._first = sizes, 0
        self.letters: list[U8] = []
        self.lengths: list[I64] = []
        self.num_units: list[I64] = []
        self.checked: list[npt.NDArray[np.bool_]] = []
        self.full: list[tuple[U64, I64, I64]] = []
        self.short: list[tuple[U64, I64, I64]] = []
        self.openings: list[U64] = []

    def add(self, units: TextUnits) -> None:
        sums = UnitSums(units, self._sizes)
        self.letters.append(units.folded[units.folded != 0])
        self.lengths.append(units.stops - units.starts)
        self.num_units.append(np.diff(units.text_ends))
        weights = sums.weight[units.text_ends[1:]] - sums.weight[units.text_ends[:-1]]
        self.checked.append(weights >= self._sizes.least)
        stops = sums.stops(self._sizes.full)
        starts = np.flatnonzero(stops <= sums.text_stops)
        self.full.append((sums.hashes(starts, stops[starts]), starts + self._first, stops[starts] + self._first))
        short = np.flatnonzero((weights >= self._sizes.least) & (weights < self._sizes.full))
        starts, stops = units.text_ends[short], units.text_ends[short + 1]
        self.short.append((sums.hashes(starts, stops), starts + self._first, stops + self._first))
        self.openings.append(sums.hashes(starts, sums.stops(self._sizes.least)[starts]))
        self._first += len(units.starts)


def _joined(parts: list[tuple[U64, I64, I64]]) -> tuple[U64, I64, I64]:
    none = (np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
    hashes, starts, stops = (np.concatenate(columns) for columns in zip(none, *parts, strict=True))
    return hashes, starts, stops


def _grams(
    hashes: U64, starts: I64, stops: I64, set_of_text: I64, text_ends: I64, groups: dict[tuple[int, ...], int]
) -> Grams:
    """Runs with the same hash become one, the first; ``groups`` grows by the groups of sets that are new."""
    order = np.lexsort((starts, hashes))
    heads = np.ones(len(order), bool)
    heads[1:] = hashes[order][1:] != hashes[order][:-1]
    group_of = np.cumsum(heads) - 1
    sets = set_of_text[np.searchsorted(text_ends, starts[order], side="right") - 1]
    pairs = np.unique(np.stack([group_of, sets], axis=1), axis=0)
    chosen = order[heads]
    of_entry = set_of_text[np.searchsorted(text_ends, starts[chosen], side="right") - 1]
    several = np.flatnonzero(np.bincount(pairs[:, 0], minlength=len(chosen)) > 1)
    for entry in several.tolist():
        first, last = np.searchsorted(pairs[:, 0], [entry, entry + 1])
        of_entry[entry] = groups.setdefault(tuple(pairs[first:last, 1].tolist()), len(groups))
    return Grams(hashes[chosen], starts[chosen], stops[chosen], of_entry, hash_filter(hashes[chosen]))


def hash_filter(hashes: U64) -> U8:
    """The filter of ``Grams``; its length is a power of two."""
    num_bits = max(FILTER_BITS_PER_HASH * len(hashes) - 1, 0).bit_length()
    num_bits = min(max(num_bits, MIN_FILTER_BITS), MAX_FILTER_BITS)
    taken = np.zeros(1 << num_bits, bool)
    taken[(hashes >> np.uint64(64 - num_bits)).astype(np.int64)] = True
    return np.packbits(taken, bitorder="little")


def may_be_there(taken: U8, hashes: U64) -> npt.NDArray[np.bool_]:
    """False for hashes that are certainly not among those of which the filter was made."""
    shift = np.uint64(64 - (len(taken) * 8).bit_length() + 1)
    slots = (hashes >> shift).astype(np.int64)
    return ((taken[slots >> 3] >> (slots & 7).astype(np.uint8)) & 1).astype(bool)


def _coverage(
    set_names: Sequence[str], numbered: Sequence[tuple[int, ItemText]], checked: npt.NDArray[np.bool_]
) -> dict[str, Coverage]:
    coverage = {name: Coverage() for name in set_names}
    items: dict[tuple[int, str], bool] = {}
    for (number, text), is_checked in zip(numbered, checked.tolist(), strict=True):
        of_set, key = coverage[set_names[number]], (number, text.item)
        of_set.texts += 1
        of_set.texts_unchecked += not is_checked
        items[key] = items.get(key, False) or is_checked
    for (number, _), is_checked in items.items():
        coverage[set_names[number]].items += 1
        coverage[set_names[number]].items_unchecked += not is_checked
    return coverage


def _ends(sizes: Sequence[I64]) -> I64:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([np.empty(0, np.int64), *sizes]))])


def _ranges(starts: I64, sizes: I64) -> I64:
    """``[starts[0], starts[0] + 1, ...]``, each run of its size, end to end."""
    firsts = np.cumsum(sizes) - sizes
    return np.repeat(starts - firsts, sizes) + np.arange(int(sizes.sum()))
