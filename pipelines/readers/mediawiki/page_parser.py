"""The pages of a MediaWiki XML export as expat meets them, up to the first thing that cannot be part of one.

Text is gathered only inside the few elements that are wanted: the handler for characters is attached there alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

from pipelines.readers.records import MAX_RECORD_BYTES, QUARANTINE_RAW_BYTES, Quarantined

MAX_DEPTH = 32
_LONGEST_TAG_BYTES = 64
ROOT = "mediawiki"

#: Where in the file a byte of the stream lies, in words: ``ReadContext.byte_at``.
Locate = Callable[[int], str]

# Where an element's text goes, by its path below the root; a history dump keeps the last revision of each page.
_PAGE_FIELDS = {
    ("page", "title"): "title",
    ("page", "ns"): "namespace",
    ("page", "id"): "key",
    ("page", "revision", "id"): "revision",
    ("page", "revision", "timestamp"): "timestamp",
    ("page", "revision", "model"): "model",
    ("page", "revision", "text"): "text",
}
_WANTED = frozenset(["title", "ns", "id", "timestamp", "model", "text", "base", "namespace"])


@dataclass(slots=True)
class Site:
    """What ``<siteinfo>`` says; nothing where it is missing."""

    base: str = ""
    namespaces: dict[int, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Page:
    """What an export says of a page; ``redirect`` is its target, None where the page says of none."""

    title: str = ""
    namespace: str = ""
    key: str = ""
    revision: str = ""
    timestamp: str = ""
    model: str = ""
    text: str = ""
    redirect: str | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Break:
    """Where reading broke off: the first byte that cannot be part of a page, and why."""

    offset: int
    reason: str
    error: str


class _RefusedError(Exception):
    """Raised inside an expat handler, to stop it; expat's own position is lost by then."""

    def __init__(self, broken: Break) -> None:
        super().__init__(broken.error)
        self.broken = broken


