"""Attention within documents without a [B, 1, T, T] mask: whole blocks of other documents are left out.

A mask of booleans keeps ``scaled_dot_product_attention`` from its fastest kernels; ``flex_attention`` computes the blocks
of 128 x 128 positions that hold a pair of the same document, and no others. On a CPU it has no backward pass.
Source: Dong et al. 2024, "Flex Attention", arXiv 2412.05496.
"""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from train.model import Attention, Decoder, rotary_tables, rotate


def block_mask(segments_BT: Tensor) -> BlockMask:
    """The pairs that `train.model.document_mask` allows, by blocks: not ahead, and within the same segment."""
    rows, length = segments_BT.shape

    def allowed(row: Tensor, head: Tensor, place: Tensor, seen: Tensor) -> Tensor:
        return (place >= seen) & (segments_BT[row, place] == segments_BT[row, seen])

    return create_block_mask(allowed, rows, None, length, length, device=str(segments_BT.device))


@functools.cache
def _compiled(device: str) -> Any:
    # Not compiled it holds the whole square of scores: right, and what a test on a CPU wants.
    return torch.compile(flex_attention, dynamic=False) if device == "cuda" else flex_attention


def attend(q_BHTC: Tensor, k_BKSC: Tensor, v_BKSC: Tensor, mask: BlockMask) -> Tensor:
    """[B, H, T, C]; each group of H / K query heads shares a key-value head without a copy of it."""
    grouped = q_BHTC.shape[1] != k_BKSC.shape[1]
    result: Tensor = _compiled(q_BHTC.device.type)(q_BHTC, k_BKSC, v_BKSC, block_mask=mask, enable_gqa=grouped)
    return result


def attention_by_blocks(attention: Attention, x_BTD: Tensor, rotary: tuple[Tensor, Tensor], mask: BlockMask) -> Tensor:
    """What `Attention` gives, for a `BlockMask`."""
    batch, length, _ = x_BTD.shape
    heads = (batch, length, -1, attention.head_width)
    q_BHTC = rotate(attention.q_norm(attention.q_proj(x_BTD).view(heads)).transpose(1, 2), *rotary)
    k_BKSC = rotate(attention.k_norm(attention.k_proj(x_BTD).view(heads)).transpose(1, 2), *rotary)
    v_BKSC = attention.v_proj(x_BTD).view(heads).transpose(1, 2)
    y_BHTC = attend(q_BHTC, k_BKSC, v_BKSC, mask)
    return attention.o_proj(y_BHTC.transpose(1, 2).reshape(batch, length, -1))


class BlockDecoder(Decoder):
    """`Decoder` with the same weights and logits whose attention goes by blocks."""

    def forward(self, tokens_BT: Tensor, segments_BT: Tensor | None = None) -> Tensor:
        if segments_BT is None:
            return super().forward(tokens_BT)
        mask = block_mask(segments_BT)
        x_BTD = self.model.embed_tokens(tokens_BT)
        places_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        tables = rotary_tables(places_T, self.params.head_width, self.params.rope_theta)
        rotary = (tables[0].to(x_BTD.dtype), tables[1].to(x_BTD.dtype))
        layers: Any = self.model.layers
        for layer in layers:
            x_BTD = x_BTD + attention_by_blocks(layer.self_attn, layer.input_layernorm(x_BTD), rotary, mask)
            x_BTD = x_BTD + layer.mlp(layer.post_attention_layernorm(x_BTD))
        logits_BTV: Tensor = self.lm_head(self.model.norm(x_BTD))
        return logits_BTV
