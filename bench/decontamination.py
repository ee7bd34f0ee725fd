"""Decontamination on real text: speed on one core, what is found of real evaluation sets, and how often chance shares a run.

    python -m bench.decontamination [--data ../shared/data] [--rounds 3]

Chance is measured on texts that have nothing to do with each other: documents of one corpus that share a run with
another one, by the run's length. What the longest runs find is printed.
"""

import argparse
import gzip
import io
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import zstandard

from pipelines.contamination.index import Coverage, Index, build_index
from pipelines.contamination.items import ItemText, read_texts
from pipelines.contamination.spans import Span, find_spans
from pipelines.contamination.windows import NgramSizes
from pipelines.evaluation_sets import FetchedSet
from pipelines.sources import raw_path
from pipelines.spine import storage

SIZES = NgramSizes(words=13, characters=26, min_words=8)
#: Set -> its file, kind and columns.
SETS = {
    "lambada": ("lambada_openai.jsonl", "jsonl", ("context",)),
    "piqa": ("piqa.jsonl", "jsonl", ("query", "choices")),
    "wikitext-2": ("wikitext-2.test.txt", "text", ()),
}
WORDS, CHARACTERS = (5, 8, 10, 13, 16), (10, 13, 16, 20, 26, 32)
SHOWN = 6


def read_set(name: str, folder: Path, cache: Path) -> list[ItemText]:
    """The texts of one of ``SETS``, read as the stage reads them."""
    file, kind, columns = SETS[name]
    path = (folder / file).resolve()
    sha256 = storage.sha256_file(path)
    link = raw_path(cache, sha256)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(path)
    options = (("split", "line"),) if kind == "text" else ()
    one = FetchedSet(name, kind, columns, "", options, ((sha256, path.stat().st_size),), str(cache))
    return list(read_texts(one).texts)


def enwiki_texts(data: Path) -> Iterator[str]:
    with open(data / "bench" / "enwiki-2015-aa.jsonl.zst", "rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            yield json.loads(line)["text"]


def gzipped_texts(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def measure(index: Index, texts: Sequence[str], rounds: int) -> tuple[float, list[tuple[int, list[Span]]]]:
    """(MB a second of CPU, the best of the rounds; what was found)."""
    array, size = pa.array(texts), sum(len(text.encode()) for text in texts)
    best, found = 0.0, []
    for _ in range(rounds):
        start = time.process_time()
        found = list(find_spans(index, array, 0))
        best = max(best, size / 1e6 / (time.process_time() - start))
    return best, found


def show_sets(coverage: dict[str, Coverage], found: Sequence[tuple[int, list[Span]]]) -> None:
    """Coverage, documents and spans of each set, and some of what was found."""
    spans = [(row, span) for row, of_row in found for span in of_row]
    documents = Counter(name for _, of_row in found for name in {span.set for span in of_row})
    for name, one in coverage.items():
        here = [(row, span) for row, span in spans if span.set == name]
        print(
            f"{name}: {one.items:,} items, {one.items_unchecked:,} too short; found in {documents[name]:,} documents, "
            f"{len(here):,} spans of {sum(span.stop - span.start for _, span in here):,} characters"
        )
        for row, span in here[:: max(len(here) // SHOWN, 1)][:SHOWN]:
            print(f"    document {row}, item {span.item}: {' '.join(span.matched.split())[:100]}")


def show_chance(name: str, texts: Sequence[str], others: Sequence[str], lengths: Sequence[int], in_words: bool) -> None:
    """Of the texts, how many share a run of each length with the others, and what the longest share."""
    items = [("others", [ItemText(str(number), text) for number, text in enumerate(others, 1)])]
    counts, last = [], []
    for length in lengths:
        sizes = NgramSizes(length, 2 * length, length) if in_words else NgramSizes(max(length // 2, 1), length, 1)
        last = list(find_spans(build_index(items, sizes)[0], pa.array(texts), 0))
        counts.append(f"{length}: {len(last):,}")
    unit = "words" if in_words else "characters"
    print(
        f"{name}: of {len(texts):,} texts so many share a run with {len(others):,} others, by {unit}: {', '.join(counts)}"
    )
    for row, spans in last[:SHOWN]:
        print(f"    text {row}: {' '.join(spans[0].matched.split())[:100]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    data, cache = args.data, Path(".cache/bench/evaluation")
    start = time.process_time()
    sets = [(name, read_set(name, data / "eval", cache)) for name in SETS]
    index, coverage = build_index(sets, SIZES)
    print(f"{len(index.full.hashes):,} windows, {len(index.short.hashes):,} short texts; built in "
          f"{time.process_time() - start:.1f} s of CPU")  # fmt: skip
    english = list(enwiki_texts(data))
    thuc, daily = (gzipped_texts(data / "news" / f"{name}.jsonl.gz")
                   for name in ("thucnews-zh-1k", "peoples-daily-zh-199801a"))  # fmt: skip
    chinese = [*thuc, *daily, *gzipped_texts(data / "wikitext" / "zh-novels.jsonl.gz")]
    speed, found = measure(index, english, args.rounds)
    print(f"English: {speed:.0f} MB/s of CPU over {len(english):,} articles")
    print(f"Chinese: {measure(index, chinese, args.rounds)[0]:.0f} MB/s of CPU over {len(chinese):,} texts")
    show_sets(coverage, found)
    abc = (data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines()
    show_chance("English, Wikipedia against news", list(itertools.islice(english, 3000)), abc, WORDS, True)
    show_chance("Chinese, news of 1998 against news of 2005 to 2011", daily, thuc, CHARACTERS, False)


if __name__ == "__main__":
    main()
