"""National identification numbers, by their check digits.

One number in ten passes a single check digit, so a number is taken only where more speaks for it: a form and checks
that no other number has (``alone``), the language of its document, or a word that names it shortly before it. Nothing
here asks for today's date.
"""

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

from stdnum import luhn
from stdnum.bg import egn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.cl import rut
from stdnum.cn import ric
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.jp import in_ as my_number
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.ro import cnp
from stdnum.ru import inn
from stdnum.th import pin
from stdnum.tr import tckimlik
from stdnum.ua import rntrc
from stdnum.us import ssn

from pipelines.cleaning.personal.blocks import WORD, Block, Found


@dataclass(frozen=True)
class Identity:
    """A kind of number.

    Args:
        valid: whether the check digits, dates and places in it are right.
        words: what names it, a regular expression; it stands in the `WORD_CHARS` before the number, in the same line.
        languages: of documents in which the number needs no such word.
        alone: whether it never needs one.
    """

    valid: Callable[[str], bool]
    words: str
    languages: frozenset[str] = frozenset()
    alone: bool = False

    def is_named(self, before: str) -> bool:
        """Whether the text before a number names this kind."""
        return bool(self.words) and bool(re.search(rf"(?<![A-Za-z])(?:{self.words})", before, re.I))


def _of(module: ModuleType, words: str, languages: str = "", alone: bool = False) -> Identity:
    return Identity(module.is_valid, words, frozenset(languages.split()), alone)


def is_swedish(number: str) -> bool:
    """A personnummer or samordningsnummer: month, day (60 more in the latter), and Luhn over the last ten digits."""
    digits = re.sub("[^0-9]", "", number)[-10:]
    day = int(digits[4:6]) % 60
    return _is_date(2000, int(digits[2:4]), day) and luhn.is_valid(digits)


def is_norwegian(number: str) -> bool:
    """A fødselsnummer: day, month and two check digits."""
    day, month = int(number[:2]) % 40, int(number[2:4]) % 40
    checks = fodselsnummer.calc_check_digit1(number) + fodselsnummer.calc_check_digit2(number)
    return _is_date(2000, month, day) and number[-2:] == checks


def is_chinese(number: str) -> bool:
    """A resident id as it was typed: the check digit may be wrong, or not yet there (15 digits, until 1999)."""
    year, rest = (int(number[6:10]), number[10:14]) if len(number) == 18 else (1900 + int(number[6:8]), number[8:12])
    return 1880 <= year < 2100 and _is_date(year, int(rest[:2]), int(rest[2:]))


def is_taiwanese(number: str) -> bool:
    """A letter for the place, 1 or 2 for the sex, and a weighted sum that ten divides."""
    place = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    digits = [place // 10, place % 10, *map(int, number[1:])]
    weights = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=True)) % 10 == 0


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True


