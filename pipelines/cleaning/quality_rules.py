"""Texts of low quality by a model of your own (`pipelines.quality`): the rule."""

import numpy as np

from pipelines.cleaning.readings import Documents, Reading, RuleParams


def low_quality(documents: Documents, params: RuleParams) -> Reading:
    """GPT-3: a low score, in thousandths, of a classifier that knows good sources and bad ones; only with such a model.

    A limit, where GPT-3 kept some texts of low scores by chance. Source: Brown et al. 2020, arXiv 2005.14165, appendix A.
    """
    table, model, limit = documents.table, documents.quality_model, params.quality.min_score
    if model is None:
        nothing = np.zeros(len(table.languages), np.int64)
        return Reading(nothing, None, "<", limit, percent=False, judged=nothing > 0)
    return Reading(model.scores(table), None, "<", limit, percent=False, judged=model.judges(table))
