"""What units tell one another of their documents: packed records, and ids where they are asked for.

A question is the references of some documents, sent to their unit; the answer comes back under the unit or the partition
that needs it. So a worker opens the signed rows of the unit that it is working on and no other ones, wherever those lie:
of a corpus of terabytes no worker holds more than a unit.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from pipelines.duplicates.references import places_by

#: What crosses a shuffle: packed records, and an id for each or none at all.
Packed: TypeAlias = tuple[bytes, list[str]]


class Known(NamedTuple):
    """What is known of some documents: records that begin with their references, and the id of each, or no ids."""

    records: np.ndarray
    ids: list[str]

    def packed(self) -> Packed:
        """As it crosses a shuffle."""
        return self.records.tobytes(), self.ids

    def at(self, places: np.ndarray) -> "Known":
        """The documents at those places, int64."""
        return Known(self.records[places], [self.ids[place] for place in places.tolist()] if self.ids else [])

    def by(self, groups: np.ndarray) -> Iterator[tuple[int, "Known"]]:
        """(group, the documents of it), ascending; ``groups`` are int64, one a document."""
        for group, places in places_by(groups):
            yield group, self.at(places)

    def distinct(self) -> "Known":
        """Each document once, ascending by reference."""
        return self.at(np.unique(self.records["ref"], return_index=True)[1])


def gathered(answers: Iterable[Packed], dtype: np.dtype) -> Known:
    """All answers together, in no particular order: sort before use."""
    parts = list(answers)
    return Known(
        np.frombuffer(b"".join(packed for packed, _ in parts), dtype), [name for _, ids in parts for name in ids]
    )
