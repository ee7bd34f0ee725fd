"""Fetch: sources in -> one manifest that knows files by content alone; local, package, web and dataset sources."""

import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines import download as web
from pipelines import fetch as stage
from pipelines.sources import FetchedFile, StatCache, read_fetch_manifest
from pipelines.spine.errors import CorpusmillError

ONE = "第一行\n".encode()
TWO = b"second file\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(path: object, **changes: object) -> dict[str, object]:
    """A source as params.yaml has it."""
    return {
        "name": "news", "kind": "text", "path": str(path), "language": "zh", "licence": "CC0", "sha256": "",
        "columns": {}, "options": {"split": "line"}, **changes,
    }  # fmt: skip


class Workspace:
    """A folder with params.yaml in which the stage's command runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.params = folder / "params.yaml"
        self.raw = folder / "cache" / "raw"
        self.manifest = folder / "out" / "manifest.json"

    def run(self, *sources: dict[str, object], options: tuple[str, ...] = ()) -> dict[str, object]:
        self.declare(*sources)
        return self.fetch(*options)

    def declare(self, *sources: dict[str, object]) -> None:
        self.params.write_text(json.dumps({"fetch": {"sources": sources, "evaluation_sets": []}}), encoding="utf-8")

    def fetch(self, *options: str) -> dict[str, object]:
        places = ["--output", str(self.manifest.parent), "--cache", str(self.folder / "cache")]
        stage.main([*places, "--params", str(self.params), *options])
        return json.loads(self.manifest.read_text(encoding="utf-8"))

    def files(self) -> list[FetchedFile]:
        return read_fetch_manifest(self.manifest, self.folder / "cache")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def dumps(tmp_path: Path) -> Path:
    folder = tmp_path / "dumps"
    folder.mkdir()
    (folder / "a.txt").write_bytes(ONE)
    (folder / "b.txt").write_bytes(TWO)
    return folder


# --- the manifest


def test_the_manifest_names_files_by_content_and_sorts_them(workspace, dumps):
    document = workspace.run(entry(dumps / "*.txt", columns={"text": "t"}))
    assert document == {
        "schema_version": 2,
        "files": [
            {
                "name": f"news-{sha[:12]}", "source": "news", "sha256": sha, "bytes": size, "kind": "text",
                "language": "zh", "licence": "CC0", "columns": {"text": "t"}, "options": {"split": "line"},
            }
            for sha, size in sorted([(sha256(ONE), 10), (sha256(TWO), 12)])
        ],
        "totals": {"files": 2, "bytes": 22, "repeats": 0},
        "ledger": {"counts": "files", "in": 2, "out": {"files": 2}, "reasons": {}, "apart": {}},
    }  # fmt: skip
    assert {Path(file.path).read_bytes() for file in workspace.files()} == {ONE, TWO}
    assert all(Path(file.path).is_symlink() for file in workspace.files())


def test_renamed_moved_and_touched_files_leave_the_manifest_alone(workspace, dumps, tmp_path):
    workspace.run(entry(dumps / "*.txt"))
    before = workspace.manifest.stat()
    (dumps / "a.txt").rename(dumps / "z.txt")
    (dumps / "b.txt").rename(tmp_path / "b.elsewhere")
    os.utime(dumps / "z.txt", (1, 1))
    (dumps / "y.txt").symlink_to(tmp_path / "b.elsewhere")
    workspace.run(entry(dumps / "*.txt"))
    after = workspace.manifest.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert {Path(file.path).read_bytes() for file in workspace.files()} == {ONE, TWO}


def test_the_order_of_the_sources_leaves_no_trace(workspace, dumps):
    first, second = entry(dumps / "a.txt"), entry(dumps / "b.txt", name="blog", language="ja")
    assert workspace.run(first, second) == workspace.run(second, first)


def test_a_repeated_content_is_counted_once_within_a_source(workspace, dumps):
    (dumps / "c.txt").write_bytes(ONE)
    document = workspace.run(entry(dumps / "*"), entry(dumps / "a.txt", name="again"))
    assert document["totals"] == {"files": 3, "bytes": 32, "repeats": 1}
    assert document["ledger"]["reasons"] == {"repeated": 1}


def test_the_ledger_goes_where_it_is_asked_for(workspace, dumps, tmp_path):
    workspace.run(entry(dumps / "a.txt"), options=("--ledger", str(tmp_path / "counts.json")))
    assert json.loads((tmp_path / "counts.json").read_text())["out"] == {"files": 1}


# --- local files


def test_a_changed_file_is_noticed_even_when_its_size_and_date_stay(workspace, dumps):
    old = time.time_ns() - 10**9
    os.utime(dumps / "a.txt", ns=(old, old))
    workspace.run(entry(dumps / "a.txt"))
    (dumps / "new").write_bytes(ONE.replace("一".encode(), "二".encode()))
    os.utime(dumps / "new", ns=(old, old))
    os.replace(dumps / "new", dumps / "a.txt")
    document = workspace.run(entry(dumps / "a.txt"))
    assert document["files"][0]["sha256"] == sha256("第二行\n".encode())
    assert workspace.files()[0].path.endswith(sha256("第二行\n".encode()))


def test_an_unchanged_file_is_not_read_again(workspace, dumps):
    os.utime(dumps / "a.txt", (1_000_000_000, 1_000_000_000))
    first = workspace.run(entry(dumps / "a.txt"))
    # Other bytes under the same size, date and inode: only a run that does not read the file misses them.
    (dumps / "a.txt").write_bytes(b"0123456789")
    os.utime(dumps / "a.txt", (1_000_000_000, 1_000_000_000))
    assert workspace.run(entry(dumps / "a.txt")) == first


def test_a_file_hashed_right_after_a_change_is_hashed_again(tmp_path):
    (tmp_path / "fresh").write_bytes(ONE)
    os.utime(tmp_path / "fresh", (time.time() + 60, time.time() + 60))
    stats = StatCache(tmp_path)
    assert stats.sha256(tmp_path / "fresh") == sha256(ONE)
    assert stats.known(tmp_path / "fresh") == ""


def test_a_damaged_stat_cache_only_costs_time(workspace, dumps):
    first = workspace.run(entry(dumps / "a.txt"))
    (workspace.raw / "stat.json").write_text("[[{")
    assert workspace.run(entry(dumps / "a.txt")) == first


def test_a_deleted_cache_is_made_again(workspace, dumps):
    first = workspace.run(entry(dumps / "*"))
    for path in workspace.raw.iterdir():
        path.unlink()
    assert workspace.run(entry(dumps / "*")) == first
    assert len(workspace.files()) == 2


def test_a_file_with_a_star_in_its_name_is_that_file(workspace, dumps):
    (dumps / "[x]*.txt").write_bytes(b"odd")
    assert workspace.run(entry(dumps / "[x]*.txt"))["totals"]["files"] == 1


def test_files_in_a_package_are_found_without_importing_it(workspace, tmp_path, monkeypatch):
    package = tmp_path / "site" / "corpus_of_ours" / "data"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "a.txt").write_bytes(ONE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert workspace.run(entry("package://corpus_of_ours/data/*.txt"))["files"][0]["sha256"] == sha256(ONE)


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"path": "missing/*.bz2"}, "the pattern matches no file", "check the path"),
        ({"path": "missing.bz2"}, "nothing is there", "check the path"),
        ({"path": "."}, "the path is a folder", "for the files in it"),
        ({"path": "package://no_such/x"}, "the package no_such is not installed", "pip install no_such"),
        ({"path": "package://email/missing"}, "nothing is there", "check the path"),
        ({"name": "a:b"}, "wrong name", ""),
        ({"name": ""}, "wrong name", ""),
        ({"kind": "xml"}, "wrong kind", ""),
        ({"sha256": "abc"}, "wrong sha256", ""),
        ({"options": {"split": "page"}}, "wrong option split", ""),
        ({"kind": "hf", "options": {}, "path": "owner/name"}, "neither a folder nor a pinned name", "without a revision"),
    ],
)  # fmt: skip
def test_a_wrong_source_says_where_and_what_to_do(workspace, changes, message, hint):
    with pytest.raises(CorpusmillError, match=message) as caught:
        workspace.run(entry("x") | changes)
    assert caught.value.where.startswith("params.yaml: fetch.sources, ")
    assert hint in caught.value.hint
    assert not workspace.manifest.exists()


def test_two_sources_of_one_name_are_refused(workspace, dumps):
    with pytest.raises(CorpusmillError, match="wrong name"):
        workspace.run(entry(dumps / "a.txt"), entry(dumps / "b.txt"))


def test_an_unreadable_file_is_named(workspace, dumps):
    (dumps / "loop.txt").symlink_to(dumps / "loop.txt")
    with pytest.raises(CorpusmillError, match=r"loop\.txt: too many levels of symbolic links"):
        workspace.run(entry(dumps / "*.txt"))


def test_a_wrong_checksum_shows_both(workspace, dumps):
    with pytest.raises(CorpusmillError, match="wrong checksum") as caught:
        workspace.run(entry(dumps / "a.txt", sha256="0" * 64))
    assert (caught.value.expected, caught.value.got) == ("0" * 64, sha256(ONE))
    assert workspace.run(entry(dumps / "a.txt", sha256=sha256(ONE)))["totals"]["files"] == 1


def test_one_checksum_cannot_hold_for_two_files(workspace, dumps):
    with pytest.raises(CorpusmillError, match="the path names several files"):
        workspace.run(entry(dumps / "*.txt", sha256=sha256(ONE)))


def test_a_source_that_changes_after_fetch_is_refused_by_the_next_stage(workspace, dumps):
    os.utime(dumps / "a.txt", (1_000_000_000, 1_000_000_000))
    workspace.run(entry(dumps / "a.txt"))
    (dumps / "a.txt").write_bytes("第二行\n".encode())
    with pytest.raises(CorpusmillError, match="a source changed after it was fetched"):
        workspace.files()
    (dumps / "a.txt").unlink()
    with pytest.raises(CorpusmillError, match="the bytes of a fetched file are gone"):
        workspace.files()


def test_a_folder_without_a_manifest_is_a_clear_error(tmp_path):
    with pytest.raises(CorpusmillError, match="no manifest of fetch"):
        read_fetch_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"files": [{"source": "a"}], "schema_version": 2}')
    with pytest.raises(CorpusmillError, match="or a damaged one"):
        read_fetch_manifest(tmp_path)


def test_the_command_imports_neither_beam_nor_arrow_nor_requests():
    heavy = "{'apache_beam', 'pyarrow', 'requests', 'urllib.request'}"
    code = f"import sys, pipelines.fetch; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_two_at_once_both_end_well(workspace, dumps):
    workspace.declare(entry(dumps / "*.txt"))  # once: a file being rewritten is not what is tried here
    failures = []

    def run() -> None:
        try:
            workspace.fetch()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(workspace.files()) == 2


# --- datasets


def test_a_dataset_folder_is_known_by_its_names_and_contents(workspace, dumps):
    source = entry(dumps, kind="hf", options={})
    first = workspace.run(source)
    assert first["totals"] == {"files": 1, "bytes": 22, "repeats": 0}
    assert Path(workspace.files()[0].path).resolve() == dumps
    (dumps / "a.txt").rename(dumps / "test.txt")
    assert workspace.run(source)["files"][0]["sha256"] != first["files"][0]["sha256"]


def test_a_hub_dataset_is_known_by_its_name_and_revision(workspace):
    name = "wikimedia/wikipedia:20231101.simple@b04c8d1"
    document = workspace.run(entry(name, kind="hf", options={}))
    assert document["files"][0]["sha256"] == sha256(name.encode())
    assert Path(workspace.files()[0].path).read_text() == name


# --- the web


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.body``; breaks off after each number of bytes in ``server.cuts``."""

    def do_GET(self) -> None:
        server = self.server
        server.requests.append((self.headers.get("Range"), self.headers.get("If-Range")))
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        body, start = server.body, 0
        asked = self.headers.get("Range")
        if asked and server.ranges and self.headers.get("If-Range") == server.tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + server.cuts.pop(0) if server.cuts else len(body)
        self.wfile.write(body[start:end])

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(web, "BACKOFF_SECONDS", (0.01, 0.01))
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.body, server.tag = bytes(range(256)) * 40, '"v1"'
        server.cuts, server.statuses, server.requests, server.ranges = [], [], [], True
        server.url = f"http://127.0.0.1:{server.server_address[1]}/dump.bz2"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_download_lies_in_the_cache_and_is_not_repeated(workspace, server):
    first = workspace.run(entry(server.url))
    assert first["files"][0]["sha256"] == sha256(server.body)
    assert Path(workspace.files()[0].path).read_bytes() == server.body
    assert workspace.run(entry(server.url)) == first
    assert workspace.run(entry(server.url, sha256=sha256(server.body)))["files"] == first["files"]
    assert server.requests == [(None, None)]
    assert sorted(path.name for path in workspace.raw.iterdir()) == sorted([sha256(server.body), "lock", "stat.json"])


