"""From raw files to decontaminated documents with the shards in a store: the same bytes, and workers that see no disk."""

import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from elsewhere import OPTION, hide
from stores import Store, free_port, s3_server
from test_repeated_lines import BYLINE, MENU, article

from pipelines import clean, decontaminate, extract, fetch, quality, sources
from pipelines.contamination.items import read_texts
from pipelines.divide import plan_files
from pipelines.evaluation_sets import read_sets
from pipelines.readers.compression import LOOK_BYTES
from pipelines.readers.parts import PartSizes
from pipelines.sources import read_fetch_manifest
from pipelines.spine import local_cache, objects, storage, uploads
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from pipelines.spine.params import load_params
from pipelines.spine.root import ROOT
from pipelines.spine.units import Unit, UnitInput, stamp_of

REPOSITORY = Path(__file__).resolve().parents[1]
STAGES = ("extract", "quality", "clean", "decontaminate")
QUESTION = "Which of the seven wandering sailors wrote the longest letter home from Valparaíso that winter?"
BAD = "Buy now the cheap offer of the day, and click here to have it before the end of the week, with that discount."


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_server() as running:
        running.create_bucket("corpus")
        yield running


@pytest.fixture(autouse=True)
def no_root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOT, raising=False)
    monkeypatch.setenv(local_cache.FOLDER, str(tmp_path_factory.mktemp("copies")))


def lines_of(texts: list[str]) -> bytes:
    return "".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts)).encode()


def texts_of(numbers: range) -> list[str]:
    return [f"{MENU}\n{article(n)}" + (f"\n{BYLINE}" if n % 2 else "") for n in numbers]


#: Name of a raw file -> its bytes; a record is broken, a text is an evaluation set's.
RAW = {
    "good/1.jsonl": lines_of(texts_of(range(24))) + b"{broken\n",
    "good/2.jsonl": lines_of([*texts_of(range(30, 53)), f"{article(60)} {QUESTION}"]),
    "bad/1.jsonl": lines_of([f"{article(n)} {BAD}" for n in range(100, 130)]),
    "quiz.txt": f"{QUESTION}\n".encode(),
}


class Workspace:
    """A folder with parameters and, unless a store holds them, raw files, in which the stages run."""

    def __init__(self, folder: Path, raw: str = "") -> None:
        self.folder = folder
        if not raw:
            for name, content in RAW.items():
                (folder / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / "raw" / name).write_bytes(content)
        document = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
        about = {"kind": "jsonl", "language": "en", "licence": "CC0", "sha256": "", "columns": {}, "options": {}}
        raw = raw or str(folder / "raw")
        quiz = {"name": "quiz", "kind": "text", "path": f"{raw}/quiz.txt", "sha256": "", "columns": [], "key": ""}
        document["fetch"] = {
            "sources": [{"name": name, "path": f"{raw}/{name}/*.jsonl", **about} for name in ("good", "bad")],
            "evaluation_sets": [{**quiz, "options": {"split": "line"}}],
        }
        document["quality"] |= {"positive": ["good"], "negative": ["bad"], "held_out_per_1000": 250}
        document["quality"]["features"]["num_bits"] = 14
        document["clean"]["rules"]["repeated_lines"]["max_documents"] = 10
        folder.mkdir(exist_ok=True)
        self.params = folder / "params.yaml"
        self.params.write_text(yaml.safe_dump(document))

    def data(self, stage: str) -> str:
        return str(self.folder / "data" / stage)

    def arguments(self, stage: str) -> list[str]:
        where = ["--output", self.data(stage), "--params", str(self.params), "--cache", str(self.folder / "cache")]
        before = {"extract": "fetch", "quality": "extract", "clean": "extract", "decontaminate": "clean"}
        more = {"clean": ["--quality", self.data("quality")], "decontaminate": ["--sets", self.data("fetch")]}
        return [*where, *(["--input", self.data(before[stage])] if stage in before else []), *more.get(stage, [])]

    def run(self, *options: str) -> None:
        fetch.main(self.arguments("fetch"))
        for stage, module in zip(STAGES, (extract, quality, clean, decontaminate), strict=True):
            module.main([*self.arguments(stage), *options])

    def explained(self, capsys: pytest.CaptureFixture[str]) -> str:
        """What `clean` says of one document."""
        capsys.readouterr()
        where = ["--input", self.data("extract"), "--quality", self.data("quality"), "--params", str(self.params)]
        clean.main(["--explain", "bad:3", *where])
        said = capsys.readouterr().out
        assert "dropped by quality.low_score" in said
        return said

    def told(self) -> dict[str, str]:
        """Text of every file in the folders of the stages that is neither a shard nor evidence."""
        found = Path(self.data("")).rglob("*.json")
        return {str(path.relative_to(self.folder)): path.read_text() for path in found if path.name != "lineage.json"}

    def made(self) -> dict[str, bytes]:
        """Bytes of every shard and evidence file of the stages, wherever they lie."""
        content = {}
        for stage in STAGES:
            manifest = read_manifest(self.data(stage)).check()
            places = {shard.name: manifest.place_of(shard) for shard in manifest.shards}
            for kind in ("quarantined", "dropped", "repeated_lines"):
                places |= dict(manifest.evidence(kind))
            content |= {f"{stage}/{name}": storage.read_bytes(place) for name, place in places.items()}
        return content


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The stages' folders as they are without a root."""
    workspace = Workspace(tmp_path_factory.mktemp("local") / "work")
    workspace.run()
    return workspace


def without_places(told: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in told.items() if not name.endswith("/places.json")}


def test_the_small_corpus_meets_every_part_of_the_stages(local: Workspace) -> None:
    kinds = {name.split("/")[1] for name in local.made() if name.count("/") == 2}
    assert kinds == {"quarantined", "dropped", "repeated_lines"}
    cleaned = json.loads(local.told()["data/clean/ledger.json"])
    assert cleaned["reasons"] == {"dropped.quality.low_score": 30}
    assert cleaned["apart"]["lines_removed.corpus.repeated_line"] == 68
    assert json.loads(local.told()["data/decontaminate/ledger.json"])["out"]["contaminated"] == 1
    assert not list(local.folder.rglob("places.json"))


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_a_root_changes_no_byte_and_its_workers_need_nothing_of_this_machine(
    kind: str, local: Workspace, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    root = {"s3": "s3://corpus/flow", "file": f"file://{tmp_path}/shared"}[kind]
    monkeypatch.setenv(ROOT, root)
    place = root.removeprefix("file://")
    workspace = Workspace(tmp_path / "work")
    with hide(workspace.folder):
        workspace.run(OPTION)
    assert without_places(workspace.told()) == without_places(local.told())
    assert workspace.made() == local.made()
    names = {path.name for path in workspace.folder.joinpath("data").rglob("*") if path.is_file()}
    assert {name for name in names if name.endswith((".parquet", ".arrow"))} == {"model.arrow"}
    places = json.loads(workspace.told()["data/clean/places.json"])
    assert all(found.startswith(f"{place}/units/clean/") for found in places.values())
    first = capsys.readouterr().err
    size = sum(len(content) for name, content in RAW.items() if name != "quiz.txt")
    assert f"extract: copying 3 files, {size:,} bytes, to {place}/raw\n" in first

    assert workspace.explained(capsys) == local.explained(capsys)
    if kind == "file":
        return
    before = dict(zip(objects.listed(root), objects.versions_of(objects.listed(root)), strict=True))
    for stage in STAGES:
        Path(workspace.data(stage), "manifest.json").unlink()
    with hide(workspace.folder):
        workspace.run(OPTION)
    assert "copying" not in capsys.readouterr().err
    assert without_places(workspace.told()) == without_places(local.told())
    # Nothing was computed, and nothing was written again: an object that is has another time.
    assert before == dict(zip(objects.listed(root), objects.versions_of(objects.listed(root)), strict=True))


def test_another_root_takes_the_place_of_the_shards_here_and_back(
    local: Workspace, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "work")
    fetch.main(workspace.arguments("fetch"))
    manifest = read_manifest(local.data("extract"))
    shards = [shard.name for shard in manifest.shards]
    quarantined = [storage.name_of(name) for name, _ in manifest.evidence("quarantined")]
    for root in ("", "s3://corpus/one", ""):
        monkeypatch.setenv(ROOT, root)
        extract.main(workspace.arguments("extract"))
        here = sorted(path.name for path in Path(workspace.data("extract")).rglob("*") if path.is_file())
        told = ["ledger.json", "lineage.json", "manifest.json"]
        assert here == sorted([*told, *(["places.json"] if root else [*shards, *quarantined])])
        assert (
            Path(workspace.data("extract"), "manifest.json").read_text() == local.told()["data/extract/manifest.json"]
        )


def test_sources_in_a_store_give_what_local_files_give_and_are_hashed_once(
    local: Workspace, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {**RAW, "good/.hidden.jsonl": b"no", "good/deep/3.jsonl": b"no"}.items():
        with storage.publishing(f"s3://corpus/raw/{name}") as file:
            file.write(content)
    monkeypatch.setattr(sources, "RACY_OBJECT_NS", 0)
    workspace = Workspace(tmp_path / "work", raw="s3://corpus/raw")
    fetch.main(workspace.arguments("fetch"))
    monkeypatch.setenv(ROOT, "s3://corpus/in-a-store")
    with hide(workspace.folder):
        extract.main([*workspace.arguments("extract"), OPTION])
    expected = without_places(local.told())
    assert without_places(workspace.told()).items() <= expected.items()
    assert len(without_places(workspace.told())) == 4
    assert objects.listed("s3://corpus/in-a-store/raw") == []
    (quiz,) = read_sets(workspace.data("fetch"), workspace.folder / "cache")
    assert [text.text for text in read_texts(quiz).texts] == [QUESTION]
    paths = [file.path for file in read_fetch_manifest(workspace.data("fetch"), workspace.folder / "cache")]
    assert sorted(paths) == [f"s3://corpus/raw/{name}" for name in ("bad/1.jsonl", "good/1.jsonl", "good/2.jsonl")]
    stats = sources.StatCache(workspace.folder / "cache")
    assert [stats.known(path) for path in sorted(paths)] == [storage.sha256_file(path) for path in sorted(paths)]

    storage.write_text("s3://corpus/raw/bad/1.jsonl", "{}")
    with pytest.raises(CorpusmillError) as caught:
        extract.main(workspace.arguments("extract"))
    assert (caught.value.message, caught.value.where) == (
        "a source changed after it was fetched", "s3://corpus/raw/bad/1.jsonl",
    )  # fmt: skip
    storage.delete("s3://corpus/raw/bad/1.jsonl")
    with pytest.raises(CorpusmillError, match="the bytes of a fetched object are gone"):
        extract.main(workspace.arguments("extract"))
    with pytest.raises(CorpusmillError, match="the pattern matches no object") as caught:
        fetch.main(workspace.arguments("fetch"))
    assert caught.value.where == "params.yaml: fetch.sources, bad.path"


def test_a_run_that_is_killed_leaves_no_manifest_and_the_next_one_finishes(
    local: Workspace, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ROOT, "s3://corpus/killed")
    workspace = Workspace(tmp_path / "work")
    fetch.main(workspace.arguments("fetch"))
    environment = {**os.environ, "CORPUSMILL_KILL_AT": "extract:linked"}
    command = [sys.executable, "-m", "pipelines.extract", *workspace.arguments("extract")]
    killed = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert not Path(workspace.data("extract"), "manifest.json").exists()
    capsys.readouterr()
    extract.main(workspace.arguments("extract"))
    assert "(2 units reused)" in capsys.readouterr().err
    assert Path(workspace.data("extract"), "manifest.json").read_text() == local.told()["data/extract/manifest.json"]


def test_too_much_quarantine_says_where_it_lies_in_the_store(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ROOT, "s3://corpus/refused")
    (tmp_path / "a.jsonl").write_bytes(RAW["good/1.jsonl"] + b"{broken too\n")
    workspace = Workspace(tmp_path / "work")
    given = ["--kind", "jsonl", "--source", "s", "--input", str(tmp_path / "a.jsonl")]
    with pytest.raises(CorpusmillError) as caught:
        extract.main([*workspace.arguments("extract")[:6], *given])
    assert "such as line 25" in caught.value.message
    (place,) = [place for place in objects.listed("s3://corpus/refused/units") if "/quarantined-s-" in place]
    assert caught.value.hint.startswith(f"look at {place}, all in {workspace.data('extract')}/places.json under quar")


def test_a_folder_goes_to_the_workers_with_the_names_of_its_files(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "deep").mkdir(parents=True)
    (folder / "train.jsonl").write_bytes(b"one")
    (folder / "deep" / "train.jsonl").write_bytes(b"two")
    unit = Unit("s-0", "s", (UnitInput(str(folder), "ab" * 32, 0), UnitInput("owner/name@revision", "cd" * 32, 0)))
    (sent,) = uploads.uploaded([unit], "s3://corpus/folder", "extract")
    assert [one.path for one in sent.inputs] == [
        f"s3://corpus/folder/raw/{'ab' * 32}/folder.json",
        "owner/name@revision",
    ]
    assert sent.fingerprint("recipe") == unit.fingerprint("recipe")
    shutil.rmtree(folder)
    with uploads.local_folder(sent.inputs[0].path) as copy:
        found = {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert found == {"train.jsonl": b"one", "deep/train.jsonl": b"two"}
    assert not copy.exists()


def test_a_file_that_changes_before_it_is_sent_is_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("as hashed")
    unit = Unit("s-0", "s", (UnitInput(str(path), "ef" * 32, 9, None, stamp_of(path)),))
    path.write_text("another")
    with pytest.raises(CorpusmillError, match="changed while it was copied"):
        uploads.uploaded([unit], "s3://corpus/changed", "extract")
    assert objects.listed("s3://corpus/changed") == []


@pytest.mark.parametrize("kind", ["jsonl", "mediawiki"])
def test_of_a_large_object_a_part_reads_itself_and_little_more(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b'{"id": "%06d", "text": "' + b"word " * 200 + b'"}\n'
    page = b"<page><title>T</title><ns>0</ns><id>%06d</id><revision><id>1</id><text>" + b"word " * 200
    page += b"</text></revision></page>\n"
    records = b"".join(({"jsonl": line, "mediawiki": page}[kind]) % number for number in range(22_000))
    content = records if kind == "jsonl" else b"<mediawiki><siteinfo></siteinfo>\n" + records + b"</mediawiki>\n"
    file = sources.FetchedFile("s", "ab" * 32, len(content), kind, "en", "", {}, {},
                               "s3://corpus/large")  # fmt: skip
    params = load_params(extract.ExtractParams, "extract", REPOSITORY / "params.yaml")
    with Ranges(content) as served:
        served.reach(monkeypatch)
        units = plan_files([file], PartSizes(8, 0))
        planning = served.sent
        one = next(unit for unit in units if unit.inputs[0].part and unit.inputs[0].part[0] > 0)
        assert len(units) == 8
        documents = sum(1 for _ in extract.ExtractUnit(params.wikitext, params.html).read_items(one))
        reading = served.sent - planning
    assert documents > 2000
    assert planning <= 7 * (1 << 20) + 4 * LOOK_BYTES + (1 << 20)
    assert one.bytes <= reading <= one.bytes + 3 * LOOK_BYTES


def packed(kind: str, folder: Path) -> tuple[Path, str, tuple[int, int] | None]:
    """A small file of some kind: where it lies, what its source's kind is, and a part of it that can be read alone."""
    path = folder / kind
    rows = [json.loads(line) for line in lines_of([f"text {number}" for number in range(300)]).splitlines()]
    whole = lines_of([row["text"] for row in rows])
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)
        return path, kind, (1, 3)
    if kind == "arrow":
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_file(sink, (table := pa.Table.from_pylist(rows)).schema) as file,
        ):
            file.write_table(table)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(3):
                archive.writestr(f"{number}.jsonl", lines_of([f"{number}"] * 50))
        return path, "jsonl", (1, 3)
    elif kind == "tar.gz":
        with tarfile.open(path, "w:gz") as tar:
            info = tarfile.TarInfo("a.jsonl")
            info.size = len(whole)
            tar.addfile(info, io.BytesIO(whole))
    elif kind == "7z":
        py7zr = pytest.importorskip("py7zr", reason="7z archives need the extra corpusmill[7z]")
        with py7zr.SevenZipFile(path, "w") as sevenzip:
            sevenzip.writestr(whole, "a.jsonl")
    elif kind == "zst":
        path.write_bytes(zstandard.compress(whole))
    return path, kind if kind == "arrow" else "jsonl", None


def items_of(path: str, kind: str, part: tuple[int, int] | None) -> list[Any]:
    params = load_params(extract.ExtractParams, "extract", REPOSITORY / "params.yaml")
    unit = Unit("s-0", "s", (UnitInput(path, "ab" * 32, 1, part),), (("kind", kind),))
    return list(extract.ExtractUnit(params.wikitext, params.html).read_items(unit))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "zip", "tar.gz", "7z", "zst"])
