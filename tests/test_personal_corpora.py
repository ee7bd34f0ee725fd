"""Real news, court rulings, posts and articles: counts by kind, and what must survive. No text of them stands here."""

import bz2
import gzip
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from personal import mask, settings
from reading import reading

from pipelines.cleaning.normalize import tidy_lines
from pipelines.cleaning.personal.masking import Masked, mask_batch
from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.records import Record

ISBN = re.compile(r"ISBN[-\w]*[ :]*[0-9Xx][0-9Xx -]{8,16}[0-9Xx]")
COORDINATES = re.compile(r"[0-9]{1,3}°|\b[0-9]{1,3}\.[0-9]{4,6}\b")


def tidy(texts: Iterable[str]) -> list[str]:
    return [tidy_lines(text.replace("\r\n", "\n")) for text in texts]


def read_jsonl(path: Path, rows: int) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return tidy([json.loads(line)["text"] for line, _ in zip(lines, range(rows), strict=False)])


def masked(texts: Sequence[str], language: str) -> tuple[Masked, dict[str, int]]:
    """What became of the texts, and the sums of what was found; masking again finds nothing."""
    languages = [language] * len(texts)
    once = mask_batch(texts, languages, settings())
    again = mask_batch(once.texts, languages, settings())
    assert again.texts == once.texts
    assert tidy(once.texts) == once.texts
    return once, {kind: int(values.sum()) for kind, values in once.found.items() if values.any()}


def test_court_rulings_lose_their_resident_ids_and_nothing_else_of_people(shared_data: Path):
    texts = read_jsonl(shared_data / "dedup" / "court-zh-val.jsonl.gz", 5_000)
    once, found = masked(texts, "zh")
    assert found == {"national_id": 31, "ip_address": 71, "phone": 1}
    # Each stands after the words for a resident id; no number of 18 digits with a birth date is left.
    before = re.compile("(?:身份证|身份)(?:号码?)?[：:]?<NATIONAL_ID>")
    assert sum(len(before.findall(text)) for text in once.texts) == 31
    assert not any(re.search(r"\b[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx]\b", text) for text in once.texts)


def test_news_keeps_its_dates_prices_and_scores(shared_data: Path):
    lines = (shared_data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines()
    assert masked(tidy(lines), "en")[1] == {}
    chinese = read_jsonl(shared_data / "news" / "peoples-daily-zh-199801a.jsonl.gz", 10_000)
    assert masked(chinese, "zh")[1] == {"phone": 4}


def test_phones_of_chinese_news_stand_after_a_word_for_them(shared_data: Path):
    texts = read_jsonl(shared_data / "news" / "thucnews-zh-1k.jsonl.gz", 1_000)
    once, found = masked(texts, "zh")
    assert found == {"email": 49, "phone": 241}
    named = re.compile(r"(?:电话|手机|热线|客服|座机|联系方式|拨打|传真)[^<]{0,12}(?:<PHONE>[\s、,，/]*)+")
    assert sum(match[0].count("<PHONE>") for text in once.texts for match in named.finditer(text)) == found["phone"]


def test_posts_lose_addresses_and_keep_message_ids(shared_data: Path):
    texts = read_jsonl(shared_data / "dedup" / "20news-crossposts.jsonl.gz", 400)
    once, found = masked(texts, "en")
    assert found["email"] > 600
    assert found["phone"] > 50
    ids = re.compile(r"[Ii]n article <[^<>\s@]+@[^<>\s]+>")
    assert sum(len(ids.findall(text)) for text in once.texts) == sum(len(ids.findall(text)) for text in texts) > 100


def test_book_numbers_and_coordinates_of_articles_survive(shared_data: Path):
    dumps = {"en": "enwiki-2016-sample", "uk": "ukwiki-20230501-multistream"}
    for language, name in dumps.items():
        dump = bz2.decompress((shared_data / "wikidumps" / f"{name}.xml.bz2").read_bytes())
        items = read_mediawiki(io.BytesIO(dump), reading(language=language))
        texts = tidy(item.text for item in items if isinstance(item, Record))
        once, _ = masked(texts, language)
        for pattern in (ISBN, COORDINATES):
            numbers = [pattern.findall(text) for text in texts]
            assert sum(map(len, numbers)) > 50
            assert [pattern.findall(text) for text in once.texts] == numbers


def test_an_address_among_the_sentences_of_an_article_is_found(shared_data: Path):
    line = (shared_data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines()[0]
    assert mask(f"{line} Mail news@example.org, or call +61 2 9374 4000.").endswith("Mail <EMAIL>, or call <PHONE>.")
