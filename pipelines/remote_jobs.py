"""A pipeline that runs elsewhere, for the person who waits: where it is, how it goes, why it failed, how it ends.

Job id, console link, states and messages of Dataflow, and warnings of others, go to standard error, a line each; all
that Beam says goes to ``logs/beam-jobs.log``. A failed job is one error of ours. Ctrl-C cancels the job: it would go on
costing.
"""

import contextlib
import logging
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, PortableOptions
from apache_beam.runners.runner import PipelineResult

from pipelines.runner import WITH_JOB_SERVER, kind_of
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError

JOB_LOG = Path("logs") / "beam-jobs.log"
CONNECT_SECONDS = 5.0
#: Beam's ``job_server_timeout``, says its help, is no limit of a job. It is: a job of Beam's local job server that took
#: longer failed with DEADLINE_EXCEEDED.
DEFAULT_TIMEOUT_SECONDS, LONGEST_JOB_SECONDS = 300, 30 * 24 * 3600
PACKAGING = "docs/runners.md says how workers get the project"
#: Of all that Beam logs at INFO, what a person waits for; job messages beside it.
SHOWN = ("Submitted job", "To access the Dataflow monitoring console", "Job %s is in state")
MOST_CHARS = 300
OURS = "pipelines.spine.errors.CorpusmillError: "


def prepare(options: PipelineOptions, stage: str, store: str, progress_folder: Path) -> None:
    """Refuses a job that could not run elsewhere, and gives one that can a name.

    Args:
        options: Beam's.
        stage: which one is run.
        store: where units go, a folder or a URL.
        progress_folder: where workers of this machine say how far they are; taken away from others.
    Raises:
        CorpusmillError: the workers would write to disks of their own, or no job server answers.
    """
    if kind_of(options) == "dataflow" or options.view_as(PortableOptions).environment_type == "DOCKER":
        if not storage.is_remote(store):
            raise CorpusmillError(
                "workers do not see this machine's disk", where="storage.root", got=store, expected="gs://bucket/folder",
                hint="set storage.root in params.yaml, or the environment variable CORPUSMILL_ROOT",
            )  # fmt: skip
        shutil.rmtree(progress_folder, ignore_errors=True)
    if kind_of(options) == "dataflow":
        cloud = options.view_as(GoogleCloudOptions)
        cloud.job_name = cloud.job_name or f"corpusmill-{stage}-{uuid.uuid4().hex[:8]}"
        cloud.labels = [*(cloud.labels or []), f"corpusmill-stage={stage}"]
    portable = options.view_as(PortableOptions)
    if portable.job_server_timeout == DEFAULT_TIMEOUT_SECONDS:
        portable.job_server_timeout = LONGEST_JOB_SECONDS
    if portable.job_endpoint and portable.job_endpoint != "embed":
        _refuse_silent(portable.job_endpoint)


def _refuse_silent(endpoint: str) -> None:
    """Beam waits for a job server without a word, as long as a job may take."""
    place = urlparse(f"//{endpoint}")
    try:
        socket.create_connection((place.hostname, place.port or 0), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise CorpusmillError(
            "no job server answers", where=f"job_endpoint {endpoint}", got=error,
            hint="start one, or name the right one: docs/runners.md",
        ) from None  # fmt: skip


def wait(result: PipelineResult) -> None:
    """Waits for the job's end; cancels it when this process is told to stop."""
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        with contextlib.suppress(Exception):  # a job of this process cannot be cancelled, and need not be
            result.cancel()
            print("the job is told to stop", file=sys.stderr)
        raise


@contextlib.contextmanager
def messages(options: PipelineOptions) -> Iterator[None]:
    """Shows how a job elsewhere goes while the block runs, and keeps all that Beam says of it in a file."""
    kind = kind_of(options)
    if kind not in ("dataflow", *WITH_JOB_SERVER):
        yield
        return
    # What a job server says of a job, Beam logs under no name.
    logger = logging.getLogger("apache_beam" if kind == "dataflow" else None)
    JOB_LOG.parent.mkdir(parents=True, exist_ok=True)
    in_file = logging.FileHandler(JOB_LOG, encoding="utf-8")
    in_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [_OnTerminal(kind), in_file], False
    logger.setLevel(logging.INFO)
    try:
        yield
    except Exception:
        logger.info("what the launching process saw", exc_info=True)
        raise
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)
        in_file.close()


