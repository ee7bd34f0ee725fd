"""run_unit: batches in, shards, evidence, a closed ledger and a receipt out, computed once."""

import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.progress import Heartbeat
from pipelines.spine.schema import DROPPED, QUARANTINED
from pipelines.spine.units import Receipt, Unit, UnitCache, UnitInput
from pipelines.spine.work import Outcome, evidence_place, run_unit

UNIT = Unit("jawiki-3fa91c04be77", "jawiki", (UnitInput("/raw/dump", "3fa9" * 16, 10),))
ROW = pa.schema([pa.field("doc_id", pa.string(), False), pa.field("text", pa.string(), False)])


def rows(*texts: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([f"s:{t}" for t in texts]), pa.array(texts, pa.string())], schema=ROW)


def dropped(*rules: str) -> pa.RecordBatch:
    values = [
        ["s:1"] * len(rules),
        ["s"] * len(rules),
        rules,
        ["3"] * len(rules),
        ["5"] * len(rules),
        ["短い"] * len(rules),
    ]
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in values], schema=DROPPED)


def quarantined(*reasons: str) -> pa.RecordBatch:
    arrays = [pa.array([value] * len(reasons)) for value in ("s", "offset 7")]
    arrays += [pa.array(reasons), pa.array(["no end"] * len(reasons)), pa.array([b"\xff"] * len(reasons))]
    return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINED)


@dataclass(frozen=True)
class Say:
    """Work that says what it was given, and notes in a file that it was asked."""

    said: tuple[Outcome, ...]
    marker: Path
    error: BaseException | None = field(default=None)
    stage: ClassVar[str] = "say"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        with self.marker.open("a") as file:
            file.write(f"{unit.name}\n")
        yield from self.said
        if self.error is not None:
            raise self.error


#: 10 in = 5 out (海, a, b | c, d) + 2 redirects + 2 dropped + 1 quarantined
SAID = (
    Outcome(taken=4, outputs={"": rows("海", "a", "b")}, reasons={"skipped.redirect": 1}),
    Outcome(taken=2, dropped=dropped("too_short", "too_short")),
    Outcome(taken=4, outputs={"": rows("c", "d")}, reasons={"skipped.redirect": 1}, quarantined=quarantined("cut_off")),
    Outcome(outputs={"": rows()}, dropped=dropped(), quarantined=quarantined(), apart={"lines": 3}),
)


def computed(work: Say) -> int:
    return len(work.marker.read_text().splitlines()) if work.marker.exists() else 0


def work_in(folder: Path, *said: Outcome, error: BaseException | None = None) -> tuple[Say, UnitCache]:
    return Say(said or SAID, folder / "marker", error), UnitCache(str(folder / "cache"), "recipe")


def run(work: Say, cache: UnitCache) -> Receipt:
    return run_unit(UNIT, work, cache, Heartbeat())


def names(cache: UnitCache) -> list[str]:
    folder = Path(cache.place(UNIT, ""))
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_becomes_of_the_records_is_written_and_counted(tmp_path: Path) -> None:
    work, cache = work_in(tmp_path)
    receipt = run(work, cache)
    assert receipt.ledger.to_dict() == {
        "counts": "documents", "in": 10, "out": {"documents": 5},
        "reasons": {"dropped.too_short": 2, "quarantined.cut_off": 1, "skipped.redirect": 2}, "apart": {"lines": 3},
    }  # fmt: skip
    assert [(shard.name, shard.rows) for shard in receipt.shards] == [("jawiki-3fa91c04be77.parquet", 5)]
    assert [(evidence_place(shard), shard.rows) for shard in receipt.evidence] == [
        ("dropped/jawiki-3fa91c04be77.parquet", 2), ("quarantined/jawiki-3fa91c04be77.parquet", 1),
    ]  # fmt: skip
    shard = cache.place(UNIT, receipt.shards[0].name)
    assert pq.read_table(shard)["text"].to_pylist() == ["海", "a", "b", "c", "d"]
    assert names(cache) == [
        "dropped-jawiki-3fa91c04be77.parquet", "jawiki-3fa91c04be77.parquet",
        "quarantined-jawiki-3fa91c04be77.parquet", "receipt.json",
    ]  # fmt: skip


def test_an_index_is_kept_beside_the_shards_as_arrow_and_counts_for_nothing(tmp_path: Path) -> None:
    said = Outcome(taken=1, outputs={"": rows("a")}, indexes={"index": rows("b", "c")})
    work, cache = work_in(tmp_path, said, Outcome(taken=0, indexes={"index": rows("d")}))
    receipt = run(work, cache)
    assert receipt.ledger.to_dict()["out"] == {"documents": 1}
    assert [(evidence_place(s), s.rows) for s in receipt.evidence] == [("index/jawiki-3fa91c04be77.arrow", 3)]
    with pa.memory_map(cache.place(UNIT, receipt.evidence[0].name)) as file:
        (batch,) = pa.ipc.open_stream(file)
    assert batch["text"].to_pylist() == ["b", "c", "d"]


