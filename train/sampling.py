"""Choosing the next token from logits: temperature, top-k, top-p, and a seed that decides."""

import torch
from torch import Tensor


def next_token(logits_V: Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator) -> int:
    """One id, drawn from the distribution that the settings leave.

    Args:
        logits_V: of the last position.
        temperature: 0 takes the likeliest; 1 the model's own distribution; more is wilder.
        top_k: only the k likeliest; 0 is all.
        top_p: only the likeliest that together reach this probability (Holtzman et al. 2020, arXiv 1904.09751).
        generator: decides, and moves on.
    """
    if temperature == 0:
        return int(logits_V.argmax())
    # float64 and a stable sort: equal logits keep the order of their ids, so a seed gives one text everywhere.
    scaled, ids = torch.sort(logits_V.double() / temperature, descending=True, stable=True)
    if top_k:
        scaled = scaled[:top_k]
    probabilities = torch.softmax(scaled, dim=0)
    before = probabilities.cumsum(0) - probabilities
    # The likeliest stays whatever top_p is.
    kept = probabilities * (before < top_p).index_fill(0, torch.tensor([0]), True)
    drawn = torch.rand((), dtype=torch.float64, generator=generator) * kept.sum()
    place = int(torch.searchsorted(kept.cumsum(0), drawn, right=True))
    return int(ids[min(place, int((kept > 0).sum()) - 1)])
