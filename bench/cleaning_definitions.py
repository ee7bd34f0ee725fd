"""Each rule that ours and datatrove have in common, read plainly, with every choice that they make differently as a switch.

No choice made as datatrove makes it gives our decision, all of them give its decision. So the causes of a difference
are found by trying: the fewest choices that turn our decision into its own (`causes`). Papers leave most of these
choices open.

For English: letters of scripts without spaces, which ours counts one by one, are part of words here.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pipelines.cleaning.document_rules import BULLETS, DASHES, ELLIPSES
from pipelines.cleaning.line_rules import SENTENCE_ENDS

#: Name -> how datatrove chooses.
CHOICES = {
    "words": "spaCy's words: punctuation and the n't of don't are words of their own; ours are parted by white space",
    "marks": "words of punctuation alone are left out of the count and the mean",
    "characters": "a share is of all characters; ours is of those in words, white space left out",
    "single": "the most frequent run of words counts also where it stands once",
    "jumps": "behind a repeated run the search goes on at its end, and runs that begin inside it are not remembered",
    "spacing": "lines are compared and measured with the white space in front of and in them",
    "blank lines": "blank lines and their line breaks count",
    "bullets": "only • and - are bullets",
    "dashes": "a dash or bullet that stands alone is a word without a letter",
    "end marks": "FineWeb: a closing quotation mark or … ends no sentence; C4: nor any mark but . ? ! \" '",
    "limits": "fewer than 12 %, more than 67 % of lines of 30 characters or fewer; ours: 12 % too, 67 % too, under 30",
    "three dots": "C4: a line that ends in ... is removed",
    "citations": "C4: [1] and [edit] are taken out before the end of a line is looked at",
    "long words": "C4: a line with a word of more than 1,000 characters is removed",
    "closing bracket": "C4: only { is a curly bracket",
}
STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
TOP_PERCENTS = {2: 20, 3: 18, 4: 16}
REPEATED_PERCENTS = {5: 15, 6: 14, 7: 13, 8: 12, 9: 11, 10: 10}

Theirs = Collection[str]


@dataclass(frozen=True)
class Text:
    """A text, and what datatrove says of it.

    Attributes:
        text: normalised by ours, so that the rules alone are compared.
        spacy_words: its words.
        punctuation, terminal: its marks, and those that end a sentence.
    """

    text: str
    spacy_words: Sequence[str]
    punctuation: Collection[str]
    terminal: Collection[str]

    def words(self, theirs: Theirs) -> Sequence[str]:
        """The words, by whichever splitter."""
        return self.spacy_words if "words" in theirs else self.text.split()

    def counted_words(self, theirs: Theirs) -> Sequence[str]:
        """Those that are counted and whose length is averaged."""
        words = self.words(theirs)
        return [word for word in words if set(word) - set(self.punctuation)] if "marks" in theirs else words

    def lines(self) -> list[str]:
        """Those that hold a word."""
        return [line for line in self.text.split("\n") if line.strip()]

    def all_lines(self, theirs: Theirs) -> list[str]:
        """Blank ones too, if they count."""
        return self.text.splitlines() if "blank lines" in theirs else [line.strip() for line in self.lines()]


Rule = Callable[[Text, Theirs], bool]


def too_few_words(text: Text, theirs: Theirs) -> bool:
    return len(text.counted_words(theirs)) < 50


def too_many_words(text: Text, theirs: Theirs) -> bool:
    return len(text.counted_words(theirs)) > 100_000


def short_words(text: Text, theirs: Theirs) -> bool:
    words = text.counted_words(theirs)
    return sum(map(len, words)) < 3 * len(words)


def long_words(text: Text, theirs: Theirs) -> bool:
    words = text.counted_words(theirs)
    return sum(map(len, words)) > 10 * len(words)


def symbols(text: Text, theirs: Theirs) -> bool:
    most = max(text.text.count("#"), sum(map(text.text.count, ELLIPSES)))
    return 10 * most > len(text.words(theirs))


def bullet_lines(text: Text, theirs: Theirs) -> bool:
    lines, bullets = text.all_lines(theirs), "•-" if "bullets" in theirs else BULLETS
    return 10 * sum(line.lstrip().startswith(tuple(bullets)) for line in lines) > 9 * len(lines)


def ellipsis_lines(text: Text, theirs: Theirs) -> bool:
    lines = text.all_lines(theirs)
    return 10 * sum(line.rstrip().endswith(ELLIPSES) for line in lines) > 3 * len(lines)


def few_alphabetic_words(text: Text, theirs: Theirs) -> bool:
    left_out = set() if "dashes" in theirs else set(BULLETS + DASHES)
    words = [word for word in text.words(theirs) if word not in left_out]
    return 10 * sum(any(map(str.isalpha, word)) for word in words) < 8 * len(words)


def few_stop_words(text: Text, theirs: Theirs) -> bool:
    return len(STOP_WORDS & set(text.words(theirs))) < 2


def repeated_items(text: Text, theirs: Theirs, ends: str) -> bool:
    items, repeated = _repeats(text, theirs, ends)
    return 10 * len(repeated) > 3 * len(items)


def repeated_chars(text: Text, theirs: Theirs, ends: str, fineweb: bool = False) -> bool:
    items, repeated = _repeats(text, theirs, ends)
    size = len if "characters" in theirs else _word_chars
    whole = sum(map(size, items))
    if "characters" in theirs:
        whole = len(text.text.replace("\n", "")) if fineweb else len(text.text)
    part = sum(map(size, repeated))
    if fineweb:
        return whole > 0 and (10 * part > whole or ("limits" not in theirs and 10 * part == whole))
    return 10 * part > 2 * whole


def top_run(text: Text, theirs: Theirs, size: int) -> bool:
    words = text.words(theirs)
    runs = Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))
    (run, number), *_ = runs.most_common(1) or [((), 0)]
    if number < 2 and "single" not in theirs:
        number = 0
    blanks = size - 1 if "characters" in theirs else 0
    return 100 * number * (sum(map(len, run)) + blanks) > TOP_PERCENTS[size] * _whole(text, words, theirs)


def repeated_runs(text: Text, theirs: Theirs, size: int) -> bool:
    words = text.words(theirs)
    seen: set[tuple[str, ...]] = set()
    part = place = covered = 0
    while place + size <= len(words):
        run = tuple(words[place : place + size])
        again = run in seen
        if again:
            part += sum(map(len, words[max(place, covered) : place + size]))
            covered = place + size
        seen.add(run)
        place += size if again and "jumps" in theirs else 1
    return 100 * part > REPEATED_PERCENTS[size] * _whole(text, words, theirs)


def few_punctuated_lines(text: Text, theirs: Theirs) -> bool:
    lines, marks = text.lines(), text.terminal if "end marks" in theirs else SENTENCE_ENDS
    part = 100 * sum(line.rstrip()[-1] in marks for line in lines)
    return part < 12 * len(lines) or ("limits" not in theirs and part == 12 * len(lines))


def short_lines(text: Text, theirs: Theirs) -> bool:
    lines = text.lines()
    widths = [len(line) if "spacing" in theirs else len(line.strip()) for line in lines]
    if "limits" in theirs:
        return 100 * sum(width <= 30 for width in widths) > 67 * len(lines)
    return 100 * sum(width < 30 for width in widths) >= 67 * len(lines)


def line_breaks(text: Text, theirs: Theirs) -> bool:
    breaks = text.text.count("\n") if "blank lines" in theirs else len(text.lines()) - 1
    return 10 * breaks > 3 * len(text.words(theirs))


def keeps_line(line: str, theirs: Theirs) -> bool:
    """Whether C4's rules keep a line that holds a word."""
    words, end = line.split(), line.strip()
    if "long words" in theirs and max(map(len, words)) > 1000:
        return False
    if "citations" in theirs:
        end = CITATION.sub("", end)
    marks = ".?!\"'" if "end marks" in theirs else SENTENCE_ENDS
    if not end.endswith(tuple(marks)) or ("three dots" in theirs and end.endswith("...")):
        return False
    small = line.lower()
    return len(words) >= 3 and not any(phrase in small for phrase in ("javascript", *POLICY))


