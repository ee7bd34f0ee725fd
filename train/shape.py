"""The size and kind of the model as plain numbers, shared by training, evaluation and export. No torch."""

import dataclasses

from pipelines.spine.errors import CorpusmillError


@dataclasses.dataclass(frozen=True)
class ModelParams:
    """``params.yaml: pretrain.model``; vocabulary and context length come from the token shards."""

    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    mlp_width: int
    rope_theta: float
    norm_epsilon: float
    qk_norm: bool
    tie_embeddings: bool

    @property
    def head_width(self) -> int:
        return self.width // self.num_heads

    @property
    def kv_width(self) -> int:
        return self.num_kv_heads * self.head_width

    def check(self, where: str) -> None:
        """Refuses shapes that cannot be built.

        Raises:
            CorpusmillError: a size that is not positive or does not divide another.
        """
        sizes = (self.width, self.num_layers, self.num_heads, self.num_kv_heads, self.mlp_width)
        if min(sizes) < 1:
            raise CorpusmillError("a size is not positive", where=where, expected=">= 1", got=min(sizes))
        if self.width % self.num_heads or self.head_width % 2:
            raise CorpusmillError(
                "width does not split into heads of even width", where=where,
                expected="width = num_heads x an even number", got=f"{self.width} / {self.num_heads}",
            )  # fmt: skip
        if self.num_heads % self.num_kv_heads:
            raise CorpusmillError(
                "num_heads is not a multiple of num_kv_heads", where=where,
                got=f"{self.num_heads} / {self.num_kv_heads}",
            )  # fmt: skip

    def num_parameters(self, vocab_size: int) -> int:
        """Distinct trained numbers; tied embeddings count once."""
        layer = 2 * self.width * (self.width + self.kv_width) + 3 * self.width * self.mlp_width + 2 * self.width
        layer += 2 * self.head_width * self.qk_norm
        return self.num_layers * layer + self.width + self.width * vocab_size * (1 if self.tie_embeddings else 2)

    def flops_per_token(self, vocab_size: int, seq_len: int) -> int:
        """Floating-point operations of forward and backward for one token of training.

        6 a matrix weight, the output matrix included and the embedding look-up not, and 6 a multiplication of the
        half of the attention square that is needed. Source: Kaplan et al. 2020, arXiv 2001.08361.
        """
        matrices = 2 * self.width * (self.width + self.kv_width) + 3 * self.width * self.mlp_width
        return 6 * (self.num_layers * (matrices + self.width * seq_len) + self.width * vocab_size)
