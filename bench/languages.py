"""Language identification, measured: how often it is right, what the rule would drop, what it sees and what it costs.

    ../shared/data  ->  extract's readers, normalisation  ->  three tables, and logs/bench-languages.json

documents   each in its declared language: identified as that, as another, or not at all; dropped by ``language.other``
            with keep = [declared]; share of the characters that the model saw; CPU milliseconds a MB of all text
snippets    pieces of 50, 100 and 200 characters: the first answer right, right and sure enough to count, sure of another
            language; beside the first answer of resiliparse's detector on the same pieces
mixed       English and French documents joined by share: kept where English alone is kept, and the share as measured

``python -m bench.languages``; ``--dropped`` lists what the rule would drop. Corpora hold some texts of other languages:
Bavarian and Waray pages in arwiki, a dozen foreign pages among the English articles.
"""

import argparse
import itertools
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from resiliparse.parse.lang import detect_fast

from bench.dumps import DUMPS
from pipelines.clean import CleanParams
from pipelines.cleaning.language_rules import accepted_codes, expected_languages, model_code
from pipelines.cleaning.languages import LanguageParams, identify, language_of, pieces_of
from pipelines.cleaning.normalize import NormalizeParams, normalize_batch
from pipelines.divide import plan_files
from pipelines.extract import ExtractParams, ExtractUnit
from pipelines.readers.records import Record
from pipelines.sources import FetchedFile
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params

LOG = Path("logs/bench-languages.json")
SNIPPET_CHARS = (50, 100, 200)
SNIPPETS = 600  # of each length and language
SHARES = (90, 70, 60, 40, 30, 10)  # of English, in percent of the characters
MIXED_CHARS, MIXED_DOCUMENTS = 4000, 100
ROUNDS = 3
#: The options under which resiliparse answers at all, whatever the text ("unknown" beyond a distance of 1,200).
ANY_DISTANCE = 1 << 20
DOCUMENT_HEAD = "corpus                     code  texts   right   other    none   short dropped   seen ms/MB"
SNIPPET_HEAD = (
    "\nlanguage   chars pieces   right    sure   wrong ms/MB   resiliparse ms/MB   (wrong: sure of another one)"
)
MIXED_HEAD = "\nEnglish  texts    kept measured"


@dataclass(frozen=True)
class Corpus:
    """One corpus as `extract` is told of it; ``path`` lies below the data folder."""

    name: str
    language: str
    path: str
    kind: str
    options: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


#: A kind that `extract` does not know: ``<doc ...>`` blocks.
WIKIEXTRACTOR = "wikiextractor"
CORPORA = (
    *(Corpus(dump.label, dump.language, f"wikidumps/{dump.name}.xml.bz2", "mediawiki") for dump in DUMPS),
    Corpus("enwiki-2015", "en", "bench/enwiki-2015-aa.jsonl.zst", "jsonl"),
    Corpus("bbc", "en", "news/bbc-news.zip", "text", {"split": "file"}),
    Corpus("reuters", "en", "news/reuters-21578.tar.gz", "sgml"),
    Corpus("abcnews", "en", "news/lee_background.cor", "text", {"split": "line"}),
    Corpus("20news", "en", "dedup/20news-crossposts.jsonl.gz", "jsonl"),
    Corpus("wikinews-fr", "fr", "news/wikinews-fr-100.zip", "html"),
    Corpus("thucnews", "zh", "news/thucnews-zh-1k.jsonl.gz", "jsonl"),
    Corpus("peoples-daily", "zh", "news/peoples-daily-zh-199801a.jsonl.gz", "jsonl"),
    Corpus("zh-novels", "zh", "wikitext/zh-novels.jsonl.gz", "jsonl"),
    Corpus("zhwiki", "zh", "wikitext/zhwiki-extracted-sample.txt", WIKIEXTRACTOR),
    Corpus("court-zh", "zh", "dedup/court-zh-val.jsonl.gz", "jsonl"),
)


