"""Rules on arrays against a plain reading of the same definitions, one text and one word at a time: equal numbers."""

import dataclasses
import random
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_texts import LANGUAGES, real_texts
from test_rules import PARAMS

from pipelines.clean import CleanParams
from pipelines.cleaning.document_rules import BULLETS, DASHES, DOCUMENT_RULES
from pipelines.cleaning.normalize import normalize_batch
from pipelines.cleaning.readings import Documents
from pipelines.cleaning.rules import apply_rules
from pipelines.cleaning.scripts import IDEOGRAM, UNSPACED
from pipelines.cleaning.sentences import SENTENCE_ENDS
from pipelines.cleaning.text_table import TextTable
from pipelines.spine.params import load_params

EVERYTHING = dataclasses.replace(PARAMS, skip=(), unpunctuated_languages=("th",))
NORMALIZE = load_params(CleanParams, "clean", Path(__file__).parents[1] / "params.yaml").normalize


def kind(character: str) -> str:
    """space, word, other, close, ideogram or letter."""
    code, category = ord(character), unicodedata.category(character)
    if character.isspace() or character in "་༌":
        return "space"
    if code >= 0x20000 and code < 0x40000:
        return "ideogram"
    for begin, end, letter in UNSPACED:
        if begin <= code < end:
            if category in ("Lo", "Lm", "Nl"):
                return "ideogram" if letter == IDEOGRAM else "letter"
            return "word" if category in ("Nd", "No") else "close"
    return "word" if category[0] in "LN" else "other"


def split(text: str) -> list[tuple[str, str]]:
    """The words of a text and the kind of their first character."""
    words: list[tuple[str, str]] = []
    before = "space"
    for character in text:
        now = kind(character)
        if now != "space":
            ends = before in ("close", "ideogram", "letter") and now == "word"
            if before == "space" or ends or now in ("ideogram", "letter"):
                words.append((character, now))
            else:
                words[-1] = (words[-1][0] + character, words[-1][1])
        before = now
    return words


def trim(line: str) -> str:
    """The line without what parts words at its ends."""
    places = [place for place, character in enumerate(line) if kind(character) != "space"]
    return line[places[0] : places[-1] + 1]


class PlainText:
    """Lines, paragraphs and words of one text that line rules have edited."""

    def __init__(self, text: str, language: str):
        self.language = language
        self.lines = [trim(line) for line in text.split("\n") if split(line)]
        self.keys = [tuple(word for word, _ in split(line)) for line in self.lines]
        self.paragraphs = [tuple(word for word, _ in split(part)) for part in re.split(r"\n\s*\n", text) if split(part)]
        pairs = [pair for line in self.lines for pair in split(line)]
        self.words = [word for word, _ in pairs]
        self.spaced = [word for word, first in pairs if first not in ("ideogram", "letter")]
        letters = sum(first == "letter" for _, first in pairs)
        self.unspaced = 2 * (len(self.words) - len(self.spaced)) > len(self.words)
        in_unspaced = 4 if 2 * letters > len(self.words) else 2
        self.units_per_word = in_unspaced if self.unspaced else {"vi": 2}.get(language, 1)

    def count(self, *needles: str) -> int:
        return sum(line.count(needle) for line in self.lines for needle in needles)


def chars(words: object) -> int:
    return sum(map(len, words))  # type: ignore[call-overload]


def repeats(items: list[tuple[str, ...]]) -> tuple[int, int]:
    again = [item for place, item in enumerate(items) if item in items[:place]]
    return len(again), sum(map(chars, again))


def runs(text: PlainText, size: int) -> list[tuple[str, ...]]:
    length = size * text.units_per_word
    return [tuple(text.words[place : place + length]) for place in range(len(text.words) - length + 1)]


def top_run(text: PlainText, size: int) -> int:
    most = Counter(runs(text, size)).most_common(1)
    return chars(most[0][0]) * most[0][1] if most and most[0][1] > 1 else 0


def repeated_runs(text: PlainText, size: int) -> int:
    seen: set[tuple[str, ...]] = set()
    covered = [False] * len(text.words)
    for place, run in enumerate(runs(text, size)):
        if run in seen:
            covered[place : place + len(run)] = [True] * len(run)
        seen.add(run)
    return sum(len(word) for word, yes in zip(text.words, covered, strict=True) if yes)


