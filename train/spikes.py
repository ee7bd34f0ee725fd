"""Loss spikes and losses that are no number: pure rules for which step's update is not taken.

A spike is a loss far above the window of losses before it. Chowdhery et al. 2022 (PaLM, arXiv 2204.02311, section 5.1)
met some 20 of them in one training, restarted from a checkpoint about 100 steps before each, left out 200 to 500
batches and saw none come back: batches of data meet a state of the weights, neither is bad alone.

Worked example, window 4, deviations 3: after losses 5.0 5.2 4.8 5.0 (mean 5.0, deviation 0.141) a loss above 5.424 is
a spike. The window holds the losses of steps that trained: a spike never makes the next one look usual.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from train.recipe import SpikeParams

#: Nats. A window of equal losses has no deviation, and rounding alone would be a spike then.
LEAST_DEVIATION = 0.01


def spike_limit(losses: Sequence[float], window: int, deviations: float) -> float:
    """The loss above which a step is a spike; infinite until ``window`` losses are there (the warm-up).

    Args:
        losses: of the steps that trained, oldest first; the last ``window`` count.
    """
    last = losses[-window:]
    if len(last) < window:
        return math.inf
    # The deviation of the population: a window of one has one.
    return statistics.fmean(last) + deviations * max(statistics.pstdev(last), LEAST_DEVIATION)


def persists(spikes: Sequence[int], step: int, window: int) -> bool:
    """Whether more than half of the last ``window`` steps were spikes: then the loss has moved, and is no spike.

    Without this a change in the data would have every later step left out, and training would go on for nothing.
    """
    return 2 * sum(spike > step - window for spike in spikes) > window


@dataclasses.dataclass(frozen=True)
class Judge:
    """Answers the engine, before an update, whether a loss may change the weights.

    Attributes:
        limit: above it a loss is a spike.
    """

    limit: float

    @classmethod
    def of(cls, params: SpikeParams, losses: Sequence[float]) -> "Judge":
        """The judge of the step after those losses; without an action no loss is a spike."""
        if params.action == "none":
            return cls(math.inf)
        return cls(spike_limit(losses, params.window, params.deviations))

    def __call__(self, loss: float) -> bool:
        return math.isfinite(loss) and loss <= self.limit

    def trouble(self, loss: float, gradient_norm: float, applied: bool) -> str:
        """What is wrong with a step, "" when nothing is.

        An infinite norm whose update was left out is none: fp16 found its loss scale too large, and lowers it.
        """
        if not math.isfinite(loss):
            return f"the loss is no number any more ({loss})"
        if loss > self.limit:
            return f"the loss {loss:.4g} is a spike (above {self.limit:.4g})"
        if applied and not math.isfinite(gradient_norm):
            return f"the gradient norm is no number any more ({gradient_norm})"
        return ""
