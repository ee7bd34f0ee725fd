"""Evaluation: every text token scored once, the numbers as defined, and shards that do not fit refused."""

import csv
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import token_shards
import torch
from corpora import write_params
from safetensors.torch import save_file
from token_shards import TEXTS, small_model, write_pack, write_tokenizer, write_trained

from pipelines.evaluation_sets import FetchedSet, sets_text
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest, write_manifest
from tokenizer.encoding import Encoder, tokenizer_json
from train import evaluate
from train.data import TokenRows
from train.language_scores import Scoring, score_by_language
from train.model import Decoder
from train.saved import file_entry, weights_to_store
from train.scoring import Score


def run(
    folder: Path,
    model: Decoder,
    seq_len: int = 16,
    model_seq_len: int = 16,
    sets: tuple[str, ...] = (),
    allow: bool = False,
    ensemble: bool = False,
    snapshots: Sequence[Decoder] = (),
) -> Path:
    tokenizer = write_tokenizer(folder / "tokenizer.json")
    pack = write_pack(folder / "pack", tokenizer, seq_len)
    trained = write_trained(folder / "trained", model, tokenizer, model_seq_len)
    (trained / "snapshots").mkdir(exist_ok=True)
    entries = list(read_manifest(trained).shards)
    for number, one in enumerate(snapshots):
        name = f"snapshots/{number}.safetensors"
        save_file(weights_to_store(one.params, one.state_dict()), trained / name)
        entries.append(replace(file_entry(trained / name), name=name))
    write_manifest(trained, entries)
    params = write_params(folder / "params.yaml", evaluate={
        "num_threads": 1, "rows_per_batch": 3, "sets": list(sets), "allow_contaminated": allow,
        "ensemble": ensemble,
    })  # fmt: skip
    given = ["--input", str(pack), "--model", str(trained), "--output", str(folder / "out")]
    if sets:
        searched = str(folder / "decontaminate" / "sets.json")
        given += ["--sets", str(folder / "fetch" / "evaluation.json"), "--decontaminated", searched]
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


Probabilities = Callable[[torch.Tensor], torch.Tensor]


def probabilities_of(model: torch.nn.Module) -> Probabilities:
    return lambda tokens_BT: model(tokens_BT)[0].double().softmax(-1)


def score_by_hand(probabilities: Probabilities, texts: list[str]) -> tuple[float, int, int]:
    """(nll, tokens, right ones) of texts cut into pieces of 16, each read alone; a byte is a token, 0 begins a text."""
    nll, tokens, right = 0.0, 0, 0
    alphabet = {
        token: index for index, token in enumerate(Encoder(tokenizer_json([], ["<|endoftext|>"], "gpt2")).tokens)
    }
    for text in texts:
        ids = [0, *(alphabet[bytes([byte])] for byte in text.encode())]
        for start in range(0, len(ids) - 1, 16):
            piece = torch.tensor(ids[start : start + 17])
            with torch.no_grad():
                found = probabilities(piece[None, :-1])
            nll -= float(found[torch.arange(len(piece) - 1), piece[1:]].log().sum())
            right += int((found.argmax(-1) == piece[1:]).sum())
            tokens += len(piece) - 1
    return nll, tokens, right


def test_the_scores_of_each_language_are_those_of_its_texts_read_piece_by_piece(tmp_path: Path) -> None:
    model = small_model()
    metrics = json.loads((run(tmp_path, model) / "metrics.json").read_text())["test"]
    texts = [text for _, text in TEXTS[1::5]]
    by_language = {"en": [t for t in texts if t.isascii()], "ja": [t for t in texts if not t.isascii()]}
    assert [len(found) for found in by_language.values()] == [1, 7]
    for scores, of in [(metrics, texts), *((metrics["by_language"][name], of) for name, of in by_language.items())]:
        nll, tokens, right = score_by_hand(probabilities_of(model), of)
        assert scores["loss"] == pytest.approx(nll / tokens, rel=1e-5)
        assert scores["accuracy"] == round(right / tokens, 6)
        # The tokens of these shards are bytes.
        assert (scores["tokens"], scores["bytes"]) == (tokens, sum(len(text.encode()) for text in of))
        assert scores["bits_per_byte"] == pytest.approx(nll / tokens / math.log(2), rel=1e-5)


