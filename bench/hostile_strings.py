"""Strings without a place to cut: is the time to encode one linear in its length?

Eight kinds of text that a pattern leaves in one piece, or in which BPE has the most to merge, at 125 kB to 2 MB, by the
engine that `pack` uses. The exponent is the slope of log time over log size: 1 is linear, 2 is quadratic.

``python -m bench.hostile_strings`` prints the table and writes ``logs/bench-hostile-strings.json``.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tokenizer.encoding import Encoder

LOG = Path("logs/bench-hostile-strings.json")
SIZES = (125_000, 250_000, 500_000, 1_000_000, 2_000_000)


def long_strings(size: int) -> Iterator[tuple[str, str]]:
    """Strings of about ``size`` bytes without a place to cut: (what they are, text); the same every time."""
    draws = random.Random(0)
    yield "one letter", "a" * size
    yield "random letters", "".join(draws.choices("abcdefghijklmnopqrstuvwxyz", k=size))
    yield "spaces", " " * size
    yield "digits", "7" * size
    yield "one ideogram", "猫" * (size // 3)
    yield "random ideograms", "".join(map(chr, draws.choices(range(0x4E00, 0x9FFF), k=size // 3)))
    yield "combining marks", "e" + "\u0301" * (size // 2)
    yield "joined emoji", "👩\u200d" * (size // 7)


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of log seconds over log size, least squares.

    >>> exponent([1, 2, 4], [1.0, 4.0, 16.0])
    2.0
    """
    return round(float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), 2)


def measure(encoder: Encoder, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of CPU by kind and size, the fastest of the rounds; every text must come back from its ids."""
    found: dict[str, dict[str, float]] = {}
    encoder.encode_batch(["The engine is loaded by its first text."])
    for size in SIZES:
        for kind, text in long_strings(size):
            times = []
            for _ in range(rounds):
                begin = time.process_time()
                ids, _ = encoder.encode_batch([text])
                times.append(time.process_time() - begin)
            assert encoder.decode(ids) == text, kind
            found.setdefault(kind, {})[str(size)] = min(times)
    for times_of in found.values():
        times_of["exponent"] = exponent(SIZES, [times_of[str(size)] for size in SIZES])
    return found


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.hostile_strings", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--tokenizer", default="data/learn/tokenizer.json", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is measured; the fastest counts")
    args = parser.parse_args(argv)
    found = measure(Encoder(args.tokenizer), args.rounds)
    print("| seconds of CPU at | " + " | ".join(f"{size / 1e6:g} MB" for size in SIZES) + " | exponent |")
    print("|---|" + "---:|" * (len(SIZES) + 1))
    for kind, times in found.items():
        print(f"| {kind} | " + " | ".join(f"{times[str(size)]:.3f}" for size in SIZES) + f" | {times['exponent']} |")
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