def plain_readings(text: PlainText) -> dict[str, tuple[int, int, bool]]:
    """For each rule part, whole (1 for a plain count) and whether it applies."""
    words, lines, num_words, num_lines = text.words, text.lines, len(text.words), len(text.lines)
    long = num_words >= EVERYTHING.min_judged_words * text.units_per_word
    spaced, some = not text.unspaced and bool(text.spaced), bool(words)
    real = [word for word in words if word not in set(BULLETS + DASHES)]
    widths = [len(line) + 2 * sum(first == "ideogram" for _, first in split(line)) for line in lines]
    stop_words = EVERYTHING.stop_words.get(text.language)
    line_repeats, paragraph_repeats = repeats(text.keys), repeats(text.paragraphs)
    many = num_lines >= EVERYTHING.min_judged_lines
    return {
        "gopher.too_few_words": (num_words, 1, True),
        "gopher.too_many_words": (num_words, 1, True),
        "gopher.short_words": (chars(text.spaced), len(text.spaced), spaced),
        "gopher.long_words": (chars(text.spaced), len(text.spaced), spaced),
        "gopher.hash_signs": (text.count("#"), num_words, some),
        "gopher.ellipses": (text.count("...", "…"), num_words, some),
        "gopher.bullet_lines": (sum(line[0] in BULLETS for line in lines), num_lines, some and many),
        "gopher.ellipsis_lines": (sum(line.endswith(("...", "…")) for line in lines), num_lines, some and many),
        "gopher.few_alphabetic_words": (sum(any(map(str.isalpha, word)) for word in words), len(real), bool(real)),
        "gopher.few_stop_words": (len(set(words) & set(stop_words or ())), 1, stop_words is not None and long),
        "c4.curly_brackets": (text.count("{", "}"), 1, True),
        "c4.placeholders": (sum(line.encode().lower().decode().count("lorem ipsum") for line in lines), 1, True),
        "gopher.duplicate_lines": (line_repeats[0], num_lines, some),
        "gopher.duplicate_line_chars": (line_repeats[1], chars(words), some),
        "gopher.duplicate_paragraphs": (paragraph_repeats[0], len(text.paragraphs), some),
        "gopher.duplicate_paragraph_chars": (paragraph_repeats[1], chars(words), some),
        **{f"gopher.top_run_{n}": (top_run(text, n), chars(words), some and long) for n in (2, 3, 4)},
        **{f"gopher.repeated_runs_{n}": (repeated_runs(text, n), chars(words), some and long) for n in range(5, 11)},
        "fineweb.few_punctuated_lines": (
            sum(line[-1] in SENTENCE_ENDS for line in lines), num_lines, some and many and text.language != "th"
        ),
        "fineweb.short_lines": (sum(width < EVERYTHING.short_line_chars for width in widths), num_lines, some and many),
        "fineweb.repeated_line_chars": (line_repeats[1], chars(words), some),
        "fineweb.line_breaks": (max(num_lines - 1, 0), num_words, some),
    }  # fmt: skip


def assert_equal_readings(texts: list[str], languages: list[str]) -> None:
    documents = Documents(TextTable.read(texts, languages))
    readings = {name: rule(documents, EVERYTHING) for name, rule in DOCUMENT_RULES.items()}
    for place, (text, language) in enumerate(zip(texts, languages, strict=True)):
        plain = plain_readings(PlainText(text, language))
        for name, reading in readings.items():
            whole = 1 if reading.whole is None else int(reading.whole[place])
            found = (int(reading.part[place]), whole, bool(reading.applies[place]))
            assert found == plain[name], (name, text)


def kept_lines(text: str, language: str) -> list[str]:
    kept = []
    for line in text.split("\n"):
        low = line.encode().lower().decode()
        phrases = (*EVERYTHING.javascript_phrases, *EVERYTHING.policy_phrases)
        ends = language == "th" or (bool(split(line)) and trim(line)[-1] in SENTENCE_ENDS)
        if not split(line) or (len(split(line)) >= 3 and ends and not any(phrase in low for phrase in phrases)):
            kept.append(line)
    return kept


