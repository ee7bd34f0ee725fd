"""A model on disk: both kinds come back as they were, with their numbers, and what does not fit is refused."""

import json
from pathlib import Path

import pytest
import torch
from token_shards import LSTM, SHAPE, small_model, write_tokenizer, write_trained

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import write_manifest
from train.model import build_model, init_weights
from train.saved import ModelConfig, file_entry, read_model, write_model
from train.shape import ModelParams

KINDS: dict[str, dict] = {"decoder": {}, "untied decoder": {"tie_embeddings": False}, "lstm": LSTM}


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_with_the_same_weights_and_the_same_bytes(tmp_path: Path, kind: str) -> None:
    model, tokenizer = small_model(**KINDS[kind]), write_tokenizer(tmp_path / "tokenizer.json")
    for name in ("a", "b"):
        write_trained(tmp_path / name, model, tokenizer)
    loaded, config = read_model(tmp_path / "a")
    assert loaded.params == model.params
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert (config.vocab_size, config.seq_len, loaded.training) == (257, 16, False)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


@pytest.mark.parametrize(("kind", "width"), [("decoder", 128), ("lstm", 192)])
def test_the_configuration_holds_the_numbers_of_a_preset_and_not_its_name(
    tmp_path: Path, kind: str, width: int
) -> None:
    params = ModelParams(**{**SHAPE, "kind": kind, "size": "tiny"})
    model = build_model(params, 257)
    init_weights(model, 1)
    config = ModelConfig(params, 257, 16, 0, "t", "row")
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    write_manifest(tmp_path / "m", write_model(tmp_path / "m", config, model.state_dict(), tokenizer))
    size = json.loads((tmp_path / "m" / "config.json").read_text())["model"]["size"]
    assert size == dict(params.sizes)
    assert size["width"] == width
    assert read_model(tmp_path / "m")[0].params == params.resolved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "lstm", "size": {"width": 16, "num_layers": 2}}, "the weights do not fit config.json"),
        ({"size": {"width": 16}}, "a size does not fit the kind decoder"),
        ({"wings": 2}, "not a model's configuration"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    folder = write_trained(tmp_path / "m", small_model(), write_tokenizer(tmp_path / "tokenizer.json"))
    document = json.loads((folder / "config.json").read_text())
    document["model"] |= change
    (folder / "config.json").write_text(json.dumps(document))
    names = ("model.safetensors", "config.json", "tokenizer.json")
    write_manifest(folder, [file_entry(folder / name) for name in names])
    with pytest.raises(CorpusmillError, match=message):
        read_model(folder)
