"""Documents -> their spans that an evaluation set holds too, in characters of the text.

    "... and then we read: The quick brown fox ... over it."  ->  Span(22, 87, "lambada", "17", "The quick brown ... over")

Windows that overlap make one span. It is named by the item that most of its windows are from; of equals by the first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipelines.contamination.index import Index, Matches
from pipelines.duplicates.text_units import TextUnits, unit_blocks


@dataclass(frozen=True)
class Span:
    """A part of a document that a set holds.

    Attributes:
        start: first character, a code point's number in the document's text.
        stop: one past the last.
        set, item: whose text it is.
        matched: the shared text, as the document writes it; without any margin.
        sets: all sets that hold a window of it.
    """

    start: int
    stop: int
    set: str
    item: str
    matched: str
    sets: frozenset[str]


def find_spans(index: Index, texts: pa.Array, margin_chars: int) -> Iterator[tuple[int, list[Span]]]:
    """(row, spans in order, disjoint) of every text that shares a window with a set.

    Args:
        index: what is looked for.
        texts: strings without nulls.
        margin_chars: what a span takes of the text on either side.
    """
    for first, _, units in unit_blocks(texts):
        matches = index.matches(units)
        document = np.searchsorted(units.text_ends, matches.starts, side="right") - 1
        numbers, begins = np.unique(document, return_index=True)
        for number, begin, end in zip(numbers.tolist(), begins, np.append(begins, len(document))[1:], strict=True):
            text = texts[first + number].as_py()
            here = Matches(*(part[begin:end] for part in matches))
            yield first + number, widened(_spans_of(index, here, units, number, text), text, margin_chars)


def widened(spans: Sequence[Span], text: str, margin_chars: int) -> list[Span]:
    """The spans with a margin on either side; those that then overlap become one, named by the longest of them."""
    found: list[Span] = []
    longest = 0
    for span in spans:
        size = span.stop - span.start
        wide = replace(span, start=max(span.start - margin_chars, 0), stop=min(span.stop + margin_chars, len(text)))
        if found and wide.start < found[-1].stop:
            last = found[-1]
            named = wide if size > longest else last
            matched, sets = f"{last.matched} … {span.matched}", last.sets | span.sets
            found[-1] = replace(named, start=last.start, stop=wide.stop, matched=matched, sets=sets)
            longest = max(longest, size)
        else:
            found.append(wide)
            longest = size
    return found


def _spans_of(index: Index, matches: Matches, units: TextUnits, number: int, text: str) -> list[Span]:
    """The spans of one document from its matches, which are sorted by their starts."""
    # How many characters have begun up to and with each byte.
    begun = np.cumsum((np.frombuffer(text.encode(), np.uint8) & 0xC0) != 0x80)
    reach = np.maximum.accumulate(matches.stops)
    opens = np.flatnonzero(np.concatenate([[True], matches.starts[1:] >= reach[:-1]]))
    spans = []
    for begin, end in zip(opens.tolist(), [*opens[1:].tolist(), len(reach)], strict=True):
        first_byte = units.starts[matches.starts[begin]] - units.byte_ends[number]
        last_byte = units.stops[reach[end - 1] - 1] - units.byte_ends[number] - 1
        start, stop = int(begun[first_byte]) - 1, int(begun[last_byte])
        candidates, counts = np.unique(matches.texts[begin:end], return_counts=True)
        chosen = int(candidates[np.argmax(counts)])  # the first of the most frequent
        groups = np.unique(matches.sets[begin:end]).tolist()
        sets = {index.set_names[one] for group in groups for one in index.set_groups[group]}
        name = index.set_names[index.texts["set"][chosen].as_py()]
        item = index.texts["item"][chosen].as_py()
        spans.append(Span(start, stop, name, item, text[start:stop], frozenset(sets)))
    return spans
