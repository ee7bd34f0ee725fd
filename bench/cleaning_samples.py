"""Cleaning, to be read: what each rule drops from real corpora, and documents that were dropped and kept.

    ../shared/data  ->  extract  ->  clean  ->  logs/cleaning-<corpus>.md, and a row of the table
                                       |
                                       +----->  clean again: a second run changes and drops nothing

The dropped ones are drawn by a hash of their ids, rule by rule in turn, so that a rare rule is seen beside a frequent
one; the kept ones by that hash alone. The second run is one without corpus-level line removal, whose counts differ on
a corpus that lost its repeated lines.

``python -m bench.cleaning_samples``; ``--corpus thucnews --number 60`` to read more of one.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import VERSIONS_FILE

WORK, LOGS = Path(".cache/bench/cleaning"), Path("logs")
#: A second run may change or drop one document in so many.
DOCUMENTS_PER_EXCEPTION = 10_000
EXAMPLE_CHARS = 600
RULES_NAMED = 3
HEAD = f"{'corpus':14} {'documents':>9} {'dropped':>7} {'share':>7}  {'second run':22} most frequent rules"


@dataclass(frozen=True)
class Corpus:
    """One corpus as `extract` is told of it; ``path`` lies below the data folder."""

    name: str
    language: str
    path: str
    kind: str
    options: Mapping[str, str] = field(default_factory=dict)


#: A kind that `extract` does not know: it is rewritten as one that it does.
WIKIEXTRACTOR = "wikiextractor"
KIND_READ = {WIKIEXTRACTOR: "jsonl"}
CORPORA = (
    Corpus("thucnews", "zh", "news/thucnews-zh-1k.jsonl.gz", "jsonl"),
    Corpus("zh-novels", "zh", "wikitext/zh-novels.jsonl.gz", "jsonl"),
    Corpus("zhwiki", "zh", "wikitext/zhwiki-extracted-sample.txt", WIKIEXTRACTOR),
    Corpus("peoples-daily", "zh", "news/peoples-daily-zh-199801a.jsonl.gz", "jsonl"),
    Corpus("jawiki", "ja", "wikidumps/jawiki-20230501-multistream.xml.bz2", "mediawiki"),
    Corpus("ukwiki", "uk", "wikidumps/ukwiki-20230501-multistream.xml.bz2", "mediawiki"),
    Corpus("viwiki", "vi", "wikidumps/viwiki-20230501-multistream.xml.bz2", "mediawiki"),
    Corpus("bbc", "en", "news/bbc-news.zip", "text", {"split": "file"}),
    Corpus("reuters", "en", "news/reuters-21578.tar.gz", "sgml"),
    Corpus("enwiki-2015", "en", "bench/enwiki-2015-aa.jsonl.zst", "jsonl"),
)


@dataclass(frozen=True)
class Dropped:
    """A document that a rule dropped; the text as the rule read it."""

    doc_id: str
    rule: str
    value: str
    threshold: str
    text: str


@dataclass(frozen=True)
class SecondRun:
    """What a second run did to the documents that the first one kept.

    Attributes:
        documents: how many there were.
        dropped: rule -> ids.
        changed: ids of those whose text is another one now.
    """

    documents: int
    dropped: Mapping[str, Sequence[str]]
    changed: Sequence[str]

    @property
    def exceptions(self) -> int:
        return len(self.changed) + sum(map(len, self.dropped.values()))

    @property
    def holds(self) -> bool:
        """Whether at most one document in `DOCUMENTS_PER_EXCEPTION` was dropped or changed."""
        return DOCUMENTS_PER_EXCEPTION * self.exceptions <= self.documents

    def __str__(self) -> str:
        if not self.exceptions:
            return "changes nothing"
        return f"{sum(map(len, self.dropped.values()))} dropped, {len(self.changed)} changed"


def by_hash(doc_ids: Iterable[str]) -> list[str]:
    """The ids in an order that has nothing to do with where they stood."""
    return sorted(doc_ids, key=lambda doc_id: hashlib.blake2b(doc_id.encode(), digest_size=8).digest())


def choose_dropped(dropped: Sequence[Dropped], number: int) -> list[Dropped]:
    """So many of the dropped documents, from every rule in turn, a rule's own in the order of `by_hash`; by rule."""
    known = {one.doc_id: one for one in dropped}
    by_rule: dict[str, list[Dropped]] = {}
    for doc_id in by_hash(known):
        by_rule.setdefault(known[doc_id].rule, []).append(known[doc_id])
    longest = max(map(len, by_rule.values()), default=0)
    rounds = [by_rule[rule][turn] for turn in range(longest) for rule in sorted(by_rule) if turn < len(by_rule[rule])]
    return sorted(rounds[:number], key=lambda one: one.rule)


