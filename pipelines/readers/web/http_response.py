"""One HTTP response as a WARC file holds it -> status, headers and the body with every encoding undone.

Written for archives, not for the wire: many undo the encodings and keep the headers that name them, so a body that
plainly is a page already stays as it is. Every decoder stops at a limit: a small record may hold gigabytes of zeros.
"""

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import brotli
import zstandard

from pipelines.readers.records import UnreadableError

MAX_HEADER_BYTES = 1 << 20
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})(?!\d)")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_HEAD = re.compile(rb"(?:\r?\n)?[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]{0,1000})?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_PAGE_START = (b"<", b"\xef\xbb\xbf<")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response.

    Args:
        status: 200, 404, ...
        headers: names in lower case; the first of a name.
        body: without transfer and content encodings.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The Content-Type without parameters, in lower case: "text/html"."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """What the server says the encoding is, "" for nothing."""
        match = _CHARSET.search(self.headers.get("content-type", ""))
        return match[1] if match else ""


def parse_response(data: bytes, max_bytes: int) -> HttpResponse:
    """The response that the bytes hold; of any status but 200 without its body.

    Args:
        data: status line, headers, blank line, body.
        max_bytes: a longer decoded body is refused.
    Raises:
        UnreadableError: ``malformed_http``, ``damaged`` (a body that cannot be decoded), ``too_long``.
    """
    status = _STATUS_LINE.match(data)
    if status is None:
        raise UnreadableError("malformed_http", "the response has no HTTP status line")
    end = _HEADER_END.search(data, 0, MAX_HEADER_BYTES)
    if end is None and len(data) > MAX_HEADER_BYTES:
        raise UnreadableError("malformed_http", "the response's headers do not end")
    headers = header_fields(data[: end.start()] if end else data)
    code = int(status[1])
    body = _decoded(data[end.end() :], headers, max_bytes) if end and code == 200 else b""
    return HttpResponse(code, headers, body)


def header_fields(header: bytes) -> dict[str, str]:
    """The named fields behind a header's first line, names in lower case; the first of a name. WARC writes them alike."""
    found: dict[str, str] = {}
    for line in header.decode("utf-8", "replace").splitlines()[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name.strip().lower(), value.strip())
    return found


def _decoded(body: bytes, headers: Mapping[str, str], max_bytes: int) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _joined_chunks(body)
    names = [name.strip() for name in headers.get("content-encoding", "").lower().split(",")]
    for name in reversed([name for name in names if name not in ("", "identity")]):
        if body.lstrip()[:4].startswith(_PAGE_START) or not body:
            return body
        if name not in _DECODERS:
            raise UnreadableError("damaged", f"unknown Content-Encoding: {name[:40]!r}")
        try:
            body = _DECODERS[name](body, max_bytes + 1)
        except (zlib.error, brotli.error, zstandard.ZstdError, EOFError) as error:
            raise UnreadableError("damaged", f"the {name} body cannot be decoded: {error}") from error
        if len(body) > max_bytes:
            raise UnreadableError("too_long", f"more than {max_bytes:,} bytes once its {name} encoding is undone")
    return body


def _joined_chunks(body: bytes) -> bytes:
    """The chunks put together; a body that does not begin with one as it is."""
    parts: list[bytes] = []
    place = 0
    while head := _CHUNK_HEAD.match(body, place):
        size = int(head[1], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[head.end() : head.end() + size])
        place = head.end() + size
    if not parts:
        return body
    raise UnreadableError("damaged", f"the chunked body breaks off after {sum(map(len, parts)):,} bytes")


def _gunzip(body: bytes, limit: int) -> bytes:
    found = b""
    while body:
        found, body = _inflated(body, found, limit, zlib.MAX_WBITS | 16)
        if len(found) >= limit or not body.startswith(b"\x1f\x8b"):  # what follows the last member is padding
            break
    return found


def _inflate(body: bytes, limit: int) -> bytes:
    """Deflate in its zlib wrapper, as the standard says, or bare, as some servers send it."""
    try:
        return _inflated(body, b"", limit, zlib.MAX_WBITS)[0]
    except zlib.error:
        return _inflated(body, b"", limit, -zlib.MAX_WBITS)[0]


def _inflated(body: bytes, found: bytes, limit: int, window: int) -> tuple[bytes, bytes]:
    decoder = zlib.decompressobj(window)
    found += decoder.decompress(body, limit - len(found))
    if not decoder.eof and len(found) < limit:
        raise EOFError("it breaks off")
    return found, decoder.unused_data


def _unbrotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    found = decoder.process(body, output_buffer_limit=limit)
    while not decoder.is_finished() and len(found) < limit:
        more = decoder.process(b"", output_buffer_limit=limit - len(found))
        if not more:
            raise EOFError("it breaks off")
        found += more
    return bytes(found)


def _unzstd(body: bytes, limit: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
        found = reader.read(limit)
    if not found:
        raise EOFError("it breaks off")
    return bytes(found)


_DECODERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
