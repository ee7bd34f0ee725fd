"""Which encoding a text file is in, and its bytes as text.

A byte order mark decides; without one the source's option ``encoding``; without that the text is UTF-8. Nothing is
guessed: a wrong guess makes wrong text that nobody notices, a refused record is seen.
"""

from dataclasses import dataclass

from pipelines.readers.records import ReadContext, UnreadableError
from pipelines.spine.errors import CorpusmillError

UTF_8 = "utf-8"
#: UTF-32 before UTF-16, whose mark its own begins with.
_MARKS = (
    (b"\xef\xbb\xbf", UTF_8),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
#: Codecs that write a mark or choose by machine; without a mark the order of bytes is that of Windows files.
_MARKLESS = {"utf-8-sig": UTF_8, "utf-16": "utf-16-le", "utf-32": "utf-32-le"}

ENCODING_HINT = "; if the file is not UTF-8, name its encoding: options: {encoding: ...}"


@dataclass(frozen=True, slots=True)
class Charset:
    """The encoding of a file.

    Args:
        codec: Python's name for it.
        mark_bytes: how many bytes of a byte order mark stand before the text.
        newline: a line feed in it: one, two or four bytes.
    """

    codec: str
    mark_bytes: int
    newline: bytes


def charset_of(head: bytes, context: ReadContext) -> Charset:
    """The encoding of a file that begins so; in a part of a file no mark is looked for.

    Raises:
        CorpusmillError: the option ``encoding`` names no text encoding.
    """
    codec = check_encoding(context.options.get("encoding") or UTF_8)
    mark = b""
    if not context.begin:
        mark, codec = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", codec))
    return Charset(codec, len(mark), "\n".encode(codec))


def check_encoding(name: str) -> str:
    """The codec of that name, which reads bytes that have no byte order mark.

    Raises:
        CorpusmillError: Python knows no such text encoding.
    """
    # Python 3.11 spells most names with underscores and these with hyphens.
    codec = name.strip().lower().replace("_", "-")
    codec = _MARKLESS.get(codec, codec)
    try:
        "\n".encode(codec)
    except (LookupError, ValueError):
        raise CorpusmillError(
            "no text encoding is called so", where="options: encoding", got=repr(name),
            expected="a codec of Python's, such as gb18030, big5, cp1252, shift_jis, koi8-r",
        ) from None  # fmt: skip
    return codec


def decode(data: bytes, codec: str = UTF_8) -> str:
    """The text of a record's bytes, without NUL and lone surrogates.

    Raises:
        UnreadableError: ``invalid_utf8``, ``invalid_encoding``, ``nul`` or ``lone_surrogate``, with the place in the record.
    """
    try:
        text = data.decode(codec)
        if codec != UTF_8:
            text.encode(UTF_8)
    except UnicodeDecodeError as error:
        reason = "invalid_utf8" if codec == UTF_8 else "invalid_encoding"
        named = "" if codec == UTF_8 else f" in {codec}"
        raise UnreadableError(reason, f"byte {error.start} of the record: {error.reason}{named}") from None
    except UnicodeEncodeError as error:
        raise UnreadableError("lone_surrogate", f"half a character at {error.start} of the record") from None
    except UnicodeError as error:  # codecs written in Python, such as punycode, do not say where
        raise UnreadableError("invalid_encoding", f"{error} in {codec}") from None
    if "\0" in text:
        raise UnreadableError("nul", f"a NUL stands at character {text.index(chr(0))} of the record")
    return text


def hinted(error: UnreadableError) -> UnreadableError:
    """The error with what to do about it, where the bytes are a file's own and not those of a format that is UTF-8."""
    return UnreadableError(error.reason, error.error + (ENCODING_HINT if error.reason == "invalid_utf8" else ""))
