"""Places in an object store behave like files: whole or absent, read by ranges, with errors that say what to do."""

import http.server
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from stores import Store, free_port, gcs_server, s3_server

from pipelines.spine import local_cache, objects, storage, uploads
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import Shard
from pipelines.spine.object_names import matching
from pipelines.spine.root import storage_root
from pipelines.spine.shards import ParquetShard, read_batches
from pipelines.spine.units import Receipt, Unit, UnitCache, UnitInput

NOT_TAKEN = "the store does not take the request"


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


def test_several_ranges_come_in_order_and_one_past_the_end_is_an_error(store: Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096  # a megabyte: the last range is asked for by itself
    for place in (f"{store.scheme}://corpus/ranges", str(tmp_path / "ranges")):
        with storage.publishing(place) as file:
            file.write(content)
        ranges = [(0, 3), (3, 3), (5, 300), (1 << 19, (1 << 19) + 2)]
        assert storage.read_ranges(place, ranges) == [content[start:stop] for start, stop in ranges]
        assert storage.read_ranges(place, []) == []
        with pytest.raises(CorpusmillError, match="the file ends too early") as error:
            storage.read_ranges(place, [(0, 1), (len(content) - 1, len(content) + 9)])
        assert error.value.got == "1 of them"


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


def test_a_whole_file_is_asked_for_at_once_and_one_that_became_shorter_is_no_short_file() -> None:
    class Shrinking:
        """What a client's open file looks like when another object takes the name."""

        def __init__(self) -> None:
            self.asked: list[tuple[int, int]] = []

        def size(self) -> int:
            return 100_000

        def read_at(self, number: int, start: int) -> bytes:
            self.asked.append((number, start))
            return bytes(min(number, 60_000 - start))

        def close(self) -> None:
            return

    whole = Shrinking()
    with objects.io.BufferedReader(objects._Ranges(whole, "s3://corpus/a", stop=50_000)) as file:
        assert len(file.read()) == 50_000
    assert whole.asked == [(50_000, 0)]
    with (
        objects.io.BufferedReader(objects._Ranges(Shrinking(), "s3://corpus/a", None)) as file,
        pytest.raises(CorpusmillError, match="the object went while it was read"),
    ):
        file.read()


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


def test_an_upload_holds_some_megabytes_whatever_the_size_of_the_file(store: Store, tmp_path: Path) -> None:
    if store.scheme == "gs":
        pytest.skip("the emulator takes 9 s for it, and its client waits for each piece anyway")
    (tmp_path / "large").write_bytes(bytes(64 << 20))
    before = pa.default_memory_pool().max_memory()
    objects.upload(tmp_path / "large", f"{store.scheme}://corpus/large")
    assert pa.default_memory_pool().max_memory() - before < 32 << 20


def test_a_source_that_was_replaced_under_its_name_is_copied_again(store: Store, own_cache: Path) -> None:
    place = f"{store.scheme}://corpus/news.7z"
    storage.write_text(place, "of January")
    assert storage.local_copy(place).read_text() == "of January"
    storage.write_text(place, "of February")
    assert storage.local_copy(place).read_text() == "of February"


def test_a_file_that_is_written_while_it_is_sent_does_not_lie_under_its_old_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, root = tmp_path / "model", tmp_path / "root"
    file.write_text("of January")
    sha256_file = storage.sha256_file

    def hashed_just_before_it_is_written(path: Path) -> str:
        found = sha256_file(path)
        file.write_text("of February")
        return found

    monkeypatch.setattr(storage, "sha256_file", hashed_just_before_it_is_written)
    with pytest.raises(CorpusmillError, match="the file changed while it was copied"):
        uploads.uploaded_file(file, str(root))
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_making_room_takes_old_copies_and_leftovers_and_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_cache, "LEAST_FREE", 1.0)
    old, new = "a" * 64, "b" * 64
    for name in (old, new, "thesis.tex", ".tmp-0123abcd", ".tmp-ffff"):
        (tmp_path / name).write_text("text")
    (tmp_path / "photos").mkdir()
    (tmp_path / ".folder-x1").mkdir()
    (tmp_path / "broken").symlink_to("nowhere")  # as a copy that another process takes away meanwhile
    for name in (old, "thesis.tex", "photos", ".tmp-0123abcd", ".folder-x1"):
        os.utime(tmp_path / name, (0, 0))
    local_cache.make_room(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-ffff", new, "broken", "photos", "thesis.tex"]


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


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("AWS Error UNKNOWN (HTTP status 400) during HeadObject operation: No response body.", NOT_TAKEN),
        ("AWS Error UNKNOWN (HTTP status 400): Unable to parse ExceptionName: ExpiredToken", NOT_TAKEN),
        ("AWS Error UNKNOWN (HTTP status 301) during HeadObject operation", NOT_TAKEN),
        ("Could not create a OAuth2 access token to authenticate the request.", "the store refuses"),
    ],
)  # fmt: skip
def test_what_another_attempt_will_not_change_is_said_at_once(told: str, message: str) -> None:
    asked = []

    def call() -> None:
        asked.append(1)
        raise OSError(told)

    with pytest.raises(CorpusmillError) as caught:
        objects.retried(call, "s3://corpus/a")
    assert (caught.value.message, caught.value.got, len(asked)) == (message, told, 1)


