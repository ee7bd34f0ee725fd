"""Personal data in real corpora: how many of each kind, and milliseconds of CPU a MB; with --show, some of each to read.

    ../shared/data  ->  a row a corpus: MB, ms/MB, finds by kind

``python -m bench.personal_data`` masks each corpus by ``params.yaml: clean.personal_data`` and prints the table. With
``--show 50`` it prints up to 50 finds of each kind and corpus with what stands around them, to judge by eye. Of several
rounds the fastest counts: the first one also loads the tables of places, banks and numbering plans. Nothing is written.
"""

import argparse
import bz2
import gzip
import io
import json
import random
import re
import sys
import tarfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pipelines.cleaning.halves import CleanParams
from pipelines.cleaning.normalize import normalize_batch
from pipelines.cleaning.personal.blocks import Block
from pipelines.cleaning.personal.masking import find_personal_data, mask_batch
from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.mediawiki.wikitext import WikitextSettings
from pipelines.readers.records import ReadContext, Record
from pipelines.readers.web.main_text import HtmlSettings
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params

#: (file below the data folder, language)
CORPORA = (
    ("news/reuters-21578.tar.gz", "en"),
    ("news/bbc-news.zip", "en"),
    ("dedup/20news-crossposts.jsonl.gz", "en"),
    ("news/thucnews-zh-1k.jsonl.gz", "zh"),
    ("news/peoples-daily-zh-199801a.jsonl.gz", "zh"),
    ("dedup/court-zh-val.jsonl.gz", "zh"),
    ("wikitext/zh-novels.jsonl.gz", "zh"),
    ("wikidumps/enwiki-2016-sample.xml.bz2", "en"),
    ("wikidumps/jawiki-20230501-multistream.xml.bz2", "ja"),
    ("wikidumps/ukwiki-20230501-multistream.xml.bz2", "uk"),
    ("wikidumps/viwiki-20230501-multistream.xml.bz2", "vi"),
)
WIKITEXT = WikitextSettings("plain", "drop", "drop", "keep", "keep", "", "", {})
CHARS_AROUND = 40


def read_texts(path: Path, language: str) -> list[str]:
    """The texts of one of `CORPORA`, not normalised."""
    if path.name.endswith(".jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in lines]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return [archive.read(name).decode("latin-1") for name in archive.namelist() if name.endswith(".txt")]
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            files = [archive.extractfile(member) for member in archive if member.name.endswith(".sgm")]
            pages = [file.read().decode("latin-1") for file in files if file]
        return [body for page in pages for body in re.findall("<BODY>(.*?)</BODY>", page, re.DOTALL)]
    context = ReadContext("", language, WIKITEXT, HtmlSettings("trafilatura"))
    items = read_mediawiki(io.BytesIO(bz2.decompress(path.read_bytes())), context)
    return [item.text for item in items if isinstance(item, Record)]


def measure(name: str, texts: Sequence[str], language: str, params: CleanParams, rounds: int) -> str:
    """The row of a corpus."""
    languages, fastest = [language] * len(texts), float("inf")
    for _ in range(rounds):
        start = time.process_time()
        masked = mask_batch(texts, languages, params.personal_data)
        fastest = min(fastest, time.process_time() - start)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    found = {kind: int(values.sum()) for kind, values in masked.found.items() if values.any()}
    counts = ", ".join(f"{number:,} {kind}" for kind, number in found.items()) or "nothing"
    return f"{name:30} {megabytes:6.1f} MB {1000 * fastest / megabytes:6.1f} ms/MB  {counts}"


def show(texts: Sequence[str], language: str, params: CleanParams, number: int) -> None:
    """Prints up to so many finds of each kind, the same in every run."""
    finds = defaultdict(list)
    for text in texts:
        for start, end, kind in find_personal_data(Block([text], [language]), params.personal_data.phone_regions):
            before, after = text[max(0, start - CHARS_AROUND) : start], text[end : end + CHARS_AROUND]
            finds[kind].append(f"{before} [[{text[start:end]}]] {after}")
    for kind, lines in finds.items():
        print(f"  {kind}")
        for line in random.Random(0).sample(lines, min(number, len(lines))):
            print(f"    {line!r}")


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.personal_data", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--show", type=int, default=0, help="finds of each kind and corpus to print")
    arguments = parser.parse_args(argv)
    if not arguments.data.is_dir():
        raise CorpusmillError("no such folder", where=str(arguments.data), hint="give --data FOLDER")
    params = load_params(CleanParams, "clean")
    for name, language in CORPORA:
        raw = read_texts(arguments.data / name, language)
        texts = list(normalize_batch(raw, [language] * len(raw), params.normalize).texts)
        print(measure(Path(name).name.partition(".")[0], texts, language, params, arguments.rounds), flush=True)
        if arguments.show:
            show(texts, language, params, arguments.show)


if __name__ == "__main__":
    main(sys.argv[1:])
