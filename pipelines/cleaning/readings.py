"""What the rules are given and what they give back: limits and texts in, one number a text out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipelines.cleaning.languages import LanguageParams
from pipelines.cleaning.loops import LoopParams
from pipelines.cleaning.quality_model import QualityModel, QualityParams
from pipelines.cleaning.repeated_lines import RepeatedLineParams
from pipelines.cleaning.repetition import Repetition
from pipelines.cleaning.text_table import I64, Bools, TextTable


@dataclass(frozen=True)
class RuleParams:
    """``params.yaml: clean.rules``; ``percent`` in a name: the limit is whole hundredths of what is counted."""

    skip: tuple[str, ...]  # names of rules that do not apply
    min_words: int
    max_words: int
    min_mean_word_chars: dict[str, int]  # by language; "default" for those not named
    max_mean_word_chars: dict[str, int]
    max_hash_percent: int
    max_ellipsis_percent: int
    max_bullet_lines_percent: int
    max_ellipsis_lines_percent: int
    min_alphabetic_words_percent: int
    min_stop_words: int
    stop_words: dict[str, tuple[str, ...]]  # by language; a language with an empty list is not judged
    stop_words_from_package: bool  # for languages not named: the list of stopwordsiso, where it has one
    max_duplicate_lines_percent: int
    max_duplicate_line_chars_percent: int
    max_duplicate_paragraphs_percent: int
    max_duplicate_paragraph_chars_percent: int
    min_judged_words: int  # the rules on runs of words and on stop words do not apply to texts of fewer words
    max_top_run_percents: tuple[int, ...]  # runs of 2, 3, 4 words
    max_repeated_run_percents: tuple[int, ...]  # runs of 5, 6, 7, 8, 9, 10 words
    javascript_phrases: tuple[str, ...]
    policy_phrases: tuple[str, ...]
    placeholder_phrases: tuple[str, ...]
    min_line_words: int
    min_judged_lines: int  # rules on shares of lines do not apply to texts of fewer lines
    min_punctuated_lines_percent: int
    unpunctuated_languages: tuple[str, ...]  # those that write no mark at the end of a sentence
    short_line_chars: int
    max_short_lines_percent: int
    max_repeated_line_chars_percent: int
    max_line_breaks_percent: int
    loops: LoopParams
    repeated_lines: RepeatedLineParams
    languages: LanguageParams
    quality: QualityParams


@dataclass(frozen=True)
class Batch:
    """Texts, and what is known of each; all of one length.

    Attributes:
        texts: normalised (`pipelines.cleaning.normalize`).
        languages: the code of each, ``en`` or ``en-us``: as its source declares it, or else identified; "" if neither.
        sources: the source's name.
        personal: kind of personal data for which a text is dropped -> how much each holds, int64 ``[n_texts]``.
    """

    texts: Sequence[str]
    languages: Sequence[str]
    sources: Sequence[str]
    personal: Mapping[str, I64]

    def part(self, rows: slice) -> "Batch":
        """Some neighbouring ones."""
        personal = {kind: found[rows] for kind, found in self.personal.items()}
        return Batch(self.texts[rows], self.languages[rows], self.sources[rows], personal)


#: For those who read nothing but words and lines.
NO_BATCH = Batch((), (), (), {})


class Documents:
    """A batch as document rules see it.

    Attributes:
        table: the words and lines of the texts, without those that were removed.
        repetition: what of them comes again.
        batch: the same texts as strings, and what is known of them.
        quality_model: of the stage `quality`, None where it has learned none.
    """

    def __init__(self, table: TextTable, batch: Batch = NO_BATCH, quality_model: QualityModel | None = None):
        self.table = table
        self.repetition = Repetition(table)
        self.batch = batch
        self.quality_model = quality_model

    def by_language(self, values: dict[str, int]) -> I64:
        """A number for each text from a parameter by language."""
        return np.array([values.get(code, values["default"]) for code in self.table.languages], np.int64)


class Reading(NamedTuple):
    """What a rule reads from each text of a batch: the text breaks the rule if ``part / whole <sign> limit``."""

    part: I64  # [n_texts]
    whole: I64 | None  # [n_texts]; without it the part itself is compared
    sign: str  # "<", "<=", ">" or ">="
    limit: I64 | int
    percent: bool
    judged: Bools | None = None  # [n_texts]; where not, the rule does not apply
    notes: Sequence[str] | None = None  # [n_texts]; a word on each text's value: "mostly fr"

    @property
    def broken(self) -> Bools:
        """Which texts break the rule; bool ``[n_texts]``."""
        part = self.part * (100 if self.percent else 1)
        limit = self.limit * (np.ones_like(part) if self.whole is None else self.whole)
        broken = {"<": part < limit, "<=": part <= limit, ">": part > limit, ">=": part >= limit}[self.sign]
        return broken & self.applies

    @property
    def applies(self) -> Bools:
        """Which texts have what the rule asks for; an empty text has no share of anything."""
        something = np.ones(len(self.part), np.bool_) if self.whole is None else self.whole > 0
        return something if self.judged is None else something & self.judged

    def value(self, text: int) -> str:
        """What was read from one text, rounded down: "12", "4.3", "35.2% (6 of 17)" or "0.0% (0 of 400), mostly fr"."""
        part = int(self.part[text])
        note = f", {self.notes[text]}" if self.notes is not None and self.notes[text] else ""
        if self.whole is None:
            return f"{part}{note}"
        whole = int(self.whole[text])
        tenths = part * (1000 if self.percent else 10) // max(whole, 1)
        number = f"{tenths // 10}.{tenths % 10}"
        return f"{number}% ({part} of {whole}){note}" if self.percent else f"{number}{note}"

    def threshold(self, text: int) -> str:
        """What breaks the rule: "< 50", "> 30%"."""
        limit = self.limit if isinstance(self.limit, int) else int(self.limit[text])
        return f"{self.sign} {limit}{'%' if self.percent else ''}"
