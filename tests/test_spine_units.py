"""Units: planned from the content of the inputs alone; the cache trusts no byte it has not hashed."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import write_documents

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import Shard, write_manifest
from pipelines.spine.storage import sha256_file, sha256_text
from pipelines.spine.units import (
    Receipt,
    Unit,
    UnitCache,
    UnitInput,
    manifest_inputs,
    pair_units,
    plan_documents,
    source_of,
    unit_key,
)

UNIT = Unit("enwiki-3fa91c04be77", "enwiki", (UnitInput("/a/dump.bz2", "3fa9" * 16, 10),), (("kind", "mediawiki"),))
OTHER = UnitInput("/b/x", "77aa" * 16, 5)


def stage_folder(folder: Path, *shards: tuple[str, str]) -> Path:
    """A folder as a stage leaves it; shards are (name, content)."""
    folder.mkdir(parents=True)
    entries = []
    for name, content in shards:
        (folder / name).write_text(content)
        entries.append(Shard(name, 1, len(content), sha256_text(content)))
    (folder / "lineage.json").write_text("{}\n")
    write_manifest(folder, entries)
    return folder


def message(call: Callable[[], object]) -> str:
    with pytest.raises(CorpusmillError) as caught:
        call()
    return str(caught.value)


def test_the_fingerprint_follows_content_settings_and_recipe() -> None:
    before = UNIT.fingerprint("r")
    changed = [
        UNIT.fingerprint("other"),
        dataclasses.replace(UNIT, name="enwiki-000000000000").fingerprint("r"),
        dataclasses.replace(UNIT, source="zhwiki").fingerprint("r"),
        dataclasses.replace(UNIT, inputs=(UnitInput("/a/dump.bz2", "77aa" * 16, 10),)).fingerprint("r"),
        dataclasses.replace(UNIT, inputs=(*UNIT.inputs, OTHER)).fingerprint("r"),
        dataclasses.replace(UNIT, settings=(("kind", "text"),)).fingerprint("r"),
        dataclasses.replace(UNIT, settings=()).fingerprint("r"),
    ]
    assert len({before, *changed}) == 8


def test_the_fingerprint_does_not_follow_the_path() -> None:
    moved = dataclasses.replace(UNIT, inputs=(UnitInput("/elsewhere/新.bz2", "3fa9" * 16, 10),))
    assert moved.fingerprint("r") == UNIT.fingerprint("r")


def test_the_fingerprint_is_the_same_in_every_process_and_release() -> None:
    assert UNIT.fingerprint("recipe") == "811b1a56c3dbc5fa6101ec8f0133c1d3"


def test_a_unit_knows_its_bytes_and_settings() -> None:
    assert dataclasses.replace(UNIT, inputs=(*UNIT.inputs, OTHER)).bytes == 15
    assert (UNIT.setting("kind"), UNIT.setting("columns")) == ("mediawiki", "")
    assert unit_key("3fa91c04be77" + "0" * 52) == "3fa91c04be77"


def finished(tmp_path: Path) -> tuple[UnitCache, Path]:
    """A cache that holds UNIT with one shard and one evidence file."""
    cache = UnitCache(str(tmp_path), "recipe")
    folder = Path(cache.place(UNIT, "")).resolve()
    folder.mkdir(parents=True)
    shards = []
    for name in ("a.parquet", "dropped-a.parquet"):
        (folder / name).write_text(name)
        shards.append(Shard(name, 1, len(name), sha256_text(name)))
    (folder / "receipt.json").write_text(Receipt((shards[0],), (shards[1],), Ledger("documents")).to_json())
    return cache, folder


def test_a_receipt_comes_back_as_it_was_written(tmp_path: Path) -> None:
    cache, folder = finished(tmp_path)
    receipt = cache.receipt(UNIT)
    assert receipt is not None
    assert receipt.to_json() == (folder / "receipt.json").read_text()
    assert [shard.name for shard in (*receipt.shards, *receipt.evidence)] == ["a.parquet", "dropped-a.parquet"]
    assert cache.is_sound(UNIT)


@pytest.mark.parametrize("name", ["a.parquet", "dropped-a.parquet"])
@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_text("longer than before"),
                                    lambda p: p.write_text(p.read_text().upper())],
                         ids=["missing", "of another size", "of other bytes"])  # fmt: skip
def test_a_unit_with_a_damaged_file_is_not_sound(name: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    cache, folder = finished(tmp_path)
    damage(folder / name)
    assert not cache.is_sound(UNIT)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "{}", '{"shards": 3, "evidence": [], "ledger": {}}',
                                  '{"shards": [{"name": "a"}], "evidence": [], "ledger": {}}'])  # fmt: skip
def test_a_damaged_receipt_is_as_good_as_none(text: str, tmp_path: Path) -> None:
    cache, folder = finished(tmp_path)
    whole = (folder / "receipt.json").read_text()
    for damaged in (text, whole[: len(whole) // 2], whole[:-3]):
        (folder / "receipt.json").write_text(damaged)
        assert cache.receipt(UNIT) is None
        assert not cache.is_sound(UNIT)


def test_another_recipe_does_not_see_the_unit(tmp_path: Path) -> None:
    cache, _ = finished(tmp_path)
    assert UnitCache(cache.root, "another").receipt(UNIT) is None


def test_the_plan_of_a_stage_s_folder_is_its_manifest_and_not_its_listing(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path / "clean", ("zhwiki-2.parquet", "bb"), ("enwiki-1.parquet", "a"))
    (folder / "stray-3.parquet").write_text("never declared")
    expected = [
        Unit("enwiki-1", "enwiki", (UnitInput(str(folder / "enwiki-1.parquet"), sha256_text("a"), 1),)),
        Unit("zhwiki-2", "zhwiki", (UnitInput(str(folder / "zhwiki-2.parquet"), sha256_text("bb"), 2),)),
    ]
    assert plan_documents([str(folder)]) == plan_documents([str(folder / "manifest.json")]) == expected
    assert plan_documents([str(folder), str(folder)]) == expected


def test_splits_stand_before_the_source_s_name(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path / "shard", ("train-en-wiki-1.parquet", "a"), ("val-en-wiki-1.parquet", "b"))
    assert [(unit.name, unit.source) for unit in plan_documents([str(folder)])] == [
        ("train-en-wiki-1", "en-wiki"), ("val-en-wiki-1", "en-wiki"),
    ]  # fmt: skip
    assert [source_of("en-wiki-1", False), source_of("test-en-wiki-1", True)] == ["en-wiki", "en-wiki"]


def test_the_order_of_the_inputs_does_not_change_the_plan(tmp_path: Path) -> None:
    one = stage_folder(tmp_path / "one", ("b-1.parquet", "x"))
    two = stage_folder(tmp_path / "two", ("a-1.parquet", "y"))
    assert plan_documents([str(one), str(two)]) == plan_documents([str(two), str(one)])


def test_two_folders_with_different_content_under_one_name_are_refused(tmp_path: Path) -> None:
    one = stage_folder(tmp_path / "one", ("a-1.parquet", "x"))
    two = stage_folder(tmp_path / "two", ("a-1.parquet", "y"))
    assert message(lambda: plan_documents([str(one), str(two)])) == (
        f"a-1 in {one}, {two}: two inputs hold different content under one name\n"
        "  hint: they come from other runs of the same stage: give one of them"
    )


def test_a_folder_whose_stage_did_not_finish_is_refused_though_it_holds_shards(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path / "clean")
    write_documents(folder / "s-1.parquet", [("1", "half of it")])
    (folder / "manifest.json").unlink()
    assert message(lambda: plan_documents([str(folder)])) == (
        f"{folder}/manifest.json: no manifest: the stage that writes this folder has not finished\n"
        "  hint: run `dvc repro clean`"
    )


def test_a_shard_that_the_manifest_does_not_know_so_is_refused(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path / "clean", ("a-1.parquet", "x"))
    (folder / "a-1.parquet").write_text("xyz")
    assert "the manifest and the folder do not agree" in message(lambda: plan_documents([str(folder)]))


def test_foreign_documents_are_named_by_source_and_content_whatever_the_file_is_called(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "z.parquet", [("1", "海は広い")], source="news")
    write_documents(tmp_path / "in" / "a.parquet", [("2", "text")], source="wiki")
    key = unit_key(sha256_file(tmp_path / "in" / "z.parquet"))
    plan = plan_documents([str(tmp_path / "in")])
    assert [unit.source for unit in plan] == ["news", "wiki"]
    assert plan[0].name == f"news-{key}"
    (tmp_path / "in" / "z.parquet").rename(tmp_path / "in" / "b.parquet")
    renamed = plan_documents([str(tmp_path / "in")])
    assert [unit.fingerprint("") for unit in renamed] == [unit.fingerprint("") for unit in plan]
    assert plan_documents([str(tmp_path / "in" / "b.parquet")]) == [renamed[0]]


def test_a_foreign_source_s_name_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    write_documents(tmp_path / "a.parquet", [("1", "text")], source="../日本 語/x")
    (unit,) = plan_documents([str(tmp_path / "a.parquet")])
    assert unit.name.startswith(".._日本_語_x-")
    assert unit.source == ".._日本_語_x"


def test_foreign_documents_without_rows_or_a_source_have_a_name_too(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    assert plan_documents([str(tmp_path)])[0].source == "documents"


def test_inputs_that_are_not_there_or_hold_nothing_are_said_to_be(tmp_path: Path) -> None:
    gone = message(lambda: plan_documents([str(tmp_path / "gone")]))
    assert gone == f"{tmp_path}/gone: no such file or folder\n  hint: check --input"
    (tmp_path / "empty").mkdir()
    assert message(lambda: plan_documents([str(tmp_path / "empty")])) == (
        f"{tmp_path}/empty: no documents here\n"
        "  expected: manifest.json or *.parquet\n"
        "  hint: run the stage before this one, or `python -m pipelines.extract` on raw files"
    )


@pytest.mark.parametrize("content", [b"", b"not a table", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    said = message(lambda: plan_documents([str(tmp_path / "a.parquet")]))
    assert said.startswith(f"{tmp_path}/a.parquet: not a Parquet file: ")
    assert said.endswith("\n  hint: check --input")


def test_a_second_input_is_paired_by_the_unit_s_name(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path / "dedup", (f"{UNIT.name}.parquet", "drops"))
    drops = manifest_inputs(str(folder))
    without = dataclasses.replace(UNIT, name="enwiki-000000000000")
    assert pair_units([UNIT, without], drops) == [
        dataclasses.replace(UNIT, inputs=(*UNIT.inputs, drops[UNIT.name])), without,
    ]  # fmt: skip
