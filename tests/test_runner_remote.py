"""A pipeline that runs elsewhere: refused where it cannot work, named, shown in lines, and its failure explained."""

import logging
import re
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, PortableOptions
from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException
from stores import free_port

from pipelines import remote_jobs
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.progress import Display, Heartbeat
from pipelines.spine.units import Unit

DATAFLOW = ["--runner=DataflowRunner", "--project=p", "--region=r"]


NOWHERE = Path("/no/such/folder")


def refusal(options: PipelineOptions, store: str) -> str:
    with pytest.raises(CorpusmillError) as caught:
        remote_jobs.prepare(options, "clean", store, NOWHERE)
    return str(caught.value)


@pytest.mark.parametrize("given", [DATAFLOW, ["--runner=FlinkRunner", "--environment_type=DOCKER"]])
def test_workers_that_do_not_see_this_disk_need_a_root_in_a_store(given: list[str]) -> None:
    assert refusal(PipelineOptions(given), "/here/.cache") == (
        "storage.root: workers do not see this machine's disk\n  expected: gs://bucket/folder\n  got: /here/.cache\n"
        "  hint: set storage.root in params.yaml, or the environment variable CORPUSMILL_ROOT"
    )


def test_of_workers_elsewhere_the_progress_line_claims_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "progress"
    folder.mkdir()
    with Display("clean", "documents", [Unit("a", "a", ()), Unit("b", "b", ())], Heartbeat(str(folder))) as display:
        remote_jobs.prepare(PipelineOptions(DATAFLOW), "clean", "gs://bucket/corpus", folder)
        assert re.fullmatch(r"clean    2 units elsewhere  in 0\.\d s", display.line(done=True))


def test_workers_that_may_share_a_disk_need_none() -> None:
    for given in (["--runner=FlinkRunner", "--flink_master=[local]"], ["--runner=FnApiRunner"]):
        remote_jobs.prepare(PipelineOptions(given), "clean", "/here/.cache", NOWHERE)


def test_a_dataflow_job_is_named_and_labelled_by_its_stage() -> None:
    options = PipelineOptions([*DATAFLOW, "--labels=team=words"])
    remote_jobs.prepare(options, "clean", "gs://bucket/corpus", NOWHERE)
    cloud = options.view_as(GoogleCloudOptions)
    assert re.fullmatch(r"corpusmill-clean-[0-9a-f]{8}", cloud.job_name)
    assert cloud.labels == ["team=words", "corpusmill-stage=clean"]


def test_a_name_that_is_given_stays() -> None:
    options = PipelineOptions([*DATAFLOW, "--job_name=mine"])
    remote_jobs.prepare(options, "clean", "gs://bucket/corpus", NOWHERE)
    assert options.view_as(GoogleCloudOptions).job_name == "mine"


def test_a_job_server_that_does_not_answer_is_said_at_once() -> None:
    port = free_port()
    said = refusal(PipelineOptions(["--runner=PortableRunner", f"--job_endpoint=localhost:{port}"]), "/here/.cache")
    assert said.startswith(f"job_endpoint localhost:{port}: no job server answers\n  got: ")
    assert said.endswith("\n  hint: start one, or name the right one: docs/runners.md")


def test_beam_s_timeout_of_a_job_server_does_not_end_a_job_of_more_than_five_minutes() -> None:
    options = PipelineOptions(["--runner=PortableRunner", "--job_endpoint=embed"])
    assert options.view_as(PortableOptions).job_server_timeout == 300
    remote_jobs.prepare(options, "clean", "/here/.cache", NOWHERE)
    assert options.view_as(PortableOptions).job_server_timeout == 2_592_000


class Job:
    """What the error asks of Beam's result."""

    def job_id(self) -> str:
        return "2026-1"


def failed(text: str) -> DataflowRuntimeException:
    """As Beam raises it, with the text of the job's last message."""
    return DataflowRuntimeException(f"Dataflow pipeline failed. State: FAILED, Error:\n{text}", Job())


PAGE = "https://console.cloud.google.com/dataflow/jobs/r/2026-1?project=p"


