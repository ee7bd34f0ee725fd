"""Properties of normalisation on hostile and on real texts: stable after one time, valid, alike in any company."""

import bz2
import gzip
import io
import itertools
import lzma
import random
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ftfy
import pytest
import zstandard
from ftfy.badness import BADNESS_RE, is_bad
from test_normalize import DEFAULT, NOTHING

from pipelines.cleaning.normalization.code_points import code_points
from pipelines.cleaning.normalization.mojibake import FTFY, candidates, repair
from pipelines.cleaning.normalization.screen import Screen
from pipelines.cleaning.normalization.step import CJK_LANGUAGES, base_language
from pipelines.cleaning.normalization.unicode_form import unicode_form
from pipelines.cleaning.normalize import NormalizeParams, normalize_batch, steps_of

EVERYTHING = NormalizeParams(
    unify_line_breaks=True,
    repair_mojibake=True,
    remove_control_characters=True,
    unicode_form="NFKC",
    remove_invisible_characters=True,
    spaces="ascii",
    quotes="straight",
    dashes="hyphen",
    character_width="standard",
    cjk_punctuation="full",
    number_spacing="space",
    remove_punctuation=True,
    remove_stop_words=True,
    space_runs="collapse",
    tidy_line_ends=True,
)
OTHERS = {
    "ascii": replace(EVERYTHING, cjk_punctuation="ascii", number_spacing="none"),
    "full": replace(EVERYTHING, remove_punctuation=False, remove_stop_words=False),
    "full and NFC": replace(EVERYTHING, unicode_form="NFC", remove_punctuation=False, number_spacing="none"),
    "loose lines": replace(
        EVERYTHING, unify_line_breaks=False, remove_control_characters=False, tidy_line_ends=False, space_runs="keep"
    ),
    "no repair": replace(DEFAULT, repair_mojibake=False),
    "nothing": NOTHING,
}
LANGUAGES = ["en", "zh", "ja", "uk", "vi", "th", "zh-TW", "fa"]

# Letters of mojibake in most encodings, what stands around them, and all that a step treats apart.
NASTY = "ÃÂâã€™œ\x9d“”…—–‚Ä√≈×²³ØÙ°±àèéñ¤¦¨«»®©™£¥§┐║в€ЂГРВСўђ№ґҐβΒΞāłŒ\xa0\xad\x80\x85\x90\u0301\u0308\ufffd"
NASTY += " \n\t\r\x1b[m\ufeff\u200b\u200c\u200d\0\u3000ｶﾞﾟ﹐；？，、。．３％ー"
ORDINARY = "abzAZ .,?!1\n中文。ぁがＡｶйїєềậกิ\u093e가😀"
WORDS = ["Ã©", "â€™", "вЂ", "Ã ", "\nÃ x", " Â·", "ä¸\xadæ–‡", "Ð”Ð°", "РљРё", "Î±", "ГўВЂВ™a", "œ\n", "ï»¿", "À€"]
WORDS += [
    "\r\n",
    " \n",
    "\n\n\n",
    "  ",
    "\ud83d",
    "\ude00",
    "\x1b[1m",
    "中 a",
    "3.14",
    "1,000",
    "-5",
    "(中)",
    "中,",
    "中.",
]
WORDS += [
    "他(a)",
    " the",
    "The ",
    "don’t",
    "但是",
    "你好",
    "１２．３",
    "กรุง\u200b",
    "👩\u200d👩",
    "ﬁ",
    "½",
    "\u1112\u1161\u11ab",
]
BLOCKS = [
    (0, 0x180),
    (0x300, 0x480),
    (0x590, 0x700),
    (0x900, 0xA00),
    (0xE00, 0xF00),
    (0x1000, 0x1200),
    (0x1780, 0x1800),
]
BLOCKS += [(0x2000, 0x2200), (0x3000, 0x3400), (0xAC00, 0xAC80), (0xD800, 0xE000), (0xF900, 0xFB50), (0xFE00, 0x10000)]
BLOCKS += [(0x1D100, 0x1D200), (0x1F600, 0x1F650), (0x2F800, 0x2FA20), (0, 0x110000)]


