"""Which runner runs a pipeline: by default the in-process one by name, else what a setting or a file says."""

import argparse
import re
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
)
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipelines.runner import local_processes, runner_options
from pipelines.spine.errors import CorpusmillError

ROOT = Path(__file__).resolve().parents[1]
RUNNER_FILES = sorted((ROOT / "runners").glob("*.yaml"))
IN_PROCESS = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORPUSMILL_WORKERS", raising=False)
    monkeypatch.delenv("CORPUSMILL_RUNNER", raising=False)


def runner(options: PipelineOptions) -> str:
    return options.view_as(StandardOptions).runner


def message(*arguments: str) -> str:
    with pytest.raises(CorpusmillError) as caught:
        runner_options(arguments)
    return str(caught.value)


def test_the_in_process_runner_is_asked_for_by_name() -> None:
    # Beam's "DirectRunner" would first try to download another one.
    options = runner_options([])
    assert runner(options) == IN_PROCESS
    assert options.view_as(DirectOptions).direct_running_mode == "in_memory"
    assert local_processes(options) is None


def test_one_setting_runs_several_local_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSMILL_WORKERS", "4")
    options = runner_options([])
    assert runner(options) == IN_PROCESS
    processes = local_processes(options)
    assert processes is not None
    assert isinstance(processes._default_environment, SubprocessSDKEnvironment)
    assert options.view_as(DirectOptions).direct_num_workers == 4


def test_a_setting_goes_before_the_number_that_a_stage_would_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runner_options([], 3).view_as(DirectOptions).direct_num_workers == 3
    monkeypatch.setenv("CORPUSMILL_WORKERS", "1")
    assert runner_options([], 3).view_as(DirectOptions).direct_num_workers == 1


@pytest.mark.parametrize("workers", ["0", "-1", "two", "1.5", "", " 2"])
def test_a_number_of_workers_that_is_none_is_refused(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSMILL_WORKERS", workers)
    assert message() == f"environment variable CORPUSMILL_WORKERS: not a number of workers\n  got: {workers!r}"


def test_a_runner_on_the_command_line_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSMILL_WORKERS", "4")
    options = runner_options(["--runner=FlinkRunner", "--flink_master", "localhost:1"])
    assert runner(options) == "FlinkRunner"
    assert options.view_as(DirectOptions).direct_running_mode == "in_memory"
    assert options.get_all_options(retain_unknown_options=True)["flink_master"] == "localhost:1"


def test_beam_s_options_pass_through_to_the_local_runner() -> None:
    options = runner_options(["--job_name", "mine", "--direct_num_workers=3"])
    assert runner(options) == IN_PROCESS
    assert options.view_as(DirectOptions).direct_num_workers == 3


@pytest.mark.parametrize("given", [["--drop", "data/dedup"], ["--drop=data/dedup"], ["data/dedup"]])
def test_a_misspelt_option_is_refused_and_not_dropped_without_a_word(given: list[str]) -> None:
    said = message("--job_name", "mine", *given)
    assert said.startswith(f"unknown options: {' '.join(given)}\n  hint: ")


def test_a_file_names_any_other_runner_in_its_own_terms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "portable.yaml"
    path.write_text(
        "runner: PortableRunner\njob_endpoint: localhost:8099\nexperiments: [one, two]\n"
        "streaming: false\nno_auth: true\njob_name:\n"
    )
    monkeypatch.setenv("CORPUSMILL_RUNNER", str(path))
    monkeypatch.setenv("CORPUSMILL_WORKERS", "4")
    options = runner_options([])
    assert runner(options) == "PortableRunner"
    assert options.view_as(PortableOptions).job_endpoint == "localhost:8099"
    found = options.get_all_options()
    assert (found["experiments"], found["streaming"], found["no_auth"]) == (["one", "two"], False, True)
    assert found["job_name"] is None
    assert found["direct_running_mode"] == "in_memory"


def test_the_command_line_counts_more_than_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runner.yaml").write_text("runner: PortableRunner\njob_name: theirs\n")
    monkeypatch.setenv("CORPUSMILL_RUNNER", str(tmp_path / "runner.yaml"))
    options = runner_options(["--job_name=mine"])
    assert (runner(options), options.get_all_options()["job_name"]) == ("PortableRunner", "mine")


def test_a_missing_runner_file_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSMILL_RUNNER", str(tmp_path / "no.yaml"))
    assert message() == (
        f"{tmp_path}/no.yaml: no such runner file\n"
        "  hint: CORPUSMILL_RUNNER names a YAML file of Beam options, see runners/"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a mapping of Beam options\n  expected: runner: FlinkRunner"),
        ("- runner", "not a mapping of Beam options\n  expected: runner: FlinkRunner"),
        ("runner: [a", "not valid YAML: while parsing a flow sequence"),
    ],
)
def test_a_runner_file_that_is_no_mapping_is_refused(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runner.yaml").write_text(text)
    monkeypatch.setenv("CORPUSMILL_RUNNER", str(tmp_path / "runner.yaml"))
    assert message().startswith(f"{tmp_path}/runner.yaml: {said}")


@pytest.mark.parametrize("path", RUNNER_FILES, ids=lambda path: path.name)
def test_beam_knows_every_option_of_a_runner_file_those_in_its_comments_too(path: Path) -> None:
    named = set(re.findall(r"^(?:# )?([a-z_]+):", path.read_text(), re.MULTILINE))
    assert "runner" in named
    assert named - known_options() == set()


def known_options() -> set[str]:
    """The names of all options that Beam's own parsers take."""
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    return {option.removeprefix("--") for option in parsers[0]._option_string_actions}


@pytest.mark.parametrize("path", RUNNER_FILES, ids=lambda path: path.name)
def test_a_runner_file_is_taken_once_its_placeholders_are_filled_in(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = path.read_text()
    (tmp_path / path.name).write_text(re.sub(r"YOUR-[A-Z-]*[A-Z]", "mine", text))
    monkeypatch.setenv("CORPUSMILL_RUNNER", str(tmp_path / path.name))
    options = runner_options([])
    assert runner(options) == re.findall(r"^runner: (\S+)", text, re.MULTILINE)[0]
    assert options.view_as(SetupOptions).save_main_session is False


def test_the_dataflow_file_asks_for_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "runners" / "dataflow.yaml").read_text()
    (tmp_path / "dataflow.yaml").write_text(re.sub(r"YOUR-[A-Z-]*[A-Z]", "mine", text))
    monkeypatch.setenv("CORPUSMILL_RUNNER", str(tmp_path / "dataflow.yaml"))
    asked = runner_options([]).get_all_options(drop_default=True)
    assert asked == {
        "runner": "DataflowRunner", "project": "mine", "region": "mine", "temp_location": "gs://mine/dataflow/tmp",
        "staging_location": "gs://mine/dataflow/staging", "enable_artifact_caching": True,
        "sdk_container_image": "mine-docker.pkg.dev/mine/corpusmill/worker:0.1.0", "sdk_location": "container",
        "use_public_ips": False, "machine_type": "n2-standard-4", "num_workers": 2, "max_num_workers": 16,
        "autoscaling_algorithm": "THROUGHPUT_BASED", "number_of_worker_harness_threads": 1, "disk_size_gb": 50,
        "labels": ["application=corpusmill"], "save_main_session": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "option", "got"),
    [
        ("dataflow", "project", "YOUR-PROJECT"),
        ("flink", "environment_config", "YOUR-REGISTRY/corpusmill/worker:0.1.0"),
        ("spark", "environment_config", "YOUR-REGISTRY/corpusmill/worker:0.1.0"),
    ],
)
def test_a_placeholder_that_is_left_is_refused_before_anything_is_sent(
    name: str, option: str, got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ROOT / "runners" / f"{name}.yaml"
    monkeypatch.setenv("CORPUSMILL_RUNNER", str(path))
    assert message() == (
        f"{path}: {option}: a placeholder is left\n  got: {got}\n"
        "  hint: write your own value there, or copy the file and write it into the copy"
    )


def test_a_misspelt_option_in_a_file_is_refused_unless_a_job_server_may_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runner.yaml"
    monkeypatch.setenv("CORPUSMILL_RUNNER", str(path))
    path.write_text("runner: DataflowRunner\nmachine_typ: n2-standard-4\n")
    assert message() == (
        f"{path}: unknown options: --machine_typ=n2-standard-4\n  hint: see runners/, or --help of a stage"
    )
    path.write_text("runner: FlinkRunner\nobject_reuse: true\n")
    assert runner_options([]).get_all_options(retain_unknown_options=True)["object_reuse"] is True
