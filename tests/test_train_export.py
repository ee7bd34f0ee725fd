"""Export: others load the folder offline and compute the same logits; the card says what it was made from."""

import json
import re
import sys
import warnings
from pathlib import Path

import pytest
import torch
from corpora import write_params
from token_shards import LSTM, TEXTS, small_model, write_pack, write_tokenizer, write_trained

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import read_manifest
from tokenizer.encoding import Encoder
from train import export, generate, onnx_check
from train.data import TokenRows
from train.hugging_face import load_in_transformers
from train.onnx_model import write_onnx
from train.saved import ModelConfig, read_model

SHAPES = {
    "tied": {}, "untied": {"tie_embeddings": False}, "qk_norm": {"qk_norm": True, "norm_epsilon": 1e-6}, "lstm": LSTM,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet_transformers() -> None:
    warnings.filterwarnings("ignore", module="transformers")


def run(folder: Path, onnx: bool = False, sources: str = "", **shape: object) -> Path:
    tokenizer = write_tokenizer(folder / "tokenizer.json")
    pack = write_pack(folder / "pack", tokenizer)
    trained = write_trained(folder / "trained", small_model(**shape), tokenizer)
    params = write_params(folder / "params.yaml", export={"num_threads": 1, "check_rows": 3, "onnx": onnx})
    given = ["--input", str(pack), "--model", str(trained), "--output", str(folder / "out")]
    if sources:
        (folder / "fetch").mkdir()
        (folder / "fetch" / "manifest.json").write_text(sources)
        given += ["--sources", str(folder / "fetch" / "manifest.json")]
    export.main([*given, "--params", str(params), "--cache", str(folder / "cache")])
    return folder / "out"


@pytest.mark.parametrize("shape", SHAPES)
def test_all_logits_are_equal_and_counted(tmp_path: Path, shape: str) -> None:
    output = run(tmp_path, onnx=True, **SHAPES[shape])
    ledger = json.loads((output / "ledger.json").read_text())
    compared = 3 * 16 * 257
    assert (ledger["counts"], ledger["in"]) == ("logits", 2 * compared)
    assert ledger["out"] == {"equal": compared, "onnx": compared}
    assert ledger["apart"] == {"onnx_greedy_tokens": 50}
    assert "model.onnx" in [shard.name for shard in read_manifest(output).check().shards]
    # What was exported can be read back and generates as before.
    model, config = read_model(output)
    assert config == read_model(tmp_path / "trained")[1]
    assert torch.equal(model(torch.tensor([[0, 5]])), small_model(**SHAPES[shape])(torch.tensor([[0, 5]])))


@pytest.mark.parametrize("shape", ["tied", "lstm"])
def test_generate_takes_the_exported_folder(tmp_path: Path, shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    output, texts = run(tmp_path, **SHAPES[shape]), []
    capsys.readouterr()
    for folder in (output, tmp_path / "trained"):
        generate.main(["--prompt", "x", "--model", str(folder), "--max-tokens", "20", "--seed", "3"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert len(texts[0]) > 3


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
        rows = TokenRows(tmp_path / "pack", "val")
        export.count_equal_logits(changed, rows, output, load_in_transformers, 1, Ledger("logits"))


@pytest.mark.parametrize(
    ("scale", "change", "message"),
    [(1.0, 1.01, "computes other logits"), (1e-5, -1.0, "computes another token 1 of the 50 likeliest")],
)
def test_a_graph_that_differs_fails_the_stage(tmp_path: Path, scale: float, change: float, message: str) -> None:
    write_pack(tmp_path / "pack", write_tokenizer(tmp_path / "tokenizer.json"))
    model, rows = small_model(), TokenRows(tmp_path / "pack", "val")
    with torch.no_grad():
        model.model.norm.weight *= scale
        write_onnx(tmp_path, model, ModelConfig(model.params, 257, 16, 0, "t", "document"))
        onnx_check.count_close_logits(model, rows, tmp_path, 1, 1, Ledger("logits"))
        model.model.norm.weight *= change
    with pytest.raises(CorpusmillError, match=f"ONNX Runtime {message}"):
        onnx_check.count_close_logits(model, rows, tmp_path, 1, 1, Ledger("logits"))


def test_without_onnxruntime_the_stage_says_what_to_install_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CorpusmillError, match="onnxruntime is not installed") as caught:
        run(tmp_path, onnx=True)
    assert "-e '.[train]'" in caught.value.hint
    assert not (tmp_path / "out" / "config.json").exists()
    assert not [path for path in run(tmp_path / "again").iterdir() if "onnx" in path.name]


def test_an_lstms_folder_is_refused_by_transformers_and_its_tokenizer_is_not(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    output = run(tmp_path, **LSTM)
    with pytest.raises(ValueError, match="corpusmill_lstm"):
        AutoModelForCausalLM.from_pretrained(output, local_files_only=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(output, local_files_only=True)
    assert tokenizer("ab").input_ids == Encoder(tmp_path / "tokenizer.json").encode_batch(["ab"])[0].tolist()
    card = (output / "README.md").read_text()
    assert "`transformers` has no such model and does not load this folder" in card
    assert "library_name: corpusmill" in card


def test_the_card_names_what_the_model_was_made_from(tmp_path: Path) -> None:
    card = (run(tmp_path) / "README.md").read_text()
    assert "- `pack`: manifest sha256 `abc`" in card
    assert re.search(r"weights sha256 `[0-9a-f]{64}`", card)
    assert "`LlamaForCausalLM`, 1 parameters" in card
    assert "3.000 bits a byte on 2,048 tokens of the validation split" in card  # `pretrain` scores val_rows alone
    assert "sources: not named" in card
    assert "model.onnx" not in card


FILE = {"source": "s", "language": "en", "licence": "CC-BY-SA-3.0", "bytes": 1234, "sha256": "f00"}


def test_the_card_lists_sources_and_licences_of_the_shards_alone(tmp_path: Path) -> None:
    files = [FILE, {**FILE, "source": "not-used"}]
    output = run(tmp_path, onnx=True, sources=json.dumps({"files": files}))
    card = (output / "README.md").read_text()
    assert "| s | en | CC-BY-SA-3.0 | 1,234 | `f00` |" in card
    assert "not-used" not in card
    assert card.startswith('---\nlibrary_name: transformers\npipeline_tag: text-generation\nlanguage:\n- "en"\n---\n')
    assert 'InferenceSession("model.onnx")' in card
    parents = json.loads((output / "lineage.json").read_text())["parents"]
    assert [parent["stage"] for parent in parents] == ["pack", "fetch", "trained"]


def test_sources_of_another_corpus_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="the shards hold sources that were not fetched") as caught:
        run(tmp_path, sources=json.dumps({"files": [{**FILE, "source": "other"}]}))
    assert (caught.value.expected, caught.value.got) == ("other", "s")
