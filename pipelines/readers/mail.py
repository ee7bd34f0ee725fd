"""Mail and news groups: RFC 822 messages, one a file or many in an mbox.

    read_mail:  bytes  ->  Record | Skipped("no_text", "empty") | Quarantined, one a message

    Subject: =?utf-8?B?5paw6Ze7?=          title     decoded
    From: Ann Doe <ann@example.org>        author    the name alone, never an address
    Date: Mon, 5 Apr 1993 16:24:26 GMT     date      1993-04-05T16:24:26+00:00
    Message-ID: <1@example.org>            key       its hash: many ids hold the sender's address

    > what somebody else wrote             with ``quotes: drop`` such lines, the line that introduces them and what
    Text ...                               stands below "-- " are no part of the text; with ``keep`` they are

Copies of one message in several groups share its id, so they have the same key and the first one stays.
Each header is decoded alone: one that is broken is left empty, and loses neither the others nor the text.
"""

import email
import email.errors
import email.header
import email.policy
import email.utils
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import BinaryIO

from pipelines.readers.charset import UTF_8, check_encoding, decode, hinted
from pipelines.readers.plain import Line, LineBlock, split_lines
from pipelines.readers.records import Item, ReadContext, Record, Skipped, UnreadableError
from pipelines.readers.web.page import read_page
from pipelines.spine.errors import CorpusmillError

_MBOX = b"From "
#: "From ann@example.org Mon Apr  5 16:24:26 1993"; a sentence that begins with From has no such time.
_MBOX_LINE = re.compile(rb"From \S+.*\d\d:\d\d.*\b\d{4}\b")
_MBOX_QUOTED = re.compile(rb"^>(?=>*From )", re.MULTILINE)
_HEADERS = ("Subject", "From", "Date", "Message-ID")
_MAX_HEADER_CHARS = 10_000
#: What the email package raises over hostile messages, deep nesting and unknown encodings among them.
_MAIL_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    AssertionError,
    email.errors.MessageError,
)
_MAIN_TYPES = ("application", "audio", "font", "image", "message", "model", "multipart", "text", "video")
# Mail programs write these names and mean the encodings that hold them.
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "ks_c_5601-1987": "cp949", "euc-kr": "cp949"}
_UUENCODED = re.compile(r"^begin [0-7]{3,4} [^\n]+\n(?:[\x20-\x60]{1,62}\n)+(?:end$)?", re.MULTILINE)
# "Ann Doe writes:", maybe below "In article <1@x>," or "On 5 Apr 1993", in the languages of most mail programs.
_INTRODUCTION = re.compile(
    r"(?:\b(?:writes?|wrote|says|said|schrieb|écrit|escribió|scrisse|писала?)|写道)\s*[:：]\s*\Z"
)
_INTRODUCTION_BEGINS = ("in article", "in message", "on ", "am ", "le ", "el ", "il ", "在")
_MAX_INTRODUCTION_CHARS = 200
_MAX_BLANK_LINES = 3
_QUOTED = re.compile(r"[ \t]{0,2}(?:[A-Za-z]{0,3}>|\|)")


