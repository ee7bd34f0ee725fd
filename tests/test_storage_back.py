"""The back half of the flow with a storage root: the same manifests, ledgers and bytes, wherever the shards lie."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pytest
from corpora import DEDUP, words, write_documents, write_params
from stores import gcs_server, s3_server

from pipelines import count, dedup, export_tokens, pack, report, shard, trace
from pipelines.bring import bring
from pipelines.duplicates.plan import SearchFiles
from pipelines.duplicates.references import PAIR
from pipelines.segment_languages import languages_file, read_languages
from pipelines.spine import local_cache, objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from pipelines.spine.root import ROOT
from pipelines.token_shards import SplitRows
from tokenizer import learn

PARAMS = {
    "dedup": {**DEDUP, "max_dropped_percent": {"default": 100}},
    "shard": {
        "val_per_10000": 2500, "test_per_10000": 2500, "max_eval_documents": 100, "shingle_size": 5,
        "leak_threshold": 0.8, "leak_containment": 0.9, "min_unit_mb": 0,
    },
    "count": {"pattern": "gpt2", "num_partitions": 2},
    "learn": {"vocab_size": 300, "more_sizes": [], "max_pre_tokens": 10_000, "special_tokens": ["<|endoftext|>"]},
    "pack": {"seq_len": 32, "strategy": "best_fit", "long_documents": "split"},
    "report": {"examples_per_reason": 1, "example_chars": 100},
}  # fmt: skip
STAGES = {"dedup": dedup, "shard": shard, "count": count, "learn": learn, "pack": pack}
INPUTS = {"dedup": "in", "shard": "in", "count": "shard", "learn": "count", "pack": "shard"}
WITH_ROOT = ("dedup", "shard", "count", "pack")
TEMPLATE = words(1, 120)


@dataclass(frozen=True)
class Flow:
    """A workspace: its folder, and the root of its shards ("" for none)."""

    folder: Path
    root: str = ""

    def run(self, *stages: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(local_cache.FOLDER, str(self.folder / "copies"))
            patch.setenv(ROOT, f"file://{self.root}" if self.root.startswith("/") else self.root)
            for stage in stages:
                STAGES[stage].main(self._arguments(stage))

    def _arguments(self, stage: str) -> list[str]:
        given = [
            "--input", str(self.folder / INPUTS[stage]), "--output", str(self.folder / stage),
            "--params", str(self.folder / "params.yaml"), "--cache", str(self.folder / "cache"),
        ]  # fmt: skip
        more = {"shard": ["--drops", "dedup"], "pack": ["--tokenizer", "learn/tokenizer.json"]}.get(stage, [])
        return [*given, *(str(self.folder / word) if "-" not in word else word for word in more)]

    def small_files(self, stage: str) -> dict[str, bytes]:
        """What lies in the stage's folder itself, without what says where other things are or come from."""
        paths = [path for path in (self.folder / stage).iterdir() if path.is_file()]
        kept = {path.name: path.read_bytes() for path in paths if path.suffix not in (".arrow", ".parquet")}
        return {name: content for name, content in kept.items() if name not in ("places.json", "lineage.json")}


def new_flow(folder: Path, root: str = "") -> Flow:
    """A workspace with two files of documents: copies, near copies, and some for every split."""
    for name in range(2):
        rows = [(f"{name}-{key}", " ".join(words(10 * name + key, 30))) for key in range(8)]
        rows += [(f"{name}-near", " ".join([*TEMPLATE, *words(name + 90, name)])), (f"{name}-copy", "same  text here")]
        write_documents(folder / "in" / f"{name}.parquet", rows)
    write_params(folder / "params.yaml", **PARAMS)
    return Flow(folder, root)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """The flow without a root: what all others must equal."""
    flow = new_flow(tmp_path_factory.mktemp("local"))
    flow.run(*STAGES)
    return flow


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """The flow with a root in an S3 server, which stays for the tests that read from it."""
    with s3_server() as store, pytest.MonkeyPatch.context() as patch:
        flow = new_flow(tmp_path_factory.mktemp("stored"), f"{store.create_bucket('corpus')}/one")
        patch.setenv(local_cache.FOLDER, str(flow.folder / "copies"))
        flow.run(*STAGES)
        yield flow


