"""Which units raw files become: small ones share, large ones are cut, and neither names nor order matter."""

import hashlib
import random
from pathlib import Path

import pytest

from pipelines.divide import plan_files
from pipelines.readers.parts import PartSizes
from pipelines.sources import FetchedFile

ONE_UNIT = PartSizes(max_parts=4, min_bytes=1600)  # a file below 100 bytes is small


def fetched(folder: Path, name: str, data: bytes, source: str = "news", kind: str = "jsonl") -> FetchedFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return FetchedFile(source, sha256, len(data), kind, "ja", "CC0", {"text": "本文"}, {}, str(path))


def shape(units) -> list[tuple[str, list[tuple[str, tuple[int, int] | None]]]]:
    return [(unit.name, [(one.sha256, one.part) for one in unit.inputs]) for unit in units]


def test_a_file_alone_is_one_unit_named_by_its_content(tmp_path):
    file = fetched(tmp_path, "a.jsonl", b"{}\n" * 40)
    (unit,) = plan_files([file], ONE_UNIT)
    assert unit.name == f"news-{file.sha256[:12]}"
    assert unit.inputs[0].part is None
    assert [unit.setting(name) for name in ("kind", "language", "licence")] == ["jsonl", "ja", "CC0"]
    assert unit.setting("columns") == '{"text": "\\u672c\\u6587"}'


def test_small_files_share_a_unit_and_a_large_one_has_its_own(tmp_path):
    small = [fetched(tmp_path, f"{n}.jsonl", b"{}\n" + b" " * n) for n in range(20)]
    large = fetched(tmp_path, "large.jsonl", b"{}\n" * 100)
    units = plan_files([*small, large], ONE_UNIT)
    assert sorted(len(unit.inputs) for unit in units) == [1, 20]
    assert sum(unit.bytes for unit in units) == sum(file.bytes for file in [*small, large])


def test_sources_never_share_a_unit(tmp_path):
    files = [fetched(tmp_path, f"{n}.jsonl", b"{}\n" + b" " * n, source=("a", "b")[n % 2]) for n in range(6)]
    assert [(unit.source, len(unit.inputs)) for unit in plan_files(files, ONE_UNIT)] == [("a", 3), ("b", 3)]


def test_one_small_file_more_changes_one_unit(tmp_path):
    files = [fetched(tmp_path, f"{n}.jsonl", b'{"text": "%d"}\n' % n + b" " * 60) for n in range(100)]
    before = dict(shape(plan_files(files, ONE_UNIT)))
    more = fetched(tmp_path, "more.jsonl", b'{"text": "another"}\n')
    after = dict(shape(plan_files([*files, more], ONE_UNIT)))
    assert len(before) == len(after) == 8  # 100 files of about 75 bytes: the next power of two above 7,500 / 1,600
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == 1


def test_many_tiny_files_are_spread_so_that_no_unit_has_thousands(tmp_path):
    files = [
        FetchedFile("news", hashlib.sha256(b"%d" % n).hexdigest(), 1, "html", "fr", "", {}, {}, "/x")
        for n in range(5000)
    ]
    units = plan_files(files, PartSizes(64, 16 << 20))
    assert len(units) == 8
    assert max(len(unit.inputs) for unit in units) < 1024
    assert sum(len(unit.inputs) for unit in units) == 5000


def test_a_large_file_is_cut_and_every_part_has_a_name_of_its_own(tmp_path):
    file = fetched(tmp_path, "large.jsonl", b"{}\n" * 4000)
    units = plan_files([file], ONE_UNIT)
    assert sorted(unit.inputs[0].part for unit in units) == [(0, 3000), (3000, 6000), (6000, 9000), (9000, 12000)]
    assert len({unit.name for unit in units}) == 4
    assert sum(unit.bytes for unit in units) == file.bytes


def test_names_folders_and_order_of_the_files_do_not_matter(tmp_path):
    contents = [b'{"text": "%d"}\n' % n * (1 + 300 * (n % 5 == 0)) for n in range(30)]
    units = plan_files([fetched(tmp_path / "a", f"{n}.jsonl", c) for n, c in enumerate(contents)], ONE_UNIT)
    random.Random(1).shuffle(contents)
    moved = plan_files([fetched(tmp_path / "b", f"新{n}.json", c) for n, c in enumerate(contents)], ONE_UNIT)
    assert shape(units) == shape(moved)
    assert [unit.fingerprint("r") for unit in units] == [unit.fingerprint("r") for unit in moved]


def test_equal_content_of_one_source_counts_once(tmp_path):
    files = [fetched(tmp_path, name, b"{}\n") for name in ("a.jsonl", "b.jsonl")]
    (unit,) = plan_files(files, ONE_UNIT)
    assert len(unit.inputs) == 1


@pytest.mark.parametrize(("name", "told"), [("dump.xml.gz", True), ("dump.xml", False)])
def test_a_dump_that_one_worker_must_read_alone_is_told(tmp_path, capsys, name, told):
    head = b"\x1f\x8b" if told else b"<mediawiki>"
    plan_files([fetched(tmp_path, name, head + b" " * 4000, kind="mediawiki")], ONE_UNIT)
    assert ("multistream" in capsys.readouterr().err) == told


def test_nothing_is_no_unit():
    assert plan_files([], ONE_UNIT) == []
