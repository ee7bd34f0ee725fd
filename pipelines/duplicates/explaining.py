"""Why one document was dropped, beside the one that is kept, for a person: ``python -m pipelines.dedup --explain ID``."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.duplicates.differences import align
from pipelines.duplicates.lookup import Drop, drops_where, files_of, find_documents, nearest_ids
from pipelines.duplicates.shingles import jaccard, shingle_hashes
from pipelines.duplicates.side_by_side import columns_of, side_by_side
from pipelines.spine.errors import CorpusmillError
from pipelines.terminal import printable

OPTION = "--explain"
COLUMNS = 100  # where no terminal says how wide it is
#: Of longer texts the beginnings are compared.
COMPARED_CHARS = 1_000_000
COPIES_NAMED = 10
SAID = {"exact": "an exact copy of", "jaccard": "a near copy of", "contained": "contained in"}


@dataclass(frozen=True)
class Search:
    """What an explanation is made from.

    Attributes:
        drops: the drop lists.
        documents: the documents that were searched.
        older: those of older corpora.
        shingle_size: of the run that wrote the drop lists.
        places: the folders of the documents, to be named.
    """

    drops: Sequence[str]
    documents: Sequence[str]
    older: Sequence[str]
    shingle_size: int
    places: str


def explain_command(argv: Sequence[str]) -> None:
    """Prints what deduplication decided of the document that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.dedup", description=__doc__, allow_abbrev=False)
    parser.add_argument(OPTION, required=True, metavar="ID", help="a doc_id of --input, dropped or kept")
    parser.add_argument("--drops", default="data/dedup", metavar="DIR", help="folder of the drop lists (%(default)s)")
    parser.add_argument("--input", nargs="+", default=["data/clean"], metavar="PATH", help="documents (%(default)s)")
    parser.add_argument(
        "--older-documents", nargs="+", default=[], metavar="PATH", help="documents of the older corpora of --older"
    )
    args = parser.parse_args(argv)
    search = Search(
        files_of([args.drops]), files_of(args.input), files_of(args.older_documents),
        _shingle_size(Path(args.drops)), ", ".join(args.input),
    )  # fmt: skip
    width = shutil.get_terminal_size((COLUMNS, 24)).columns
    for line in explanation(args.explain, search, width, sys.stdout.isatty()):
        print(line)


def _shingle_size(drops: Path) -> int:
    path = drops / "search.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["shingle_size"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CorpusmillError(
            "does not say how the documents were compared",
            where=str(path),
            hint="run `dvc repro dedup`, or give --drops",
        ) from None


def explanation(doc_id: str, search: Search, width: int, colours: bool) -> Iterator[str]:
    """The lines that say what became of a document, and for a dropped one show it beside the kept one.

    Args:
        doc_id: of a document.
        search: where to look.
        width: columns to fill.
        colours: mark differences by colour.
    Raises:
        CorpusmillError: no document has this id.
    """
    _, own = drops_where("doc_id", doc_id, search.drops, COPIES_NAMED)
    count, copies = drops_where("kept_id", doc_id, search.drops, COPIES_NAMED)
    found = find_documents([doc_id, *(drop.kept_id for drop in own)], search.documents, ["text"])
    if not own and not count and doc_id not in found:
        _refuse(doc_id, search)
    others = [drop for drop in own if drop.measure != "repeated_id"]
    if not others:  # of documents with one id the first stays
        yield from _of_kept(doc_id, count, copies, doc_id in found)
    for drop in others or own[:1]:
        yield from _of_dropped(drop, search, found, width, colours)


def _refuse(doc_id: str, search: Search) -> None:
    near = nearest_ids(doc_id, [*search.documents, *search.drops])
    hint = f"the nearest ids: {', '.join(near)}" if near else "there is no document at all; give a folder by --input"
    raise CorpusmillError("no document of this id", where=doc_id, expected=f"a doc_id of {search.places}", hint=hint)


def _of_kept(doc_id: str, count: int, copies: Sequence[Drop], is_here: bool) -> Iterator[str]:
    older = "" if is_here else ", by an older run: it is not among --input"
    yield f"{printable(doc_id)} is kept{older}; dropped for it: {f'{count:,}' if count else 'nothing'}"
    for drop in copies:
        yield f"  {printable(drop.doc_id)}  {drop.measure}  {drop.similarity:.6f}"
    if count > len(copies):
        yield f"  and {count - len(copies):,} more"
    if copies and copies[0].measure != "repeated_id":
        yield f"See one beside it: python -m pipelines.dedup {OPTION} {printable(copies[0].doc_id)}"