def explained(error: Exception) -> str:
    found = remote_jobs.explained(error, PipelineOptions(DATAFLOW))
    assert isinstance(found, CorpusmillError)
    return str(found)


def test_a_failed_job_is_its_last_line_and_its_page() -> None:
    error = failed("Traceback (most recent call last):\n  File x\nMemoryError: none left\n")
    assert explained(error) == (
        f"{PAGE}: the job failed\n  got: MemoryError: none left\n"
        "  hint: all that Beam says of it is in logs/beam-jobs.log"
    )


def test_an_error_of_ours_in_a_worker_is_that_error_alone() -> None:
    error = failed(
        "Traceback (most recent call last):\n  File x\n"
        "pipelines.spine.errors.CorpusmillError: dump.bz2: broken\n  got: 字\n  hint: fetch it again\n\nNote: more"
    )
    assert explained(error) == "dump.bz2: broken\n  got: 字\n  hint: fetch it again"


@pytest.mark.parametrize("package", ["pipelines", "tokenizer.engine"])
def test_workers_without_the_project_are_told_from_other_failures(package: str) -> None:
    text = f"Traceback (most recent call last):\nModuleNotFoundError: No module named '{package}'"
    assert explained(failed(text)) == (
        f"{PAGE}: the workers do not hold this project\n  got: ModuleNotFoundError: No module named '{package}'\n"
        "  hint: name its image (sdk_container_image) or its sdist (extra_package): "
        "docs/runners.md says how workers get the project"
    )


def test_what_beam_refuses_to_submit_is_one_message() -> None:
    error = RuntimeError('The file "dist/x.tar.gz" cannot be found. It was specified in the --extra_packages option.')
    assert explained(error) == (
        'the job was not submitted: The file "dist/x.tar.gz" cannot be found. It was specified in the '
        "--extra_packages option.\n  hint: all that Beam says of it is in logs/beam-jobs.log"
    )
    assert explained(ImportError("Google Cloud Dataflow runner not available, please install apache_beam[gcp]")) == (
        "Beam's client for Google Cloud is not installed\n  hint: pip install -c constraints.txt '.[dataflow]'"
    )


def test_missing_rights_name_the_page_that_lists_them() -> None:
    from google.api_core.exceptions import Forbidden

    assert explained(Forbidden("the caller does not have permission")) == (
        "the job was not submitted: 403 the caller does not have permission\n"
        "  hint: the roles that you and the workers' account need are in docs/runners.md"
    )


def test_a_fault_of_our_own_code_keeps_its_traceback() -> None:
    error = ValueError("not enough values to unpack")
    assert remote_jobs.explained(error, PipelineOptions(DATAFLOW)) is error


def test_of_what_beam_logs_a_person_sees_the_lines_that_matter_and_a_file_holds_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("apache_beam.runners.dataflow.dataflow_runner")
    with remote_jobs.messages(PipelineOptions(DATAFLOW)):
        logger.info("sdk_pipeline_options: %s", {"a": 1})
        logger.info("Job %s is in state %s", "2026-1", "JOB_STATE_RUNNING")
        logger.info("%s", "2026: JOB_MESSAGE_BASIC: Starting 2 workers")
        logger.debug("2026: JOB_MESSAGE_DEBUG: more")
        logger.error("%s", "2026: JOB_MESSAGE_ERROR: Traceback\n  File x\nMemoryError: none left\n")
    logger.info("Job %s is in state %s", "2026-2", "JOB_STATE_RUNNING")
    assert capsys.readouterr().err == (
        "dataflow: Job 2026-1 is in state JOB_STATE_RUNNING\n"
        "dataflow: 2026: JOB_MESSAGE_BASIC: Starting 2 workers\n"
        "dataflow: 2026: JOB_MESSAGE_ERROR: Traceback ... MemoryError: none left\n"
    )
    held = (tmp_path / "logs" / "beam-jobs.log").read_text()
    assert "sdk_pipeline_options: {'a': 1}" in held
    assert "  File x\nMemoryError: none left" in held
    assert "2026-2" not in held
