"""LSTM language model: embedding, LSTM layers, linear; the classic beside which a decoder is measured.

Layers and where dropout stands: Zaremba et al. 2014, arXiv 1409.2329. Tied embeddings: Press and Wolf 2017,
arXiv 1608.05859. Its interface is the decoder's (``train.model``), and so are the names of embedding and output.

Shapes, as suffixes of tensor names:
  B  rows of the batch            V  vocabulary
  T  positions of a row           D  width
  S  segments                     L  the longest of some segments
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from train.shape import ModelParams

#: Standard deviation of new embeddings. No norm stands between them and the gates, which small ones leave half open:
#: sample corpus, size tiny, 150 steps of Muon at 0.03: val 3.49 bits a byte with 0.02, 3.20 with 0.1, 2.90 with this.
EMBEDDING_DEVIATION = 0.3
#: Hidden state [1,B,D] and cell [1,B,D] of one layer after the positions that were passed.
LayerState = tuple[Tensor, Tensor]


def run_lengths(segments_BT: Tensor) -> list[int]:
    """Lengths of the runs of one segment in one row, over all rows in order; padding is a run of its own.

    >>> run_lengths(torch.tensor([[1, 1, 2, 0], [1, 1, 1, 1]]))
    [2, 1, 1, 4]
    """
    changes_BT = torch.ones_like(segments_BT, dtype=torch.bool)
    changes_BT[:, 1:] = segments_BT[:, 1:] != segments_BT[:, :-1]
    starts = changes_BT.flatten().nonzero().flatten().tolist()
    return [stop - start for start, stop in zip(starts, [*starts[1:], segments_BT.numel()], strict=True)]


def alike(lengths: Sequence[int]) -> list[list[int]]:
    """The numbers of the runs, those of like length together: within a group none is twice as long as another.

    >>> alike([7, 2, 128, 4, 3])
    [[0, 3], [1, 4], [2]]
    """
    groups: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        groups.setdefault(length.bit_length(), []).append(index)
    return list(groups.values())


class SegmentLstm(nn.LSTM):
    """One layer; with ``lengths``, the state starts anew with each run of so many positions."""

    def forward(  # type: ignore[override]
        self, x_BTD: Tensor, lengths: Sequence[int] | None, state: LayerState | None
    ) -> tuple[Tensor, LayerState | None]:
        if lengths is None:
            grown: tuple[Tensor, LayerState] = super().forward(x_BTD, state)
            return grown
        # Runs of like length, padded at their ends, where nothing is read: torch's packed sequences take 2.5 to 4 times
        # as long on a CPU where lengths differ (99 and 39 microseconds a token, width 192, 30 runs of 2 to 128).
        runs = x_BTD.flatten(0, 1).split(list(lengths))
        found: list[Tensor] = [x_BTD] * len(runs)
        for group in alike(lengths):
            y_SLD, _ = super().forward(pad_sequence([runs[index] for index in group], batch_first=True))
            for index, y_LD in zip(group, y_SLD, strict=True):
                found[index] = y_LD[: lengths[index]]
        return torch.cat(found).view_as(x_BTD), None


class LstmStack(nn.Module):
    """Embedding and layers, under the decoder's names."""

    def __init__(self, params: ModelParams, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, params.width)
        self.layers = nn.ModuleList(
            SegmentLstm(params.width, params.width, batch_first=True) for _ in range(params.num_layers)
        )
        self.dropout = nn.Dropout(params.dropout)


class LstmModel(nn.Module):
    """Token ids in, logits out."""

    def __init__(self, params: ModelParams, vocab_size: int) -> None:
        super().__init__()
        self.params = params
        self.model = LstmStack(params, vocab_size)
        self.lm_head = nn.Linear(params.width, vocab_size, bias=False)
        if params.tie_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens_BT: Tensor, segments_BT: Tensor | None = None) -> Tensor:
        """Logits [B, T, V].

        Args:
            tokens_BT: int64 ids.
            segments_BT: the segment of each position; the state starts anew with each. None: one run over the row.
        """
        lengths = None if segments_BT is None else run_lengths(segments_BT)
        # Dropout between layers and never from step to step: Zaremba et al., section 3.1.
        x_BTD = self.model.dropout(self.model.embed_tokens(tokens_BT))
        for layer in self.model.layers:
            x_BTD, _ = layer(x_BTD, lengths, None)
            x_BTD = self.model.dropout(x_BTD)
        logits_BTV: Tensor = self.lm_head(x_BTD)
        return logits_BTV

    def advance(
        self, tokens_BT: Tensor, mask: None, states: list[LayerState] | None
    ) -> tuple[Tensor, list[LayerState]]:
        """Logits [B, T, V] of the tokens after those that made the states, and the states after them.

        ``mask`` is the decoder's; an LSTM looks at nothing but its state.
        """
        x_BTD = self.model.embed_tokens(tokens_BT)
        after = []
        for index, layer in enumerate(self.model.layers):
            x_BTD, state = layer(x_BTD, None, states[index] if states else None)
            after.append(state)
        return self.lm_head(x_BTD), after


def init_biases(name: str, bias: Tensor) -> None:
    """Zeros, and 1 for the forget gate, so that a new state lasts. Source: Jozefowicz, Zaremba and Sutskever 2015, "An
    Empirical Exploration of Recurrent Network Architectures".
    """
    bias.zero_()
    if name.endswith("bias_ih_l0"):  # torch adds a second bias, which stays 0; the gates are i, f, g, o
        width = bias.shape[0] // 4
        bias[width : 2 * width] = 1.0
