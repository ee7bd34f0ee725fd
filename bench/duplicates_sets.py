"""The sets of ``python -m bench.duplicates``: real texts of ``../shared/data``, and copies of some with seeded edits."""

import bz2
import gzip
import json
import random
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from bench.duplicates_truth import read_units
from pipelines.duplicates.text_units import UNSPACED
from pipelines.extract import ExtractParams
from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.records import ReadContext, Record
from pipelines.readers.sgml import read_sgml
from pipelines.spine.params import load_params

MAX_DOCUMENTS = 5000
#: Of the words or characters of a planted copy, the share that is edited, drawn evenly on a logarithmic scale.
MIN_EDITED, MAX_EDITED = 0.01, 0.10
#: Neighbouring words or characters that one edit touches.
MAX_RUN = 5
MIXED_SEED = 5
MIXED_CHARS = 3000  # an article of an encyclopaedia and a chapter are cut there


@dataclass(frozen=True)
class Texts:
    """A set: its name, the language whose tokenizer datatrove gets, and how it is read from the data folder."""

    name: str
    language: str
    read: Callable[[Path], Iterator[str]]

    def load(self, data: Path, most: int) -> list[str]:
        """Its first texts."""
        return list(islice(self.read(data), most))


def edit(text: str, share: float, seed: int) -> str:
    """The text with about ``share`` of its words (characters, in scripts without spaces) replaced, repeated or gone.

    >>> edit("one two three four five six", 0.2, 1)
    'one two three four six'
    """
    draw = random.Random(seed)
    unspaced = 2 * sum(map(_is_unspaced, text)) > len(text)
    units = list(text) if unspaced else text.split(" ")
    left = max(1, round(share * len(units)))
    while left > 0:
        length = min(left, draw.randint(1, MAX_RUN))
        left -= length
        start = draw.randrange(max(1, len(units) - length))
        run = units[start : start + length]
        units[start : start + length] = draw.choice(([], run * 2, [draw.choice(units) for _ in run]))
        if not units:
            return text
    return ("" if unspaced else " ").join(units)


def with_copies(texts: Sequence[str], most: int, seed: int) -> list[str]:
    """The texts and an edited copy of as many of them as leave room for it, in a drawn order."""
    draw = random.Random(seed)
    chosen = draw.sample(range(len(texts)), min(len(texts), most - len(texts)))
    scale = MAX_EDITED / MIN_EDITED
    copies = [edit(texts[place], MIN_EDITED * scale ** draw.random(), place) for place in chosen]
    return draw.sample([*texts, *copies], len(texts) + len(copies))


def _is_unspaced(character: str) -> bool:
    code = ord(character)
    return code >= 0x0E00 and any(first <= code < last for first, last in UNSPACED)


def _json_lines(name: str) -> Callable[[Path], Iterator[str]]:
    def read(data: Path) -> Iterator[str]:
        with gzip.open(data / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]

    return read


def _articles(name: str) -> Callable[[Path], Iterator[str]]:
    """Lines of an id, a space and a text."""

    def read(data: Path) -> Iterator[str]:
        with open(data / name, encoding="utf-8") as lines:
            for line in lines:
                yield line.rstrip("\n").partition(" ")[2]

    return read


def _reuters(data: Path) -> Iterator[str]:
    with tarfile.open(data / "news/reuters-21578.tar.gz") as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            stream = archive.extractfile(member) if member.name.endswith(".sgm") else None
            if stream is not None:
                yield from (
                    item.text for item in read_sgml(cast(BinaryIO, stream), _context("en")) if isinstance(item, Record)
                )


def read_wiki(path: Path, language: str) -> Iterator[str]:
    """The articles of a dump of more than 500 characters, as `extract` shows them."""
    with bz2.open(path) as stream:
        for item in read_mediawiki(cast(BinaryIO, stream), _context(language)):
            if isinstance(item, Record) and len(item.text) > 500:
                yield item.text


def _context(language: str) -> ReadContext:
    params = load_params(ExtractParams, "extract")
    return ReadContext("0" * 12, language, params.wikitext, params.html)


def _mixed(data: Path) -> Iterator[str]:
    parts = (
        _json_lines("news/thucnews-zh-1k.jsonl.gz")(data),
        _json_lines("wikitext/zh-novels.jsonl.gz")(data),
        _json_lines("news/peoples-daily-zh-199801a.jsonl.gz")(data),
        read_wiki(data / "wikidumps/enwiki-2016-sample.xml.bz2", "en"),
        read_wiki(data / "wikidumps/jawiki-20230501-multistream.xml.bz2", "ja"),
    )
    texts = [text[:MIXED_CHARS] for part in parts for text in islice(part, 1000) if len(read_units(text)) > 20]
    yield from with_copies(texts, MAX_DOCUMENTS, MIXED_SEED)


SETS = (
    Texts("20news", "en", _json_lines("dedup/20news-crossposts.jsonl.gz")),
    Texts("articles_100", "en", _articles("dedup/articles_100.train")),
    Texts("articles_1000", "en", _articles("dedup/articles_1000.train")),
    Texts("court (zh)", "zh", _json_lines("dedup/court-zh-val.jsonl.gz")),
    Texts("Reuters", "en", _reuters),
    Texts("mixed zh en ja", "zh", _mixed),
)
