"""The units of a plan as one file: a sequence of units that is pickled as its file's name, and believes no other bytes."""

import json
import pickle
from pathlib import Path

import pytest

from pipelines.spine import unit_list
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.unit_list import UnitList, write_units
from pipelines.spine.units import Unit, UnitInput

FIRST = Unit("enwiki-3fa91c04be77", "enwiki", (UnitInput("/a/dump.bz2", "3fa9" * 16, 10, (0, 10), (10, 1 << 60)),))
SECOND = Unit(
    "新闻-77aa", "新闻", (UnitInput("s3://b/x\u2028y", "77aa" * 16, 5), UnitInput("", "", 0)), (("kind", "text"),)
)
THIRD = Unit("empty", "s", ())
UNITS = [FIRST, SECOND, THIRD]


@pytest.fixture(autouse=True)
def _as_in_a_new_process() -> None:
    unit_list._lines.cache_clear()


def test_a_list_of_units_is_a_sequence_of_equal_units(tmp_path: Path) -> None:
    units = write_units(UNITS, str(tmp_path))
    assert len(units) == 3
    assert list(units) == UNITS
    assert [units[0], units[-1]] == [FIRST, THIRD]
    assert units[1:] == [SECOND, THIRD]
    assert [unit.fingerprint("r") for unit in units] == [unit.fingerprint("r") for unit in UNITS]
    with pytest.raises(IndexError):
        units[3]


def test_the_file_is_a_line_a_unit_under_the_name_of_its_content(tmp_path: Path) -> None:
    units = write_units(UNITS, str(tmp_path))
    assert units.place == str(tmp_path / units.sha256)
    lines = (tmp_path / units.sha256).read_text(encoding="ascii").splitlines()
    assert json.loads(lines[0]) == [
        "enwiki-3fa91c04be77", "enwiki", [["/a/dump.bz2", "3fa9" * 16, 10, [0, 10], [10, 1 << 60]]], []
    ]  # fmt: skip
    assert len(lines) == 3


def test_units_written_twice_are_one_file_and_equal_lists(tmp_path: Path) -> None:
    first = write_units(UNITS, str(tmp_path))
    written = Path(first.place).stat().st_mtime_ns
    assert write_units(iter(UNITS), str(tmp_path)) == first
    assert Path(first.place).stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == [first.sha256]
    assert write_units(UNITS[::-1], str(tmp_path)) != first


def test_a_pickled_list_is_as_long_for_a_thousand_units_as_for_one(tmp_path: Path) -> None:
    one, many = write_units([FIRST], str(tmp_path)), write_units([FIRST] * 1000, str(tmp_path))
    assert len(pickle.dumps(many)) <= len(pickle.dumps(one)) + 2
    assert pickle.loads(pickle.dumps(many))[999] == FIRST


def test_a_process_reads_the_file_once(tmp_path: Path) -> None:
    units = write_units(UNITS, str(tmp_path))
    assert units[0] == FIRST
    Path(units.place).unlink()
    assert pickle.loads(pickle.dumps(units))[2] == THIRD


def test_no_units_are_an_empty_list(tmp_path: Path) -> None:
    assert list(write_units([], str(tmp_path))) == []


def test_a_list_that_is_gone_or_has_other_bytes_says_so(tmp_path: Path) -> None:
    units = write_units(UNITS, str(tmp_path))
    Path(units.place).write_bytes(Path(units.place).read_bytes() + b"\n")
    with pytest.raises(CorpusmillError, match="holds other bytes than declared") as caught:
        list(units)
    assert caught.value.expected == f"sha256 {units.sha256}"
    Path(units.place).unlink()
    with pytest.raises(CorpusmillError) as caught:
        units[0]
    assert str(caught.value) == (
        f"{units.place}: the list of this run's units is gone\n  hint: run again; delete no plan while a stage runs"
    )
    assert write_units(UNITS, str(tmp_path)) == UnitList(units.place, units.sha256, 3)
    assert list(units) == UNITS
