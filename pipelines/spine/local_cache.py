"""Local copies of objects, for what must be memory-mapped: fetched once a machine, checked, forgotten when space is short.

``CORPUSMILL_LOCAL_CACHE`` names the folder; without it ``.cache/objects`` in a workspace, else one in the system's
folder for temporary files. A copy is named by its sha256 or, where nobody declares one (a source may be replaced under
its name), by the object's name, size and time, so it is never out of date. Nothing else in the folder is touched.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from pipelines.spine import objects
from pipelines.spine.errors import CorpusmillError

FOLDER = "CORPUSMILL_LOCAL_CACHE"
#: Copies that were used longest ago go while less than this share of the disk is free.
LEAST_FREE = 0.10
#: A copy used so recently may be about to be opened. (One that is open already stays readable when its name goes.)
KEPT_SECONDS = 300.0
#: What a process that was killed left: a download takes less, and so does reading a folder of links.
ABANDONED_SECONDS = 24 * 3600.0
_COPY, _TEMPORARY = re.compile(r"[0-9a-f]{64}"), re.compile(r"\.(tmp|folder)-\w+")


def local_copy(place: str, sha256: str = "") -> Path:
    """The object as a local file; several processes of a machine share one download.

    Args:
        place: of the object.
        sha256: what its bytes must have; "" takes them as they are.
    Raises:
        FileNotFoundError: no such object.
        CorpusmillError: other bytes than declared, or the store or the disk fails.
    """
    folder = cache_folder()
    target = folder / (sha256 or _name_of_version(place))
    if _use(target):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f".lock-{target.name[:2]}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _use(target):
            make_room(folder)
            _fetch(place, target, sha256)
    return target


def cache_folder() -> Path:
    """Where this process keeps copies, absolute."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given).resolve()
    if Path("params.yaml").exists():
        return Path(".cache", "objects").resolve()
    return Path(tempfile.gettempdir(), f"corpusmill-{os.getuid()}")


def make_room(folder: Path) -> None:
    """Forgets the copies that were used longest ago while the disk is nearly full, and what killed processes left."""
    ages = {path: time.time() - used for path in folder.iterdir() if (used := _used(path)) is not None}
    for path, age in ages.items():
        if _TEMPORARY.fullmatch(path.name) and age > ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    for path, age in sorted(ages.items(), key=lambda one: -one[1]):
        if not _COPY.fullmatch(path.name):  # the folder may be one that others use too
            continue
        disk = shutil.disk_usage(folder)
        if disk.free >= LEAST_FREE * disk.total or age < KEPT_SECONDS:
            return
        path.unlink(missing_ok=True)


def _used(path: Path) -> float | None:
    """When the file was used last; None where another process has taken it away."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _name_of_version(place: str) -> str:
    version = objects.version_of(place)
    if version is None:
        raise FileNotFoundError(2, "no such object", place)
    return hashlib.sha256(f"{place} {version}".encode()).hexdigest()


def _use(path: Path) -> bool:
    """Whether the copy is there; if so it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _fetch(place: str, target: Path, sha256: str) -> None:
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        objects.download(place, temporary)
        with open(temporary, "rb+") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest() if sha256 else ""
            os.fsync(file.fileno())  # the name alone vouches for it from now on, through a failure of power too
        if found != sha256:
            raise CorpusmillError(
                "the object holds other bytes than declared", where=place, expected=f"sha256 {sha256}", got=found,
                hint="delete the object and run the stage that wrote it again",
            )  # fmt: skip
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
