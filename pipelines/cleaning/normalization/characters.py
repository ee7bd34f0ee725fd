"""Steps on single characters: what no text may hold, line breaks, controls, invisible characters, spaces, marks."""

import re
from collections.abc import Iterable
from typing import Final

from ftfy.chardata import CONTROL_CHARS
from ftfy.fixes import ANSI_RE

from pipelines.cleaning.normalization.step import Apply, Step

LINE_BREAKS: Final = "\r\x0b\x0c\x1c\x1d\x1e\u2028\u2029"
#: NEL. Far more often than a line break it is the "…" of Windows-1252, which mojibake repair makes of it.
NEXT_LINE: Final = "\x85"
#: What ftfy calls control characters (U+FEFF and interlinear marks among them), and the C1 controls.
CONTROLS: Final = "".join(map(chr, sorted({*CONTROL_CHARS, *range(0x80, 0xA0)})))
#: Soft hyphen, zero-width space, direction marks, word joiner and invisible operators. U+200C and U+200D are not here:
#: Persian, the Indic scripts and emoji are written with them.
INVISIBLE: Final = (
    "\xad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069"
)
#: Space separators but U+0020.
SPACES: Final = "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
DOUBLE_QUOTES: Final = "“”„‟"
SINGLE_QUOTES: Final = "‘’‚‛"
#: Hyphens, figure, en and em dash, horizontal bar, minus sign.
DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"

SURROGATES: Final = range(0xD800, 0xE000)
INVALID: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]|\0")
# A zero-width space tells words apart where Thai, Lao, Burmese and Khmer letters stand before it.
INVISIBLE_HERE: Final = re.compile(f"[{INVISIBLE}](?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]\u200b)")
BLANK_LINES: Final = re.compile("\n{3,}")


def valid_characters() -> Step:
    """NUL goes, pairs of surrogates become the character they stand for, lone ones U+FFFD."""
    return Step("valid_characters", _make_valid, {0, *SURROGATES})


def line_breaks(has_repair: bool) -> Step:
    """\\n becomes the only line break; CRLF counts once.

    Args:
        has_repair: mojibake repair follows, which reads U+0085 as "…" where that is more likely.
    """
    breaks = LINE_BREAKS if has_repair else LINE_BREAKS + NEXT_LINE
    return Step("unify_line_breaks", replacing(f"\r\n|[{breaks}]", "\n"), codes(breaks))


def control_characters() -> Step:
    """Control characters and the escape sequences of terminals go."""
    pattern = f"{ANSI_RE.pattern}|[{re.escape(CONTROLS)}]"
    return Step("remove_control_characters", replacing(pattern, ""), codes(CONTROLS))


def invisible_characters() -> Step:
    """Characters go that neither show nor change how their neighbours are read."""
    return Step("remove_invisible_characters", replacing(INVISIBLE_HERE, ""), codes(INVISIBLE))


def ascii_spaces() -> Step:
    """Unicode spaces and tabs become U+0020."""
    return Step("spaces", replacing(f"[\t{SPACES}]", " "), codes("\t" + SPACES))


def single_spaces() -> Step:
    """A run of U+0020 becomes one."""
    collapse = replacing(" {2,}", " ")
    return Step("space_runs", lambda text, language: collapse(text, language) if "  " in text else (text, 0))


def straight_quotes() -> Step:
    """Curly quotes become ASCII ones, the typographic apostrophe too."""
    table = str.maketrans({**dict.fromkeys(DOUBLE_QUOTES, '"'), **dict.fromkeys(SINGLE_QUOTES, "'")})
    return Step("quotes", translating(table), table.keys())


def hyphens() -> Step:
    """Dashes and the minus sign become the ASCII hyphen."""
    table = str.maketrans(dict.fromkeys(DASHES, "-"))
    return Step("dashes", translating(table), table.keys())


def tidy_lines(text: str) -> str:
    """The text without white space at line ends and at either end, and with at most one blank line in a row."""
    text = "\n".join([line.rstrip() for line in text.split("\n")])
    if "\n\n\n" in text:
        text = BLANK_LINES.sub("\n\n", text)
    return text.strip()


def tidy_line_ends() -> Step:
    """`tidy_lines`; each character that goes counts."""

    def apply(text: str, _: str) -> tuple[str, int]:
        tidy = tidy_lines(text)
        return tidy, len(text) - len(tidy)

    return Step("tidy_line_ends", apply, on_untidy_lines=True)


def codes(characters: Iterable[str]) -> set[int]:
    """The code points."""
    return set(map(ord, characters))


def replacing(pattern: str | re.Pattern[str], replacement: str) -> Apply:
    """Each match becomes the replacement, and counts."""
    compiled = re.compile(pattern)
    return lambda text, _: compiled.subn(replacement, text)


def translating(table: dict[int, str]) -> Apply:
    """Each character that is in the table becomes what stands there, and counts."""
    compiled = re.compile(f"[{re.escape(''.join(map(chr, table)))}]")
    return lambda text, _: compiled.subn(lambda match: table[ord(match[0])], text)


def _make_valid(text: str, _: str) -> tuple[str, int]:
    return INVALID.subn(_valid, text)


def _valid(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 2:
        return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    return "" if found == "\0" else "\ufffd"
