"""The size and kind of the model as plain numbers, shared by training, evaluation and export. No torch.

params.yaml: pretrain.model  ->  ModelParams  ->  num_parameters, flops_per_token
"""

import dataclasses
from collections.abc import Mapping

from pipelines.spine.errors import CorpusmillError

#: The sizes that a mapping under ``size`` gives, by kind of model.
SIZES = {
    "decoder": ("width", "num_layers", "num_heads", "num_kv_heads", "mlp_width"),
    "lstm": ("width", "num_layers"),
}
#: Kind -> name -> sizes in the order of ``SIZES``.
PRESETS: dict[str, dict[str, tuple[int, ...]]] = {
    "decoder": {
        "tiny": (128, 3, 4, 4, 384),
    },
    "lstm": {},
}


@dataclasses.dataclass(frozen=True)
class ModelParams:
    """``params.yaml: pretrain.model``; vocabulary and context length come from the token shards.

    Attributes:
        kind: ``decoder`` or ``lstm``.
        size: a preset's name, or the numbers themselves.
    """

    kind: str
    size: str | dict[str, int]
    rope_theta: float
    norm_epsilon: float
    qk_norm: bool
    tie_embeddings: bool
    dropout: float

    @property
    def sizes(self) -> Mapping[str, int]:
        """The numbers, whether named or given."""
        if isinstance(self.size, str):
            return dict(zip(SIZES[self.kind], PRESETS[self.kind][self.size], strict=True))
        return self.size

    @property
    def width(self) -> int:
        return self.sizes["width"]

    @property
    def num_layers(self) -> int:
        return self.sizes["num_layers"]

    @property
    def num_heads(self) -> int:
        return self.sizes["num_heads"]

    @property
    def num_kv_heads(self) -> int:
        return self.sizes["num_kv_heads"]

    @property
    def mlp_width(self) -> int:
        return self.sizes["mlp_width"]

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
        if self.kind not in SIZES:
            raise CorpusmillError("no such kind of model", where=where, expected=" | ".join(SIZES), got=self.kind)
        if isinstance(self.size, str) and self.size not in PRESETS[self.kind]:
            known = " | ".join(PRESETS[self.kind])
            raise CorpusmillError("no such size", where=where, expected=known, got=self.size)
        if set(self.sizes) != set(SIZES[self.kind]):
            raise CorpusmillError(
                f"a {self.kind} has other sizes", where=f"{where}.size", expected=", ".join(SIZES[self.kind]),
                got=", ".join(self.sizes),
            )  # fmt: skip
        if min(self.sizes.values()) < 1:
            raise CorpusmillError("a size is not positive", where=where, expected=">= 1", got=min(self.sizes.values()))
        if not 0 <= self.dropout < 1:
            raise CorpusmillError("dropout is no share", where=where, expected="0 or more, below 1", got=self.dropout)
        if self.kind == "decoder":
            self._check_heads(where)

    def _check_heads(self, where: str) -> None:
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
