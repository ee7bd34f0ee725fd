"""Which lines a text loses and whether the text stays: published rules over a whole batch, each with its numbers.

    texts, languages  ->  LINE_RULES (edit)  ->  DOCUMENT_RULES (judge the edited text)  ->  a Verdict a text

A line rule names the lines to remove; a document rule reads one number from each text and compares it with a limit. Every
comparison is of whole numbers (``100 * part > 30 * whole``). Words, lines and units are those of `pipelines.text_table`:
in scripts without spaces a letter is a word. A text is dropped by the first rule that it breaks, in the order below.

Adding a rule = one function, one entry in a tuple, one test.

Sources: Gopher: Rae et al. 2021, arXiv 2112.11446, appendix A.1.1. C4: Raffel et al. 2020, arXiv 1910.10683, section 2.2.
FineWeb: Penedo et al. 2024, arXiv 2406.17557, section 3.5.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipelines.normalize import tidy_lines
from pipelines.repetition import COVERED_SIZES, TOP_SIZES, Repetition
from pipelines.scripts import IDEOGRAM
from pipelines.spine.errors import CorpusmillError
from pipelines.text_table import I64, Bools, TextTable, hash_word

#: Characters of text that are looked at together: their arrays fit into the second-level cache, or nearly.
BLOCK_CHARS = 1 << 17

BULLETS = "•‣⁃◦●○■□▪▫·∙*-–—・"
#: Ends of sentences: Latin, Greek and Cyrillic, quotes and brackets that close after them, Arabic, Indic, Armenian,
#: Ethiopic, Khmer, Burmese, Tibetan, Chinese and Japanese.
SENTENCE_ENDS = ".!?…\"'”’»›)]‼⁇⁈⁉؟۔।॥։።፧፨។៕၊။།༎。．！？」』）】〉》｡"
ELLIPSES = ("...", "…")
#: FineWeb's short line has 30 Latin characters; an ideogram says about as much as three.
CHARS_PER_IDEOGRAM = 3


@dataclass(frozen=True)
class RuleParams:
    """``params.yaml: clean.rules``; ``percent`` in a name: the limit is whole hundredths of what is counted."""

    skip: tuple[str, ...]  # names of rules that do not apply
    min_words: int
    max_words: int
    min_mean_word_chars: dict[str, int]  # by language; "default" for those not named
    max_mean_word_chars: dict[str, int]
    max_hash_percent: int
    max_ellipsis_percent: int
    max_bullet_lines_percent: int
    max_ellipsis_lines_percent: int
    min_alphabetic_words_percent: int
    min_stop_words: int
    stop_words: dict[str, tuple[str, ...]]  # by language; a language without a list is not judged
    max_duplicate_lines_percent: int
    max_duplicate_line_chars_percent: int
    max_duplicate_paragraphs_percent: int
    max_duplicate_paragraph_chars_percent: int
    max_top_run_percents: tuple[int, ...]  # runs of 2, 3, 4 words
    max_repeated_run_percents: tuple[int, ...]  # runs of 5, 6, 7, 8, 9, 10 words
    javascript_phrases: tuple[str, ...]
    policy_phrases: tuple[str, ...]
    placeholder_phrases: tuple[str, ...]
    min_line_words: int
    min_punctuated_lines_percent: int
    unpunctuated_languages: tuple[str, ...]  # those that write no mark at the end of a sentence
    short_line_chars: int
    max_short_lines_percent: int
    max_repeated_line_chars_percent: int
    max_line_breaks_percent: int


class Documents:
    """A batch as rules see it.

    Attributes:
        table: the words and lines of the texts, without those that line rules removed.
        repetition: what of them comes again.
    """

    def __init__(self, table: TextTable):
        self.table = table
        self.repetition = Repetition(table)

    def by_language(self, values: dict[str, int]) -> I64:
        """A number for each text from a parameter by language."""
        return np.array([values.get(code, values["default"]) for code in self.table.languages], np.int64)


class Reading(NamedTuple):
    """What a rule reads from each text of a batch: the text breaks the rule if ``part / whole <sign> limit``."""

    part: I64  # [n_texts]
    whole: I64 | None  # [n_texts]; without it the part itself is compared
    sign: str  # "<", "<=", ">" or ">="
    limit: I64 | int
    percent: bool
    judged: Bools | None = None  # [n_texts]; where not, the rule does not apply

    @property
    def broken(self) -> Bools:
        """Which texts break the rule; bool ``[n_texts]``."""
        part = self.part * (100 if self.percent else 1)
        limit = self.limit * (np.ones_like(part) if self.whole is None else self.whole)
        broken = {"<": part < limit, "<=": part <= limit, ">": part > limit, ">=": part >= limit}[self.sign]
        return broken & self.applies

    @property
    def applies(self) -> Bools:
        """Which texts have what the rule asks for; an empty text has no share of anything."""
        something = np.ones(len(self.part), np.bool_) if self.whole is None else self.whole > 0
        return something if self.judged is None else something & self.judged

    def value(self, text: int) -> str:
        """What was read from one text, rounded down: "12", "4.3" or "35.2% (6 of 17)"."""
        part = int(self.part[text])
        if self.whole is None:
            return str(part)
        whole = int(self.whole[text])
        tenths = part * (1000 if self.percent else 10) // max(whole, 1)
        number = f"{tenths // 10}.{tenths % 10}"
        return f"{number}% ({part} of {whole})" if self.percent else number

    def threshold(self, text: int) -> str:
        """What breaks the rule: "< 50", "> 30%"."""
        limit = self.limit if isinstance(self.limit, int) else int(self.limit[text])
        return f"{self.sign} {limit}{'%' if self.percent else ''}"


# ---- Line rules: a line that ... is removed


def javascript_line(table: TextTable, params: RuleParams) -> Bools:
    """C4: says that JavaScript must be switched on."""
    return _lines_with(table, params.javascript_phrases)


def policy_line(table: TextTable, params: RuleParams) -> Bools:
    """C4: speaks of cookies, terms of use or a privacy policy."""
    return _lines_with(table, params.policy_phrases)


def short_line(table: TextTable, params: RuleParams) -> Bools:
    """C4: has fewer than 3 words."""
    return table.lines.num_words < params.min_line_words


def unpunctuated_line(table: TextTable, params: RuleParams) -> Bools:
    """C4: does not end in a terminal punctuation mark. Takes headings, lists and verse too."""
    unpunctuated = np.isin(np.array(table.languages), params.unpunctuated_languages)
    return ~_ends_a_sentence(table) & ~unpunctuated[table.lines.texts]


def _lines_with(table: TextTable, phrases: Sequence[str]) -> Bools:
    found = np.zeros(len(table.lines.texts), np.bool_)
    for phrase in phrases:
        found[table.find(phrase, ignore_case=True)] = True
    return found


LINE_RULES: dict[str, Callable[[TextTable, RuleParams], Bools]] = {
    "c4.javascript_line": javascript_line,
    "c4.policy_line": policy_line,
    "c4.short_line": short_line,
    "c4.unpunctuated_line": unpunctuated_line,
}


# ---- Document rules: a text of which ... is dropped


def too_few_words(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: fewer than 50 words."""
    return Reading(documents.table.num_words, None, "<", params.min_words, percent=False)


