"""Tasks for lm-eval: rows are checked and counted, a task is filled in with them, and the table says what was asked."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from token_shards import LSTM, small_model, write_pack, write_tokenizer, write_trained

from pipelines.spine.errors import CorpusmillError
from train import task_scores
from train.hugging_face import architecture
from train.saved import ModelConfig
from train.task_files import TASKS, choose_tasks, read_rows, render, spread
from train.task_scores import expect_harness, expect_model, in_parts, joined, measured_of, read_searched, table

QUIZ = """task: quiz
dataset_path: json
dataset_kwargs: {data_files: {test: DATA_FILE}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_target: a
doc_to_choice: [no, yes]
process_docs: !function helping.process
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0, fields: [a, q], label: a}
"""


def quiz(folder: Path, rows: str, name: str = "quiz.jsonl", text: str = QUIZ) -> list:
    (folder / "tasks").mkdir(exist_ok=True)
    (folder / "tasks" / "quiz.yaml").write_text(text)
    (folder / name).write_text(rows, encoding="utf-8-sig")
    return choose_tasks([f"quiz={folder / name}"], folder / "tasks")


@pytest.mark.parametrize("name", ["lambada", "piqa", "chnsenticorp"])
def test_our_tasks_say_what_their_rows_hold_and_where_they_go(name: str) -> None:
    text = (TASKS / f"{name}.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert document["task"] == name
    assert text.count("DATA_FILE") == 1
    fields, label = document["metadata"]["fields"], document["metadata"].get("label")
    asked = f"{document['doc_to_text']} {document['doc_to_target']} {document.get('doc_to_choice', '')}"
    assert all(field in asked for field in fields)
    assert (label in fields) == (document["output_type"] == "multiple_choice")


def test_a_csv_without_a_header_has_the_fields_of_the_task_and_blank_rows_are_counted(tmp_path: Path) -> None:
    rows = '1,"早餐""好"""\n0,房间小\n1,  \n1,"two\nlines"\n'
    (task,) = quiz(tmp_path, rows, "quiz.csv")
    found = read_rows(task)
    assert found.rows == [{"a": 1, "q": '早餐"好"'}, {"a": 0, "q": "房间小"}, {"a": 1, "q": "two\nlines"}]
    assert (found.num_all, found.num_blank) == (4, 1)
    assert found.chance("a") == 2 / 3
    assert found.chance("") is None
    (task,) = quiz(tmp_path, "q,a\nwhy,1\n", "quiz.csv")
    assert read_rows(task).rows == [{"q": "why", "a": 1}]


@pytest.mark.parametrize(
    ("name", "rows", "where", "message"),
    [
        ("q.csv", "1,a\n0,b,c\n", "q.csv:2", "a row of quiz has other columns"),
        ("q.jsonl", '{"a": 1, "q": "x"}\n{"a": 1}\n', "q.jsonl:2", "a row of quiz lacks q"),
        ("q.jsonl", "[1]\n", "q.jsonl:1", "a row of quiz lacks a, q"),
        ("q.csv", "\n", "q.csv:1", "other columns"),
        ("q.csv", "1,\n", "q.csv", "no rows"),
        ("q.csv", "1,a\n2,b\n", "q.csv:2", "no such choice"),
        ("q.csv", "1,a\n²,b\n", "q.csv:2", "no such choice"),
        ("q.csv", "1,a\n-1,b\n", "q.csv:2", "no such choice"),
        ("q.csv", f"1,{'x' * 140_000}\n", "q.csv:1", "not CSV"),
        ("q.jsonl", '{"a": "good", "q": "x"}\n', "q.jsonl:1", "no such choice"),
        ("q.jsonl", '{"a": true, "q": "x"}\n', "q.jsonl:1", "no such choice"),
        ("q.jsonl", '{"a": 1, "q": null}\n', "q.jsonl:1", "a row of quiz lacks q"),
    ],
)
def test_rows_of_another_shape_are_refused_with_their_line(
    tmp_path: Path, name: str, rows: str, where: str, message: str
) -> None:
    (task,) = quiz(tmp_path, rows, name)
    with pytest.raises(CorpusmillError, match=message) as caught:
        read_rows(task)
    assert caught.value.where.endswith(where)


