"""Texts in a language that is not wanted: the codes that corpora and the model use, and the rule.

    declared "zh-tw", keep [declared, en]  ->  {"en", "wuu", "yue", "zh"}  ->  identify  ->  "100.0% (95 of 95), mostly zh"

A code is Wikipedia's: ``als`` is Alemannic, ``simple`` English. A declared language that the model has not learned
(``ltg``, ``zh-min-nan``) is taken as declared, and so is one in a script that it may not know (``hi-latn``).
"""

import functools
from collections.abc import Sequence

import numpy as np

from pipelines.cleaning.languages import Expected, Identified, LanguageParams, alike, identify, known_languages
from pipelines.cleaning.readings import Documents, Reading, RuleParams
from pipelines.spine.errors import CorpusmillError

DECLARED = "declared"

#: Declared code -> the model's; "" where it has none although what stands before the hyphen looks like one. Sources:
#: https://meta.wikimedia.org/wiki/Special_language_codes and ISO 639 (old codes; members of a macrolanguage).
SAME = {
    "simple": "en", "nb": "no", "fil": "tl", "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "bho": "bh",
    "gsw": "als", "cmn": "zh", "be-x-old": "be", "nds-nl": "nds", "cbk-zam": "cbk", "zh-yue": "yue", "zh-wuu": "wuu",
    "arb": "ar", "pes": "fa", "prs": "fa", "swh": "sw", "zsm": "ms", "kmr": "ku", "ekk": "et", "lvs": "lv", "pbt": "ps",
    "khk": "mn", "npi": "ne", "ory": "or", "azj": "az", "uzn": "uz", "plt": "mg", "ydd": "yi", "quz": "qu",
    "zh-classical": "", "zh-min-nan": "", "roa-rup": "", "roa-tara": "", "map-bms": "", "bat-smg": "", "fiu-vro": "",
}  # fmt: skip
#: Declared as the first, a text may come out as the second, of which the model has learned more; not the reverse.
NEIGHBOUR = {
    "als": "de", "bar": "de", "pfl": "de", "li": "nl", "vls": "nl", "sco": "en", "no": "da", "war": "ceb", "rue": "uk",
    "an": "es", "ast": "es", "gl": "es", "mwl": "pt", "wa": "fr", "eml": "it", "lmo": "it", "nap": "it", "pms": "it",
    "scn": "it", "vec": "it", "bh": "hi", "mai": "hi", "min": "id",
}  # fmt: skip
#: Scripts are told apart by name in the codes of these alone: zh-hans, sr-latn.
SCRIPTS_LEARNED = frozenset(("zh", "sr"))


def other_language(documents: Documents, params: RuleParams) -> Reading:
    """CCNet, FineWeb: less than half of what the model is sure of is in a language that is kept.

    They ask one answer of the whole text, with a score of 0.5 or 0.65; here pieces are judged, so that a text in two
    languages has a share of each. Sources: Wenzek et al. 2019, arXiv 1911.00359; Penedo et al. 2024, arXiv 2406.17557.
    """
    batch, limits = documents.batch, params.languages
    kept = expected_languages(batch.sources, batch.languages, limits)
    found = identify(batch.texts, kept, limits)
    return Reading(
        found.chars_in(kept),
        found.judged_chars,
        "<",
        limits.min_share_percent,
        percent=True,
        judged=np.array([bool(codes) for codes in kept], np.bool_),
        notes=[_mostly(by_language) for by_language in found.by_language],
    )


def expected_languages(sources: Sequence[str], declared: Sequence[str], params: LanguageParams) -> list[Expected]:
    """The model's codes of the languages in which each document is kept, as `identify` wants them.

    Empty for a document that declares no language and is not judged: what it is in is to be found. None for one that is
    not judged and declares its language.
    """
    return [_expected(source, code, params) for source, code in zip(sources, declared, strict=True)]


def assigned_languages(declared: Sequence[str], identified: Identified) -> list[str]:
    """The declared languages, and the identified ones for documents that declare none; "" where none was found."""
    return [code or found for code, found in zip(declared, identified.languages, strict=True)]


def check_keep(params: LanguageParams) -> None:
    """Raises CorpusmillError where a list names a language that the model has not learned."""
    for source, codes in params.keep.items():
        for code in codes:
            if code != DECLARED and not accepted_codes(code):
                raise CorpusmillError(
                    f"{code} is not a language that the model knows",
                    where=f"params.yaml: clean.rules.languages.keep.{source}",
                    expected=f"{DECLARED}, or of: {', '.join(sorted(known_languages()))}",
                    hint="an empty list keeps every language",
                )


def model_code(declared: str) -> str:
    """The model's code for a declared language, "" where it has not learned it: ``en-us`` -> ``en``."""
    code = declared.lower().replace("_", "-")
    base, _, rest = code.partition("-")
    if code in SAME or base in SAME:
        return SAME.get(code, SAME.get(base, ""))
    if any(len(part) == 4 and part.isalpha() for part in rest.split("-")) and base not in SCRIPTS_LEARNED:
        return ""
    return base if base in known_languages() else ""


@functools.cache
def accepted_codes(declared: str) -> frozenset[str]:
    """What the model may answer of a text in a declared language; none where it has not learned it."""
    code = model_code(declared)
    codes = {code, NEIGHBOUR.get(code, code)} - {""}
    return frozenset().union(*map(alike, codes))


def _expected(source: str, declared: str, params: LanguageParams) -> Expected:
    keep = params.keep.get(source, params.keep["default"])
    if not keep or (keep == (DECLARED,) and not declared):
        return None if declared else frozenset()
    accepted = [accepted_codes(declared if code == DECLARED else code) for code in keep if code != DECLARED or declared]
    # One of the kept languages is unknown to the model: whatever it answers, the text may be in that one.
    return frozenset().union(*accepted) if all(accepted) else None


def _mostly(by_language: dict[str, int]) -> str:
    if not by_language:
        return ""
    return f"mostly {max(by_language, key=lambda code: by_language[code])}"