def test_named_outputs_stand_before_the_unit_s_name_and_tables_count_as_batches(tmp_path: Path) -> None:
    table = pa.Table.from_batches([rows("c"), rows("d", "e")])
    receipt = run(*work_in(tmp_path, Outcome(taken=4, outputs={"val": rows("a"), "train": table, "test": rows()})))
    assert [(shard.name, shard.rows) for shard in receipt.shards] == [
        ("train-jawiki-3fa91c04be77.parquet", 3), ("val-jawiki-3fa91c04be77.parquet", 1),
    ]  # fmt: skip
    assert receipt.ledger.to_dict()["out"] == {"train": 3, "val": 1}


def test_what_is_given_may_be_another_count_than_rows(tmp_path: Path) -> None:
    receipt = run(*work_in(tmp_path, Outcome(taken=300, outputs={"": rows("a")}, given={"tokens": 300})))
    assert receipt.ledger.to_dict()["out"] == {"tokens": 300}


def test_a_unit_without_rows_leaves_a_receipt_and_no_shard(tmp_path: Path) -> None:
    work, cache = work_in(tmp_path, Outcome(taken=2, reasons={"skipped.redirect": 2}))
    assert run(work, cache).shards == ()
    assert names(cache) == ["receipt.json"]
    run(work, cache)
    assert computed(work) == 1


def test_a_finished_unit_is_not_computed_again(tmp_path: Path) -> None:
    work, cache = work_in(tmp_path)
    assert run(work, cache).to_json() == run(work, cache).to_json()
    assert computed(work) == 1


def test_another_recipe_computes_the_unit_again(tmp_path: Path) -> None:
    work, cache = work_in(tmp_path)
    run(work, cache)
    run(work, dataclasses.replace(cache, recipe="another"))
    assert computed(work) == 2


@pytest.mark.parametrize("name", ["jawiki-3fa91c04be77.parquet", "dropped-jawiki-3fa91c04be77.parquet", "receipt.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_damaged_file_of_the_cache_is_computed_again_with_the_same_bytes(
    name: str, damage: str, tmp_path: Path
) -> None:
    work, cache = work_in(tmp_path)
    whole = run(work, cache).to_json()
    path = Path(cache.place(UNIT, name))
    content = path.read_bytes()
    changed = {"gone": b"", "cut": content[: len(content) // 2], "flipped": b"?" + content[1:]}[damage]
    path.unlink()
    if damage != "gone":
        path.write_bytes(changed)
    assert run(work, cache).to_json() == whole
    assert computed(work) == 2
    assert path.read_bytes() == content
    assert cache.is_sound(UNIT)


def test_a_ledger_that_does_not_close_leaves_no_receipt(tmp_path: Path) -> None:
    work, cache = work_in(tmp_path, Outcome(taken=9, outputs={"": rows("a")}, reasons={"skipped.redirect": 5}))
    with pytest.raises(CorpusmillError) as caught:
        run(work, cache)
    assert str(caught.value).startswith(
        "say: jawiki-3fa91c04be77: the ledger does not close: 9 documents in, 1 out, 5 under a reason\n"
        "  expected: 9\n  got: 6\n"
    )
    assert cache.receipt(UNIT) is None


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), CorpusmillError("broken")], ids=repr)
def test_a_unit_that_fails_after_writing_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    work, cache = work_in(tmp_path, *SAID, error=error)
    with pytest.raises(type(error)):
        run(work, cache)
    assert names(cache) == []
    run(work_in(tmp_path)[0], cache)
    assert cache.is_sound(UNIT)


@pytest.mark.parametrize("said", [SAID, (Outcome(),)], ids=["while a shard is open", "before the first row"])
def test_an_input_that_cannot_be_read_is_named_and_not_the_output(said: tuple[Outcome, ...], tmp_path: Path) -> None:
    try:
        (tmp_path / "gone").open()
    except FileNotFoundError as error:
        work, cache = work_in(tmp_path, *said, error=error)
    with pytest.raises(CorpusmillError) as caught:
        run(work, cache)
    assert str(caught.value) == f"{tmp_path}/gone: no such file or directory\n  hint: check the path"
    work, cache = work_in(tmp_path, *said, error=OSError("Corrupt data"))
    with pytest.raises(CorpusmillError) as caught:
        run(work, cache)
    assert str(caught.value) == "/raw/dump: Corrupt data"


def test_attempts_at_once_publish_equal_bytes(tmp_path: Path) -> None:
    work, cache = work_in(tmp_path)
    receipts: list[str] = []
    threads = [threading.Thread(target=lambda: receipts.append(run(work, cache).to_json())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 6
    assert len(set(receipts)) == 1
    assert cache.is_sound(UNIT)
    assert not [name for name in names(cache) if name.startswith(".tmp-")]


def test_the_heartbeat_says_that_the_unit_is_done(tmp_path: Path) -> None:
    work, cache = work_in(tmp_path)
    beats = tmp_path / "beats"
    beats.mkdir()
    run_unit(UNIT, work, cache, Heartbeat(str(beats)))
    (beat,) = beats.iterdir()
    assert beat.read_text() == '{"records": 10, "bytes": 10, "done": true}'
    run_unit(UNIT, work, cache, Heartbeat(str(beats)))
    assert len(list(beats.iterdir())) == 1


def test_progress_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    work, cache = work_in(tmp_path)
    run_unit(UNIT, work, cache, Heartbeat(str(tmp_path / "no such folder")))
    assert cache.is_sound(UNIT)