PIECES = ["the", "and", "The", "is", "of", "x", "of,", "naïve", "é", "1", "2020", "½", "#", "#tag", "...", ". ..", "…"]
PIECES += [
    "-",
    "—",
    "•",
    "{",
    "}",
    "javascript",
    "JavaScript",
    "terms of use",
    "Lorem ipsum",
    "end.",
    "end!",
    "word" * 20,
]
PIECES += [
    "中文",
    "中",
    "文，",
    "的",
    "。",
    "「日本語」",
    "カタ",
    "ー",
    "１２",
    "㈠",
    "𠀀",
    "한국어",
    "ไทย",
    "ที่",
    "བོད་",
    "हिन्दी",
]
PIECES += ["Київ", "тиша", "Việt", "Nam", "😀", "👩‍👩‍👧", "e\u0301", "“quoted”", "ﬁ", "İ", "\u200b"]
SPACES = [
    " ",
    " ",
    " ",
    "  ",
    "\t",
    "\xa0",
    "\u3000",
    "\n",
    "\n",
    "\n\n",
    "\n \n",
    "\n\n\n",
    "",
    "\x1c",
    "\x85",
    "\u2003",
]
mixed = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(SPACES)), max_size=60).map(
    lambda pairs: "".join(piece + space for piece, space in pairs)
)


def looping(seed: int) -> list[str]:
    """Texts made of few pieces, lines and spans again and again."""
    generator = random.Random(seed)
    texts = []
    for _ in range(60):
        vocabulary = generator.sample(PIECES, generator.randint(2, 12))
        lines = [
            generator.choice(["", " "]).join(generator.choices(vocabulary, k=generator.randint(0, 9)))
            for _ in range(generator.randint(1, 9))
        ]
        texts.append(generator.choice(["\n", "\n\n"]).join(generator.choices(lines, k=generator.randint(1, 25))))
    return texts


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(mixed, max_size=6), st.sampled_from(["en", "zh", "vi", "th", "uk"]))
def test_mixed_texts_are_read_alike(texts, language):
    assert_equal_readings(texts, [language] * len(texts))


def test_looping_texts_are_read_alike():
    for seed, language in enumerate(["en", "zh", "vi", "th"]):
        texts = looping(seed)
        assert_equal_readings(texts, [language] * len(texts))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(mixed, max_size=6), st.sampled_from(["en", "th"]))
def test_lines_are_removed_alike_and_what_is_left_reads_as_if_they_had_never_been(texts, language):
    languages = [language] * len(texts)
    texts = normalize_batch(texts, languages, NORMALIZE).texts
    verdicts = apply_rules(texts, languages, EVERYTHING)
    edited = [verdict.text for verdict in verdicts]
    for text, verdict in zip(texts, verdicts, strict=True):
        assert split(verdict.text) == split("\n".join(kept_lines(text, language)))
    again = apply_rules(edited, languages, EVERYTHING)
    assert again == [verdict._replace(lines_removed={}) for verdict in verdicts]
    assert normalize_batch(edited, languages, NORMALIZE).texts == edited


@pytest.mark.parametrize("language", LANGUAGES)
def test_real_texts_are_read_and_edited_alike(language, shared_data: Path):
    texts = real_texts(shared_data, language, number=40)
    languages = [language] * len(texts)
    assert_equal_readings(texts, languages)
    texts = normalize_batch(texts, languages, NORMALIZE).texts
    for text, verdict in zip(texts, apply_rules(texts, languages, EVERYTHING), strict=True):
        assert verdict.chars_cut or split(verdict.text) == split("\n".join(kept_lines(text, language)))


def test_all_characters_have_the_kind_that_the_definition_gives_them():
    names = ["space", "other", "word", "close", "ideogram", "letter"]
    characters = [chr(code) for code in range(1, 0x30000) if not 0xD800 <= code < 0xE000]
    words = TextTable.read(["".join(f"{character} " for character in characters)], ["en"]).words
    counted = [len(split(character)) for character in characters]
    assert len(words.texts) == sum(counted)
    kinds = [kind(character) for character, count in zip(characters, counted, strict=True) if count]
    expected = [names.index(name) if name in ("ideogram", "letter") else 1 for name in kinds]
    assert np.array_equal(words.kinds, expected)
