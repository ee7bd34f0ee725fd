"""Keys of one band for any number of documents, a partition at a time, with the pairs that share one known by arithmetic.

    fresh documents      each with a key of its own: nine tenths
    copies               one to three of one document in 18. A copy shares the key of its original with p = 0.59, as one
                         of similarity 0.9 shares a band of five rows; otherwise it has a key of its own
    documents of templates   2,000 with one key: full buckets

Nothing is stored: a key is a hash of the number of the document that owns it, and that number says its partition.
"""

import math
from dataclasses import dataclass

import numpy as np

from pipelines.duplicates.references import KEYED, UNIT_SHIFT, row_of, unit_of
from pipelines.duplicates.text_units import I64, U64

DOCUMENTS_PER_UNIT = 100_000
COPIES_PER_10, TEMPLATE_DOCUMENTS, TEMPLATES_PER_BILLION = 1, 2_000, 1_000
SHARES = int(0.9**5 * 2**64)
SEED = 17


def mix(values: U64, salt: int) -> U64:
    """64 well-mixed bits of each value; another function for each salt (splitmix64's finalizer, a bijection)."""
    mixed = values + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


@dataclass(frozen=True)
class Round:
    """The keys of one band. Documents are numbered: the fresh ones first, then copies, then those of templates.

    Copies come in sixes: the first is the only one of its original, the next two share one, the last three another.

    Attributes:
        num_documents: in all.
        num_partitions: of the keys.
    """

    num_documents: int
    num_partitions: int

    @property
    def num_templates(self) -> int:
        return self.num_documents * TEMPLATES_PER_BILLION // 10**9

    @property
    def num_copies(self) -> int:
        return self.num_documents * COPIES_PER_10 // 60 * 6

    @property
    def num_fresh(self) -> int:
        return self.num_documents - self.num_copies - self.num_templates * TEMPLATE_DOCUMENTS

    def partition(self, number: int) -> tuple[np.ndarray, I64]:
        """KEYED records of a partition in an order that says nothing, and its planted pairs of documents ``[n, 2]``.

        The owner of a key decides its partition: the number of the original, or the copy, or the template, modulo the
        number of partitions.
        """
        fresh = np.arange(number, self.num_fresh, self.num_partitions, dtype=np.int64)
        originals, copies = self._copies_of(fresh)
        shares = self._shares(copies)
        originals, copies = originals[shares], copies[shares]
        alone = self.num_fresh + np.arange(number, self.num_copies, self.num_partitions, dtype=np.int64)
        alone = alone[~self._shares(alone)]
        templates = np.arange(number, self.num_templates, self.num_partitions, dtype=np.int64)
        first = self.num_fresh + self.num_copies + templates * TEMPLATE_DOCUMENTS
        alike = (first[:, None] + np.arange(TEMPLATE_DOCUMENTS)).reshape(-1)
        owners = np.concatenate([fresh, originals, alone, np.repeat(first, TEMPLATE_DOCUMENTS)])
        documents = np.concatenate([fresh, copies, alone, alike])
        records = np.empty(len(documents), KEYED)
        records["key"], records["ref"] = self._keys(owners, number), refs_of(documents)
        return records[np.argsort(mix(documents.astype(np.uint64), SEED + 2))], _pairs(originals, copies)

    def template_of(self, documents: I64) -> I64:
        """The template of each document; -1 for those of none."""
        place = documents - self.num_fresh - self.num_copies
        return np.where(place < 0, -1, place // TEMPLATE_DOCUMENTS)

    def _copies_of(self, fresh: I64) -> tuple[I64, I64]:
        """Originals among the fresh documents, each as often as it has copies, and these; by original, then ascending."""
        # A permutation of the fresh documents, so that copies and originals lie anywhere: the first ones have copies.
        place = fresh * pow(self._step, -1, self.num_fresh) % self.num_fresh
        has = place < self.num_copies // 2
        place, fresh = place[has], fresh[has]
        number = 1 + place % 3
        begin = np.cumsum(number) - number
        within = np.arange(number.sum()) - np.repeat(begin, number)
        first = self.num_fresh + place // 3 * 6 + np.array([0, 1, 3])[place % 3]
        return np.repeat(fresh, number), np.repeat(first, number) + within

    @property
    def _step(self) -> int:
        """Has no divisor in common with the number of fresh documents."""
        step = int(self.num_fresh * 0.618)
        while math.gcd(step, self.num_fresh) != 1:
            step += 1
        return step

    def _shares(self, copies: I64) -> np.ndarray:
        return mix(copies.astype(np.uint64), SEED + 1) < np.uint64(SHARES)

    def _keys(self, owners: I64, number: int) -> U64:
        keys = mix(owners.astype(np.uint64), SEED)
        keys -= keys % np.uint64(self.num_partitions)
        return keys + np.uint64(number)


def _pairs(originals: I64, copies: I64) -> I64:
    """All pairs of documents with one key: original and copy, and two copies of one original; ``[n, 2]``."""
    found = [np.stack([originals, copies], axis=1)]
    for distance in (1, 2):
        same = originals[distance:] == originals[:-distance]
        found.append(np.stack([copies[:-distance][same], copies[distance:][same]], axis=1))
    return np.concatenate(found)


def refs_of(documents: I64) -> U64:
    """References, as if units of `DOCUMENTS_PER_UNIT` held the documents in the order of their numbers."""
    units, rows = np.divmod(documents.astype(np.uint64), np.uint64(DOCUMENTS_PER_UNIT))
    return units << np.uint64(UNIT_SHIFT) | rows


def documents_of(refs: U64) -> I64:
    """The other way round."""
    return unit_of(refs) * DOCUMENTS_PER_UNIT + row_of(refs)