def read_mail(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    """One item a message; a file that begins with ``From `` is an mbox.

    Text parts are the text, one after another; of alternatives the plain one, else the HTML one's main text. Other parts
    are dropped and counted under ``dropped_parts``.

    Args:
        stream: the file's bytes, compressed or not.
        context: option ``quotes`` is ``keep`` or ``drop``; option ``encoding`` is that of messages that name none.
    Raises:
        CorpusmillError: a wrong option.
    """
    quotes = context.options.get("quotes", "")
    if quotes not in ("keep", "drop"):
        raise CorpusmillError("wrong option", where="options: quotes", expected="keep or drop", got=repr(quotes))
    return (_item(block, quotes == "drop", context) for block in _messages(split_lines(stream)))


def _messages(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines of each message as one, without the ``From `` line of an mbox."""
    block, is_mbox, after_blank = LineBlock(), False, True
    for line in lines:
        is_first = line.number == 1
        is_mbox = is_mbox or (is_first and line.data.startswith(_MBOX))
        if is_mbox and after_blank and (is_first or _MBOX_LINE.match(line.data)):
            if block:
                yield block.finish()
            block = LineBlock()
            continue
        block.add(line)
        after_blank = not line.data.strip()
    if block:
        yield block.finish()


def _item(block: Line, drops_quotes: bool, context: ReadContext) -> Item:
    try:
        if block.refused:
            raise UnreadableError(block.refused, block.error)
        message = _parsed(block.data)
        text, dropped = _text(message, context)
    except UnreadableError as error:
        return block.quarantined(error, context)
    if drops_quotes:
        text = _without_quotes(text)
    if not text.strip():
        reason = "empty" if text or not dropped else "no_text"
        return Skipped(reason, block.locator(context), ", ".join(sorted(dropped)))
    title, address, date, message_id = (_header(message, name, context).strip() for name in _HEADERS)
    return Record(
        key=hashlib.sha256(message_id.encode()).hexdigest()[:24] if message_id else context.key_at(block.offset),
        title=" ".join(title.split()),
        text=text.strip("\n"),
        date=_iso_date(date),
        author=_name(address),
        counts={"dropped_parts": dropped} if dropped else {},
    )


def _parsed(data: bytes) -> Message:
    """The message, headers undecoded.

    Raises:
        UnreadableError: malformed_mail, wrong_format.
    """
    try:
        message = email.message_from_bytes(_MBOX_QUOTED.sub(b"", data), policy=email.policy.compat32)
        known = any(message[name] for name in _HEADERS)
    except _MAIL_ERRORS as error:
        raise UnreadableError("malformed_mail", type(error).__name__) from None
    if not known:
        raise UnreadableError("wrong_format", f"expected a mail message, got none of {', '.join(_HEADERS)}")
    return message


def _text(message: Message, context: ReadContext) -> tuple[str, Mapping[str, int]]:
    """The text of its parts, and how many others there are by main type."""
    dropped: Counter[str] = Counter()
    texts, refusals = [], []
    try:
        for part in _leaves(message, dropped):
            if part.get_content_type() == "text/html":
                try:
                    texts.append(_page(part, context))
                except UnreadableError as error:
                    dropped["unreadable_html"] += 1
                    refusals.append(error)
            else:
                text, files = _UUENCODED.subn("", _body(part, context))
                dropped.update({"uuencoded": files} if files else {})
                texts.append(text)
    except _MAIL_ERRORS as error:
        raise UnreadableError("malformed_mail", type(error).__name__) from None
    if refusals and not any(texts):
        raise refusals[0]
    return "\n\n".join(text.strip("\n") for text in texts if text.strip()), dropped


def _leaves(part: Message, dropped: Counter[str]) -> Iterator[Message]:
    """The parts to read, in their order; of alternatives the plain one, else the last."""
    if part.get_content_disposition() == "attachment" or part.get_content_maintype() == "message":
        dropped[_main_type(part)] += 1
    elif part.is_multipart():
        parts = list(part.get_payload())
        if part.get_content_subtype() == "alternative":
            parts = [next((p for p in parts if p.get_content_type() == "text/plain"), parts[-1])]
        for child in parts:
            yield from _leaves(child, dropped)
    elif part.get_content_type() in ("text/plain", "text/html"):
        yield part
    else:
        dropped[_main_type(part)] += 1


def _main_type(part: Message) -> str:
    # Only known ones: anybody may write anything there, and it becomes a line of the ledger.
    return part.get_content_maintype() if part.get_content_maintype() in _MAIN_TYPES else "other"


def _page(part: Message, context: ReadContext) -> str:
    """The main text of an HTML part."""
    data = part.get_payload(decode=True)
    return read_page(data if isinstance(data, bytes) else b"", part.get_content_charset() or "", context.html).text


def _body(part: Message, context: ReadContext) -> str:
    """The text of a plain part, in the encoding that it names; in the source's where it names none or a wrong one.

    Raises:
        UnreadableError: its bytes are no text in any of them.
    """
    data = part.get_payload(decode=True)
    data = data if isinstance(data, bytes) else b""
    codecs = [_codec(part.get_content_charset() or ""), check_encoding(context.options.get("encoding") or UTF_8)]
    refusals = []
    for codec in filter(None, codecs):
        try:
            return decode(data, codec).replace("\r\n", "\n")
        except UnreadableError as error:
            refusals.append(error)
    raise hinted(refusals[0])


def _codec(charset: str) -> str:
    """Python's codec for what a message calls its encoding; "" for an unknown one, and for ASCII, which many say."""
    try:
        codec = check_encoding(_SUPERSETS.get(charset, charset))
    except CorpusmillError:
        return ""
    return "" if codec in ("us-ascii", "ascii") else codec


def _header(message: Message, name: str, context: ReadContext) -> str:
    """A header decoded; "" where there is none or it cannot be read: a bad date loses no message."""
    raw = next((str(value) for known, value in message.raw_items() if known.lower() == name.lower()), "")
    # What is not ASCII against the rules comes as surrogates of its bytes.
    given = raw[:_MAX_HEADER_CHARS].encode("ascii", "surrogateescape")
    try:
        value = decode(given, check_encoding(context.options.get("encoding") or UTF_8))
        words = email.header.decode_header(value)
        return "".join(word if isinstance(word, str) else _decoded_word(word, charset) for word, charset in words)
    except (*_MAIL_ERRORS, UnreadableError):
        return ""


def _decoded_word(word: bytes, charset: str | None) -> str:
    """One word of a header; what stands between encoded words the library escapes in its own way."""
    return decode(word, _codec(charset) or UTF_8) if charset else word.decode("raw-unicode-escape")


def _name(address: str) -> str:
    """Who wrote it, by name: of ``Ann <a@x>`` and ``a@x (Ann)`` "Ann"; "" where only an address is given."""
    try:
        name = " ".join(email.utils.parseaddr(address)[0].split())
    except _MAIL_ERRORS:
        return ""
    return "" if "@" in name else name


def _iso_date(text: str) -> str:
    try:
        return email.utils.parsedate_to_datetime(text).isoformat() if text else ""
    except (*_MAIL_ERRORS, OverflowError):
        return ""


def _without_quotes(text: str) -> str:
    """The text without quoted lines, the lines that introduce them, and the signature."""
    lines = text.split("\n")
    signature = next((index for index in reversed(range(len(lines))) if lines[index] in ("-- ", "--")), len(lines))
    kept: list[str] = []
    for line in lines[:signature]:
        if not _QUOTED.match(line):
            kept.append(line)
        elif kept:
            _drop_introduction(kept)
    return "\n".join(kept)


def _drop_introduction(lines: list[str]) -> None:
    """Drops the last line where it says who is quoted below, with the blank ones behind it and the one it goes on from."""
    near = range(len(lines) - 1, max(len(lines) - 1 - _MAX_BLANK_LINES, -1), -1)
    last = next((index for index in near if lines[index].strip()), -1)
    if last < 0 or len(lines[last]) > _MAX_INTRODUCTION_CHARS or not _INTRODUCTION.search(lines[last]):
        return
    goes_on = last and not lines[last].lower().startswith(_INTRODUCTION_BEGINS)
    first = last - 1 if goes_on and lines[last - 1].lower().startswith(_INTRODUCTION_BEGINS) else last
    del lines[first:]
