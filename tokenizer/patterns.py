r"""Pre-tokenisation patterns: where a text is cut before BPE, so that no merge crosses the cut.

    "Hello world's 2026"  --gpt2-->  "Hello", " world", "'s", " 2026"
    "我们在2026年见"       --cjk-3-->  "我们在", "202", "6", "年见"

The number after the dash is the longest run of digits in one pre-token (cl100k and o200k proper: 3). The regular
expressions are those of tiktoken (``tiktoken_ext/openai_public.py``); ``cjk`` is ours. The engine is the one inside
``tokenizers``, for counting here and for encoding later, so both cut alike on every string.
"""

from __future__ import annotations

import functools
import json

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Sequence, Split

from pipelines.spine.errors import CorpusmillError

# Fast engines know a pattern by its exact text (`\p{N}`, not `\p{N}{1,1}`): keep these spellings.
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACE = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CL100K = rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}DIGITS| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACE}"
_O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}?|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}?"
    rf"|\p{{N}}DIGITS| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACE}"
)
# A change of script is the nearest thing to a word border in Japanese, and "，" before a Chinese word is no part of
# it: runs of Han, hiragana and katakana stand alone, and the punctuation that cl100k puts before a word is left apart.
# ー (U+30FC) belongs to both kana. Marks count as letters, so that Thai and Devanagari words stay whole.
_CJK = (
    rf"\p{{Han}}+|[\p{{Hiragana}}ー]+|[\p{{Katakana}}ー]+|{_CONTRACTION}"
    r"| ?(?:(?![\p{Han}\p{Hiragana}\p{Katakana}ー])[\p{L}\p{M}])+"
    rf"|\p{{N}}DIGITS| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACE}"
)

PATTERNS: dict[str, str] = {"gpt2": _GPT2} | {
    f"{style}-{digits}": pattern.replace("DIGITS", repeat)
    for style, pattern in (("cl100k", _CL100K), ("o200k", _O200K), ("cjk", _CJK))
    for digits, repeat in ((1, ""), (2, "{1,2}"), (3, "{1,3}"))
}


def pattern_regex(pattern: str) -> str:
    """The regular expression (Oniguruma) of a named pattern.

    Raises:
        CorpusmillError: no pattern has that name.
    """
    if pattern not in PATTERNS:
        raise CorpusmillError(
            "no such pre-tokenisation pattern", where="pattern", expected=", ".join(PATTERNS), got=pattern
        )
    return PATTERNS[pattern]


def pattern_of(pre_tokenizer: object) -> str | None:
    """The name of the pattern in the ``pre_tokenizer`` of a ``tokenizer.json``, None where it is none of ours.

    GPT-2's own file names no expression: a ByteLevel that cuts has it built in.
    """
    if isinstance(pre_tokenizer, dict) and pre_tokenizer.get("type") == "ByteLevel":
        cuts = pre_tokenizer.get("use_regex", True)
        return "gpt2" if cuts and not pre_tokenizer.get("add_prefix_space", True) else None
    for pattern in PATTERNS:
        if pre_tokenizer == json.loads(_pre_tokenizer_json(pattern)):
            return pattern
    return None


def pre_tokenizer(pattern: str) -> PreTokenizer:
    """Cuts by the named pattern, then spells each piece in byte characters: what ``tokenizer.json`` holds."""
    return Sequence([_splitter(pattern), ByteLevel(add_prefix_space=False, use_regex=False)])


def cuts_after_punctuation(pattern: str) -> bool:
    """Whether a letter after punctuation always begins a pre-token; in cl100k and o200k the two may be one."""
    return pattern.partition("-")[0] in ("gpt2", "cjk")


def split(text: str, pattern: str) -> list[str]:
    """The pre-tokens of a text, in order; together they are the text.

    Special tokens are no more than text here: ``<|endoftext|>`` in a document is cut like any other string.
    """
    return [piece for piece, _ in _splitter(pattern).pre_tokenize_str(text)]


@functools.cache
def _splitter(pattern: str) -> Split:
    # Bytes that no alternative matches (there are none in these patterns) would stay as pieces of their own.
    return Split(Regex(pattern_regex(pattern)), behavior="isolated")


@functools.cache
def _pre_tokenizer_json(pattern: str) -> str:
    return pre_tokenizer(pattern).__getstate__().decode()
