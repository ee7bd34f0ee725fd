"""Documents and dataset folders that lie in a store: planned, named and read as those of the disk, byte for byte."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from corpora import digests, read_rows, write_documents
from stores import Store, gcs_server, s3_server
from test_spine_units import stage_folder
from test_storage_front import Ranges

from pipelines import clean, extract, fetch, shard, sources
from pipelines.cleaning.explaining import find_document
from pipelines.sources import read_fetch_manifest
from pipelines.spine import hashing, local_cache, objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump, read_manifest
from pipelines.spine.root import ROOT
from pipelines.spine.units import Unit, manifest_inputs, plan_documents

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_server() as running:
        running.create_bucket("corpus")
        yield running


@pytest.fixture(autouse=True)
def no_root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOT, raising=False)
    monkeypatch.setenv(local_cache.FOLDER, str(tmp_path_factory.mktemp("copies")))


def sent(folder: Path, place: str) -> str:
    """The place, once it holds a copy of the folder."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        objects.upload(path, storage.join(place, path.relative_to(folder).as_posix()))
    return place


def documents(folder: Path) -> Path:
    """Two files of documents under names that say nothing, and what is none."""
    sentence = (
        "The mill by the river ground corn for three villages until the winter of 1893, when the ice broke its wheel."
    )
    for name, source, number in (("z", "news", 1), ("a", "wiki", 2)):
        texts = [f"{sentence} It was built anew in {1900 + number * row}. {sentence}" for row in range(40)]
        write_documents(folder / f"{name}.parquet", [(str(row), text) for row, text in enumerate(texts)], source)
    write_documents(folder / "deep" / "b.parquet", [("9", "of another folder")], "deep")
    (folder / "notes.txt").write_text("no documents")
    return folder


def message(call: Callable[[], object]) -> str:
    with pytest.raises(CorpusmillError) as caught:
        call()
    return str(caught.value)


def facts(units: list[Unit]) -> list[tuple[str, str, str, int]]:
    """All of a unit but where its file lies."""
    return [(unit.fingerprint(""), unit.name, unit.source, unit.bytes) for unit in units]


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_the_plan_of_files_in_a_store_is_that_of_the_same_files_here(
    scheme: str, store: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = documents(tmp_path / "in")
    running = gcs_server() if scheme == "gs" else None
    if running is not None:
        running.__enter__().create_bucket("corpus")
        request.addfinalizer(lambda: running.__exit__(None, None, None))
    place = sent(folder, f"{scheme}://corpus/plan")
    expected = plan_documents([str(folder)])
    planned = plan_documents([place])
    assert [unit.source for unit in planned] == ["news", "wiki"]
    assert facts(planned) == facts(plan_documents([f"{place}/"])) == facts(expected)
    assert [unit.inputs[0].path for unit in planned] == [f"{place}/z.parquet", f"{place}/a.parquet"]
    assert plan_documents([f"{place}/a.parquet"]) == [planned[1]]


def test_stages_make_the_same_folders_of_documents_in_a_store(store: Store, tmp_path: Path) -> None:
    where = ["--params", str(REPOSITORY / "params.yaml"), "--cache", str(tmp_path / "cache")]
    folder = documents(tmp_path / "in")
    clean.main(["--input", str(folder), "--output", str(tmp_path / "clean"), *where])
    shutil.rmtree(tmp_path / "cache")
    clean.main(["--input", sent(folder, "s3://corpus/foreign"), "--output", str(tmp_path / "cleaned"), *where])
    assert len(read_rows(tmp_path / "clean")) == 80
    assert digests(tmp_path / "cleaned") == digests(tmp_path / "clean")
    assert find_document("wiki:3", ["s3://corpus/foreign"])["title"].to_pylist() == [""]

    shard.main(["--input", str(tmp_path / "clean"), "--output", str(tmp_path / "shard"), *where])
    shutil.rmtree(tmp_path / "cache")
    place = sent(tmp_path / "clean", "s3://corpus/cleaned/clean")
    shard.main(["--input", place, "--output", str(tmp_path / "sharded"), *where])
    assert digests(tmp_path / "sharded") == digests(tmp_path / "shard")
    # The lineage too: it names parents by their stage and content.
    lineage = (tmp_path / "sharded" / "lineage.json").read_text()
    assert lineage == (tmp_path / "shard" / "lineage.json").read_text()
    assert storage.sha256_file(tmp_path / "clean" / "manifest.json") in lineage


def test_a_stage_s_folder_in_a_store_is_its_manifest_and_not_its_listing(store: Store, tmp_path: Path) -> None:
    shards = (("train-zhwiki-2.parquet", "bb"), ("train-enwiki-1.parquet", "a"))
    folder = stage_folder(tmp_path / "shard", *shards)
    place = sent(folder, "s3://corpus/stage/shard")
    storage.write_text(f"{place}/stray.parquet", "never declared")
    planned = plan_documents([place])
    assert [(unit.name, unit.source) for unit in planned] == [
        ("train-enwiki-1", "enwiki"), ("train-zhwiki-2", "zhwiki"),
    ]  # fmt: skip
    assert planned[0].inputs[0].path == f"{place}/train-enwiki-1.parquet"
    assert facts(planned) == facts(plan_documents([str(folder)]))
    assert plan_documents([f"{place}/manifest.json", place]) == planned
    assert set(manifest_inputs(place)) == {"train-enwiki-1", "train-zhwiki-2"}

    # The shards of a folder that was made with a root lie there, and places.json says where.
    storage.write_text("s3://corpus/stage/placed/manifest.json", (folder / "manifest.json").read_text())
    places = {unit.inputs[0].path.rpartition("/")[2]: unit.inputs[0].path for unit in planned}
    storage.write_text("s3://corpus/stage/placed/places.json", dump(places))
    assert plan_documents(["s3://corpus/stage/placed"]) == planned

    storage.write_text(f"{place}/train-enwiki-1.parquet", "longer")
    assert message(lambda: plan_documents([place])) == (
        f"{place}/train-enwiki-1.parquet: a shard is not in the store as the manifest says\n"
        "  expected: 1 bytes\n"
        "  got: 6 bytes\n"
        "  hint: copy the stage's folder again"
    )
    storage.delete(f"{place}/manifest.json")
    assert message(lambda: plan_documents([place])) == (
        f"{place}/manifest.json: no manifest: the folder was not copied whole\n"
        "  hint: copy manifest.json too, after the shards"
    )


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://nowhere/in", "s3://nowhere: no such bucket\n  hint: check its name"),
        ("s3://corpus/gone", "s3://corpus/gone: no such object or folder\n  hint: check --input"),
        ("s3://corpus/wrong/*.parquet", "s3://corpus/wrong/*.parquet: no such object or folder\n  hint: check --input"),
        ("s3://corpus/wrong/none", "s3://corpus/wrong/none: no documents here\n  expected: manifest.json or *.parquet"),
        ("s3://corpus/wrong/a.parquet", "s3://corpus/wrong/a.parquet: not a Parquet file: "),
        ("s3://corpus/wrong", "s3://corpus/wrong/a.parquet: not a Parquet file: "),
        ("s3://corpus/wrong/mixed.bin", "s3://corpus/wrong/mixed.bin: documents of several sources in one file\n"),
    ],
)  # fmt: skip
def test_what_is_no_document_in_a_store_is_said_to_be_none(place: str, said: str, store: Store, tmp_path: Path) -> None:
    pq.write_table(pa.table({"source": ["a", "b"], "text": ["x", "y"]}), tmp_path / "mixed.bin")
    objects.upload(tmp_path / "mixed.bin", "s3://corpus/wrong/mixed.bin")
    storage.write_text("s3://corpus/wrong/a.parquet", "not a table")
    storage.write_text("s3://corpus/wrong/none/a.txt", "no documents")
    assert message(lambda: plan_documents([place])).startswith(said)