def compare_runs(first: Mapping[str, str], second: Mapping[str, str], dropped: Iterable[Dropped]) -> SecondRun:
    """What became of the first run's documents in the second; both are doc_id -> text of what was kept."""
    by_rule: dict[str, list[str]] = {}
    for one in dropped:
        by_rule.setdefault(one.rule, []).append(one.doc_id)
    changed = sorted(doc_id for doc_id, text in second.items() if first[doc_id] != text)
    return SecondRun(len(first), {rule: sorted(by_rule[rule]) for rule in sorted(by_rule)}, changed)


def row(corpus: Corpus, taken: int, dropped: Sequence[Dropped], second: SecondRun) -> str:
    """The line of the table."""
    rules = Counter(one.rule for one in dropped)
    named = ", ".join(f"{rule} {share(n, taken)}" for rule, n in most_frequent(rules)[:RULES_NAMED])
    verdict = f"{second}{'' if second.holds else ' !'}"
    return f"{corpus.name:14} {taken:9,} {len(dropped):7,} {share(len(dropped), taken):>7}  {verdict:22} {named or '-'}"


def report(
    corpus: Corpus,
    ledger: Mapping[str, Any],
    dropped: Sequence[Dropped],
    kept: Mapping[str, str],
    second: SecondRun,
    number: int,
) -> Iterator[str]:
    """The lines of ``logs/cleaning-<corpus>.md``."""
    taken = ledger["in"]
    yield f"# {corpus.name} ({corpus.language})"
    yield ""
    yield f"{len(dropped):,} of {taken:,} documents dropped, {share(len(dropped), taken)}."
    yield ""
    yield from _table("rule", "documents", most_frequent(Counter(one.rule for one in dropped)), taken)
    yield from _table("edit", "number", most_frequent(ledger["apart"]))
    yield from _table("repeated line", "removed", ledger.get("tallies", {}).get("repeated_lines", [])[:number])
    yield f"A second run over the {second.documents:,} that stayed: {second}."
    yield ""
    yield from _table("rule of the second run", "documents", [(r, " ".join(ids)) for r, ids in second.dropped.items()])
    yield from _table("changed by the second run", "", [(doc_id, "") for doc_id in second.changed[:number]])
    chosen = choose_dropped(dropped, number)
    yield f"## {len(chosen)} dropped"
    for one in chosen:
        yield from _example(f"{one.doc_id}: {one.rule}, {one.value}, dropped if {one.threshold}", one.text)
    names = by_hash(kept)[:number]
    yield f"## {len(names)} kept"
    for doc_id in names:
        yield from _example(doc_id, kept[doc_id])


def share(part: int, whole: int) -> str:
    """In percent, two decimals."""
    return f"{100 * part / whole:.2f}%" if whole else "-"


