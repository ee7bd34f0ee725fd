"""Text of a corpus made harmless for a terminal."""

import unicodedata

_DIRECTING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def printable(text: str) -> str:
    """The text with a picture for each control character: what a corpus holds must not steer a terminal.

    >>> printable("a\\x1b[31m\\n")
    'a␛[31m\\n'
    """
    return "".join(char if char == "\n" or char.isprintable() else _picture(char) for char in text)


def _picture(char: str) -> str:
    if ord(char) < 0x20:
        return " " if char == "\t" else chr(0x2400 + ord(char))
    if char == "\x7f" or char in _DIRECTING or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
        return "\u2421" if char == "\x7f" else "\ufffd"
    return char  # other spaces, joiners, private characters: they stay on their line
