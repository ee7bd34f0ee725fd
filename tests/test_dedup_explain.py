"""`pipelines.dedup --explain`: what is printed of a dropped document, a kept one, and an id that is nowhere."""

import itertools
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from corpora import DEDUP, write_documents, write_params

from pipelines import dedup
from pipelines.duplicates.differences import Stretch, align, pieces
from pipelines.duplicates.lookup import find_documents, nearest_ids
from pipelines.duplicates.side_by_side import display_width, side_by_side
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump
from pipelines.spine.schema import DUPLICATE
from pipelines.spine.shards import open_shard

ENGLISH = {
    "1": "The quick brown fox jumps over the lazy dog.\nIt was late.",
    "2": "The quick red fox jumps over the lazy dog.",
}
CHINESE = {"1": "天安門廣場上的人們都很高興。", "2": "天安門廣場上的人們都很悲傷。"}
Printed = pytest.CaptureFixture[str]


def write_drops(folder: Path, rows: Sequence[tuple[str, str, float, str]], shingle_size: int = 2) -> None:
    with open_shard(folder / "s-0.parquet", DUPLICATE) as shard:
        shard.write(
            pa.RecordBatch.from_pylist([dict(zip(DUPLICATE.names, row, strict=True)) for row in rows], DUPLICATE)
        )
    (folder / "search.json").write_text(dump({"shingle_size": shingle_size}))


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    write_documents(folder / "a.parquet", list(texts.items()))


def explain(tmp_path: Path, doc_id: str, *more: str) -> None:
    drops, documents = str(tmp_path / "dedup"), str(tmp_path / "clean")
    dedup.main([f"--explain={doc_id}", "--drops", drops, "--input", documents, *more])


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "61")


def test_an_english_near_copy_stands_beside_the_text_that_stays(tmp_path: Path, capsys: Printed) -> None:
    write_texts(tmp_path / "clean", ENGLISH)
    write_drops(tmp_path / "dedup", [("s:2", "s:1", 6 / 13, "jaccard"), ("s:9", "s:1", 0.9, "jaccard")])
    explain(tmp_path, "s:2")
    assert capsys.readouterr().out == (
        "s:2 is dropped: a near copy of s:1, similarity 0.461538 as found\n"
        "also dropped for it: s:9\n"
        "from the texts: 6 shared of 13 shingles (2 words or characters) of both together, 0.461538\n"
        "\n"
        "s:2, goes, 42 characters      │ s:1, stays, 57 characters\n"
        "─────────────────────────────────────────────────────────────\n"
        "The quick [-red-] fox jumps   │ The quick {+brown+} fox jumps\n"
        "over the lazy dog.            │ over the lazy dog{+.⏎\n"
        "                              │ It was late+}.\n"
        "─────────────────────────────────────────────────────────────\n"
        "marked: what differs as written; the similarity sees neither case nor punctuation\n"
    )


def test_a_chinese_near_copy_is_marked_by_character_in_columns_of_double_width(tmp_path: Path, capsys: Printed) -> None:
    write_texts(tmp_path / "clean", CHINESE)
    write_drops(tmp_path / "dedup", [("s:2", "s:1", 0.6, "jaccard")])
    explain(tmp_path, "s:2")
    assert capsys.readouterr().out == (
        "s:2 is dropped: a near copy of s:1, similarity 0.600000 as found\n"
        "also dropped for it: nothing\n"
        "from the texts: 10 shared of 14 shingles (2 words or characters) of both together, 0.714286; "
        "not as found: these are other texts than then\n"
        "\n"
        "s:2, goes, 14 characters      │ s:1, stays, 14 characters\n"
        "─────────────────────────────────────────────────────────────\n"
        "天安門廣場上的人們都很[-悲    │ 天安門廣場上的人們都很{+高\n"
        "傷-]。                        │ 興+}。\n"
        "─────────────────────────────────────────────────────────────\n"
        "marked: what differs as written; the similarity sees neither case nor punctuation\n"
    )