def read_texts(corpus: Corpus, data: Path, limit: int, settings: NormalizeParams) -> list[str]:
    """The first documents of a corpus, normalised; at most ``limit``."""
    path = data / corpus.path
    if corpus.kind == WIKIEXTRACTOR:
        texts = re.findall(r"<doc [^>]*>\n(.*?)</doc>", path.read_text(encoding="utf-8"), re.DOTALL)
    else:
        texts = [item.text for item in _records(corpus, path) if item.text][:limit]
    normalized = normalize_batch(texts[:limit], [corpus.language] * len(texts[:limit]), settings)
    return [text for text in normalized.texts if text]


def measure_documents(corpus: Corpus, texts: Sequence[str], params: LanguageParams) -> dict[str, Any]:
    """The row of the first table for one corpus, and the texts that the rule would drop."""
    expected = expected_languages([corpus.name] * len(texts), [corpus.language] * len(texts), params)
    seconds, found = _fastest(lambda: identify(texts, expected, params))
    accepted, empty = accepted_codes(corpus.language), found.languages.count("")
    right = sum(code in accepted for code in found.languages)
    dropped = 100 * found.chars_in(expected) < params.min_share_percent * found.judged_chars
    rows = np.flatnonzero(dropped & np.array([bool(codes) for codes in expected]))
    return {
        "corpus": corpus.name,
        "language": corpus.language,
        "documents": len(texts),
        "right": right,
        "other": len(texts) - right - empty,
        "none": empty,
        "too_short": sum(len(text) < params.min_judged_chars for text in texts),
        "dropped": [{"by_language": found.by_language[row], "text": texts[row][:300]} for row in rows.tolist()],
        "seen_percent": round(100 * int(found.seen_chars.sum()) / max(1, int(found.chars.sum())), 1),
        "ms_per_mb": round(1e9 * seconds / sum(len(text.encode()) for text in texts), 1),
    }


def measure_snippets(language: str, texts: Sequence[str], chars: int, params: LanguageParams) -> dict[str, Any]:
    """The row of the second table for one language and length."""
    pieces = _snippets(texts, chars)
    accepted = accepted_codes(language)
    seconds, answers = _fastest(lambda: [language_of(piece) for piece in pieces])
    peer_seconds, peer = _fastest(lambda: [detect_fast(piece, cutoff=ANY_DISTANCE)[0] for piece in pieces])
    sure = [code for code, percent in answers if percent >= params.min_certainty_percent]
    megabytes = max(1, sum(len(piece.encode()) for piece in pieces)) / 1e6
    return {
        "language": language,
        "chars": chars,
        "pieces": len(pieces),
        "right": sum(code in accepted for code, _ in answers),
        "sure": sum(code in accepted for code in sure),
        "sure_of_another": sum(code not in accepted for code in sure),
        "ms_per_mb": round(1000 * seconds / megabytes, 1),
        "resiliparse_right": sum(model_code(code) in accepted for code in peer),
        "resiliparse_ms_per_mb": round(1000 * peer_seconds / megabytes, 1),
    }


def measure_mixed(english: Sequence[str], french: Sequence[str], share: int, params: LanguageParams) -> dict[str, Any]:
    """The row of the third table: documents of ``share`` percent English in front, French behind, English kept."""
    cut = MIXED_CHARS * share // 100
    long_ones = [[text for text in texts if len(text) >= MIXED_CHARS] for texts in (english, french)]
    pairs = itertools.islice(itertools.product(*long_ones), MIXED_DOCUMENTS)
    texts = [f"{first[:cut]}\n\n{second[: MIXED_CHARS - cut]}" for first, second in pairs]
    expected = [frozenset({"en"})] * len(texts)
    found = identify(texts, expected, params)
    parts = found.chars_in(expected)
    kept = int(np.count_nonzero(100 * parts >= params.min_share_percent * found.judged_chars))
    measured = 100 * parts.sum() / max(1, found.judged_chars.sum())
    return {
        "english_percent": share,
        "documents": len(texts),
        "kept": kept,
        "measured_percent": round(float(measured), 1),
    }


