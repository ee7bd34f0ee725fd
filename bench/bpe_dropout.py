"""BPE-dropout: how many tokens a second one process cuts anew, by the rows of a step, and what grows out of its row.

python -m bench.bpe_dropout [--input data/pack] [--tokenizer data/learn/tokenizer.json]
"""

import argparse
import time

from tokenizer.encoding import Encoder
from train.bpe_dropout import dropped_rows
from train.data import TokenRows

STEP_ROWS = (16, 64, 256)
DROPOUTS = (0.05, 0.1, 0.2)
NUM_ROWS = 4096


def main() -> None:
    """The command; one pass to warm up, then one that is timed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", default="data/pack", metavar="DIR", help="token shards (default: %(default)s)")
    parser.add_argument("--tokenizer", default="data/learn/tokenizer.json", metavar="FILE", help="default: %(default)s")
    args = parser.parse_args()
    rows, encoder = TokenRows(args.input, "train"), Encoder(args.tokenizer)
    num_rows = min(NUM_ROWS, rows.num_rows)
    print(f"{'rows a step':>12} {'dropout':>8} {'tokens/s':>10} {'ms a step':>10} {'of the row cut':>15}")
    for size in STEP_ROWS:
        for dropout in DROPOUTS:
            cut_anew(rows, encoder, num_rows, size, dropout)
            started = time.perf_counter()
            num_tokens, num_cut = cut_anew(rows, encoder, num_rows, size, dropout)
            seconds = time.perf_counter() - started
            steps = -(-num_rows // size)
            print(
                f"{size:>12} {dropout:>8} {num_tokens / seconds:>10,.0f} {1000 * seconds / steps:>10.1f} "
                f"{num_cut / (num_tokens + num_cut):>15.1%}"
            )


def cut_anew(rows: TokenRows, encoder: Encoder, num_rows: int, size: int, dropout: float) -> tuple[int, int]:
    """(places of the rows, tokens that no longer fit) of the first rows of the split."""
    num_cut = 0
    for first in range(0, num_rows, size):
        indices = range(first, min(first + size, num_rows))
        step = dropped_rows(rows, indices, indices, encoder, dropout, seed=0)
        assert step.num_targets
        num_cut += step.num_cut
    return num_rows * rows.facts.seq_len, num_cut


if __name__ == "__main__":
    main()