def test_the_end_of_a_long_answer_is_told_too() -> None:
    told = f"When getting information for key '{'a' * 900}': status 301: the bucket is located in 'eu-west-1'."
    with pytest.raises(CorpusmillError, match="located in 'eu-west-1'"):
        objects.retried(lambda: (_ for _ in ()).throw(OSError(told)), "s3://corpus/a")


def test_credentials_that_are_no_file_are_an_error_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    for given in ("nowhere.json", "empty.json"):
        (tmp_path / "empty.json").touch()
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / given))
        objects._store_of.cache_clear()
        with pytest.raises(CorpusmillError, match="the store refuses"):
            storage.size_of("gs://corpus/a")
    objects._store_of.cache_clear()


@pytest.mark.parametrize("given", ["localhost:9000", "http://", "https://host/a/path"])
@pytest.mark.parametrize(
    ("variable", "place"), [("AWS_ENDPOINT_URL", "s3://corpus/a"), ("STORAGE_EMULATOR_HOST", "gs://corpus/a")]
)
def test_what_is_no_address_of_a_store_does_not_mean_the_vendors_own(
    given: str, variable: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv(variable, given)
    objects._store_of.cache_clear()
    with pytest.raises(CorpusmillError, match="not the address of a store"):
        storage.size_of(place)


def test_names_that_no_object_has_are_refused(store: Store) -> None:
    for call in (lambda: storage.size_of(f"{store.scheme}://corpus//a"), lambda: matching(f"{store.scheme}://cor*/a")):
        with pytest.raises(CorpusmillError, match=r"not a place that can be read|a bucket is named, not searched for"):
            call()


def test_a_full_disk_is_not_blamed_on_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"{store.scheme}://corpus/does-not-fit"
    storage.write_text(place, "text")
    download = objects.download
    monkeypatch.setattr(objects, "download", lambda place, target: download(place, Path("/dev/full")))
    with pytest.raises(CorpusmillError) as caught:
        storage.local_copy(place)
    assert (caught.value.message, caught.value.where) == ("no space left on device", str(local_cache.cache_folder()))


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


def test_a_store_is_asked_for_the_sizes_of_many_objects_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with Answering([404] * 100, seconds=0.2) as (port, asked):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        objects._store_of.cache_clear()
        begun = time.monotonic()
        assert storage.sizes_of([f"gs://corpus/{number}" for number in range(20)]) == [None] * 20
    objects._store_of.cache_clear()
    assert len(asked) >= 20
    assert time.monotonic() - begun < 3  # one after another: 8 s


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
    """A server that answers with the statuses given, one a request and after some seconds, and notes what it was asked."""

    def __init__(self, statuses: list[int], seconds: float = 0.0) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                time.sleep(seconds)
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