def test_a_server_that_breaks_off_is_asked_only_for_the_rest(workspace, server):
    server.cuts = [1000, 2000, 500, 100, 100]
    document = workspace.run(entry(server.url))
    assert document["files"][0]["sha256"] == sha256(server.body)
    starts = [0, 1000, 3000, 3500, 3600, 3700]
    assert server.requests == [(None, None), *((f"bytes={start}-", '"v1"') for start in starts[1:])]


def test_a_file_that_changes_between_two_pieces_begins_anew(workspace, server):
    server.cuts = [1000]
    old_body, sent = server.body, threading.Event()

    class Changing(Handler):
        def do_GET(self) -> None:
            super().do_GET()
            if not sent.is_set():
                self.server.body, self.server.tag = b"new" * 3000, '"v2"'
                sent.set()

    server.RequestHandlerClass = Changing
    document = workspace.run(entry(server.url))
    assert document["files"][0]["sha256"] == sha256(b"new" * 3000) != sha256(old_body)


def test_a_server_without_ranges_is_read_from_the_start_again(workspace, server):
    server.ranges, server.cuts = False, [1000]
    assert workspace.run(entry(server.url))["files"][0]["sha256"] == sha256(server.body)


def test_a_part_that_was_whole_when_the_run_died_is_taken(workspace, server):
    workspace.raw.mkdir(parents=True)
    part = workspace.raw / f"{sha256(server.url.encode())[:32]}.part"
    part.write_bytes(server.body)
    part.with_name(f"{part.name}.json").write_text('{"validator": "\\"v1\\""}')
    assert workspace.run(entry(server.url))["files"][0]["sha256"] == sha256(server.body)
    assert server.requests == [(f"bytes={len(server.body)}-", '"v1"')]