def test_bytes_that_the_shard_does_not_declare_and_missing_languages_are_noticed(tmp_path: Path) -> None:
    model = small_model()
    run(tmp_path, model)
    rows, sizes = TokenRows(tmp_path / "pack", "val"), np.ones(257, np.int64)
    scoring = Scoring(sizes, tmp_path / "pack" / "languages", torch.device("cpu"), True, 4)
    scores = score_by_language(model, rows, scoring)
    assert sum(score.bytes for score in scores.values()) == rows.text_bytes
    sizes[70] = 2
    with pytest.raises(CorpusmillError, match="bytes by language are not those of the shard"):
        score_by_language(model, rows, scoring)
    (languages,) = (tmp_path / "pack" / "languages").glob("val-*")
    (test_languages,) = (tmp_path / "pack" / "languages").glob("test-*")
    languages.write_bytes(test_languages.read_bytes())
    with pytest.raises(CorpusmillError, match="the languages are another shard's"):
        score_by_language(model, rows, scoring)
    languages.unlink()
    with pytest.raises(CorpusmillError, match="nothing tells the languages") as caught:
        score_by_language(model, rows, scoring)
    assert caught.value.hint.startswith("run `dvc repro pack`")


def scored_languages(folder: Path, texts: list[str], languages: list[str]) -> dict[tuple[str, str], Score]:
    of = dict(zip(texts, languages, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_shards, "language_of", lambda text: of[text])
        pack = write_pack(folder / "pack", write_tokenizer(folder / "tokenizer.json"), 16, [
            (str(index), text) for index, text in enumerate(texts)
        ])  # fmt: skip
    rows = TokenRows(pack, "val")
    encoder = Encoder(folder / "tokenizer.json")
    scoring = Scoring(evaluate.bytes_of_tokens(encoder), pack / "languages", torch.device("cpu"), True, 4)
    return score_by_language(small_model(), rows, scoring)


def test_a_language_named_unknown_is_added_to_documents_without_one_and_one_without_tokens_has_no_score(
    tmp_path: Path,
) -> None:
    texts = ["abc", "1", "2", "3", "4", "de", "5", "6", "7", "8", "", "9", "10", "11", "12"]
    languages = ["", *["en"] * 4, "unknown", *["en"] * 4, "語", *["en"] * 4]
    found = scored_languages(tmp_path, texts, languages)
    assert {key: (score.tokens, score.bytes) for key, score in found.items()} == {("s", "unknown"): (5, 5)}


def test_a_split_without_text_is_refused(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "pack", write_tokenizer(tmp_path / "tokenizer.json"), 16, [
        (str(index), "" if index == 0 else "x") for index in range(5)
    ])  # fmt: skip
    with pytest.raises(CorpusmillError, match="no text to score"):
        evaluate.num_text_tokens(TokenRows(pack, "val"), Encoder(tmp_path / "tokenizer.json"))


def test_an_ensemble_is_the_mean_of_the_snapshots_probabilities_and_the_model_of_their_mean_weights(
    tmp_path: Path,
) -> None:
    snapshots = [small_model(seed=seed) for seed in (1, 2, 3)]
    output = run(tmp_path, snapshots[-1], ensemble=True, snapshots=snapshots)
    found = json.loads((output / "metrics.json").read_text())["test"]
    texts = [text for _, text in TEXTS[1::5]]

    def mean(tokens_BT: torch.Tensor) -> torch.Tensor:
        return torch.stack([probabilities_of(model)(tokens_BT) for model in snapshots]).mean(0)

    averaged = small_model()
    with torch.no_grad():
        for name, parameter in averaged.named_parameters():
            parameter.copy_(sum(dict(model.named_parameters())[name] for model in snapshots) / 3)
    for name, probabilities in (("mean_probabilities", mean), ("mean_weights", probabilities_of(averaged))):
        nll, tokens, right = score_by_hand(probabilities, texts)
        assert found["ensemble"][name]["loss"] == pytest.approx(nll / tokens, rel=1e-5)
        assert found["ensemble"][name]["accuracy"] == round(right / tokens, 6)
    single = [score_by_hand(probabilities_of(model), texts)[0] for model in snapshots]
    assert found["ensemble"]["mean_probabilities"]["loss"] < sum(single) / 3 / found["tokens"]
    with open(output / "baselines.csv", encoding="utf-8") as file:
        models = [row["model"] for row in csv.DictReader(file) if row["split"] == "val"]
    assert models == ["unigram", "bigram", "trigram", "mean_probabilities", "mean_weights", "model"]


def test_an_ensemble_without_snapshots_or_with_one_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="an ensemble needs snapshots") as caught:
        run(tmp_path / "a", small_model(), ensemble=True)
    assert "set pretrain.snapshots" in caught.value.hint
    with pytest.raises(CorpusmillError, match="the snapshot does not fit the model"):
        run(tmp_path / "b", small_model(), ensemble=True, snapshots=[small_model(), small_model(num_layers=3)])


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

    def forgetful(batches, encoder, params, split, unit):
        for outcome in honest(batches, encoder, params, split, unit):
            rows = outcome.outputs.get("")
            if split == "test" and rows is not None:
                outcome = replace(outcome, outputs={"": rows.slice(0, rows.num_rows - 1)})
            yield outcome

    monkeypatch.setattr(token_shards, "pack_documents", forgetful)
    with pytest.raises(CorpusmillError, match=r"do not spell its documents|overlap or leave a gap"):
        run(tmp_path, small_model())


