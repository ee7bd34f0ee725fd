"""Texts that loop, where they are to be dropped rather than cut: the rule."""

import numpy as np

from pipelines.cleaning.loops import find_loops
from pipelines.cleaning.readings import Documents, Reading, RuleParams


def looping(documents: Documents, params: RuleParams) -> Reading:
    """Copies of passages that loop are as much of its characters as ``clean.rules.loops.min_percent``, or more."""
    nothing = np.zeros(len(documents.table.languages), np.int64)
    if params.loops.action != "drop":
        return Reading(nothing, nothing, ">=", params.loops.min_percent, percent=True, judged=nothing > 0)
    table = documents.table
    copies, chars = find_loops(table, params.loops).chars, table.sum_words(table.words.chars)
    return Reading(copies, chars, ">=", params.loops.min_percent, percent=True)
