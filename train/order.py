"""The order of training rows as a pure function of (seed, epoch, k): no state, no list, O(1) a row.

``row_at(seed, epoch, k, num_rows)`` is a permutation of 0..num_rows-1 for each (seed, epoch), so an epoch sees each
row once, any process computes any step alone, and a resumed run needs nothing but the number of consumed samples.

The permutation, for others to reproduce (all integers unsigned, 64 bits, wrapping):
  mix(z)    splitmix64's finalizer (Steele, Lea and Flood 2014):
            z ^= z >> 30; z *= 0xBF58476D1CE4E5B9; z ^= z >> 27; z *= 0x94D049BB133111EB; z ^= z >> 31
  keys      key = mix(mix(seed + G) + epoch + G) with G = 0x9E3779B97F4A7C15; round key r = mix(key + (r + 1) * G)
  network   balanced Feistel network of 6 rounds on 2 * h bits, h = the least with 4**h >= num_rows:
            (left, right) = (right, left ^ (mix(right ^ round_key[r]) & (2**h - 1)))
  walking   values >= num_rows are put through the network again until one falls below (fewer than 4 tries on
            average); the result is a permutation because the network is one (Black and Rogaway 2002).
Worked example, num_rows = 5, seed = 0: epoch 0 is 3 2 1 0 4, epoch 1 is 3 1 4 0 2.
"""

ROUNDS = 6
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


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
        num_rows: rows of the split.
    Raises:
        ValueError: ``k`` is no place of the epoch.
    """
    if not 0 <= k < num_rows:
        raise ValueError(f"place {k} in an epoch of {num_rows} rows")
    half = (max(num_rows - 1, 1).bit_length() + 1) // 2
    keys = _round_keys(seed, epoch)
    row = _permute(k, half, keys)
    while row >= num_rows:
        row = _permute(row, half, keys)
    return row


def sample(seed: int, index: int, num_rows: int) -> int:
    """The row of the ``index``-th sample since training began, over all epochs."""
    epoch, k = divmod(index, num_rows)
    return row_at(seed, epoch, k, num_rows)


def _round_keys(seed: int, epoch: int) -> list[int]:
    key = mix((mix((seed + _GOLDEN) & _MASK) + epoch + _GOLDEN) & _MASK)
    return [mix((key + (r + 1) * _GOLDEN) & _MASK) for r in range(ROUNDS)]


def _permute(value: int, half: int, keys: list[int]) -> int:
    low = (1 << half) - 1
    left, right = value >> half, value & low
    for key in keys:
        left, right = right, left ^ (mix(right ^ key) & low)
    return (left << half) | right
