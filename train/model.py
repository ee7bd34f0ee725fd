"""Llama-style decoder: RMSNorm, rotary positions, SwiGLU, grouped-query attention, tied or untied embeddings.

``build_model`` makes it, or the LSTM of ``train.lstm``, as ``pretrain.model.kind`` says.

Parameter names and the order of floating-point operations are those of Hugging Face's ``LlamaForCausalLM``, so
``train.export`` renames nothing and the exported logits are equal to the bit in fp32. With ``qk_norm`` they are
those of ``Qwen3ForCausalLM``.

Dropout stands where GPT-2 has it (Radford et al. 2019; nanoGPT's model.py): on the embeddings, on the attention's
probabilities, and on what attention and MLP add to the stream.

Shapes, as suffixes of tensor names:
  B  rows of the batch            V  vocabulary           H  query heads
  T  positions of a row           D  width                K  key and value heads (H is a multiple of K)
  S  positions that can be seen: T, or T and the cached   C  width of one head
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.lstm import EMBEDDING_DEVIATION, LstmModel, init_biases
from train.shape import ModelParams

#: Keys [B,K,S,C] and values [B,K,S,C] of one layer, of the positions that generation has passed.
LayerCache = tuple[Tensor, Tensor]


class RMSNorm(nn.Module):
    """x / rms(x), scaled. Source: Zhang and Sennrich 2019, arXiv 1910.07467."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        # Statistics in fp32 also under bf16, and this order of operations: the exported model's.
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return self.weight * y.to(x.dtype)


def rotary_frequencies(head_width: int, theta: float, device: torch.device | None = None) -> Tensor:
    """Angle a position of each pair of channels, fp32 [C/2]."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.int64, device=device).float() / head_width
    return 1.0 / theta**exponents


def rotary_tables(positions_T: Tensor, head_width: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines, fp32 [T, C], of the rotary embedding. Source: Su et al. 2021, arXiv 2104.09864."""
    angles_TC = positions_T.float()[:, None] * rotary_frequencies(head_width, theta, positions_T.device)[None, :]
    angles_TC = torch.cat((angles_TC, angles_TC), dim=-1)
    return angles_TC.cos(), angles_TC.sin()


def rotate(x_BHTC: Tensor, cos_TC: Tensor, sin_TC: Tensor) -> Tensor:
    """Each pair (c, c + C/2) turned by its position's angle."""
    first, second = x_BHTC.chunk(2, dim=-1)
    return x_BHTC * cos_TC + torch.cat((-second, first), dim=-1) * sin_TC


def document_mask(segments_BT: Tensor) -> Tensor:
    """Who may look at whom, bool [B, 1, T, T]: not ahead, and only within the same segment.

    Padding (segment 0) sees padding, so that no row of the softmax is empty; its loss is not counted.
    """
    length = segments_BT.shape[1]
    causal_TT = torch.ones(length, length, dtype=torch.bool, device=segments_BT.device).tril()
    return (segments_BT[:, None, :, None] == segments_BT[:, None, None, :]) & causal_TT


class Attention(nn.Module):
    """Causal self-attention with grouped key-value heads. Source: Ainslie et al. 2023, arXiv 2305.13245."""

    def __init__(self, params: ModelParams) -> None:
        super().__init__()
        self.head_width = params.head_width
        self.dropout = params.dropout
        self.groups = params.num_heads // params.num_kv_heads
        self.q_proj = nn.Linear(params.width, params.width, bias=False)
        self.k_proj = nn.Linear(params.width, params.kv_width, bias=False)
        self.v_proj = nn.Linear(params.width, params.kv_width, bias=False)
        self.o_proj = nn.Linear(params.width, params.width, bias=False)
        if params.qk_norm:
            self.q_norm: nn.Module = RMSNorm(params.head_width, params.norm_epsilon)
            self.k_norm: nn.Module = RMSNorm(params.head_width, params.norm_epsilon)
        else:
            self.q_norm = self.k_norm = nn.Identity()

    def forward(
        self, x_BTD: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: LayerCache | None
    ) -> tuple[Tensor, LayerCache]:
        batch, length, _ = x_BTD.shape
        heads = (batch, length, -1, self.head_width)
        q_BHTC = rotate(self.q_norm(self.q_proj(x_BTD).view(heads)).transpose(1, 2), *rotary)
        k_BKSC = rotate(self.k_norm(self.k_proj(x_BTD).view(heads)).transpose(1, 2), *rotary)
        v_BKSC = self.v_proj(x_BTD).view(heads).transpose(1, 2)
        if cache is not None:
            k_BKSC = torch.cat((cache[0], k_BKSC), dim=2)
            v_BKSC = torch.cat((cache[1], v_BKSC), dim=2)
        k_BHSC, v_BHSC = (t.repeat_interleave(self.groups, dim=1) if self.groups > 1 else t for t in (k_BKSC, v_BKSC))
        # One new position sees every cached one, so it needs no mask.
        causal = mask is None and length > 1
        dropped = self.dropout if self.training else 0.0
        y_BHTC = functional.scaled_dot_product_attention(q_BHTC, k_BHSC, v_BHSC, mask, dropped, is_causal=causal)
        return self.o_proj(y_BHTC.transpose(1, 2).reshape(batch, length, -1)), (k_BKSC, v_BKSC)


