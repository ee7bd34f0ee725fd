"""Equal decisions: every rule that ours and datatrove have in common, on every text by itself, and why the rest differ.

    encyclopaedia, posts, news  ->  normalised by ours  ->  a verdict by each rule: ours, datatrove's
                                                        ->  the choice that makes the difference, with its count

Limits are the papers' in both (params.yaml has min_words: 20, and leaves very short texts unjudged). A cause is not
guessed: it is the choice that, made as datatrove makes it, turns our decision into its own (`bench.cleaning_definitions`).
"""

import gzip
import html
import io
import json
import re
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.clean_ours import normalize, peer_params
from bench.cleaning_definitions import CHOICES, LINE_CHOICES, RULES, Text, causes, keeps_line
from bench.peers import DATATROVE, pinned_python
from bench.tools import run_alone
from pipelines.cleaning.document_rules import DOCUMENT_RULES
from pipelines.cleaning.line_rules import LINE_RULES
from pipelines.cleaning.readings import Documents, RuleParams
from pipelines.cleaning.text_table import Bools, TextTable

#: Ours has two rules where datatrove has one.
PARTS = {"gopher.symbols": ("gopher.hash_signs", "gopher.ellipses")}
REPETITION = re.compile(r"gopher\.(duplicate|top_run|repeated_run)")
#: datatrove's filters, and which rules are in each.
FILTERS: dict[str, Callable[[str], bool]] = {
    "Gopher repetition": lambda rule: bool(REPETITION.match(rule)),
    "Gopher quality": lambda rule: rule.startswith("gopher.") and not REPETITION.match(rule),
    "C4 (documents)": lambda rule: rule.startswith("c4."),
    "FineWeb": lambda rule: rule.startswith("fineweb."),
}
ONLY_THEIRS = {
    "only.five_sentences": "C4: a text of fewer than five sentences is dropped; ours has no such rule",
    "only.one_percent_repeated": "FineWeb: 1 % of characters in repeated lines is enough (its default; the paper: 10 %)",
}
TEXTS_OF_A_SORT = 500


@dataclass
class Agreement:
    """What was compared; every Counter of rules is by name.

    Attributes:
        texts: sort of text -> how many.
        equal_texts: filter -> texts on which it decides as ours; "all" for texts on which all filters do.
        theirs, ours: filter or rule -> texts that are dropped by it.
        differing: rule -> cause -> texts.
        lines, equal_lines: non-blank ones, and those on which C4's line rules agree.
        line_causes: cause -> lines.
        only_theirs: what ours has not -> texts that datatrove drops by it.
    """

    texts: Counter[str] = field(default_factory=Counter)
    equal_texts: Counter[str] = field(default_factory=Counter)
    theirs: Counter[str] = field(default_factory=Counter)
    ours: Counter[str] = field(default_factory=Counter)
    differing: dict[str, Counter[str]] = field(default_factory=dict)
    lines: int = 0
    equal_lines: int = 0
    line_causes: Counter[str] = field(default_factory=Counter)
    only_theirs: Counter[str] = field(default_factory=Counter)


def sample(data: Path) -> Iterator[tuple[str, str]]:
    """(sort, text), of each sort some hundred texts spread over its corpus."""
    for sort, texts in (
        ("encyclopaedia", encyclopaedia(data)[::50]),
        ("posts", _spread(_json_lines(data / "dedup/20news-crossposts.jsonl.gz"))),
        ("news wire", _spread(_reuters(data / "news/reuters-21578.tar.gz"))),
        ("news", _spread(_bbc(data / "news/bbc-news.zip"))),
    ):
        for text in normalize(texts, "en"):
            if text:
                yield sort, text


def encyclopaedia(data: Path, num_bytes: int | None = None) -> list[str]:
    """The articles of the benchmark text, all or the first so many bytes of them."""
    texts, size = [], 0
    with pa.input_stream(str(data / "bench/enwiki-2015-aa.jsonl.zst"), compression="zstd") as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            texts.append(json.loads(line)["text"])
            size += len(texts[-1].encode())
            if num_bytes is not None and size >= num_bytes:
                break
    return texts


def compare(texts: Sequence[tuple[str, str]], theirs: Sequence[dict[str, Any]]) -> Agreement:
    """Both decide on every text; what differs is explained.

    Args:
        texts: (sort, text).
        theirs: what `their_verdicts` gives for them.
    """
    agreement = Agreement(Counter(sort for sort, _ in texts))
    ours, our_lines = our_verdicts([text for _, text in texts])
    header, *rows = theirs
    for place, ((_, text), row) in enumerate(zip(texts, rows, strict=True)):
        known = Text(text, row["words"], frozenset(header["punctuation"]), frozenset(header["terminal"]))
        _compare_text(agreement, known, {rule: bool(found[place]) for rule, found in ours.items()}, set(row["drops"]))
        _compare_lines(agreement, known, our_lines[place], set(row["kept_lines"]))
    return agreement


