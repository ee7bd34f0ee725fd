"""``--show``: a row's text with its documents, their places and the padding; another tokenizer is refused."""

from pathlib import Path

import pytest
from token_shards import write_pack, write_tokenizer

from pipelines import pack
from pipelines.spine.errors import CorpusmillError
from tokenizer.encoding import Encoder, tokenizer_json

#: Every fifth is val: 26 bytes of Japanese and English in rows of 17 places, then two short ones.
VAL = [("v1", "日本語 and English ok!!"), ("v2", "two\nlines"), ("v3", "\x1b[3m")]
TEXTS = [one for index, text in enumerate(VAL) for one in (text, *((f"t{index}{n}", "other") for n in range(4)))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pack(tmp_path / "pack", write_tokenizer(tmp_path / "tokenizer.json"), texts=TEXTS)
    return tmp_path


def show(folder: Path, row: str, tokenizer: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    given = ["--split", "val", "--input", str(folder / "pack"), "--tokenizer", str(tokenizer)]
    pack.main(["--show", row, *given])
    return capsys.readouterr().out.splitlines()


def test_a_row_is_shown_with_its_segments_and_its_padding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(folder, "0", folder / "tokenizer.json", capsys) == [
        "row 0 of 3: row 0 of val-s-0123456789ab.arrow, source s",
        "17 places, 1 segment",
        "",
        "── s:v1: places 0 to 16, begins",
        "日本語 and En",
    ]
    # A control character of a text does not steer the terminal.
    assert show(folder, "1", folder / "tokenizer.json", capsys) == [
        "row 1 of 3: row 1 of val-s-0123456789ab.arrow, source s",
        "17 places, 2 segments",
        "",
        '── s:v1: places 0 to 10, goes on at token 17 of its document, after "n" (context)',
        "glish ok!!",
        "",
        "── s:v3: places 11 to 15, begins",
        "␛[3m",
        "",
        "── padding: 1 place",
    ]


def test_another_tokenizer_is_refused_and_both_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = folder / "other.json"
    other.write_text(tokenizer_json([(b"t", b"h")], ["<|endoftext|>"], "gpt2"))
    with pytest.raises(CorpusmillError, match="packed with another tokenizer") as error:
        show(folder, "0", other, capsys)
    assert Encoder(folder / "tokenizer.json").sha256 in error.value.expected
    assert error.value.got == Encoder(other).sha256


@pytest.mark.parametrize("row", ["-1", "3"])
def test_a_row_that_is_not_there_is_refused(folder: Path, capsys: pytest.CaptureFixture[str], row: str) -> None:
    with pytest.raises(CorpusmillError, match="no such row") as error:
        show(folder, row, folder / "tokenizer.json", capsys)
    assert error.value.expected == "0 to 2"
