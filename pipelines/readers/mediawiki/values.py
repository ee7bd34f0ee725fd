"""What a content template shows: pure functions (positional arguments, named arguments) -> text.

Each function renders one kind of template as a reader would see it, as far as that needs no other page. ``templates.py``
says which names use which function. Arguments arrive stripped; inner templates are already text.
"""

from collections.abc import Callable, Mapping, Sequence

from pipelines.readers.mediawiki.marks import MARK

Handler = Callable[[Sequence[str], Mapping[str, str]], str]

_SUPERSCRIPTS = str.maketrans("0123456789+-−–", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻")
_UNIT_SYMBOLS = {
    "km2": "km²", "m2": "m²", "cm2": "cm²", "mi2": "sq mi", "sqmi": "sq mi", "ft2": "sq ft", "sqft": "sq ft",
    "sqkm": "km²", "km3": "km³", "m3": "m³", "cm3": "cm³", "cuft": "cu ft", "cuin": "cu in", "cumi": "cu mi",
    "cuyd": "cu yd", "C": "°C", "F": "°F", "C-change": "°C", "F-change": "°F", "kg/m3": "kg/m³", "m3/s": "m³/s",
    "cuft/s": "cu ft/s", "/km2": "/km²", "PD/km2": "/km²", "/sqmi": "/sq mi", "PD/sqmi": "/sq mi", "lb-f": "lbf",
    "USgal": "US gal", "impgal": "imp gal", "e6km2": "million km²", "e6acre": "million acres", "uSv": "μSv",
    "um": "μm", "ug": "μg",
}  # fmt: skip
_RANGE_WORDS = {
    "to": " to ", "-": "–", "–": "–", "to-": "–", "to(-)": " to ", "and": " and ", "&": " & ", "or": " or ",
    "by": " by ", "x": " × ", "×": " × ", "xx": " × ", "*": " × ", "+/-": " ± ", "±": " ± ", "/": "/",
}  # fmt: skip


def first(args: Sequence[str], named: Mapping[str, str]) -> str:
    return args[0] if args else named.get("text", "")


def second(args: Sequence[str], named: Mapping[str, str]) -> str:
    return args[1] if len(args) > 1 else named.get("text", "")


def third(args: Sequence[str], named: Mapping[str, str]) -> str:
    return args[2] if len(args) > 2 else ""


def last(args: Sequence[str], named: Mapping[str, str]) -> str:
    return args[-1] if args else ""


def second_or_first(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{нп5|Target|shown text|de|Ziel}}``: the shown text, else the target."""
    return second(args, named) or first(args, named)


def label_or_first(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{ill|Target|de|Ziel|lt=shown text}}``: the label, else the target."""
    return named.get("lt") or named.get("label") or named.get("display") or first(args, named)


def third_or_second(args: Sequence[str], named: Mapping[str, str]) -> str:
    return third(args, named) or second(args, named)


def nothing(args: Sequence[str], named: Mapping[str, str]) -> str:
    """Shows nothing and leaves no hole: an anchor, a padding zero."""
    return ""


def dropped(args: Sequence[str], named: Mapping[str, str]) -> str:
    """What holds no running text and leaves the hole that a dropped template leaves: a citation, a navigation box."""
    return ""


def argument(key: str) -> Handler:
    """A handler that shows the named argument ``key``."""
    return lambda args, named: named.get(key, "")


def constant(text: str) -> Handler:
    return lambda args, named: text


def wrapped(before: str, after: str = "") -> Handler:
    """A handler that sets the first argument between two strings; empty stays empty."""
    return lambda args, named: f"{before}{args[0]}{after}" if args and args[0] else ""


def table_cell(text: str) -> Handler:
    """A handler that shows the first argument, else ``text``, behind a marker: there the cell's attributes end.

    Source: https://en.wikipedia.org/wiki/Template:Table_cell_templates
    """
    return lambda args, named: MARK + (first(args, named) or text)


def joined(separator: str) -> Handler:
    return lambda args, named: separator.join(arg for arg in args if arg)


def block(args: Sequence[str], named: Mapping[str, str]) -> str:
    """Running text or a list that stands on lines of its own."""
    return f"\n{first(args, named)}\n"


def second_block(args: Sequence[str], named: Mapping[str, str]) -> str:
    return f"\n{args[1] if len(args) > 1 else first(args, named)}\n"


def item_list(args: Sequence[str], named: Mapping[str, str]) -> str:
    return "\n" + "".join(f"* {arg}\n" for arg in args if arg)


_QUOTE_KEYS = ("text", "quote", "content", "zitat", "texte", "testo", "texto", "текст", "цитата", "nội dung", "内容")


def quotation(args: Sequence[str], named: Mapping[str, str]) -> str:
    """A block quotation, without its attribution."""
    text = args[0] if args and args[0] else next((named[key] for key in _QUOTE_KEYS if key in named), "")
    return f"\n\n{text}\n\n"


def superscript(text: str) -> str:
    """``-6`` -> ``⁻⁶``; anything but digits and signs stays as it is."""
    return text.translate(_SUPERSCRIPTS)


def is_number(text: str) -> bool:
    return text[:1].isdigit() or (text[:1] in "-−+.–" and text[1:2].isdigit())


def convert(args: Sequence[str], named: Mapping[str, str]) -> str:
    """The measurement as the author gave it, without the converted value.

    ``5|km|mi`` -> ``5 km``; ``5|to|10|km`` -> ``5 to 10 km``; ``5|ft|10|in|m`` -> ``5 ft 10 in``.
    Source: https://en.wikipedia.org/wiki/Template:Convert
    """
    if not args:
        return ""
    shown, position = args[0], 1
    while position + 1 < len(args) and args[position] in _RANGE_WORDS:
        shown += _RANGE_WORDS[args[position]] + args[position + 1]
        position += 2
    if position < len(args) and not is_number(args[position]):
        shown += _unit(args[position])
        # A second number after the unit continues a compound measure (feet and inches), unless it ends the arguments:
        # then it is the number of digits of the conversion.
        if position + 2 < len(args) and is_number(args[position + 1]) and not is_number(args[position + 2]):
            shown += f" {args[position + 1]}{_unit(args[position + 2])}"
    return shown


def _unit(code: str) -> str:
    symbol = _UNIT_SYMBOLS.get(code, code)
    return symbol if symbol[:1] in ("/", "") else f" {symbol}"


def value(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{val|1.5|0.2|e=6|u=kg}}`` -> ``1.5 ± 0.2×10⁶ kg``."""
    shown = args[0] if args else ""
    if len(args) > 1 and args[1]:
        shown += args[1] if args[1].startswith("(") else f" ± {args[1]}"
    if named.get("e"):
        shown += "×10" + superscript(named["e"])
    unit = named.get("u") or named.get("ul") or named.get("up")
    return f"{shown} {unit}" if unit and shown else shown


def number_and_unit(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{unité|307|km|2}}`` -> ``307 km²``."""
    shown, position = args[0] if args else "", 1
    while position < len(args):
        unit = args[position]
        power = args[position + 1] if position + 1 < len(args) and is_number(args[position + 1]) else ""
        if unit:
            shown += f" {unit}{superscript(power)}"
        position += 2 if power else 1
    return shown


def fraction(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``3`` -> ``1/3``; ``1|2`` -> ``1/2``; ``5|1|2`` -> ``5 1/2``."""
    if len(args) == 1:
        return f"1/{args[0]}"
    return "/".join(args) if len(args) < 3 else f"{args[0]} {args[1]}/{args[2]}"


def power_of_ten(args: Sequence[str], named: Mapping[str, str]) -> str:
    return "×10" + superscript(args[0]) if args else ""


def percentage(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``35140|590205|1`` -> ``6.0%``; what is not a number stays out."""
    try:
        part, whole = (float(arg.replace(",", "")) for arg in args[:2])
        digits = min(max(int(args[2]), 0), 9) if len(args) > 2 else 0
        return f"{100 * part / whole:.{digits}f}%"
    except (ValueError, ZeroDivisionError):
        return ""


def height(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{height|cm=186}}`` -> ``186 cm``; ``{{height|ft=6|in=1}}`` -> ``6 ft 1 in``."""
    return " ".join(f"{named[unit]} {unit}" for unit in ("m", "cm", "ft", "in") if named.get(unit))


def circa(args: Sequence[str], named: Mapping[str, str]) -> str:
    return "c. " + " – ".join(arg for arg in args[:2] if arg)


_SOUND_CODES = {
    "'": "ˈ", ",": "ˌ", "_": " ", "-": "", "us": "", "uk": "", "lang": "", "pron": "", "local": "", "ipa": "", "also": "",
}  # fmt: skip


def english_sounds(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{IPAc-en|æ|l|ˈ|b|iː}}`` -> ``/ælˈbiː/``."""
    sounds = (_SOUND_CODES.get(arg.lower(), arg) for arg in args if not arg.lower().endswith((".ogg", ".wav", ".mp3")))
    shown = "".join(sounds).strip()
    return f"/{shown}/" if shown else ""


def sounds(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{IPA|[a]}}`` -> ``[a]``; ``{{IPA|de|bɛʁˈliːn}}`` -> ``[bɛʁˈliːn]``."""
    shown = args[0] if args else ""
    code_first = len(args) > 1 and len(shown) < 8 and shown.replace("-", "").isascii() and shown.islower()
    if code_first and args[1] and args[1] not in ("lang", "pron", "-"):
        shown = f"[{args[1]}]"
    return shown


def bracketed_sounds(args: Sequence[str], named: Mapping[str, str]) -> str:
    shown = args[0] if args else ""
    return f"[{shown}]" if shown and shown[0] not in "[/" else shown


def spelled_sounds(args: Sequence[str], named: Mapping[str, str]) -> str:
    """A pronunciation spelled in letters, already in the form in which it is shown."""
    return first(args, named)


#: Handlers of pronunciations, which a setting leaves out.
PRONUNCIATIONS: frozenset[Handler] = frozenset((english_sounds, sounds, bracketed_sounds, spelled_sounds))


def nihongo(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``Aikido|合気道|Aikidō`` -> ``Aikido (合気道, Aikidō)``."""
    lead, rest = (args[0] if args else ""), ", ".join(arg for arg in args[1:4] if arg)
    return f"{lead} ({rest})" if lead and rest else lead or rest


def nihongo_romaji_first(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{nihongo3|Three|三|San}}`` -> ``San (三, Three)``."""
    english, kanji, romaji = (*args, "", "", "")[:3]
    return nihongo([romaji, kanji, english], named)


def with_reading(opening: str, closing: str, separator: str) -> Handler:
    """A handler for ``{{読み仮名|漢字|かんじ|{{lang-en-short|kanji}}}}`` -> ``漢字（かんじ、kanji）``."""

    def render(args: Sequence[str], named: Mapping[str, str]) -> str:
        reading = separator.join(arg for arg in args[1:3] if arg)
        return f"{args[0]}{opening}{reading}{closing}" if reading else first(args, named)

    return render


_CHINESE_KEYS = ("t", "s", "c", "p", "tp", "w", "j", "y", "cy", "poj", "hp", "l", "first")


def chinese(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{zh|c=哀牢|p=Āiláo}}`` -> ``哀牢; Āiláo``: the values in the order in which they were written."""
    shown = [text for key, text in named.items() if key in _CHINESE_KEYS[:-1] and text]
    return "; ".join(shown or [arg for arg in args if arg])


def key_press(args: Sequence[str], named: Mapping[str, str]) -> str:
    return "+".join(arg for arg in args if arg)


def ship(args: Sequence[str], named: Mapping[str, str]) -> str:
    """``{{ship|HMS|Victory|1765}}`` -> ``HMS Victory (1765)``."""
    prefix, name, identity = (*args, "", "", "")[:3]
    return f"{prefix} {name}".strip() + (f" ({identity})" if identity else "")


def prefixed_ship(prefix: str) -> Handler:
    return lambda args, named: ship([prefix, *args[:2]], named) if args else prefix


def ship_class(args: Sequence[str], named: Mapping[str, str]) -> str:
    return f"{args[0]}-class" + (f" {args[1]}" if len(args) > 1 else "") if args else ""


_ACCIDENTALS = {"flat": "♭", "b": "♭", "sharp": "♯", "#": "♯", "natural": "♮", "doublesharp": "𝄪", "doubleflat": "𝄫"}


def music(args: Sequence[str], named: Mapping[str, str]) -> str:
    return _ACCIDENTALS.get(args[0], args[0]) if args else ""
