"""The stage `clean` as a whole: documents in, documents and evidence out, with each part where it belongs."""

import dataclasses
import gzip
import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from corpora import read_rows, write_documents, write_params
from test_repeated_lines import article

from pipelines import clean
from pipelines.cleaning.halves import CleanParams, finish, prepare
from pipelines.cleaning.repeated_lines import NO_LINES
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params
from pipelines.spine.schema import DOCUMENT

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
PARAMS = load_params(CleanParams, "clean", ROOT / "params.yaml")

FRENCH = (
    "Le port de la vieille ville se trouve au nord du fleuve, et la plupart de ses maisons datent du dix-septième "
    "siècle. Les pêcheurs y vendaient du hareng jusqu'en 1932, puis la halle est devenue un musée, avec une petite "
    "bibliothèque. En hiver, le bateau des îles part deux fois par jour, sauf si le vent est trop fort."
)
GERMAN = (
    "Der Hafen der alten Stadt liegt nördlich des Flusses, und die meisten seiner Häuser stammen aus dem siebzehnten "
    "Jahrhundert. Die Fischer verkauften dort Heringe, bis die Halle ein Museum mit einer kleinen Bibliothek wurde. "
    "Im Winter fährt das Schiff zu den Inseln zweimal am Tag, wenn der Wind nicht zu stark ist."
)


def documents(*texts: str, language: str = "en", source: str = "s") -> pa.RecordBatch:
    rows = [{"doc_id": f"{source}:{n}", "source": source, "language": language, "text": t} for n, t in enumerate(texts)]
    return pa.RecordBatch.from_pylist([{name: row.get(name, "") for name in DOCUMENT.names} for row in rows], DOCUMENT)


