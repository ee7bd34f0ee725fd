"""Tasks for lm-eval from local files: which there are, rows that are checked, and the YAML that names them.

    train/tasks/<name>.yaml + a file of rows  ->  <folder>/<name>.jsonl, <name>.yaml  (what lm-eval is given)

In a task's YAML ``DATA_FILE`` stands where the path of its rows goes. ``metadata.fields`` are the fields of a row (of a CSV
without a header its columns), ``metadata.label`` is the one that holds the right choice.
"""

import collections
import csv
import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError

TASKS = Path(__file__).with_name("tasks")
DATA_FILE = "DATA_FILE"
#: A longer cell is a quote that nobody closes; the csv module's own limit.
MOST_CELL_CHARS = 131_072
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Task:
    """A task of a folder with the file of its rows.

    Attributes:
        text: its YAML.
        fields: that every row must have; none: not checked.
        label: the field that holds the right choice, "" for tasks without choices.
        choices: all of them, or the template that makes them of a row; "" where there are none.
    """

    name: str
    text: str
    fields: tuple[str, ...]
    label: str
    choices: list[str] | str
    rows: Path


@dataclasses.dataclass(frozen=True)
class TaskRows:
    """Rows that can be asked, and what was not.

    Attributes:
        num_all: rows of the file; ``num_blank`` of them lack the text of a field and are left out.
        sha256: of the file.
    """

    rows: list[Row]
    num_all: int
    num_blank: int
    sha256: str

    def chance(self, label: str) -> float | None:
        """What always answering with the most frequent label would get; None without labels."""
        if not label or not self.rows:
            return None
        ((_, most),) = collections.Counter(str(row[label]) for row in self.rows).most_common(1)
        return most / len(self.rows)


def choose_tasks(pairs: Sequence[str], folder: Path) -> list[Task]:
    """The tasks of ``name=path`` pairs.

    Raises:
        CorpusmillError: a pair is none, a task is not in the folder or not ours to fill in, or a file is missing.
    """
    known = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    tasks: dict[str, Task] = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        if name not in known or not path:
            raise CorpusmillError(
                "no such task", where=f"--task {pair}", expected=f"NAME=FILE; names: {', '.join(known) or 'none'}",
                got=name or "nothing", hint=f"tasks are the YAML files of {folder.name}/; --tasks DIR names your own folder",
            )  # fmt: skip
        if name in tasks:
            raise CorpusmillError("a task is named twice", where=f"--task {pair}")
        if not Path(path).is_file():
            raise CorpusmillError("no such file", where=path, hint=f"give the rows of {name}: --task {name}=FILE")
        tasks[name] = _read_task(known[name], Path(path))
    return list(tasks.values())


def read_rows(task: Task) -> TaskRows:
    """The rows of a task's file: JSON lines, or CSV where its name ends so.

    Raises:
        CorpusmillError: a line that is no row, lacks a field, or whose label is no choice; with its number.
    """
    try:
        found = list(_csv_rows(task) if task.rows.suffix == ".csv" else _json_rows(task))
    except UnicodeDecodeError as error:
        raise CorpusmillError("not UTF-8", where=str(task.rows), got=str(error)) from None
    rows = [row for row in found if not any(_is_blank(row[field]) for field in task.fields)]
    if not rows:
        raise CorpusmillError("no rows", where=str(task.rows), hint=f"is this the file of {task.name}?")
    return TaskRows(rows, len(found), len(found) - len(rows), storage.sha256_file(task.rows))


