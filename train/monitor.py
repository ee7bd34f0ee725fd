"""Gradients by layer: norms, and which layer's vanish or explode, with what to do. Pure functions.

Parameters of one layer count together: ``model.layers.3.self_attn.q_proj.weight`` is of layer ``layers.3``,
``lstm.weight_ih_l1`` of ``lstm.1``, ``model.embed_tokens.weight`` of ``embed_tokens``.
"""

import math
import re
import statistics
from collections.abc import Mapping
from typing import NamedTuple

#: Two orders of magnitude from the median of the numbered layers. With a norm before each block all layers' gradients
#: are of one order (Xiong et al. 2020, arXiv 2002.04745, figure 3); so a hundredth or a hundredfold is neither
#: depth nor chance.
FAR = 100.0
#: So many times more than at the look before. Norms fall or stay while training goes well; Pascanu et al. 2013 (arXiv
#: 1211.5063) describe the walls of the loss surface where they grow by orders of magnitude within steps.
GROWTH = 10.0
#: Adam divides by the root of the squared gradient plus 1e-8: a layer whose whole norm is below that hardly moves.
FLOOR = 1e-8

ADVICE = {
    "vanishing": "it hardly learns: check its initial weights, fewer layers, qk_norm: true, or another seed",
    "exploding": "lower learning_rate, lengthen warmup_steps, or clip (gradient_clipping: 1.0)",
}
_NUMBERED = re.compile(r"(layers|lstm|rnn)\.(\d+)\b|\b(\w+)\.(?:weight|bias)_[a-z]+_l(\d+)")


class Flag(NamedTuple):
    """A layer that wants a look."""

    layer: str
    what: str
    why: str

    @property
    def text(self) -> str:
        return f"{self.what} gradient in {self.layer}: {self.why}; {ADVICE[self.what]}"


def layer_of(parameter: str) -> str:
    """The layer that a parameter counts to."""
    if found := _NUMBERED.search(parameter):
        return f"{found[1] or found[3]}.{found[2] or found[4]}"
    parts = parameter.removeprefix("model.").split(".")
    return parts[-2] if len(parts) > 1 else parts[-1]


def by_layer(norms: Mapping[str, float]) -> dict[str, float]:
    """Layer -> 2-norm of all its gradients, in the order in which layers appear, from those of its parameters."""
    parts: dict[str, list[float]] = {}
    for parameter, norm in norms.items():
        parts.setdefault(layer_of(parameter), []).append(norm)
    return {layer: math.hypot(*found) for layer, found in parts.items()}


def flags(norms: Mapping[str, float], before: Mapping[str, float]) -> list[Flag]:
    """The layers whose gradients vanish or explode.

    Numbered layers are compared with each other; embeddings, last norm and output have other shapes and are not.

    Args:
        norms: by layer.
        before: those of the look before; empty at the first.
    """
    alike = [norm for layer, norm in norms.items() if _is_numbered(layer) and math.isfinite(norm)]
    median = statistics.median(alike) if len(alike) > 1 else None
    found = []
    for layer, norm in norms.items():
        compared = median if _is_numbered(layer) else None
        if why := _explodes(norm, compared, before.get(layer)):
            found.append(Flag(layer, "exploding", why))
        elif why := _vanishes(norm, compared):
            found.append(Flag(layer, "vanishing", why))
    return found


def _explodes(norm: float, median: float | None, before: float | None) -> str:
    if not math.isfinite(norm):
        return f"norm {norm}"
    if median and norm > FAR * median:
        return f"norm {norm:.3g}, {norm / median:.0f} times the layers' median {median:.3g}"
    if before and norm > GROWTH * before:
        return f"norm {norm:.3g}, {norm / before:.0f} times that of the look before"
    return ""


def _vanishes(norm: float, median: float | None) -> str:
    if norm < FLOOR:
        return f"norm {norm:.3g}, below {FLOOR:g}"
    if median and norm < median / FAR:
        return f"norm {norm:.3g}, {median / norm:.0f} times less than the layers' median {median:.3g}"
    return ""


def _is_numbered(layer: str) -> bool:
    return layer.rpartition(".")[2].isdigit()
