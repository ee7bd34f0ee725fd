"""The size and kind of the model as plain numbers, shared by training, evaluation and export. No torch.

params.yaml: pretrain.model  ->  ModelParams  ->  num_parameters, flops_per_token

All presets as a table: ``python -m train.shape --vocab-size 32000 --seq-len 1024``
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Mapping

from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError

#: The sizes that a mapping under ``size`` gives, by kind of model.
SIZES = {
    "decoder": ("width", "num_layers", "num_heads", "num_kv_heads", "mlp_width"),
    "lstm": ("width", "num_layers"),
}
#: Kind -> name -> sizes in the order of ``SIZES``. The MLP of a decoder is 8/3 of its width, up to a multiple of 64: as
#: many weights as the 4 x width without a gate that the sources have (Shazeer 2020, arXiv 2002.05202).
#: 30m: nanoGPT's character model (config/train_shakespeare_char.py: width 384, 6 heads), 10 layers deep instead of 6.
#: 124m, 350m: GPT-2 small and medium (Radford et al. 2019), near their names at its vocabulary of 50,257.
#: 1b: TinyLlama (Zhang et al. 2024, arXiv 2401.02385), as it is; 1.1 billion at 32,000 with untied embeddings.
#: An LSTM has the decoder's count of parameters, within 3 % at the vocabulary that stands with the decoder (tiny: 1,024,
#: 30m: 32,000), tied; two layers, as Zaremba et al. 2014 (arXiv 1409.2329), four where two would be mostly embeddings.
PRESETS: dict[str, dict[str, tuple[int, ...]]] = {
    "decoder": {
        "tiny": (128, 3, 4, 4, 384),
        "30m": (384, 10, 6, 6, 1024),
        "124m": (768, 12, 12, 12, 2048),
        "350m": (1024, 24, 16, 16, 2752),
        "1b": (2048, 22, 32, 4, 5632),
    },
    "lstm": {
        "tiny": (192, 2),
        "30m": (704, 2),
        "124m": (1344, 4),
        "350m": (2624, 4),
        "1b": (5184, 4),
    },
}
FLOPS_FORMULA = {
    "decoder": "6 x (weights of all matrices, the output's included + layers x width x seq_len); Kaplan et al. 2020, "
    "arXiv 2001.08361",
    "lstm": "6 x weights of all matrices, the output's included; nothing grows with seq_len",
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
    def resolved(self) -> "ModelParams":
        """The same with the numbers in the place of a preset's name: what a saved model says of itself."""
        return dataclasses.replace(self, size=dict(self.sizes))

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
        names = SIZES[self.kind]
        example = ", ".join(f"{n}: {v}" for n, v in zip(names, PRESETS[self.kind]["tiny"], strict=True))
        hint = f"write size: {{{example}}}, or one of {', '.join(PRESETS[self.kind])}"
        if isinstance(self.size, str) and self.size not in PRESETS[self.kind]:
            known = " | ".join(PRESETS[self.kind])
            raise CorpusmillError(f"no such size of {self.kind}", where=where, expected=known, got=self.size, hint=hint)
        if set(self.sizes) != set(names):
            raise CorpusmillError(
                f"a size does not fit the kind {self.kind}", where=f"{where}.size", expected=", ".join(names),
                got=", ".join(self.sizes) or "nothing", hint=hint,
            )  # fmt: skip
        if min(self.sizes.values()) < 1:
            raise CorpusmillError("a size is not positive", where=where, expected=">= 1", got=min(self.sizes.values()))
        if not 0 <= self.dropout < 1:
            raise CorpusmillError("dropout is no share", where=where, expected="0 or more, below 1", got=self.dropout)
        if self.kind == "decoder":
            self._check_heads(where)
        elif self.qk_norm:
            raise CorpusmillError(
                "an LSTM has no queries and keys", where=f"{where}.qk_norm", expected="false", got="true",
                hint="write `qk_norm: false`, or `kind: decoder`",
            )  # fmt: skip

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

    def num_parameters(self, vocab_size: int, embeddings: bool = True) -> int:
        """Distinct trained numbers; tied embeddings count once, and not at all without ``embeddings``."""
        if self.kind == "lstm":
            inner = self._layer_weights + 8 * self.width  # two biases a gate, as torch has them
            last = 0
        else:
            inner = self._layer_weights + 2 * self.width + 2 * self.head_width * self.qk_norm
            last = self.width  # the norm before the output
        outer = self.width * vocab_size * (1 if self.tie_embeddings else 2)
        return self.num_layers * inner + last + outer * embeddings

    @property
    def _layer_weights(self) -> int:
        """Weights of one layer's matrices."""
        if self.kind == "lstm":
            return 4 * (self.width * self.width + self.width * self.width)  # four gates: from the input, from the state
        return 2 * self.width * (self.width + self.kv_width) + 3 * self.width * self.mlp_width

    def flops_per_token(self, vocab_size: int, seq_len: int) -> int:
        """Floating-point operations of forward and backward for one token of training.

        6 a matrix weight, the output matrix included and the embedding look-up not; in a decoder also 6 a
        multiplication of the half of the attention square that is needed. Source: Kaplan et al. 2020,
        arXiv 2001.08361.
        """
        attended = self.width * seq_len if self.kind == "decoder" else 0
        return 6 * (self.num_layers * (self._layer_weights + attended) + self.width * vocab_size)


def main(argv: list[str]) -> None:
    """Prints the table of the presets."""
    parser = argparse.ArgumentParser(
        prog="python -m train.shape", description="The presets of pretrain.model.size, counted.", allow_abbrev=False
    )
    parser.add_argument("--vocab-size", type=int, default=32000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seq-len", type=int, default=1024, metavar="N", help="default: %(default)s")
    parser.add_argument("--untied", action="store_true", help="embeddings and output matrix apart")
    args = parser.parse_args(argv)
    for name, value in (("--vocab-size", args.vocab_size), ("--seq-len", args.seq_len)):
        if value < 1:
            raise CorpusmillError("out of range", where=name, expected=">= 1", got=value)
    print(*table(args.vocab_size, args.seq_len, not args.untied), sep="\n")


def table(vocab_size: int, seq_len: int, tied: bool) -> Iterator[str]:
    """The presets, a line each, and where the FLOPs come from."""
    yield f"vocabulary {vocab_size:,}, {seq_len:,} tokens of context, embeddings {'tied' if tied else 'untied'}"
    yield ""
    head = f"{'kind':8}{'size':>5}{'width':>7}{'layers':>7}{'heads':>7}"
    yield head + f"{'parameters':>16}{'without emb.':>16}{'FLOPs a token':>17}"
    for kind, presets in PRESETS.items():
        for name in presets:
            model = ModelParams(kind, name, 10000.0, 1e-5, False, tied, 0.0)
            heads = f"{model.num_heads}/{model.num_kv_heads}" if kind == "decoder" else "-"
            counts = (model.num_parameters(vocab_size), model.num_parameters(vocab_size, embeddings=False))
            flops = model.flops_per_token(vocab_size, seq_len)
            yield (
                f"{kind:8}{name:>5}{model.width:7,}{model.num_layers:7}{heads:>7}"
                f"{counts[0]:16,}{counts[1]:16,}{flops:17,}"
            )
    yield ""
    yield "heads: of queries / of keys and values. FLOPs of forward and backward, one token of training:"
    for kind, formula in FLOPS_FORMULA.items():
        yield f"  {kind}: {formula}"


if __name__ == "__main__":
    sys.exit(run_module("train.shape"))
