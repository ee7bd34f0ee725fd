"""Phone numbers: international ones, those that a word announces, and those written as only phone numbers are.

    +44 20 7946 0958, 0044 20 ...   anywhere, where the numbering plan of that country has such a number
    Tel: 010-6234 5678              after a word such as Tel, fax, 电话 or тел; the country goes by the language
    (617) 555-0123, 617-555-0123    North American, where the plan has that area code

The plans are those of Google's libphonenumber (the package ``phonenumbers``).
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence

import phonenumbers

from pipelines.cleaning.personal.blocks import WORD, Block, Found

#: What announces a number, in lower case. Latin words begin where no letter stands before them: "hotel 12345678" is none.
WORDS = (
    r"tele?(?:phon[eo]|fon[eo]?|fax)?s?|phones?|ph|fax|mobile|mob|cell|cell-?phone|hotline|voice|pager|whatsapp|call|dial|"
    r"t[ée]l[ée]?(?:phone|copie)?|m[óo]vil|tel[ée]fono|celular|telem[óo]vel|cellulare|handy|mobil|fon|telepon|"
    r"điện thoại|đt|sđt|di động|тел|телефон[ауиі]?|факс|моб|мобильный|мобільний"
)
UNSPACED_WORDS = (
    "电话|電話|客服|手机|手機|传真|傳真|热线|熱線|致电|致電|拨打|撥打|联系方式|携帯|ファックス|ファクス|전화|휴대폰|휴대전화|팩스|연락처|"
    "โทร|फ़ोन|फोन|मोबाइल|दूरध्वनी|هاتف|جوال"
)
#: What may stand between the word and the number.
GLUE = (
    r"[\s.:#()（）\[\]：、,，/|*=-]++|号码|號碼|番号|번호|numbers?|n[uú]mero|номер|nr?o?|is|at|me|us|on|for|work|home|office|"
    r"day|evenings?|h|w|o|为|為|是|số"
)
ANNOUNCED = re.compile(rf"(?:(?<![^\W\d_])(?:{WORDS})|{UNSPACED_WORDS})(?P<glue>(?:{GLUE}){{0,8}}+)$")
ANNOUNCED_CHARS = 40
#: What stands between two numbers of a list that was announced.
LIST_JOIN = re.compile(r"[ ,;/、，；\xa0]{1,3}(?:(?:and|or|和|或|及)[ \xa0(（]?)?|和|或|及")
#: Area code and exchange begin with 2 to 9; no part of a longer number.
NORTH_AMERICAN = re.compile(
    rf"(?<![{WORD}_.,/=+-])(?<![0-9] )(?:1[ .-])?"
    r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}([-.]))[2-9][0-9]{2}(?:-|\1)[0-9]{4}"
    rf"(?![{WORD}_]|[-./,][0-9])"
)
GROUP = re.compile("[0-9]+")
COLON = re.compile("[:：]")
INTERNATIONAL = re.compile(r"00[ .-]?[1-9][0-9]{0,2}[ .()/-]")
DATE = re.compile(
    r"(?:1[89]|20)[0-9]{2}[-./][0-9]{1,2}[-./][0-9]{1,2}|[0-9]{1,2}[-./][0-9]{1,2}[-./](?:1[89]|20)[0-9]{2}"
)
MIN_DIGITS = 7
MIN_INTERNATIONAL_DIGITS = 8
MAX_DIGITS = 15  # ITU-T E.164, the country's code included
MAX_GROUPS = 9


def find_phones(
    block: Block, spans: Sequence[tuple[int, int]], regions: Mapping[str, Sequence[str]]
) -> Iterator[Found]:
    """Phone numbers in the spans of digits, ascending for each way of writing.

    Args:
        regions: the part of a language code before the hyphen -> two-letter codes of the countries whose own notation is
            read in its documents; languages that are not named have those of ``default``.
    """
    last = -1  # where the announced or international number before ends
    for begin, end in spans:
        for match in NORTH_AMERICAN.finditer(block.folded, max(0, begin - 1), end + 2):
            if _is_valid(match[0], "US"):
                yield Found(match.start(), match.end(), "phone")
        while end - begin >= MIN_DIGITS:
            international = _is_international(block.folded, begin)
            stop = _end_of_number(block, begin, end, regions, international, _continues(block.original, last, begin))
            if not stop:
                break
            yield Found(_opening(block.folded, begin, international), stop, "phone")
            group = GROUP.search(block.folded, stop, end)
            last, begin = stop, group.start() if group else end


def _end_of_number(
    block: Block, begin: int, end: int, regions: Mapping[str, Sequence[str]], international: bool, continues: bool
) -> int:
    """Where the number that begins here ends, 0 where none does."""
    opening = _opening(block.folded, begin, international)
    announced = ANNOUNCED.search(block.before(opening, ANNOUNCED_CHARS).lower())
    if international:  # one of a plan that has changed since is believed where it is announced
        return _longest(block.folded, begin, end, (None,)) or (_whole(block.folded, begin, end) if announced else 0)
    if not announced and not continues:
        return 0
    stop = _longest(block.folded, begin, end, regions.get(block.language_at(begin), regions["default"]))
    if not stop and (continues or (announced and COLON.search(announced["glue"]))):
        return _whole(block.folded, begin, end)
    return stop


def _is_international(folded: str, begin: int) -> bool:
    """Whether "+" stands before the digits, or they begin with 00, a country's code and a separator."""
    before = folded[max(0, begin - 3) : begin].rstrip(" (")
    if before.endswith("+"):
        return not re.search(rf"[{WORD})+]\+$", folded[max(0, begin - 4) : begin].rstrip(" ("))
    return bool(INTERNATIONAL.match(folded, begin)) and not re.search(rf"[{WORD}_./,=#-]$", folded[begin - 1 : begin])


