"""Which lines a text loses and whether the text stays: published rules over a batch, each decision with its numbers.

    texts  ->  LINE_RULES (edit)  ->  loops cut  ->  DOCUMENT_RULES (judge the edited text)  ->  a Verdict a text

A text is dropped by the first document rule that it breaks. Applied to what they left, the rules change nothing.
`RULES` are all document rules: those of papers, and those that ask a model or look for personal data.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.cleaning.document_rules import DOCUMENT_RULES, DocumentRule
from pipelines.cleaning.hashing import U64
from pipelines.cleaning.language_rules import check_keep, other_language
from pipelines.cleaning.line_rules import LINE_RULES
from pipelines.cleaning.loop_rules import looping
from pipelines.cleaning.loops import check_loops, cut_loops, find_loops
from pipelines.cleaning.normalize import tidy_lines
from pipelines.cleaning.personal_rules import PERSONAL_RULES
from pipelines.cleaning.quality_model import QualityModel
from pipelines.cleaning.quality_rules import low_quality
from pipelines.cleaning.readings import Batch, Documents, Reading, RuleParams
from pipelines.cleaning.repeated_lines import line_hashes
from pipelines.cleaning.repetition import COVERED_SIZES, TOP_SIZES
from pipelines.cleaning.text_table import I64, TextTable
from pipelines.spine.errors import CorpusmillError

#: Characters that are looked at together: from 2^18 on the cost of calls no longer counts, from 2^19 on that of memory
#: begins to. For English 2^17 is a third slower.
BLOCK_CHARS = 3 << 17


#: No limit is larger: products with counts stay within 64 bits.
MOST = 1_000_000_000

#: The order decides which rule a dropped text is counted under.
RULES: dict[str, DocumentRule] = {
    **PERSONAL_RULES,
    "repetition.loops": looping,
    "language.other": other_language,  # before rules that would blame the words of another language
    **DOCUMENT_RULES,
    "quality.low_score": low_quality,
}


class Verdict(NamedTuple):
    """What became of one text."""

    text: str  # without what was cut and the removed lines, also where it is dropped
    rule: str | None  # the first document rule that it breaks; None: it stays
    value: str  # what that rule read: "35.2% (6 of 17)"
    threshold: str  # what breaks it: "> 30%"
    lines_removed: dict[str, int]  # by line rule; those that removed none are left out
    chars_cut: int = 0  # of copies of what loops


class Judged(NamedTuple):
    """What became of the texts of a batch."""

    verdicts: list[Verdict]
    line_hashes: list[U64]  # of each edited text: those of its lines that count as repeated where too many hold them


class Finding(NamedTuple):
    """What one rule says of one text."""

    rule: str
    value: str
    threshold: str
    verdict: str  # "drops", "keeps", "removes lines", "does not apply" or "skipped"


def apply_rules(texts: Sequence[str], languages: Sequence[str], params: RuleParams) -> list[Verdict]:
    """The verdict on each text, in order, where nothing but its language is known.

    Args:
        texts: normalised texts (`pipelines.cleaning.normalize`).
        languages: the language code of each, ``en`` or ``en-us``; the limits are by the part before the hyphen.
        params: limits.
    Raises:
        CorpusmillError: an unknown rule to skip, or not as many limits as sizes of runs.
    """
    return judge(Batch(texts, languages, [""] * len(texts), {}), params).verdicts


def judge(batch: Batch, params: RuleParams, quality_model: QualityModel | None = None) -> Judged:
    """The verdict on each text, in order, and the hashes of its lines; it does not depend on the other texts.

    Args:
        batch: normalised texts.
        params: limits.
        quality_model: where there is one.
    Raises:
        CorpusmillError: an unknown rule to skip, or not as many limits as sizes of runs.
    """
    check_params(params)
    judged = Judged([], [])
    for block in _blocks(batch.texts):
        found = _judge(batch.part(block), params, quality_model)
        judged.verdicts.extend(found.verdicts)
        judged.line_hashes.extend(found.line_hashes)
    return judged


def explain(batch: Batch, params: RuleParams, quality_model: QualityModel | None = None) -> list[Finding]:
    """What every rule says of a batch of one text, in the order in which they are asked; the first that drops it decides."""
    check_params(params)
    edited = _edit(batch, params)
    findings = []
    for place, name in enumerate(LINE_RULES):
        caught = int(np.count_nonzero(edited.catching == place))
        verdict = "skipped" if name in params.skip else "removes lines" if caught else "keeps"
        findings.append(Finding(name, f"{caught} of {len(edited.catching)} lines", "", verdict))
    documents = Documents(edited.table, edited.batch, quality_model)
    for name, rule in RULES.items():
        reading = rule(documents, params)
        findings.append(Finding(name, reading.value(0), reading.threshold(0), _verdict(name, reading, params)))
    return findings


def check_params(params: RuleParams) -> None:
    """Raises CorpusmillError where a parameter names no rule, lacks a default or has not as many limits as sizes."""
    for name in params.skip:
        if name not in LINE_RULES and name not in RULES:
            known = ", ".join([*LINE_RULES, *RULES])
            raise CorpusmillError(f"{name} is not a rule; known: {known}", where="params.yaml: clean.rules.skip")
    for name, value in _numbers(params):
        most = 100 if "percent" in name else MOST
        if not 0 <= value <= most:
            raise CorpusmillError(
                "out of range", where=f"params.yaml: clean.rules.{name}", expected=f"0 to {most:,}", got=value
            )
    for key in ("min_mean_word_chars", "max_mean_word_chars"):
        if "default" not in getattr(params, key):
            raise CorpusmillError(
                "no value for languages that are not named",
                where=f"params.yaml: clean.rules.{key}",
                expected="default: 3",
            )
    for key, sizes in (("max_top_run_percents", TOP_SIZES), ("max_repeated_run_percents", COVERED_SIZES)):
        if len(getattr(params, key)) != len(sizes):
            raise CorpusmillError(
                "one limit for each length of run",
                where=f"params.yaml: clean.rules.{key}",
                expected=f"{len(sizes)} numbers, for runs of {', '.join(map(str, sizes))} words",
                got=str(list(getattr(params, key))),
            )
    if not 0 <= params.quality.min_score <= 1000:
        raise CorpusmillError(
            "not a score", where="params.yaml: clean.rules.quality.min_score", expected="0 to 1000",
            got=params.quality.min_score,
        )  # fmt: skip
    check_loops(params.loops)
    check_keep(params.languages)


class _Edited(NamedTuple):
    """A block of texts as line rules left them."""

    batch: Batch  # with the edited texts
    table: TextTable  # of them
    catching: I64  # of each line that came in: the place in `LINE_RULES` of the first rule that removes it, or -1
    removed: list[dict[str, int]]  # by rule, of each text
    chars_cut: list[int]  # of each text


def _edit(batch: Batch, params: RuleParams) -> _Edited:
    """The batch without the lines that a rule removes, and then without loops.

    A line between two copies may hide a loop, so loops are looked for behind the rules; what is left when one was cut
    is edited again, which is rare.
    """
    table = read_table(batch)
    catching = _catching(table, params)
    texts, removed = list(batch.texts), [dict[str, int]() for _ in batch.texts]
    for place in np.unique(table.lines.texts[catching >= 0]).tolist():
        texts[place], removed[place] = _without_lines(texts[place], table, catching, place)
    edited = _Edited(
        dataclasses.replace(batch, texts=texts), table.keep_lines(catching < 0), catching, removed, [0] * len(texts)
    )
    if params.loops.action != "cut" or not len(find_loops(edited.table, params.loops).texts):
        return edited
    whole = read_table(edited.batch)
    loops = find_loops(whole, params.loops)
    again = _edit(dataclasses.replace(batch, texts=cut_loops(texts, whole, loops)), params)
    return again._replace(
        catching=catching,
        removed=[dict(Counter(one) + Counter(two)) for one, two in zip(removed, again.removed, strict=True)],
        chars_cut=[int(loops.chars[place]) + chars for place, chars in enumerate(again.chars_cut)],
    )


def _numbers(params: RuleParams) -> Iterator[tuple[str, int]]:
    """The name and value of every number that stands among the limits, those of lists and mappings too."""
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        values = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
        yield from ((field.name, one) for one in values if isinstance(one, int))
    for name in ("max_documents", "min_words"):
        yield f"repeated_lines.{name}", getattr(params.repeated_lines, name)


def _judge(batch: Batch, params: RuleParams, quality_model: QualityModel | None) -> Judged:
    edited = _edit(batch, params)
    documents = Documents(edited.table, edited.batch, quality_model)
    names = [name for name in RULES if name not in params.skip]
    readings = [RULES[name](documents, params) for name in names]
    broken = np.array([reading.broken for reading in readings]).reshape(len(names), len(batch.texts))
    first_broken = {place: int(broken[:, place].argmax()) for place in np.flatnonzero(broken.any(axis=0)).tolist()}
    verdicts = []
    for place, text in enumerate(edited.batch.texts):
        rule, value, threshold = None, "", ""
        if place in first_broken:
            rule, reading = names[first_broken[place]], readings[first_broken[place]]
            value, threshold = reading.value(place), reading.threshold(place)
        verdicts.append(Verdict(text, rule, value, threshold, edited.removed[place], edited.chars_cut[place]))
    return Judged(verdicts, _hashes(documents, params))


def read_table(batch: Batch) -> TextTable:
    """The words and lines of a batch; limits by language go by the part of the code before the hyphen."""
    return TextTable.read(batch.texts, [language.partition("-")[0].lower() for language in batch.languages])


def _hashes(documents: Documents, params: RuleParams) -> list[U64]:
    """The hashes of each text's lines; none where no line is too frequent."""
    table = documents.table
    if not params.repeated_lines.max_documents:
        return [np.empty(0, np.uint64)] * len(table.languages)
    hashes, counted = line_hashes(table, documents.repetition, params.repeated_lines.min_words)
    ends = table.text_lines.tolist()
    return [hashes[begin:end][counted[begin:end]] for begin, end in itertools.pairwise(ends)]


