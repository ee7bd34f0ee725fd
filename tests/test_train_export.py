"""Export: transformers loads the folder offline and computes the same logits, to the bit."""

import json
import re
import warnings
from pathlib import Path

import pytest
import torch
from corpora import write_params
from token_shards import TEXTS, small_model, write_pack, write_tokenizer, write_trained

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from tokenizer.encoding import Encoder
from train import export
from train.data import TokenRows

SHAPES = {"tied": {}, "untied": {"tie_embeddings": False}, "qk_norm": {"qk_norm": True, "norm_epsilon": 1e-6}}


@pytest.fixture(autouse=True)
def _quiet_transformers() -> None:
    warnings.filterwarnings("ignore", module="transformers")


def run(folder: Path, **shape: object) -> Path:
    tokenizer = write_tokenizer(folder / "tokenizer.json")
    pack = write_pack(folder / "pack", tokenizer)
    trained = write_trained(folder / "trained", small_model(**shape), tokenizer)
    params = write_params(folder / "params.yaml", export={"num_threads": 1, "check_rows": 3})
    given = ["--input", str(pack), "--model", str(trained), "--output", str(folder / "out")]
    export.main([*given, "--params", str(params), "--cache", str(folder / "cache")])
    return folder / "out"


@pytest.mark.parametrize("shape", SHAPES)
def test_all_logits_are_equal_and_counted(tmp_path: Path, shape: str) -> None:
    output = run(tmp_path, **SHAPES[shape])
    ledger = json.loads((output / "ledger.json").read_text())
    assert (ledger["counts"], ledger["in"], ledger["out"]) == ("logits", 3 * 16 * 257, {"equal": 3 * 16 * 257})


def test_the_tokenizer_loads_and_gives_the_same_ids(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run(tmp_path), local_files_only=True)
    encoder = Encoder(tmp_path / "tokenizer.json")
    for _, text in TEXTS[:12]:
        ids = tokenizer(text).input_ids
        assert ids == encoder.encode_batch([text])[0].tolist()
        assert tokenizer.decode(ids) == text
    assert tokenizer.eos_token_id == tokenizer.bos_token_id == 0


def test_transformers_generates_what_the_model_finds_likeliest(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(run(tmp_path), local_files_only=True)
    ours, ids = small_model(), [0, 70, 71]
    for _ in range(8):
        with torch.no_grad():
            ids.append(int(ours(torch.tensor([ids]))[0, -1].argmax()))
    theirs = loaded.generate(torch.tensor([[0, 70, 71]]), max_new_tokens=8, do_sample=False)
    assert theirs[0].tolist() == ids


def test_a_model_that_differs_in_one_weight_fails_the_stage(tmp_path: Path) -> None:
    output = run(tmp_path)
    changed = small_model()
    with torch.no_grad():
        changed.model.norm.weight[0] += 1e-3
    with pytest.raises(CorpusmillError, match="the exported model computes other logits"):
        export.count_equal_logits(changed, TokenRows(tmp_path / "pack", "val"), output, 1, Ledger("logits"))


def test_the_card_names_what_the_model_was_made_from(tmp_path: Path) -> None:
    card = (run(tmp_path) / "README.md").read_text()
    assert "- `pack`: manifest sha256 `abc`" in card
    assert re.search(r"weights sha256 `[0-9a-f]{64}`", card)
    assert "`LlamaForCausalLM`, 1 parameters" in card
