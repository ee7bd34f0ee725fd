"""From a document to its rows, and from a row to its documents.

    python -m pipelines.trace --doc enwiki:12
    python -m pipelines.trace --row train:5

Both read the index and the rows in question, and nothing else: ``pipelines.trace_index``.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence

from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.terminal import printable
from pipelines.token_shards import SPLITS
from pipelines.trace_index import Place, documents_of_row, find_document


def main(argv: Sequence[str]) -> None:
    """Prints where a document stands, or what stands in a row."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.trace", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--doc", metavar="ID", help="a doc_id")
    asked.add_argument("--row", metavar="SPLIT:ROW", help="a row of a split, from 0, as training counts rows")
    parser.add_argument("--input", default="data/pack", metavar="DIR", help="token shards (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.doc is not None:
        places = find_document(args.input, args.doc)
        # Nothing but `dedup` keeps an id from standing in several shards: each is another document, told apart.
        for (split, shard), found in itertools.groupby(places, key=lambda place: (place.split, place.shard)):
            print(f"{printable(args.doc)}: {split}, {shard}", *_table(list(found), with_ids=False), sep="\n")
    else:
        places = documents_of_row(args.input, *_split_and_row(args.row))
        head = f"row {places[0].split}:{places[0].split_row}: row {places[0].row} of {places[0].shard}"
        print(head, *_table(places, with_ids=True), sep="\n")


def _split_and_row(text: str) -> tuple[str, int]:
    split, _, row = text.partition(":")
    if split not in SPLITS or not row.isdecimal():
        expected = f"SPLIT:ROW with a split of {', '.join(SPLITS)}"
        raise CorpusmillError(
            "not a row", where="--row", expected=expected, got=text, hint="for instance --row train:5"
        )
    return split, int(row)


def _table(places: Sequence[Place], with_ids: bool) -> Iterator[str]:
    """One line a segment; a document's first token is its start, number 0."""
    yield f"{'row in split':>14} {'row in shard':>14} {'places':>15}   tokens of the document"
    for place in places:
        row = f"{place.split}:{place.split_row}"
        here = f"{place.start}-{place.start + place.length - 1}"
        tokens = f"{place.doc_offset}-{place.doc_offset + place.length - 1}"
        of = f" of {printable(place.doc_id)}" if with_ids else ""
        context = ", the first as context" if place.doc_offset else ""
        yield f"{row:>14} {place.row:>14} {here:>15}   {tokens}{of}{context}"


if __name__ == "__main__":
    sys.exit(run_module("pipelines.trace"))
