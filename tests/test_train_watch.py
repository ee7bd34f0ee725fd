"""What a person sees of a run, and the log of its speeds."""

import io
import json
import math
from pathlib import Path

import pytest
import torch

from train.scoring import Score
from train.watch import Watch


def test_a_log_gets_whole_lines_and_the_file_every_step(tmp_path: Path) -> None:
    stream = io.StringIO()
    with Watch(tmp_path / "logs", 10, 2, 64, 1000, 1, torch.device("cpu"), stream) as watch:
        watch.step(3, 5.25, 0.1, 0.01, 1.0, 192)
        watch.step(4, 5.0, 0.1, 0.01, 1.0, 256)
        watch.evaluated(4, 5.0, Score(4.5 * 64, 64, 4.5 * 64 / 2.25 / math.log(2)))
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("pretrain 4/10  loss 5.000  ")
    assert line.endswith("val 4.500  2.250 bits a byte")
    logged = [json.loads(text) for text in (tmp_path / "logs" / "pretrain.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in logged] == [3, 4, 4]
    assert logged[2]["bits_per_byte"] == pytest.approx(2.25)


def test_a_folder_that_cannot_be_written_costs_the_log_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with Watch(tmp_path / "logs", 10, 0, 64, 1000, 1, torch.device("cpu"), io.StringIO()) as watch:
        watch.step(1, 5.0, 0.1, 0.01, 1.0, 64)