def test_what_a_stage_writes_and_folders_other_than_documents_lie_on_the_disk(tmp_path: Path) -> None:
    where = ["--input", "data/clean", "--params", str(REPOSITORY / "params.yaml"), "--output", str(tmp_path / "out")]
    for option in ("--output", "--ledger", "--cache"):
        argv = [*where, option, "s3://corpus/x"]
        assert message(lambda argv=argv: shard.main(argv)) == (
            f"s3://corpus/x: {option} is a folder or file of this machine\n"
            "  hint: storage.root in params.yaml, or CORPUSMILL_ROOT, says in which store the shards lie (docs/storage.md)"
        )
    assert "--output is a folder or file of this machine" in message(lambda: fetch.main(["--output", "gs://corpus/x"]))
    assert message(lambda: read_manifest("s3://corpus/x")).startswith(
        "s3://corpus/x: this folder is read on the disk\n"
    )
    assert message(lambda: read_fetch_manifest("s3://corpus/x")) == (
        "s3://corpus/x: the manifest of fetch lies on the disk\n"
        "  hint: --kind and --source name raw files in a store; or name them in params.yaml: fetch.sources"
    )
    assert not list(tmp_path.iterdir())


# --- dataset folders


def dataset(folder: Path) -> Path:
    """A folder whose files ``datasets`` knows by their names; what is no table it leaves out."""
    (folder / "data").mkdir(parents=True)
    for name, numbers in (("train-0", range(3)), ("train-1", range(3, 5)), ("test-0", range(90, 91))):
        rows = "".join(json.dumps({"id": str(n), "text": f"row {n}"}) + "\n" for n in numbers)
        (folder / "data" / f"{name}.jsonl").write_text(rows)
    return folder


