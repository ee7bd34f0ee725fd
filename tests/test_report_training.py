"""The report on a training run: accuracy beside the loss, epochs, gradients by layer; what is missing is left out."""

from pathlib import Path

import pytest
from stage_folders import Stages, run, words_of

from pipelines.reporting import training


@pytest.fixture
def data(tmp_path: Path) -> Path:
    stages = Stages(tmp_path / "data")
    stages.write_corpus()
    stages.write_tokens()
    stages.write_training()
    stages.write_measured()
    return tmp_path / "data"


def test_a_run_of_before_has_neither_accuracy_nor_epochs_nor_layers(data: Path) -> None:
    page = run(data)
    assert "Accuracy by step" not in page
    assert "By epoch" not in page
    assert "Gradient norm by layer" not in page
    assert "Loss by step" in page


def test_accuracy_epochs_and_gradients_by_layer_are_shown(data: Path) -> None:
    folder = data / "pretrain"
    curve = "".join(f"{step},{6 / step + 2},{step / 200},0.001,{1 / step},{step * 512}\n" for step in range(1, 101))
    (folder / "curve.csv").write_text(f"step,loss,accuracy,learning_rate,gradient_norm,tokens\n{curve}")
    (folder / "val.csv").write_text("step,loss,accuracy,bits_per_byte\n50,2.5,0.25,2.2\n100,2.4,0.5,2.1\n")
    (folder / "epochs.csv").write_text("epoch,train_loss,train_accuracy,val_loss,val_accuracy\n1,2.75,0.3,2.5,\n")
    norms = "10,layers.0,0.5\n10,head,0.001\n20,layers.0,0.25\n20,head,0.002\n30,layers.0,0.125\n30,head,0.004\n"
    (folder / "gradients.csv").write_text(f"step,layer,gradient_norm\n{norms}")
    page = run(data)
    seen = words_of(page)
    assert "Accuracy by step" in seen
    assert "val accuracy, 50: 0.25" in page
    assert "epoch train loss train accuracy val loss val accuracy 1.00 2.750 0.300 2.500" in seen
    assert (
        "layer first look median last look layers.0 5.00e-01 2.50e-01 1.25e-01 head 1.00e-03 2.00e-03 4.00e-03" in seen
    )


def test_layers_stand_in_the_order_in_which_they_appear() -> None:
    rows = [
        {"layer": "b", "gradient_norm": "2"},
        {"layer": "a", "gradient_norm": "1"},
        {"layer": "b", "gradient_norm": "4"},
    ]
    assert training.layers(rows) == [("b", 2.0, 3.0, 4.0), ("a", 1.0, 1.0, 1.0)]
