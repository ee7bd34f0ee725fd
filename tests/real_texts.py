"""The first texts of real corpora in five languages, for tests that compare two readings of them."""

import bz2
import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from reading import reading

from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.records import Record

LANGUAGES = ("en", "ja", "uk", "vi", "zh")
MAX_CHARS = 3000


def real_texts(shared_data: Path, language: str, number: int = 60) -> list[str]:
    """News in English and half of those in Chinese, chapters of novels, articles of Wikipedia in the other languages."""
    if language == "en":
        texts = iter((shared_data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines())
    elif language == "zh":
        chapters = _jsonl(shared_data / "wikitext" / "zh-novels.jsonl.gz")
        news = _jsonl(shared_data / "news" / "thucnews-zh-1k.jsonl.gz")
        texts = (text for pair in zip(chapters, news, strict=False) for text in pair)
    else:
        texts = _articles(shared_data / "wikidumps" / f"{language}wiki-20230501-multistream.xml.bz2", language)
    return [text[:MAX_CHARS] for text in islice(texts, number)]


def _jsonl(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def _articles(path: Path, language: str) -> Iterator[str]:
    with bz2.open(path) as stream:
        for item in read_mediawiki(stream, reading(language=language)):
            if isinstance(item, Record) and len(item.text) > 500:
                yield item.text