class Fetched:
    """A workspace with one source of kind hf."""

    def __init__(self, folder: Path, path: str) -> None:
        folder.mkdir()
        self.folder, self.params = folder, folder / "params.yaml"
        document = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
        about = {"language": "en", "licence": "CC0", "sha256": "", "columns": {}, "options": {}}
        document["fetch"] = {
            "sources": [{"name": "rows", "kind": "hf", "path": path, **about}],
            "evaluation_sets": [],
        }
        self.params.write_text(yaml.safe_dump(document))
        self.where = ["--params", str(self.params), "--cache", str(folder / "cache")]

    def fetch(self) -> str:
        fetch.main(["--output", str(self.folder / "fetch"), *self.where])
        return (self.folder / "fetch" / "manifest.json").read_text()

    def extract(self, *given: str) -> dict[str, str]:
        given = given or ("--input", str(self.folder / "fetch"))
        extract.main([*given, "--output", str(self.folder / "extract"), *self.where])
        return digests(self.folder / "extract")


def test_a_dataset_folder_in_a_store_is_what_it_is_here(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dataset(tmp_path / "rows")
    place = sent(folder, "s3://corpus/sets/rows")
    monkeypatch.setattr(sources, "RACY_OBJECT_NS", 0)
    here, there = Fetched(tmp_path / "here", str(folder)), Fetched(tmp_path / "there", place)
    assert there.fetch() == here.fetch()
    expected = here.extract()
    assert [row["text"] for row in read_rows(tmp_path / "here" / "extract")] == [f"row {n}" for n in range(5)]
    assert there.extract() == expected
    shutil.rmtree(tmp_path / "there" / "extract")
    named = ("--kind", "hf", "--source", "rows", "--language", "en", "--licence", "CC0", "--input", place)
    assert there.extract(*named) == expected
    # With a root the workers get the list of objects, not the objects, which they find in their bucket.
    monkeypatch.setenv(ROOT, "s3://corpus/sets-root")
    there.extract()
    (sha256,) = [
        file.sha256 for file in read_fetch_manifest(tmp_path / "there" / "fetch", tmp_path / "there" / "cache")
    ]
    assert objects.listed("s3://corpus/sets-root/raw") == [f"s3://corpus/sets-root/raw/{sha256}/folder.json"]

    storage.write_text(f"{place}/data/train-1.jsonl", '{"id": "3", "text": "row 3"}\n')
    assert message(there.extract).splitlines()[0] == (
        f"rows-{sha256[:12]}, {place}/data/train-1.jsonl: a dataset changed after it was fetched"
    )
    assert there.fetch() != here.fetch()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://corpus/empty", "s3://corpus/empty: no such folder\n  hint: check its name"),
        ("s3://corpus/sets/*", "s3://corpus/sets/*: a dataset is one folder, not a pattern\n"),
        ("s3://corpus/one.jsonl", "s3://corpus/one.jsonl: a dataset is a folder, and this is an object\n"),
        ("s3://nowhere/rows", "s3://nowhere: no such bucket\n"),
    ],
)
def test_what_is_no_dataset_folder_is_refused(path: str, said: str, store: Store, tmp_path: Path) -> None:
    storage.write_text("s3://corpus/one.jsonl", "{}")
    assert message(Fetched(tmp_path / "work", path).fetch).startswith(said)


# --- hashing


def sources_of(numbers: range, folder: Path) -> list[str]:
    """Arguments of a `fetch` of so many objects, a source each."""
    about = {"kind": "jsonl", "language": "en", "licence": "", "sha256": "", "columns": {}, "options": {}}
    listed = [{"name": f"s{n}", "path": f"s3://corpus/{n}", **about} for n in numbers]
    (folder / "params.yaml").write_text(yaml.safe_dump({"fetch": {"sources": listed, "evaluation_sets": []}}))
    where = ["--output", str(folder / "fetch"), "--cache", str(folder / "cache")]
    return [*where, "--params", str(folder / "params.yaml")]


def test_fetch_hashes_objects_of_all_sources_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(hashing.OBJECTS_AT_ONCE)
    with Ranges(b"one object under all names") as served:
        served.reach(monkeypatch)
        served.hold = lambda: meeting.wait(20)  # an answer comes only when so many are asked for
        fetch.main(sources_of(range(2 * hashing.OBJECTS_AT_ONCE), tmp_path))
    files = json.loads((tmp_path / "fetch" / "manifest.json").read_text())["files"]
    assert [file["source"] for file in files] == sorted(f"s{n}" for n in range(16))
    assert {file["sha256"] for file in files} == {hashlib.sha256(b"one object under all names").hexdigest()}


def test_ctrl_c_ends_a_fetch_within_the_pieces_on_their_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Semaphore(0)

    def slow() -> None:
        asked.release()
        time.sleep(0.3)

    with Ranges(bytes(400 << 20)) as served:  # 50 pieces each: 15 seconds to the end
        served.reach(monkeypatch)
        served.hold = slow
        command = [sys.executable, "-m", "pipelines.fetch", *sources_of(range(4), tmp_path)]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
        for _ in range(4):
            assert asked.acquire(timeout=30)
        running.send_signal(signal.SIGINT)
        begun = time.monotonic()
        said = running.communicate(timeout=30)[1]
    assert (running.returncode, said) == (130, "interrupted; what is finished is kept, run again to go on\n")
    assert time.monotonic() - begun < 6
    assert not (tmp_path / "fetch").exists()
