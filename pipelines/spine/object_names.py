"""Which objects a pattern names, by the rules of local globs: ``*`` stays within a folder, ``**`` goes through many."""

import fnmatch
import glob
from collections.abc import Sequence

from pipelines.spine import objects
from pipelines.spine.errors import CorpusmillError


def matching(pattern: str) -> list[str]:
    """The objects that a place or pattern names, sorted; an object of exactly that name goes before the pattern.

    Raises:
        CorpusmillError: a pattern in the bucket's name, or the store refuses or fails.
    """
    if glob.has_magic("".join(pattern.split("/")[:3])):
        raise CorpusmillError("a bucket is named, not searched for", where=pattern, expected="s3://bucket/pattern")
    if objects.version_of(pattern) is not None:
        return [pattern]
    if not glob.has_magic(pattern):
        return []
    parts = pattern.split("/")
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    folder = "/".join(parts[:fixed])
    deep = fixed < len(parts) - 1 or parts[-1] == "**"
    return [place for place in objects.listed(folder, deep) if fits(place.split("/")[fixed:], parts[fixed:])]


def folder_objects(folder: str, deep: bool = True) -> list[str]:
    """The objects in a folder, sorted; none where there is no such folder.

    Args:
        folder: its place.
        deep: also those in folders below it.
    Raises:
        CorpusmillError: no such bucket, or the store refuses or fails.
    """
    found = objects.listed(folder, deep)
    if not found and not objects.has_bucket(folder):
        raise CorpusmillError("no such bucket", where="/".join(folder.split("/")[:3]), hint="check its name")
    return found


def fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a name are as those of a pattern; a name that begins with a dot must be asked for so.

    >>> [fits(name.split("/"), ["**", "*.txt"]) for name in ("a.txt", "b/c/a.txt", "b/.a.txt", "a.txt/b")]
    [True, True, False, False]
    """
    if not pattern or not names:
        return not pattern and not names
    first, *rest = pattern
    if first == "**":
        hidden = [index for index, name in enumerate(names) if name.startswith(".")]
        most = hidden[0] if hidden else len(names)
        return most == len(names) if not rest else any(fits(names[start:], rest) for start in range(most + 1))
    if names[0].startswith(".") and not first.startswith("."):
        return False
    return fnmatch.fnmatchcase(names[0], first) and fits(names[1:], rest)