def curly_brackets(text: Text, theirs: Theirs) -> bool:
    kept = "\n".join(line for line in text.lines() if keeps_line(line, theirs))
    return "{" in kept or ("}" in kept and "closing bracket" not in theirs)


def placeholders(text: Text, theirs: Theirs) -> bool:
    return any("lorem ipsum" in line.lower() and keeps_line(line, theirs) for line in text.lines())


class Definition(NamedTuple):
    """A rule, and the choices that it depends on."""

    drops: Rule
    choices: tuple[str, ...]


LINE, PARAGRAPH = "\n+", "\n{2,}"
#: Of the choices of C4's line rules.
LINE_CHOICES = ("end marks", "three dots", "citations", "long words")
RULES = {
    "gopher.too_few_words": Definition(too_few_words, ("words", "marks")),
    "gopher.too_many_words": Definition(too_many_words, ("words", "marks")),
    "gopher.short_words": Definition(short_words, ("words", "marks")),
    "gopher.long_words": Definition(long_words, ("words", "marks")),
    "gopher.symbols": Definition(symbols, ("words",)),
    "gopher.bullet_lines": Definition(bullet_lines, ("blank lines", "bullets")),
    "gopher.ellipsis_lines": Definition(ellipsis_lines, ("blank lines",)),
    "gopher.few_alphabetic_words": Definition(few_alphabetic_words, ("words", "dashes")),
    "gopher.few_stop_words": Definition(few_stop_words, ("words",)),
    "gopher.duplicate_lines": Definition(partial(repeated_items, ends=LINE), ("spacing",)),
    "gopher.duplicate_line_chars": Definition(partial(repeated_chars, ends=LINE), ("spacing", "characters")),
    "gopher.duplicate_paragraphs": Definition(partial(repeated_items, ends=PARAGRAPH), ("spacing",)),
    "gopher.duplicate_paragraph_chars": Definition(partial(repeated_chars, ends=PARAGRAPH), ("spacing", "characters")),
    **{
        f"gopher.top_run_{size}": Definition(partial(top_run, size=size), ("words", "characters", "single"))
        for size in TOP_PERCENTS
    },
    **{
        f"gopher.repeated_runs_{size}": Definition(partial(repeated_runs, size=size), ("words", "characters", "jumps"))
        for size in REPEATED_PERCENTS
    },
    "c4.curly_brackets": Definition(curly_brackets, ("closing bracket", *LINE_CHOICES)),
    "c4.placeholders": Definition(placeholders, LINE_CHOICES),
    "fineweb.few_punctuated_lines": Definition(few_punctuated_lines, ("end marks", "limits")),
    "fineweb.short_lines": Definition(short_lines, ("spacing", "limits")),
    "fineweb.repeated_line_chars": Definition(
        partial(repeated_chars, ends=LINE, fineweb=True), ("spacing", "characters", "limits")
    ),
    "fineweb.line_breaks": Definition(line_breaks, ("words", "blank lines")),
}
UNEXPLAINED = "not explained"


