"""Running a module as a command: one message for people, the right exit status, no orphans.

Light on purpose: `fetch` runs at every ``dvc repro`` and must end in half a second.
"""

import importlib
import io
import itertools
import os
import select
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError

#: What unwinding may take once DVC is gone; longer than a launcher gives its workers.
GRACE_SECONDS = 60.0


def run_module(module: str) -> int:
    """Runs the module's ``main`` on the command line; errors for people become one message and status 1.

    The module is imported under its own name first, so that what it defines is not pickled as ``__main__``.
    """
    main = importlib.import_module(module).main
    # SIGTERM (from `dvc`, a scheduler, `timeout`) ends like Ctrl-C: blocks unwind, children are told.
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell's background job ignores it
        signal.signal(signal.SIGINT, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # text of any language, on a terminal of few characters
    try:
        _follow_dvc()
        main(sys.argv[1:])
        sys.stdout.flush()  # here, where a reader that has left is an error that can be answered
    except CorpusmillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept, run again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_left():
            return 128 + signal.SIGPIPE  # as shells report `yes | head`
        print(f"error: {storage.explained(error, error.filename or 'a file')}", file=sys.stderr)
        return 1
    return 0


def refuse_remote(places: Mapping[str, str | None]) -> None:
    """Passes when what the options name lies on this machine.

    Args:
        places: option -> what it was given.
    Raises:
        CorpusmillError: a place in a store.
    """
    for option, place in places.items():
        if place and storage.is_remote(place):
            raise CorpusmillError(
                f"{option} is a folder or file of this machine", where=place,
                hint="storage.root in params.yaml, or CORPUSMILL_ROOT, says in which store the shards lie (docs/storage.md)",
            )  # fmt: skip


def _reader_left() -> bool:
    """Whether what reads our standard output has closed it, as ``head`` does; the rest of the output is dropped then.

    Source: docs.python.org/3/library/signal.html, "Note on SIGPIPE". Another pipe that breaks stays an error.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit breaks once more
    return True


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; Beam makes a RuntimeError of a plain KeyboardInterrupt that meets it inside a step."""

    _tagged_with_step = True


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Interrupted


def _follow_dvc() -> None:
    """Under DVC, ends this process when DVC dies: it runs commands through a shell and leaves them orphaned.

    DVC's own parent is no matter: with ``nohup dvc repro &`` the shell above ends, and the run goes on.
    """
    if "DVC_STAGE" not in os.environ:
        return
    up_to_dvc = _up_to_dvc()

    def watch() -> None:
        while up_to_dvc and all(_parent_of(below) == above for below, above in itertools.pairwise(up_to_dvc)):
            stop.wait(1.0)
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait(GRACE_SECONDS)
        os._exit(143)  # it hangs where no signal is heard, a collective for instance

    stop = threading.Event()
    threading.Thread(target=watch, daemon=True).start()


def _up_to_dvc() -> list[int]:
    """This process, its parent, and so on to DVC: the first that was not started as this stage; [] where it has died."""
    stage = f"DVC_STAGE={os.environ['DVC_STAGE']}".encode()
    found = [os.getpid()]
    while len(found) < 2 or stage in _environment_of(found[-1]):
        found.append(_parent_of(found[-1]))
    # DVC starts its commands in its own process group; whoever adopts an orphan is in another one.
    return found if _group_of(found[-1]) == _group_of(found[-2]) else []


def _parent_of(pid: int) -> int:
    return _numbers_of(pid)[0]


def _group_of(pid: int) -> int:
    return _numbers_of(pid)[1]


def _numbers_of(pid: int) -> tuple[int, int]:
    """Parent and process group; zeros where there is no such process."""
    try:
        parent, group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1:3]
        return int(parent), int(group)
    except (OSError, ValueError):
        return 0, 0


def _environment_of(pid: int) -> list[bytes]:
    """What the process was started with; empty where that is not for us to know."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
