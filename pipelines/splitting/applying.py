"""What `dedup` and `decontaminate` decided, applied to the documents of one unit.

    clean documents, drop list, spans that evaluation sets hold  ->  documents that stay, without those spans

A document that both lists name counts once, as the drop of `dedup`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.schema import DOCUMENT, as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.units import UnitInput
from pipelines.splitting.drawing import I64, draw_parts
from pipelines.splitting.joining import Member

#: Rows that are worked on together: a foreign file may hold a million in one row group.
MAX_ROWS = 1024
CONTAMINATED_REASON = "dropped.contaminated"


class Spans(NamedTuple):
    """What is to become of a contaminated document: it goes, or loses ``[start, stop)`` of its characters."""

    drop: bool
    spans: list[tuple[int, int]]
    several: bool = False  # documents have this id, and a span may be another one's


class Kept(NamedTuple):
    """The documents that stay of some that were read."""

    documents: pa.RecordBatch  # without what was cut from them
    rows: I64  # their rows in the unit
    parts: I64  # what they drew, with their whole text
    cut: I64  # characters that were cut from each
    taken: int
    reasons: Counter[str]


def read_kept(member: Member) -> Iterator[Kept]:
    """What stays of a unit, at most `MAX_ROWS` documents at a time. Memory: one row group, and the unit's ids and lists.

    Raises:
        CorpusmillError: a list names a document that is not here, or a span that its text does not have.
    """
    drops, contaminated = read_drops(member.drops), read_contaminated(member.contaminated)
    doc_ids = [doc_id for batch in _batches(member.documents, ["doc_id"]) for doc_id in batch.column(0).to_pylist()]
    dropped = rows_to_drop(doc_ids, drops)
    if len(dropped) != sum(map(len, drops.values())):
        raise CorpusmillError(
            "the drop list names documents that are not here", where=member.name, hint="run dedup on the same --input"
        )
    if strays := sorted(contaminated.keys() - set(doc_ids)):
        raise CorpusmillError(
            "the list of contaminated documents names some that are not here", where=member.name,
            got=", ".join(strays[:3]), hint="run decontaminate on the same --input",
        )  # fmt: skip
    numbers = Counter(doc_id for doc_id in doc_ids if doc_id in contaminated)
    contaminated = {doc_id: found._replace(several=numbers[doc_id] > 1) for doc_id, found in contaminated.items()}
    first = 0
    for batch in _batches(member.documents):
        for begin in range(0, batch.num_rows, MAX_ROWS):
            documents = as_documents(batch.slice(begin, MAX_ROWS), member.documents.path)
            yield _apply(documents, first, dropped, contaminated)
            first += documents.num_rows


def _apply(
    documents: pa.RecordBatch, first: int, dropped: Mapping[int, str], contaminated: Mapping[str, Spans]
) -> Kept:
    """What stays of a batch whose first row is row ``first`` of its unit."""
    reasons: Counter[str] = Counter()
    doc_ids, texts = documents.column("doc_id").to_pylist(), documents.column("text").to_pylist()
    rows, left, cut = [], [], []
    for place, (doc_id, text) in enumerate(zip(doc_ids, texts, strict=True)):
        if first + place in dropped:
            reasons[f"dropped.{dropped[first + place]}"] += 1
            continue
        found = contaminated.get(doc_id)
        rest = text if found is None else _without(doc_id, text, found)
        if found is not None and not rest:
            reasons[CONTAMINATED_REASON] += 1
            continue
        rows.append(place)
        left.append(rest)
        cut.append(cut_chars(found.spans) if found else 0)
    parts = draw_parts(texts[place] for place in rows)
    kept = documents.take(pa.array(rows, pa.int64()))
    if any(cut):
        place = DOCUMENT.get_field_index("text")
        kept = kept.set_column(place, DOCUMENT.field(place), pa.array(left, pa.string()))
    return Kept(kept, np.array(rows, np.int64) + first, parts, np.array(cut, np.int64), documents.num_rows, reasons)


def _without(doc_id: str, text: str, found: Spans) -> str:
    if found.drop:
        return ""
    if found.spans[-1][1] > len(text) and not found.several:
        raise CorpusmillError(
            "a contaminated span ends after its text", where=doc_id, expected=f"at most {len(text)}",
            got=found.spans[-1][1], hint="run decontaminate on the same --input",
        )  # fmt: skip
    return cut_spans(text, [(min(start, len(text)), min(stop, len(text))) for start, stop in found.spans])


def cut_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without some spans: what is left stands on lines of its own, without white space at the ends.

    Args:
        text: the whole text.
        spans: ``[start, stop)`` in characters, ascending and disjoint.

    >>> cut_spans("One. Two. Three.", [(5, 10)])
    'One.\\nThree.'
    """
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    pieces = [text[begin:end].strip() for begin, end in zip(edges[::2], edges[1::2], strict=True)]
    return "\n".join(piece for piece in pieces if piece)


def cut_chars(spans: Sequence[tuple[int, int]]) -> int:
    """How many characters some disjoint spans hold."""
    return sum(stop - start for start, stop in spans)


def rows_to_drop(doc_ids: Sequence[str], drops: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Row -> measure, for the rows of a unit that its drop list names.

    An id that is listed ``n`` times loses its last ``n`` rows: a repeated id keeps its first document.
    """
    rows: dict[str, list[int]] = {}
    for row, doc_id in enumerate(doc_ids):
        if doc_id in drops:
            rows.setdefault(doc_id, []).append(row)
    found: dict[int, str] = {}
    for doc_id, places in rows.items():
        measures = drops[doc_id]
        found.update(zip(places[-len(measures) :], measures, strict=False))
    return found


def _batches(one: UnitInput | None, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a file, none of None."""
    if one is not None:
        yield from read_batches(one.path, columns, one.sha256)


def read_drops(drops: UnitInput | None) -> dict[str, list[str]]:
    """Id -> measures, of a drop list; none of None."""
    found: dict[str, list[str]] = {}
    for batch in _batches(drops, ["doc_id", "measure"]):
        for row in batch.to_pylist():
            found.setdefault(row["doc_id"], []).append(row["measure"])
    return found


def read_contaminated(contaminated: UnitInput | None) -> dict[str, Spans]:
    """Id -> what is to become of the document, of a list of contaminated spans; none of None.

    Spans of several documents with one id are taken together: whichever stays loses all of them.
    """
    columns = ["doc_id", "action", "start", "stop"]
    rows = [row for batch in _batches(contaminated, columns) for row in batch.to_pylist()]
    found = {}
    for doc_id, group in groupby(sorted(rows, key=itemgetter(*columns)), key=itemgetter("doc_id")):
        of_one = list(group)
        spans = [(row["start"], row["stop"]) for row in of_one if row["action"] == "cut"]
        found[doc_id] = Spans(any(row["action"] == "drop" for row in of_one), _merged(spans))
    return found


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans, ascending, with those that touch as one."""
    merged: list[tuple[int, int]] = []
    for start, stop in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged
