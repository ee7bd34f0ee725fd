"""A stage as a command: one message for an error, a whole folder or none, the same bytes after any kill.

This file is a stage too: its ``main`` copies documents whose text is not "drop", a unit after the other.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow.compute as pc
import pytest
from corpora import digests, read_rows, write_documents, write_params

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import Shard, read_manifest
from pipelines.spine.progress import Heartbeat
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.storage import sha256_file
from pipelines.spine.units import Unit, plan_documents
from pipelines.spine.work import Outcome, run_unit

ROOT = Path(__file__).resolve().parents[1]
NUM_UNITS = 4


@dataclass(frozen=True)
class Params:
    marker: str
    fault: str


@dataclass(frozen=True)
class Copy:
    params: Params
    stage: ClassVar[str] = "test_spine_stage"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        with open(self.params.marker, "a") as file:
            file.write(f"{unit.name}\n")
        for batch in read_batches(unit.inputs[0].path):
            kept = batch.filter(pc.not_equal(batch.column("text"), "drop"))
            lost = batch.num_rows - kept.num_rows
            yield Outcome(taken=batch.num_rows, outputs={"": kept}, reasons={"dropped.asked": lost})


STAGE = Stage("test_spine_stage", Params, ("python", "pyarrow"))


def run_all(job: Job) -> list[Unit]:
    units = plan_documents(job.inputs)
    for unit in units:
        run_unit(unit, Copy(job.params), job.unit_cache(), Heartbeat())
    return units


def main(argv: Sequence[str]) -> None:
    with opened(STAGE, argv) as job:
        units = run_all(job)
        if job.params.fault == "os":
            Path("/no such folder/file").read_text()
        if job.params.fault == "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        job.publish_units(units, "documents")


def arguments(folder: Path, *more: str, **changes: str) -> list[str]:
    """Options to copy ``in`` to ``out``, with four units of three documents in ``in`` and one to drop in each."""
    if not (folder / "in").exists():
        for part in range(NUM_UNITS):
            rows = [(f"{part}-1", f"text {part}"), (f"{part}-2", f"第{part}篇"), (f"{part}-3", "drop")]
            write_documents(folder / "in" / f"{part}.parquet", rows, source=("en", "zh")[part % 2])
    values = {"marker": str(folder / "marker"), "fault": "", **changes}
    params = write_params(folder / "params.yaml", test_spine_stage=values)
    given = ["--input", str(folder / "in"), "--output", str(folder / "out"), "--cache", str(folder / "cache")]
    return [*given, "--params", str(params), *more]


def command(options: Sequence[str], kill_at: str = "") -> subprocess.CompletedProcess[str]:
    """The stage as a process of its own."""
    code = "import sys; from pipelines.spine.command import run_module; sys.exit(run_module('test_spine_stage'))"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "CORPUSMILL_KILL_AT": kill_at}
    if not kill_at:
        del environment["CORPUSMILL_KILL_AT"]
    return subprocess.run(
        [sys.executable, "-c", code, *options], env=environment, capture_output=True, text=True, timeout=60
    )


def computed(folder: Path) -> int:
    marker = folder / "marker"
    return len(marker.read_text().splitlines()) if marker.exists() else 0


def message(call) -> str:
    with pytest.raises(CorpusmillError) as caught:
        call()
    return str(caught.value)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    main(arguments(folder))
    return digests(folder / "out")


def test_a_stage_leaves_its_shards_a_manifest_a_ledger_and_a_lineage(tmp_path: Path) -> None:
    main(arguments(tmp_path))
    manifest = read_manifest(tmp_path / "out").check()
    assert [shard.rows for shard in manifest.shards] == [2, 2, 2, 2]
    assert [shard.sha256 for shard in manifest.shards] == [sha256_file(manifest.place_of(s)) for s in manifest.shards]
    texts = sorted(row["text"] for row in read_rows(tmp_path / "out"))
    assert texts == ["text 0", "text 1", "text 2", "text 3", "第0篇", "第1篇", "第2篇", "第3篇"]
    counts = {"counts": "documents", "apart": {}}
    half = {**counts, "in": 6, "out": {"documents": 4}, "reasons": {"dropped.asked": 2}}
    assert json.loads((tmp_path / "out" / "ledger.json").read_text()) == {
        "stage": "test_spine_stage", **counts, "in": 12, "out": {"documents": 8}, "reasons": {"dropped.asked": 4},
        "by_source": {"en": half, "zh": half},
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "lineage.json").read_text())["params"]["fault"] == ""


@pytest.mark.parametrize(
    ("point", "before", "after"),
    [
        ("unit", 0, 4),
        ("unit@3", 2, 2),
        ("written@2", 2, 3),  # the second unit's shards lie there, its receipt does not
        ("published@2", 2, 2),
        ("linked", 4, 0),
        ("manifest", 4, 0),
    ],
)
def test_a_killed_stage_run_again_gives_the_same_bytes_and_computes_only_unfinished_units(
    point: str, before: int, after: int, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    options = arguments(tmp_path)
    killed = command(options, kill_at=f"test_spine_stage:{point}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "out" / "manifest.json").exists() == (point == "manifest")
    assert computed(tmp_path) == before
    main(options)
    assert computed(tmp_path) == before + after
    assert digests(tmp_path / "out") == undisturbed


def test_a_run_over_a_finished_one_computes_nothing_and_changes_nothing(
    undisturbed: dict[str, str], tmp_path: Path
) -> None:
    for _ in range(2):
        main(arguments(tmp_path))
    assert computed(tmp_path) == NUM_UNITS
    assert digests(tmp_path / "out") == undisturbed


def test_the_names_and_order_of_the_inputs_change_no_byte(undisturbed: dict[str, str], tmp_path: Path) -> None:
    options = arguments(tmp_path)
    for part, name in enumerate("zyxw"):
        (tmp_path / "in" / f"{part}.parquet").rename(tmp_path / "in" / f"{name}.parquet")
    main(options)
    assert digests(tmp_path / "out") == undisturbed


def test_a_file_somebody_wrote_into_is_made_again(undisturbed: dict[str, str], tmp_path: Path) -> None:
    main(arguments(tmp_path))
    shard = sorted((tmp_path / "out").glob("*.parquet"))[0]
    with shard.open("r+b") as file:  # a link: the cache's copy is damaged with it
        file.write(b"damage")
    main(arguments(tmp_path))
    assert computed(tmp_path) == NUM_UNITS + 1
    assert digests(tmp_path / "out") == undisturbed


def test_what_an_earlier_run_left_in_the_folder_goes(tmp_path: Path) -> None:
    main(arguments(tmp_path))
    strays = ["old-1.parquet", ".tmp-1-x", "dropped/old-1.parquet"]
    (tmp_path / "out" / "dropped").mkdir()
    for name in strays:
        (tmp_path / "out" / name).write_text("x")
    (tmp_path / "in" / "3.parquet").unlink()
    main(arguments(tmp_path))
    shards = [shard.name for shard in read_manifest(tmp_path / "out").shards]
    assert len(shards) == 3
    assert sorted(digests(tmp_path / "out")) == sorted([*shards, "ledger.json", "manifest.json"])


def test_a_ledger_elsewhere_is_written_there_and_the_old_one_goes(tmp_path: Path) -> None:
    main(arguments(tmp_path))
    main(arguments(tmp_path, "--ledger", str(tmp_path / "counts" / "copy.json")))
    assert not (tmp_path / "out" / "ledger.json").exists()
    assert json.loads((tmp_path / "counts" / "copy.json").read_text())["in"] == 12


def test_a_unit_given_twice_is_counted_once(undisturbed: dict[str, str], tmp_path: Path) -> None:
    with opened(STAGE, arguments(tmp_path)) as job:
        units = run_all(job)
        total = job.publish_units([*units, *reversed(units)], "documents")
    assert total.taken == 12
    assert digests(tmp_path / "out") == undisturbed


def test_there_is_no_manifest_while_the_folder_is_being_filled_or_after_a_judge_refused(tmp_path: Path) -> None:
    main(arguments(tmp_path))

    def refuse(total: Ledger, by_source: dict[str, Ledger]) -> None:
        assert not (tmp_path / "out" / "manifest.json").exists()
        raise CorpusmillError(f"{total.reasons['dropped.asked']} dropped", where=", ".join(sorted(by_source)))

    with opened(STAGE, arguments(tmp_path)) as job:
        units = run_all(job)
        assert message(lambda: job.publish_units(units, "documents", refuse)) == "en, zh: 4 dropped"
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_unit_without_a_receipt_is_no_result(tmp_path: Path) -> None:
    with opened(STAGE, arguments(tmp_path)) as job:
        units = run_all(job)[:-1]
        never = Unit("en-000000000000", "en", ())
        said = message(lambda: job.publish_units([*units, never], "documents"))
    assert said == "en-000000000000: the unit left no receipt\n  hint: run again"
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_stage_may_publish_files_it_wrote_itself(tmp_path: Path) -> None:
    with opened(STAGE, arguments(tmp_path)) as job:
        job.begin()
        for name in ("tokenizer.json", "metrics.json", "scratch"):
            (job.output / name).write_text(name)
        ledger = Ledger("tokens")
        ledger.take(3)
        shard = Shard("tokenizer.json", 3, 14, sha256_file(job.output / "tokenizer.json"))
        assert "does not close: 3 tokens in, 0 out" in message(lambda: job.publish([shard], ledger))
        assert not (job.output / "manifest.json").exists()
        ledger.give("merges", 3)
        job.publish([shard], ledger, others=["metrics.json"])
    expected = ["ledger.json", "manifest.json", "metrics.json", "tokenizer.json"]
    assert sorted(digests(tmp_path / "out")) == expected


def test_the_lineage_names_parents_by_the_hash_of_their_manifests(tmp_path: Path) -> None:
    main(arguments(tmp_path))
    again = arguments(tmp_path, "--input", str(tmp_path / "out" / "manifest.json"), "--output", str(tmp_path / "next"))
    main(again)
    sha256 = sha256_file(tmp_path / "out" / "manifest.json")
    assert json.loads((tmp_path / "next" / "lineage.json").read_text())["parents"] == [
        {"stage": "out", "manifest_sha256": sha256}
    ]


def test_the_recipe_follows_parameters_and_no_path(tmp_path: Path) -> None:
    def recipe(options: list[str]) -> str:
        with opened(STAGE, options) as job:
            return job.recipe

    before = recipe(arguments(tmp_path))
    moved = ["--output", str(tmp_path / "x"), "--cache", str(tmp_path / "y"), "--ledger", str(tmp_path / "z")]
    assert recipe(arguments(tmp_path, *moved)) == before
    assert recipe(arguments(tmp_path, fault="other")) != before


def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    assert message(lambda: main(arguments(tmp_path))) == (
        f"{tmp_path}/out: the output folder holds files that no stage wrote\n"
        "  hint: give an empty or new folder: a stage owns its output folder and replaces what is in it"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    said = message(lambda: main(arguments(tmp_path)))
    assert said == f"{tmp_path}/out: the output is a file\n  expected: a folder\n  hint: give another --output"


def test_a_folder_in_which_a_run_died_at_its_first_file_is_taken_over(tmp_path: Path) -> None:
    options = arguments(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".tmp-0123-lineage.json").write_text('{"par')
    main(options)
    assert not list((tmp_path / "out").glob(".tmp-*"))


@pytest.mark.parametrize("place", ["in", "in/manifest.json", "in/0.parquet"])
def test_an_output_folder_that_is_an_input_too_is_refused(place: str, tmp_path: Path) -> None:
    options = arguments(tmp_path, "--input", str(tmp_path / place), "--output", str(tmp_path / "in"))
    (tmp_path / "in" / "lineage.json").write_text("{}")
    assert message(lambda: main(options)) == (
        f"{tmp_path}/{place}: the output folder is an input\n"
        "  hint: give another --output: a stage owns its output folder and replaces what is in it"
    )
    assert len(list((tmp_path / "in").glob("*.parquet"))) == NUM_UNITS


def test_a_second_run_into_the_same_folder_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    options = arguments(tmp_path)
    with opened(STAGE, options):
        said = message(lambda: main(options))
        assert said == (
            f"{tmp_path}/out: another process is writing here\n  hint: wait until it has finished, then run again"
        )
        main([*options, "--output", str(tmp_path / "other")])
    main(options)


def test_other_versions_than_the_workspace_declares_are_refused(tmp_path: Path) -> None:
    options = arguments(tmp_path)
    (tmp_path / "versions.yaml").write_text("python: '2.7'\npyarrow: 0.1.0\n")
    said = message(lambda: main(options))
    assert said.startswith(f"{tmp_path}/versions.yaml: another version of python is installed than shaped")


def test_an_unknown_option_is_refused_by_a_stage_without_a_runner(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        main(arguments(tmp_path, "--runnr", "Flink"))
    assert capsys.readouterr().err.endswith("error: unknown options: --runnr Flink\n")


def test_an_error_is_one_message_and_status_1(tmp_path: Path) -> None:
    options = arguments(tmp_path)
    (tmp_path / "params.yaml").write_text("test_spine_stage: {marker: x}\n")
    done = command(options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: params.yaml: test_spine_stage.fault is missing\n"
        "  expected: text\n"
        "  hint: every parameter is written in the file; there are no defaults in code\n"
    )


def test_an_error_of_the_operating_system_is_one_message_and_status_1(tmp_path: Path) -> None:
    done = command(arguments(tmp_path, fault="os"))
    assert done.returncode == 1
    assert done.stderr == "error: /no such folder/file: no such file or directory\n  hint: check the path\n"


def test_sigterm_ends_a_stage_like_ctrl_c(tmp_path: Path) -> None:
    done = command(arguments(tmp_path, fault="terminate"))
    assert done.returncode == 130
    assert done.stderr == "interrupted; what is finished is kept, run again to go on\n"


def talk(folder: Path, body: str, *options: str, read: bool) -> tuple[int, str]:
    """(exit status, standard error) of a command whose output is read, or whose reader has left."""
    (folder / "talker.py").write_text(f"def main(argv):\n    {body}\n")
    code = "import sys; from pipelines.spine.command import run_module; sys.exit(run_module('talker'))"
    paths = os.pathsep.join([str(ROOT), str(folder)])
    with subprocess.Popen(
        [sys.executable, *options, "-c", code], env={**os.environ, "PYTHONPATH": paths}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        if not read:
            process.stdout.close()
            process.stdout = None
        _, said = process.communicate(timeout=60)
        return process.returncode, said


@pytest.mark.parametrize(("lines", "options"), [(1, []), (100_000, []), (2, ["-u"])])
def test_a_reader_that_leaves_ends_a_command_without_a_word(tmp_path: Path, lines: int, options: list[str]) -> None:
    body = f"[print('a line') for _ in range({lines})]"
    assert talk(tmp_path, body, *options, read=False) == (141, "")
    assert talk(tmp_path, body, *options, read=True) == (0, "")


def test_a_terminal_of_few_characters_gets_escapes_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "talker.py").write_text("def main(argv):\n    print('日本 x')\n")
    code = "import sys; from pipelines.spine.command import run_module; sys.exit(run_module('talker'))"
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"\\u65e5\\u672c x\n")


def test_another_pipe_that_breaks_is_an_error(tmp_path: Path) -> None:
    body = "raise BrokenPipeError(32, 'Broken pipe')"
    assert talk(tmp_path, body, read=True) == (1, "error: a file: broken pipe\n")
