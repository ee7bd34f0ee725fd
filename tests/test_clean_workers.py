"""What workers of `clean` must have and find: a step by itself, on a machine that did none of the steps before it."""

from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest

from pipelines.clean import STAGE
from pipelines.cleaning.halves import CleanParams
from pipelines.cleaning.steps import CountLines, Finish, Plan, Prepare, SpreadLines
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.lineage import Release, modules_digest
from pipelines.spine.manifest import Shard
from pipelines.spine.params import load_params
from pipelines.spine.progress import Heartbeat
from pipelines.spine.units import RECEIPT, Receipt, Unit, UnitCache, UnitInput

UNIT = Unit("enwiki-3fa91c04be77", "enwiki", (UnitInput("a", "0" * 64, 1),))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    params = load_params(CleanParams, "clean", Path(__file__).parents[1] / "params.yaml")
    prepared, finished = UnitCache(str(tmp_path / "prepared"), "a"), UnitCache(str(tmp_path / "finished"), "b")
    release = Release(STAGE.module, modules_digest(STAGE.module), {})
    return Plan((UNIT,), prepared, finished, str(tmp_path / "runs"), params, "", Heartbeat(), release)


@pytest.mark.parametrize("step", [Prepare, SpreadLines, CountLines, Finish])
def test_every_step_refuses_to_work_with_another_source(step: type[beam.DoFn], plan: Plan) -> None:
    step(plan).setup()
    other = replace(plan, release=replace(plan.release, modules_sha256="0" * 64))
    with pytest.raises(CorpusmillError, match="a worker has another source code of the project"):
        step(other).setup()


def test_lines_that_went_are_an_error_and_not_a_unit_without_lines(plan: Plan) -> None:
    lines = Shard(storage.name_of(plan.lines_file(UNIT)), 1, 10, "0" * 64)
    for shards in ((), (lines,)):
        receipt = Receipt(shards, (), Ledger("documents"))
        storage.write_text(plan.prepared.place(UNIT, RECEIPT), receipt.to_json())
        counted = CountLines(plan).process(((0, 1), [0]))
        if not shards:
            assert list(counted) == []
            continue
        with pytest.raises(CorpusmillError, match="the lines of a prepared unit are gone"):
            list(counted)
