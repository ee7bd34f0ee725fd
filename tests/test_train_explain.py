"""Explaining a text: each token scored once with its context, ranks, nearest embeddings, and what the terminal shows."""

import io
import math
import sys
from pathlib import Path

import pytest
import torch
from token_shards import LSTM, small_model, write_tokenizer, write_trained

from pipelines.spine.errors import CorpusmillError
from train import explain
from train.explain import labels_in, nearest_embeddings, score_tokens, windows

IDS = [0, *(place * 37 % 256 + 1 for place in range(30))]


@pytest.mark.parametrize("kind", [{}, LSTM])
@torch.no_grad()
def test_a_token_has_the_loss_the_rank_and_the_likeliest_of_the_models_logits(kind: dict) -> None:
    model = small_model(**kind)
    scored = score_tokens(model, IDS[:9], context=16)
    logits_TV = model(torch.tensor([IDS[:8]]))[0]
    assert [one.id for one in scored] == IDS[1:9]
    for place, one in enumerate(scored):
        shares = torch.softmax(logits_TV[place].double(), 0)
        assert one.nll == pytest.approx(-math.log(shares[one.id]), abs=1e-5)
        assert one.probability == pytest.approx(float(shares[one.id]), rel=1e-5)
        assert one.rank == torch.argsort(shares, descending=True).tolist().index(one.id) + 1
        assert one.likeliest == int(shares.argmax())
        assert one.likeliest_probability == pytest.approx(float(shares.max()), rel=1e-5)


def test_windows_score_each_target_once_after_three_quarters_of_the_context() -> None:
    assert windows(8, 8) == [(0, 0, 8)]
    assert windows(3, 8) == [(0, 0, 3)]
    assert windows(13, 8) == [(0, 0, 8), (2, 8, 10), (4, 10, 12), (5, 12, 13)]
    assert windows(3, 1) == [(0, 0, 1), (1, 1, 2), (2, 2, 3)]


@torch.no_grad()
def test_a_text_longer_than_the_context_is_scored_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "WINDOWS", 3)
    model = small_model()
    scored = score_tokens(model, IDS, context=8)
    assert [one.id for one in scored] == IDS[1:]
    for place, start in ((7, 0), (8, 2), (9, 2), (10, 4), (29, 22)):
        logits_V = model(torch.tensor([IDS[start : place + 1]]))[0, -1]
        assert scored[place].nll == pytest.approx(float(-torch.log_softmax(logits_V, 0)[IDS[place + 1]]), abs=1e-4)


def test_the_nearest_embeddings_are_those_with_the_highest_cosine_and_not_the_token_itself() -> None:
    model = small_model(tie_embeddings=False)
    with torch.no_grad():
        weight = model.model.embed_tokens.weight
        weight.zero_()
        weight[:, 0] = -1.0
        weight[5, :2] = torch.tensor([3.0, 4.0])
        weight[6, :2] = torch.tensor([6.0, 8.0])
        weight[7, :2] = torch.tensor([0.0, 1.0])
    assert nearest_embeddings(model, [5, 5], 2) == {5: [(6, pytest.approx(1.0)), (7, pytest.approx(0.8))]}


def test_parts_of_characters_are_shown_by_their_bytes_with_the_character_and_nothing_steers_the_terminal() -> None:
    text = "a 日\n😀\x1b"
    tokens = [b"a", b" \xe6", b"\x97\xa5\n", b"\xf0\x9f\x98", b"\x80", b"\x1b"]
    assert labels_in(text, tokens) == [
        '"a"', '" \\xe6" of 日', '"\\x97\\xa5\\n" of 日', '"\\xf0\\x9f\\x98" of 😀', '"\\x80" of 😀', '"␛"',
    ]  # fmt: skip
    assert labels_in("\\xe6", [b"\\xe6"]) == ['"\\\\xe6"']


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_trained(tmp_path / "m", small_model(), write_tokenizer(tmp_path / "tokenizer.json"))


def test_the_command_shows_a_line_a_token_and_sums_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain.main(["--text", "日 abc", "--model", str(folder), "--top", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:5] == ["token", "nats", "bits", "rank", "prob"]
    assert [line.split("  ")[0].rstrip() for line in lines[1:8]] == [
        '"\\xe6" of 日', '"\\x97" of 日', '"\\xa5" of 日', '" "', '"a"', '"b"', '"c"',
    ]  # fmt: skip
    nats = sum(one.nll for one in score_tokens(small_model(), [0, *(b + 1 for b in bytes_in_order("日 abc"))], 16))
    assert lines[-1].startswith(f"7 tokens, 7 bytes: {nats:.2f} nats = {nats / math.log(2):.2f} bits;")
    assert lines[-1].endswith(f"{nats / math.log(2) / 7:.4f} bits per byte")


def bytes_in_order(text: str) -> list[int]:
    """The place of each byte among GPT-2's byte characters: printable ones first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = [*printable, *(byte for byte in range(256) if byte not in printable)]
    return [order.index(byte) for byte in text.encode()]


def test_stdin_is_read_without_its_last_line_break(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    for given in ("two\nlines\n", ""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        explain.main(["--text", "-" if given else "two\nlines", "--model", str(folder)])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert '"\\n"' in shown[0]


def test_no_text_and_text_that_is_not_utf_8_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusmillError, match="--text: there is no text to explain"):
        explain.main(["--text", "", "--model", str(folder)])
    with pytest.raises(CorpusmillError, match="--text: the text is not UTF-8"):
        explain.main(["--text", "a\udcff", "--model", str(folder)])
    for given, message in ((b"\n", "stdin: there is no text"), (b"a\xff", "stdin: the text is not UTF-8")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(CorpusmillError, match=message):
            explain.main(["--text", "-", "--model", str(folder)])
    with pytest.raises(CorpusmillError, match="--top: out of range"):
        explain.main(["--text", "x", "--top", "-1"])
