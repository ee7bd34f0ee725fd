"""One row of the token shards as text, for a person: ``python -m pipelines.pack --show ROW``."""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.spine.errors import CorpusmillError
from pipelines.terminal import printable
from pipelines.token_shards import SPLITS, SplitRows
from tokenizer.encoding import Encoder

SHOW = "--show"


def show_command(argv: Sequence[str]) -> None:
    """Prints the row that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.pack", description=__doc__, allow_abbrev=False)
    parser.add_argument(SHOW, required=True, type=int, metavar="ROW", help="number of a row in its split, from 0")
    parser.add_argument("--split", default="train", choices=SPLITS, help="default: %(default)s")
    parser.add_argument("--input", default="data/pack", metavar="DIR", help="token shards (default: %(default)s)")
    parser.add_argument(
        "--tokenizer",
        default="data/learn/tokenizer.json",
        metavar="FILE",
        help="of these shards (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    rows, encoder = SplitRows(args.input, args.split), Encoder(args.tokenizer)
    expect_tokenizer(rows, encoder, args.tokenizer)
    if not 0 <= args.show < rows.num_rows:
        raise CorpusmillError("no such row", where=rows.where, expected=f"0 to {rows.num_rows - 1}", got=args.show)
    print(*lines_of_row(rows, args.show, encoder), sep="\n")


def expect_tokenizer(rows: SplitRows, encoder: Encoder, path: str) -> None:
    """Passes when the shards were packed with this tokenizer.

    Raises:
        CorpusmillError: naming both.
    """
    if encoder.sha256 != rows.facts.tokenizer_sha256:
        raise CorpusmillError(
            "the shards were packed with another tokenizer", where=f"{rows.where} and {path}",
            expected=f"a tokenizer with sha256 {rows.facts.tokenizer_sha256}", got=encoder.sha256,
            hint="give the right one with --tokenizer, or run `dvc repro pack`",
        )  # fmt: skip


def lines_of_row(rows: SplitRows, index: int, encoder: Encoder) -> Iterator[str]:
    """A head for the row, then for each segment its document, places and text, then the padding."""
    row, shard, place = rows.row(index), *rows.place(index)
    source = shard.facts.source
    yield f"row {index:,} of {rows.num_rows:,}: row {place:,} of {shard.name}, source {source}"
    yield f"{_counted(len(row.tokens), 'place')}, {_counted(len(row.lengths), 'segment')}"
    for doc_id, start, length, offset in zip(
        shard.doc_ids(place), row.starts.tolist(), row.lengths.tolist(), row.offsets.tolist(), strict=True
    ):
        yield from _lines_of_segment(doc_id, row.tokens[start : start + length], start, offset, encoder)
    padding = len(row.tokens) - int(row.lengths.sum())
    if padding:
        yield f"\n── padding: {_counted(padding, 'place')}"


def _lines_of_segment(doc_id: str, tokens: np.ndarray, start: int, offset: int, encoder: Encoder) -> Iterator[str]:
    """A segment may begin or end inside a character: its bytes become U+FFFD."""
    where = f"places {start:,} to {start + len(tokens) - 1:,}"
    if offset:
        context = printable(encoder.decode(tokens[:1])).replace("\n", "\\n")
        how = f'goes on at token {offset + 1:,} of its document, after "{context}" (context)'
    else:
        how = "begins"
    yield f"\n── {printable(doc_id)}: {where}, {how}"
    yield printable(encoder.decode(tokens[1:]))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
