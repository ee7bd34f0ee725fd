"""The check across splits: MB of text a second of CPU on one core, and what the index of val and test takes.

Text: the benchmark's English articles of 2,000 characters and more. The first ones stand for val and test, the rest for
train; then the same with a notice of 60 words at the head of every document of either side, which all of them share and
which makes none of them similar.

``python -m bench.leaks`` prints the table and writes ``logs/bench-leaks.json``.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.cleaning_agreement import encyclopaedia
from pipelines.duplicates.shingles import distinct_sets
from pipelines.duplicates.text_units import row_blocks
from pipelines.splitting.index import Index, Limits, build_index, text_shingles
from pipelines.splitting.leaks import find_leaks
from pipelines.splitting.steps import BLOCK_BYTES

LOG = Path("logs/bench-leaks.json")
LIMITS = Limits(Fraction(8, 10), Fraction(9, 10))
SHINGLE_SIZE = 5
MIN_CHARS = 2000
NUM_HELD_OUT = (300, 3000)
NOTICE = " ".join(f"notice{number}" for number in range(60)) + "\n"


def index_of(texts: Sequence[str]) -> Index:
    """The index of some documents."""
    return build_index(*distinct_sets(*text_shingles(texts, SHINGLE_SIZE)), LIMITS)


def blocks(texts: Sequence[str]) -> Iterator[pa.Array]:
    """The texts as the stage checks them, about a megabyte at a time."""
    ends = np.cumsum([0, *(len(text.encode()) for text in texts)])
    array = pa.array(texts, pa.string())
    for begin, end in row_blocks(ends, BLOCK_BYTES):
        yield array.slice(begin, end - begin)


def check(texts: Sequence[str], index: Index) -> tuple[float, float, int]:
    """Seconds of CPU for the shingles, for the check, and how many documents leak."""
    counts, leaking = np.ones(index.num_documents, bool), 0
    shingling = checking = 0.0
    for block in blocks(texts):
        begin = time.process_time()
        hashes, offsets = text_shingles(block, SHINGLE_SIZE)
        middle = time.process_time()
        leaking += len(find_leaks(hashes, offsets, index, LIMITS, counts).documents)
        shingling, checking = shingling + middle - begin, checking + time.process_time() - middle
    return shingling, checking, leaking


def measure(texts: Sequence[str], num_held_out: int, rounds: int) -> dict[str, float]:
    """One line of the table."""
    held_out, train = texts[:num_held_out], texts[num_held_out:]
    index = index_of(held_out)
    shingling, checking, leaking = min(check(train, index) for _ in range(rounds))
    megabytes = sum(len(text.encode()) for text in train) / 1e6
    return {
        "held_out": num_held_out, "shingles": len(index.postings), "index_bytes": index.to_row().nbytes, "mb": megabytes,
        "shingles_mb_per_second": megabytes / shingling, "mb_per_second": megabytes / (shingling + checking),
        "leaking": leaking,
    }  # fmt: skip


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.leaks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds bench")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the fastest counts")
    args = parser.parse_args(argv)
    texts, log = [text for text in encyclopaedia(args.data) if len(text) >= MIN_CHARS], []
    print("held out  notice  shingles     index MB  MB of text  MB/s shingles  MB/s with check  leaking")
    for num_held_out in NUM_HELD_OUT:
        for notice in ("", NOTICE):
            row = measure([notice + text for text in texts], num_held_out, args.rounds)
            print(
                f"{num_held_out:8,}  {'yes' if notice else 'no':6}  {row['shingles']:9,}  {row['index_bytes'] / 1e6:10.1f}"
                f"  {row['mb']:10.1f}  {row['shingles_mb_per_second']:13.1f}  {row['mb_per_second']:15.1f}"
                f"  {row['leaking']:7,}",
                flush=True,
            )
            log.append({**row, "notice": bool(notice)})
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
