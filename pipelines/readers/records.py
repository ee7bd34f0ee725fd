"""What every reader takes and gives: a stream of bytes and a context in, one item for each record out.

    read_xxx(stream, context)  ->  Record | Skipped | Quarantined, one for each record, in the file's order

A reader never stops at a bad record and never drops one silently, so records = documents + skipped + quarantined.
"""

from collections.abc import Mapping
from dataclasses import dataclass

#: How much of an unreadable record the quarantine keeps: enough to see what it was.
QUARANTINE_RAW_BYTES = 65536
#: A record of more than this is refused: no reader holds more of one record in memory.
MAX_RECORD_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What a reader knows of the file beside its bytes.

    Args:
        file_key: first 12 hex digits of the file's sha256; makes keys for records that have none.
        columns: document field -> column, for tables; empty: every field under its own name, ``key`` under ``id``.
        language: the source's declared language.
        split: plain text: ``line`` or ``file`` is one document; datasets: which split.
    """

    file_key: str
    columns: Mapping[str, str]
    language: str
    split: str

    def key_at(self, offset: int) -> str:
        """The key of a record without an id of its own: never a path, never a counter of arrival."""
        return f"{self.file_key}:{offset}"


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
    """

    key: str
    title: str
    text: str
    url: str = ""
    date: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is no document by rule; ``reason`` is a slug: redirect, namespace, empty."""

    reason: str


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


Item = Record | Skipped | Quarantined