def most_frequent(numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent first, equal ones by name."""
    return sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))


def _table(name: str, unit: str, pairs: Sequence[Sequence[Any]], whole: int = 0) -> Iterator[str]:
    if not pairs:
        return
    yield f"| {name} | {unit} |" + (" share |" if whole else "")
    yield "|---|---:|" + ("---:|" if whole else "")
    for key, number in pairs:
        said = f"{number:,}" if isinstance(number, int) else number
        yield f"| {str(key).replace('|', '¦')} | {said} |" + (f" {share(number, whole)} |" if whole else "")
    yield ""


def _example(title: str, text: str) -> Iterator[str]:
    """A heading and the text's beginning; indented, so that nothing in it is markup."""
    yield from ("", f"### {title}", "")
    beginning = text[:EXAMPLE_CHARS] + (f" … ({len(text):,} characters)" if len(text) > EXAMPLE_CHARS else "")
    yield from (f"    {line}" for line in beginning.split("\n"))
    yield ""


def read_kept(folder: Path) -> dict[str, str]:
    """doc_id -> text of a stage's documents."""
    tables = [pq.read_table(path, columns=["doc_id", "text"]) for path in sorted(folder.glob("*.parquet"))]
    return {doc_id: text for table in tables for doc_id, text in zip(*_columns(table), strict=True)}


def read_dropped(folder: Path) -> list[Dropped]:
    """What `clean` kept as evidence of what it dropped."""
    names = list(Dropped.__dataclass_fields__)
    tables = [pq.read_table(path, columns=names) for path in sorted((folder / "dropped").glob("*.parquet"))]
    return [Dropped(*values) for table in tables for values in zip(*_columns(table), strict=True)]


def _columns(table: pa.Table) -> list[list[str]]:
    return [column.to_pylist() for column in table.columns]


def extract_and_clean(corpus: Corpus, data: Path, params: Path) -> Path:
    """Runs the stages; gives the folder that holds ``extract``, ``clean`` and, cleaned a second time, ``again``.

    Raises:
        CorpusmillError: a stage failed.
    """
    folder = WORK / corpus.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    raw = data / corpus.path
    if corpus.kind == WIKIEXTRACTOR:
        raw = write_jsonl(raw, folder / "raw.jsonl")
    given = [f"--kind={KIND_READ.get(corpus.kind, corpus.kind)}", f"--source={corpus.name}"]
    given += [f"--language={corpus.language}", *(f"--option={n}={value}" for n, value in corpus.options.items())]
    _run("extract", raw, folder / "extract", params, *given)
    _run("clean", folder / "extract", folder / "clean", write_params(params, folder / "once/params.yaml", True))
    _run("clean", folder / "clean", folder / "again", write_params(params, folder / "twice/params.yaml", False))
    return folder


def write_jsonl(raw: Path, target: Path) -> Path:
    """WikiExtractor's ``<doc id="13" ...>`` blocks as rows of id and text."""
    blocks = re.findall(r'<doc id="(\d+)"[^>]*>\n(.*?)</doc>', raw.read_text(encoding="utf-8"), re.DOTALL)
    rows = (json.dumps({"id": key, "text": text.strip()}, ensure_ascii=False) for key, text in blocks)
    target.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return target


def _run(stage: str, given: Path, output: Path, params: Path, *options: str) -> None:
    command = [sys.executable, "-m", f"pipelines.{stage}", "--input", str(given), "--output", str(output)]
    command += ["--params", str(params), "--cache", str(output.parent / "cache"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CorpusmillError(f"{stage} failed", where=str(given), got=done.stderr[-1500:])


def write_params(params: Path, target: Path, repeated_lines: bool) -> Path:
    """The parameters with every dropped text kept, and without corpus-level line removal where not wanted."""
    document = yaml.safe_load(params.read_text(encoding="utf-8"))
    document["clean"]["dropped_text_percent"] = 100
    if not repeated_lines:
        document["clean"]["rules"]["repeated_lines"]["max_documents"] = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    shutil.copyfile(params.with_name(VERSIONS_FILE), target.with_name(VERSIONS_FILE))
    return target


def main(argv: Sequence[str]) -> bool:
    """The command; whether a second run left every corpus as it was, but for one document in 10,000."""
    args = _parse(argv)
    LOGS.mkdir(exist_ok=True)
    holds = True
    print(HEAD)
    for corpus in CORPORA:
        if args.corpus and corpus.name not in args.corpus:
            continue
        folder = extract_and_clean(corpus, Path(args.data), Path(args.params))
        ledger = json.loads((folder / "clean/ledger.json").read_text(encoding="utf-8"))
        dropped, kept = read_dropped(folder / "clean"), read_kept(folder / "clean")
        second = compare_runs(kept, read_kept(folder / "again"), read_dropped(folder / "again"))
        lines = report(corpus, ledger, dropped, kept, second, args.number)
        (LOGS / f"cleaning-{corpus.name}.md").write_text("\n".join(lines), encoding="utf-8")
        print(row(corpus, ledger["in"], dropped, second), flush=True)
        holds = holds and second.holds
    return holds


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cleaning_samples", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--data", default="../shared/data", help="folder of the corpora")
    parser.add_argument("--params", default="params.yaml", help="parameters, with versions.yaml beside them")
    names = [corpus.name for corpus in CORPORA]
    parser.add_argument("--corpus", action="append", default=[], choices=names, help="only this one (may be repeated)")
    parser.add_argument("--number", type=int, default=20, help="how many dropped and kept documents a report shows")
    return parser.parse_args(argv)


if __name__ == "__main__":
    try:
        sys.exit(0 if main(sys.argv[1:]) else "! a second run drops or changes more than one document in 10,000")
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
