"""The ONNX graph: what ONNX's checker, another engine and a large model make of it."""

from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import pytest
import torch
from token_shards import LSTM, small_model

from train.onnx_check import load_in_onnxruntime
from train.onnx_model import write_onnx
from train.saved import ModelConfig

SHAPES: dict[str, dict] = {
    "grouped heads": {}, "untied": {"tie_embeddings": False}, "qk_norm": {"qk_norm": True},
    "all heads": {"num_kv_heads": 4}, "lstm": LSTM, "untied lstm": {**LSTM, "tie_embeddings": False},
}  # fmt: skip


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_graph_is_valid_has_equal_bytes_each_time_and_takes_any_batch(
    tmp_path: Path, shape: str, outside: bool
) -> None:
    model = small_model(**SHAPES[shape])
    config = ModelConfig(model.params, 257, 16, 0, "t" * 64, "document")
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        names = write_onnx(tmp_path / name, model, config, most_inside=0 if outside else 2**31)
        assert names == (["model.onnx", "model.onnx.data"] if outside else ["model.onnx"])
        written.append([(tmp_path / name / file).read_bytes() for file in names])
    assert written[0] == written[1]
    onnx.checker.check_model(tmp_path / "a" / "model.onnx", full_check=True)
    forward = load_in_onnxruntime(tmp_path / "a", 1)
    for batch, length in ((1, 1), (3, 16), (2, 40)):
        tokens = torch.from_numpy(np.arange(batch * length).reshape(batch, length) * 31 % 257)
        with torch.no_grad():
            torch.testing.assert_close(forward(tokens), model(tokens), atol=1e-5, rtol=0)


def test_the_graph_says_what_ids_it_takes(tmp_path: Path) -> None:
    model = small_model()
    write_onnx(tmp_path, model, ModelConfig(model.params, 257, 16, 0, "t" * 64, "document"))
    props = {prop.key: prop.value for prop in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert props == {"document_start_id": "0", "seq_len": "16", "tokenizer_sha256": "t" * 64}
