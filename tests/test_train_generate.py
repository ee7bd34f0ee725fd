"""Generation: the same seed gives the same text, the context slides, and the document's end stops it."""

import argparse
from pathlib import Path

import pytest
import torch
from token_shards import LSTM, small_model, write_tokenizer, write_trained

from pipelines.spine.errors import CorpusmillError
from train import generate
from train.sampling import next_token

KINDS: dict[str, dict] = {"decoder": {}, "lstm": LSTM}
LOGITS = torch.tensor([0.0, 2.0, 1.0, -1.0])


def draw(times: int = 2000, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    drawn = [next_token(LOGITS, temperature, top_k, top_p, generator) for _ in range(times)]
    return [drawn.count(number) / times for number in range(4)]


def test_without_restrictions_tokens_come_as_often_as_the_model_says() -> None:
    assert draw() == pytest.approx(torch.softmax(LOGITS, 0).tolist(), abs=0.03)


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draw(20, temperature=0.0) == [0, 1, 0, 0]


def test_top_k_and_top_p_keep_the_likeliest() -> None:
    # softmax is .087 .644 .237 .032
    assert draw(top_k=2) == pytest.approx([0, 0.731, 0.269, 0], abs=0.03)
    assert draw(top_p=0.9) == pytest.approx([0.09, 0.665, 0.245, 0], abs=0.03)
    assert draw(20, top_p=0.01) == [0, 1, 0, 0]


def options(**changed: object) -> argparse.Namespace:
    return argparse.Namespace(**{"max_tokens": 50, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1, **changed})


@pytest.mark.parametrize("kind", KINDS)
def test_generation_within_the_context_is_that_of_the_whole_text_read_anew(kind: str) -> None:
    model, ids = small_model(**KINDS[kind]), [0, 65, 66]
    cached = list(generate.continuation(model, ids, 64, options(temperature=0.0, max_tokens=20), stop=-1))
    for number in cached:
        with torch.no_grad():
            assert int(model(torch.tensor([ids]))[0, -1].argmax()) == number
        ids.append(number)


@pytest.mark.parametrize("kind", KINDS)
def test_generation_goes_on_beyond_the_context(kind: str) -> None:
    model = small_model(**KINDS[kind])
    long = list(generate.continuation(model, [0, 65, 66], 8, options(), stop=-1))
    assert len(long) == 50
    # Positions 0..7 are full after five new tokens; the sixth is drawn from the last four read anew.
    greedy = list(generate.continuation(model, [0, 65, 66], 8, options(temperature=0.0, max_tokens=7), stop=-1))
    with torch.no_grad():
        assert int(model(torch.tensor([[66, *greedy[:6]][-4:]]))[0, -1].argmax()) == greedy[6]


def test_it_stops_at_the_document_end() -> None:
    model = small_model()
    free = list(generate.continuation(model, [0, 65], 64, options(), stop=-1))
    stopped = list(generate.continuation(model, [0, 65], 64, options(), stop=free[4]))
    assert stopped == free[: free.index(free[4])]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_streams_the_prompt_and_the_same_text_for_the_same_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    write_trained(tmp_path / "m", small_model(**KINDS[kind]), write_tokenizer(tmp_path / "tokenizer.json"))
    texts = []
    for seed in ("1", "1", "2"):
        generate.main(["--prompt", "東京", "--model", str(tmp_path / "m"), "--max-tokens", "30", "--seed", seed])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("東京")
    assert len(texts[0]) > 3


def test_without_a_model_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="there is no trained model yet") as caught:
        generate.main(["--prompt", "x", "--model", str(tmp_path)])
    assert caught.value.hint == "run `make repro` to train one, or `dvc pull` to fetch one that was trained"


@pytest.mark.parametrize(("option", "value"), [("--top-p", "0"), ("--temperature", "-1"), ("--max-tokens", "-1")])
def test_settings_out_of_range_are_refused(option: str, value: str) -> None:
    with pytest.raises(CorpusmillError, match=f"{option}: out of range"):
        generate.main(["--prompt", "x", option, value])


@pytest.mark.parametrize(
    ("given", "where"), [(["--prompt", "\udcff"], "--prompt"), (["--prompt", "x", "--seed", "-1"], "--seed"),
                         (["--prompt", "x", "--seed", str(2**64)], "--seed")],
)  # fmt: skip
def test_a_prompt_that_is_not_utf_8_and_a_seed_beyond_63_bits_are_refused(given: list[str], where: str) -> None:
    with pytest.raises(CorpusmillError) as caught:
        generate.main(given)
    assert caught.value.where == where