def spread(rows: Sequence[Row], limit: int) -> list[Row]:
    """``limit`` of the rows at equal distances (all with 0): the first ones of a sorted file would be of one class."""
    if not 0 < limit < len(rows):
        return list(rows)
    return [rows[place * len(rows) // limit] for place in range(limit)]


def render(task: Task, rows: Sequence[Row], folder: Path) -> None:
    """Writes the rows and the YAML that names them into a folder."""
    path = folder / f"{task.name}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    text = task.text.replace(DATA_FILE, json.dumps(str(path.resolve()), ensure_ascii=False))
    (folder / f"{task.name}.yaml").write_text(text, encoding="utf-8")


def copy_beside(tasks: Path, folder: Path) -> None:
    """What YAML files of one's own may name with ``!function``: the modules beside them."""
    for path in sorted(tasks.glob("*.py")):
        shutil.copyfile(path, folder / path.name)


class _Loader(yaml.SafeLoader):
    """Reads lm-eval's YAML; what it would import stays its name."""


_Loader.add_constructor("!function", lambda loader, node: node.value)


def _read_task(path: Path, rows: Path) -> Task:
    text = path.read_text(encoding="utf-8")
    try:
        document = yaml.load(text, _Loader)
        metadata = document.get("metadata") or {}
        name = document["task"]
    except (yaml.YAMLError, AttributeError, KeyError) as error:
        raise CorpusmillError(f"not a task of lm-eval: {' '.join(str(error).split())}", where=str(path)) from None
    if name != path.stem or DATA_FILE not in text:
        raise CorpusmillError(
            "the task cannot be filled in", where=str(path), expected=f"task: {path.stem}, and {DATA_FILE} for its rows",
            got=f"task: {name}", hint=f"write dataset_path: json, dataset_kwargs: {{data_files: {{test: {DATA_FILE}}}}}",
        )  # fmt: skip
    return Task(name, text, tuple(metadata.get("fields", ())), metadata.get("label", ""), _choices(document), rows)


def _choices(document: dict[str, Any]) -> list[str] | str:
    choices = document.get("doc_to_choice", "")
    # YAML reads an unquoted yes or no as a truth value, 1 as a number.
    return [str(choice) for choice in choices] if isinstance(choices, list) else str(choices)


def _json_rows(task: Task) -> Iterator[Row]:
    with task.rows.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise CorpusmillError(f"not JSON: {error}", where=f"{task.rows}:{number}") from None
            lacking = [field for field in task.fields if not isinstance(row, dict) or row.get(field) is None]
            if lacking:
                raise CorpusmillError(
                    f"a row of {task.name} lacks {', '.join(lacking)}", where=f"{task.rows}:{number}",
                    expected=", ".join(task.fields), got=", ".join(row) if isinstance(row, dict) else type(row).__name__,
                )  # fmt: skip
            yield _labelled(task, row, number)


def _csv_rows(task: Task) -> Iterator[Row]:
    csv.field_size_limit(MOST_CELL_CHARS)  # of the process, and other readers set theirs
    with task.rows.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        names = list(task.fields)
        for cells in _cells(task, reader):
            if not names or (reader.line_num == 1 and set(cells) >= set(names)):
                names = cells  # a header
                continue
            if len(cells) != len(names):
                raise CorpusmillError(
                    f"a row of {task.name} has other columns", where=f"{task.rows}:{reader.line_num}",
                    expected=f"{len(names)}: {', '.join(names)}", got=len(cells),
                )  # fmt: skip
            yield _labelled(task, dict(zip(names, cells, strict=True)), reader.line_num)


def _cells(task: Task, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise CorpusmillError(
            f"not CSV: {error}", where=f"{task.rows}:{reader.line_num}", hint="is a quote left open above this line?"
        ) from None


def _labelled(task: Task, row: Row, number: int) -> Row:
    """The row, its label as a number where it is written as one.

    lm-eval would count every answer to a row as wrong whose label is no choice, and say nothing.

    Raises:
        CorpusmillError: the label is no choice of the row.
    """
    if not task.label or _is_blank(row[task.label]):
        return row
    label = row[task.label]
    choices: Any = task.choices
    if isinstance(choices, str):
        named = choices.strip("{} ")
        choices = row[named] if named in task.fields else None
    if isinstance(label, str) and label.isdecimal() and label not in (choices or ()):
        label = int(label)
    listed = choices is None or (isinstance(choices, list) and all(isinstance(one, str) for one in choices))
    if isinstance(label, int) and not isinstance(label, bool):
        right = listed and 0 <= label < (len(choices) if choices is not None else label + 1)
    else:
        right = listed and isinstance(label, str) and (choices is None or label in choices)
    if not right:
        raise CorpusmillError(
            f"no such choice in a row of {task.name}", where=f"{task.rows}:{number}",
            expected=f"{task.label}: a choice or its number, from 0, of {json.dumps(choices, ensure_ascii=False)[:200]}",
            got=str(label),
        )  # fmt: skip
    return {**row, task.label: label}


def _is_blank(value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return not texts or any(isinstance(text, str) and not text.strip() for text in texts)