def _of_dropped(
    drop: Drop, search: Search, found: Mapping[str, list[dict[str, Any]]], width: int, colours: bool
) -> Iterator[str]:
    kept = printable(drop.kept_id)
    count, copies = drops_where("kept_id", drop.kept_id, search.drops, COPIES_NAMED + 1)
    if drop.measure == "repeated_id":
        yield f"The others of this id are quarantined; the second one of {search.places} stands beside the first."
    else:
        reason = f"{SAID[drop.measure]} {kept}"
        yield f"{printable(drop.doc_id)} is dropped: {reason}, similarity {drop.similarity:.6f} as found"
        yield f"also dropped for it: {_named([copy.doc_id for copy in copies if copy != drop], count - 1)}"
    left, right, where = _texts(drop, search, found)
    if left is None or right is None:
        missing = drop.doc_id if left is None else drop.kept_id
        yield (
            f"{printable(missing)} is not in {search.places}: to see it, give the folder of its documents by "
            f"{'--input' if left is None else '--older-documents (an older run kept it)'}"
        )
        return
    yield _recomputed(drop, left, right, search.shingle_size)
    yield ""
    yield from _beside(
        (f"{printable(drop.doc_id)}, goes, {len(left):,} characters", left),
        (f"{kept}, stays{where}, {len(right):,} characters", right), width, colours,
    )  # fmt: skip


def _named(doc_ids: Sequence[str], count: int) -> str:
    shown = [printable(doc_id) for doc_id in doc_ids[:COPIES_NAMED]]
    return (", ".join(shown) + (f" and {count - len(shown):,} more" if count > len(shown) else "")) or "nothing"


def _texts(drop: Drop, search: Search, found: Mapping[str, list[dict[str, Any]]]) -> tuple[str | None, str | None, str]:
    """The dropped text, the kept one, and where that lies if not among the documents; None for one that is nowhere."""
    mine = [row["text"] for row in found.get(drop.doc_id, [])]
    if drop.measure == "repeated_id":
        return (mine[1] if len(mine) > 1 else None), (mine[0] if mine else None), ""
    kept, where = found.get(drop.kept_id), ""
    if kept is None:
        kept = find_documents([drop.kept_id], search.older, ["text"]).get(drop.kept_id)
        where = " in an older corpus"
    return (mine[0] if mine else None), (kept[0]["text"] if kept else None), where


def _recomputed(drop: Drop, left: str, right: str, shingle_size: int) -> str:
    """The similarity by the texts as they are now, and whether it is the one that was found."""
    hashes, offsets = shingle_hashes([left, right], shingle_size)
    a, b = (np.unique(hashes[offsets[side] : offsets[side + 1]]) for side in (0, 1))
    shared, union = jaccard(a, b)
    whole, name = (len(a), "of the dropped") if drop.measure == "contained" else (union, "of both together")
    said = f"from the texts: {shared:,} shared of {whole:,} shingles ({shingle_size} words or characters) {name}"
    if not whole:
        return f"{said}: nothing to compare by but the texts as they are written"
    changed = drop.measure in ("jaccard", "contained") and shared / whole != drop.similarity
    return f"{said}, {shared / whole:.6f}{'; not as found: these are other texts than then' if changed else ''}"


def _beside(left: tuple[str, str], right: tuple[str, str], width: int, colours: bool) -> Iterator[str]:
    """Both texts in columns under their headings, and what is not shown or not compared."""
    texts = [text[:COMPARED_CHARS] for _, text in (left, right)]
    alignment = align(*texts)
    yield columns_of(left[0], right[0], width)
    yield "─" * width
    yield from side_by_side(alignment.stretches, width, colours)
    yield "─" * width
    for heading, text in (left, right):
        if len(text) > COMPARED_CHARS:
            yield f"{heading}: the last {len(text) - COMPARED_CHARS:,} are not shown"
    if alignment.unsearched:
        yield f"{alignment.unsearched:,} characters repeat themselves too much to be compared, and are marked whole"
    if all(stretch.is_equal for stretch in alignment.stretches):
        yield "the texts are equal as they are written"
    else:
        yield "marked: what differs as written; the similarity sees neither case nor punctuation"
