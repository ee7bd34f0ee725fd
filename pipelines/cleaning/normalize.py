"""Texts -> the same texts without mojibake, stray control characters and untidy lines; what changed is counted.

    texts, languages  ->  normalize_batch  ->  texts, {"texts_changed.repair_mojibake": 2, "changes.repair_mojibake": 3, ...}

Each setting asks for one step; the steps run in the order of `NormalizeParams`, again and again until none changes the
text, so that normalising twice is the same as normalising once. `Screen` finds for a whole batch which text may need
which step, and most need none. Whatever the settings, no NUL and no lone surrogate comes out.

Ligatures and HTML entities stay as they are. Adding a step = one function that gives a `Step`, one parameter, one line
in `steps_of`, one test.
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

import pyarrow as pa

from pipelines.cleaning.normalization import characters, cjk, removal
from pipelines.cleaning.normalization.characters import tidy_lines
from pipelines.cleaning.normalization.mojibake import mojibake
from pipelines.cleaning.normalization.screen import Screen
from pipelines.cleaning.normalization.step import Step, base_language
from pipelines.cleaning.normalization.unicode_form import Form, unicode_form
from pipelines.spine.errors import CorpusmillError

__all__ = ["NormalizeParams", "Normalized", "check_params", "normalize_batch", "tidy_lines"]

#: Two or three passes settle every text met; the bound is there so that no text can loop for ever.
MAX_PASSES: Final = 50

#: The values that the parameters of several have.
KNOWN: Final = {
    "unicode_form": ("NFC", "NFKC", "none"),
    "spaces": ("keep", "ascii"),
    "space_runs": ("keep", "collapse"),
    "quotes": ("keep", "straight"),
    "dashes": ("keep", "hyphen"),
    "character_width": ("keep", "standard"),
    "cjk_punctuation": ("keep", "full", "ascii"),
    "number_spacing": ("keep", "none", "space"),
}


@dataclass(frozen=True)
class NormalizeParams:
    """``params.yaml: clean.normalize``, in the order in which the steps run; `KNOWN` has the values of the words."""

    unify_line_breaks: bool
    repair_mojibake: bool
    remove_control_characters: bool
    unicode_form: str
    remove_invisible_characters: bool
    spaces: str
    quotes: str
    dashes: str
    character_width: str
    cjk_punctuation: str
    number_spacing: str
    remove_punctuation: bool
    remove_stop_words: bool
    space_runs: str
    tidy_line_ends: bool


class Normalized(NamedTuple):
    """What comes out of a batch."""

    texts: list[str]
    #: For each step asked for, ``texts_changed.<step>`` and ``changes.<step>``, zero included. Changes are places:
    #: characters, runs of spaces, words (stop words) or lines (mojibake).
    changes: dict[str, int]


def check_params(params: NormalizeParams) -> None:
    """Refuses values that no step knows.

    Raises:
        CorpusmillError: names the known ones.
    """
    for name, known in KNOWN.items():
        value = getattr(params, name)
        if value not in known:
            raise CorpusmillError(
                "not a value of this parameter",
                where=f"params.yaml: clean.normalize.{name}",
                expected=", ".join(known),
                got=value,
            )


def normalize_batch(texts: Sequence[str] | pa.Array, languages: Sequence[str], params: NormalizeParams) -> Normalized:
    """The normalised texts, and how much each step changed. A text's result depends on it and its language alone.

    Args:
        texts: strings, or an Arrow array of strings without nulls.
        languages: language codes, one a text; scripts and regions after the first hyphen do not matter.
        params: passed by `check_params`.
    Returns:
        One text for each that came in, valid UTF-8 without NUL.
    """
    settled: list[str] = texts.to_pylist() if isinstance(texts, pa.Array) else list(texts)
    bases = [base_language(language) for language in languages]
    steps, screen = _tools(params)
    changes = Counter({f"{count}.{step.name}": 0 for count in ("texts_changed", "changes") for step in steps})
    changed_by: list[set[str]] = [set() for _ in settled]
    pending = list(range(len(settled)))
    for _ in range(MAX_PASSES):
        needs = screen.needs([settled[index] for index in pending], [bases[index] for index in pending])
        before = pending
        pending = []
        for index, needed in zip(before, needs, strict=True):
            if not needed:
                continue
            settled[index], places = _pass(settled[index], bases[index], steps, needed)
            if places:
                pending.append(index)
                changed_by[index].update(places)
                changes.update({f"changes.{name}": number for name, number in places.items()})
        if not pending:
            break
    for index in pending:  # a text that no pass settled; the first step makes it valid
        settled[index], _ = steps[0].apply(settled[index], bases[index])
    changes.update(f"texts_changed.{name}" for names in changed_by for name in names)
    return Normalized(settled, dict(changes))


def steps_of(params: NormalizeParams) -> tuple[Step, ...]:
    """The steps that the parameters ask for, in the order in which they run."""
    # What `full_punctuation` writes must not be undone by NFKC, or the two would take turns for ever.
    full = params.cjk_punctuation == "full"
    spared = cjk.SPARED_BY_NFKC if full else ""
    choices: tuple[tuple[bool, Callable[[], Step]], ...] = (
        (True, characters.valid_characters),
        (params.unify_line_breaks, lambda: characters.line_breaks(has_repair=params.repair_mojibake)),
        (params.repair_mojibake, mojibake),
        (params.remove_control_characters, characters.control_characters),
        (params.unicode_form != "none", lambda: unicode_form(cast(Form, params.unicode_form), spared)),
        (params.remove_invisible_characters, characters.invisible_characters),
        (params.spaces != "keep", characters.ascii_spaces),
        (params.quotes != "keep", characters.straight_quotes),
        (params.dashes != "keep", characters.hyphens),
        (params.character_width != "keep", cjk.standard_width),
        (params.cjk_punctuation != "keep", cjk.full_punctuation if full else cjk.ascii_punctuation),
        (params.number_spacing != "keep", lambda: cjk.number_spacing(is_spaced=params.number_spacing == "space")),
        (params.remove_punctuation, removal.remove_punctuation),
        (params.remove_stop_words, removal.remove_stop_words),
        (params.space_runs != "keep", characters.single_spaces),
        (params.tidy_line_ends, characters.tidy_line_ends),
    )
    return tuple(make() for is_asked, make in choices if is_asked)


@functools.lru_cache(maxsize=8)
def _tools(params: NormalizeParams) -> tuple[tuple[Step, ...], Screen]:
    steps = steps_of(params)
    return steps, Screen(steps)


def _pass(text: str, language: str, steps: Sequence[Step], needed: int) -> tuple[str, dict[str, int]]:
    """The text after the steps that it needs (the sum of ``1 << number``), and how many places each of them changed."""
    places = {}
    for number, step in enumerate(steps):
        if needed >> number & 1:
            text, changes = step.apply(text, language)
            if changes:
                places[step.name] = changes
    return text, places
