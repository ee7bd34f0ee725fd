"""Which units share their files, how many documents val and test may have, and what is drawn when more is added."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from corpora import digests, read_rows, words, write_documents, write_params

from pipelines import shard
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from pipelines.spine.units import Unit, UnitInput
from pipelines.splitting.drawing import draw_parts, shares_that_fit, splits_of
from pipelines.splitting.joining import join_units, members_of, with_lists

PARAMS = {
    "val_per_10000": 1000, "test_per_10000": 1000, "max_eval_documents": 1000, "shingle_size": 5, "leak_threshold": 0.8,
    "leak_containment": 0.9, "min_unit_mb": 64,
}  # fmt: skip


def run(folder: Path, out: str = "out", cache: str = "", **changes: object) -> Path:
    params = write_params(folder / f"{out}.yaml", shard={**PARAMS, **changes})
    given = ["--params", str(params), "--input", str(folder / "in"), "--cache", str(folder / (cache or f"cache-{out}"))]
    shard.main([*given, "--output", str(folder / out)])
    return folder / out


def text(number: int) -> str:
    return " ".join(words(number, 30))


def write_unit(folder: Path, number: int, source: str = "s") -> None:
    """Forty documents of one file."""
    rows = [(f"{number}-{place}", text(1000 * number + place)) for place in range(40)]
    write_documents(folder / "in" / f"{source}-{number}.parquet", rows, source)


def units(sizes: list[int], source: str = "s") -> list[Unit]:
    inputs = [UnitInput(f"/{source}{place}", f"{place:064x}", size) for place, size in enumerate(sizes)]
    made = [Unit(f"{source}-{place:012x}", source, (one,)) for place, one in enumerate(inputs)]
    return with_lists(made, {"drops": {made[0].name: UnitInput("/drops", "d" * 64, 5)}})


def names(joined: list[Unit]) -> list[list[str]]:
    return [[member.name for member in members_of(unit)[0]] for unit in joined]


def test_small_units_of_a_source_are_joined_and_large_ones_stay_alone() -> None:
    small, large, other = units([1, 1, 1]), units([100] * 4)[3], units([1], "t")
    joined = join_units([*small, large, *other], 64)
    assert sorted(names(joined)) == [
        ["s-000000000000", "s-000000000001", "s-000000000002"], ["s-000000000003"], ["t-000000000000"],
    ]  # fmt: skip
    assert {unit.name for unit in joined} == {"s-230f90fff470", "s-000000000003", "t-000000000000"}


def test_a_joined_unit_keeps_every_input_and_knows_whose_each_is() -> None:
    (joined,) = join_units(units([1, 1]), 64)
    members, rest = members_of(joined)
    paths = [[one.path if one else "" for one in member[1:]] for member in members]
    assert [member.name for member in members] == ["s-000000000000", "s-000000000001"]
    assert paths == [["/s0", "/drops", ""], ["/s1", "", ""]]
    assert rest == ()
    assert joined.bytes == 7


def test_groups_have_about_the_size_asked_for_and_one_file_more_changes_one() -> None:
    before = join_units(units([10] * 100), 100)
    after = join_units(units([10] * 101), 100)
    assert 12 <= len(before) <= 16
    assert max(unit.bytes for unit in before) <= 205
    assert len({unit.name for unit in after} - {unit.name for unit in before}) == 1


def test_nothing_is_joined_at_a_size_of_zero() -> None:
    assert names(join_units(units([1, 1, 1]), 0)) == [["s-000000000000"], ["s-000000000001"], ["s-000000000002"]]


def test_joined_units_are_in_order_of_ids_and_hold_what_the_units_alone_held(tmp_path: Path) -> None:
    for number in range(4):
        write_unit(tmp_path, number)
    together, alone = run(tmp_path, "together"), run(tmp_path, "alone", min_unit_mb=0)
    assert len(read_manifest(together).shards) == 3
    assert len(read_manifest(alone).shards) > 8
    for path in together.glob("*.parquet"):
        ids = pq.read_table(path)["doc_id"].to_pylist()
        assert ids == sorted(ids)
    by_id = {row["doc_id"]: row for row in read_rows(alone)}
    assert {row["doc_id"]: row for row in read_rows(together)} == by_id
    assert len(by_id) == 160


def split_of_each(folder: Path) -> dict[str, str]:
    return {
        doc_id: path.name.partition("-")[0]
        for path in folder.glob("*.parquet")
        for doc_id in pq.read_table(path)["doc_id"].to_pylist()
    }


def test_another_source_moves_no_document_that_stays(tmp_path: Path) -> None:
    write_unit(tmp_path, 1)
    before = split_of_each(run(tmp_path, "before"))
    write_unit(tmp_path, 2)
    # Copies of the first unit's documents, in other white space: some of these leak.
    copies = [(f"copy-{place}", text(1000 + place).replace(" ", "\n", 3)) for place in range(40)]
    write_documents(tmp_path / "in" / "t.parquet", copies, "t")
    after = split_of_each(run(tmp_path, "after"))
    assert set(before.values()) == {"train", "val", "test"}
    stay = before.keys() & after.keys()
    assert len(stay) > 25
    assert {doc_id: after[doc_id] for doc_id in stay} == {doc_id: before[doc_id] for doc_id in stay}


def test_too_many_documents_in_val_and_test_are_refused_with_shares_that_fit(tmp_path: Path) -> None:
    for number in range(3):
        write_unit(tmp_path, number)
    with pytest.raises(CorpusmillError) as refused:
        run(tmp_path, "many", max_eval_documents=10)
    message = str(refused.value)
    assert "val has 17 documents, test 10: too many to check all others against" in message
    assert "at most 10 in both (shard.max_eval_documents)" in message
    found = [word for word in message.replace(";", " ").split() if word.replace(".", "").isdigit()]
    val, test = float(found[-3]), float(found[-2])
    output = run(tmp_path, "few", max_eval_documents=10, val_per_10000=val, test_per_10000=test)
    held_out = [split for split in split_of_each(output).values() if split != "train"]
    assert 8 <= len(held_out) <= 10


def test_the_shares_that_fit_are_the_largest_that_do() -> None:
    parts = draw_parts(str(number) for number in range(2000))
    parts = parts[parts < 800_000]
    val, test = shares_that_fit(parts, 600, 200, 100)
    assert (parts < 1000 * (val + test)).sum() <= 100 < (parts < 1000 * (val + test + 5)).sum()
    assert val == (val + test) * 3 // 4
    assert 1000 * sum(shares_that_fit(parts, 600, 200, 0)) <= parts.min()


def test_shares_below_one_in_ten_thousand_have_three_decimals(tmp_path: Path) -> None:
    parts = np.arange(10_000_000)
    assert np.bincount(splits_of(parts, 0.025, 1.5)).tolist() == [10_000_000 - 1_525, 25, 1_500]
    val, test = shares_that_fit(parts[:1_525], 0.025, 1.5, 1000)
    assert (val, test) == (0.016, 0.984)
    assert np.bincount(splits_of(parts, val, test)).tolist()[1:] == [16, 984]
    write_unit(tmp_path, 0)
    with pytest.raises(CorpusmillError) as refused:
        run(tmp_path, val_per_10000=0.0254)
    assert str(refused.value) == (
        "params.yaml: shard.val_per_10000: more than three decimals\n  got: 0.0254\n  hint: 0.025"
    )


def test_a_rerun_computes_nothing_and_another_limit_draws_nothing_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_unit(tmp_path, number)
    first = digests(run(tmp_path, "out", "cache", min_unit_mb=0))
    capsys.readouterr()
    assert digests(run(tmp_path, "out", "cache", min_unit_mb=0)) == first
    assert capsys.readouterr().err.count("(3 units reused)") == 2
    run(tmp_path, "out", "cache", min_unit_mb=0, leak_threshold=0.7)
    assert capsys.readouterr().err.count("(3 units reused)") == 1


@pytest.mark.parametrize(
    ("shares", "expected"),
    [({"val_per_10000": 0}, {"train", "test"}), ({"test_per_10000": 0}, {"train", "val"}),
     ({"val_per_10000": 0, "test_per_10000": 0}, {"train"})],
)  # fmt: skip
def test_a_split_may_be_empty(shares: dict[str, int], expected: set[str], tmp_path: Path) -> None:
    write_unit(tmp_path, 1)
    assert set(split_of_each(run(tmp_path, **shares)).values()) == expected


def test_a_source_of_one_document_is_a_shard_of_its_own(tmp_path: Path) -> None:
    write_unit(tmp_path, 1)
    write_documents(tmp_path / "in" / "one.parquet", [("only", text(5))], "one")
    output = run(tmp_path)
    assert len([name for name in split_of_each(output) if name == "one:only"]) == 1
    assert json.loads((output / "ledger.json").read_text())["by_source"]["one"]["in"] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("leak_threshold", 0.0), ("leak_threshold", 1.5), ("leak_containment", -0.1), ("shingle_size", 0),
     ("min_unit_mb", -1), ("max_eval_documents", -1), ("val_per_10000", -1)],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused_by_name(name: str, value: float, tmp_path: Path) -> None:
    write_unit(tmp_path, 1)
    with pytest.raises(CorpusmillError, match=f"shard.{name}"):
        run(tmp_path, **{name: value})
