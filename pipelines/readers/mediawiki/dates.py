"""Dates and ages as templates show them. What is relative to today is told as of the revision: today never enters."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pipelines.readers.mediawiki.values import Handler

MONTHS_EN = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
MONTHS_UK = (
    "січня", "лютого", "березня", "квітня", "травня", "червня",
    "липня", "серпня", "вересня", "жовтня", "листопада", "грудня",
)  # fmt: skip
MONTHS_RU = (
    "января", "февраля", "марта", "апреля", "мая", "июня",
    "июля", "августа", "сентября", "октября", "ноября", "декабря",
)  # fmt: skip
_WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Page(NamedTuple):
    """What a template may know of the page: its title, and when the revision was written (ISO 8601; "" unknown)."""

    title: str
    timestamp: str


PageHandler = Callable[[Sequence[str], Mapping[str, str], Page], str]


def iso_date(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``2003|6|26`` -> ``2003-06-26``; what is written in words stays as it is."""
    parts = [arg for arg in args[:3] if arg]
    if all(part.isdigit() for part in parts):
        return "-".join(part.zfill(2) for part in parts)
    return parts[0] if parts else ""


def english_date(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``2003|6|26`` -> ``June 26, 2003``; with ``df=y`` ``26 June 2003``; what is written in words stays as it is."""
    month = args[1] if len(args) > 1 else ""
    if not args or not args[0].isdigit() or not _is_month(month):
        return iso_date(args, named)
    day = args[2].lstrip("0") if len(args) > 2 and args[2].isdigit() else ""
    month = MONTHS_EN[int(month) - 1]
    if named.get("df", "")[:1] in ("y", "1") and day:
        return f"{day} {month} {args[0]}"
    return f"{month} {day}, {args[0]}" if day else f"{month} {args[0]}"


def dated(pattern: str) -> Handler:
    """A handler for year, month and day, where all three are given: ``dated("{}年{}月{}日")``."""

    def date(args: Sequence[str], named: Mapping[str, str]) -> str:
        if len(args) < 3 or not all(arg.isdecimal() for arg in args[:3]):
            return iso_date(args, named)
        return pattern.format(*(int(arg[:9]) for arg in args[:3]))

    return date


def day_month_year(months: Sequence[str], day_first: bool, suffix: str = "") -> Handler:
    """A handler for dates in numbers, with the month's name in the language of ``months`` (January first)."""

    def date(args: Sequence[str], named: Mapping[str, str]) -> str:
        day, month, year = (*(args if day_first else reversed(args[:3])), "", "", "")[:3] if args else ("",) * 3
        if _is_month(month):
            month = months[int(month) - 1]
        return " ".join(part for part in (day.lstrip("0"), month, year) if part) + (suffix if year else "")

    return date


def _is_month(text: str) -> bool:
    return text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= 12


def old_style_date(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``February 2|1905|January 20`` -> ``February 2 [O.S. January 20] 1905``."""
    new, year, old = (*args, "", "", "")[:3]
    return f"{new} [O.S. {old}] {year}".strip() if old else f"{new} {year}".strip()


def as_of(phrase: str, date: Handler = iso_date) -> Handler:
    """A handler for ``{{as of|2014|5|lc=y}}``: ``phrase`` and the date."""

    def render(args: Sequence[str], named: Mapping[str, str]) -> str:
        if named.get("alt"):
            return named["alt"]
        shown = date(args, named)
        lead = "since" if named.get("since") and phrase else phrase
        if lead and not named.get("lc"):
            lead = lead[0].upper() + lead[1:]
        return f"{lead} {shown}".strip() if shown else ""

    return render


def age(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
    """Whole years from a date to a second date or to the revision: ``1950|5|20|2016|1|1`` -> ``65``."""
    return _years(args[:3], list(args[3:6]) or page.timestamp[:10].split("-"))


def _years(begin: Sequence[str], end: Sequence[str]) -> str:
    try:
        begin_day, end_day = tuple(map(int, begin)), tuple(map(int, end))
    except ValueError:
        return ""
    # Only the parts that both have are compared: 1950 to 2016-04-22 are 66 years.
    shared = min(len(begin_day), len(end_day))
    if not shared:
        return ""
    return str(end_day[0] - begin_day[0] - (end_day[1:shared] < begin_day[1:shared]))


def date_and_age(date: Handler, pattern: str) -> PageHandler:
    """A handler for ``{{birth date and age|1950|5|20}}`` -> ``May 20, 1950 (age 65)``; ``pattern`` shows the age."""

    def render(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
        years = age(args[:3], named, page)
        return date(args, named) + (pattern.format(years) if years else "")

    return render


def death_date_and_age(date: Handler, pattern: str) -> PageHandler:
    """A handler for ``{{death date and age|2000|5|20|1950|5|21}}`` -> ``May 20, 2000 (aged 49)``."""

    def render(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
        years = _years(args[3:6], args[:3])
        return date(args[:3], named) + (pattern.format(years) if years else "")

    return render


def years_since(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
    """``{{years ago|1950}}`` -> the whole years up to the revision."""
    return _years(args[:1], [page.timestamp[:4]])


def current(pattern: str) -> PageHandler:
    """A handler for ``{{CURRENTYEAR}}`` and its like: the revision's time by ``pattern`` (of ``format_time``)."""
    return lambda args, named, page: format_time(pattern, page.timestamp)


def time_function(pattern: str, args: Sequence[str], page: Page) -> str:
    """``{{#time:j F Y|2003-06-26}}`` -> ``26 June 2003``; without a date the revision's."""
    return format_time(pattern, args[0] if args and args[0] not in ("", "now") else page.timestamp)


def format_time(pattern: str, when: str) -> str:
    """``when`` (ISO 8601) by the letters of ``#time``; "" where it is no such date, or a letter has no English rule.

    Source: https://www.mediawiki.org/wiki/Help:Extension:ParserFunctions##time
    """
    try:
        time = datetime.datetime.fromisoformat(when.replace("Z", "+00:00"))
    except ValueError:
        return ""
    letters = {
        "Y": f"{time.year}", "y": f"{time.year % 100:02}", "n": f"{time.month}", "m": f"{time.month:02}",
        "F": MONTHS_EN[time.month - 1], "M": MONTHS_EN[time.month - 1][:3], "j": f"{time.day}", "d": f"{time.day:02}",
        "l": _WEEKDAYS_EN[time.weekday()], "D": _WEEKDAYS_EN[time.weekday()][:3], "N": f"{time.isoweekday()}",
        "H": f"{time.hour:02}", "G": f"{time.hour}", "i": f"{time.minute:02}", "s": f"{time.second:02}",
        "z": f"{time.timetuple().tm_yday - 1}", "c": time.isoformat(),
    }  # fmt: skip
    out: list[str] = []
    quoted = False
    for char in pattern:
        if char == '"':
            quoted = not quoted
        elif quoted or not (char.isascii() and char.isalpha()):
            out.append(char)
        elif char in letters:
            out.append(letters[char])
        else:
            return ""
    return "".join(out)
