"""Which losses are spikes, and which end training."""

import math

import pytest
from test_train_recipe import recipe

from pipelines.spine.errors import CorpusmillError
from train.recipe import SpikeParams
from train.spikes import Judge, persists, spike_limit

NAN, INF = math.nan, math.inf


def test_the_limit_is_the_mean_plus_deviations_of_the_last_losses() -> None:
    # Mean 5, deviation sqrt((0 + 0.04 + 0.04 + 0) / 4) = 0.1414; the 9.0 has left the window.
    assert spike_limit([9.0, 5.0, 5.2, 4.8, 5.0], window=4, deviations=3.0) == pytest.approx(
        5.0 + 3 * 0.141421, abs=1e-5
    )


def test_until_the_window_is_full_nothing_is_a_spike() -> None:
    assert spike_limit([5.0, 5.2, 4.8], window=4, deviations=3.0) == INF


def test_equal_losses_leave_room_for_rounding() -> None:
    assert spike_limit([5.0] * 4, window=4, deviations=3.0) == pytest.approx(5.03)


@pytest.mark.parametrize(
    ("loss", "norm", "applied", "trouble"),
    [
        (5.0, 1.0, True, ""),
        (5.5, 1.0, False, "the loss 5.5 is a spike (above 5.424)"),
        (NAN, 1.0, False, "the loss is no number any more (nan)"),
        (INF, 1.0, False, "the loss is no number any more (inf)"),
        (5.0, NAN, True, "the gradient norm is no number any more (nan)"),
        (5.0, INF, False, ""),  # fp16 with too large a loss scale
    ],
)
def test_what_is_wrong_with_a_step_is_said(loss: float, norm: float, applied: bool, trouble: str) -> None:
    judge = Judge.of(SpikeParams("skip", 4, 3.0, 0), [5.0, 5.2, 4.8, 5.0])
    assert judge.trouble(loss, norm, applied) == trouble
    assert judge(loss) == (loss == 5.0)


def test_without_an_action_only_what_is_no_number_is_refused() -> None:
    judge = Judge.of(SpikeParams("none", 1, 0.0, 0), [5.0])
    assert [judge(loss) for loss in (99.0, NAN, INF, -INF)] == [True, False, False, False]


def test_a_loss_that_stays_high_is_no_spike() -> None:
    assert not persists([3, 7, 9, 10], step=10, window=8)  # 7, 9, 10: three of the last eight
    assert not persists([7, 8, 9, 10], step=10, window=8)
    assert persists([6, 7, 8, 9, 10], step=10, window=8)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"final_weights": "ema"}, "final_weights: ema without ema_decay has no weights\n  expected: above 0"),
        ({"final_weights": "average"}, "final_weights: average without snapshots has no weights"),
        (
            {"spikes.action": "rollback", "spikes.skip_before": 4},
            "expected: spikes.skip_before up to checkpoint_every = 3\n  got: 4",
        ),
        ({"spikes.deviations": -1.0}, "spikes.deviations is no such amount"),
    ],
)
def test_what_excludes_each_other_is_refused(changed: dict, message: str) -> None:
    with pytest.raises(CorpusmillError) as caught:
        recipe(**changed).check()
    assert message in str(caught.value)
