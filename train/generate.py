"""Continues a text with the trained model, token by token onto the terminal.

    python -m train.generate --prompt "The city of" [--model data/pretrain --max-tokens 200 --temperature 0.8]

``--model`` is a folder that `pretrain` or `export` wrote, of a decoder or an LSTM. Stops on <|endoftext|>, the end of a
document. The same seed gives the same text.
"""

import argparse
import codecs
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.stage import run_module
from tokenizer.encoding import Encoder
from train.model import LanguageModel
from train.sampling import next_token
from train.saved import TOKENIZER, read_model


def main(argv: list[str]) -> None:
    """The command."""
    args = _parser().parse_args(argv)
    _check(args)
    model, config = read_model(Path(args.model))
    encoder = Encoder(Path(args.model) / TOKENIZER)
    prompt, _ = encoder.encode_batch([args.prompt])
    ids = [config.document_start_id, *prompt.tolist()]
    print(args.prompt, end="", flush=True)
    # A character can span tokens: what is not whole yet waits for the next one.
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for number in continuation(model, ids, config.seq_len, args, stop=config.document_start_id):
        print(decoder.decode(encoder.tokens[number]), end="", flush=True)
    print(decoder.decode(b"", final=True))


@torch.no_grad()
def continuation(
    model: LanguageModel, ids: list[int], context: int, args: argparse.Namespace, stop: int
) -> Iterator[int]:
    """The ids that follow, up to ``args.max_tokens`` or the token ``stop``.

    Args:
        ids: what stands before, document start first.
        context: the positions that the model was trained on. When they are full, the last half is read anew, and
            generation goes on from there: positions beyond would be strange to the model.
    """
    generator = torch.Generator().manual_seed(args.seed)
    caches, fresh = None, ids[-context:]
    used = 0
    for _ in range(args.max_tokens):
        if used + len(fresh) > context:
            caches, fresh, used = None, ids[-(context // 2 or 1) :], 0
        logits_BTV, caches = model.advance(torch.tensor([fresh]), None, caches)
        used += len(fresh)
        number = next_token(logits_BTV[0, -1], args.temperature, args.top_k, args.top_p, generator)
        if number == stop:
            return
        yield number
        ids = [*ids[-context:], number]
        fresh = [number]


def _check(args: argparse.Namespace) -> None:
    for name, right, expected in (
        ("--max-tokens", args.max_tokens >= 0, ">= 0"),
        ("--temperature", args.temperature >= 0, ">= 0"),
        ("--top-k", args.top_k >= 0, ">= 0 (0: all)"),
        ("--top-p", 0 < args.top_p <= 1, "above 0, at most 1"),
        ("--seed", 0 <= args.seed < 2**63, "0 or more, below 2**63"),
    ):
        if not right:
            value = getattr(args, name.strip("-").replace("-", "_"))
            raise CorpusmillError("out of range", where=name, expected=expected, got=value)
    try:
        # What of a command line is not UTF-8 comes as surrogates, which do not encode.
        args.prompt.encode()
    except UnicodeError as error:
        raise CorpusmillError(f"the prompt is not UTF-8: {error}", where="--prompt") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train.generate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--prompt", required=True, help="the text to continue; may be empty")
    parser.add_argument("--model", default="data/pretrain", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--max-tokens", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument("--temperature", type=float, default=0.8, metavar="T", help="0: likeliest; default %(default)s")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="0: all; default %(default)s")
    parser.add_argument("--top-p", type=float, default=0.95, metavar="P", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(run_module("train.generate"))
