"""Training the linear model of `pipelines.cleaning.quality_model`, by whole numbers alone.

Logistic regression by stochastic gradient descent, one text at a time. Each step's size falls in a straight line from
the learning rate to 0. A good and a bad text take turns, the smaller class begins again when it is through: so 500
thousandths is the even line, whatever the classes' sizes. The same texts in the same order give the same weights on
every machine; nothing here is a float.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.cleaning.quality_model import (
    I32,
    INVERSE_BITS,
    ONE,
    STEP_BITS,
    TABLED_STEPS,
    Features,
    inverse_lengths,
    sigmoid_table,
)

#: Stored weights are 32 bits: -128 to 128.
MAX_WEIGHT = (1 << 31) - 1


def train(
    features: Features, positive: Sequence[int], negative: Sequence[int], epochs: int, learning_rate: int, num_bits: int
) -> I32:
    """The weights that tell two classes of texts apart, int32 ``[2^num_bits]``, multiples of 2^-24.

    Args:
        features: of all texts.
        positive, negative: rows of texts, neither empty; their order is that of training.
        epochs: how often the larger class is gone through.
        learning_rate: of the first step.
        num_bits: of a feature.
    """
    weights = np.zeros(1 << num_bits, np.int64)
    table = sigmoid_table().tolist()
    inverses, ends = inverse_lengths(features).tolist(), features.ends.tolist()
    num_steps = 2 * epochs * max(len(positive), len(negative))
    for step, (row, label) in enumerate(_turns(positive, negative, epochs)):
        here = slice(ends[row], ends[row + 1])
        indices, counts = features.indices[here], features.counts[here].astype(np.int64)
        held = weights.take(indices)
        margin = int(held @ counts) * inverses[row] >> INVERSE_BITS
        place = min(abs(margin) >> STEP_BITS, TABLED_STEPS - 1)
        error = label - (table[place] if margin >= 0 else ONE - table[place])
        rate = learning_rate * (num_steps - step) * error // num_steps
        weights[indices] = held + counts * (rate * inverses[row] >> INVERSE_BITS)
    return np.clip(weights, -MAX_WEIGHT, MAX_WEIGHT).astype(np.int32)


def _turns(positive: Sequence[int], negative: Sequence[int], epochs: int) -> Iterator[tuple[int, int]]:
    """(row, label) of each step: a good text, a bad one, a good one, ..."""
    for turn in range(epochs * max(len(positive), len(negative))):
        yield positive[turn % len(positive)], ONE
        yield negative[turn % len(negative)], 0