def test_files_of_every_kind_are_read_from_a_store_and_a_refusal_is_no_damage(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, of_source, part = packed(kind, tmp_path)
    expected = items_of(str(path), of_source, part)
    assert len(expected) >= 100
    assert {type(item).__name__ for item in expected} == {"Record"}
    with Ranges(path.read_bytes()) as served:
        served.reach(monkeypatch)
        assert items_of("s3://corpus/packed", of_source, part) == expected
        for answers in range(served.answers - 1):
            served.refuses_after = served.answers + answers
            with pytest.raises(CorpusmillError, match="the store refuses"):
                items_of(f"s3://corpus/packed-{answers}", of_source, part)
            served.refuses_after = 1 << 30


class Ranges:
    """One object of a store, under any name, and how many of its bytes were asked for."""

    def __init__(self, content: bytes) -> None:
        self.sent, self.answers, self.refuses_after, self.port = 0, 0, 1 << 30, free_port()
        self.hold: Callable[[], object] = lambda: None  # called before bytes are answered
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(200, 0, len(content))

            def do_GET(self) -> None:
                outer.hold()
                first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                begin, end = int(first), min(int(last) + 1, len(content))
                if outer.answers >= outer.refuses_after:
                    self._answer(403, 0, 0)
                    return
                self._answer(206, begin, end)
                self.wfile.write(content[begin:end])
                outer.sent += end - begin

            def _answer(self, status: int, begin: int, end: int) -> None:
                outer.answers += 1
                self.send_response(status)
                if status == 206:
                    self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
                self.send_header("Content-Length", str(end - begin))
                self.send_header("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
                self.send_header("ETag", '"1"')
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)

    def __enter__(self) -> "Ranges":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def reach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sets the variables for this process."""
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{self.port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "key")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        objects._store_of.cache_clear()

    def __exit__(self, *failure: object) -> None:
        objects._store_of.cache_clear()
        self.server.shutdown()
        self.server.server_close()
