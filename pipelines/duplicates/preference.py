"""Which of several copies stays: an order of documents that comes from their content, never from arrival.

Documents of an older corpus always stay. Among the others, by ``params.yaml: dedup.survivor``:

    longest          more characters first
    first_id         the smaller id first; numbers in ids count as numbers
    source_priority  the sources of ``dedup.source_priority`` in that order, then all others; in a source the longest

Equals are ordered by a digest of their id, so that no source, unit or file is preferred by its name.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.duplicates.answers import Known
from pipelines.duplicates.references import size_class, unit_of
from pipelines.duplicates.text_units import I64, U64

ORDERS = ("longest", "first_id", "source_priority")


@dataclass(frozen=True)
class Preference:
    """The order in force.

    Args:
        order: one of ORDERS.
        priorities: of each unit in the plan, its source's place in the list of preferred sources; none where another
            order is in force.
        num_older: the first units of the plan, which an earlier run has decided.
        sources: of the plan, ascending; none where another order than that of ids is in force.
    """

    order: str
    priorities: tuple[int, ...]
    num_older: int
    sources: tuple[str, ...] = ()

    @property
    def wants_ids(self) -> bool:
        """Whether the ids themselves are part of the order."""
        return self.order == "first_id"

    def rank(self, known: Known) -> I64:
        """The place of each document in the order, int64 ``[n_documents]``, all different; 0 is preferred."""
        records = known.records
        refs, tie = records["ref"], records["tie"]
        newer = unit_of(refs) >= self.num_older
        if self.wants_ids:
            keys: Sequence[np.ndarray] = (refs, tie, _natural_order(known.ids), newer)
        else:
            longest = -records["chars"].astype(np.int64)
            keys = (refs, tie, longest, self._priority(refs), newer)
        rank = np.empty(len(refs), np.int64)
        rank[np.lexsort(keys)] = np.arange(len(refs))  # the last key sorts first
        return rank

    def coarse(self, known: Known) -> I64:
        """A number for each document that never falls as its place in the order grows; there are few different ones."""
        refs = known.records["ref"]
        newer = (unit_of(refs) >= self.num_older).astype(np.int64)
        if self.wants_ids:
            within = np.array([_coarse_id(doc_id, self.sources) for doc_id in known.ids], np.int64)
        else:
            within = self._priority(refs) << 8 | 255 - size_class(known.records["chars"]).astype(np.int64)
        return newer << 40 | within

    def _priority(self, refs: U64) -> I64:
        if self.order != "source_priority":
            return np.zeros(len(refs), np.int64)
        return np.array(self.priorities, np.int64)[unit_of(refs)]


def priorities_of(sources: Sequence[str], preferred: Sequence[str]) -> tuple[int, ...]:
    """The place of each source in the list of preferred ones; those that it does not name come last.

    >>> priorities_of(["news", "wiki", "web"], ["wiki", "news"])
    (1, 0, 2)
    """
    place: Mapping[str, int] = {source: number for number, source in enumerate(preferred)}
    return tuple(place.get(source, len(preferred)) for source in sources)


def _natural_order(doc_ids: Sequence[str]) -> I64:
    """The place of each id among all, int64, the same for equal ids; ``s:9`` comes before ``s:10``."""
    places = {doc_id: place for place, doc_id in enumerate(sorted(set(doc_ids), key=_natural_key))}
    return np.array([places[doc_id] for doc_id in doc_ids], np.int64)


def _natural_key(doc_id: str) -> tuple[str, bool, int, str]:
    source, _, key = doc_id.partition(":")
    number = int(key) if key.isascii() and key.isdecimal() and len(key) < 20 else -1
    return source, number < 0, number, key


def _coarse_id(doc_id: str, sources: Sequence[str]) -> int:
    """A number below 2**40 that never falls in the order of ids: by source, then by how long the number is.

    What is no number comes after all numbers of its source, by its first byte. Ids of a source that is not known (a
    foreign file may name it otherwise than its documents do) stand between those that are, by its first two bytes.
    """
    source, no_number, number, key = _natural_key(doc_id)
    place = bisect.bisect_left(sources, source)
    known = place < len(sources) and sources[place] == source
    if not known:
        within = int.from_bytes(source.encode()[:2].ljust(2, b"\0"), "big")
    elif no_number:
        within = 1 << 15 | int.from_bytes(key.encode()[:1].ljust(1, b"\0"), "big")
    else:
        within = number.bit_length()
    return (2 * place + known) << 16 | within