def expect_equal(flow: Flow, local: Flow) -> None:
    for stage in WITH_ROOT:
        assert flow.small_files(stage) == local.small_files(stage)
        manifest = read_manifest(flow.folder / stage).check()
        assert not [path for path in manifest.folder.rglob("*") if path.suffix in (".arrow", ".parquet")]
        wanted = {path.relative_to(local.folder / stage).as_posix() for path in (local.folder / stage).rglob("*.*")}
        assert set(manifest.places) == {name for name in wanted if name.endswith((".arrow", ".parquet"))}
        for name, place in manifest.places.items():
            assert place.startswith(f"{flow.root}/units/")
            assert storage.read_bytes(place) == (local.folder / stage / name).read_bytes()


def test_the_flow_in_a_store_equals_the_flow_in_a_workspace_byte_for_byte(stored: Flow, local: Flow) -> None:
    expect_equal(stored, local)
    assert {shard.split for shard in read_manifest(stored.folder / "pack").shards} == {"train", "val", "test"}
    assert objects.listed(f"{stored.root}/units/dedup.search") == []


def test_the_flow_equals_in_google_s_store_too(tmp_path: Path, local: Flow) -> None:
    with gcs_server() as store:
        flow = new_flow(tmp_path, f"{store.create_bucket('corpus')}/two")
        flow.run("dedup", "shard", "count", "learn", "pack")
        expect_equal(flow, local)


def test_a_shared_disk_gives_the_same(tmp_path: Path, local: Flow) -> None:
    flow = new_flow(tmp_path / "work", str(tmp_path / "disk"))
    flow.run("dedup", "shard", "count", "learn", "pack")  # by other processes: test_portable_runner
    expect_equal(flow, local)


def test_a_second_run_computes_nothing_and_a_lost_object_is_computed_again(stored: Flow, local: Flow) -> None:
    before = {place: objects.version_of(place) for place in objects.listed(f"{stored.root}/units")}
    stored.run("dedup", "shard", "count", "pack")
    assert {place: objects.version_of(place) for place in objects.listed(f"{stored.root}/units")} == before
    lost = []
    for stage in WITH_ROOT:
        places = read_manifest(stored.folder / stage).places
        lost.append(places[min(places)])
        storage.delete(lost[-1])
    with pytest.raises(CorpusmillError, match="a shard is not in the store as the manifest says"):
        read_manifest(stored.folder / "shard").check()
    stored.run("dedup", "shard", "count", "pack")
    expect_equal(stored, local)


def test_people_read_the_folders_as_they_read_local_ones(
    stored: Flow, local: Flow, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for flow in (stored, local):
        monkeypatch.chdir(flow.folder)
        train = read_manifest("shard").of_split("train")[0].stem.partition("-")[2]
        dedup.main(["--explain", "s:0-copy", "--drops", "dedup", "--input", "in"])
        trace.main(["--row", "train:0", "--input", "pack"])
        doc_id = SplitRows("pack", "val").shards[0].doc_ids(0)[0]
        trace.main(["--doc", doc_id, "--input", "pack"])
        pack.main(["--show", "0", "--split", "test", "--input", "pack", "--tokenizer", "learn/tokenizer.json"])
        export_tokens.main(["--to", "nanogpt", "--input", "pack", "--split", "train", "--output", "exported"])
        report.main(["--input", ".", "--output", "report", "--params", "params.yaml", "--cache", "cache"])
        page = (flow.folder / "report/report.html").read_bytes()
        said.append((train, capsys.readouterr().out, (flow.folder / "exported/train.bin").read_bytes(), page))
    assert said[0] == said[1]
    assert "s:0-copy" in said[0][1]
    assert "tokens of the document" in said[0][1]


def test_segments_find_their_languages_in_the_store(stored: Flow) -> None:
    (*_, shard) = SplitRows(stored.folder / "pack", "train").shards
    documents = sum(len(shard.doc_ids(row)) for row in range(shard.num_rows))
    codes, names = read_languages(languages_file(stored.folder / "pack" / "languages", shard.name), documents)
    assert (len(codes), names) == (documents, ["en"])


def test_an_older_corpus_in_the_store_is_searched_and_its_damage_is_named(stored: Flow, tmp_path: Path) -> None:
    flow = new_flow(tmp_path, f"{stored.root}/next")
    (tmp_path / "in" / "1.parquet").unlink()
    older = ["--older", str(stored.folder / "dedup"), str(stored.folder / "in")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ROOT, flow.root)
        dedup.main([*flow._arguments("dedup"), *older])
        ledger = json.loads((tmp_path / "dedup" / "ledger.json").read_text())
        assert (ledger["in"], ledger["out"]) == (10, {})
        storage.delete(read_manifest(stored.folder / "dedup").evidence("index")[0][1])
        with pytest.raises(CorpusmillError, match="the index of an older corpus is damaged"):
            dedup.main([*flow._arguments("dedup"), *older])
    stored.run("dedup")


def test_a_search_that_another_run_ended_is_not_taken_for_one_without_pairs(stored: Flow) -> None:
    files = SearchFiles(f"{stored.root}/units/dedup.search/given-up")
    files.begin(goes_on=True)
    files.write("pairs", 1, np.zeros(2, PAIR))
    files.begin(goes_on=True)
    assert [len(files.read("pairs", index, PAIR)) for index in range(2)] == [0, 2]
    assert files.num_records([("pairs", 0), ("pairs", 1)], PAIR) == 2
    files.end()
    with pytest.raises(CorpusmillError, match="this search has ended"):
        files.read("pairs", 1, PAIR)


def test_a_killed_search_goes_on_in_its_own_folder(
    tmp_path: Path, stored: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = new_flow(tmp_path, f"{stored.root}/killed")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(dedup, "describe_search", _interrupted)
        flow.run("dedup")
    (folder,) = {place.split("/")[7] for place in objects.listed(f"{flow.root}/units/dedup.search")}
    begun = objects.version_of(f"{flow.root}/units/dedup.search/{folder}/repeats.done")
    seen: list[tuple[str, object]] = []

    def end(files: SearchFiles) -> None:
        seen.append((files.folder, objects.version_of(f"{files.folder}/repeats.done")))

    monkeypatch.setattr(SearchFiles, "end", end)
    flow.run("dedup")
    assert seen == [(f"{flow.root}/units/dedup.search/{folder}", begun)]


def _interrupted(*given: object) -> None:
    raise KeyboardInterrupt


def test_a_folder_is_brought_back_whole_and_opens_in_datasets(stored: Flow, local: Flow, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        datasets.load_from_disk(str(stored.folder / "pack"))
    for stage in ("shard", "pack"):
        bring(str(stored.folder / stage), tmp_path / stage)
        files = {path.relative_to(local.folder / stage): path for path in (local.folder / stage).rglob("*.*")}
        assert {path.relative_to(tmp_path / stage) for path in (tmp_path / stage).rglob("*.*")} == set(files)
        for name, path in files.items():
            assert name.name == "lineage.json" or (tmp_path / stage / name).read_bytes() == path.read_bytes()
    opened = datasets.load_from_disk(str(tmp_path / "pack"))
    assert opened.num_rows == sum(shard.rows for shard in read_manifest(local.folder / "pack").of_split("train"))


def test_one_split_alone_is_brought_and_damage_and_other_folders_are_noticed(stored: Flow, tmp_path: Path) -> None:
    source, output = str(stored.folder / "pack"), tmp_path / "val"
    bring(source, output, "val")
    names = {path.name for path in output.rglob("*") if path.is_file()}
    (shard,) = SplitRows(output, "val").shards[:1]
    assert {name for name in names if name.endswith(".arrow")} >= {shard.name}
    assert not [name for name in names if name.startswith(("train-", "test-", "state.json", "dataset_info.json"))]
    (output / shard.name).unlink()
    (output / shard.name).write_bytes(b"half")
    (output / "stray.txt").write_text("from an earlier run")
    bring(source, output, "val")
    assert {path.name for path in output.rglob("*") if path.is_file()} == names
    assert storage.sha256_file(output / shard.name) in {one.sha256 for one in read_manifest(output).shards}
    with pytest.raises(CorpusmillError, match="holds something else already"):
        bring(str(stored.folder / "shard"), output)
    with pytest.raises(CorpusmillError, match="the output folder is the input"):
        bring(source, stored.folder / "pack")
