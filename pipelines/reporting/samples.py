"""Examples for a reader: a few of what was dropped, quarantined or found twice, cut short and safe to show.

Which ones are shown is drawn by a hash of their ids: the same on every run, and no source's first lines only.
"""

import difflib
import hashlib
import heapq
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.spine.shards import read_batches

#: A quarantined record is kept as bytes; four for every character shown are enough.
BYTES_PER_CHAR = 4
#: Where a pair is shown: this many characters before its first difference.
LEAD_CHARS = 60
_UNSPACED = r"[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
#: What a pair is compared by: a run of letters, or one character of the scripts that write no spaces between words.
_PIECES = re.compile(rf"{_UNSPACED}|(?:(?!{_UNSPACED})\w)+|\s+|.", re.DOTALL)


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


@dataclass(frozen=True)
class Pair:
    """A dropped document beside the kept one; texts are runs of (text, whether the other side has it not)."""

    doc_id: str
    kept_id: str
    similarity: float
    measure: str
    dropped: Sequence[tuple[str, bool]] = ()
    kept: Sequence[tuple[str, bool]] = ()


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
            heapq.heappush(held, (bool(example.text), -_lot(example.name), example.name, example))
            if len(held) > examples:
                heapq.heappop(held)
    for reason in sorted(drawn):
        evidence.examples[reason] = [
            example for *_, example in sorted(drawn[reason], key=lambda entry: (not entry[0], -entry[1], entry[2]))
        ]
    return evidence


def telling_pairs(drops: pa.Table, number: int) -> list[Pair]:
    """Pairs that teach most: the least similar near copy, the most similar, those between; then exact copies.

    Args:
        drops: what `dedup` wrote: doc_id, kept_id, similarity, measure.
    """
    chosen: list[Mapping] = []
    for measure in ("jaccard", "exact"):
        rows = drops.filter(pc.equal(drops["measure"], measure)).sort_by(
            [(n, "ascending") for n in ("similarity", "doc_id")]
        )
        wanted = min(number - len(chosen), rows.num_rows)
        spread = [index * (rows.num_rows - 1) // max(1, wanted - 1) for index in range(wanted)]
        chosen += rows.take(spread).to_pylist() if wanted else []
    return [Pair(row["doc_id"], row["kept_id"], row["similarity"], row["measure"]) for row in chosen]


def with_texts(pairs: Sequence[Pair], shards: Iterable[Path], limit: int) -> list[Pair]:
    """The pairs with both texts around their first difference; a text that is nowhere stays empty."""
    wanted = sorted({name for pair in pairs for name in (pair.doc_id, pair.kept_id)})
    texts = _find_texts(wanted, shards) if wanted else {}
    shown = []
    for pair in pairs:
        left, right = texts.get(pair.doc_id, ""), texts.get(pair.kept_id, "")
        dropped, kept = compare(left, right, limit)
        shown.append(Pair(pair.doc_id, pair.kept_id, pair.similarity, pair.measure, dropped, kept))
    return shown


def compare(left: str, right: str, limit: int) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Both texts from shortly before their first difference, cut into what the other has and has not.

    >>> compare("one two", "one six", 10)
    ([('one ', False), ('two', True)], [('one ', False), ('six', True)])
    """
    same = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    # Equal texts, and differences near the beginning, are shown from their beginning.
    start = max(0, same - LEAD_CHARS) if left != right and same > limit // 2 else 0
    lead = "…" if start else ""
    a, b = (_PIECES.findall(lead + excerpt(text[start:], limit)) for text in (left, right))
    runs_a, runs_b = [], []
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if a2 > a1:
            runs_a.append(("".join(a[a1:a2]), kind != "equal"))
        if b2 > b1:
            runs_b.append(("".join(b[b1:b2]), kind != "equal"))
    return runs_a, runs_b


def _find_texts(doc_ids: Sequence[str], shards: Iterable[Path]) -> dict[str, str]:
    """Texts by id. Ids are looked for first, so that the text column is read only where one of them stands."""
    wanted = pa.array(doc_ids, pa.string())
    found: dict[str, str] = {}
    for path in shards:
        ids = pa.chunked_array([batch.column("doc_id") for batch in read_batches(path, ["doc_id"])], pa.string())
        if not pc.any(pc.is_in(ids, value_set=wanted)).as_py():
            continue
        for batch in read_batches(path, ["doc_id", "text"]):
            for row in batch.filter(pc.is_in(batch.column("doc_id"), value_set=wanted)).to_pylist():
                found.setdefault(row["doc_id"], row["text"])
    return found


def _rows(path: Path) -> Iterator[dict]:
    for batch in read_batches(path):
        yield from batch.to_pylist()


def _dropped(row: Mapping[str, str], limit: int) -> Example:
    why = f"{row['value']}, dropped if {row['threshold']}" if row["threshold"] else row["value"]
    return Example(row["doc_id"], why, excerpt(row["text"], limit))


def _quarantined(row: Mapping, limit: int) -> Example:
    text = row["raw"][: limit * BYTES_PER_CHAR].decode("utf-8", "replace")
    return Example(f"{row['source']}, {row['locator']}", excerpt(row["error"], limit), excerpt(text, limit))


def _lot(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _picture(char: str) -> str:
    if char in "\n\t" or (ord(char) >= 0x20 and not 0x7F <= ord(char) < 0xA0):
        return char
    return chr(0x2400 + ord(char)) if ord(char) < 0x20 else "\u2421" if ord(char) == 0x7F else "\ufffd"
