"""What is measured on a GPU, as far as a CPU can tell: the arithmetic, and that each way computes what it should."""

import pytest
import torch
from token_shards import SHAPE, small_model
from train_runs import ROOT

from bench.document_attention import BlockDecoder
from bench.train_gpu import NO_GPU, line, made_rows, main, plain_step, recipe, tokens_per_second
from pipelines.spine.params import load_params
from train.data import IGNORED
from train.device import stated_peak
from train.recipe import PretrainParams
from train.shape import ModelParams
from train.world import World


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured_and_the_exit_status_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == NO_GPU == 2
    assert capsys.readouterr().err == "no GPU: nothing measured\n"


def test_mfu_is_the_share_of_the_stated_peak() -> None:
    # 0.5e6 x 989.4e6 = 494.7e12 operations a second, half of an H100's peak.
    peak = stated_peak("NVIDIA H100 80GB HBM3", "bf16")
    assert line("ours", 500_000, 989.4e6, peak, 3 * 2**30).split() == ["ours", "500,000", "50.0%", "3.0"]
    assert line("ours", 500_000, 989.4e6, None, 0).split() == ["ours", "500,000", "-", "0.0"]


def test_made_rows_count_every_place_but_the_starts_of_documents() -> None:
    made = made_rows(3, 2000, 50, seed=1)
    begun = made.segments[:, 1:] != made.segments[:, :-1]
    assert (made.targets[:, :-1] == IGNORED)[begun].all()
    assert made.num_targets == 6000 - (made.targets == IGNORED).sum()
    assert 3 < begun.sum() < 40
    same = made.targets[:, :-1] != IGNORED
    assert (made.tokens[:, 1:][same] == made.targets[:, :-1][same]).all()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_attention_by_blocks_gives_the_logits_of_the_mask() -> None:
    plain = small_model(vocab_size=50)
    blocks = BlockDecoder(ModelParams(**SHAPE), 50).eval()
    blocks.load_state_dict(plain.state_dict())
    made = made_rows(2, 300, 50, seed=5)
    tokens, segments = torch.from_numpy(made.tokens), torch.from_numpy(made.segments)
    assert segments.max() > 1
    with torch.no_grad():
        torch.testing.assert_close(blocks(tokens, segments), plain(tokens, segments), atol=2e-5, rtol=1e-4)
        assert not torch.allclose(blocks(tokens, segments), plain(tokens), atol=1e-2)


def test_the_plain_loop_learns() -> None:
    params = load_params(PretrainParams, "pretrain", ROOT / "params.yaml")
    step = plain_step(recipe(params, "tiny", 4, 2, False, True), 50, "document", World(0, 1, torch.device("cpu")))
    made = made_rows(4, 16, 50, seed=1)
    losses = []
    assert tokens_per_second(lambda number, rows: losses.append(step(number, rows)), made, 3, lambda: None) > 0
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 6
