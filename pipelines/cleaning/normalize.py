"""Texts -> the same texts without mojibake, stray control characters and untidy lines; what changed is counted.

    texts  ->  normalize_batch  ->  (texts, {"ftfy": 2, "tidy_lines": 5, ...})

Four steps, in the order of `STEPS`, again and again until none changes the text, so that normalising twice is the same
as normalising once:

    line_breaks    CRLF, CR, VT, FF, FS, GS, RS, LS and PS become \\n
    ftfy           mojibake repair, terminal escapes, control characters, lone surrogates, C1, Unicode NFC
    invisible      soft hyphens, direction marks, word joiners, and zero-width spaces where they part nothing
    tidy_lines     no spaces before a line end, no two blank lines in a row, none at either end of the text

Quotes, ligatures, full-width forms and HTML entities stay as they are. U+200C and U+200D stay too: Persian, the Indic
scripts and emoji are written with them. Adding a step = one function, one entry in `STEPS`, one test.
"""

import itertools
import re
import re._parser as regex_parser
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ftfy
import pyarrow as pa
from ftfy.badness import BADNESS_RE
from ftfy.chardata import CONTROL_CHARS

#: What we ask of ftfy: all it does but for what changes the spelling of sound text.
FTFY = ftfy.TextFixerConfig(
    explain=False,
    unescape_html=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    normalization="NFC",
)

#: Two or three passes settle every text met; the bound is there so that no text can loop for ever.
MAX_PASSES = 10

# NEL (U+0085) is left to ftfy: far more often than a line break it is the "…" of Windows-1252.
LINE_BREAKS = re.compile("[\r\x0b\x0c\x1c-\x1e\u2028\u2029]")

# A zero-width space tells words apart where Thai, Lao, Burmese and Khmer letters stand before it.
INVISIBLE = re.compile(
    "[\x80-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069]"
    "(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]\u200b)"
)
BLANK_LINES = re.compile("\n{3,}")

# Every character that one of ftfy's unconditional fixers changes: line breaks, C1, surrogates, control characters.
ALWAYS_FIXED = re.compile(
    f"[\r\x80-\x9f\u2028\u2029\ud800-\udfff{re.escape(''.join(chr(code) for code in sorted(CONTROL_CHARS)))}]"
)


def normalize_batch(texts: Sequence[str] | pa.Array) -> tuple[list[str], dict[str, int]]:
    """The normalised texts, and how many texts each step changed.

    Args:
        texts: strings, or an Arrow array of strings without nulls.
    Returns:
        ``(normalised, changed)``: one text for each that came in, valid UTF-8 without NUL; for each name in `STEPS` the
        number of texts that the step changed, zero included.
    """
    strings: Sequence[str] = texts.to_pylist() if isinstance(texts, pa.Array) else texts
    changed = dict.fromkeys(STEPS, 0)
    normalized = []
    for text in strings:
        text, steps = _settle(text)
        normalized.append(text)
        for name in steps:
            changed[name] += 1
    return normalized, changed


def unify_line_breaks(text: str) -> str:
    """The text with \\n as its only line break."""
    return LINE_BREAKS.sub("\n", text.replace("\r\n", "\n"))


def fix_with_ftfy(text: str) -> str:
    """``ftfy.fix_text(text, FTFY)``, exactly, but only the lines that can change go through ftfy (4 MB/s).

    ftfy works line by line and loops until a line is stable, so a line that none of its fixers touches stays as it is.
    """
    if text.isascii() and not ALWAYS_FIXED.search(text):
        return text
    pieces = []
    done = 0
    for place in _suspect_places(text):
        if place < done:
            continue
        begin = text.rfind("\n", done, place) + 1 or done
        end = text.find("\n", place) + 1 or len(text)
        pieces += [text[done:begin], ftfy.fix_text(text[begin:end], FTFY)]
        done = end
    return "".join(pieces) + text[done:]


def remove_invisible(text: str) -> str:
    """The text without characters that neither show nor change how their neighbours are read."""
    return text if text.isascii() else INVISIBLE.sub("", text)


