"""Pairs for a reader to judge by: a document that was dropped beside the one that was kept for it, differences marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.duplicates.differences import align
from pipelines.reporting.samples import excerpt

#: Runs of (text, whether the other side has it not).
Runs: TypeAlias = list[tuple[str, bool]]

#: Of what both texts share, this many characters are shown before and after a difference.
LEAD_CHARS = 60
#: Differences are looked for in the beginnings of longer texts.
COMPARED_CHARS = 100_000


@dataclass(frozen=True)
class Pair:
    """A dropped document beside the kept one; a side is empty where the text is nowhere to be read."""

    doc_id: str
    kept_id: str
    similarity: float
    measure: str
    dropped: Sequence[tuple[str, bool]] = ()
    kept: Sequence[tuple[str, bool]] = ()


def telling_pairs(drops: pa.Table, measure: str, number: int) -> list[Pair]:
    """Pairs of one measure that teach most: the least similar, the most similar, and those between.

    Args:
        drops: doc_id, kept_id, similarity, measure.
    """
    rows = drops.filter(pc.equal(drops["measure"], measure)).select(["doc_id", "kept_id", "similarity", "measure"])
    rows = rows.sort_by([(name, "ascending") for name in ("similarity", "doc_id", "kept_id")])
    wanted = min(number, rows.num_rows)
    spread = [index * (rows.num_rows - 1) // max(1, wanted - 1) for index in range(wanted)]
    return [Pair(**row) for row in rows.take(pa.array(spread, pa.int64())).to_pylist()]


def with_texts(pairs: Sequence[Pair], found: Mapping[str, Sequence[Mapping[str, Any]]], limit: int) -> list[Pair]:
    """The pairs with their texts, as `find_documents` found them; of a repeated id the second is beside the first."""
    shown = []
    for pair in pairs:
        left, right = found.get(pair.doc_id, []), found.get(pair.kept_id, [])
        left = left[1:] if pair.doc_id == pair.kept_id else left
        texts = [side[0]["text"] if side else None for side in (left, right)]
        if texts[0] is not None and texts[1] is not None:
            dropped, kept = compare(texts[0], texts[1], limit)
        else:
            dropped, kept = ([(excerpt(text, limit), False)] if text is not None else [] for text in texts)
        shown.append(Pair(pair.doc_id, pair.kept_id, pair.similarity, pair.measure, dropped, kept))
    return shown


def compare(left: str, right: str, limit: int) -> tuple[Runs, Runs]:
    """Both texts from shortly before their first difference, cut into what the other has and has not.

    Long stretches that both have are folded to their ends, so that a part is found in the whole it stands in.

    >>> compare("one two", "one six", 10)
    ([('one ', False), ('two', True)], [('one ', False), ('six', True)])
    """
    if left == right:
        return [(excerpt(left, limit), False)], [(excerpt(right, limit), False)]
    stretches = align(left[:COMPARED_CHARS], right[:COMPARED_CHARS]).stretches
    sides: tuple[Runs, Runs] = ([], [])
    for place, stretch in enumerate(stretches):
        if max(sum(len(text) for text, _ in side) for side in sides) >= limit:
            for side in sides:
                side.append(("…", False))
            break
        is_last = place == len(stretches) - 1
        shared = _folded(stretch.left, place == 0, is_last, limit) if stretch.is_equal else None
        for side, text in zip(sides, stretch, strict=True):
            if text:
                side.append((excerpt(text, limit // 2) if shared is None else shared, shared is None))
    return sides


def _folded(text: str, is_first: bool, is_last: bool, limit: int) -> str:
    """What is shown of a stretch that both texts have; all of a first one that is short beside the limit."""
    if len(text) <= (limit // 2 if is_first else 2 * LEAD_CHARS):
        return excerpt(text, limit)
    head = "" if is_first else _whole_words(text[: LEAD_CHARS + 1])
    tail = "" if is_last else _whole_words(text[: -LEAD_CHARS - 2 : -1])[::-1]
    return f"{excerpt(head, LEAD_CHARS)}…{excerpt(tail, LEAD_CHARS)}"


def _whole_words(text: str) -> str:
    """Without its last character, nor a word that this cuts; in scripts without spaces nothing more is taken away.

    >>> _whole_words("the long road hom"), _whole_words("很長的路"), _whole_words("the long road ")
    ('the long road ', '很長的', 'the long road')
    """
    cut = text.rfind(" ", len(text) * 3 // 4) + 1
    return text[: cut if 0 < cut < len(text) else -1]
