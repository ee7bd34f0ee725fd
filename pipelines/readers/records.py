"""What every reader takes and gives: a stream of bytes and a context in, one item for each record out.

    read_xxx(stream, context)  ->  Record | Skipped | Quarantined, one for each record, in the file's order

A reader never stops at a bad record and never drops one silently, so records = documents + skipped + quarantined.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.spine.errors import CorpusmillError

if TYPE_CHECKING:
    from pipelines.readers.mediawiki.wikitext import WikitextSettings
    from pipelines.readers.web.main_text import HtmlSettings

#: How much of an unreadable record the quarantine keeps: enough to see what it was.
QUARANTINE_RAW_BYTES = 65536
#: A record of more than this is refused: no reader holds more of one record in memory.
MAX_RECORD_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What a reader knows of the file beside its bytes.

    Args:
        file_key: first 12 hex digits of the file's sha256; makes keys for records that have none.
        language: the source's declared language.
        wikitext: how MediaWiki markup is shown.
        html: how the main text of a page is found.
        columns: document field -> column, for tables; empty: every field under its own name, ``key`` under ``id``.
        options: what else the source tells its kind's reader (``pipelines.sources.OPTIONS``).
        part: which row groups or archive members ``[first, last)`` to read; None: all of them.
        begin: where in the file the stream begins, 0 unless a part of the file is read.
        head_bytes: how many bytes stand before that place in the stream, repeated from the file's beginning.
        packed: ``begin`` counts bytes of a compressed file, so that offsets count from there and not from the start.
        joins_lists: a list of texts in a table's text column is one text, a line each; otherwise it is refused.
    """

    file_key: str
    language: str
    wikitext: "WikitextSettings"
    html: "HtmlSettings"
    columns: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    part: tuple[int, int] | None = None
    begin: int = 0
    head_bytes: int = 0
    packed: bool = False
    joins_lists: bool = False

    def key_at(self, offset: int) -> str:
        """The key of a record without an id of its own: never a path, never a counter of arrival.

        Args:
            offset: of the record in the stream, bytes; of rows their number in the file.
        """
        return f"{self.file_key}:{offset + self.begin - self.head_bytes}"

    def byte_at(self, offset: int) -> str:
        """Where in the file the stream's byte lies: "byte 4567", of the uncompressed bytes."""
        offset -= self.head_bytes
        if offset < 0:  # in what is repeated from the file's beginning
            return f"byte {offset + self.head_bytes}"
        if self.packed and self.begin:
            return f"byte {offset} of the stream at compressed byte {self.begin}"
        return f"byte {self.begin + offset}"

    def line_at(self, number: int, offset: int) -> str:
        """Where a line lies: "line 7"; in a part of a file its lines' numbers are unknown, so "byte 4567"."""
        return self.byte_at(offset) if self.begin else f"line {number}"


@dataclass(frozen=True, slots=True)
class Record:
    """One document as a reader found it.

    Args:
        key: the record's own id (page id, WARC-Record-ID, mapped column), else ``ReadContext.key_at``.
        title: "" where there is none.
        text: Unicode without NUL and lone surrogates, not empty; nothing else is normalized here.
        url: where it was published.
        date: ISO 8601 as the source gives it, "" unknown.
        language: "" = the source's declared language.
        author: "" unknown; several names apart by ", ".
        revision: which version of the record it is, as the source names it, "" where it names none.
        counts: what is worth counting about it, outside the sum: tally -> name -> number,
            ``{"dropped_templates": {"navbox": 2}}``.
    """

    key: str
    title: str
    text: str
    url: str = ""
    date: str = ""
    language: str = ""
    author: str = ""
    revision: str = ""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is no document by rule.

    Args:
        reason: a slug: redirect, namespace, empty.
        locator: its title or where it lay, as in ``Quarantined``.
        detail: what a reader of the list wants to know: a redirect's target, an HTTP status.
    """

    reason: str
    locator: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that could not be read.

    Args:
        locator: where in the file, without any path: "line 7", "byte 4567" (of the uncompressed bytes), "row 3".
        reason: slug: invalid_utf8, malformed_json, missing_text, too_long, damaged, wrong_format, ...
        error: what exactly is wrong.
        raw: the record's first bytes; more than ``QUARANTINE_RAW_BYTES`` are cut off here.
    """

    locator: str
    reason: str
    error: str
    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) > QUARANTINE_RAW_BYTES:
            object.__setattr__(self, "raw", bytes(self.raw[:QUARANTINE_RAW_BYTES]))


class UnreadableError(Exception):
    """Why a record cannot be read, between the functions that look at one record; readers make a ``Quarantined`` of it.

    Args:
        reason: the slug of the quarantine.
        error: what exactly is wrong.
    """

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason = reason
        self.error = error


class WrongFormatError(CorpusmillError):
    """A file is not what its source's kind says: `extract` quarantines it and reads the others."""


Item = Record | Skipped | Quarantined
