"""Lines that a text loses: each rule looks at all lines of a batch and names those to remove.

Removing lines comes first; `document_rules` judge what is left. Adding a rule = one function, one entry in
`LINE_RULES`, one test. The docstring of a rule ends the sentence "a line is removed that ...".

Source: C4: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.2, arXiv 1910.10683.
"""

from collections.abc import Callable, Sequence

import numpy as np

from pipelines.cleaning.readings import RuleParams
from pipelines.cleaning.sentences import SENTENCE_ENDS as SENTENCE_ENDS
from pipelines.cleaning.text_table import Bools, TextTable

LineRule = Callable[[TextTable, RuleParams], Bools]


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
    return ~ends_a_sentence(table) & ~unpunctuated[table.lines.texts]


def ends_a_sentence(table: TextTable) -> Bools:
    """Whether each line ends in a terminal punctuation mark or a closing quotation mark; bool ``[n_lines]``."""
    return np.isin(table.lines.last_codes, [ord(mark) for mark in SENTENCE_ENDS])


def _lines_with(table: TextTable, phrases: Sequence[str]) -> Bools:
    found = np.zeros(len(table.lines.texts), np.bool_)
    for phrase in phrases:
        found[table.find(phrase, ignore_case=True)] = True
    return found


LINE_RULES: dict[str, LineRule] = {
    "c4.javascript_line": javascript_line,
    "c4.policy_line": policy_line,
    "c4.short_line": short_line,
    "c4.unpunctuated_line": unpunctuated_line,
}
