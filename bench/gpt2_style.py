"""A plain loop in nanoGPT's style: GPT-2's architecture and nanoGPT's published hyperparameters, in plain PyTorch.

Written from the description, not copied. Sources: Radford et al. 2019 (GPT-2); github.com/karpathy/nanoGPT, train.py
(AdamW, beta1 0.9, weight decay 0.1 of all tensors with two dimensions, gradient clipping 1.0, linear warm-up, then half
a cosine down to ``min_lr``), config/train_shakespeare_char.py, its values for small models (``learning_rate`` 1e-3,
``min_lr`` 1e-4, ``beta2`` 0.99, ``warmup_iters`` 100, ``lr_decay_iters`` equal to ``max_iters``), and the README's command
for a CPU (4 heads, dropout 0).

Shapes: B rows, T positions, D width, V vocabulary, H heads, C width of a head.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from train.data import IGNORED, TokenRows

LEARNING_RATE, MIN_LEARNING_RATE, WARMUP_STEPS = 1e-3, 1e-4, 100
BETAS, WEIGHT_DECAY, CLIPPING = (0.9, 0.99), 0.1, 1.0


class Block(nn.Module):
    """Attention and MLP, each behind a LayerNorm without bias and added to the stream."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_in = nn.Linear(width, 4 * width, bias=False)
        self.mlp_out = nn.Linear(4 * width, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        q, k, v = self.qkv(self.attention_norm(x_BTD)).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        y_BHTC = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BTD = x_BTD + self.attention_out(y_BHTC.transpose(1, 2).flatten(2))
        return x_BTD + self.mlp_out(functional.gelu(self.mlp_in(self.mlp_norm(x_BTD))))


class Gpt2(nn.Module):
    """Token ids to logits; learned positions, output tied to the embeddings. Initialised from torch's seed."""

    def __init__(self, width: int, num_layers: int, num_heads: int, vocab_size: int, seq_len: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, width), nn.Embedding(seq_len, width)
        self.blocks = nn.ModuleList(Block(width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:  # what writes into the stream starts smaller
                out = name.endswith("_out.weight")
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * num_layers) if out else 0.02)

    def forward(self, tokens_BT: Tensor, segments_BT: Tensor | None = None) -> Tensor:
        """Logits [B, T, V]; the whole row is seen, whatever the segments."""
        x_BTD = self.tokens(tokens_BT) + self.positions.weight[: tokens_BT.shape[1]]
        for block in self.blocks:
            x_BTD = block(x_BTD)
        return functional.linear(self.norm(x_BTD), self.tokens.weight)


def num_parameters(width: int, num_layers: int, vocab_size: int, seq_len: int) -> int:
    """Of `Gpt2`: 12 width² a layer, two norms each, embeddings of tokens and positions, the last norm."""
    return num_layers * (12 * width * width + 2 * width) + (vocab_size + seq_len + 1) * width


def fitting_width(wanted: int, num_layers: int, num_heads: int, vocab_size: int, seq_len: int) -> int:
    """The multiple of ``num_heads`` that brings the parameters nearest to those wanted."""
    widths = range(num_heads, 64 * num_heads * (1 + math.isqrt(wanted) // num_heads), num_heads)
    return min(widths, key=lambda width: abs(num_parameters(width, num_layers, vocab_size, seq_len) - wanted))


def learning_rate(step: int, steps: int) -> float:
    """At a step counted from 0: up by a line, then down by half a cosine, as published."""
    warmup = min(WARMUP_STEPS, steps // 2)  # runs shorter than published would never leave the warm-up
    if step < warmup:
        return LEARNING_RATE * (step + 1) / (warmup + 1)
    falling = 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))
    return MIN_LEARNING_RATE + falling * (LEARNING_RATE - MIN_LEARNING_RATE)


def trained(rows: TokenRows, model: Gpt2, steps: int, rows_per_step: int, seed: int) -> Gpt2:
    """The model after so many steps over the rows, drawn without repetition in each epoch."""
    tensors = list(model.parameters())
    groups = [
        {"params": [t for t in tensors if t.dim() == 2], "weight_decay": WEIGHT_DECAY},
        {"params": [t for t in tensors if t.dim() != 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS)
    for step, chosen in enumerate(drawn(rows.num_rows, steps * rows_per_step, seed).reshape(steps, -1)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        batch = rows.training_batch(chosen.tolist())
        tokens, targets = torch.from_numpy(batch.tokens.copy()), torch.from_numpy(batch.targets.copy())
        loss = functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        loss.backward()
        nn.utils.clip_grad_norm_(tensors, CLIPPING)
        optimizer.step()
        optimizer.zero_grad()
    return model


def drawn(num_rows: int, number: int, seed: int) -> np.ndarray:
    """So many row numbers, each epoch in an order of its own."""
    generator = np.random.default_rng(seed)
    epochs = [generator.permutation(num_rows) for _ in range(-(-number // num_rows))]
    return np.concatenate(epochs)[:number]
