"""What a person sees of a run, and its logs: bar, speeds, JSONL, TensorBoard files, samples."""

import io
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from train.device import Peak, mfu, stated_peak
from train.scoring import Score
from train.watch import Pace, Silence, Watch

CPU = torch.device("cpu")
#: 16 tokens of 20 bytes; a quarter of the tokens had the highest probability.
VAL = Score(16 * math.log(2), 16, 20.0, 4)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def watch_of(logs: Path, stream: io.StringIO, steps: int = 10, first: int = 0, run: str = "run") -> Watch:
    return Watch(logs, steps, first, 64, 1000.0, 1, CPU, stream, "fp32", run)


def take(watch: Watch, steps: Sequence[int], loss: float = 5.0) -> None:
    for step in steps:
        watch.step(step, loss, 0.25, 0.01, 1.5, 64 * step)


def entries(logs: Path) -> list[dict]:
    return [json.loads(line) for line in (logs / "pretrain.jsonl").read_text().splitlines()]


def test_a_log_gets_a_line_at_each_evaluation_and_the_file_every_step(tmp_path: Path) -> None:
    stream = io.StringIO()
    with watch_of(tmp_path, stream, first=2) as watch:
        take(watch, [3, 4])
        watch.evaluated(4, 5.0, VAL)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("pretrain 4/10  loss 5.000  val 0.693  0.800 bits a byte  25.0 % right  ")
    assert " left  " in line
    assert line.endswith(" GB")
    start, third, fourth, val = entries(tmp_path)
    assert (start["kind"], start["step"], start["steps"], start["tokens_per_step"]) == ("start", 2, 10, 64)
    learned = {"loss": 5.0, "accuracy": 0.25, "learning_rate": 0.01, "gradient_norm": 1.5, "tokens": 192}
    assert (third["kind"], third["step"], {name: third[name] for name in learned}) == ("step", 3, learned)
    assert (third["seconds"], third["tokens_per_second"], third["mfu"]) == (None, None, None)  # nothing to compare with
    assert fourth["tokens_per_second"] == pytest.approx(64 / fourth["seconds"])
    assert (val["kind"], val["val_accuracy"]) == ("val", 0.25)
    assert (val["val_loss"], val["val_bits_per_byte"]) == (pytest.approx(0.6931, abs=1e-4), pytest.approx(0.8))


def test_evaluations_and_a_checkpoint_do_not_distort_the_speed() -> None:
    pace = Pace(tokens_per_step=100)
    assert pace.step(0.0) is None  # the first step of a life compiles
    assert pace.speed is None
    for now in (1.0, 2.0, 3.0):
        assert pace.step(now) == 1.0
    pace.interrupt(50.0)  # an evaluation
    assert pace.step(51.0) == 1.0
    assert pace.step(90.0) == 39.0  # nobody told of the checkpoint
    assert pace.step(91.0) == 1.0
    assert pace.speed == 100.0


def test_the_speed_is_that_of_the_last_fifty_steps() -> None:
    pace = Pace(tokens_per_step=100)
    for now in [*range(200), *(200 + 0.5 * k for k in range(60))]:
        pace.step(float(now))
    assert pace.speed == 200.0


def test_the_line_has_a_bar_and_fits_the_terminal(tmp_path: Path) -> None:
    with watch_of(tmp_path, Terminal(), steps=900) as watch:
        take(watch, [359, 360])
        wide = watch.line(360, 4.12, 200)
        assert wide.startswith("pretrain [############------------------] 360/900  loss 4.120  ")
        assert wide.endswith(" GB")
        for columns in (10, 20, 40, 60, 80, 100):
            assert len(watch.line(360, 4.12, columns)) <= columns
        assert watch.line(360, 4.12, 32).endswith("360/900  loss 4.120")


def test_a_terminal_shows_one_line_that_renews_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.watch.DRAW_SECONDS", 0.0)
    stream = Terminal()
    with watch_of(tmp_path, stream) as watch:
        take(watch, [1, 2])
        assert stream.getvalue().count("\r\x1b[K") == 2
        assert "\n" not in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_mfu_is_shown_with_the_peak_that_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.watch.MEASURE_AFTER_SECONDS", 0.0)
    stream = io.StringIO()
    with watch_of(tmp_path, stream) as watch:
        take(watch, [1, 2, 3])
        watch.evaluated(3, 5.0, VAL)
    told, line = stream.getvalue().splitlines()
    assert told.startswith("pretrain: MFU is a share of ")
    assert f"(measured here: a product in fp32, {torch.get_num_threads()} threads)" in told
    (peak,) = [entry for entry in entries(tmp_path) if entry["kind"] == "peak"]
    assert f" % of {peak['flops'] / 1e12:,.3g} TFLOP/s  " in line
    last = entries(tmp_path)[-2]
    assert last["mfu"] == pytest.approx(last["tokens_per_second"] * 1000.0 / peak["flops"])


