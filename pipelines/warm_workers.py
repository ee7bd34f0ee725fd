"""Local worker processes that start in a tenth of a second: forked from one process that has imported all they need.

    a stage  ->  WarmStart (one a process)  ->  the server: imports Beam and our modules once, then waits
    Beam     ->  the worker command         ->  the server forks; the command ends as the worker ends

A worker that Beam starts by itself imports for two seconds, and each pipeline of a stage starts its own: `dedup` runs
fifteen of them over a gigabyte. Forked ones share what was imported, in memory too.

The socket lies in a folder that no other user may enter: who reaches it can have code run.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.spine.errors import CorpusmillError

OURS = ("pipelines.", "tokenizer.")
#: The command that Beam runs for each worker. It only waits, and imports nothing to do so: its status is the worker's.
CLIENT = """
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
server.sendall(json.dumps(dict(os.environ)).encode() + b"\\n")
code = int(server.recv(8) or 1)
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
STARTED = b"started"


class WarmStart:
    """A running server, with the number of its process; it ends with this one.

    Args:
        log: the file that workers' standard error is appended to.
    Raises:
        CorpusmillError: it does not start.
    """

    def __init__(self, log: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="corpusmill-")  # for its owner alone
        self._socket = str(Path(self._folder.name, "workers"))
        modules = sorted(name for name in sys.modules if name.startswith(OURS))
        with open(log, "ab") as errors:
            # Its standard input is this process's end of a pipe: it closes when this process is gone, however it went.
            self._server = subprocess.Popen(
                server_command(self._socket, modules),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )  # fmt: skip
        assert self._server.stdout is not None
        if self._server.stdout.readline().strip() != STARTED:
            self.end()
            raise CorpusmillError("local workers cannot be started", where=str(log), hint="its last lines say why")
        self.pid = self._server.pid
        atexit.register(self.end)

    @property
    def command(self) -> str:
        """The shell command of a worker."""
        # -I and -S: no path and no site of the user's, which would be read for nothing.
        return shlex.join([sys.executable, "-I", "-S", "-c", CLIENT, self._socket])

    def end(self) -> None:
        """Ends the server, once; what its workers took counts as this process's from then on."""
        atexit.unregister(self.end)
        self._server.communicate()
        self._folder.cleanup()


def server_command(place: str, modules: Sequence[str]) -> list[str]:
    """The command of a server at a socket that imports some modules first."""
    return [sys.executable, "-m", "pipelines.warm_workers", place, *modules]


def serve(place: str, modules: Iterable[str]) -> None:
    """Forks a worker for whoever connects and sends an environment, until standard input ends."""
    _import(["apache_beam.runners.worker.sdk_worker_main", *modules])
    gc.collect()
    gc.freeze()  # what is imported stays shared: a collection would write to its pages
    workers: dict[int, socket.socket] = {}  # process -> the command that waits for it
    signal.signal(signal.SIGCHLD, lambda number, frame: _tell_ended(workers))
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as ready:
        listener.bind(place)
        listener.listen()
        print(STARTED.decode(), flush=True)
        ready.register(listener, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is sys.stdin:
                    return
                asked, _ = listener.accept()
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # until it stands among the workers
                if not (pid := os.fork()):
                    listener.close()
                    _work(asked)
                workers[pid] = asked
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def _tell_ended(workers: dict[int, socket.socket]) -> None:
    """Tells the commands of the workers that have ended how they did: a status, or a signal below 0."""
    with contextlib.suppress(ChildProcessError):  # none is left
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            asked = workers.pop(ended[0])
            with asked, contextlib.suppress(OSError):  # the command may be gone
                asked.sendall(str(os.waitstatus_to_exitcode(ended[1])).encode())


def _import(modules: Iterable[str]) -> None:
    for name in modules:
        importlib.import_module(name)


def _work(asked: socket.socket) -> None:
    """A worker, from its environment to its end; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    code = 1
    try:
        with asked.makefile("rb") as lines:
            environment = json.loads(lines.readline())
        os.environ.clear()
        os.environ.update(environment)
        more = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [folder for folder in more if folder and folder not in sys.path]
        threading.Thread(target=_end_with, args=(asked,), daemon=True).start()
        from apache_beam.runners.worker import sdk_worker_main

        sdk_worker_main.main([])
        code = 0
    except Exception:  # the status tells Beam that it failed, the log why
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # without what the server would do at its own end


def _end_with(asked: socket.socket) -> None:
    """Ends this process when the command that asked for it is gone: Beam has killed it."""
    asked.recv(1)
    os._exit(1)


def main(argv: Sequence[str]) -> None:
    """The server's command."""
    serve(argv[0], argv[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