def test_a_kept_document_names_what_was_dropped_for_it(tmp_path: Path, capsys: Printed) -> None:
    write_texts(tmp_path / "clean", ENGLISH)
    write_drops(tmp_path / "dedup", [(f"s:{n:02}", "s:1", n / 20, "contained") for n in range(12, 0, -1)])
    explain(tmp_path, "s:1")
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["s:1 is kept; dropped for it: 12", "  s:01  contained  0.050000"]
    assert out[10:] == [
        "  s:10  contained  0.500000",
        "  and 2 more",
        "See one beside it: python -m pipelines.dedup --explain s:01",
    ]
    explain(tmp_path, "s:2")
    assert capsys.readouterr().out == "s:2 is kept; dropped for it: nothing\n"


def test_a_contained_text_is_measured_by_its_own_shingles(tmp_path: Path, capsys: Printed) -> None:
    write_texts(tmp_path / "clean", {"part": "jumps over the lazy dog", "whole": ENGLISH["1"]})
    write_drops(tmp_path / "dedup", [("s:part", "s:whole", 1.0, "contained")])
    explain(tmp_path, "s:part")
    out = capsys.readouterr().out
    assert out.startswith("s:part is dropped: contained in s:whole, similarity 1.000000 as found\n")
    assert "4 shared of 4 shingles (2 words or characters) of the dropped, 1.000000\n" in out


def test_a_repeated_id_shows_the_second_document_beside_the_first(tmp_path: Path, capsys: Printed) -> None:
    write_documents(tmp_path / "clean/a.parquet", [("1", "the first text")])
    write_documents(tmp_path / "clean/b.parquet", [("1", "the second text")])
    write_drops(tmp_path / "dedup", [("s:1", "s:1", 0.0, "repeated_id")])
    explain(tmp_path, "s:1")
    out = capsys.readouterr().out
    assert out.startswith("s:1 is kept; dropped for it: 1\n  s:1  repeated_id  0.000000\n")
    assert "the [-second-] text           │ the {+first+} text\n" in out


def test_a_kept_document_of_an_older_corpus_is_read_from_its_folder(tmp_path: Path, capsys: Printed) -> None:
    write_texts(tmp_path / "clean", {"2": ENGLISH["2"]})
    write_texts(tmp_path / "older", {"1": ENGLISH["1"]})
    write_drops(tmp_path / "dedup", [("s:2", "s:1", 6 / 13, "jaccard")])
    explain(tmp_path, "s:2")
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"s:1 is not in {tmp_path / 'clean'}: to see it, give the folder of its documents by --older-documents "
        "(an older run kept it)"
    ]
    explain(tmp_path, "s:2", "--older-documents", str(tmp_path / "older"))
    assert "s:1, stays in an older corpus" in capsys.readouterr().out
    explain(tmp_path, "s:1")
    assert capsys.readouterr().out.startswith(
        "s:1 is kept, by an older run: it is not among --input; dropped for it: 1"
    )


def test_an_id_that_is_nowhere_is_refused_with_the_nearest_three(tmp_path: Path) -> None:
    write_texts(tmp_path / "clean", dict.fromkeys(("1234", "1243", "999", "12", "wiki"), "text"))
    write_drops(tmp_path / "dedup", [])
    with pytest.raises(CorpusmillError) as caught:
        explain(tmp_path, "s:123")
    assert (caught.value.message, caught.value.where) == ("no document of this id", "s:123")
    assert caught.value.hint == "the nearest ids: s:1234, s:1243, s:12"


def test_what_dedup_wrote_is_explained(tmp_path: Path, capsys: Printed) -> None:
    text = " ".join(f"word{n}" for n in range(100))
    write_texts(tmp_path / "clean", {"long": f"{text} more", "short": text, "zh": "昔々あるところに" * 3})
    params = write_params(tmp_path / "params.yaml", dedup=DEDUP)
    folders = ["--input", str(tmp_path / "clean"), "--output", str(tmp_path / "dedup"), "--cache", str(tmp_path / "c")]
    dedup.main(["--params", str(params), *folders])
    capsys.readouterr()
    explain(tmp_path, "s:short")
    out = capsys.readouterr().out
    assert "s:short is dropped: a near copy of s:long, similarity 0.989691 as found\n" in out
    assert "96 shared of 97 shingles (5 words or characters) of both together, 0.989691\n" in out
    assert "equal characters …" in out


