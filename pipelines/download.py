"""One file over http(s), in pieces if need be: what is there already is never asked for again.

The bytes grow in ``<name>.part``; beside it ``<name>.part.json`` keeps the server's validator (ETag or
Last-Modified), so that a resumed download is refused by the server when the file has changed meanwhile (If-Range).
"""

import contextlib
import http.client
import json
import re
import shutil
import sys
import time
import typing
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0
#: Waits after a failure that brought no new byte; the one after the last is the end.
BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0)
PROGRESS_SECONDS = 10.0
_HEADERS = {"User-Agent": "corpusmill", "Accept-Encoding": "identity"}
_RETRIED_STATUSES = (408, 425, 429, 500, 502, 503, 504)


class _BrokenOffError(Exception):
    """The transfer failed in a way that another try may mend."""


@dataclass
class _Part:
    """The bytes so far, and the validator that the server gave with the first of them."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def validator(self) -> str:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads(self.note.read_text(encoding="utf-8"))["validator"])
        return ""

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def download(url: str, path: Path) -> Path:
    """The whole file, under ``<path>.part``; the caller checks and renames it, or calls again to go on.

    Args:
        url: http or https.
        path: what the file will be called.
    Raises:
        CorpusmillError: the server refuses, does not answer, or has no such file; no space left.
    """
    part = _Part(path.with_name(f"{path.name}.part"))
    part.path.parent.mkdir(parents=True, exist_ok=True)
    most, failures = part.size, 0
    while True:
        try:
            _transfer(url, part)
            return part.path
        except _BrokenOffError as error:
            # A server that breaks off now and then still gets a 20 GB file over, as long as bytes arrive.
            failures = 0 if part.size > most else failures + 1
            most = max(most, part.size)
            if failures > len(BACKOFF_SECONDS):
                raise CorpusmillError(
                    f"the download fails: {error}", where=url, got=f"{part.size:,} bytes so far",
                    hint="check the address and the network, then run again: it goes on where it stopped",
                ) from error  # fmt: skip
            wait = BACKOFF_SECONDS[max(failures - 1, 0)]
            print(f"fetch: {url}: {error}; next try in {wait:g} s", file=sys.stderr)
            time.sleep(wait)


def _transfer(url: str, part: _Part) -> None:
    """One request: adds what the part lacks."""
    answer = _open(url, part)
    if answer is None:
        return
    with answer as response:
        if response.status == 206:
            start, total = _range_of(response)
            if start != part.size:
                part.remove()
                raise _BrokenOffError(f"asked for the bytes from {part.size:,} on, got those from {start:,} on")
        else:
            start, total = 0, int(response.headers.get("Content-Length") or -1)
            part.remove()
            validator = _strong_validator(response.headers)
            storage.write_text(part.note, json.dumps({"validator": validator}) + "\n")
        _check_space(part, total - start)
        _append(response, part, url, total)
    if total >= 0 and part.size != total:
        if part.size > total:
            part.remove()
        raise _BrokenOffError(f"the connection broke off at {part.size:,} of {total:,} bytes")


def _open(url: str, part: _Part) -> http.client.HTTPResponse | None:
    """The server's answer, 200 or 206 (it goes on with the part); None when the part is whole already."""
    headers = dict(_HEADERS)
    if part.size and (validator := part.validator()):
        headers |= {"Range": f"bytes={part.size}-", "If-Range": validator}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
        return typing.cast(http.client.HTTPResponse, answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in _RETRIED_STATUSES:
                raise _BrokenOffError(f"the server answers {error.code} {error.reason}") from error
            if error.code == 416:
                _check_whole(error, part)
                return None
            raise CorpusmillError(
                f"the server answers {error.code} {error.reason}", where=url, expected="200 OK",
                hint="open the address in a browser, and correct the source's path in params.yaml: fetch.sources",
            ) from error  # fmt: skip
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(_words(error)) from error


def _check_whole(error: urllib.error.HTTPError, part: _Part) -> None:
    """416: the part is whole already (a run died before the rename), or else longer than the file is now."""
    total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
    if total != str(part.size):
        part.remove()
        raise _BrokenOffError("the file on the server is shorter than the part here")


def _append(response: http.client.HTTPResponse, part: _Part, url: str, total: int) -> None:
    last = time.monotonic()
    with open(part.path, "ab") as file:
        while chunk := _receive(response):
            _write(file, chunk, part.path)
            if time.monotonic() - last >= PROGRESS_SECONDS:
                last = time.monotonic()
                of = f" of {total >> 20:,}" if total >= 0 else ""
                print(f"fetch: {url}: {file.tell() >> 20:,}{of} MiB", file=sys.stderr)


def _receive(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except http.client.IncompleteRead as error:
        raise _BrokenOffError("the connection broke off") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(_words(error)) from error


def _write(file: BinaryIO, chunk: bytes, path: Path) -> None:
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        raise storage.explained(error, path) from error


def _check_space(part: _Part, needed: int) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise CorpusmillError(
            "no space left for the download", where=str(part.path.parent), expected=f"{needed:,} bytes",
            got=f"{free:,} bytes free", hint="free some space, then run again: it goes on where it stopped",
        )  # fmt: skip


def _range_of(response: http.client.HTTPResponse) -> tuple[int, int]:
    """First byte and size of the whole file (-1 unknown) of a 206 answer."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if match is None:
        return -1, -1
    return int(match[1]), -1 if match[2] == "*" else int(match[2])


def _strong_validator(headers: http.client.HTTPMessage) -> str:
    """What If-Range may hold: a strong ETag, else Last-Modified, else nothing (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
