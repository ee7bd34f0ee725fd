"""Local worker processes that start in a tenth of a second: forked from one process that has imported all they need.

    a stage  ->  WarmStart (one a process)  ->  the server: imports Beam and our modules once, then waits
    Beam     ->  the worker command         ->  the server forks; the command ends as the worker ends

A worker that Beam starts by itself imports for two seconds, and each pipeline of a stage starts its own: `dedup` runs
fifteen of them over a gigabyte. Forked ones share what was imported, in memory too.

Whoever goes takes with it what depends on it: the stage its server (a pipe that ends), the server its workers, the command
its worker. What workers print is written to their log. The socket lies in a folder that no other user may enter: who
reaches it can have code run.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.spine.errors import CorpusmillError

OURS = ("pipelines.", "tokenizer.")
SOCKET = "workers"
#: The command that Beam runs for each worker. It only waits, and imports nothing to do so. It ends by the worker's status
#: or signal; Ctrl-C and the end of a process group are the stage's to speak of. A path through /proc is never too long.
CLIENT = """
import json, os, signal, socket, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: os._exit(0))
server = socket.socket(socket.AF_UNIX)
server.connect(f"/proc/self/fd/{os.open(sys.argv[1], os.O_RDONLY)}/workers")
server.sendall(json.dumps(dict(os.environ)).encode() + b"\\n")
code = int(server.recv(8) or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
STARTED = b"started"
#: A server that does not end by itself within this time is killed.
PATIENCE_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


class WarmStart:
    """A running server, with the number of its process; it ends with this one.

    Args:
        log: the file that workers' output and errors are appended to.
    Raises:
        CorpusmillError: it does not start.
    """

    def __init__(self, log: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="corpusmill-", ignore_cleanup_errors=True)  # its owner's
        modules = sorted(name for name in sys.modules if name.startswith(OURS))
        with open(log, "ab") as errors:
            # Its standard input is this process's end of a pipe: it closes when this process is gone, however it went.
            self._server = subprocess.Popen(
                server_command(self._folder.name, modules),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self.pid = self._server.pid
        assert self._server.stdout is not None
        with self._server.stdout as said:
            if said.readline().strip() != STARTED:
                self.end()
                raise CorpusmillError("local workers cannot be started", where=str(log), hint="its last lines say why")
        atexit.register(self.end)

    @property
    def command(self) -> str:
        """The shell command of a worker."""
        # -I and -S: no path and no site of the user's, which would be read for nothing.
        return shlex.join([sys.executable, "-I", "-S", "-c", CLIENT, self._folder.name])

    def end(self) -> None:
        """Ends the server and its workers, once; what they took counts as this process's from then on."""
        atexit.unregister(self.end)
        assert self._server.stdin is not None
        self._server.stdin.close()
        try:
            self._server.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._folder.cleanup()  # it takes the folder away itself, for this process may be killed; a killed one cannot


def server_command(folder: str, modules: Sequence[str]) -> list[str]:
    """The command of a server whose socket lies in a folder, and that imports some modules first."""
    return [sys.executable, "-m", "pipelines.warm_workers", folder, *modules]


def serve(folder: str, modules: Iterable[str]) -> None:
    """Forks a worker for whoever connects and sends an environment, until standard input ends."""
    for name in ("apache_beam.runners.worker.sdk_worker_main", *modules):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is imported stays shared: a collection would write to its pages
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # `woken` says it
    workers: dict[int, socket.socket] = {}  # process -> the command that waits for it
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{os.open(folder, os.O_RDONLY)}/{SOCKET}")
        listener.listen()
        print(STARTED.decode(), flush=True)
        os.dup2(2, 1)
        while True:
            waiting = select.poll()
            for descriptor in (0, woken, listener.fileno()):
                waiting.register(descriptor, select.POLLIN)
            by_descriptor = {asked.fileno(): pid for pid, asked in workers.items()}
            for descriptor in by_descriptor:
                waiting.register(descriptor, 0)  # tells when the command is gone, nothing else
            ready = {descriptor for descriptor, _ in waiting.poll()}
            if 0 in ready:
                break
            for descriptor in ready & by_descriptor.keys():
                os.kill(by_descriptor[descriptor], signal.SIGKILL)
            if woken in ready or ready & by_descriptor.keys():
                _tell_ended(workers, woken)
            if listener.fileno() in ready:
                _fork(listener, workers)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)


def _fork(listener: socket.socket, workers: dict[int, socket.socket]) -> None:
    asked, _ = listener.accept()
    server = os.getpid()
    if pid := os.fork():
        workers[pid] = asked
        return
    for other in (listener, *workers.values()):
        other.close()
    _work(asked, server)


def _tell_ended(workers: dict[int, socket.socket], woken: int) -> None:
    """Tells the commands of the workers that have ended how they did: a status, or a signal below 0."""
    if select.select([woken], [], [], 0)[0]:
        os.read(woken, 4096)
    for pid, asked in list(workers.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del workers[pid]
            with asked, contextlib.suppress(OSError):  # the command may be gone
                asked.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _work(asked: socket.socket, server: int) -> None:
    """A worker, from its environment to its end; never returns."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # not the pipe that the stage's end closes
        with asked.makefile("rb") as lines:
            environment = json.loads(lines.readline())
        os.environ.clear()
        os.environ.update(environment)
        more = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [folder for folder in more if folder and folder not in sys.path]
        from apache_beam.runners.worker import sdk_worker_main

        sdk_worker_main.main([])
        code = 0
    except Exception:  # the status tells Beam that it failed, the log why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # without what the server would do at its own end


def main(argv: Sequence[str]) -> None:
    """The server's command."""
    serve(argv[0], argv[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
