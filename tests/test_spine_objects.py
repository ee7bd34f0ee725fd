"""Places in an object store behave like files: whole or absent, read by ranges, with errors that say what to do."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from stores import Store, free_port, gcs_server, s3_server

from pipelines.spine import local_cache, objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import Shard
from pipelines.spine.object_names import matching
from pipelines.spine.root import storage_root
from pipelines.spine.shards import ParquetShard, read_batches
from pipelines.spine.units import Receipt, Unit, UnitCache, UnitInput


@pytest.fixture(scope="module", params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with {"s3": s3_server, "gs": gcs_server}[request.param]() as running:
        running.create_bucket("corpus")
        yield running


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(local_cache.FOLDER, str(tmp_path / "copies"))
    return tmp_path / "copies"


def test_what_is_published_comes_back(store: Store) -> None:
    place = f"{store.scheme}://corpus/texts/海 a.txt"
    assert not storage.exists(place)
    storage.write_text(place, "海\n")
    assert (storage.read_text(place), storage.size_of(place)) == ("海\n", 4)
    storage.delete(place)
    storage.delete(place)
    with pytest.raises(FileNotFoundError):
        storage.read_text(place)


def test_a_block_that_fails_publishes_nothing(store: Store) -> None:
    place = f"{store.scheme}://corpus/half.bin"
    with pytest.raises(ZeroDivisionError), storage.publishing(place) as file:
        file.write(b"half of it")
        raise ZeroDivisionError
    assert storage.size_of(place) is None


def test_ranges_are_read_as_from_a_file(store: Store) -> None:
    place, content = f"{store.scheme}://corpus/ranges.bin", bytes(range(256)) * 36_000
    with storage.publishing(place) as file:
        file.write(content)
    with storage.open_input(place) as file:
        assert file.read(10) == content[:10]
        assert (file.seek(9_000_001), file.read(9)) == (9_000_001, content[9_000_001:9_000_010])
        assert (file.seek(-3, 2), file.read()) == (9_215_997, content[-3:])
        assert file.seek(0) == 0
        assert file.read() == content


def test_a_reader_may_be_told_where_to_stop(store: Store) -> None:
    place = f"{store.scheme}://corpus/stopped.bin"
    storage.write_text(place, "0123456789")
    with storage.open_input(place, 2, stop=7) as file:
        assert (file.seek(3), file.read(2), file.read()) == (3, b"34", b"56")
        assert (file.seek(0, 2), file.read()) == (7, b"")


def test_patterns_name_objects_as_they_name_files(store: Store) -> None:
    folder = f"{store.scheme}://corpus/pages"
    for name in ("a.txt", "b.csv", ".c.txt", "deep/d.txt", "deep/er/e.txt", "[x].txt"):
        storage.write_text(storage.join(folder, name), "text")
    named = {
        "*.txt": ["[x].txt", "a.txt"], "**/*.txt": ["[x].txt", "a.txt", "deep/d.txt", "deep/er/e.txt"],
        "[x].txt": ["[x].txt"], "deep": [], "*/d.txt": ["deep/d.txt"], ".*": [".c.txt"],
        "deep/**": ["deep/d.txt", "deep/er/e.txt"],
    }  # fmt: skip
    for pattern, names in named.items():
        assert matching(f"{folder}/{pattern}") == [f"{folder}/{name}" for name in names]


def test_sizes_are_asked_for_together_and_folders_are_listed(store: Store, tmp_path: Path) -> None:
    folder = f"{store.scheme}://corpus/many"
    places = [storage.join(folder, name) for name in ("b", "a", "gone")]
    for place in places[:2]:
        storage.write_text(place, place[-1] * 3)
    (tmp_path / "local").write_text("12345")
    assert storage.sizes_of([*places, str(tmp_path / "local"), str(tmp_path)]) == [3, 3, None, 5, None]
    assert objects.listed(folder) == [places[1], places[0]]
    storage.delete_tree(folder)
    assert objects.listed(folder) == []


def test_a_shard_has_the_same_entry_and_bytes_in_a_store_and_on_a_disk(store: Store, tmp_path: Path) -> None:
    rows = pa.RecordBatch.from_pydict({"text": ["a", "海"]})
    entries = []
    for place in (f"{store.scheme}://corpus/units/x.parquet", str(tmp_path / "x.parquet")):
        with ParquetShard(place, rows.schema) as shard:
            shard.write(rows)
        entries.append(shard.published())
        assert [batch.to_pydict() for batch in read_batches(place)] == [rows.to_pydict()]
    assert entries[0] == entries[1]
    assert storage.local_copy(f"{store.scheme}://corpus/units/x.parquet").read_bytes() == Path(place).read_bytes()


def test_a_finished_unit_is_found_in_the_store_and_one_with_a_lost_shard_is_not(store: Store) -> None:
    cache = UnitCache(f"{store.scheme}://corpus/units/clean", "recipe")
    unit = Unit("enwiki-3fa91c04be77", "enwiki", (UnitInput("a", "0" * 64, 1),))
    assert (cache.receipt(unit), cache.is_sound(unit)) == (None, False)
    storage.write_text(cache.place(unit, "a.parquet"), "rows")
    shard = Shard("a.parquet", 1, 4, storage.sha256_text("rows"))
    storage.write_text(cache.place(unit, "receipt.json"), Receipt((shard,), (), Ledger("documents")).to_json())
    assert cache.is_sound(unit)
    assert [found.shards for found in cache.receipts([unit, unit]) if found is not None] == [(shard,), (shard,)]
    storage.delete(cache.place(unit, "a.parquet"))
    assert not cache.is_sound(unit)


def test_a_copy_is_fetched_once_and_checked(store: Store, own_cache: Path) -> None:
    place = f"{store.scheme}://corpus/copied.txt"
    storage.write_text(place, "first")
    first = storage.sha256_text("first")
    assert storage.local_copy(place, first).read_text() == "first"
    storage.write_text(place, "other")  # nobody does: objects never change under their name
    assert storage.local_copy(place, first).read_text() == "first"
    with pytest.raises(CorpusmillError) as caught:
        storage.local_copy(place, storage.sha256_text("third"))
    assert caught.value.message == "the object holds other bytes than declared"
    assert [path.name for path in own_cache.iterdir() if not path.name.startswith(".")] == [first]


def test_a_missing_bucket_is_named(store: Store) -> None:
    for call in (lambda: storage.write_text(f"{store.scheme}://nowhere/a", ""),
                 lambda: storage.read_text(f"{store.scheme}://nowhere/a")):  # fmt: skip
        with pytest.raises(CorpusmillError) as caught:
            call()
        assert str(caught.value) == (
            f"{store.scheme}://nowhere: no such bucket\n"
            "  hint: create it (we never do), or correct storage.root in params.yaml"
        )


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_says_which_account_to_check(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with Answering([status] * 100) as (port, asked):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        objects._store_of.cache_clear()
        with pytest.raises(CorpusmillError) as caught:
            storage.read_text("gs://corpus/a")
    objects._store_of.cache_clear()
    assert (caught.value.message, caught.value.where) == ("the store refuses", "gs://corpus/a")
    assert caught.value.hint == (
        "check GOOGLE_APPLICATION_CREDENTIALS, and that this account may storage.objects.get, create, list on gs://corpus"
    )
    assert len(asked) < 5


def test_a_failure_in_passing_is_tried_again_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(objects.time, "sleep", pauses.append)
    left = [OSError("AWS Error SLOW_DOWN during PutObject"), OSError("connection reset")]

    def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    assert objects.retried(call, "s3://corpus/a") == "answer"
    assert 0.25 <= pauses[0] <= 0.75
    assert 0.5 <= pauses[1] <= 1.5
    assert "s3://corpus/a: AWS Error SLOW_DOWN during PutObject; trying again in" in capsys.readouterr().err


def test_a_store_that_never_answers_is_an_error_after_five_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects.time, "sleep", lambda seconds: None)
    asked = []

    def call() -> None:
        asked.append(1)
        raise OSError("connection reset")

    with pytest.raises(CorpusmillError, match="the store failed 5 times"):
        objects.retried(call, "s3://corpus/a")
    assert len(asked) == 5


@pytest.mark.parametrize(
    ("root", "place"),
    [("", ""), ("s3://bucket/corpus/", "s3://bucket/corpus"), ("gs://bucket", "gs://bucket"), ("file:///disk/a", "/disk/a")],
)  # fmt: skip
def test_a_root_is_a_place(root: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(f"storage:\n  root: '{root}'\n")
    monkeypatch.delenv("CORPUSMILL_ROOT", raising=False)
    assert storage_root(params) == place
    monkeypatch.setenv("CORPUSMILL_ROOT", "gs://other")
    assert storage_root(params) == "gs://other"


@pytest.mark.parametrize("root", ["bucket/corpus", "/disk", "file://disk", "http://host/a", "s3://"])
def test_what_is_no_root_is_refused(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSMILL_ROOT", root)
    with pytest.raises(CorpusmillError, match="not a storage root"):
        storage_root(tmp_path / "params.yaml")


class Answering:
    """A server that answers with the statuses given, one a request, and notes what it was asked for."""

    def __init__(self, statuses: list[int]) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(statuses[len(outer.asked) - 1])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self.port = free_port()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)

    def __enter__(self) -> tuple[int, list[str]]:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.port, self.asked

    def __exit__(self, *failure: object) -> None:
        self.server.shutdown()
        self.server.server_close()