def test_mfu_counts_each_token_once_over_all_devices() -> None:
    assert mfu(tokens_per_second=200_000, flops_per_token=800e6, peak=400e12, devices=2) == 0.2


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4),
        ("NVIDIA H100 PCIe", "bf16", 756),
        ("NVIDIA H200", "fp32", 67),
        ("NVIDIA A100-SXM4-40GB", "tf32", 156),
        ("NVIDIA L40S", "fp16", 362),
        ("Tesla V100-PCIE-16GB", "fp16", 112),
        ("Tesla T4", "tf32", 8.1),  # it has none: fp32
        ("Tesla T4", "bf16", None),
        ("NVIDIA A10G", "bf16", None),  # another card than the A10
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bf16", None),
    ],
)
def test_peaks_are_those_of_the_data_sheets(name: str, precision: str, tera: float | None) -> None:
    peak = stated_peak(name, precision)
    assert (peak and round(peak.flops / 1e12, 1)) == tera
    assert peak is None or "dense" in str(peak)


def test_a_peak_says_where_it_is_from() -> None:
    assert str(Peak(312e12, "somewhere")) == "312 TFLOP/s (somewhere)"


def test_warnings_samples_and_gradient_norms_are_kept(tmp_path: Path) -> None:
    stream = io.StringIO()
    with watch_of(tmp_path, stream) as watch:
        take(watch, [1])
        watch.warn("gradients of model.layers.0 vanish")
        watch.monitored(1, {"model.layers.0.mlp.up_proj.weight": 0.5, "lm_head.weight": math.inf})
        watch.sample(1, "The \x1b[31mcat\n日本 " + "x" * 100)
    warning, sample = stream.getvalue().splitlines()
    assert warning == "warning: gradients of model.layers.0 vanish"
    assert sample == "  The ␛[31mcat 日本 " + "x" * (100 - len("The ␛[31mcat 日本 ")) + "..."
    assert (tmp_path / "samples.txt").read_text() == f"--- step 1\nThe \x1b[31mcat\n日本 {'x' * 100}\n"
    norms = [entry["gradient_norms"] for entry in entries(tmp_path) if entry["kind"] == "layers"]
    assert norms == [{"model.layers.0.mlp.up_proj.weight": 0.5, "lm_head.weight": None}]
    assert [e["text"] for e in entries(tmp_path) if e["kind"] == "warning"] == ["gradients of model.layers.0 vanish"]


def test_steps_taken_back_are_void_in_the_logs(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with watch_of(tmp_path, io.StringIO()) as watch:
        take(watch, [1, 2, 3], loss=7.0)
        take(watch, [2, 3], loss=5.0)
    told = [(entry["kind"], entry["step"]) for entry in entries(tmp_path)]
    assert told[1:] == [("step", 1), ("step", 2), ("step", 3), ("back", 1), ("step", 2), ("step", 3)]
    shown = reader.EventAccumulator(str(tmp_path / "tensorboard" / "run")).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in shown] == [(1, 7.0), (2, 5.0), (3, 5.0)]


def test_a_folder_that_cannot_be_written_costs_the_logs_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    stream = io.StringIO()
    with watch_of(tmp_path / "logs", stream) as watch:
        take(watch, [1])
        watch.sample(1, "text")
    warning, *_ = stream.getvalue().splitlines()
    assert warning == f"warning: training goes on without logs in {tmp_path / 'logs'}: file exists"


def test_without_tensorboard_one_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)  # as if it were not installed
    stream = io.StringIO()
    with watch_of(tmp_path, stream) as watch:
        take(watch, [1, 2, 1])
        watch.sample(1, "text")
    told, sample = stream.getvalue().splitlines()
    assert told.endswith("no files for TensorBoard; for them `pip install -c constraints.txt tensorboard`")
    assert sample == "  text"
    assert [entry["kind"] for entry in entries(tmp_path)] == ["start", "step", "step", "back", "step", "sample"]
    assert (tmp_path / "samples.txt").read_text() == "--- step 1\ntext\n"


def test_a_full_disk_costs_the_logs_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "pretrain.jsonl").symlink_to("/dev/full")
    stream = io.StringIO()
    with watch_of(tmp_path, stream) as watch:
        take(watch, [1, 2])
        watch.evaluated(2, 5.0, VAL)
    warning, line = stream.getvalue().splitlines()
    assert warning == f"warning: training goes on without logs in {tmp_path}: no space left on device"
    assert line.startswith("pretrain 2/10  loss 5.000  ")


def test_silence_says_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Silence() as watch:
        take(watch, [1])
        watch.evaluated(1, 5.0, VAL)
        watch.monitored(1, {})
        watch.sample(1, "text")
        watch.warn("text")
        watch.say("text")
    assert capsys.readouterr() == ("", "")
