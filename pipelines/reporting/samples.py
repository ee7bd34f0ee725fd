"""Examples for a reader: a few of what was dropped or quarantined, cut short and safe to show.

Which ones are shown is drawn by a hash of their ids: the same on every run, and no source's first lines only.
"""

import hashlib
import heapq
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.spine.shards import read_batches

#: A quarantined record is kept as bytes; four for every character shown are enough.
BYTES_PER_CHAR = 4


@dataclass(frozen=True)
class Example:
    """One record that did not come out.

    Attributes:
        name: its doc_id, or where it lay.
        why: the rule's value and threshold, or the error.
        text: cut to what is shown; "" where the evidence has none.
    """

    name: str
    why: str
    text: str


@dataclass
class Evidence:
    """What lies in a stage's ``dropped`` or ``quarantined`` folder: rows by reason, and some examples of each."""

    rows: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)


def excerpt(text: str, limit: int) -> str:
    """The text's first ``limit`` characters, never ending inside a composed character, ``…`` where it was cut.

    Control characters become their pictures, so that the page shows what is there.

    >>> excerpt("a\\x00bcd", 3)
    'a␀b…'
    """
    end = len(text)
    if end > limit:
        end = limit
        while end and (unicodedata.combining(text[end]) or text[end] in "\u200d\ufe0f" or text[end - 1] == "\u200d"):
            end -= 1
    shown = "".join(_picture(char) for char in text[:end])
    return shown if end == len(text) else f"{shown}…"


def read_evidence(paths: Iterable[Path], kind: str, examples: int, limit: int) -> Evidence:
    """The rows and examples of evidence files.

    Args:
        paths: Parquet files of one stage.
        kind: ``dropped`` (column rule) or ``quarantined`` (column reason); reasons are named ``<kind>.<reason>``.
        examples: how many to keep of each reason; those with a text before those whose text was not kept.
        limit: characters of text to show.
    """
    evidence = Evidence()
    drawn: dict[str, list[tuple[bool, int, str, Example]]] = {}
    for path in paths:
        for row in _rows(path):
            reason = f"{kind}.{row['rule' if kind == 'dropped' else 'reason']}"
            example = _dropped(row, limit) if kind == "dropped" else _quarantined(row, limit)
            evidence.rows[reason] += 1
            held = drawn.setdefault(reason, [])
            # Negated, so that the heap's smallest is the one with the largest hash: the next to go.
            heapq.heappush(held, (bool(example.text), -lot(example.name), example.name, example))
            if len(held) > examples:
                heapq.heappop(held)
    for reason in sorted(drawn):
        evidence.examples[reason] = [
            example for *_, example in sorted(drawn[reason], key=lambda entry: (not entry[0], -entry[1], entry[2]))
        ]
    return evidence


def _rows(path: Path) -> Iterator[dict]:
    for batch in read_batches(path):
        yield from batch.to_pylist()


def _dropped(row: Mapping[str, str], limit: int) -> Example:
    why = f"{row['value']}, dropped if {row['threshold']}" if row["threshold"] else row["value"]
    return Example(row["doc_id"], why, excerpt(row["text"], limit))


def _quarantined(row: Mapping, limit: int) -> Example:
    text = row["raw"][: limit * BYTES_PER_CHAR].decode("utf-8", "replace")
    return Example(f"{row['source']}, {row['locator']}", excerpt(row["error"], limit), excerpt(text, limit))


def lot(name: str) -> int:
    """Which examples are drawn: those of the smallest numbers."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _picture(char: str) -> str:
    if char in "\n\t" or (ord(char) >= 0x20 and not 0x7F <= ord(char) < 0xA0):
        return char
    return chr(0x2400 + ord(char)) if ord(char) < 0x20 else "\u2421" if ord(char) == 0x7F else "\ufffd"
