"""Enough of the Dataflow service on loopback for Beam's real DataflowRunner, with workers that hold nothing of ours.

A created job is taken apart as the service would: its pipeline and its staged files come out of the object store, the
packages among them are installed, and the pipeline runs in a process of a clean environment (`dataflow_worker`).

Source of the paths and fields: cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.jobs.
"""

import hashlib
import itertools
import json
import subprocess
import threading
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from clean_environment import create_environment, install

#: Dataflow tries a work item four times.
MOST_ATTEMPTS = 4
WORKER = Path(__file__).with_name("dataflow_worker.py")


@dataclass
class DataflowJob:
    """A job as it was submitted, and what became of it."""

    id: str
    path: str
    body: dict[str, Any]
    state: str = "JOB_STATE_PENDING"
    messages: list[dict[str, str]] = field(default_factory=list)
    attempts: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def pool(self) -> dict[str, Any]:
        """The one worker pool that was asked for."""
        (pool,) = self.body["environment"]["workerPools"]
        return pool

    @property
    def options(self) -> dict[str, Any]:
        """The pipeline options that workers see."""
        return self.body["environment"]["sdkPipelineOptions"]["options"]

    @property
    def staged(self) -> dict[str, str]:
        """Name -> URL of each staged file."""
        found = {package["name"]: package["location"] for package in self.pool.get("packages", [])}
        return {name: location.replace("storage.googleapis.com/", "gs://", 1) for name, location in found.items()}

    @property
    def said(self) -> str:
        """The text of its last message."""
        return self.messages[-1]["messageText"] if self.messages else ""

    def describe(self) -> dict[str, Any]:
        """What the service answers about it."""
        asked = {name: self.body[name] for name in ("name", "type", "clientRequestId", "labels") if name in self.body}
        return {**asked, "id": self.id, "currentState": self.state}

    def tell(self, importance: str, text: str) -> None:
        """Adds a job message; each has a second of its own, by which Beam asks for the later ones."""
        time = f"2026-01-01T00:00:{len(self.messages):02d}Z"
        number = f"{len(self.messages):04d}"
        self.messages.append(
            {"id": number, "time": time, "messageText": text, "messageImportance": f"JOB_MESSAGE_{importance}"}
        )


class DataflowService:
    """The service; a context manager. Jobs run one after another, and all it was asked for stays in ``jobs``.

    Args:
        folder: for staged files and the workers' environment.
        store: address of the storage emulator, ``http://localhost:1``.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store = folder, store
        self.jobs: list[DataflowJob] = []
        #: Beam asks every five seconds. So the answer to a submission comes when the job has ended, unless a test
        #: wants to see it wait.
        self.answers_at_once = False
        #: A job that waits for workers until it is cancelled.
        self.has_no_workers = False
        #: Where the first worker of the next job dies (`pipelines.spine.faults`); Dataflow starts another one.
        self.dies_at = ""
        self._lock = threading.Lock()
        self._installed: dict[str, Path] = {}
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self._python = create_environment(self.folder / "environment")
        with (self.folder / "worker.log").open("w") as log:
            self._worker = subprocess.Popen(
                [str(self._python), "-I", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                text=True, cwd=self.folder, env=self._environment_of_workers(),
            )  # fmt: skip
        self._server = ThreadingHTTPServer(("localhost", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._worker.communicate(timeout=30)

    def _environment_of_workers(self) -> dict[str, str]:
        """All that a worker is given, as on a machine of its own."""
        cache = str(self.folder / "local-copies")
        return {"STORAGE_EMULATOR_HOST": self.store, "CORPUSMILL_LOCAL_CACHE": cache, "PATH": "/usr/bin:/bin"}

    @property
    def endpoint(self) -> str:
        """For ``--dataflow_endpoint``."""
        return f"http://localhost:{self._server.server_address[1]}"

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Takes a job in and runs it; what the service answers."""
        job = DataflowJob(f"2026-01-01_00_00_00-{next(self._numbers)}", path, body)
        self.jobs.append(job)
        if self.answers_at_once:
            answer = job.describe()
            threading.Thread(target=self._run, args=(job,), daemon=True).start()
            return answer
        self._run(job)
        return job.describe()

    def job(self, number: str) -> DataflowJob:
        """The job of that id."""
        return next(job for job in self.jobs if job.id == number)

    def cancel(self, number: str) -> dict[str, Any]:
        """Ends a waiting job; what the service answers."""
        job = self.job(number)
        job.cancelled.set()
        return job.describe()

    def _run(self, job: DataflowJob) -> None:
        with self._lock:
            job.state = "JOB_STATE_RUNNING"
            job.tell("BASIC", "Worker configuration: as asked for")
            if self.has_no_workers:
                job.cancelled.wait(60)
                job.state = "JOB_STATE_CANCELLED"
                return
            try:
                said = self._run_on_workers(job, self.folder / job.id)
            except Exception as error:
                said = f"the service itself failed: {error!r}"
        if said:
            job.tell("ERROR", said)
        job.state = "JOB_STATE_FAILED" if said else "JOB_STATE_DONE"

    def _run_on_workers(self, job: DataflowJob, folder: Path) -> str:
        """The traceback of what failed, "" where nothing did. An error is final; a worker that dies is not."""
        folder.mkdir()
        (folder / "pipeline.pb").write_bytes(self._read(job.options["pipelineUrl"]))
        for name, url in job.staged.items():
            (folder / name).write_bytes(self._read(url))
        named = folder / "extra_packages.txt"  # what a worker installs of the staged files, in this order
        packages = [self._install(folder / name) for name in named.read_text().split()] if named.exists() else []
        dies_at, self.dies_at = self.dies_at, ""
        for job.attempts in range(1, MOST_ATTEMPTS + 1):
            status = self._ask_worker(folder, packages, dies_at if job.attempts == 1 else "")
            if status >= 0:
                return (folder / "failure").read_text() if status else ""
            job.tell("WARNING", f"A worker was lost (status {status})")
        return "The job failed because its workers were lost too often"

    def _ask_worker(self, folder: Path, packages: list[Path], dies_at: str) -> int:
        """The exit status of one attempt."""
        empty = folder / f"empty-{len(list(folder.iterdir()))}"
        empty.mkdir()
        request = {
            "pipeline": str(folder / "pipeline.pb"), "packages": [str(place) for place in packages],
            "folder": str(empty), "failure": str(folder / "failure"), "dies_at": dies_at,
        }  # fmt: skip
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(request) + "\n")
        self._worker.stdin.flush()
        return int(self._worker.stdout.readline())

    def _install(self, package: Path) -> Path:
        """The folder that holds the package; equal files are installed once."""
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        if digest not in self._installed:
            target = self.folder / f"installed-{digest[:12]}"
            install(self._python, package, target)
            self._installed[digest] = target
        return self._installed[digest]

    def _read(self, url: str) -> bytes:
        bucket, _, name = url.removeprefix("gs://").partition("/")
        place = f"{self.store}/download/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media"
        with urllib.request.urlopen(place, timeout=30) as answer:
            return answer.read()


def _handler(service: DataflowService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(service.create(self.path.partition("?")[0], json.loads(body)))

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(service.cancel(self.path.partition("?")[0].rpartition("/")[2]))

        def do_GET(self) -> None:
            parts = urllib.parse.urlparse(self.path).path.split("/jobs/")[1].split("/")
            job = service.job(parts[0])
            self._answer({"jobMessages": job.messages} if parts[1:] == ["messages"] else job.describe())

        def _answer(self, document: dict[str, Any]) -> None:
            text = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *about: object) -> None:
            pass

    return Handler
