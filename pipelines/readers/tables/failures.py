"""Whether an error of a table's library lies in the data, which damage explains, or in the machine and the network.

What passes by must end the run, so that it can be run again: as damage it would leave rows out without need.
"""

import re
from collections.abc import Iterator

#: Libraries whose every error is one of the network; their classes derive from OSError, ValueError or neither.
_NETWORK_LIBRARIES = ("aiohttp", "fsspec", "httpcore", "httpx", "httpx2", "requests", "urllib3")
#: A damaged file may ask for so much; no machine has it.
_IMPOSSIBLE_BYTES = 1 << 40
_MALLOC = re.compile(r"(?:malloc|realloc) of size (\d+) failed")
_PLACE = re.compile(r"'[^'\n]*[/\\][^'\n]*'|\"[^\"\n]*[/\\][^\"\n]*\"|\S*[/\\]\S*")
_MESSAGE_CHARACTERS = 200


def is_passing(error: BaseException) -> bool:
    """Whether memory, disk or network failed, and not the data; an error's causes count as well."""
    return any(_is_passing(cause) for cause in _causes(error))


def what_is_wrong(error: BaseException) -> str:
    """Type and first line of what an error goes back to, without the paths and addresses that it names.

    >>> what_is_wrong(ValueError("Failed to read file '/data/my corpus/a.json': Invalid value. in row 0"))
    'ValueError: Failed to read file …: Invalid value. in row 0'
    """
    *_, cause = _causes(error)
    message = (str(cause).splitlines() or [""])[0]
    message = _PLACE.sub("…", message[: 10 * _MESSAGE_CHARACTERS])[:_MESSAGE_CHARACTERS]
    return f"{type(cause).__name__}: {message}" if message else type(cause).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        asked = _MALLOC.search(str(error))
        return not asked or int(asked[1]) < _IMPOSSIBLE_BYTES
    if isinstance(error, ConnectionError | TimeoutError) or (isinstance(error, OSError) and error.errno is not None):
        return True
    return any(kind.__module__.split(".")[0] in _NETWORK_LIBRARIES for kind in type(error).__mro__)