def tidy_lines(text: str) -> str:
    """The text without white space at line ends and at either end, and with at most one blank line in a row."""
    text = "\n".join([line.rstrip() for line in text.split("\n")])
    if "\n\n\n" in text:
        text = BLANK_LINES.sub("\n\n", text)
    return text.strip()


#: name in the ledger -> text to text; each is cheap for a text that needs nothing.
STEPS: dict[str, Callable[[str], str]] = {
    "line_breaks": unify_line_breaks,
    "ftfy": fix_with_ftfy,
    "invisible": remove_invisible,
    "tidy_lines": tidy_lines,
}


def _settle(text: str) -> tuple[str, list[str]]:
    """The text after as many passes as change it, and the names of the steps that did."""
    names: dict[str, None] = {}
    for _ in range(MAX_PASSES):
        before = text
        for name, step in STEPS.items():
            after = step(text)
            if after != text:
                names[name] = None
                text = after
        if text == before:
            break
    return text, list(names)


def _suspect_places(text: str) -> list[int]:
    """Ascending places such that each line ftfy would change holds one of them."""
    places = [match.start() for match in ALWAYS_FIXED.finditer(text)]
    for match in CANDIDATES.finditer(text):
        place = match.start()
        # A match that holds this place lies in the window, which begins with its line where that is near: "^Ã " is bad.
        # Elsewhere a cut window can only match more, and ftfy decides anyway.
        begin = max(0, place - WIDTH)
        begin = text.rfind("\n", begin, place) + 1 or begin
        if BADNESS_RE.search(text[begin : place + WIDTH]):
            places.append(place)
    if not unicodedata.is_normalized("NFC", text):
        places += _lines_to_compose(text)
    return sorted(places)


def _lines_to_compose(text: str) -> Iterator[int]:
    begin = 0
    for line in text.split("\n"):
        if not unicodedata.is_normalized("NFC", line):
            yield begin
        begin += len(line) + 1


def _candidates() -> re.Pattern[str]:
    """Finds a place in whatever `BADNESS_RE` matches, 50 times faster than it; built from that pattern itself.

    Nearly each of its alternatives holds two neighbours that are both outside ASCII: `firsts` and `seconds` collect
    them. The others hold one such character at least: `alone`. So a text without a pair and without one of `alone` is
    good, whatever the version of ftfy.
    """
    firsts, seconds, alone = set(), set(), set()
    for alternative in _alternatives(regex_parser.parse(BADNESS_RE.pattern, BADNESS_RE.flags)):
        sets = [_code_points(node) for node in alternative]
        pairs = [(a, b) for a, b in itertools.pairwise(sets) if a and b]
        if pairs:
            first, second = min(pairs, key=lambda pair: len(pair[1]))
            firsts |= first
            seconds |= second
        else:
            alone |= min(filter(None, sets), key=len)
    # One set in front lets the regex engine skip at its fastest.
    return re.compile(f"{_class(seconds | alone)}(?:(?<={_class(alone)})|(?<={_class(firsts)}.))", re.DOTALL)


def _alternatives(parsed: Any) -> list[list[Any]]:
    """The alternatives of a pattern that is one alternation, common prefix included."""
    *prefix, (kind, value) = parsed
    if str(kind) != "BRANCH":
        return [list(parsed)]
    return [prefix + tail for branch in value[1] for tail in _alternatives(branch)]


def _code_points(node: Any) -> set[int]:
    """The code points that a node of a parsed pattern can match, or none if ASCII is among them or it is no plain set."""
    kind, value = str(node[0]), node[1]
    if kind == "LITERAL":
        points = {value}
    elif kind == "IN" and all(str(item[0]) in ("LITERAL", "RANGE") for item in value):
        points = set().union(*({v} if str(k) == "LITERAL" else range(v[0], v[1] + 1) for k, v in value))
    else:
        points = set()
    return points if points and min(points) >= 0x80 else set()


def _class(points: set[int]) -> str:
    return f"[{re.escape(''.join(map(chr, sorted(points))))}]"


WIDTH: int = regex_parser.parse(BADNESS_RE.pattern, BADNESS_RE.flags).getwidth()[1]
CANDIDATES = _candidates()
