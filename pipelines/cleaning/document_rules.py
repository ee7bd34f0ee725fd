"""Texts that are dropped: each rule reads one number from every text of a batch and compares it with a limit.

Every comparison is of whole numbers. Words, lines and units are those of `pipelines.cleaning.text_table`: in scripts without
spaces a letter is a word. Adding a rule = one function, one entry in `DOCUMENT_RULES`, one test. The docstring of a
rule ends the sentence "a text is dropped that has ...", with the published limit.

Sources: Gopher: Rae et al. 2021, arXiv 2112.11446, appendix A.1.1. C4: Raffel et al. 2020, arXiv 1910.10683, section 2.2.
FineWeb: Penedo et al. 2024, arXiv 2406.17557.
"""

import functools
from collections.abc import Callable
from functools import partial

import numpy as np

from pipelines.cleaning.hashing import U64, hash_word
from pipelines.cleaning.line_rules import ends_a_sentence
from pipelines.cleaning.readings import Documents, Reading, RuleParams
from pipelines.cleaning.repetition import COVERED_SIZES, TOP_SIZES
from pipelines.cleaning.scripts import IDEOGRAM
from pipelines.cleaning.stop_words import stop_words_in
from pipelines.cleaning.text_table import I64, Bools

DocumentRule = Callable[[Documents, RuleParams], Reading]

BULLETS = "•‣⁃◦●○■□▪▫·∙*-・"
DASHES = "‐‑‒–—―−"
ELLIPSES = ("...", "…")
#: FineWeb's short line has 30 Latin characters; an ideogram says about as much as three.
CHARS_PER_IDEOGRAM = 3


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
    return Reading(_count(documents, "#"), documents.table.num_words, ">", params.max_hash_percent, percent=True)


