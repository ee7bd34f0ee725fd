"""Which variant of a language a reader is shown: ``-{zh-hans:…;zh-hant:…}-`` resolved, and a script converted by OpenCC."""

import importlib
import re
from collections.abc import Callable
from typing import Any

from pipelines.spine.errors import CorpusmillError

# Variants of one script stand together: who misses the own one reads its neighbours first.
_FAMILIES = (
    ("zh-hans", "zh-cn", "zh-sg", "zh-my"),
    ("zh-hant", "zh-tw", "zh-hk", "zh-mo"),
    ("sr-ec", "sr-cyrl"),
    ("sr-el", "sr-latn"),
    ("gan-hans",),
    ("gan-hant",),
    ("kk-cyrl", "kk-kz"),
    ("kk-latn", "kk-tr"),
    ("kk-arab", "kk-cn"),
    ("ku-latn",),
    ("ku-arab",),
    ("tg-latn",),
    ("uz-latn",),
    ("uz-cyrl",),
)
VARIANTS = frozenset(code for family in _FAMILIES for code in family)
#: Languages that OpenCC's configurations are made for; what it would do to Japanese is damage.
_CHINESE = frozenset(("zh", "yue", "wuu", "gan", "hak", "cdo", "nan", "lzh"))
_MAX_NESTING = 4
_variant = re.compile(r"-\{([^{}]*)\}-")
_code = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*")
_HIDDEN_RULES = frozenset(("T", "H", "-", "D", "NA"))


class VariantChooser:
    """Resolves ``-{ }-`` to one variant.

    Args:
        language: of the wiki; its code may name a variant ("zh-hant").
        variant: the code to show in wikis of its language; "": what ``language`` says.
    """

    def __init__(self, language: str, variant: str = "") -> None:
        language = language.lower()
        wanted = variant if variant.partition("-")[0] == language.partition("-")[0] and variant else language
        base = wanted.partition("-")[0]
        own = next((family for family in _FAMILIES if wanted in family), ())
        others = [code for family in _FAMILIES if family != own for code in family if code.startswith(f"{base}-")]
        self._order = (wanted, *own, base, *others)

    def resolve(self, text: str) -> str:
        """``text`` with every ``-{ }-`` resolved, innermost first, as deep as pages nest them."""
        for _ in range(_MAX_NESTING):
            text, num_resolved = _variant.subn(self._show, text)
            if not num_resolved:
                break
        return text

    def _show(self, match: re.Match[str]) -> str:
        """``-{zh-hans:A;zh-hant:B}-`` -> ``A`` or ``B``. Source: https://www.mediawiki.org/wiki/Writing_systems/Syntax"""
        flags, pipe, rule = match[1].partition("|")
        if not pipe:
            flags, rule = "", flags
        kinds = {flag.strip() for flag in flags.split(";")}
        if kinds & _HIDDEN_RULES:
            return ""
        texts: dict[str, str] = {}
        for choice in rule.split(";"):
            code, colon, shown = choice.rpartition("=>")[2].partition(":")
            if colon and _code.fullmatch(code.strip().lower()):
                texts[code.strip().lower()] = shown.strip()
        if not texts or "R" in kinds:
            return rule.strip()
        return next((texts[code] for code in self._order if code in texts), next(iter(texts.values())))


def script_converter(config: str, language: str) -> Callable[[str], str] | None:
    """What converts the script of a wiki's text; None where nothing is to be converted.

    Args:
        config: one of OpenCC's (t2s, s2twp, …); "" converts nothing.
        language: of the wiki; only Chinese text is converted.
    """
    if not config or language.lower().partition("-")[0] not in _CHINESE:
        return None
    convert: Callable[[str], str] = _opencc().OpenCC(config).convert
    return convert


def check_script(config: str, where: str) -> None:
    """Refuses a configuration that OpenCC does not have, naming those that it has.

    Raises:
        CorpusmillError: it has no such configuration, or it is not installed.
    """
    if not config:
        return
    known = sorted(name.removesuffix(".json") for name in _opencc(where).CONFIGS)
    if config not in known:
        raise CorpusmillError(
            "OpenCC has no such configuration", where=where, expected=", ".join(known), got=repr(config)
        )


def _opencc(where: str = "opencc") -> Any:
    try:
        return importlib.import_module("opencc")
    except ImportError:
        raise CorpusmillError(
            "OpenCC is not installed", where=where, hint='pip install OpenCC, or write "" to convert nothing'
        ) from None
