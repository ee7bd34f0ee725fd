"""Bad input through the command line: one clear message or the quarantine, exit status 1, nothing taken for done."""

import bz2
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from corpora import read_rows, words, write_documents

ROOT = Path(__file__).resolve().parents[1]
PAGE = "<page><title>{0}</title><ns>0</ns><id>{0}</id><revision><id>1</id><text>{1}</text></revision></page>\n"


def run(
    module: str, *options: object, params: Path | None = None, limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """A stage's command with the repository's parameters, whatever its end."""
    command = [sys.executable, "-m", module, "--params", str(params or ROOT / "params.yaml"), *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit, timeout=120)


def the_message(done: subprocess.CompletedProcess[str]) -> str:
    """The one message of a run that failed as it should: status 1 and no traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("error: ") == 1, done.stderr
    return done.stderr[done.stderr.index("error: ") :]


def extract(tmp_path: Path, kind: str, file: Path, **more: object) -> subprocess.CompletedProcess[str]:
    options = ["--kind", kind, "--source", "made", "--language", "en", "--input", file]
    return run("pipelines.extract", *options, "--output", tmp_path / "out", "--cache", tmp_path / "cache", **more)


def with_params(tmp_path: Path, old: str, new: str) -> Path:
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_truncated_dump_keeps_its_whole_pages_and_quarantines_the_rest(tmp_path: Path) -> None:
    pages = "".join(PAGE.format(index, " ".join(words(index, 50))) for index in range(1, 40))
    dump = tmp_path / "dump.xml"
    dump.write_text(f"<mediawiki>{pages}<page><title>half</title><ns>0</ns><id>99</id><revision><text>cut he")
    assert extract(tmp_path, "mediawiki", dump).returncode == 0
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_text())
    assert (ledger["in"], ledger["out"], ledger["reasons"]) == (40, {"documents": 39}, {"quarantined.truncated": 1})
    (bad,) = read_rows(tmp_path / "out" / "quarantined")
    assert bad["raw"].startswith(b"<page><title>half")


def test_a_dump_whose_compression_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    pages = "".join(PAGE.format(index, " ".join(words(index, 400))) for index in range(1, 900))
    packed = bz2.compress(f"<mediawiki>{pages}</mediawiki>".encode())
    dump = tmp_path / "dump.xml.bz2"
    dump.write_bytes(packed[: len(packed) * 2 // 3])
    assert extract(tmp_path, "mediawiki", dump).returncode == 0
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_text())
    assert ledger["out"]["documents"] > 100
    assert sum(ledger["reasons"].values()) == 1


def test_a_real_dump_cut_in_a_page_is_read_to_the_cut(tmp_path: Path, shared_data: Path) -> None:
    cut = shared_data / "broken" / "jawiki-cut-mid-page.xml.xz"
    assert extract(tmp_path, "mediawiki", cut).returncode == 0
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_text())
    assert ledger["reasons"]["quarantined.truncated"] == 1
    assert ledger["out"]["documents"] > 100


def test_an_empty_dump_is_one_entry_of_the_quarantine_and_fails_by_its_share(tmp_path: Path) -> None:
    (tmp_path / "empty.xml").touch()
    message = the_message(extract(tmp_path, "mediawiki", tmp_path / "empty.xml"))
    assert "1 of 1 records are in quarantine" in message
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_file_that_is_not_what_its_kind_says_is_named_with_what_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "dump.xml.bz2"
    file.write_text("a plain text that calls itself a dump\n" * 50)
    message = the_message(extract(tmp_path, "mediawiki", file))
    assert "expected: " in message
    assert "a plain text that calls itself a dump" in message
    assert "hint: " in message
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_missing_key_a_wrong_type_and_an_unknown_one_are_named(tmp_path: Path) -> None:
    given = ["--input", tmp_path, "--output", tmp_path / "out"]
    missing = with_params(tmp_path, "  threshold: 0.8", "  # threshold: 0.8")
    assert "params.yaml: dedup.threshold is missing" in the_message(run("pipelines.dedup", *given, params=missing))
    wrong = with_params(tmp_path, "  threshold: 0.8", "  threshold: high")
    message = the_message(run("pipelines.dedup", *given, params=wrong))
    assert "params.yaml: dedup.threshold: wrong type" in message
    assert "expected: a number" in message
    unknown = with_params(tmp_path, "  threshold: 0.8", "  treshold: 0.8")
    assert "dedup.treshold is not a parameter; known: normalization, threshold" in the_message(
        run("pipelines.dedup", *given, params=unknown)
    )


def test_no_space_for_the_output_is_said_and_nothing_half_written_counts_as_done(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(index), "text": os.urandom(2000).hex()}) for index in range(400)]
    (tmp_path / "big.jsonl").write_text("\n".join(lines))

    def small_files() -> None:
        # A disk that takes no file past 64 KiB: the write fails as on a full one.
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    message = the_message(extract(tmp_path, "jsonl", tmp_path / "big.jsonl", limit=small_files))
    assert "file too large" in message
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not list((tmp_path / "cache").rglob("receipt.json"))
    assert not list((tmp_path / "cache").rglob(".tmp-*"))
    assert extract(tmp_path, "jsonl", tmp_path / "big.jsonl").returncode == 0


def test_a_stage_before_the_one_that_feeds_it_says_which_to_run(tmp_path: Path) -> None:
    message = the_message(run("tokenizer.learn", "--input", tmp_path / "count", "--output", tmp_path / "out"))
    assert "hint: run `dvc repro count`" in message


def test_a_shard_that_does_not_match_its_manifest_is_refused(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [(str(index), f"text {index}") for index in range(30)])
    sharded = ["--output", tmp_path / "shard", "--cache", tmp_path / "cache"]
    assert run("pipelines.shard", "--input", tmp_path / "in", *sharded).returncode == 0
    shard = next((tmp_path / "shard").glob("train-*.parquet"))
    content = shard.read_bytes()
    shard.unlink()  # not in place: the cache holds the same inode
    shard.write_bytes(content[:-10])
    message = the_message(run("pipelines.count", "--input", tmp_path / "shard", "--output", tmp_path / "out"))
    assert "the manifest and the folder do not agree" in message
    assert shard.name in message


def test_an_output_folder_with_files_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "text")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("do not delete")
    message = the_message(run("pipelines.shard", "--input", tmp_path / "in", "--output", tmp_path / "out"))
    assert "holds files that no stage wrote" in message
    assert (tmp_path / "out" / "thesis.doc").read_text() == "do not delete"


@pytest.mark.parametrize("number", ["0", "many"])
def test_a_number_of_workers_that_is_none_is_refused(
    tmp_path: Path, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "text")])
    monkeypatch.setenv("CORPUSMILL_WORKERS", number)
    options = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--cache", tmp_path / "cache"]
    message = the_message(run("pipelines.shard", *options))
    assert "environment variable CORPUSMILL_WORKERS" in message