def fuzzed(number: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts of every script, mojibake, controls, marks and widths in any mixture; and a language for each."""
    generator = random.Random(seed)

    def anything() -> str:
        return chr(generator.randrange(*generator.choice(BLOCKS)))

    def mojibake() -> str:
        text = "".join(anything() for _ in range(3))
        return text.encode("utf-8", "replace").decode(generator.choice(["latin-1", "cp1251", "cp1252"]), "replace")

    def one_of(pieces: str | list[str]) -> str:
        return generator.choice(pieces)

    makers = [lambda: one_of(NASTY), lambda: one_of(ORDINARY), lambda: one_of(WORDS), anything, mojibake]
    texts = ["".join(generator.choice(makers)() for _ in range(generator.randint(0, 24))) for _ in range(number)]
    return texts, [generator.choice(LANGUAGES) for _ in texts]


def assert_stable(texts: list[str], languages: list[str], params: NormalizeParams) -> None:
    once = normalize_batch(texts, languages, params)
    for text in once.texts:
        assert text.encode().decode() == text
        assert "\0" not in text
    again = normalize_batch(once.texts, languages, params)
    assert again.texts == once.texts
    assert not any(again.changes.values())


def test_normalising_twice_is_normalising_once_by_default():
    assert_stable(*fuzzed(10_000, seed=1), DEFAULT)


def test_normalising_twice_is_normalising_once_with_everything_on():
    assert_stable(*fuzzed(10_000, seed=2), EVERYTHING)


@pytest.mark.parametrize("name", OTHERS)
def test_normalising_twice_is_normalising_once_with_other_settings(name):
    assert_stable(*fuzzed(700, seed=3), OTHERS[name])


@pytest.mark.parametrize("params", [DEFAULT, EVERYTHING], ids=["default", "everything"])
def test_a_text_is_normalised_alike_alone_and_in_any_company(params):
    texts, languages = fuzzed(200, seed=4)
    together = normalize_batch(texts, languages, params)
    alone = [normalize_batch([text], [language], params) for text, language in zip(texts, languages, strict=True)]
    assert [one.texts[0] for one in alone] == together.texts
    assert {name: sum(one.changes[name] for one in alone) for name in together.changes} == together.changes
    backwards = normalize_batch(texts[::-1], languages[::-1], params)
    assert backwards.texts[::-1] == together.texts


@pytest.mark.parametrize("params", [DEFAULT, *OTHERS.values()], ids=["default", *OTHERS])
def test_the_screen_names_every_step_that_would_change_a_text_and_changes_are_counted_where_a_text_changes(params):
    texts, languages = fuzzed(300, seed=5)
    bases = [base_language(language) for language in languages]
    steps = steps_of(params)
    for text, language, needed in zip(texts, bases, Screen(steps).needs(texts, bases), strict=True):
        for number, step in enumerate(steps):
            if step.cjk_only and language not in CJK_LANGUAGES:
                assert not needed >> number & 1
                continue
            after, places = step.apply(text, language)
            assert (places > 0) == (after != text), step.name
            assert needed >> number & 1 or after == text, step.name


def test_the_screen_asks_for_no_step_where_sound_text_of_any_script_is_tidy():
    texts = [
        "Plain — “text”.",
        "他说：“１９９８年，ＡＢＣ公司……”",
        "Україна — держава, об’єкт.",
        "Tiếng Việt",
        "می‌خواهم",
        "",
    ]
    assert Screen(steps_of(DEFAULT)).needs(texts, ["en"] * len(texts)) == [0] * len(texts)


def test_repair_equals_ftfy():
    texts, _ = fuzzed(1_500, seed=6)
    repaired = [repair(text)[0] for text in texts]
    assert repaired == [ftfy.fix_text(text, FTFY) for text in texts]
    assert sum(map(str.__ne__, repaired, texts)) > 300


def has_candidate(text: str) -> bool:
    codes = code_points(f"\n{text}\n")
    return bool(len(candidates(codes, (codes >= 0x80).nonzero()[0])))


def test_whatever_ftfy_calls_bad_holds_a_candidate():
    texts, _ = fuzzed(2_000, seed=7)
    bad = [text for text in texts if is_bad(text)]
    assert len(bad) > 300
    assert [text for text in bad if not has_candidate(text)] == []


def test_a_candidate_is_found_in_an_example_of_each_of_ftfys_patterns():
    examples = ["Ã©", "a€¦", "b¦é", "éÀ", "╗à", "é€", " À€", "À²", "à“½", "£”“", "€“", "aÀ“", "║ò", "é║", "║”", "é“a"]
    examples += ["œ ", "À°", "Ã€", "×²", "Ø¹Ø±", "à²", "√†", "≈°", "‚Äô", "‚âà", "вЂ", "Г°Р", "ГўВЂВ™a", "Ã¡", "aÃ "]
    examples += ["Ã ", "a Â ", "β€™", "Ξ°Ξ", "ā€", "\x81"]
    bad = [example for example in examples if BADNESS_RE.search(example)]
    assert len(bad) >= 34
    assert [example for example in bad if not has_candidate(example)] == []


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_the_unicode_form_is_that_of_the_standard_library(form):
    texts, _ = fuzzed(3_000, seed=8)
    # Every character by itself, and after and before one that it may compose with.
    characters = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    texts += ["a".join(characters), *(f"{base}".join(characters) for base in "eא\u0915\u1100가")]
    step = unicode_form(form, "")
    for text in texts:
        after, places = step.apply(text, "en")
        assert after == unicodedata.normalize(form, text)
        assert (places == 0) == unicodedata.is_normalized(form, text)


MAX_BYTES = 100_000  # of each real file
MAX_FILES = 4  # of each folder and suffix, and members of an archive


def real_texts(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The beginning of each corpus, as UTF-8 with whatever is none of it as lone surrogates, and as Latin-1."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for _, group in itertools.groupby(files, key=lambda path: (path.parent, path.suffix)):
        for path in itertools.islice(group, MAX_FILES):
            for head in heads(path):
                text = head.decode("utf-8", "surrogateescape")
                lines = text.splitlines(keepends=True)
                pieces = ["".join(lines[begin : begin + 20]) for begin in range(0, len(lines), 20)]
                yield path.name, [text, *pieces, head[:4000].decode("latin-1")]


def heads(path: Path) -> list[bytes]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            return [archive.read(name)[:MAX_BYTES] for name in names[:MAX_FILES]]
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            members = itertools.islice((member for member in archive if member.isfile()), MAX_FILES)
            return [archive.extractfile(member).read(MAX_BYTES) for member in members]
    with path.open("rb") as file:
        return [opened(path.suffix, file).read(MAX_BYTES)]


def opened(suffix: str, file: io.BufferedReader) -> io.BufferedIOBase:
    if suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(file)
    return {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(suffix, lambda given: given)(file)


def test_every_real_corpus_is_normal_after_one_time_and_repaired_as_by_ftfy(shared_data: Path):
    seen = 0
    for name, texts in real_texts(shared_data):
        language = next((code for code in ("zh", "ja", "uk", "vi") if code in name), "en")
        assert_stable(texts, [language] * len(texts), DEFAULT)
        assert_stable(texts[:1], [language], replace(EVERYTHING, remove_stop_words=False))
        assert repair(texts[0])[0] == ftfy.fix_text(texts[0], FTFY)
        seen += len(texts)
    assert seen > 300