def _catching(table: TextTable, params: RuleParams) -> I64:
    """The place in `LINE_RULES` of the first rule that removes each line, -1 for those that stay; ``[n_lines]``."""
    catching = np.full(len(table.lines.texts), -1, np.int64)
    for place, (name, rule) in enumerate(LINE_RULES.items()):
        if name not in params.skip:
            catching[(catching < 0) & rule(table, params)] = place
    return catching


def _without_lines(text: str, table: TextTable, catching: I64, place: int) -> tuple[str, dict[str, int]]:
    """A text without the lines that were caught, at least one, and how many each rule caught."""
    lines = slice(table.text_lines[place], table.text_lines[place + 1])
    caught = catching[lines] >= 0
    all_lines = text.split("\n")
    keep = bytearray(b"\1") * len(all_lines)
    for number in table.lines.numbers[lines][caught].tolist():
        keep[number] = 0
    kept = itertools.compress(all_lines, keep)
    counts = np.bincount(catching[lines][caught], minlength=len(LINE_RULES)).tolist()
    return tidy_lines("\n".join(kept)), {name: count for name, count in zip(LINE_RULES, counts, strict=True) if count}


def _verdict(name: str, reading: Reading, params: RuleParams) -> str:
    if name in params.skip:
        return "skipped"
    if not reading.applies[0]:
        return "does not apply"
    return "drops" if reading.broken[0] else "keeps"


def _blocks(texts: Sequence[str]) -> Iterator[slice]:
    """Runs of whole texts of about `BLOCK_CHARS`, at least one text each."""
    first = chars = 0
    for place, text in enumerate(texts):
        chars += len(text)
        if chars >= BLOCK_CHARS or place == len(texts) - 1:
            yield slice(first, place + 1)
            first, chars = place + 1, 0