def _longest(folded: str, begin: int, end: int, regions: Sequence[str | None]) -> int:
    """Where the longest run of groups of digits ends that is a number of a region, 0 where none is."""
    international = None in regions
    for stop in reversed(_stops(folded, begin, end, MIN_INTERNATIONAL_DIGITS if international else MIN_DIGITS)):
        number = folded[begin:stop]
        if international:
            number = "+" + number.removeprefix("00")
        if any(_is_valid(number, region) for region in regions):
            return stop
    return 0


def _whole(folded: str, begin: int, end: int) -> int:
    """Where the digits end, if they are as many as a number without its area may have, and no date; else 0."""
    stops = _stops(folded, begin, end, MIN_DIGITS)
    if not stops or stops[-1] != end or DATE.match(folded, begin):
        return 0
    return end if sum(map(str.isdigit, folded[begin:end])) <= 12 else 0


def _stops(folded: str, begin: int, end: int, min_digits: int) -> list[int]:
    """Where the groups of digits end that complete a number of a possible length; a letter must not follow it."""
    stops, digits = [], 0
    for number, group in enumerate(GROUP.finditer(folded, begin, end)):
        digits += group.end() - group.start()
        if digits > MAX_DIGITS or number >= MAX_GROUPS:
            break
        if digits >= min_digits and not re.match(rf"[{WORD}_]", folded[group.end() : group.end() + 1]):
            stops.append(group.end())
    return stops


def _continues(text: str, last: int, begin: int) -> bool:
    return 0 <= last <= begin <= last + 8 and bool(LIST_JOIN.fullmatch(text, last, begin))


def _opening(folded: str, begin: int, international: bool) -> int:
    """Where the number begins: with the "+" and the bracket before its first digit."""
    opening = begin
    for sign in "(+(" if international else "(":
        closed = sign == "+" or ")" in folded[begin : begin + 6]
        before = folded[max(0, opening - 2) : opening].rstrip(" ") if sign == "+" else folded[opening - 1 : opening]
        if closed and before.endswith(sign):
            opening = folded.rindex(sign, 0, opening)
    return opening


@functools.lru_cache(maxsize=1 << 12)
def _is_valid(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
