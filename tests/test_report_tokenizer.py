"""The card's sections on the vocabulary and on packing: what `measure` and `pack` found, by source and language."""

import json
import shutil
from pathlib import Path

import pytest
from stage_folders import Stages, run, words_of

from pipelines.reporting.flow import StageFolder
from pipelines.reporting.tokenizer import measured_section, packing_told, show_token
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump


@pytest.fixture
def data(tmp_path: Path) -> Path:
    stages = Stages(tmp_path / "data")
    stages.write_corpus()
    stages.write_tokens()
    stages.write_measured()
    return tmp_path / "data"


def test_vocabularies_stand_side_by_side_over_the_sample_and_by_group(data: Path) -> None:
    page = run(data)
    seen = words_of(page)
    assert "Beside other vocabularies 1.20 kB of val and test" in seen
    assert "ours-260 260 2.400 2.000 2.000 theirs 50 000 3.750 3.125 1.280" in seen
    assert (
        "Bytes per token by source and language source language bytes ours-260 theirs wiki en 900 B 3.000 4.500" in seen
    )
    assert "新聞<b> zh 300 B 1.500 2.500" in seen
    assert "新聞<b>" not in page
    assert "ours-260 1 201 7 129" in seen
    assert "All 1 112 064 characters of Unicode come back" in seen


def test_groups_with_most_text_come_first_and_the_rest_is_counted(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = StageFolder("measure", data / "measure")
    measured = measured_section(stage)
    assert measured is not None
    assert [line[:3] for line in measured["tables"][0][1]] == [("wiki", "en", 900), ("新聞<b>", "zh", 300)]
    monkeypatch.setattr("pipelines.reporting.tokenizer.GROUPS_SHOWN", 1)
    measured = measured_section(stage)
    assert measured is not None
    assert (len(measured["tables"][2][1]), measured["more"]) == (1, 1)


def test_an_empty_sample_and_a_missing_stage_are_no_crash(data: Path) -> None:
    table = json.loads((data / "measure/groups.json").read_text())
    (data / "measure/groups.json").write_text(dump({**table, "rows": []}))
    assert "Bytes per token by source" not in words_of(run(data))
    shutil.rmtree(data / "measure")
    assert "dvc repro measure" in words_of(run(data, "again"))
    assert measured_section(StageFolder("measure")) is None


def test_train_tokens_of_measure_and_learn_must_agree(data: Path) -> None:
    for stage, tokens in (("learn", 7), ("measure", 8)):
        (data / stage / "metrics.json").write_text(dump({"train_tokens": tokens}))
    with pytest.raises(CorpusmillError, match=r"7 train tokens by learn, 8 train tokens by measure"):
        run(data)


def test_cut_documents_are_told_where_pack_counted_them(data: Path) -> None:
    assert "are cut" not in words_of(run(data))
    ledger = json.loads((data / "pack/ledger.json").read_text())
    ledger["apart"] |= {"documents": 400, "documents.cut": 6, "documents.truncated": 0}
    (data / "pack/ledger.json").write_text(dump(ledger))
    lineage = json.loads((data / "pack/lineage.json").read_text())
    lineage["params"] = {"seq_len": 16, "strategy": "concatenate", "long_documents": "split"}
    (data / "pack/lineage.json").write_text(dump(lineage))
    seen = words_of(run(data, "again"))
    assert "filled one document after another" in seen
    assert "6 of 400 documents (1.5 %) are cut." in seen
    assert packing_told(StageFolder("pack")) == {
        "documents": None, "cut": 0, "truncated": 0, "strategy": None, "long_documents": None,
    }  # fmt: skip


def test_tokens_are_shown_so_that_every_byte_can_be_seen() -> None:
    shown = [
        show_token(token) for token in (b" the\n", b" " * 8, b"\xe3\x81", "\u202e".encode(), b"\x00", "猫".encode())
    ]
    assert shown == ["␣the⏎", "␣×8", "\\xe3\\x81", "⟨202e⟩", "⟨0⟩", "猫"]