def measure(data: Path, limit: int, settings: NormalizeParams, params: LanguageParams, show_dropped: bool) -> None:
    """Prints the tables and writes the log."""
    by_language: dict[str, list[str]] = defaultdict(list)
    log: dict[str, list[dict[str, Any]]] = {"documents": [], "snippets": [], "mixed": []}
    print(DOCUMENT_HEAD)
    for corpus in CORPORA:
        texts = read_texts(corpus, data, limit, settings)
        by_language[corpus.language] += texts
        row = measure_documents(corpus, texts, params)
        log["documents"].append(row)
        print(_document_row(row), flush=True)
        for one in row["dropped"] if show_dropped else ():
            print(f"    {one['by_language']} {one['text'][:120]!r}")
    print(SNIPPET_HEAD)
    for language, texts in sorted(by_language.items()):
        for chars in SNIPPET_CHARS:
            row = measure_snippets(language, texts, chars, params)
            log["snippets"].append(row)
            print(_snippet_row(row), flush=True)
    print(MIXED_HEAD)
    for share in SHARES:
        row = measure_mixed(by_language["en"], by_language["fr"], share, params)
        log["mixed"].append(row)
        print(f"{share:6}% {row['documents']:6} {_percent(row['kept'], row['documents'])} {row['measured_percent']:7}%")
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, ensure_ascii=False, indent=1))


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.languages", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the corpora")
    parser.add_argument("--limit", type=int, default=2000, help="documents of each corpus")
    parser.add_argument("--dropped", action="store_true", help="list what the rule would drop")
    args = parser.parse_args(argv)
    clean = load_params(CleanParams, "clean")
    measure(args.data, args.limit, clean.normalize, clean.rules.languages, args.dropped)


def _records(corpus: Corpus, path: Path) -> Iterator[Record]:
    settings = load_params(ExtractParams, "extract")
    file = FetchedFile(
        path=str(path), sha256=storage.sha256_file(path), bytes=path.stat().st_size, source="bench", kind=corpus.kind,
        language=corpus.language, licence="", columns=dict(corpus.columns), options=dict(corpus.options),
    )  # fmt: skip
    reader = ExtractUnit(settings.wikitext, settings.html)
    for unit in plan_files([file], settings.sizes):
        yield from (item for item in reader.read_items(unit) if isinstance(item, Record))


def _snippets(texts: Sequence[str], chars: int) -> list[str]:
    """Pieces evenly spread over each text, the same number of each, until there are enough."""
    long_ones = [text for text in texts if len(text) >= 2 * chars]
    each = -(-SNIPPETS // max(1, len(long_ones)))
    # Where there are more texts than needed, only some of them, evenly spread.
    chosen = long_ones[:: max(1, len(long_ones) // SNIPPETS)]
    pieces = [" ".join(piece.split()) for text in chosen for piece in pieces_of(text, each, chars)]
    return pieces[:SNIPPETS]


def _fastest(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of the fastest round, and what it gave."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        result = call()
        best = min(best, time.process_time() - begin)
    return best, result


def _document_row(row: Mapping[str, Any]) -> str:
    shares = " ".join(_percent(row[name], row["documents"]) for name in ("right", "other", "none", "too_short"))
    head = f"{row['corpus']:26} {row['language']:4} {row['documents']:6} {shares}"
    return f"{head} {len(row['dropped']):7} {row['seen_percent']:5}% {row['ms_per_mb']:5}"


def _snippet_row(row: Mapping[str, Any]) -> str:
    shares = " ".join(_percent(row[name], row["pieces"]) for name in ("right", "sure", "sure_of_another"))
    peer = f"{_percent(row['resiliparse_right'], row['pieces'])} {row['resiliparse_ms_per_mb']:5}"
    return f"{row['language']:10} {row['chars']:5} {row['pieces']:6} {shares} {row['ms_per_mb']:5}   {peer}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:6.1f}%" if whole else f"{'-':>7}"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
