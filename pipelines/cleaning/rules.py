"""Which lines a text loses and whether the text stays: published rules over a batch, each decision with its numbers.

    texts, languages  ->  LINE_RULES (edit)  ->  DOCUMENT_RULES (judge the edited text)  ->  a Verdict a text

A text is dropped by the first document rule that it breaks. Applied to what they left, the rules change nothing.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.cleaning.document_rules import DOCUMENT_RULES
from pipelines.cleaning.line_rules import LINE_RULES
from pipelines.cleaning.normalize import tidy_lines
from pipelines.cleaning.readings import Documents, Reading, RuleParams
from pipelines.cleaning.repetition import COVERED_SIZES, TOP_SIZES
from pipelines.cleaning.text_table import I64, TextTable
from pipelines.spine.errors import CorpusmillError

#: Characters that are looked at together, 4 to 18 MB of arrays: for Chinese 2^17 is a third faster than 2^20, for English
#: they are alike, and 2^15 halves the speed.
BLOCK_CHARS = 1 << 17


class Verdict(NamedTuple):
    """What became of one text."""

    text: str  # without the removed lines, also where it is dropped
    rule: str | None  # the first document rule that it breaks; None: it stays
    value: str  # what that rule read: "35.2% (6 of 17)"
    threshold: str  # what breaks it: "> 30%"
    lines_removed: dict[str, int]  # by line rule; those that removed none are left out


class Finding(NamedTuple):
    """What one rule says of one text."""

    rule: str
    value: str
    threshold: str
    verdict: str  # "drops", "keeps", "removes lines", "does not apply" or "skipped"


def apply_rules(texts: Sequence[str], languages: Sequence[str], params: RuleParams) -> list[Verdict]:
    """The verdict on each text, in order; it does not depend on the other texts.

    Args:
        texts: normalised texts (`pipelines.cleaning.normalize`).
        languages: the language code of each, ``en`` or ``en-us``; the limits are by the part before the hyphen.
        params: limits.
    Raises:
        CorpusmillError: an unknown rule to skip, or not as many limits as sizes of runs.
    """
    check_params(params)
    verdicts: list[Verdict] = []
    for block in _blocks(texts):
        verdicts += _judge(texts[block], languages[block], params)
    return verdicts


def explain(text: str, language: str, params: RuleParams) -> list[Finding]:
    """What every rule says of one text, in the order in which they are asked; the first that drops it decides."""
    check_params(params)
    table = TextTable.read([text], [language])
    num_lines = len(table.lines.texts)
    catching = _catching(table, params)
    findings = []
    for place, name in enumerate(LINE_RULES):
        caught = int(np.count_nonzero(catching == place))
        verdict = "skipped" if name in params.skip else "removes lines" if caught else "keeps"
        findings.append(Finding(name, f"{caught} of {num_lines} lines", "", verdict))
    documents = Documents(table.keep_lines(catching < 0))
    for name, rule in DOCUMENT_RULES.items():
        reading = rule(documents, params)
        findings.append(Finding(name, reading.value(0), reading.threshold(0), _verdict(name, reading, params)))
    return findings


def check_params(params: RuleParams) -> None:
    """Raises CorpusmillError where a parameter names no rule, lacks a default or has not as many limits as sizes."""
    for name in params.skip:
        if name not in LINE_RULES and name not in DOCUMENT_RULES:
            known = ", ".join([*LINE_RULES, *DOCUMENT_RULES])
            raise CorpusmillError(f"{name} is not a rule; known: {known}", where="params.yaml: clean.rules.skip")
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


def _judge(texts: Sequence[str], languages: Sequence[str], params: RuleParams) -> list[Verdict]:
    table = TextTable.read(texts, [language.partition("-")[0].lower() for language in languages])
    catching = _catching(table, params)
    documents = Documents(table.keep_lines(catching < 0))
    names = [name for name in DOCUMENT_RULES if name not in params.skip]
    readings = [DOCUMENT_RULES[name](documents, params) for name in names]
    broken = np.array([reading.broken for reading in readings]).reshape(len(names), len(texts))
    verdicts = []
    for place, text in enumerate(texts):
        edited, removed = _without_lines(text, table, catching, place)
        rules = np.flatnonzero(broken[:, place])
        if len(rules):
            reading = readings[rules[0]]
            verdict = Verdict(edited, names[rules[0]], reading.value(place), reading.threshold(place), removed)
        else:
            verdict = Verdict(edited, None, "", "", removed)
        verdicts.append(verdict)
    return verdicts


def _catching(table: TextTable, params: RuleParams) -> I64:
    """The place in `LINE_RULES` of the first rule that removes each line, -1 for those that stay; ``[n_lines]``."""
    catching = np.full(len(table.lines.texts), -1, np.int64)
    for place, (name, rule) in enumerate(LINE_RULES.items()):
        if name not in params.skip:
            catching[(catching < 0) & rule(table, params)] = place
    return catching


def _without_lines(text: str, table: TextTable, catching: I64, place: int) -> tuple[str, dict[str, int]]:
    """A text without the lines that were caught, and how many each rule caught."""
    lines = slice(table.text_lines[place], table.text_lines[place + 1])
    caught = catching[lines] >= 0
    if not caught.any():
        return text, {}
    numbers = set(table.lines.numbers[lines][caught].tolist())
    kept = [line for number, line in enumerate(text.split("\n")) if number not in numbers]
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