def test_a_busy_server_is_asked_again(workspace, server):
    server.statuses = [503, 429]
    assert workspace.run(entry(server.url))["files"][0]["sha256"] == sha256(server.body)


def test_a_server_that_never_recovers_ends_in_a_clear_error(workspace, server):
    server.statuses = [503] * 10
    with pytest.raises(CorpusmillError, match="the download fails: the server answers 503") as caught:
        workspace.run(entry(server.url))
    assert "goes on where it stopped" in caught.value.hint
    assert len(server.requests) == 3


def test_a_server_that_always_breaks_off_at_the_same_byte_is_given_up(workspace, server):
    server.ranges, server.cuts = False, [100] * 20
    with pytest.raises(CorpusmillError, match="the connection broke off at 100 of 10,240 bytes"):
        workspace.run(entry(server.url))


def test_a_file_that_is_not_on_the_server_is_not_asked_for_twice(workspace, server):
    server.statuses = [404]
    with pytest.raises(CorpusmillError, match="the server answers 404 Not Found") as caught:
        workspace.run(entry(server.url))
    assert caught.value.where == server.url
    assert len(server.requests) == 1


def test_a_port_that_refuses_is_a_clear_error(workspace, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(CorpusmillError, match="the download fails: Connection refused"):
        workspace.run(entry(server.url))


def test_a_download_with_the_wrong_checksum_leaves_nothing_behind(workspace, server):
    with pytest.raises(CorpusmillError, match="wrong checksum") as caught:
        workspace.run(entry(server.url, sha256="f" * 64))
    assert (caught.value.expected, caught.value.got) == ("f" * 64, sha256(server.body))
    assert not list(workspace.raw.glob("*.part"))


def test_a_download_that_does_not_fit_is_refused_before_it_begins(workspace, server, monkeypatch):
    full = shutil.disk_usage(workspace.folder)._replace(free=17)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(CorpusmillError, match="no space left for the download") as caught:
        workspace.run(entry(server.url))
    assert (caught.value.expected, caught.value.got) == ("10,240 bytes", "17 bytes free")


def test_a_damaged_download_in_the_cache_is_fetched_again(workspace, server):
    first = workspace.run(entry(server.url, sha256=sha256(server.body)))
    (workspace.raw / sha256(server.body)).write_bytes(b"damaged")
    assert workspace.run(entry(server.url, sha256=sha256(server.body))) == first
    assert Path(workspace.files()[0].path).read_bytes() == server.body


def test_refresh_asks_the_server_again(workspace, server):
    workspace.run(entry(server.url))
    server.body, server.tag = b"a newer dump", '"v2"'
    assert workspace.run(entry(server.url))["files"][0]["bytes"] == 10240
    assert workspace.run(entry(server.url), options=("--refresh",))["files"][0]["bytes"] == 12


# --- evaluation sets


def evaluation_set(path: object, **changes: object) -> dict[str, object]:
    """An evaluation set as params.yaml has it."""
    return {
        "name": "quiz", "kind": "jsonl", "path": str(path), "sha256": "", "columns": ["question"], "key": "",
        "options": {}, **changes,
    }  # fmt: skip


def run_with_sets(workspace: Workspace, source: Path, *sets: dict[str, object]) -> dict[str, object]:
    content = {"fetch": {"sources": [entry(source)], "evaluation_sets": sets}}
    workspace.params.write_text(json.dumps(content), encoding="utf-8")
    workspace.fetch()
    return json.loads((workspace.manifest.parent / "evaluation.json").read_text(encoding="utf-8"))


def test_evaluation_sets_are_named_by_content_in_a_file_of_their_own(workspace, dumps):
    (dumps / "q.jsonl").write_bytes(b'{"question": "?"}\n')
    sets = [evaluation_set(dumps / "q.jsonl"), evaluation_set(dumps / "b*.txt", name="also")]
    document = run_with_sets(workspace, dumps / "a.txt", *sets)
    file = {"sha256": sha256(b'{"question": "?"}\n'), "bytes": 18}
    common = {"kind": "jsonl", "columns": ["question"], "key": "", "options": {}}
    assert document == {
        "schema_version": 1,
        "sets": [
            {"name": "also", **common, "files": [{"sha256": sha256(TWO), "bytes": 12}]},
            {"name": "quiz", **common, "files": [file]},
        ],
    }
    assert (workspace.raw / file["sha256"]).read_bytes() == b'{"question": "?"}\n'
    assert [one["source"] for one in json.loads(workspace.manifest.read_text())["files"]] == ["news"]


def test_a_set_that_is_renamed_or_named_in_another_order_leaves_its_file_alone(workspace, dumps):
    sets = [evaluation_set(dumps / "b.txt"), evaluation_set(dumps / "a.txt", name="also")]
    run_with_sets(workspace, dumps / "a.txt", *sets)
    before = (workspace.manifest.parent / "evaluation.json").stat()
    (dumps / "b.txt").rename(dumps / "c.txt")
    run_with_sets(workspace, dumps / "a.txt", sets[1], evaluation_set(dumps / "c.txt"))
    after = (workspace.manifest.parent / "evaluation.json").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_another_set_leaves_the_manifest_of_the_sources_alone(workspace, dumps):
    assert run_with_sets(workspace, dumps / "a.txt")["sets"] == []
    before = workspace.manifest.stat()
    assert len(run_with_sets(workspace, dumps / "a.txt", evaluation_set(dumps / "b.txt"))["sets"]) == 1
    after = workspace.manifest.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"name": "a/b"}, "name", "letters, digits"),
        ({"kind": "mediawiki"}, "kind", "jsonl, csv, parquet, text"),
        ({"sha256": "12"}, "sha256", "64 hex digits"),
        ({"columns": []}, "columns", "columns of a table"),
        ({"kind": "text", "options": {"split": "line"}}, "columns", r"\[\] for kind text"),
        ({"kind": "text", "columns": [], "key": "id", "options": {"split": "line"}}, "key", '"" for kind text'),
        ({"kind": "text", "columns": []}, "options", "split: line, file or marker"),
        ({"options": {"members": "*"}}, "options", "none in an archive"),
    ],
)  # fmt: skip
def test_a_wrong_evaluation_set_is_refused_with_its_place(workspace, dumps, changes, field, expected):
    with pytest.raises(CorpusmillError) as error:
        run_with_sets(workspace, dumps / "a.txt", evaluation_set(dumps / "b.txt", **changes))
    name = changes.get("name", "quiz")
    assert error.value.where == f"params.yaml: fetch.evaluation_sets, {name}.{field}"
    assert re.search(expected, error.value.expected)


def test_a_missing_file_of_an_evaluation_set_is_named_with_its_parameter(workspace, dumps):
    with pytest.raises(CorpusmillError, match="nothing is there") as error:
        run_with_sets(workspace, dumps / "a.txt", evaluation_set(dumps / "none.jsonl"))
    assert error.value.where == "params.yaml: fetch.evaluation_sets, quiz.path"


def test_two_evaluation_sets_of_one_name_are_refused(workspace, dumps):
    with pytest.raises(CorpusmillError, match="wrong name") as error:
        run_with_sets(workspace, dumps / "a.txt", *[evaluation_set(dumps / "b.txt")] * 2)
    assert error.value.got == "'quiz twice'"