def too_many_words(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 100,000 words."""
    return Reading(documents.table.num_words, None, ">", params.max_words, percent=False)


def short_words(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: words of fewer than 3 characters on average; only where spaces part words."""
    chars, words, spaced = _spaced_words(documents)
    return Reading(chars, words, "<", documents.by_language(params.min_mean_word_chars), percent=False, judged=spaced)


def long_words(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: words of more than 10 characters on average; only where spaces part words."""
    chars, words, spaced = _spaced_words(documents)
    return Reading(chars, words, ">", documents.by_language(params.max_mean_word_chars), percent=False, judged=spaced)


def hash_signs(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than one hash sign in 10 words."""
    signs = documents.table.count_lines(documents.table.find("#"))
    return Reading(signs, documents.table.num_words, ">", params.max_hash_percent, percent=True)


def ellipses(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than one ellipsis in 10 words."""
    signs = sum(documents.table.count_lines(documents.table.find(ellipsis)) for ellipsis in ELLIPSES)
    return Reading(signs, documents.table.num_words, ">", params.max_ellipsis_percent, percent=True)


def bullet_lines(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 90 % of the lines begin with a bullet."""
    bullets = documents.table.count_lines(_is_one_of(documents.table.first_characters(), BULLETS))
    return Reading(bullets, documents.table.num_lines, ">", params.max_bullet_lines_percent, percent=True)


def ellipsis_lines(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 30 % of the lines end with an ellipsis."""
    ends = np.any([documents.table.lines_ending(ellipsis) for ellipsis in ELLIPSES], axis=0)
    lines = documents.table.count_lines(ends)
    return Reading(lines, documents.table.num_lines, ">", params.max_ellipsis_lines_percent, percent=True)


def few_alphabetic_words(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: fewer than 80 % of the words hold a letter."""
    words = documents.table.count_words(documents.table.words.alphabetic)
    return Reading(words, documents.table.num_words, "<", params.min_alphabetic_words_percent, percent=True)


def few_stop_words(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: fewer than 2 different ones of the language's stop words, in small letters as they stand there."""
    words, languages = documents.table.words, np.array(documents.table.languages)
    found = np.zeros(len(languages), np.int64)
    for language, stop_words in params.stop_words.items():
        here = languages == language
        for stop_word in stop_words if here.any() else ():
            found += here & (documents.table.count_words(words.hashes == hash_word(stop_word)) > 0)
    return Reading(
        found, None, "<", params.min_stop_words, percent=False, judged=np.isin(languages, list(params.stop_words))
    )


def curly_brackets(documents: Documents, params: RuleParams) -> Reading:
    """C4: any curly bracket, for it may be code; mathematics and wiki text have them too."""
    signs = sum(documents.table.count_lines(documents.table.find(bracket)) for bracket in "{}")
    return Reading(signs, None, ">", 0, percent=False)


def placeholders(documents: Documents, params: RuleParams) -> Reading:
    """C4: holds "lorem ipsum"."""
    table = documents.table
    found = np.zeros(len(table.languages), np.int64)
    for phrase in params.placeholder_phrases:
        found += table.count_lines(table.find(phrase, ignore_case=True))
    return Reading(found, None, ">", 0, percent=False)


def duplicate_lines(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 30 % of the lines are repeats."""
    lines = documents.repetition.lines
    return Reading(lines.repeated_items, lines.items, ">", params.max_duplicate_lines_percent, percent=True)


def duplicate_line_chars(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 20 % of the characters are in repeated lines."""
    lines = documents.repetition.lines
    return Reading(lines.repeated_chars, lines.chars, ">", params.max_duplicate_line_chars_percent, percent=True)


def duplicate_paragraphs(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 30 % of the paragraphs are repeats."""
    found = documents.repetition.paragraphs
    return Reading(found.repeated_items, found.items, ">", params.max_duplicate_paragraphs_percent, percent=True)


def duplicate_paragraph_chars(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 20 % of the characters are in repeated paragraphs."""
    found = documents.repetition.paragraphs
    return Reading(found.repeated_chars, found.chars, ">", params.max_duplicate_paragraph_chars_percent, percent=True)


def top_run(documents: Documents, params: RuleParams, size: int) -> Reading:
    """Gopher: more than 20, 18 or 16 % of the characters are the most frequent run of 2, 3 or 4 words."""
    grams = documents.repetition.grams
    limit = params.max_top_run_percents[TOP_SIZES.index(size)]
    return Reading(grams.top_chars[size], grams.chars, ">", limit, percent=True)


def repeated_runs(documents: Documents, params: RuleParams, size: int) -> Reading:
    """Gopher: more than 15, 14, ... 10 % of the characters are in repeats of runs of 5, 6, ... 10 words."""
    grams = documents.repetition.grams
    limit = params.max_repeated_run_percents[COVERED_SIZES.index(size)]
    return Reading(grams.covered_chars[size], grams.chars, ">", limit, percent=True)
