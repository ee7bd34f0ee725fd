"""Payment cards and bank accounts: numbers with check digits, of the lengths and prefixes that are issued."""

import functools
import re
from collections.abc import Iterator

from stdnum import iban, luhn, numdb

from pipelines.cleaning.personal.blocks import WORD, Block, Found

#: (lowest prefix, highest prefix, lengths): American Express, Diners Club, JCB, Mir, Mastercard, Visa, Discover, UnionPay.
#: Maestro's 12 to 19 digits under many prefixes are left out: one random number in fifty would be taken for it.
ISSUERS = (
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14,)),
    ("36", "36", (14,)),
    ("38", "39", (14,)),
    ("3528", "3589", (16,)),
    ("2200", "2204", (16,)),
    ("2221", "2720", (16,)),
    ("51", "55", (16,)),
    ("4", "4", (16, 19)),
    ("6011", "6011", (16,)),
    ("644", "649", (16,)),
    ("65", "65", (16,)),
    ("62", "62", (16, 17, 18, 19)),
)
#: In one piece, by fours, or by 4-6-5 and 4-6-4; no part of a longer list of groups, of a path or of an amount.
CARD = re.compile(
    rf"(?<![{WORD}_./,=#&%$-])(?:"
    rf"[2-6][0-9]{{13,18}}"
    r"|(?<![0-9] )[2-6][0-9]{3}(?:([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?|([ -])[0-9]{6}\2[0-9]{4,5})(?! [0-9])"
    rf")(?![{WORD}_%])(?![.,-][0-9])"
)
IBAN = re.compile(
    rf"(?<![{WORD}])[A-Z]{{2}}[0-9]{{2}}"
    r"(?:[0-9A-Z]{11,30}|(?:[ -][0-9A-Z]{4}){2,7}(?:[ -][0-9A-Z]{1,3})?)"
    rf"(?![{WORD}])"
)
NO_DIGITS = re.compile("[^0-9]")


def find_cards(block: Block, spans: list[tuple[int, int]]) -> Iterator[Found]:
    """Card numbers in the spans of digits, ascending."""
    for begin, end in spans:
        for match in CARD.finditer(block.folded, begin, end + 2):
            if is_card_number(NO_DIGITS.sub("", match[0])):
                yield Found(match.start(), match.end(), "card_number")


def is_card_number(digits: str) -> bool:
    """Whether an issuer has the prefix at that length, and the last digit is right (Luhn)."""
    issued = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in ISSUERS)
    return issued and luhn.is_valid(digits)


def find_ibans(block: Block, places: list[int]) -> Iterator[Found]:
    """International bank account numbers (ISO 13616), whose first digit stands at one of the places; ascending."""
    for place in places:
        match = IBAN.match(block.folded, place - 2)
        if match is None:
            continue
        written = _cut(match[0], iban_length(match[0][:2]))
        if written and iban.is_valid(written):
            yield Found(match.start(), match.start() + len(written), "iban")


def _cut(written: str, length: int) -> str:
    """The groups that hold so many characters: a word in capitals after the number reads as one more group of it."""
    groups = re.split("([ -])", written)
    for end in range(1, len(groups) + 1, 2):
        if sum(map(len, groups[0:end:2])) == length:
            return "".join(groups[:end])
    return ""


@functools.cache
def iban_length(country: str) -> int:
    """How many characters the numbers of a country have, 0 where it has none."""
    _, facts = numdb.get("iban").info(country)[0]
    return 4 + sum(map(int, re.findall("([0-9]+)!", facts["bban"]))) if facts else 0