def test_a_label_may_be_a_choice_or_its_number_as_text_and_choices_may_stand_in_the_row(tmp_path: Path) -> None:
    (task,) = quiz(tmp_path, '{"a": "1", "q": "x"}\n{"a": "never", "q": "y"}\n', text=QUIZ.replace("[no,", "[never,"))
    # lm-eval looks for the text "1" among the choices and would count every answer as wrong.
    assert [row["a"] for row in read_rows(task).rows] == [1, "never"]
    path = tmp_path / "piqa.jsonl"
    for gold, choices in ((2, ["a", "b"]), (0, "ab"), (0, ["a", 1])):
        path.write_text(json.dumps({"query": "q", "choices": choices, "gold": gold}) + "\n")
        with pytest.raises(CorpusmillError, match="no such choice"):
            read_rows(choose_tasks([f"piqa={path}"], TASKS)[0])


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    (task,) = quiz(tmp_path, "x\n")
    task.rows.write_text('{"a": 1, "q": "x"}\n\n{"a": 1')
    with pytest.raises(CorpusmillError, match="not JSON") as caught:
        read_rows(task)
    assert caught.value.where.endswith("quiz.jsonl:3")


def test_tasks_are_chosen_by_name_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    quiz(tmp_path, "x")
    for pair, message in (("poem=x", "no such task"), ("quiz", "no such task"), ("quiz=/none", "no such file")):
        with pytest.raises(CorpusmillError, match=message):
            choose_tasks([pair], tmp_path / "tasks")
    with pytest.raises(CorpusmillError, match="named twice"):
        choose_tasks([f"quiz={tmp_path / 'quiz.jsonl'}"] * 2, tmp_path / "tasks")
    for text in (QUIZ.replace("DATA_FILE", "x.json"), QUIZ.replace("task: quiz", "task: quizz")):
        with pytest.raises(CorpusmillError, match="the task cannot be filled in"):
            quiz(tmp_path, "x", text=text)
    with pytest.raises(CorpusmillError, match="not a task of lm-eval"):
        quiz(tmp_path, "x", text="group: quiz\n")


def test_a_rendered_task_names_its_rows_whatever_the_path(tmp_path: Path) -> None:
    (task,) = quiz(tmp_path, '{"a": 1, "q": "東京?"}\n')
    folder = tmp_path / 'a "quoted": path'
    folder.mkdir()
    render(task, read_rows(task).rows, folder)
    text = (folder / "quiz.yaml").read_text().replace("!function ", "")
    place = yaml.safe_load(text)["dataset_kwargs"]["data_files"]["test"]
    assert place == str(folder / "quiz.jsonl")
    assert Path(place).read_text(encoding="utf-8") == '{"a": 1, "q": "東京?"}\n'


def test_a_limit_takes_rows_at_equal_distances() -> None:
    rows = [{"n": n} for n in range(10)]
    assert [row["n"] for row in spread(rows, 4)] == [0, 2, 5, 7]
    assert spread(rows, 0) == spread(rows, 10) == spread(rows, 99) == rows


def test_a_long_answer_is_asked_in_parts_whose_probabilities_add_up() -> None:
    assert in_parts([1, 2], [3, 4, 5, 6], 4) == [([1, 2], [3, 4, 5, 6])]
    parts = in_parts([1, 2], [3, 4, 5, 6, 7], 4)
    assert parts == [([1, 2], [3, 4]), ([1, 2, 3, 4], [5, 6]), ([1, 2, 3, 4, 5, 6], [7])]
    answers = [(-1.0, True), (-2.0, True), (-0.5, False), (-4.0, True)]
    assert joined([0, 0, 0, 1], answers) == [(-3.5, False), (-4.0, True)]


def test_numbers_of_a_result_come_with_their_errors() -> None:
    result = {
        "alias": "q", "sample_len": 5, "acc,none": 0.5, "acc_stderr,none": 0.1, "acc,strict": 1, "acc_stderr,strict": 0,
        "mcc,none": 0.25, "mcc_stderr,none": "N/A",
    }  # fmt: skip
    assert measured_of(result) == {"acc": (0.5, 0.1), "acc,strict": (1.0, 0.0), "mcc": (0.25, None)}


