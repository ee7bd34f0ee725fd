"""Which of several copies stays: an order of documents that comes from their content, never from arrival.

Documents of an older corpus always stay. Among the others, by ``params.yaml: dedup.survivor``:

    longest          more characters first
    first_id         the smaller id first; numbers in ids count as numbers
    source_priority  the sources of ``dedup.source_priority`` in that order, then all others; in a source the longest

Equals are ordered by a digest of their id, so that no source, unit or file is preferred by its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.duplicates.references import SignedUnits, unit_of
from pipelines.duplicates.signing import fixed_lists_array
from pipelines.duplicates.text_units import I64, U64

ORDERS = ("longest", "first_id", "source_priority")


@dataclass(frozen=True)
class Preference:
    """The order in force.

    Args:
        order: one of ORDERS.
        priorities: of each unit in the plan, its source's place in the list of preferred sources.
        num_older: the first units of the plan, which an earlier run has decided.
    """

    order: str
    priorities: tuple[int, ...]
    num_older: int

    def rank(self, refs: U64, signed: SignedUnits) -> I64:
        """The place of each document in the order, int64 ``[n_refs]``, all different; 0 is preferred.

        Args:
            refs: distinct references.
            signed: the look-up of what is known of each document.
        """
        table = signed.take(refs, ["chars", "id_key", "doc_id"] if self.order == "first_id" else ["chars", "id_key"])
        tie = fixed_lists_array(table["id_key"])[:, 0]
        newer = unit_of(refs) >= self.num_older
        if self.order == "first_id":
            keys: Sequence[np.ndarray] = (refs, tie, _natural_order(table["doc_id"].to_pylist()), newer)
        else:
            longest = -table["chars"].to_numpy()
            priority = np.array(self.priorities, np.int64)[unit_of(refs)]
            keys = (refs, tie, longest, priority if self.order == "source_priority" else 0 * longest, newer)
        rank = np.empty(len(refs), np.int64)
        rank[np.lexsort(keys)] = np.arange(len(refs))  # the last key sorts first
        return rank


def priorities_of(sources: Sequence[str], preferred: Sequence[str]) -> tuple[int, ...]:
    """The place of each source in the list of preferred ones; those that it does not name come last.

    >>> priorities_of(["news", "wiki", "web"], ["wiki", "news"])
    (1, 0, 2)
    """
    place: Mapping[str, int] = {source: number for number, source in enumerate(preferred)}
    return tuple(place.get(source, len(preferred)) for source in sources)


def _natural_order(doc_ids: Sequence[str]) -> I64:
    """The place of each id among all, int64; ``s:9`` comes before ``s:10``."""
    order = sorted(range(len(doc_ids)), key=lambda number: _natural_key(doc_ids[number]))
    places = np.empty(len(doc_ids), np.int64)
    places[order] = np.arange(len(doc_ids))
    return places


def _natural_key(doc_id: str) -> tuple[str, bool, int, str]:
    source, _, key = doc_id.partition(":")
    number = int(key) if key.isascii() and key.isdecimal() and len(key) < 20 else -1
    return source, number < 0, number, key
