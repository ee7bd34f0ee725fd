"""TensorBoard's own reader takes our event files; a resumed run replaces what the killed one had shown."""

from pathlib import Path

import pytest

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from train.events import EventFile


def test_a_record_is_on_the_disk_when_its_call_returns(tmp_path: Path) -> None:
    events = EventFile(tmp_path, 0)
    events.scalars(7, {"train/loss": 5.5})
    (path,) = tmp_path.glob("events.out.tfevents.*")
    assert [event.step for event in EventFileLoader(str(path)).Load()] == [1, 1, 7]
    events.close()


def test_files_are_read_in_the_order_of_their_beginnings(tmp_path: Path) -> None:
    for first in (0, 10, 9):
        EventFile(tmp_path, first).close()
    assert [path.name.rpartition(".")[2] for path in sorted(tmp_path.iterdir())] == ["0", "10", "9"]


def test_tensorboard_reads_numbers_and_texts_and_drops_what_a_killed_run_had_shown(tmp_path: Path) -> None:
    killed = EventFile(tmp_path, 0)
    for step in (1, 2, 300):
        killed.scalars(step, {"train/loss": 5.5 - step, "train/accuracy": 1e300})
    killed.close()
    resumed = EventFile(tmp_path, 1)
    resumed.scalars(2, {"train/loss": 9.0})
    resumed.text(2, "sample", "日本 " + "x" * 200)
    resumed.close()
    read = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(read.Tags()["scalars"]) == ["train/accuracy", "train/loss"]
    assert [(event.step, event.value) for event in read.Scalars("train/loss")] == [(1, 4.5), (2, 9.0)]
    assert read.Scalars("train/accuracy")[0].value == float("inf")  # beyond fp32
    (text,) = read.Tensors("sample")
    assert (text.step, text.tensor_proto.string_val[0].decode()) == (2, "日本 " + "x" * 200)
    assert read.SummaryMetadata("sample").plugin_data.plugin_name == "text"