def cleaned(batch: pa.RecordBatch, params: CleanParams = PARAMS) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(documents that stay, evidence of those that go)."""
    outcome = finish(prepare(batch, params, None).rows, NO_LINES, params, None).outcome
    assert outcome.dropped is not None
    return outcome.outputs[""].to_pylist(), outcome.dropped.to_pylist()


def with_action(kind: str, action: str) -> CleanParams:
    chosen = dataclasses.replace(PARAMS.personal_data.kind(kind), action=action)
    return dataclasses.replace(PARAMS, personal_data=dataclasses.replace(PARAMS.personal_data, **{kind: chosen}))


def section(**changes: Any) -> dict[str, Any]:
    """`clean` of params.yaml, some of its rules changed."""
    found = yaml.safe_load((ROOT / "params.yaml").read_text())["clean"]
    found["rules"].update(changes)
    return found


def run(tmp_path: Path, params: dict[str, Any], *more: str) -> Path:
    (tmp_path / "versions.yaml").write_bytes((ROOT / "versions.yaml").read_bytes())
    written = write_params(tmp_path / "params.yaml", clean=params)
    places = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    clean.main([*places, "--params", str(written), *more])
    return tmp_path / "out"


def test_a_text_is_masked_before_it_is_judged_and_evidence_holds_no_address() -> None:
    mail = "jane.doe@harbour-museum.org"
    kept, gone = cleaned(documents(f"{article(1)} Write to {mail} for more.", f"Write to {mail}."))
    assert kept[0]["text"].endswith("Write to <EMAIL> for more.")
    assert (gone[0]["rule"], gone[0]["text"]) == ("gopher.too_few_words", "Write to <EMAIL>.")


def test_a_kind_of_personal_data_may_drop_its_document() -> None:
    text = f"{article(1)} Write to jane.doe@harbour-museum.org for more."
    kept, gone = cleaned(documents(text, article(2)), with_action("email", "drop"))
    assert [row["doc_id"] for row in kept] == ["s:1"]
    assert [(row["rule"], row["value"], row["threshold"]) for row in gone] == [("personal_data.email", "1", "> 0")]


def test_a_document_in_another_language_goes_and_its_evidence_says_which() -> None:
    kept, gone = cleaned(documents(article(1), FRENCH))
    assert [row["doc_id"] for row in kept] == ["s:0"]
    assert gone[0]["rule"] == "language.other"
    assert gone[0]["value"].endswith("mostly fr")
    assert gone[0]["threshold"] == "< 50%"


def test_a_document_that_declares_no_language_gets_the_one_it_is_in() -> None:
    kept, _ = cleaned(documents(FRENCH, GERMAN, article(1), language=""))
    assert [row["language"] for row in kept] == ["fr", "de", "en"]
    again, gone = cleaned(pa.RecordBatch.from_pylist(kept, DOCUMENT))
    assert (again, gone) == (kept, [])


def test_a_loop_is_cut_to_its_first_copy_even_where_a_line_rule_removes_what_stands_between() -> None:
    passage = article(3)
    kept, _ = cleaned(documents("\nx\n".join([passage] * 5)))
    assert kept[0]["text"] == passage
    apart = prepare(documents("\nx\n".join([passage] * 5)), PARAMS, None).apart
    assert apart["loops_cut.texts"] == 1
    assert apart["loops_cut.characters"] == 4 * len(passage.replace(" ", ""))
    assert apart["lines_removed.c4.short_line"] == 4


def test_a_loop_may_drop_its_document_instead() -> None:
    rules = dataclasses.replace(PARAMS.rules, loops=dataclasses.replace(PARAMS.rules.loops, action="drop"))
    kept, gone = cleaned(documents("\n".join([article(3)] * 5)), dataclasses.replace(PARAMS, rules=rules))
    assert kept == []
    assert (gone[0]["rule"], gone[0]["threshold"]) == ("repetition.loops", ">= 75%")
    assert gone[0]["value"].startswith("80.0%")


def test_the_ledger_has_lengths_and_languages_before_and_after(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("a", article(1)), ("b", "short"), ("c", FRENCH), ("d", "")])
    output = run(tmp_path, section())
    ledger = json.loads((output / "ledger.json").read_text())
    size = str(1 << len(article(1)).bit_length() - 1)
    assert sorted(ledger["tallies"]["chars.before"]) == sorted([["0", 1], ["4", 1], [size, 1], ["256", 1]])
    assert ledger["tallies"]["languages.before"] == [["en", 4]]
    assert ledger["tallies"]["chars.after"] == [[size, 1]]
    assert ledger["tallies"]["languages.after"] == [["en", 1]]
    assert ledger["in"] == 4 == ledger["out"]["documents"] + sum(ledger["reasons"].values())


def test_nothing_comes_of_an_empty_folder_of_documents(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [])
    output = run(tmp_path, section())
    assert read_rows(output) == []
    assert json.loads((output / "ledger.json").read_text())["in"] == 0


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"dropped_text_percent": 101}, "clean.dropped_text_percent"),
        ({"normalize": {"unicode_form": "NFX"}}, "clean.normalize.unicode_form"),
        ({"rules": {"quality": {"min_score": 2000}}}, "clean.rules.quality.min_score"),
        ({"rules": {"skip": ["gopher.nothing"]}}, "clean.rules.skip"),
        ({"rules": {"languages": {"min_share_percent": 500}}}, "clean.rules.languages.min_share_percent"),
        ({"personal_data": {"email": {"action": "shred", "placeholder": "<EMAIL>"}}}, "clean.personal_data.email"),
    ],
    ids=["share", "unicode", "score", "skip", "languages", "personal"],
)
def test_a_value_that_can_mean_nothing_is_refused_before_a_worker_begins(
    tmp_path: Path, change: dict[str, Any], where: str
) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("a", article(1))])
    with pytest.raises(CorpusmillError, match=where.replace(".", r"\.")):
        run(tmp_path, merged(section(), change))
    assert not (tmp_path / "out" / "manifest.json").exists()


def merged(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for key, value in two.items():
        both[key] = merged(one[key], value) if isinstance(value, dict) else value
    return both


def test_the_model_of_the_stage_quality_drops_what_it_scores_low(tmp_path: Path) -> None:
    from pipelines import quality

    for source, texts in (("good", [article(n) for n in range(300)]), ("bad", [junk(n) for n in range(300)])):
        write_documents(tmp_path / "in" / f"{source}.parquet", [(str(n), t) for n, t in enumerate(texts)], source)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())["quality"]
    params.update(positive=["good"], negative=["bad"])
    (tmp_path / "versions.yaml").write_bytes((ROOT / "versions.yaml").read_bytes())
    written = write_params(tmp_path / "quality.yaml", quality=params)
    model = tmp_path / "quality"
    places = ["--input", str(tmp_path / "in"), "--output", str(model), "--cache", str(tmp_path / "cache")]
    quality.main([*places, "--params", str(written)])
    output = run(tmp_path, section(repeated_lines={"max_documents": 0, "min_words": 3}), "--quality", str(model))
    ledger = json.loads((output / "ledger.json").read_text())["by_source"]
    assert ledger["good"]["reasons"] == {}
    assert ledger["bad"]["reasons"] == {"dropped.quality.low_score": 300}
    plain = run(tmp_path, section(repeated_lines={"max_documents": 0, "min_words": 3}))
    assert json.loads((plain / "ledger.json").read_text())["by_source"]["bad"]["reasons"] == {}


def junk(number: int) -> str:
    """An advertisement, different for every number."""
    chosen = random.Random(number)
    goods = chosen.sample(["shoes", "watches", "handbags", "phones", "jackets", "sunglasses", "perfume", "rings"], 5)
    return (
        f"Buy cheap {goods[0]} and {goods[1]} online today and have them at your door by {chosen.randint(2, 99)} May. "
        f"Best discount of the week for {goods[2]}, free shipping on all {goods[3]}! Click here to order {goods[4]} now."
    )


def test_explaining_names_the_rule_that_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "page.txt"
    text.write_text("Too short to stay.\n")
    clean.main(["--explain", str(text), "--language", "en", "--params", str(ROOT / "params.yaml")])
    said = capsys.readouterr().out
    assert "file:page.txt  language en  19 characters" in said
    assert "dropped by gopher.too_few_words: 4, and the limit is < 20" in said
    (line,) = [line for line in said.splitlines() if "<- this one decides" in line]
    assert line.split()[:5] == ["gopher.too_few_words", "4", "<", "20", "drops"]


def test_explaining_says_what_was_cut_and_in_which_language_a_text_was_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "loop.txt"
    text.write_text("\n\n".join([article(1)] * 4))
    clean.main(["--explain", str(text), "--params", str(ROOT / "params.yaml")])
    said = capsys.readouterr().out
    assert "language not declared, read as en  " in said
    assert re.search(r"^loops_cut\.texts +1$", said, re.MULTILINE)
    assert f"stays, with {len(article(1))} characters" in said


def test_explaining_what_is_no_file_where_no_documents_are_says_both(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere")
    with pytest.raises(CorpusmillError, match="no file of this name, and no folder of documents") as caught:
        clean.main(["--explain", "page.txt", "--input", missing, "--params", str(ROOT / "params.yaml")])
    assert missing in str(caught.value)


def test_explaining_nothing_is_refused_and_its_options_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for words, status in ((["--explain"], 2), (["--explain", "--help"], 0)):
        with pytest.raises(SystemExit) as caught:
            clean.main(words)
        assert caught.value.code == status
    shown = capsys.readouterr()
    assert "of which document?" in shown.err
    assert "--language LANGUAGE" in shown.out


def test_explaining_finds_a_document_by_its_id_and_says_so_when_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("a", article(1)), ("b", article(2))])
    options = ["--input", str(tmp_path / "in"), "--params", str(ROOT / "params.yaml")]
    clean.main(["--explain", "s:b", *options])
    said = capsys.readouterr().out
    assert said.startswith("s:b  language en")
    assert f"stays, with {len(article(2))} characters" in said
    with pytest.raises(CorpusmillError, match="no document of this id, and no file of this name"):
        clean.main(["--explain", "s:zzz", *options])


def corpus(name: str, number: int) -> list[str]:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for _, line in zip(range(number), file, strict=False)]


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("dedup/20news-crossposts.jsonl.gz", "en"),
        ("news/thucnews-zh-1k.jsonl.gz", "zh"),
        ("dedup/court-zh-val.jsonl.gz", "zh"),
        ("wikitext/zh-novels.jsonl.gz", "zh"),
    ],
    ids=["20news", "thucnews", "court", "novels"],
)
def test_cleaning_what_was_cleaned_changes_and_drops_nothing(name: str, language: str) -> None:
    kept, _ = cleaned(documents(*corpus(name, 300), language=language))
    again, gone = cleaned(pa.RecordBatch.from_pylist(kept, DOCUMENT))
    assert gone == []
    assert again == kept


def test_cleaning_fuzzed_texts_twice_is_cleaning_them_once_and_leaves_valid_text() -> None:
    chosen = random.Random(7)
    kept, _ = cleaned(documents(*(fuzzed(chosen) for _ in range(2000))))
    assert len(kept) > 200
    again, gone = cleaned(pa.RecordBatch.from_pylist(kept, DOCUMENT))
    assert gone == []
    assert again == kept
    assert not any("\0" in row["text"] for row in kept)


def fuzzed(chosen: random.Random) -> str:
    """Sentences, some of them repeated, with what comes from bad scrapes between them."""
    noise = [
        *(
            "\r\n",
            "\n\n\n",
            " \t ",
            "\u200b",
            "\u00ad",
            "Ã©tÃ©",
            "\x07",
            "\u2028",
            "x\n",
            "…\n",
            "ﬁ",
            "e\u0301",
            "\ufeff",
            "{",
        ),
        *("call +44 20 7946 0018\n", "a@example.com ", "javascript\n", "• point\n", "(617) 253-1000 ", "\x85"),
    ]
    parts = []
    for _ in range(chosen.randint(1, 8)):
        parts += [article(chosen.randint(0, 99))] * chosen.choice([1, 1, 1, 1, 2, 4])
        parts += [chosen.choice(noise) for _ in range(chosen.randint(0, 3))]
        parts += ["\n" * chosen.randint(0, 2)]
    return " ".join(parts) if chosen.random() < 0.5 else "\n".join(parts)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"max_duplicate_lines_percent": -30}, "clean.rules.max_duplicate_lines_percent"),
        ({"max_top_run_percents": [20, 18, 160]}, "clean.rules.max_top_run_percents"),
        ({"min_mean_word_chars": {"default": -1}}, "clean.rules.min_mean_word_chars"),
        ({"repeated_lines": {"max_documents": -1, "min_words": 3}}, "clean.rules.repeated_lines.max_documents"),
    ],
    ids=["percent", "list", "mapping", "repeated_lines"],
)
def test_a_limit_out_of_range_is_refused(tmp_path: Path, changes: dict[str, Any], where: str) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("a", article(1))])
    with pytest.raises(CorpusmillError, match=where.replace(".", r"\.")):
        run(tmp_path, section(**changes))


def test_bytes_that_are_not_text_are_named_with_file_and_row(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("a", article(1)), ("b", article(2))])
    table = pq.read_table(tmp_path / "in" / "a.parquet")
    broken = pa.array([article(1).encode(), b"caf\xe9"], pa.binary()).cast(pa.string(), safe=False)
    place = table.schema.get_field_index("text")
    pq.write_table(table.set_column(place, table.schema.field("text"), broken), tmp_path / "in" / "a.parquet")
    with pytest.raises(CorpusmillError, match=r"column text holds bytes that are not UTF-8") as raised:
        run(tmp_path, section())
    assert "a.parquet, row 1 of its batch" in str(raised.value)


@pytest.mark.parametrize("source", ["", None])
def test_a_document_without_a_source_is_refused(tmp_path: Path, source: str | None) -> None:
    write_documents(tmp_path / "a.parquet", [("a", article(1))], "one")
    table = pq.read_table(tmp_path / "a.parquet")
    place = table.schema.get_field_index("source")
    (tmp_path / "in").mkdir()
    pq.write_table(table.set_column(place, "source", pa.array([source], pa.string())), tmp_path / "in" / "a.parquet")
    with pytest.raises(CorpusmillError, match="a document without a source") as error:
        run(tmp_path, section())
    assert error.value.got == repr(source)


def test_a_file_of_several_sources_is_refused(tmp_path: Path) -> None:
    write_documents(tmp_path / "a.parquet", [("a", article(1))], "one")
    write_documents(tmp_path / "b.parquet", [("b", article(2))], "two")
    (tmp_path / "in").mkdir()
    both = pa.concat_tables([pq.read_table(tmp_path / "a.parquet"), pq.read_table(tmp_path / "b.parquet")])
    pq.write_table(both, tmp_path / "in" / "both.parquet")
    with pytest.raises(CorpusmillError, match="documents of several sources in one file"):
        run(tmp_path, section())


def test_another_stages_folder_is_no_model(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("a", article(1))])
    output = run(tmp_path, section())
    with pytest.raises(CorpusmillError, match="not a folder of the stage quality"):
        clean.main(["--input", str(tmp_path / "in"), "--output", str(tmp_path / "other"), "--quality", str(output),
                    "--params", str(tmp_path / "params.yaml"), "--cache", str(tmp_path / "cache")])  # fmt: skip
