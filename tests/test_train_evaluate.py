"""Evaluation: every text token scored once, the numbers as defined, and shards that do not fit refused."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from corpora import write_params
from token_shards import TEXTS, small_model, write_pack, write_tokenizer, write_trained

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from tokenizer.encoding import Encoder
from train import evaluate
from train.model import Decoder
from train.scoring import Score


def run(folder: Path, model: Decoder, seq_len: int = 16, model_seq_len: int = 16) -> Path:
    tokenizer = write_tokenizer(folder / "tokenizer.json")
    pack = write_pack(folder / "pack", tokenizer, seq_len)
    trained = write_trained(folder / "trained", model, tokenizer, model_seq_len)
    params = write_params(folder / "params.yaml", evaluate={"num_threads": 1, "rows_per_batch": 3})
    given = ["--input", str(pack), "--model", str(trained), "--output", str(folder / "out")]
    evaluate.main([*given, "--params", str(params), "--cache", str(folder / "cache")])
    return folder / "out"


def test_a_score_is_nats_and_bits_as_defined() -> None:
    score = Score(nll=8 * math.log(2), tokens=4, bytes=16)
    assert score.to_dict() == {"loss": 1.386294, "perplexity": 4.0, "bits_per_byte": 0.5, "tokens": 4}


def test_a_model_of_equal_logits_needs_log2_of_the_vocabulary_bits_for_every_byte(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.lm_head.weight.zero_()
    metrics = json.loads((run(tmp_path, model) / "metrics.json").read_text())
    # The tokenizer's tokens are bytes, so tokens and bytes are as many.
    assert metrics["test"]["tokens"] == sum(len(text.encode()) for _, text in TEXTS[1::5])
    assert metrics["val"]["tokens"] == 713
    assert metrics["test"]["bits_per_byte"] == pytest.approx(math.log2(257), abs=1e-5)
    assert metrics["test"]["perplexity"] == pytest.approx(257, abs=1e-2)
    assert metrics["val"]["by_source"]["s"]["loss"] == metrics["val"]["loss"]


def test_the_score_is_that_of_the_pieces_read_one_by_one(tmp_path: Path) -> None:
    model = small_model()
    metrics = json.loads((run(tmp_path, model) / "metrics.json").read_text())
    encoder, nll = Encoder(tmp_path / "tokenizer.json"), 0.0
    for _, text in TEXTS[1::5]:
        ids = [0, *encoder.encode_batch([text])[0].tolist()]
        for start in range(0, len(ids) - 1, 16):
            piece = torch.tensor(ids[start : start + 17])
            with torch.no_grad():
                logits = model(piece[None, :-1])[0].double()
            nll += float(torch.nn.functional.cross_entropy(logits, piece[1:], reduction="sum"))
    assert metrics["test"]["loss"] == pytest.approx(nll / metrics["test"]["tokens"], rel=1e-5)


def test_the_ledger_and_the_table_hold_both_splits_and_all_baselines(tmp_path: Path) -> None:
    output = run(tmp_path, small_model())
    ledger = json.loads((output / "ledger.json").read_text())
    test_tokens = sum(len(text.encode()) for _, text in TEXTS[1::5])
    assert ledger["in"] == 713 + test_tokens
    assert ledger["out"] == {"test": test_tokens, "val": 713}
    with open(output / "baselines.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    models = ["unigram", "bigram", "trigram", "model"]
    assert [(row["split"], row["model"]) for row in rows] == [(s, m) for s in ("val", "test") for m in models]
    bits = {(row["split"], row["model"]): float(row["bits_per_byte"]) for row in rows}
    assert bits["test", "trigram"] < bits["test", "bigram"] < bits["test", "unigram"] < bits["test", "model"]
    assert [shard.name for shard in read_manifest(output).check().shards] == ["baselines.csv", "metrics.json"]


def test_shards_of_another_context_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="another seq_len than the model was built for") as caught:
        run(tmp_path, small_model(), seq_len=16, model_seq_len=32)
    assert (caught.value.expected, caught.value.got) == ("32", "16")


def test_a_smaller_vocabulary_than_the_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="another vocabulary") as caught:
        run(tmp_path, small_model(vocab_size=200))
    assert (caught.value.expected, caught.value.got) == ("200", "257")


def test_lost_text_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import token_shards

    honest = token_shards.pack_documents

    def forgetful(documents, encoder, seq_len, split, source):
        table, counts = honest(documents, encoder, seq_len, split, source)
        return (table.slice(0, table.num_rows - 1) if split == "test" else table), counts

    monkeypatch.setattr(token_shards, "pack_documents", forgetful)
    with pytest.raises(CorpusmillError, match=r"do not spell its documents|overlap or leave a gap"):
        run(tmp_path, small_model())