def ellipses(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than one ellipsis in 10 words."""
    signs = _count(documents, *ELLIPSES)
    return Reading(signs, documents.table.num_words, ">", params.max_ellipsis_percent, percent=True)


def bullet_lines(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 90 % of the lines begin with a bullet."""
    table = documents.table
    bullets = table.count_lines(np.isin(table.lines.first_codes, [ord(bullet) for bullet in BULLETS]))
    judged = table.num_lines >= params.min_judged_lines
    return Reading(bullets, table.num_lines, ">", params.max_bullet_lines_percent, percent=True, judged=judged)


def ellipsis_lines(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: more than 30 % of the lines end with an ellipsis."""
    table = documents.table
    lines = table.count_lines(np.any([table.lines_ending(ellipsis) for ellipsis in ELLIPSES], axis=0))
    judged = table.num_lines >= params.min_judged_lines
    return Reading(lines, table.num_lines, ">", params.max_ellipsis_lines_percent, percent=True, judged=judged)


def few_alphabetic_words(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: fewer than 80 % of the words hold a letter. A dash or a bullet that stands alone is not a word.

    Ukrainian and Russian put " — " where English has "is": every tenth word of a biography.
    """
    words = documents.table.words
    single = np.flatnonzero((words.chars == 1) & ~words.alphabetic)
    marks = single[np.isin(words.hashes[single], _mark_hashes())]
    num_words = documents.table.num_words - documents.table.count_words(marks)
    alphabetic = documents.table.count_words(words.alphabetic)
    return Reading(alphabetic, num_words, "<", params.min_alphabetic_words_percent, percent=True)


def few_stop_words(documents: Documents, params: RuleParams) -> Reading:
    """Gopher: fewer than 2 different ones of the language's stop words, in small letters as they stand there."""
    table = documents.table
    languages = np.array(table.languages)
    found = np.zeros(len(languages), np.int64)
    judged = np.zeros(len(languages), np.bool_)
    for language in sorted(set(table.languages)):
        stop_words = stop_words_in(language, params.stop_words.get(language), params.stop_words_from_package)
        if stop_words:
            here = languages == language
            judged |= here
            found[here] = stop_words.count(table, documents.repetition.spans)[here]
    judged &= _long_enough(documents, params)
    return Reading(found, None, "<", params.min_stop_words, percent=False, judged=judged)


@functools.cache
def _mark_hashes() -> U64:
    return np.array([hash_word(mark) for mark in BULLETS + DASHES])


def curly_brackets(documents: Documents, params: RuleParams) -> Reading:
    """C4: any curly bracket, for it may be code; mathematics and wiki text have them too."""
    return Reading(_count(documents, "{", "}"), None, ">", 0, percent=False)


def placeholders(documents: Documents, params: RuleParams) -> Reading:
    """C4: holds "lorem ipsum"."""
    return Reading(_count(documents, *params.placeholder_phrases, ignore_case=True), None, ">", 0, percent=False)


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
    judged = _long_enough(documents, params)
    return Reading(grams.top_chars[size], grams.chars, ">", limit, percent=True, judged=judged)


def repeated_runs(documents: Documents, params: RuleParams, size: int) -> Reading:
    """Gopher: more than 15, 14, ... 10 % of the characters are in repeats of runs of 5, 6, ... 10 words."""
    grams = documents.repetition.grams
    limit = params.max_repeated_run_percents[COVERED_SIZES.index(size)]
    judged = _long_enough(documents, params)
    return Reading(grams.covered_chars[size], grams.chars, ">", limit, percent=True, judged=judged)


def few_punctuated_lines(documents: Documents, params: RuleParams) -> Reading:
    """FineWeb: at most 12 % of its lines end in a terminal punctuation mark; not where a language writes none."""
    table = documents.table
    lines = table.count_lines(ends_a_sentence(table))
    punctuated = ~np.isin(np.array(table.languages), params.unpunctuated_languages)
    judged = punctuated & (table.num_lines >= params.min_judged_lines)
    return Reading(lines, table.num_lines, "<=", params.min_punctuated_lines_percent, percent=True, judged=judged)


def short_lines(documents: Documents, params: RuleParams) -> Reading:
    """FineWeb: at least 67 % of its lines are shorter than 30 characters."""
    table = documents.table
    ideograms = np.diff(np.searchsorted(np.flatnonzero(table.words.kinds == IDEOGRAM), table.line_words))
    widths = table.lines.chars + (CHARS_PER_IDEOGRAM - 1) * ideograms
    lines = table.count_lines(widths < params.short_line_chars)
    judged = table.num_lines >= params.min_judged_lines
    return Reading(lines, table.num_lines, ">=", params.max_short_lines_percent, percent=True, judged=judged)


def repeated_line_chars(documents: Documents, params: RuleParams) -> Reading:
    """FineWeb: at least 10 % of its characters are in repeated lines."""
    lines = documents.repetition.lines
    return Reading(lines.repeated_chars, lines.chars, ">=", params.max_repeated_line_chars_percent, percent=True)


def line_breaks(documents: Documents, params: RuleParams) -> Reading:
    """FineWeb: more than 30 line breaks in 100 words; blank lines do not count."""
    breaks = np.maximum(documents.table.num_lines - 1, 0)
    return Reading(breaks, documents.table.num_words, ">", params.max_line_breaks_percent, percent=True)


def _long_enough(documents: Documents, params: RuleParams) -> Bools:
    """Which texts have as many words, as a dictionary counts them, as Gopher's rules were made for."""
    return documents.table.num_words >= params.min_judged_words * documents.repetition.units_per_word


def _count(documents: Documents, *needles: str, ignore_case: bool = False) -> I64:
    """How often any of some strings stands in each text."""
    table = documents.table
    found = np.zeros(len(table.languages), np.int64)
    for needle in needles:
        found += table.count_lines(table.find(needle, ignore_case))
    return found


def _spaced_words(documents: Documents) -> tuple[I64, I64, Bools]:
    """Of each text: characters of the words between spaces, how many, and whether they are half of all words or more."""
    table = documents.table
    chars, words = table.units
    return table.word_chars - chars, table.num_words - words, ~table.unspaced


#: The order decides which rule a dropped text is counted under.
DOCUMENT_RULES: dict[str, DocumentRule] = {
    "gopher.too_few_words": too_few_words,
    "gopher.too_many_words": too_many_words,
    "gopher.short_words": short_words,
    "gopher.long_words": long_words,
    "gopher.hash_signs": hash_signs,
    "gopher.ellipses": ellipses,
    "gopher.bullet_lines": bullet_lines,
    "gopher.ellipsis_lines": ellipsis_lines,
    "gopher.few_alphabetic_words": few_alphabetic_words,
    "gopher.few_stop_words": few_stop_words,
    "c4.curly_brackets": curly_brackets,
    "c4.placeholders": placeholders,
    "gopher.duplicate_lines": duplicate_lines,
    "gopher.duplicate_line_chars": duplicate_line_chars,
    "gopher.duplicate_paragraphs": duplicate_paragraphs,
    "gopher.duplicate_paragraph_chars": duplicate_paragraph_chars,
    **{f"gopher.top_run_{size}": partial(top_run, size=size) for size in TOP_SIZES},
    **{f"gopher.repeated_runs_{size}": partial(repeated_runs, size=size) for size in COVERED_SIZES},
    "fineweb.few_punctuated_lines": few_punctuated_lines,
    "fineweb.short_lines": short_lines,
    "fineweb.repeated_line_chars": repeated_line_chars,
    "fineweb.line_breaks": line_breaks,
}
