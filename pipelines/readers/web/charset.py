"""The bytes of a web page as text, whatever the server or the page claims.

Other text files must be what they say (``pipelines.readers.charset``); the web is too often not. Here the order is:
a byte order mark or the shape of UTF-16, UTF-8 when the bytes are that, what the server says, what the page says,
what the bytes look like. What is left over is decoded with U+FFFD for what does not fit.
"""

import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

#: "<" in two bytes tells UTF-16 without a mark from any other encoding.
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
# Pages that declare these are written with their supersets, which are also what browsers use.
_SUPERSETS = {"gbk": "gb18030", "gb2312": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs"}
_OTHER_NAMES = {
    "cp949": "cp949", "ms949": "cp949", "uhc": "cp949", "cp932": "cp932", "ms932": "cp932", "cp936": "gb18030",
    "cp950": "big5hkscs", "win-1251": "cp1251", "win1251": "cp1251", "windows1251": "cp1251",
}  # fmt: skip
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
#: Western text has single letters with accents; another alphabet read as Western has whole words of them.
_WORD_BYTES = 4
_ISO_2022_JP = (b"\x1b$B", b"\x1b$@")


def decode_page(raw: bytes, charset: str) -> str:
    """The page as text; never fails.

    UTF-8 comes before what is declared: bytes that are valid UTF-8 by chance are far rarer than wrong declarations.
    Latin-1 is what servers say when nobody told them, so it is believed only of bytes that look Western.

    Args:
        raw: the page's bytes.
        charset: what the server says, "" for nothing.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    if any(escape in raw for escape in _ISO_2022_JP):  # ASCII bytes alone, so it would pass for UTF-8
        return raw.decode("iso2022_jp", "replace")
    names = [_codec(name) for name in (charset, detect_encoding(raw, from_html_meta=True)) if name]
    names = ["utf-8", *names, _codec(detect_encoding(raw) or "")]
    for name in names:
        if name == "cp1252" and not _is_western(raw):
            continue
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            if name == "utf-8" and _is_nearly_utf8(raw):
                return raw.decode(name, "replace")
    if _is_korean(raw):  # the detector does not know EUC-KR
        return raw.decode("cp949")
    return raw.decode(next((name for name in names[1:] if name != "utf-8"), "utf-8"), "replace")


def _codec(name: str) -> str:
    """Python's codec for an encoding's name on the web; UTF-8 for an unknown one."""
    name = name.strip().lower()
    known = _OTHER_NAMES.get(name) or map_encoding_to_html5(name) or "utf-8"
    return _SUPERSETS.get(known, known)


def _is_western(raw: bytes) -> bool:
    runs = [len(run) for run in _HIGH_RUN.findall(raw)]
    return 2 * sum(length for length in runs if length >= _WORD_BYTES) <= sum(runs)


def _is_nearly_utf8(raw: bytes) -> bool:
    """Whether at most one in twenty characters beyond ASCII is broken: a page cut off, or one bad byte."""
    text = raw.decode("utf-8", "replace")
    return 20 * text.count("\ufffd") < sum(character > "\x7f" for character in text)


def _is_korean(raw: bytes) -> bool:
    try:
        letters = [character for character in raw.decode("cp949") if character > "\x7f"]
    except UnicodeDecodeError:
        return False
    return 2 * sum("가" <= letter <= "힣" for letter in letters) > len(letters)
