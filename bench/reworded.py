"""The benchmark text again and again, each time in other words: gigabytes of which no document is a copy of another.

Copies under other ids alone would all go as duplicates. So each copy reads its words through a permutation of its own:
the 256 commonest words stay (languages and rules are told by them), every other word becomes one that is about as
frequent. Lengths, punctuation, the counts of words and the vocabulary are the text's own; runs of words, which is what
near copies are found by, are not. What this text cannot show: words that are new in each gigabyte.

    bench/enwiki-2015-aa.jsonl.zst  ->  <folder>/copy-00.jsonl, copy-01.jsonl, ...  (id, title, text), 100 MB each
"""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import zstandard

TEXTS = "bench/enwiki-2015-aa.jsonl.zst"
SEED = 8
#: Of the words by falling frequency so many stay; the others change places with one another within blocks.
COMMON, BLOCK = 256, 512
_pieces = re.compile(r"[A-Za-z]+|[^A-Za-z]+")


@dataclass(frozen=True)
class Article:
    """One article: its id and title, and its text as numbers of pieces, int32."""

    key: str
    title: str
    pieces: np.ndarray


class Reworded:
    """Articles, and what they say in each of their copies.

    Args:
        path: JSON lines (id, title, text), zstandard.
        max_bytes: about so many of text are taken.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        numbers: dict[str, int] = {}
        counts: Counter[int] = Counter()
        self.articles: list[Article] = []
        for row in _rows(path, max_bytes):
            found = [numbers.setdefault(piece, len(numbers)) for piece in _pieces.findall(row["text"])]
            counts.update(found)
            self.articles.append(Article(str(row["id"]), row["title"], np.array(found, np.int32)))
        self._texts = np.array(list(numbers), object)
        words = [number for piece, number in numbers.items() if piece[0].isascii() and piece[0].isalpha()]
        self._rare = np.array(sorted(words, key=lambda number: (-counts[number], number))[COMMON:], np.int64)

    def copy(self, number: int) -> Iterator[tuple[str, str, str]]:
        """(id, title, text) of each article in one copy; copy 0 is the text itself."""
        table = self._table(number)
        for article in self.articles:
            yield f"{number}-{article.key}", article.title, "".join(table[article.pieces].tolist())

    def _table(self, number: int) -> np.ndarray:
        if not number:
            return self._texts
        draw, table = np.random.default_rng([SEED, number]), self._texts.copy()
        for begin in range(0, len(self._rare), BLOCK):
            block = self._rare[begin : begin + BLOCK]
            table[block] = self._texts[draw.permutation(block)]
        return table


def _rows(path: Path, max_bytes: int) -> Iterator[dict[str, str]]:
    taken = 0
    with zstandard.open(path, "rb") as file:
        for line in io.TextIOWrapper(file, encoding="utf-8"):
            row = json.loads(line)
            yield row
            taken += len(row["text"].encode())
            if taken >= max_bytes:
                break


def write_copies(data: Path, folder: Path, copies: range, max_bytes: int) -> int:
    """Writes a file a copy; returns the bytes of their texts.

    In a process of its own: the memory of one that starts others would be counted as theirs.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_write_copies, data / TEXTS, folder, copies, max_bytes).result()


def _write_copies(path: Path, folder: Path, copies: range, max_bytes: int) -> int:
    text, size = Reworded(path, max_bytes), 0
    folder.mkdir(parents=True, exist_ok=True)
    for number in copies:
        with open(folder / f"copy-{number:02d}.jsonl", "w", encoding="utf-8") as file:
            for key, title, words in text.copy(number):
                file.write(json.dumps({"id": key, "title": title, "text": words}, ensure_ascii=False) + "\n")
                size += len(words.encode())
    return size