CHINESE = Identity(is_chinese, "身[份分][证證]|公民身[份分]|id card")
SSN = _of(ssn, "social security|ssn")
ELEVEN_DIGITS = (
    _of(cpf, "cpf", "pt"),
    _of(pesel, "pesel", "pl"),
    _of(tckimlik, r"t\.?\s?c\.? kimlik|kimlik no|tckn", "tr"),
    Identity(is_norwegian, "fødselsnummer|fødselsnr|personnummer", frozenset({"no", "nb", "nn"})),
    _of(amka, "αμκα|α.μ.κ.α", "el"),
    _of(oib, "oib", "hr"),
    _of(idnr, "steuer-?id|steuerliche identifikationsnummer|identifikationsnummer|idnr"),
)
TEN_DIGITS = (
    _of(egn, "егн", "bg"),
    _of(rntrc, "рнокпп|іпн|інн|ідентифікаційн\\w+ (?:код|номер)"),
    Identity(is_swedish, "person-?n(?:umme)?r", frozenset({"sv"})),
)
#: (what the number looks like in folded text, the kinds of number that look so).
FORMS: tuple[tuple[str, tuple[Identity, ...]], ...] = (
    ("[1-9][0-9]{16}[0-9Xx]", (_of(ric, "", alone=True), CHINESE)),
    ("[1-9][0-9]{14}", (CHINESE,)),
    ("[0-9]{11}", ELEVEN_DIGITS),
    ("[0-9]{10}", TEN_DIGITS),
    (r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", (_of(cpf, "", alone=True),)),
    ("[0-9]{6}-[0-9]{7}", (_of(rrn, "주민|resident registration", "ko"),)),
    ("[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Y]", (_of(hetu, "henkilötunnus|hetu", "fi"),)),
    ("(?:19|20)?[0-9]{6}[-+][0-9]{4}", (Identity(is_swedish, "person-?n(?:umme)?r", frozenset({"sv"})),)),
    ("[0-9]{6}/[0-9]{3,4}", (_of(rc, "rodné číslo|rč", "cs sk"),)),
    ("[12][0-9]{12}(?:[0-9]{2})|[12] [0-9]{2} [0-9]{2} [0-9]{2} [0-9]{3} [0-9]{3} [0-9]{2}",
     (_of(nir, "sécurité sociale|insee|nir", "fr"),)),
    ("[1-9][0-9]{12}", (_of(cnp, "cnp|cod numeric personal", "ro"), _of(pin, "เลขประจำตัว|บัตรประชาชน"))),
    ("[1-8]-[0-9]{4}-[0-9]{5}-[0-9]{2}-[0-9]", (_of(pin, "เลขประจำตัว|บัตรประชาชน", "th"),)),
    ("[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}",
     (_of(aadhaar, "aadhaar|आधार|uidai"), _of(my_number, "マイナンバー|個人番号|my number"))),
    ("[0-9]{12}", (_of(inn, "инн"),)),
    ("[0-9]{9}", (_of(bsn, "bsn|burgerservicenummer|sofinummer"), SSN)),
    ("[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{3} [0-9]{2} [0-9]{4}", (SSN,)),
    ("[0-9]{3}[ -][0-9]{3}[ -][0-9]{3}", (_of(sin, "social insurance|sin|numéro d'assurance sociale|nas"),)),
    (r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9K]", (_of(rut, r"rut|r\.u\.t\.|run"),)),
    ("[0-9]{8}-?[A-Z]", (_of(dni, r"d\.?n\.?i\.?|nif|documento nacional", "es ca gl eu"),)),
    ("[XYZ]-?[0-9]{7}-?[A-Z]", (_of(nie, r"n\.?i\.?e\.?", "es ca gl eu"),)),
    ("[A-Z][12][0-9]{8}", (Identity(is_taiwanese, "身[分份]證|統一編號|身份证|national id"),)),
)  # fmt: skip


def _bounded(form: str) -> str:
    """The form where it is no part of a longer number, of a path or an amount; one with spaces, of no list of numbers."""
    first, last = ("(?<![0-9] )", "(?! [0-9])") if " " in form else ("", "")
    return rf"(?<![{WORD}_./,=#&%+-]){first}(?:{form})(?![{WORD}_%])(?![.,/-][0-9]){last}"


COMPILED = tuple((re.compile(_bounded(form)), identities) for form, identities in FORMS)
#: One look tells most spans of digits apart from all forms.
ANY_FORM = re.compile("|".join(_bounded(form) for form, _ in FORMS))
#: Six letters, a date and a place of birth; the letters' vowels and consonants are of a name.
ITALIAN = re.compile(rf"(?<![{WORD}_])[A-Z]{{6}}[0-9]{{2}}[A-EHLMPRST][0-9]{{2}}[A-Z][0-9]{{3}}[A-Z](?![{WORD}_])")
MEXICAN = re.compile(rf"(?<![{WORD}_])[A-Z]{{4}}[0-9]{{6}}[HM][A-Z]{{5}}[0-9A-Z][0-9](?![{WORD}_])")
#: What a number is called that is no person's, where it stands right before it.
OTHER_NUMBERS = re.compile(
    r"(?:isbn|issn|doi|ean|upc|oclc|lccn|pmid|arxiv|asin|gtin|imei|imo|isin)\W{0,4}(?:1[03]\W{1,3})?$", re.I
)
WORD_CHARS = 40
#: Letters may stand before the first digit of a form.
MAX_LETTERS = 3


def find_identities(block: Block, spans: list[tuple[int, int]], places: list[int]) -> Iterator[Found]:
    """National identification numbers: in the spans of digits, then those whose digits follow letters at the places."""
    for begin, end in spans:
        first, last = max(0, begin - MAX_LETTERS), end + MAX_LETTERS
        if not ANY_FORM.search(block.folded, first, last):
            continue
        for form, identities in COMPILED:
            for match in form.finditer(block.folded, first, last):
                if _is_one(block, match, identities):
                    yield Found(match.start(), match.end(), "national_id")
    for place in places:
        for form, letters, valid in ((ITALIAN, 6, codicefiscale.is_valid), (MEXICAN, 4, curp.is_valid)):
            coded = form.match(block.folded, place - letters) if place >= letters else None
            if coded and valid(coded[0]):
                yield Found(coded.start(), coded.end(), "national_id")


def _is_one(block: Block, match: re.Match[str], identities: tuple[Identity, ...]) -> bool:
    number = match[0].upper()
    before = block.before(match.start(), WORD_CHARS)
    if OTHER_NUMBERS.search(before):
        return False
    language = block.language_at(match.start())
    return any(
        (kind.alone or language in kind.languages or kind.is_named(before)) and kind.valid(number)
        for kind in identities
    )
