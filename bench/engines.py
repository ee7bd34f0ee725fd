"""Engines that encode byte-level BPE, beside one another: speed, memory that grows, and whether the ids are the library's.

Each engine reads the same texts and strings in a process of its own, on one thread, in one environment that holds them
all; the ids of ``tokenizers`` are what the others are compared with. Strings: every code point in contexts that show its
class, and what breaks tokenizers. Below, our `Encoder` with each of our patterns: gigatoken where it knows the pattern.

``python -m bench.engines`` prints the tables and writes ``logs/bench-engines.json``.
"""

import argparse
import json
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.cleaning_memory import TEXTS, read_articles
from bench.duplicates_ours import numbered, write_unit
from bench.duplicates_speed import read_language
from bench.peers import python_of
from bench.tools import run_alone
from pipelines.spine.errors import CorpusmillError
from tokenizer.bpe import learn_merges
from tokenizer.counting import count_pre_tokens
from tokenizer.encoding import DOCUMENT_START, Encoder, tokenizer_json
from tokenizer.patterns import PATTERNS

LOG = Path("logs/bench-engines.json")
PACKAGES = (
    "tokenizers==0.23.3", "gigatoken==0.10.0", "snaptokens==0.2.6", "tiktoken==0.14.0", "pyarrow==25.0.1", "numpy==2.4.6",
)  # fmt: skip
ENGINES = ("tokenizers", "tiktoken", "snaptokens", "gigatoken")
PATTERN = "cl100k-3"  # the one that all four know
VOCAB_SIZE = 32_000
CONTEXTS = ("a{}a", "1{}1 .{}.", " {} {}", "\n{}\n", "{}'s", "A{}A{}a")
HOSTILE = (
    "", " ", "\n\n \n", "a" * 5000, "<|endoftext|> <|endoftext|>", "don'T I'LL ſ's", "1234567 12", "\u00a0\u3000x\x85\x1c",
    "e\u0301\u0301", "ไทยไม้ हिन्दी", "👨‍👩‍👧‍👦🏴", "\u200b\u2028\ufeff", "\x00\x01", "／／//\n/", "ﬁ Ⅷ ½ ٣٤",
)  # fmt: skip


def strings() -> list[str]:
    """What breaks tokenizers, and every code point that is a character, in contexts, 64 code points a string."""
    codes = [code for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    blocks = [codes[start : start + 64] for start in range(0, len(codes), 64)]
    return [*HOSTILE, *(" ".join(c.replace("{}", chr(code)) for code in block) for block in blocks for c in CONTEXTS)]


def learned(texts: Sequence[str], pattern: str) -> str:
    """A ``tokenizer.json`` learned from the texts, without added tokens: what stands in a text is text."""
    table = count_pre_tokens(pa.array(texts, pa.large_string()), pattern)
    counts = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return tokenizer_json(learn_merges(counts, VOCAB_SIZE - 257), [DOCUMENT_START], pattern)


def compare(folder: Path, tokenizer: str, texts: Sequence[str], hostile: Sequence[str]) -> dict[str, Any]:
    """Each engine's report."""
    (folder / "texts").mkdir()
    write_unit(folder / "texts/bench.parquet", numbered(texts))
    plain = {**json.loads(tokenizer), "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(plain), encoding="utf-8")
    (folder / "strings.json").write_text(json.dumps(list(hostile)), encoding="utf-8")
    python, reports = str(python_of("engines", PACKAGES)), {}
    for engine in ENGINES:
        places = [str(folder / name) for name in ("tokenizer.json", "texts", "strings.json", f"{engine}.report")]
        run_alone([python, "-m", "bench.encode_engine", engine, *places], 1, {"TOKENIZERS_PARALLELISM": "false"})
        reports[engine] = json.loads((folder / f"{engine}.report").read_text())
    return reports


def differing(found: Iterable[Any], expected: Iterable[Any], hostile: Sequence[str]) -> tuple[int, int]:
    """How many strings differ, and how many of those hold no code point that this Python's Unicode does not know."""
    other = [text for text, ids, right in zip(hostile, found, expected, strict=True) if ids != right]
    return len(other), sum(all(unicodedata.category(char) != "Cn" for char in text) for text in other)


def time_encoder(tokenizer: str, texts: pa.Array) -> float:
    """MB/s of CPU of our `Encoder`, loaded before and seeing the texts for the first time."""
    encoder = Encoder(tokenizer)
    encoder.encode_batch(["the first text loads what is loaded late \u0378"])
    begin = time.process_time()
    encoder.encode_batch(texts)
    return sum(len(text.encode()) for text in texts.to_pylist()) / 1e6 / (time.process_time() - begin)


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--megabytes", type=float, default=24.0, help="of English text; Chinese is 11.5 MB")
    args = parser.parse_args(argv)
    english = [text for _, text in read_articles(args.data / TEXTS, int(args.megabytes * 1e6))]
    chinese = list(read_language("zh", args.data))
    hostile = strings()
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as name:
        reports = compare(Path(name), learned([*english, *chinese], PATTERN), [*english, *chinese], hostile)
    right, right_strings = reports["tokenizers"], reports["tokenizers"]["strings"]
    print(f"{PATTERN}, English and Chinese, {len(hostile):,} strings\n"
          f"{'engine':12} {'MB/s of CPU':>11} {'grown MB':>9} {'texts':>9} {'strings that differ':>20}")  # fmt: skip
    for engine, found in reports.items():
        number, assigned = differing(found.pop("strings"), right_strings, hostile)
        texts = "equal" if found["texts"] == right["texts"] else "DIFFERENT"
        found["different_strings"], found["different_assigned"] = number, assigned
        print(f"{engine:12} {found['mb_per_second']:11.1f} {found['grown_bytes'] / 1e6:9.0f} {texts:>9}"
              f" {number:20,} ({assigned} without an unassigned code point)")  # fmt: skip
    print(f"\nour Encoder\n{'pattern':10} {'en MB/s':>8} {'zh MB/s':>8}")
    log: dict[str, Any] = {"engines": reports, "patterns": {}}
    for pattern in PATTERNS:
        tokenizer = learned([*english, *chinese], pattern)
        speeds = [time_encoder(tokenizer, pa.array(texts, pa.large_string())) for texts in (english, chinese)]
        log["patterns"][pattern] = speeds
        print(f"{pattern:10} {speeds[0]:8.1f} {speeds[1]:8.1f}", flush=True)
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