class GatedMlp(nn.Module):
    """SwiGLU. Source: Shazeer 2020, arXiv 2002.05202."""

    def __init__(self, params: ModelParams) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(params.width, params.mlp_width, bias=False)
        self.up_proj = nn.Linear(params.width, params.mlp_width, bias=False)
        self.down_proj = nn.Linear(params.mlp_width, params.width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))


class Layer(nn.Module):
    """Attention and MLP, each behind a norm and added to the stream."""

    def __init__(self, params: ModelParams) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(params.width, params.norm_epsilon)
        self.self_attn = Attention(params)
        self.post_attention_layernorm = RMSNorm(params.width, params.norm_epsilon)
        self.mlp = GatedMlp(params)
        self.dropout = nn.Dropout(params.dropout)

    def forward(
        self, x_BTD: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: LayerCache | None
    ) -> tuple[Tensor, LayerCache]:
        y_BTD, cache = self.self_attn(self.input_layernorm(x_BTD), rotary, mask, cache)
        x_BTD = x_BTD + self.dropout(y_BTD)
        return x_BTD + self.dropout(self.mlp(self.post_attention_layernorm(x_BTD))), cache


class Stack(nn.Module):
    """Embedding, layers, last norm: what Hugging Face calls ``model``."""

    def __init__(self, params: ModelParams, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, params.width)
        self.layers = nn.ModuleList(Layer(params) for _ in range(params.num_layers))
        self.norm = RMSNorm(params.width, params.norm_epsilon)
        self.dropout = nn.Dropout(params.dropout)


class Decoder(nn.Module):
    """Token ids in, logits out."""

    def __init__(self, params: ModelParams, vocab_size: int) -> None:
        super().__init__()
        self.params = params
        self.model = Stack(params, vocab_size)
        self.lm_head = nn.Linear(params.width, vocab_size, bias=False)
        if params.tie_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens_BT: Tensor, segments_BT: Tensor | None = None) -> Tensor:
        """Logits [B, T, V].

        Args:
            tokens_BT: int64 ids.
            segments_BT: the segment of each position; attention stays within it. None: the whole row is seen.
        """
        mask = None if segments_BT is None else document_mask(segments_BT)
        return self.advance(tokens_BT, mask, None)[0]

    def advance(
        self, tokens_BT: Tensor, mask: Tensor | None, caches: list[LayerCache] | None
    ) -> tuple[Tensor, list[LayerCache]]:
        """Logits [B, T, V] of the tokens after the cached ones, and the grown caches (one a layer)."""
        start = caches[0][0].shape[2] if caches else 0
        positions_T = torch.arange(start, start + tokens_BT.shape[1], device=tokens_BT.device)
        x_BTD = self.model.dropout(self.model.embed_tokens(tokens_BT))
        cos, sin = rotary_tables(positions_T, self.params.head_width, self.params.rope_theta)
        rotary = (cos.to(x_BTD.dtype), sin.to(x_BTD.dtype))
        grown = []
        for index, layer in enumerate(self.model.layers):
            x_BTD, cache = layer(x_BTD, rotary, mask, caches[index] if caches else None)
            grown.append(cache)
        return self.lm_head(self.model.norm(x_BTD)), grown


#: What trains, scores, generates and is exported: each takes tokens and segments, and has ``advance`` and ``params``.
LanguageModel = Decoder | LstmModel


def build_model(params: ModelParams, vocab_size: int) -> LanguageModel:
    """The model of that kind and size, its weights not yet those of ``init_weights``."""
    return LstmModel(params, vocab_size) if params.kind == "lstm" else Decoder(params, vocab_size)


def init_weights(model: LanguageModel, seed: int) -> None:
    """Fills the weights from the seed alone, in the fixed order of ``named_parameters``.

    Matrices are normal with variance 1 / fan-in; what writes into the residual stream starts at zero, so that each
    layer begins as the identity (Zhang et al. 2019, "Fixup", arXiv 1901.09321); embeddings are small, so that the
    first loss is that of equal probabilities.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".bias_" in name:
                init_biases(name, parameter)
            elif parameter.dim() == 1:
                parameter.fill_(1.0)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.zero_()
            else:
                parameter.normal_(0.0, _deviation(model, name, parameter), generator=generator)


def _deviation(model: LanguageModel, name: str, matrix: Tensor) -> float:
    if "embed_tokens" in name and isinstance(model, LstmModel):
        return EMBEDDING_DEVIATION
    return 0.02 if "embed_tokens" in name or "lm_head" in name else 1 / math.sqrt(matrix.shape[1])
