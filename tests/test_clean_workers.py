"""What workers of `clean` must have and find: a step by itself, on a machine that did none of the steps before it."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.clean import STAGE
from pipelines.cleaning.halves import CleanParams
from pipelines.cleaning.line_files import LINE_FILE, LINES_A_ROW, line_rows
from pipelines.cleaning.line_steps import CountLines, LineRound, ReadLines, WriteLines, lines_to_count, plan_rounds
from pipelines.cleaning.repeated_lines import LINE
from pipelines.cleaning.steps import Finish, OnPlan, Plan
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.lineage import Release, modules_digest
from pipelines.spine.params import load_params
from pipelines.spine.progress import Heartbeat
from pipelines.spine.run_files import RunFiles
from pipelines.spine.shards import ParquetShard
from pipelines.spine.unit_list import write_units
from pipelines.spine.units import RECEIPT, Receipt, Unit, UnitCache, UnitInput

UNIT = Unit("enwiki-3fa91c04be77", "enwiki", (UnitInput("a", "0" * 64, 1),))
OTHER = Unit("jawiki-77aa77aa77aa", "jawiki", (UnitInput("b", "1" * 64, 1),))
ROUND = LineRound(0, 1, {"enwiki": 2})


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    params = load_params(CleanParams, "clean", Path(__file__).parents[1] / "params.yaml")
    lines = replace(params.rules.repeated_lines, max_documents=2)
    params = replace(params, rules=replace(params.rules, repeated_lines=lines))
    prepared, finished = UnitCache(str(tmp_path / "prepared"), "a"), UnitCache(str(tmp_path / "finished"), "b")
    release = Release(STAGE.module, modules_digest(STAGE.module), {})
    units, files = write_units([UNIT, OTHER], str(tmp_path / "plans")), RunFiles(str(tmp_path / "run"))
    return Plan(units, prepared, finished, files, params, "", Heartbeat(), release)


def steps(plan: Plan) -> list[OnPlan]:
    return [ReadLines(plan, ROUND), CountLines(plan), WriteLines(plan, ROUND), Finish(plan, [ROUND.name])]


def write_lines(plan: Plan, unit: Unit, *hashes: int, taken: int = 3) -> Receipt:
    """What the first half leaves of a unit with one line for each hash; the last one fills a row of its own."""
    lines = np.array([(number, 1, 1) for number in hashes], LINE)
    shards = []
    if hashes:
        with ParquetShard(plan.lines_file(unit), LINE_FILE) as shard:
            for part in (lines[:-1], lines[-1:]):
                for row in line_rows(part):
                    shard.write(row)
        shards.append(shard.published())
    ledger = Ledger("documents")
    ledger.take(taken)
    receipt = Receipt(tuple(shards), (), ledger)
    storage.write_text(plan.prepared.place(unit, RECEIPT), receipt.to_json())
    return receipt


def test_every_step_refuses_to_work_with_another_source(plan: Plan) -> None:
    other = replace(plan, release=replace(plan.release, modules_sha256="0" * 64))
    for step, refusing in zip(steps(plan), steps(other), strict=True):
        step.setup()
        with pytest.raises(CorpusmillError, match="a worker has another source code of the project"):
            refusing.setup()


def test_no_step_carries_its_units(plan: Plan, tmp_path: Path) -> None:
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000)]
    many = write_units([replace(UNIT, name=name) for name in names], str(tmp_path / "plans"))
    for step, other in zip(steps(plan), steps(replace(plan, units=many)), strict=True):
        assert abs(len(pickle.dumps(step)) - len(pickle.dumps(other))) < 10


def test_lines_that_went_are_an_error_and_not_a_unit_without_lines(plan: Plan) -> None:
    write_lines(plan, UNIT)
    assert list(ReadLines(plan, ROUND).process(0)) == []
    write_lines(plan, UNIT, 5)
    storage.delete(plan.lines_file(UNIT))
    with pytest.raises(CorpusmillError, match="the lines of a prepared unit are gone"):
        list(ReadLines(plan, ROUND).process(0))


def test_a_round_reads_the_lines_of_its_range_by_partition(plan: Plan) -> None:
    quarter = 1 << 62
    write_lines(plan, UNIT, 0, quarter - 1, quarter, 2 * quarter - 1, 2 * quarter, 4 * quarter - 1)

    def read(of: LineRound) -> list[tuple[tuple[str, int], int, list[int]]]:
        found = ReadLines(plan, of).process(0)
        return [(key, index, np.frombuffer(blob, LINE)["hash"].tolist()) for key, (index, blob) in found]

    assert read(LineRound(0, 2, {"enwiki": 2})) == [
        (("enwiki", 0), 0, [0, quarter - 1]), (("enwiki", 1), 0, [quarter, 2 * quarter - 1])
    ]  # fmt: skip
    assert read(LineRound(1, 2, {"enwiki": 2})) == [
        (("enwiki", 0), 0, [2 * quarter]), (("enwiki", 1), 0, [4 * quarter - 1])
    ]  # fmt: skip
    assert read(LineRound(0, 2, {"jawiki": 2})) == []


def test_a_unit_is_told_its_lines_alone_with_the_count_and_keeper_of_all(plan: Plan) -> None:
    def packed(*records: tuple[int, int, int]) -> bytes:
        return np.array(list(records), LINE).tobytes()

    parts = [(1, packed((5, 8, 2), (6, 1, 1))), (0, packed((5, 7, 1), (7, 3, 3))), (4, packed((6, 2, 1)))]
    told = dict(CountLines(plan).process((("enwiki", 0), parts)))
    assert told == {1: packed((5, 7, 3)), 0: packed((5, 7, 3), (7, 3, 3))}


def test_lines_of_a_unit_are_written_in_the_order_of_their_hashes(plan: Plan) -> None:
    high, low = np.array([(9, 1, 5)], LINE), np.array([(2, 3, 4), (7, 1, 8)], LINE)
    assert list(WriteLines(plan, ROUND).process((1, [high.tobytes(), low.tobytes()]))) == [1]
    assert plan.files.read(ROUND.name, 1, LINE).tolist() == [(2, 3, 4), (7, 1, 8), (9, 1, 5)]


def test_lines_of_sources_with_enough_documents_are_counted_in_so_many_rounds_as_they_take(plan: Plan) -> None:
    receipts = [write_lines(plan, UNIT, 1, 2, taken=3), write_lines(plan, OTHER, 1, taken=2)]
    assert lines_to_count(plan, receipts) == {"enwiki": 2 * LINES_A_ROW}
    assert plan_rounds({}, 10) == []
    assert plan_rounds({"a": 10}, 10) == [LineRound(0, 1, {"a": 1})]
    assert plan_rounds({"a": 8, "b": 3}, 10) == [LineRound(0, 2, {"a": 1, "b": 1}), LineRound(1, 2, {"a": 1, "b": 1})]
    many = plan_rounds({"a": 1 << 36, "b": 1}, 1 << 22)
    assert [len(many), many[63].number, many[63].partitions] == [64, 63, {"a": 1 << 10, "b": 1}]
    assert many[0].name != many[1].name
