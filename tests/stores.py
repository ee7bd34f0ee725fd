"""Object stores on loopback, each a process of its own: what S3 and Google Cloud Storage speak, without either."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

#: The emulator serves one connection at a time, and a client that holds two waits without end.
GCS_SERVER = """
import sys
from http import server
import gcp_storage_emulator.server
gcp_storage_emulator.server.server.HTTPServer = server.ThreadingHTTPServer
from gcp_storage_emulator.__main__ import main
main(["start", "--in-memory", "--host=127.0.0.1", f"--port={sys.argv[1]}"])
"""


class Store:
    """A running store: ``environment`` is what a process must be given to reach it."""

    def __init__(self, scheme: str, environment: dict[str, str]) -> None:
        self.scheme, self.environment = scheme, environment

    def create_bucket(self, name: str) -> str:
        """The bucket's place."""
        from pyarrow import fs

        if self.scheme == "s3":
            server = self.environment["AWS_ENDPOINT_URL"].partition("://")[2]
            fs.S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True).create_dir(name)
        else:
            body = f'{{"name": "{name}"}}'.encode()
            url = f"{self.environment['STORAGE_EMULATOR_HOST']}/storage/v1/b?project=corpus"
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=10).close()
        return f"{self.scheme}://{name}"


@contextlib.contextmanager
def s3_server() -> Iterator[Store]:
    """An S3 server; the variables are set in this process too, for as long as the block lasts."""
    port = free_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _served(command, port), _set(environment):
        yield Store("s3", environment)


@contextlib.contextmanager
def gcs_server() -> Iterator[Store]:
    """A Google Cloud Storage server; the variables are set in this process too, for as long as the block lasts."""
    port = free_port()
    environment = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    with _served([sys.executable, "-c", GCS_SERVER, str(port)], port), _set(environment):
        yield Store("gs", environment)


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def _served(command: list[str], port: int) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, cwd=Path(__file__).parent)
    try:
        _wait_for(port, process)
        yield
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended at once"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


@contextlib.contextmanager
def _set(environment: dict[str, str]) -> Iterator[None]:
    """The client is made once a process: forget it before and after, since the next server has another port."""
    from pipelines.spine import objects

    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    objects._store_of.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
        objects._store_of.cache_clear()