def our_verdicts(texts: Sequence[str]) -> tuple[dict[str, Bools], list[set[int]]]:
    """Rule -> which texts it drops, each rule asked by itself; and the numbers of the lines that C4's rules keep."""
    params = published(peer_params().rules)
    drops: dict[str, list[Bools]] = {}
    kept_lines: list[set[int]] = []
    for text in texts:
        table = TextTable.read([text], ["en"])
        stays = ~np.any([rule(table, params) for rule in LINE_RULES.values()], axis=0)
        kept_lines.append(set(table.lines.numbers[stays].tolist()))
        # C4 drops for brackets in lines that stay; the other filters see the whole text.
        whole, edited = Documents(table), Documents(table.keep_lines(stays))
        for name in RULES:
            documents = edited if name.startswith("c4.") else whole
            readings = [DOCUMENT_RULES[part](documents, params) for part in PARTS.get(name, (name,))]
            drops.setdefault(name, []).append(np.any([reading.broken for reading in readings], axis=0))
    return {name: np.concatenate(found) for name, found in drops.items()}, kept_lines


def published(params: RuleParams) -> RuleParams:
    """The limits of the papers, and every text judged."""
    return replace(params, min_words=50, min_judged_words=0, min_judged_lines=0)


def their_verdicts(texts: Sequence[str]) -> list[dict[str, Any]]:
    """A header, then a row for each text, by `bench.clean_datatrove`."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as folder:
        source, target = Path(folder) / "texts.jsonl", Path(folder) / "verdicts.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        run_alone([str(pinned_python(DATATROVE)), "-m", "bench.clean_datatrove", "decide", str(source), str(target)])
        return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


def report(agreement: Agreement) -> Iterator[str]:
    """The tables, line by line."""
    total, head = agreement.texts.total(), f"{'ours drops':>10} {'it drops':>9}"
    yield f"equal decisions with datatrove: {total:,} texts ({', '.join(f'{n} {s}' for s, n in agreement.texts.items())})"
    yield f"{'filter':32} {head} {'equal':>8}"
    for name in (*FILTERS, "all"):
        yield f"{_dropped(agreement, name)} {_percent(agreement.equal_texts[name], total)}"
    yield f"{'C4 (lines)':52} {_percent(agreement.equal_lines, agreement.lines)} of {agreement.lines:,} lines"
    yield f"\n{'rule':32} {head} {'differ':>8}  causes"
    every: Counter[str] = Counter()
    for name in RULES:
        found = agreement.differing.get(name, Counter())
        every += found
        yield f"{_dropped(agreement, name)} {found.total():8}  {_counts(found)}".rstrip()
    yield f"{'C4 (lines)':52} {agreement.line_causes.total():8}  {_counts(agreement.line_causes)}"
    decisions = total * len(RULES)
    yield f"{'all rules':52} {every.total():8}  {_counts(every)}"
    yield f"{'equal':52} {_percent(decisions - every.total(), decisions)} of {decisions:,} decisions, a rule on a text"
    yield "\nhow datatrove chooses"
    yield from (f"  {name:16} {said}" for name, said in CHOICES.items())
    yield from (f"  {agreement.only_theirs[name]} texts dropped: {said}" for name, said in ONLY_THEIRS.items())


def _dropped(agreement: Agreement, name: str) -> str:
    return f"{name:32} {agreement.ours[name]:10} {agreement.theirs[name]:9}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):7.2f}%"


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{cause} {number}" for cause, number in found.most_common())


def _compare_text(agreement: Agreement, text: Text, ours: dict[str, bool], dropped: set[str]) -> None:
    for name, definition in RULES.items():
        agreement.ours[name] += ours[name]
        agreement.theirs[name] += name in dropped
        if ours[name] != (name in dropped):
            cause = causes(partial(definition.drops, text), definition.choices, ours[name])
            agreement.differing.setdefault(name, Counter())[cause] += 1
    our_filters = {name for name, holds in FILTERS.items() if any(ours[rule] for rule in RULES if holds(rule))}
    their_filters = {name for name, holds in FILTERS.items() if any(rule in dropped for rule in RULES if holds(rule))}
    for name in FILTERS:
        agreement.ours[name] += name in our_filters
        agreement.theirs[name] += name in their_filters
        agreement.equal_texts[name] += (name in our_filters) == (name in their_filters)
    agreement.ours["all"] += bool(our_filters)
    agreement.theirs["all"] += bool(their_filters)
    agreement.equal_texts["all"] += bool(our_filters) == bool(their_filters)
    agreement.only_theirs.update(name for name in ONLY_THEIRS if name in dropped)


def _compare_lines(agreement: Agreement, text: Text, ours: set[int], theirs: set[int]) -> None:
    lines = text.text.split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    agreement.lines += len(filled)
    for number in filled:
        if (number in ours) == (number in theirs):
            agreement.equal_lines += 1
        else:
            cause = causes(partial(keeps_line, lines[number]), LINE_CHOICES, number in ours)
            agreement.line_causes[cause] += 1


def _spread(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(len(texts) // TEXTS_OF_A_SORT, 1)]


def _json_lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def _reuters(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        members = sorted((one for one in archive.getmembers() if one.name.endswith(".sgm")), key=lambda one: one.name)
        files = [archive.extractfile(member) for member in members]
        pages = [file.read().decode("latin-1") for file in files if file]
    return [html.unescape(body) for page in pages for body in re.findall(r"<BODY>(.*?)</BODY>", page, re.DOTALL)]


def _bbc(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".txt") and "README" not in name)
        return [archive.read(name).decode("utf-8", "replace") for name in names]
