"""Texts with personal data of a kind for which they are to be dropped: a rule a kind."""

from collections.abc import Callable
from functools import partial

import numpy as np

from pipelines.cleaning.personal.masking import KINDS
from pipelines.cleaning.readings import Documents, Reading, RuleParams


def personal_data(documents: Documents, params: RuleParams, kind: str) -> Reading:
    """Any e-mail address, phone number, ... where ``clean.personal_data`` says drop for that kind."""
    found = documents.batch.personal.get(kind)
    nothing = np.zeros(len(documents.table.languages), np.int64)
    if found is None:
        return Reading(nothing, None, ">", 0, percent=False, judged=nothing > 0)
    return Reading(found, None, ">", 0, percent=False)


PREFIX = "personal_data."
PERSONAL_RULES: dict[str, Callable[[Documents, RuleParams], Reading]] = {
    f"{PREFIX}{kind}": partial(personal_data, kind=kind) for kind in KINDS
}