def causes(decide: Callable[[Theirs], bool], choices: Sequence[str], ours: bool) -> str:
    """The fewest choices that turn our decision into the opposite one: ``words`` or ``words + characters``.

    Args:
        decide: the decision by a rule, read plainly, where some choices are made as datatrove makes them.
        choices: those that it depends on.
        ours: what ours decided; `UNEXPLAINED` where the plain reading decides otherwise, or where datatrove's choices
            all together do not turn it.
    """
    if decide(()) != ours or decide(choices) == ours:
        return UNEXPLAINED
    subsets = (chosen for number in range(1, len(choices) + 1) for chosen in itertools.combinations(choices, number))
    return " + ".join(next(chosen for chosen in subsets if decide(chosen) != ours))


def _repeats(text: Text, theirs: Theirs, ends: str) -> tuple[list[str], list[str]]:
    """Lines or paragraphs, and those of them that stood there before."""
    items = re.split(ends, text.text.strip())
    seen: set[str | tuple[str, ...]] = set()
    repeated = []
    for item in items:
        key = item if "spacing" in theirs else tuple(item.split())
        if key in seen:
            repeated.append(item)
        seen.add(key)
    return items, repeated


def _word_chars(item: str) -> int:
    return sum(map(len, item.split()))


def _whole(text: Text, words: Sequence[str], theirs: Theirs) -> int:
    return len(text.text) if "characters" in theirs else sum(map(len, words))