class _OnTerminal(logging.Handler):
    """A line for each record that a person waits for; of a traceback the first and the last one."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        wanted = record.levelno >= logging.WARNING or record.msg.startswith(SHOWN) or "JOB_MESSAGE_BASIC: " in text
        if not wanted or not text.strip() or record.exc_info or text.startswith("Console URL"):
            return
        lines = [line.strip()[:MOST_CHARS] for line in text.strip().splitlines()]
        short = lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        print(f"{clear}{self._kind}: {short}", file=sys.stderr, flush=True)


def explained(error: Exception, options: PipelineOptions) -> Exception:
    """The error of ours that a runner's stands for; one that nobody foresaw stays as it is, with its traceback.

    Beam re-raises what a worker raised with text added, or sends its text alone.
    """
    for candidate in (error, error.__cause__, error.__context__):
        if isinstance(candidate, CorpusmillError):
            return candidate
    text = str(error)
    if OURS in text:
        # The text of a worker's traceback; ours ends at the first empty line.
        return CorpusmillError(text.rpartition(OURS)[2].partition("\n\n")[0].rstrip())
    for package in ("pipelines", "tokenizer"):
        if f"No module named '{package}" in text:
            return CorpusmillError(
                "the workers do not hold this project", where=_job(error, options), got=_last_line(text),
                hint=f"name its image (sdk_container_image) or its sdist (extra_package): {PACKAGING}",
            )  # fmt: skip
    return _of_dataflow(error, text, options) if kind_of(options) == "dataflow" else error


def _of_dataflow(error: Exception, text: str, options: PipelineOptions) -> Exception:
    if hasattr(error, "result"):
        told = text.partition("Error:\n")[2]
        said = "" if told in ("", "None") else _last_line(told)  # it may fail before Beam asks for messages
        return CorpusmillError(
            "the job failed", where=_job(error, options), got=said, hint=f"all that Beam says of it is in {JOB_LOG}"
        )
    hints = {
        "DefaultCredentialsError": "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
        "Forbidden": "the roles that you and the workers' account need are in docs/runners.md",
        "PermissionDenied": "the roles that you and the workers' account need are in docs/runners.md",
        "NotFound": "check project, region and the bucket of temp_location",
    }
    module, name = type(error).__module__.partition(".")[0], type(error).__name__
    if isinstance(error, ImportError) and "apache_beam[gcp]" in text:
        return CorpusmillError(
            "Beam's client for Google Cloud is not installed", hint="pip install -c constraints.txt '.[dataflow]'"
        )
    # What Beam says of options and files it cannot use; a ValueError of our own code keeps its traceback.
    refused = isinstance(error, ValueError | RuntimeError) and any(
        told in text for told in ("validations errors", "Missing required", "cannot be found", "validation errors")
    )
    if refused or module in ("google", "grpc", "requests") or isinstance(error, OSError):
        return CorpusmillError(
            f"the job was not submitted: {_one_line(text)}",
            hint=hints.get(name, f"all that Beam says of it is in {JOB_LOG}"),
        )
    return error


def _job(error: Exception, options: PipelineOptions) -> str:
    """Its console page where the error knows the job, else the runner."""
    job = getattr(error, "result", None)
    if job is None:
        return kind_of(options)
    cloud = options.view_as(GoogleCloudOptions)
    page = f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{job.job_id()}"
    return f"{page}?project={cloud.project}"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