def test_long_equal_stretches_are_folded_to_their_ends() -> None:
    lines = list(side_by_side([Stretch("a", "b"), Stretch("x" * 1000, "x" * 1000), Stretch("", "c")], 43, False))
    assert lines == [
        "[-a-]xxxxxxxxxxxxxxx │ {+b+}xxxxxxxxxxxxxxx",
        *["x" * 20 + " │ " + "x" * 20] * 3,
        "xxxxx                │ xxxxx",
        "          … 840 equal characters …",
        *["x" * 20 + " │ " + "x" * 20] * 4,
        "                     │ {+c+}",
    ]


def test_colours_take_the_place_of_marks_on_a_terminal() -> None:
    assert list(side_by_side([Stretch("很", "")], 19, True)) == ["\x1b[7;31m很\x1b[0m       │"]


def test_what_a_text_holds_never_steers_the_terminal() -> None:
    lines = "\n".join(side_by_side([Stretch("\x1b[2J\u202e\r", "\x07")], 60, False))
    assert lines == "[-␛[2J\ufffd␍-]                   │ {+␇+}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat's 2 hats", ["The", " ", "cat", "'", "s", " ", "2", " ", "hats"]),
        ("東京タワー tower", ["東", "京", "タ", "ワ", "ー", " ", "tower"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("हिन्दी e\u0301t", ["हिन्दी", " ", "e\u0301t"]),
    ],
)
def test_pieces_are_words_or_characters_by_script(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected
    assert "".join(pieces(text)) == text


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert [display_width(text) for text in ("abc", "東京", "ｶﾞ", "e\u0301", "ที่")] == [3, 4, 2, 1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_both_texts_come_back_from_their_stretches(seed: int) -> None:
    draw = random.Random(seed)
    left = [draw.choice("ab 人 \n.") for _ in range(draw.randrange(400))]
    right = [char for char in left if draw.random() < 0.9] + [draw.choice("ab人") for _ in range(draw.randrange(9))]
    stretches = align("".join(left), "".join(right)).stretches
    assert ["".join(side) for side in zip(*stretches, strict=True)] == ["".join(left), "".join(right)]
    assert all(one.is_equal != after.is_equal for one, after in itertools.pairwise(stretches))


def test_long_texts_are_aligned_in_seconds_and_a_moved_beginning_is_found() -> None:
    draw = random.Random(1)
    words = [f"w{draw.randrange(5000)}" for _ in range(60_000)]
    edited = [word if n % 100 else "edited" for n, word in enumerate(words)][5000:]
    begun = time.process_time()
    alignment = align(" ".join(words), " ".join(edited))
    assert time.process_time() - begun < 20
    assert alignment.unsearched == 0
    different = sum(len(stretch.left) for stretch in alignment.stretches if not stretch.is_equal)
    assert different < len(" ".join(words[:5100])) + 550 * 12


def test_texts_that_repeat_themselves_are_said_to_be_unsearched() -> None:
    assert align("天地人" * 1000, "人天" * 1000).unsearched == 5000


def test_documents_are_found_by_id_in_the_order_of_files(tmp_path: Path) -> None:
    for name in "ab":
        write_documents(tmp_path / f"{name}.parquet", [("1", f"one of {name}"), (name, f"text of {name}")])
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    assert find_documents(["s:1", "s:b", "s:none"], paths, ["text"]) == {
        "s:1": [{"doc_id": "s:1", "text": "one of a"}, {"doc_id": "s:1", "text": "one of b"}],
        "s:b": [{"doc_id": "s:b", "text": "text of b"}],
    }
    assert nearest_ids("s:bb", paths) == ["s:b", "s:1", "s:a"]
