"""Wikipedia, measured: residue, content values and prose recall for each dump; ours and two peers.

    ../shared/data/wikidumps  ->  a table, and logs/bench-wikipedia.json

raw/MB, net/MB   marks of wikitext left in a MB of text: bench/residue.py
values           what convert, lang and their like say, found in its paragraph: bench/content_values.py
recall           words of mwparserfromhell's plain text that are there, outside tables, captions and references (5-grams
                 of letters in scripts without spaces): bench/recall.py

``python -m bench.wikipedia`` prints everything; ``--dump ukwiki --ours-only --misses --lost --residue`` to work with.
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.content_values import missing_values
from bench.dumps import DUMPS, Article, Dump, read_articles, unpack
from bench.recall import count_kept, lost_sentences
from bench.residue import count_marks, count_net, list_marks
from bench.tools import OURS, TOOLS, extract, read_reference
from pipelines.spine.errors import CorpusmillError

LOG = Path("logs/bench-wikipedia.json")
#: The targets: marks for each MB of text, and percents.
MAX_RAW, MAX_NET, MIN_VALUES, MIN_RECALL = 6, 2, 99, 99.5
HEAD = f"{'dump':28} {'tool':17} {'pages':>5} {'MB':>6} {'raw/MB':>8} {'net/MB':>8} {'values':>15} {'recall':>8}"


@dataclass(frozen=True)
class Result:
    """One tool on one dump.

    Args:
        dump: its label.
        tool: one of ``TOOLS``.
        held_back: whether the dump was kept apart from work on the converter.
        pages: articles with text.
        text_bytes: of the text, in UTF-8.
        raw: mark -> number in the text.
        net: the same without marks that a reader sees.
        values: template -> values in the source.
        missing: template -> values that the text lacks.
        kept_words: words (or 5-grams) of the reference that the text has.
        words: words (or 5-grams) of the reference.
    """

    dump: str
    tool: str
    held_back: bool
    pages: int
    text_bytes: int
    raw: Mapping[str, int]
    net: Mapping[str, int]
    values: Mapping[str, int]
    missing: Mapping[str, int]
    kept_words: int
    words: int

    def below(self) -> list[str]:
        """The targets that are missed: raw and net marks for each MB, values and recall in percent."""
        megabytes, words, values = self.text_bytes / 1e6, self.words, sum(self.values.values())
        reached = {
            "raw": sum(self.raw.values()) <= MAX_RAW * megabytes,
            "net": sum(self.net.values()) <= MAX_NET * megabytes,
            "values": 100 * (values - sum(self.missing.values())) >= MIN_VALUES * values,
            "recall": 100 * self.kept_words >= MIN_RECALL * words,
        }
        return [name for name, is_reached in reached.items() if not is_reached]

    def row(self) -> str:
        """The line of the table; a share of nothing is "-"."""
        values, missing = sum(self.values.values()), sum(self.missing.values())
        megabytes = self.text_bytes / 1e6
        raw, net = (f"{sum(m.values()) / megabytes:.2f}" if megabytes else "-" for m in (self.raw, self.net))
        found = f"{values - missing}/{values} {_percent(values - missing, values)}"
        recall = _percent(self.kept_words, self.words, 2)
        named = f"{self.dump:28} {self.tool:17} {self.pages:5} {megabytes:6.2f}"
        below = f"  below target: {', '.join(self.below())}" if self.tool == OURS and self.below() else ""
        return f"{named} {raw:>8} {net:>8} {found:>15} {recall:>8}{below}"


def measure(
    tool: str, dump: Dump, articles: Sequence[Article], texts: Mapping[str, str], rows: Mapping[str, Any]
) -> Result:
    """All measures of one tool on one dump; a page that the tool does not give counts as one without text."""
    raw, net, values, missing = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    kept = words = text_bytes = 0
    for article in articles:
        text, reference = texts.get(article.key, ""), rows[article.key]
        marks = count_marks(text)
        raw += marks
        net += count_net(marks, article.markup, dump.name, article.title) if marks else Counter()
        values.update(_kind(value) for value in reference["values"])
        missing.update(_kind(value) for value in missing_values(text, reference))
        page_kept, page_words = count_kept(text, reference, dump.language)
        kept, words = kept + page_kept, words + page_words
        text_bytes += len(text.encode("utf-8", "surrogatepass"))
    return Result(
        dump=dump.label,
        tool=tool,
        held_back=dump.held_back,
        pages=sum(bool(texts.get(article.key)) for article in articles),
        text_bytes=text_bytes,
        raw=dict(raw),
        net=dict(net),
        values=dict(values),
        missing=dict(missing),
        kept_words=kept,
        words=words,
    )


def show_residue(articles: Sequence[Article], texts: Mapping[str, str]) -> Iterator[str]:
    """A line for each mark left in the texts; "literal" where the source holds the same characters."""
    for article in articles:
        for mark in list_marks(texts.get(article.key, ""), article.markup):
            yield f"  {mark.name:9} {'literal' if mark.literal else '':7} {article.title}: {mark.context}"


def show_misses(articles: Sequence[Article], texts: Mapping[str, str], rows: Mapping[str, Any]) -> Iterator[str]:
    """A line for each value that a text lacks: what was looked for, and the template in the source."""
    for article in articles:
        for value in missing_values(texts.get(article.key, ""), rows[article.key]):
            snippet = value["snippet"].replace("\n", "⏎")
            yield f"  {' … '.join(value['pieces'])!r:30} {article.title}: {snippet}"


def show_lost(
    articles: Sequence[Article], texts: Mapping[str, str], rows: Mapping[str, Any], language: str
) -> Iterator[str]:
    """A line for each sentence that lost words, those that lost most first."""
    found = [
        (sentence, article.title)
        for article in articles
        for sentence in lost_sentences(texts.get(article.key, ""), rows[article.key], language)
    ]
    for sentence, title in sorted(found, key=lambda pair: -pair[0].lost):
        yield f"  {sentence.lost:4}/{sentence.words:<4} {title}: {sentence.text[:300]}"


def main(argv: Sequence[str]) -> None:
    """The command."""
    args = _parse(argv)
    chosen = [dump for dump in DUMPS if not args.dump or any(name in dump.name for name in args.dump)]
    results: list[Result] = []
    print(HEAD)
    for dump in chosen:
        if dump.held_back and not (results and results[-1].held_back):
            print("held back while the converter was written:")
        xml = unpack(dump, Path(args.data))
        articles, rows = list(read_articles(xml)), read_reference(dump, xml)
        for tool in [OURS] if args.ours_only else TOOLS:
            try:
                texts = extract(tool, dump, xml)
            except CorpusmillError as error:
                print(f"{dump.label:28} {tool:17} failed: {error.got.splitlines()[-1]}")
                continue
            results.append(measure(tool, dump, articles, texts, rows))
            print(results[-1].row(), flush=True)
            if tool == OURS:
                _print_lists(args, articles, texts, rows, dump.language)
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps([asdict(result) for result in results], ensure_ascii=False, indent=1))


def _print_lists(
    args: argparse.Namespace,
    articles: Sequence[Article],
    texts: Mapping[str, str],
    rows: Mapping[str, Any],
    language: str,
) -> None:
    lists = {
        "residue": lambda: show_residue(articles, texts),
        "misses": lambda: show_misses(articles, texts, rows),
        "lost": lambda: show_lost(articles, texts, rows, language),
    }
    for name, lines in lists.items():
        if getattr(args, name):
            print("\n".join(itertools.islice(lines(), args.limit)))


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.wikipedia", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="../shared/data", help="folder that holds wikidumps")
    parser.add_argument("--dump", action="append", default=[], metavar="NAME", help="only dumps whose names hold this")
    parser.add_argument("--ours-only", action="store_true", help="no peers")
    parser.add_argument("--residue", action="store_true", help="list the marks left in our texts")
    parser.add_argument("--misses", action="store_true", help="list the values that our texts lack")
    parser.add_argument("--lost", action="store_true", help="list the sentences that our texts lack, worst first")
    parser.add_argument("--limit", type=int, default=100, help="lines of each list")
    return parser.parse_args(argv)


def _kind(value: Mapping[str, Any]) -> str:
    """The template, all languages of ``lang-xx`` as one."""
    return "lang-xx" if value["template"].startswith("lang-") else value["template"]


def _percent(part: int, whole: int, digits: int = 1) -> str:
    return f"{100 * part / whole:.{digits}f}%" if whole else "-"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
