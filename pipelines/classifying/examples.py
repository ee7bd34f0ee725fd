"""Examples of two classes and of none: texts as features, and which of them train, are held back, or are only scored.

    FEATURE_ROWS of all units  ->  Examples  ->  divide  ->  Division (rows to train on, to measure by, to score)

A text is known by its hash. Of equal texts of a class one is used; a text of both classes says nothing and is left out.
All orders are those of the hashes, so files, units and workers change nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.cleaning.hashing import U64, mix64
from pipelines.cleaning.quality_model import Features
from pipelines.cleaning.text_table import ends_of

POSITIVE, NEGATIVE = "positive", "negative"
CLASSES = (POSITIVE, NEGATIVE)

#: A drawn document: the hash of its text, the beginning of the text, and its features.
FEATURE_ROWS = pa.schema(
    [
        pa.field("key", pa.uint64(), False),
        pa.field("language", pa.string(), False),
        pa.field("text", pa.string(), False),
        pa.field("indices", pa.list_(pa.field("item", pa.uint32(), False)), False),
        pa.field("counts", pa.list_(pa.field("item", pa.uint8(), False)), False),
    ]
)
FEATURE_COLUMNS = [name for name in FEATURE_ROWS.names if name != "text"]


@dataclass(frozen=True)
class Examples:
    """Texts by their features, all of one length."""

    keys: list[int]
    sources: list[str]
    languages: list[str]
    features: Features

    @classmethod
    def gather(cls, parts: Iterable[tuple[str, pa.RecordBatch]]) -> "Examples":
        """Those of some batches of `FEATURE_ROWS`, each with its source."""
        keys: list[int] = []
        sources: list[str] = []
        languages: list[str] = []
        lengths = [np.empty(0, np.int64)]
        indices, counts = [np.empty(0, np.uint32)], [np.empty(0, np.uint8)]
        for source, batch in parts:
            keys += batch.column("key").to_pylist()
            languages += batch.column("language").to_pylist()
            sources += [source] * batch.num_rows
            lengths.append(batch.column("indices").value_lengths().to_numpy().astype(np.int64))
            indices.append(batch.column("indices").flatten().to_numpy())
            counts.append(batch.column("counts").flatten().to_numpy())
        features = Features(ends_of(np.concatenate(lengths)), np.concatenate(indices), np.concatenate(counts))
        return cls(keys, sources, languages, features)


class Division(NamedTuple):
    """Rows of examples by what they are for, each list in the order of the texts' hashes."""

    train: dict[str, list[int]]  # by class
    held_out: dict[str, list[int]]  # by class
    scored: list[int]  # of sources of no class
    num_repeated: int
    num_in_both: int

    def measured(self) -> list[int]:
        """The rows that training has not seen."""
        return [*self.held_out[POSITIVE], *self.held_out[NEGATIVE], *self.scored]


def divide(examples: Examples, classes: Mapping[str, str], held_out_per_1000: int) -> Division:
    """What each example is for.

    Args:
        examples: of all sources.
        classes: of the sources that have one.
        held_out_per_1000: the share of the texts of a class that does not train, drawn by a second hash of the text.
    """
    # A class, or a source that has none, holds a text once.
    groups: dict[str, dict[int, int]] = {name: {} for name in CLASSES}
    for row in sorted(range(len(examples.keys)), key=lambda row: _place(examples, row)):
        source = examples.sources[row]
        groups.setdefault(classes.get(source, f"source {source}"), {}).setdefault(examples.keys[row], row)
    used = sum(map(len, groups.values()))
    both = groups[POSITIVE].keys() & groups[NEGATIVE].keys()
    train, held_out = {}, {}
    for name in CLASSES:
        rows = groups.pop(name)
        keys = [key for key in rows if key not in both]
        held = _held_out(keys, held_out_per_1000)
        train[name] = [rows[key] for key, out in zip(keys, held, strict=True) if not out]
        held_out[name] = [rows[key] for key, out in zip(keys, held, strict=True) if out]
    scored = [row for name in sorted(groups) for row in groups[name].values()]
    return Division(train, held_out, scored, len(examples.keys) - used, 2 * len(both))


def draw_keys(texts: Sequence[str]) -> U64:
    """The hash of each text, by which texts are drawn, ordered and told apart; uint64 ``[n_texts]``."""
    digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def last_drawn(wanted: int, number: int) -> int:
    """The largest key that is drawn, so that about the wanted number of texts are; all where they are no more, -1: none."""
    return (1 << 64) * min(wanted, number) // max(number, 1) - 1


def take_rows(features: Features, rows: Sequence[int]) -> Features:
    """The features of some texts."""
    lengths = np.diff(features.ends)[list(rows)]
    ends = ends_of(lengths)
    places = np.repeat(features.ends[:-1][list(rows)] - ends[:-1], lengths) + np.arange(ends[-1])
    return Features(ends, features.indices[places], features.counts[places])


def _place(examples: Examples, row: int) -> tuple[int, str, str]:
    return examples.keys[row], examples.sources[row], examples.languages[row]


def _held_out(keys: Sequence[int], per_1000: int) -> list[bool]:
    # The keys themselves are small numbers where few were drawn: scrambled, they are even again.
    held: list[bool] = (mix64(np.array(keys, np.uint64)) % np.uint64(1000) < per_1000).tolist()
    return held
