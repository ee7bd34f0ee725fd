"""Decontamination end to end: sets and clean documents in -> spans, the ledger, and what was looked for."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import digests, read_rows, write_documents, write_params

from pipelines import decontaminate, fetch
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from pipelines.spine.schema import CONTAMINATED

PARAMS = {"ngram_words": 13, "ngram_characters": 26, "min_words": 8, "action": "drop", "cut_margin_chars": 0}
QUESTION = "Which of the seven wandering sailors wrote the longest letter home from Valparaíso that winter?"
ANSWER = "It was the old cook, who wrote about rain and onions on forty sheets of borrowed paper."
ZH = "问题：天安门广场上的人们都很高兴因为今天是一个特别晴朗的日子吗"


def one_set(path: Path, kind: str = "jsonl", **changes: object) -> dict[str, object]:
    columns = [] if kind == "text" else ["question", "answer"]
    options = {"split": "line"} if kind == "text" else {}
    entry = {"name": "quiz", "kind": kind, "path": str(path), "sha256": "", "columns": columns, "key": ""}
    return {**entry, "options": options, **changes}


def fetched(folder: Path, *sets: dict[str, object]) -> Path:
    """evaluation.json of those sets, beside a source that nobody reads."""
    (folder / "source.txt").write_text("nothing\n")
    source = {"name": "s", "kind": "text", "path": str(folder / "source.txt"), "language": "en", "licence": "CC0",
              "sha256": "", "columns": {}, "options": {"split": "line"}}  # fmt: skip
    params = write_params(folder / "fetch.yaml", fetch={"sources": [source], "evaluation_sets": list(sets)})
    fetch.main(["--output", str(folder / "fetch"), "--params", str(params), "--cache", str(folder / "cache")])
    return folder / "fetch" / "evaluation.json"


def run(folder: Path, sets: Path, out: str = "out", **changes: object) -> Path:
    params = write_params(folder / f"{out}.yaml", decontaminate={**PARAMS, **changes})
    places = ["--input", str(folder / "in"), "--sets", str(sets), "--output", str(folder / out)]
    decontaminate.main([*places, "--params", str(params), "--cache", str(folder / "cache")])
    return folder / out


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two units: one document with a question and an answer, one in Chinese, one with a near miss, three clean ones."""
    write_documents(
        tmp_path / "in" / "a.parquet",
        [("1", f"A quiz 🎉. {QUESTION.lower()} — {ANSWER}"), ("2", "clean"), ("3", QUESTION.replace("seven", "six"))],
    )
    write_documents(tmp_path / "in" / "b.parquet", [("4", f"他问：{ZH}？"), ("5", "干净")], source="t", language="zh")
    rows = [{"id": "q7", "question": QUESTION, "answer": ANSWER}, {"id": "q8", "question": ZH, "answer": "Yes"}]
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_the_document_the_set_the_item_and_the_matched_text_are_recorded(corpus: Path) -> None:
    output = run(corpus, fetched(corpus, one_set(corpus / "quiz.jsonl")))
    assert [pq.read_schema(path) for path in output.glob("*.parquet")] == [CONTAMINATED, CONTAMINATED]
    rows = sorted(read_rows(output), key=lambda row: (row["doc_id"], row["start"]))
    asked = QUESTION.lower()[:-1]
    assert [tuple(row.values()) for row in rows] == [
        ("s:1", "quiz", "1", 10, 10 + len(asked), asked, "drop"),
        ("s:1", "quiz", "1", 14 + len(asked), 13 + len(asked) + len(ANSWER), ANSWER[:-1], "drop"),
        ("t:4", "quiz", "2", 3, 3 + len(ZH), ZH, "drop"),
    ]