QUIZ = [("Which river?", "東京の川です。"), ("Why did they leave so early in the morning, and who saw them?", "No.")]


def write_sets(folder: Path, columns: tuple[str, ...] = ("q", "a")) -> FetchedSet:
    """evaluation.json with one set of two items, its bytes where `fetch` keeps them."""
    data = "".join(json.dumps({"q": q, "a": a}) + "\n" for q, a in QUIZ).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    (folder / "cache" / "raw").mkdir(parents=True, exist_ok=True)
    (folder / "cache" / "raw" / sha256).write_bytes(data)
    one = FetchedSet("quiz", "jsonl", columns, "", (), ((sha256, len(data)),))
    (folder / "fetch").mkdir(exist_ok=True)
    (folder / "fetch" / "evaluation.json").write_text(sets_text([one]))
    return one


def write_searched(folder: Path, *sets: FetchedSet, action: str = "drop") -> None:
    """sets.json as `decontaminate` writes it: each set found in five documents."""
    facts = {"documents": 5, "items": 2, "items_unchecked": 1}
    (folder / "decontaminate").mkdir(exist_ok=True)
    entries = [{**one.to_entry(), **facts} for one in sets]
    (folder / "decontaminate" / "sets.json").write_text(json.dumps({"action": action, "sets": entries}))


@pytest.mark.parametrize(("action", "acted"), [("drop", "documents_dropped"), ("cut", "documents_cut")])
def test_a_set_that_was_looked_for_is_scored_text_by_text(tmp_path: Path, action: str, acted: str) -> None:
    model = small_model()
    write_searched(tmp_path, write_sets(tmp_path), action=action)
    output = run(tmp_path, model, sets=("quiz",))
    score = json.loads((output / "metrics.json").read_text())["sets"]["quiz"]
    encoder, nll, tokens = Encoder(tmp_path / "tokenizer.json"), 0.0, 0
    for text in [text for column in zip(*QUIZ, strict=True) for text in column]:
        ids = [0, *encoder.encode_batch([text])[0].tolist()]
        tokens += len(ids) - 1
        for start in range(0, len(ids) - 1, 16):
            piece = torch.tensor(ids[start : start + 17])
            with torch.no_grad():
                logits = model(piece[None, :-1])[0].double()
            nll += float(torch.nn.functional.cross_entropy(logits, piece[1:], reduction="sum"))
    num_bytes = sum(len(text.encode()) for row in QUIZ for text in row)
    assert score.pop("loss") == pytest.approx(nll / tokens, rel=1e-5)
    assert score.pop("bits_per_byte") == pytest.approx(nll / math.log(2) / num_bytes, rel=1e-5)
    assert score.pop("perplexity") == pytest.approx(math.exp(nll / tokens), rel=1e-4)
    assert score == {
        "tokens": num_bytes, "accuracy": 0.0, "texts": 4, "decontaminated": True, acted: 5, "items": 2, "items_unchecked": 1,
    }  # fmt: skip
    assert json.loads((output / "ledger.json").read_text())["out"]["set quiz"] == num_bytes


def test_a_set_that_was_not_looked_for_is_refused_and_reported_only_with_that_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sets(tmp_path)
    write_searched(tmp_path)
    with pytest.raises(CorpusmillError, match="quiz was not looked for in the corpus") as caught:
        run(tmp_path, small_model(), sets=("quiz",))
    assert "evaluate.allow_contaminated: true" in caught.value.hint
    assert not (tmp_path / "out" / "metrics.json").exists()
    output = run(tmp_path, small_model(), sets=("quiz",), allow=True)
    score = json.loads((output / "metrics.json").read_text())["sets"]["quiz"]
    assert score["decontaminated"] is False
    assert score["tokens"] == sum(len(text.encode()) for row in QUIZ for text in row)
    assert "documents_dropped" not in score
    assert "NOT DECONTAMINATED" in capsys.readouterr().err


def test_a_set_with_another_content_or_other_columns_was_not_looked_for(tmp_path: Path) -> None:
    one = write_sets(tmp_path)
    for other in (replace(one, files=(("0" * 64, 1),)), replace(one, columns=("q",))):
        write_searched(tmp_path, other)
        with pytest.raises(CorpusmillError, match="quiz was not looked for in the corpus"):
            run(tmp_path, small_model(), sets=("quiz",))


def test_an_unknown_set_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    write_searched(tmp_path, write_sets(tmp_path))
    with pytest.raises(CorpusmillError, match="no evaluation set piqa; known: quiz"):
        run(tmp_path, small_model(), sets=("piqa",))


def test_without_a_search_no_set_is_reported(tmp_path: Path) -> None:
    write_sets(tmp_path)
    with pytest.raises(CorpusmillError, match="quiz was not looked for in the corpus"):
        run(tmp_path, small_model(), sets=("quiz",))
