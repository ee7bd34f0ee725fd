"""Running a module as a command: one message for people, the right exit status, no orphans.

Light on purpose: `fetch` runs at every ``dvc repro`` and must end in half a second.
"""

import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError


def run_module(module: str) -> int:
    """Runs the module's ``main`` on the command line; errors for people become one message and status 1.

    The module is imported under its own name first, so that what it defines is not pickled as ``__main__``.
    """
    main = importlib.import_module(module).main
    # SIGTERM (from `dvc`, a scheduler, `timeout`) ends like Ctrl-C: blocks unwind, children are told.
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell's background job ignores it
        signal.signal(signal.SIGINT, _interrupt)
    _follow_parent()
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; finished units are kept, run again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {storage.explained(error, error.filename or 'a file')}", file=sys.stderr)
        return 1
    return 0


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; Beam makes a RuntimeError of a plain KeyboardInterrupt that meets it inside a step."""

    _tagged_with_step = True


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Interrupted


def _follow_parent() -> None:
    """Under DVC, ends this process when DVC dies: it runs commands through a shell and leaves them orphaned."""
    if "DVC_STAGE" not in os.environ:
        return
    watched = [os.getppid(), _parent_of(os.getppid())]

    def watch() -> None:
        while [os.getppid(), _parent_of(os.getppid())] == watched:
            stop.wait(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    stop = threading.Event()
    threading.Thread(target=watch, daemon=True).start()


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
