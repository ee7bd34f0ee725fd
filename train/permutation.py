"""A permutation of 0..num_rows-1 for each (seed, epoch): any place, and any row's place, in O(1) and without a list.

``docs/order.md`` says the same at more length, with a table to check another implementation against. All integers are
unsigned, 64 bits, wrapping:
  mix(z)    splitmix64's finalizer (Steele, Lea and Flood 2014):
            z ^= z >> 30; z *= 0xBF58476D1CE4E5B9; z ^= z >> 27; z *= 0x94D049BB133111EB; z ^= z >> 31
  keys      key = mix(mix(seed + G) + epoch + G) with G = 0x9E3779B97F4A7C15; round key r = mix(key + (r + 1) * G)
  network   balanced Feistel network of 6 rounds on 2 * h bits, h = the least with 4**h >= num_rows, and at least 1:
            (left, right) = (right, left ^ (mix(right ^ round_key[r]) & (2**h - 1)))
  walking   values >= num_rows are put through the network again until one falls below (fewer than 4 tries on
            average); the result is a permutation because the network is one (Black and Rogaway 2002). The network
            run backwards, walking likewise, is its inverse.
Worked example, num_rows = 5, seed = 0: epoch 0 is 3 2 1 0 4, epoch 1 is 3 1 4 0 2.

Each function stands twice: for one row in Python's integers, which is the definition, and for many in numpy's uint64.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

ROUNDS = 6
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
#: uint64 ``[n]``.
Numbers: TypeAlias = npt.NDArray[np.uint64]


def mix(z: int) -> int:
    """splitmix64's finalizer: 64 bits in, 64 well-mixed bits out."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def row_at(seed: int, epoch: int, k: int, num_rows: int) -> int:
    """The row that stands at place ``k`` of the epoch.

    Args:
        seed: >= 0, below 2**64.
        epoch: passes over the rows so far.
        k: place within the epoch, 0 <= k < num_rows.
        num_rows: rows of the split, at most 2**62.
    Raises:
        ValueError: ``k`` is no place of the epoch.
    """
    if not 0 <= k < num_rows:
        raise ValueError(f"place {k} in an epoch of {num_rows} rows")
    half, keys = _half(num_rows), round_keys(seed, epoch)
    row = _permute(k, half, keys)
    while row >= num_rows:
        row = _permute(row, half, keys)
    return row


def place_of(seed: int, epoch: int, row: int, num_rows: int) -> int:
    """The place of the epoch at which ``row`` stands: the inverse of ``row_at``.

    Raises:
        ValueError: there is no such row.
    """
    if not 0 <= row < num_rows:
        raise ValueError(f"row {row} of {num_rows} rows")
    half, keys = _half(num_rows), round_keys(seed, epoch)
    k = _permute_back(row, half, keys)
    while k >= num_rows:
        k = _permute_back(k, half, keys)
    return k


def sample(seed: int, index: int, num_rows: int) -> int:
    """The row of the ``index``-th sample since training began, over all epochs."""
    epoch, k = divmod(index, num_rows)
    return row_at(seed, epoch, k, num_rows)


def rows_at(seed: int, epochs: Numbers, places: Numbers, num_rows: int) -> Numbers:
    """``row_at`` of many (epoch, place) pairs at once; each place must be below ``num_rows``."""
    half = np.uint64(_half(num_rows))
    distinct, which = np.unique(epochs, return_inverse=True)
    keys = np.array([round_keys(seed, int(epoch)) for epoch in distinct], np.uint64).reshape(-1, ROUNDS).T[:, which]
    rows = _permute_many(places, half, keys)
    outside = np.flatnonzero(rows >= num_rows)
    while len(outside):
        rows[outside] = _permute_many(rows[outside], half, keys[:, outside])
        outside = outside[rows[outside] >= num_rows]
    return rows


def round_keys(seed: int, epoch: int) -> list[int]:
    """The network's keys, one a round."""
    key = mix((mix((seed + _GOLDEN) & _MASK) + epoch + _GOLDEN) & _MASK)
    return [mix((key + (r + 1) * _GOLDEN) & _MASK) for r in range(ROUNDS)]


def _half(num_rows: int) -> int:
    return (max(num_rows - 1, 1).bit_length() + 1) // 2


def _permute(value: int, half: int, keys: list[int]) -> int:
    low = (1 << half) - 1
    left, right = value >> half, value & low
    for key in keys:
        left, right = right, left ^ (mix(right ^ key) & low)
    return (left << half) | right


def _permute_back(value: int, half: int, keys: list[int]) -> int:
    low = (1 << half) - 1
    left, right = value >> half, value & low
    for key in reversed(keys):
        left, right = right ^ (mix(left ^ key) & low), left
    return (left << half) | right


def _permute_many(values: Numbers, half: np.uint64, keys: npt.NDArray[np.uint64]) -> Numbers:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & low
    for key in keys:
        left, right = right, left ^ (_mix_many(right ^ key) & low)
    return (left << half) | right


def _mix_many(z: Numbers) -> Numbers:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
