"""The order of training rows: a permutation an epoch, reproducible from its description alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.permutation import mix, row_at, sample


def test_the_order_of_small_epochs_is_this() -> None:
    assert [row_at(0, 0, k, 5) for k in range(5)] == [3, 2, 1, 0, 4]
    assert [row_at(0, 1, k, 5) for k in range(5)] == [3, 1, 4, 0, 2]
    assert [row_at(1, 0, k, 10) for k in range(10)] == [7, 9, 5, 0, 6, 4, 1, 3, 2, 8]


def test_the_order_of_large_epochs_is_this() -> None:
    assert row_at(2**64 - 1, 3, 123456789, 10**9) == 143534056
    assert row_at(0, 0, 0, 10**12) == 434575844380


def test_the_mixing_function_is_splitmix64() -> None:
    # The first output of splitmix64 seeded with 0, as published with its reference code.
    assert mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40), num_rows=st.integers(1, 300))
def test_an_epoch_holds_every_row_once(seed: int, epoch: int, num_rows: int) -> None:
    assert sorted(row_at(seed, epoch, k, num_rows) for k in range(num_rows)) == list(range(num_rows))


def test_samples_go_through_epoch_after_epoch() -> None:
    assert [sample(0, index, 5) for index in range(10)] == [3, 2, 1, 0, 4, 3, 1, 4, 0, 2]
    assert [sample(0, index, 1) for index in range(3)] == [0, 0, 0]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(row_at(seed, epoch, k, 50) for k in range(50)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_a_place_outside_the_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="place 5 in an epoch of 5 rows"):
        row_at(0, 0, 5, 5)
