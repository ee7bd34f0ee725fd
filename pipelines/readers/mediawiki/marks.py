"""Control characters that carry meaning between the passes of ``wikitext.py``.

XML cannot hold U+0000-U+0008 or U+000E-U+001F, so text from a dump never does, and the passes may use them:
``MARK`` stands where something was dropped; the others hide one punctuation character each, so that literal text
(``<nowiki>a[[1]]</nowiki>``, ``&lt;``) goes through every later pass untouched.
"""

import re

MARK = "\x02"
_VISIBLE = "[]{}|'<>=*#:;!-_&\n() \t"
_HIDDEN = "\x00\x01\x03\x04\x05\x06\x07\x08\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b"
_TO_HIDDEN = str.maketrans(_VISIBLE, _HIDDEN)
_TO_VISIBLE = dict(zip(_HIDDEN, _VISIBLE, strict=True))
_any_hidden = re.compile("[\x00\x01\x03-\x08\x0e-\x1b]")


def hide(text: str) -> str:
    """``text`` with its markup characters replaced by control characters, so that no pass acts on them."""
    return text.translate(_TO_HIDDEN)


def reveal(text: str) -> str:
    """``text`` with every hidden character back: ``reveal(hide(text)) == text``."""
    return _any_hidden.sub(lambda match: _TO_VISIBLE[match.group()], text)


def is_hidden(char: str) -> bool:
    """Whether ``char`` is one that ``reveal`` must turn back."""
    return char in _TO_VISIBLE
