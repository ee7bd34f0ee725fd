"""The manifest: sorted by name, the same at every root, and clear about what is wrong with a folder."""

import json
from pathlib import Path

import pytest

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Manifest, Shard, dump, read_manifest, write_manifest

ONE = Shard("train-enwiki-3fa91c04be77.parquet", rows=2, bytes=3, sha256="a" * 64)
TWO = Shard("val-enwiki-3fa91c04be77.parquet", rows=5, bytes=3, sha256="b" * 64)
TEXT = """{
  "schema_version": 1,
  "shards": [
    {
      "bytes": 3,
      "name": "train-enwiki-3fa91c04be77.parquet",
      "rows": 2,
      "sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    },
    {
      "bytes": 3,
      "name": "val-enwiki-3fa91c04be77.parquet",
      "rows": 5,
      "sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    }
  ]
}
"""


def folder_of(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    for shard in (ONE, TWO):
        (path / shard.name).write_bytes(b"123")
    write_manifest(path, [TWO, ONE])
    return path


def message(call) -> str:
    with pytest.raises(CorpusmillError) as caught:
        call()
    return str(caught.value)


def test_the_bytes_are_written_out_and_do_not_depend_on_order_or_root(tmp_path: Path) -> None:
    for folder, shards in ((tmp_path / "a", [TWO, ONE]), (tmp_path / "b", [ONE, TWO])):
        folder.mkdir()
        write_manifest(folder, iter(shards))
        assert (folder / "manifest.json").read_text() == TEXT


def test_what_was_written_is_read_from_the_folder_or_the_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "shard")
    manifest = read_manifest(folder)
    assert manifest == read_manifest(str(folder / "manifest.json")) == Manifest(folder, (ONE, TWO))
    assert manifest.check() is manifest
    assert manifest.rows == 7
    assert manifest.of_split("val") == (TWO,)
    assert manifest.place_of(TWO) == str(folder / TWO.name)
    assert (ONE.stem, ONE.split) == ("train-enwiki-3fa91c04be77", "train")


def test_a_missing_manifest_names_the_stage_to_run(tmp_path: Path) -> None:
    assert message(lambda: read_manifest(tmp_path / "clean")) == (
        f"{tmp_path}/clean/manifest.json: no manifest: the stage that writes this folder has not finished\n"
        "  hint: run `dvc repro clean`"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", TEXT[:200], "[]", "null", TEXT.replace("rows", "raws")),
        *('{"schema_version": 1}', '{"schema_version": 1, "shards": 3}'),
    ],
)
def test_a_damaged_manifest_is_said_to_be_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    said = message(lambda: read_manifest(tmp_path))
    assert said.startswith(f"{tmp_path}/manifest.json: damaged manifest: ")
    assert said.endswith("\n  hint: delete it and rerun")


def test_another_schema_version_is_said_to_be_one_even_when_its_shards_look_different(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": 2, "shards": [{"path": "x"}]}))
    said = message(lambda: read_manifest(tmp_path))
    assert said == f"{tmp_path}/manifest.json: another schema version\n  expected: 1\n  got: 2"


@pytest.mark.parametrize(("content", "got"), [(None, "no such file"), (b"1234", "4 bytes"), (b"", "0 bytes")])
def test_a_shard_that_is_missing_or_of_another_size_is_named(tmp_path: Path, content: bytes | None, got: str) -> None:
    folder = folder_of(tmp_path)
    (folder / TWO.name).unlink()
    if content is not None:
        (folder / TWO.name).write_bytes(content)
    assert message(lambda: read_manifest(folder).check()) == (
        f"{folder}/{TWO.name}: the manifest and the folder do not agree\n"
        f"  expected: 3 bytes\n  got: {got}\n"
        "  hint: run `dvc repro`, or `dvc checkout`, to bring the shard back"
    )


def test_two_shards_of_one_name_are_refused(tmp_path: Path) -> None:
    said = message(lambda: write_manifest(tmp_path, [ONE, TWO, ONE]))
    assert said == f"{tmp_path}: {ONE.name}: two shards have one name"
    assert not (tmp_path / "manifest.json").exists()


def test_json_is_sorted_keeps_other_scripts_and_refuses_nan() -> None:
    assert dump({"b": 1, "a": "日本"}) == '{\n  "a": "日本",\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump(float("nan"))


@pytest.mark.parametrize("text", ["{", "[1]", "7", "null"])
def test_damaged_places_are_an_error_for_people(text: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clean")
    (folder / "places.json").write_text(text)
    said = message(lambda: read_manifest(folder))
    assert f"{folder / 'places.json'}: damaged: " in said
    assert said.endswith("hint: run `dvc repro --force --single-item clean`: only what is missing is computed")