def test_the_table_tells_chance_contamination_and_what_could_not_be_asked() -> None:
    metrics = {"acc": {"value": 0.5625, "stderr": 0.03125}, "perplexity": {"value": 123456.0, "stderr": None}}
    result = {
        "rows": 2000, "without_text": 1, "asked": 1999, "cut": 7, "chance": 0.6875, "metrics": metrics,
        "decontaminated": True, "documents_found": 3,
    }  # fmt: skip
    lines = table({"a": result, "b": {**result, "decontaminated": False, "cut": 0, "without_text": 0}}).splitlines()
    assert lines[0].split() == ["task", "metric", "value", "stderr", "chance", "asked"]
    assert lines[1].split() == ["a", "acc", "0.5625", "0.0312", "0.6875", "1999"]
    assert lines[2].split() == ["a", "perplexity", "1.235e+05", "1999"]
    assert lines[5] == (
        "a: looked for by `decontaminate`, found in 3 documents; 1 of 2,000 rows lack text; "
        "7 requests longer than the context, cut on the left"
    )
    assert lines[6].startswith("b: NOT DECONTAMINATED")
    assert lines[6].endswith("may hold it")


def test_what_decontaminate_looked_for_is_known_by_the_files_content(tmp_path: Path) -> None:
    sets = [{"name": "q", "files": [{"sha256": "ab"}, {"sha256": "cd"}], "documents": 4}]
    (tmp_path / "sets.json").write_text(json.dumps({"sets": sets}))
    assert read_searched(str(tmp_path / "sets.json")) == {"ab": 4, "cd": 4}
    assert read_searched("") is None
    with pytest.raises(CorpusmillError, match="damaged"):
        read_searched(str(tmp_path / "none.json"))


def test_a_folder_without_a_model_or_with_one_that_transformers_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="no exported model"):
        expect_model(tmp_path)
    config = ModelConfig(small_model(**LSTM).params, 257, 16, 0, "t" * 64, "document")
    for document in ({}, architecture(config)):
        (tmp_path / "config.json").write_text(json.dumps(document))
        with pytest.raises(CorpusmillError, match="does not know this kind of model"):
            expect_model(tmp_path)


HAS_HARNESS = all(importlib.util.find_spec(name) for name in ("lm_eval", "accelerate"))


@pytest.mark.skipif(HAS_HARNESS, reason="lm-eval is installed")
def test_without_lm_eval_the_error_says_how_to_get_it() -> None:
    with pytest.raises(CorpusmillError, match="is not installed") as caught:
        expect_harness()
    assert "pip install -e .[tasks]" in caught.value.hint


@pytest.mark.skipif(not HAS_HARNESS, reason="lm-eval is not installed: pip install -e .[tasks]")
@pytest.mark.filterwarnings("ignore")
def test_lm_eval_asks_an_exported_model_what_its_rows_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from corpora import write_params

    from train import export

    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    pack, trained = (
        write_pack(tmp_path / "pack", tokenizer), write_trained(tmp_path / "trained", small_model(), tokenizer)
    )  # fmt: skip
    params = write_params(tmp_path / "params.yaml", export={"num_threads": 1, "check_rows": 1, "onnx": False})
    given = ["--input", str(pack), "--model", str(trained), "--output", str(tmp_path / "out")]
    export.main([*given, "--params", str(params), "--cache", str(tmp_path / "cache")])
    rows = [{"context": "The cat sat on the", "continuation": word} for word in ("mat", "a" * 40, "東")]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "tasks.json"
    task_scores.main(
        ["--model", str(tmp_path / "out"), "--task", f"lambada={tmp_path / 'l.jsonl'}", "--output", str(output)]
    )
    found = json.loads(output.read_text())["tasks"]["lambada"]
    assert (found["asked"], found["cut"]) == (3, 3)
    assert found["metrics"]["perplexity"]["value"] > 1
    assert "lambada" in capsys.readouterr().out
