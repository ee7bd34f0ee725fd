"""A Python that starts in milliseconds: ``.../python -m module ...`` is a fork of a process that has imported much.

    a shell, DVC, Beam  ->  .../python, a client  ->  this script as a server: a fork that runs the module

The fork has the client's folder, variables and open files, and none of our own modules, so it takes those that ``python -m``
would take there. The client ends as the fork ends, by the same status or signal; whatever else it is asked, it hands on
to the real Python. A stage takes two seconds of CPU to import Beam or torch, and a test of DVC starts dozens.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
if sys.argv[1:2] != ["-m"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
request = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(request)
    status = int(server.recv(8) or 1)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
#: What a stage imports beside our own modules, and what those import late.
FOR_STAGES = ("apache_beam.runners.worker.sdk_worker_main", "pyarrow.parquet", "torch", "deepspeed.pipe",
              "deepspeed.module_inject", "deepspeed.runtime.zero.stage3",
              "deepspeed.runtime.zero.muon.original_muon", "tensorboard.summary.writer.record_writer",
              "torch._dynamo", "torch.profiler", "safetensors.torch", "tokenizers")  # fmt: skip
FOR_DVC = ("dvc.cli.command", "dvc.commands.repro", "dvc.repo", "dvc_http", "networkx.algorithms")
FOR_WORKERS = ("apache_beam.runners.worker.sdk_worker_main",)


@contextlib.contextmanager
def warm_python(modules: Sequence[str]) -> Iterator[Path]:
    """The client, an executable called ``python``; its server lives as long as the block or this process.

    Args:
        modules: imported before the first fork.
    """
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        folder = Path(name)
        listener.bind(str(folder / "socket"))
        listener.listen(64)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno()), *modules], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[listener.fileno()],
            env={**environment, "DS_ACCELERATOR": "cpu"},
        )  # fmt: skip
        listener.close()  # a client that the server does not hear any more is told so
        client = folder / "python"
        client.write_text(CLIENT.format(python=sys.executable, socket=str(folder / "socket")))
        client.chmod(0o755)
        try:
            yield client
        finally:
            process.communicate(timeout=30)


def serve(listener: socket.socket) -> tuple[socket.socket, list[int]]:
    """Forks for each request until whoever started this is gone; in a fork, what came of the connection."""
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        with contextlib.suppress(ChildProcessError):  # waited for, so that what tests cost counts their CPU too
            while os.waitpid(-1, 0 if 0 in ready else os.WNOHANG)[0]:
                pass
        if 0 in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            break
        connection.close()
    size, files, _, _ = socket.recv_fds(connection, 8, 3)
    connection.setblocking(True)
    return connection, [int.from_bytes(size, "big"), *files]


def follow(connection: socket.socket, child: int) -> None:
    """Tells the client how the child ended, and ends the child with the client; never comes back."""
    ended = os.pidfd_open(child)
    if ended not in select.select([connection, ended], [], [])[0]:
        os.kill(child, signal.SIGTERM)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(str(status).encode())
    os._exit(0)


def main(listener: int, modules: Sequence[str]) -> None:
    """The server; comes back in the forks alone, when the module that was asked for has ended."""
    for module in modules:
        importlib.import_module(module)
    if "apache_beam" in sys.modules:
        import quick_beam

        quick_beam.quicken()
    gc.freeze()  # what is never looked at again stays shared
    connection, (size, *files) = serve(socket.socket(fileno=listener))
    with connection.makefile("rb") as stream:
        (module, *arguments), folder, environment = json.loads(stream.read(size))
    child = os.fork()
    if child:
        follow(connection, child)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (open(n, mode, closefd=False) for n, mode in enumerate("rww"))  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:1] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[1:] = arguments
    status: object = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as leaving:
        status = leaving.code
    except BaseException:
        traceback.print_exc()
    if isinstance(status, str):
        print(status, file=sys.stderr)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # The interpreter's own end takes everything apart that was imported, for a second.
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