class PageParser:
    """One expat parser, from one place in the file to the next break.

    Args:
        site: filled from ``<siteinfo>``.
        locate: where in the file a byte lies.
        start: byte offset in the stream at which the parser begins.
        encoding: expat's name; "" lets the XML declaration decide.
        inside_root: begin as if ``<mediawiki>`` had just been read.
    """

    def __init__(self, site: Site, locate: Locate, start: int, encoding: str, inside_root: bool) -> None:
        self.seen_root = inside_root
        self.root_name = ""
        self.head = b""
        self.window = b""  # the chunk being read and a little before it, from byte window_offset of the stream on
        self.window_offset = start
        self.declared_encoding = ""
        self._site = site
        self._locate = locate
        self._done: list[Page] = []
        self._page: Page | None = None
        self._page_start = start
        self._head_start = start
        self._path: list[str] = []
        self._text: list[str] = []
        self._namespace = 0
        self._expat = self._new_parser(encoding)
        self._shift = start
        if inside_root:
            opening = f"<{ROOT}>".encode(encoding or "utf-8")
            self._expat.Parse(opening)
            self._shift -= len(opening)

    def _new_parser(self, encoding: str) -> expat.XMLParserType:
        parser = expat.ParserCreate(encoding or None)
        parser.buffer_text = True
        parser.buffer_size = 1 << 20
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._refuse_entity
        parser.XmlDeclHandler = self._declare
        if hasattr(parser, "SetReparseDeferralEnabled"):
            # Otherwise a page may come a chunk late, and how late depends on expat's version.
            parser.SetReparseDeferralEnabled(False)
        return parser

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        self.declared_encoding = encoding or ""

    def feed(self, data: bytes, offset: int) -> Break | None:
        """Parses the stream's bytes from ``offset`` on; says where it broke off, if it did."""
        # A tag may have begun in the last chunk.
        kept = self.window[-_LONGEST_TAG_BYTES:]
        self.window, self.window_offset = kept + data, offset - len(kept)
        broken: Break | None = None
        try:
            self._expat.Parse(data)
        except expat.ExpatError as error:
            broken = self._explain(error, data, offset)
        except _RefusedError as refused:
            broken = refused.broken
        self._keep_head(data)
        end = offset + len(data)
        begin = self._page_start if self._page else self._shift + self._expat.CurrentByteIndex
        if broken is None and end - begin > MAX_RECORD_BYTES:
            # An element or a comment that never ends would be gathered up to the end of the file.
            broken = Break(end, "too_long", self._too_long(begin))
        return broken

    def _explain(self, error: expat.ExpatError, data: bytes, offset: int) -> Break:
        position = self._shift + self._expat.ErrorByteIndex
        bad = data[max(position - offset, 0) :][:1]
        not_utf8 = (
            error.code == _INVALID_TOKEN and bad >= b"\x80" and not self.declared_encoding.lower().startswith("utf-16")
        )
        reason = "invalid_utf8" if not_utf8 else "malformed_xml"
        return Break(position, reason, f"{expat.ErrorString(error.code).capitalize()} at {self._locate(position)}.")

    def _keep_head(self, data: bytes) -> None:
        """Remembers the first bytes of what is being read, for the quarantine."""
        if self._page_start == self._head_start:
            self.head += data[: QUARANTINE_RAW_BYTES - len(self.head)]
        else:
            self._head_start = self._page_start
            self.head = self.window[self._page_start - self.window_offset :][:QUARANTINE_RAW_BYTES]

    def take_pages(self) -> list[Page]:
        """The pages that were completed since the last call."""
        done, self._done = self._done, []
        return done

    def close(self, end: int, fragment: bool) -> Break | None:
        """What is missing at the end of the file; a run of pages may end without ``</mediawiki>``."""
        try:
            self._expat.Parse(b"", True)
        except expat.ExpatError as error:
            if fragment and self._page is None and error.code == _NO_ELEMENT:
                return None
            begin = f"inside the page that begins at {self._locate(self._page_start)}"
            where = begin if self._page else f"before </{ROOT}>"
            return Break(end, "truncated", f"The file ends at {self._locate(end)}, {where}.")
        return None

    def raw_from(self, broken: Break) -> bytearray:
        """The first bytes of what cannot be read, as far as was read: the open page, else what follows the break."""
        if self._page is not None:
            return bytearray(self.head)
        return bytearray(self.window[max(broken.offset - self.window_offset, 0) :][:QUARANTINE_RAW_BYTES])

    def quarantine(self, broken: Break, raw: bytearray, end: int) -> Quarantined:
        """The entry for what cannot be read, which ends at byte ``end``."""
        start = broken.offset if self._page is None else self._page_start
        named = self._page is not None and self._page.key
        place = self._locate(start)
        locator = f"page {named}, {place}" if named else place
        return Quarantined(locator, broken.reason, broken.error, bytes(raw[: max(end - start, 0)]))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        path = self._path
        if not path:
            self.root_name = name
            if name != ROOT:
                raise self._refusal("wrong_format", f"The root element is <{name}>.")
            self.seen_root = True
        elif name == "page":
            if self._page is not None:
                raise self._refusal("nested_page", "A page begins before the one before it has ended.")
            self._page_start = self._shift + self._expat.CurrentByteIndex
            self._page = Page(offset=self._page_start)
        elif name == "redirect" and self._page is not None:
            self._page.redirect = attributes.get("title", "")
        elif name in _WANTED:
            self._text.clear()
            self._expat.CharacterDataHandler = self._text.append
            if name == "namespace":
                self._namespace = int(attributes["key"]) if _is_integer(attributes.get("key", "")) else 0
        path.append(name)
        if len(path) > MAX_DEPTH:
            raise self._refusal("nested_too_deep", f"Elements are nested more than {MAX_DEPTH} deep.")

    def _end(self, name: str) -> None:
        path = self._path
        if name == "page" and len(path) == 2:
            if self._page is not None:
                # Asked here too, so that where chunks divide decides nothing.
                if self._shift + self._expat.CurrentByteIndex - self._page_start > MAX_RECORD_BYTES:
                    raise self._refusal("too_long", self._too_long(self._page_start))
                self._done.append(self._page)
            self._page = None
        elif name in _WANTED:
            self._expat.CharacterDataHandler = None
            self._store("".join(self._text), tuple(path[1:]))
        path.pop()

    def _refuse_entity(self, *declaration: object) -> None:
        raise self._refusal("entity_declaration", "The document declares entities, which no MediaWiki export does.")

    def _refusal(self, reason: str, error: str) -> _RefusedError:
        return _RefusedError(Break(self._shift + self._expat.CurrentByteIndex, reason, error))

    def _store(self, text: str, path: tuple[str, ...]) -> None:
        if self._page is not None:
            if path in _PAGE_FIELDS:
                setattr(self._page, _PAGE_FIELDS[path], text)
        elif path[-1] == "base":
            self._site.base = text.strip()
        elif path[-1] == "namespace" and text:
            self._site.namespaces.setdefault(self._namespace, []).append(text)

    def _too_long(self, start: int) -> str:
        return f"What begins at {self._locate(start)} is longer than {MAX_RECORD_BYTES} bytes."


_INVALID_TOKEN = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
_NO_ELEMENT = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