def test_the_ledger_closes_and_sets_json_says_what_was_looked_for_and_what_was_not(corpus: Path) -> None:
    output = run(corpus, fetched(corpus, one_set(corpus / "quiz.jsonl")))
    ledger = json.loads((output / "ledger.json").read_text())
    assert (ledger["in"], ledger["out"], ledger["reasons"]) == (5, {"clean": 3, "contaminated": 2}, {})
    assert (ledger["apart"], ledger["tallies"]) == ({"spans": 3}, {"documents_by_set": [["quiz", 2]]})
    assert ledger["by_source"]["t"]["out"] == {"clean": 1, "contaminated": 1}
    document = json.loads((output / "sets.json").read_text())
    assert (document["action"], document["ngram"]) == ("drop", {"words": 13, "characters": 26, "min_words": 8})
    (entry,) = document["sets"]
    sha256 = digests(corpus)["quiz.jsonl"]
    assert entry["files"] == [{"sha256": sha256, "bytes": (corpus / "quiz.jsonl").stat().st_size}]
    counts = ("documents", "items", "items_unchecked", "texts", "texts_unchecked", "texts_unreadable")
    assert [entry[name] for name in counts] == [2, 2, 0, 4, 1, 0]


@pytest.mark.parametrize("kind", ["csv", "parquet", "text", "jsonl.gz"])
def test_every_kind_of_file_gives_the_same_spans(corpus: Path, kind: str) -> None:
    rows = [(QUESTION, ANSWER), (ZH, "Yes")]
    path = corpus / f"quiz.{kind}"
    if kind == "csv":
        path.write_text("question,answer\n" + "".join(f'"{q}","{a}"\n' for q, a in rows))
    elif kind == "parquet":
        pq.write_table(pa.table({"question": [q for q, _ in rows], "answer": [a for _, a in rows]}), path)
    elif kind == "text":
        path.write_text("".join(f"{question}\t{answer}\n" for question, answer in rows))
    else:
        path.write_bytes(gzip.compress((corpus / "quiz.jsonl").read_bytes()))
    entry = one_set(path, kind.removesuffix(".gz"))
    rows = read_rows(run(corpus, fetched(corpus, entry)))
    spans = [("s:1", "1", 10), ("s:1", "1", 14 + len(QUESTION) - 1), ("t:4", "2", 3)]
    # A line of text is one text: question and answer follow one another there as they do in the document.
    assert [(row["doc_id"], row["item"], row["start"]) for row in rows] == [
        span for span in spans if kind != "text" or span[2] in (3, 10)
    ]


def test_an_item_is_named_by_its_key_column_and_by_its_file_where_there_are_several(corpus: Path) -> None:
    output = run(corpus, fetched(corpus, one_set(corpus / "quiz.jsonl", key="id")))
    assert {row["item"] for row in read_rows(output)} == {"q7", "q8"}
    (corpus / "quiz-2.jsonl").write_text(json.dumps({"question": "another one", "answer": "no"}) + "\n")
    output = run(corpus, fetched(corpus, one_set(corpus / "quiz*.jsonl")), "several")
    key = digests(corpus)["quiz.jsonl"][:12]
    assert {row["item"] for row in read_rows(output)} == {f"{key}:1", f"{key}:2"}


def test_cut_is_recorded_with_its_margin_and_the_matched_text_without(corpus: Path) -> None:
    output = run(corpus, fetched(corpus, one_set(corpus / "quiz.jsonl")), action="cut", cut_margin_chars=2)
    rows = [row for row in read_rows(output) if row["doc_id"] == "s:1"]
    asked = QUESTION.lower()[:-1]
    assert [(row["start"], row["stop"], row["action"], row["matched"]) for row in rows] == [
        (8, 12 + len(asked), "cut", asked),
        (12 + len(asked), 14 + len(asked) + len(ANSWER), "cut", ANSWER[:-1]),
    ]


