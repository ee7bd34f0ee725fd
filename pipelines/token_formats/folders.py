"""An export's folder: it appears whole or not at all, says in ``export.json`` what it holds, and is made once."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump

NAME = "export.json"
_LOCK = ".lock"


@contextlib.contextmanager
def publishing_folder(target: Path) -> Iterator[Path]:
    """A folder to write into that is renamed to ``target`` when the block ends well, and removed when it does not.

    What a killed attempt left is thrown away first.

    Raises:
        CorpusmillError: another process writes the same export or has just written it, or the folder cannot be made.
    """
    temporary = target.with_name(f"{storage.TEMPORARY}{target.name}")
    with storage.exclusive(temporary / _LOCK, str(target)):
        try:
            _clear(temporary)
            yield temporary
            os.replace(temporary, target)  # over an empty folder too
            (target / _LOCK).unlink(missing_ok=True)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                raise CorpusmillError(
                    "the folder has been filled meanwhile", where=str(target),
                    hint="another process was faster: run again, and what it wrote is checked",
                ) from None  # fmt: skip
            raise storage.explained(error, target) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_export(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes ``export.json``: the facts, and name, bytes and sha256 of every file of the folder."""
    files = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": storage.sha256_file(path)}
        for path in sorted(folder.iterdir())
        if path.name != _LOCK
    ]
    storage.write_text(folder / NAME, dump({**facts, "files": files}))


def already_exported(target: Path, identity: Mapping[str, Any]) -> bool:
    """Whether ``target`` holds this very export, whole. A missing or empty folder does not.

    Args:
        identity: entries of ``export.json`` that name the export: format, split, shards.
    Raises:
        CorpusmillError: the folder holds something else, or its files are not those it was published with.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        found = json.loads((target / NAME).read_text(encoding="utf-8"))
        same = all(found[name] == value for name, value in identity.items())
        files = {entry["name"]: entry["sha256"] for entry in found["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise CorpusmillError(
            "the folder holds something else already", where=str(target),
            expected="no folder, an empty one, or this very export", hint="give another --output, or remove the folder",
        )  # fmt: skip
    for name, sha256 in files.items():
        if not (target / name).is_file() or storage.sha256_file(target / name) != sha256:
            raise CorpusmillError(
                "a file of the export is missing or damaged", where=str(target / name), expected=f"sha256 {sha256}",
                hint="remove the folder and export again",
            )  # fmt: skip
    (target / _LOCK).unlink(missing_ok=True)  # of an export that was killed after its last rename
    return True


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != _LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
