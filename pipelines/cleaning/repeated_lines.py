"""Lines that many documents of a source hold: menus, bylines, "All rights reserved". Found by hashes; one copy stays.

    edited texts       ->  a hash a line, beside each document
    hashes of a unit   ->  LINE records: each once, with how many documents hold it, sorted   (a side file)
    side files         ->  the records of all units, by ranges of hashes  ->  those of more than N documents
    unit + its share   ->  texts without these lines

Text never leaves its unit, hashes do. Of the documents that share a line one keeps it, the *keeper*: the first in an
order that their ids and lines give, those that stay before those that a rule drops. So a text that was copied whole
stays whole once, and `dedup` finds nothing left to do.
The source is C4's rule of "all but one" (Raffel et al. 2020, arXiv 1910.10683, section 2.2), for lines.

Two lines are the same when their words are. Their 64-bit hashes are trusted: in a corpus of a thousand million lines, a
million of them repeated, the chance that any other line goes is 1 in 18,000.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.cleaning.hashing import U64, mix64
from pipelines.cleaning.repetition import Repetition
from pipelines.cleaning.text_table import I64, Bools, TextTable

#: A line: its hash, the order key of the document that keeps it, and how many documents hold it.
LINE_COLUMNS = ("hash", "keeper", "documents")
LINE = np.dtype([(name, "<u8") for name in LINE_COLUMNS])
Lines = npt.NDArray[np.void]
NO_LINES: Lines = np.empty(0, LINE)
#: Of all hashes: the first and the last.
ALL_HASHES = (0, (1 << 64) - 1)


@dataclass(frozen=True)
class RepeatedLineParams:
    """``params.yaml: clean.rules.repeated_lines``."""

    max_documents: int  # of one source that may hold a line; 0: no line is too frequent
    min_words: int  # shorter lines (headings, names) may recur; words as a dictionary counts them


def order_keys(doc_ids: Sequence[str], dropped: Bools, hashes: U64, rows: I64) -> U64:
    """A number for each document, the same wherever it lies, by which the first of some is chosen; ``[n_documents]``.

    A document that a rule drops comes behind all that stay: what it kept would be lost. Its lines are part of the
    number, so that two documents under one id are told apart.

    Args:
        doc_ids: of the documents.
        dropped: which of them a rule drops, bool ``[n_documents]``.
        hashes: of all their lines, ``[n_lines]``.
        rows: each line's document, ascending, ``[n_lines]``.
    """
    digests = b"".join(hashlib.blake2b(doc_id.encode(), digest_size=8).digest() for doc_id in doc_ids)
    keys = np.frombuffer(digests, "<u8").astype(np.uint64)
    np.add.at(keys, rows, mix64(hashes))
    return (mix64(keys) >> np.uint64(1)) | (dropped.astype(np.uint64) << np.uint64(63))


def line_hashes(table: TextTable, repetition: Repetition, min_words: int) -> tuple[U64, Bools]:
    """A hash for each line of a table, and which lines are long enough to count; both ``[n_lines]``."""
    long_enough = table.lines.num_words >= min_words * repetition.units_per_word[table.lines.texts]
    return repetition.spans.between(table.line_words[:-1], table.line_words[1:]), long_enough


def count_lines(hashes: U64, rows: I64, keys: U64) -> Lines:
    """One record for each hash, ascending; a document that holds a line twice counts once.

    Args:
        hashes: of lines, uint64 ``[n_lines]``.
        rows: each line's document, ``[n_lines]``.
        keys: the order key of each document.
    """
    order = np.lexsort((rows, hashes))
    hashes, rows = hashes[order], rows[order]
    new_line = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
    new_document = np.flatnonzero(new_line | np.append(True, rows[1:] != rows[:-1])[: len(hashes)])
    lines = np.empty(len(new_document), LINE)
    lines["hash"], lines["keeper"], lines["documents"] = hashes[new_document], keys[rows[new_document]], 1
    return merge_lines([lines])


def merge_lines(parts: Iterable[Lines]) -> Lines:
    """The records of several units as one for each hash, ascending."""
    lines = np.concatenate([NO_LINES, *parts])
    order = np.lexsort((lines["keeper"], lines["hash"]))
    lines = lines[order]
    firsts = np.flatnonzero(np.append(True, lines["hash"][1:] != lines["hash"][:-1])[: len(lines)])
    merged = lines[firsts]
    if len(firsts):
        merged["documents"] = np.add.reduceat(lines["documents"], firsts)
    return merged


def too_frequent(lines: Lines, max_documents: int) -> Lines:
    """Those that more than so many documents hold."""
    return lines[lines["documents"] > max_documents]


def among(hashes: U64, lines: Lines) -> Bools:
    """Which hashes are those of the lines, ascending by hash; bool, the shape of ``hashes``."""
    if not len(lines):
        return np.zeros(len(hashes), np.bool_)
    return lines["hash"][place_of(hashes, lines)] == hashes


def place_of(hashes: U64, lines: Lines) -> I64:
    """Where each hash stands among the lines, or would: always a valid place, so there must be a line."""
    return np.minimum(np.searchsorted(lines["hash"], hashes), len(lines) - 1)


def hash_range(part: int, num_parts: int, within: tuple[int, int] = ALL_HASHES) -> tuple[int, int]:
    """The first and the last hash of one of the equal parts into which a range is cut."""
    first, last = within
    size = last + 1 - first
    return first + size * part // num_parts, first + size * (part + 1) // num_parts - 1


def remove_lines(text: str, numbers: Iterable[int]) -> tuple[str, list[str]]:
    """The text without some of its lines (by number, from 0), untidied, and those lines."""
    gone = set(numbers)
    lines = text.split("\n")
    kept = [line for number, line in enumerate(lines) if number not in gone]
    return "\n".join(kept), [lines[number].strip() for number in sorted(gone)]