def test_bytes_depend_neither_on_workers_nor_on_names_and_order_of_files(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (corpus / "two.txt").write_text(f"{QUESTION}\n{ZH}\n")
    sets = [one_set(corpus / "quiz.jsonl"), one_set(corpus / "two.txt", "text", name="also")]
    first = digests(run(corpus, fetched(corpus, *sets)))
    (corpus / "quiz.jsonl").rename(corpus / "renamed.json")
    (corpus / "in" / "a.parquet").rename(corpus / "in" / "z.parquet")
    sets = [sets[1], one_set(corpus / "renamed.json")]
    for workers in ("1", "2", "4"):
        monkeypatch.setenv("CORPUSMILL_WORKERS", workers)
        (corpus / "cache").rename(corpus / f"cache-before-{workers}")
        assert digests(run(corpus, fetched(corpus, *sets), f"out{workers}")) == first
    assert {row["set"] for row in read_rows(corpus / "out1")} == {"also", "quiz"}


def test_without_sets_an_empty_result_says_so(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = run(corpus, fetched(corpus))
    assert read_manifest(output).shards == ()
    assert json.loads((output / "sets.json").read_text())["sets"] == []
    assert json.loads((output / "ledger.json").read_text())["in"] == 0
    assert "no evaluation sets are listed" in capsys.readouterr().err


def test_texts_that_cannot_be_read_are_counted(corpus: Path) -> None:
    (corpus / "quiz.jsonl").write_text(f'{{"question": "{QUESTION}", "answer": null}}\n{{"answer": "{ANSWER}"}}\n')
    output = run(corpus, fetched(corpus, one_set(corpus / "quiz.jsonl")))
    (entry,) = json.loads((output / "sets.json").read_text())["sets"]
    assert (entry["texts"], entry["texts_unreadable"], entry["items"]) == (2, 2, 2)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_list_of_choices_is_looked_for_too(corpus: Path, kind: str) -> None:
    rows = [{"question": "Who?", "answer": ["Nobody.", ANSWER, ZH]}]
    path = corpus / f"choices.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows[0]) + "\n")
    rows = read_rows(run(corpus, fetched(corpus, one_set(path, kind))))
    assert sorted((row["doc_id"], row["item"], row["matched"]) for row in rows) == [
        ("s:1", "1", ANSWER[:-1]), ("t:4", "1", ZH),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_missing_column_is_refused_with_the_parameter(corpus: Path, kind: str) -> None:
    path = corpus / f"other.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"text": [QUESTION]}), path)
    else:
        path.write_text(json.dumps({"text": QUESTION}) if kind == "jsonl" else "id,text\n1,one\n")
    with pytest.raises(CorpusmillError, match="column question") as error:
        run(corpus, fetched(corpus, one_set(path, kind)))
    assert "quiz, file " in error.value.where
    assert "params.yaml: fetch.evaluation_sets" in error.value.hint


@pytest.mark.parametrize(
    ("name", "value"), [("ngram_words", 0), ("min_words", 14), ("cut_margin_chars", -1), ("action", "keep")]
)
def test_impossible_parameters_are_refused_by_name(corpus: Path, name: str, value: object) -> None:
    with pytest.raises(CorpusmillError) as error:
        run(corpus, fetched(corpus), **{name: value})
    assert error.value.where == f"params.yaml: decontaminate.{name}"


def test_a_set_that_changed_since_it_was_fetched_is_refused(corpus: Path) -> None:
    sets = fetched(corpus, one_set(corpus / "quiz.jsonl"))
    (corpus / "quiz.jsonl").write_text("{}\n")
    with pytest.raises(CorpusmillError, match="changed after it was fetched"):
        run(corpus, sets)


def test_wikipedia_text_is_found_where_its_tokenised_copy_is_a_set(shared_data: Path, corpus: Path) -> None:
    """WikiText spells "2.5" as "2 @.@ 5" and rare words as <unk>: what lies between those is found."""
    lines = (shared_data / "eval" / "wikitext-2.test.txt").read_text(encoding="utf-8-sig").splitlines()
    (source,) = [line for line in lines if "clear end to the ironclad period" in line]
    article = (
        source.replace(" @-@ ", "-").replace(" @,@ ", ",").replace(" ,", ",").replace(" .", ".").replace(" 's", "'s")
    )
    write_documents(corpus / "in" / "c.parquet", [("wiki", article)], source="w")
    entry = one_set(shared_data / "eval" / "wikitext-2.test.txt", "text", name="wikitext")
    rows = [row for row in read_rows(run(corpus, fetched(corpus, entry))) if row["doc_id"] == "w:wiki"]
    assert sum(row["stop"] - row["start"] for row in rows) > 0.8 * len(article)
