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
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

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
    with contextlib.closing(_open(url, part)) as response:
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


def _open(url: str, part: _Part) -> Any:
    """The server's answer: 200, or 206 where it goes on with the part."""
    headers = dict(_HEADERS)
    if part.size and (validator := part.validator()):
        headers |= {"Range": f"bytes={part.size}-", "If-Range": validator}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        ...
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(_words(error)) from error
