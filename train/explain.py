"""What the trained model makes of a text: each token's loss, what it would rather have had, and its nearest embeddings.

    python -m train.explain --text "The city of" [--model data/pretrain --top 5]
    python -m train.explain --text - < story.txt

A token that holds a part of a character is shown by its bytes, with the character behind it. A text longer than the
context is read in windows: each token is scored once, after at least three quarters of the context where that many
tokens stand before it.
"""

import argparse
import dataclasses
import math
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.stage import run_module
from pipelines.terminal import printable
from tokenizer.encoding import Encoder
from train.model import LanguageModel
from train.saved import TOKENIZER, read_model
from train.scoring import Score

#: A new window starts after this share of the context, so four passes are computed in all over a long text.
WINDOW_STEP = 4
#: Windows, and rows of embeddings, that are computed at a time.
WINDOWS, ROWS = 16, 256


@dataclasses.dataclass(frozen=True)
class Scored:
    """A token as the model saw it come.

    Attributes:
        id: of the token itself.
        nll: nats.
        rank: 1 is the likeliest token.
        likeliest: the id that had rank 1, and its probability.
    """

    id: int
    nll: float
    rank: int
    likeliest: int
    likeliest_probability: float

    @property
    def probability(self) -> float:
        return math.exp(-self.nll)


def windows(num_targets: int, context: int) -> list[tuple[int, int, int]]:
    """(first input, first target that counts, end of the targets) of each window; target i follows input i.

    >>> windows(10, 8)  # the second reads inputs 2 to 9 and scores the last two alone
    [(0, 0, 8), (2, 8, 10)]
    """
    found = [(0, 0, min(num_targets, context))]
    step = max(1, context // WINDOW_STEP)
    while found[-1][2] < num_targets:
        end = min(found[-1][2] + step, num_targets)
        found.append((end - context, found[-1][2], end))
    return found


@torch.no_grad()
def score_tokens(model: LanguageModel, ids: Sequence[int], context: int) -> list[Scored]:
    """Every token after the first, in order.

    Args:
        ids: document start, then the text.
        context: positions that the model was trained on.
    """
    tokens, scored = torch.tensor(ids), list[Scored]()
    todo = windows(len(ids) - 1, context)
    for start in range(0, len(todo), WINDOWS):
        chosen = todo[start : start + WINDOWS]
        # All windows of a text are equally long: only a short text has a shorter one, and that one alone.
        logits_BTV = model(torch.stack([tokens[first:end] for first, _, end in chosen]))
        for (first, counted, end), logits_TV in zip(chosen, logits_BTV, strict=True):
            scored += _scored(logits_TV[counted - first :], tokens[counted + 1 : end + 1])
    return scored


def _scored(logits_TV: Tensor, targets_T: Tensor) -> Iterator[Scored]:
    of_target_T = logits_TV.gather(1, targets_T[:, None])
    ranks_T = (logits_TV > of_target_T).sum(1) + 1
    log_shares_TV = torch.log_softmax(logits_TV.double(), dim=1)
    nll_T = -log_shares_TV.gather(1, targets_T[:, None])[:, 0]
    best_T, likeliest_T = log_shares_TV.max(1)
    columns = (targets_T, nll_T, ranks_T, likeliest_T, best_T.exp())
    return (Scored(*values) for values in zip(*(column.tolist() for column in columns), strict=True))


@torch.no_grad()
def nearest_embeddings(model: LanguageModel, ids: Sequence[int], top: int) -> dict[int, list[tuple[int, float]]]:
    """For each of these ids the ``top`` others with the highest cosine of their embeddings, nearest first."""
    embeddings_VD = functional.normalize(model.model.embed_tokens.weight.float(), dim=1)
    top = min(top, len(embeddings_VD) - 1)
    found: dict[int, list[tuple[int, float]]] = {}
    for chunk in torch.tensor(sorted(set(ids))).split(ROWS):
        cosines = embeddings_VD[chunk] @ embeddings_VD.T
        cosines[torch.arange(len(chunk)), chunk] = -2.0  # itself
        values, others = cosines.topk(top, dim=1)
        for index, near, cosine in zip(chunk.tolist(), others.tolist(), values.tolist(), strict=True):
            found[index] = list(zip(near, cosine, strict=True))
    return found


def label(token: bytes) -> str:
    r"""A token in quotes for a terminal: line breaks and bytes that are no whole character as escapes.

    >>> label(b" the"), label("\n".encode()), label("日".encode()[:2])
    ('" the"', '"\\n"', '"\\xe6\\x97"')
    """
    text = token.replace(b"\\", b"\\\\").decode("utf-8", errors="backslashreplace")
    return f'"{printable(text.replace(chr(10), chr(92) + "n"))}"'


def labels_in(text: str, tokens: Sequence[bytes]) -> list[str]:
    """The labels of a text's tokens; behind a token that cuts characters, those."""
    # The character that each byte of the text belongs to.
    chars = [index for index, char in enumerate(text) for _ in char.encode()]
    found, place = [], 0
    for token in tokens:
        held = chars[place : place + len(token)]
        # Only the first and the last can reach beyond the token.
        ends = dict.fromkeys((held[0], held[-1]))
        cut = "".join(printable(text[char]) for char in ends if held.count(char) < len(text[char].encode()))
        found.append(label(token) + (f" of {cut}" if cut else ""))
        place += len(token)
    return found


def table(
    text: str, scored: Sequence[Scored], encoder: Encoder, near: dict[int, list[tuple[int, float]]]
) -> Iterator[str]:
    """A head, and a line a token."""
    shown = labels_in(text, [encoder.tokens[one.id] for one in scored])
    width = min(max(map(_cells, ["token", *shown])), 40)
    yield f"{_padded('token', width)}    nats    bits    rank    prob  likeliest instead       nearest embeddings (cosine)"
    for name, one in zip(shown, scored, strict=True):
        instead = "" if one.rank == 1 else f"{label(encoder.tokens[one.likeliest])} {one.likeliest_probability:.1%}"
        others = "  ".join(f"{label(encoder.tokens[other])} {cosine:.2f}" for other, cosine in near.get(one.id, []))
        numbers = f"{one.nll:8.3f}{one.nll / math.log(2):8.3f}{one.rank:8,}{one.probability:8.2%}"
        yield f"{_padded(name, width)}{numbers}  {_padded(instead, 22)}  {others}".rstrip()


def summary(text: str, scored: Sequence[Scored]) -> str:
    """The whole text in one line."""
    score = Score(math.fsum(one.nll for one in scored), len(scored), len(text.encode()))
    bits = score.nll / math.log(2)
    return (
        f"{score.tokens:,} tokens, {score.bytes:,} bytes: {score.nll:,.2f} nats = {bits:,.2f} bits;  "
        f"{score.loss:.4f} nats a token, perplexity {score.perplexity:,.2f};  {score.bits_per_byte:.4f} bits per byte"
    )


def _cells(text: str) -> int:
    """Columns of a terminal: ideograms and kana take two, marks on a letter none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _cells(text))


def main(argv: list[str]) -> None:
    """The command."""
    args = _parser().parse_args(argv)
    if args.top < 0:
        raise CorpusmillError("out of range", where="--top", expected=">= 0", got=args.top)
    text = _read_text(args.text)
    model, config = read_model(Path(args.model))
    encoder = Encoder(Path(args.model) / TOKENIZER)
    ids = encoder.encode_batch([text])[0].tolist()
    scored = score_tokens(model, [config.document_start_id, *ids], config.seq_len)
    near = nearest_embeddings(model, ids, args.top) if args.top else {}
    print(*table(text, scored, encoder, near), sep="\n")
    print(f"\n{summary(text, scored)}")


def _read_text(given: str) -> str:
    """The text of the command line, or of stdin without its last line break.

    Raises:
        CorpusmillError: nothing is there, or it is not UTF-8.
    """
    where = "stdin" if given == "-" else "--text"
    try:
        # What of a command line is not UTF-8 comes as surrogates, which do not encode.
        data = sys.stdin.buffer.read().removesuffix(b"\n") if given == "-" else given.encode()
        text = data.decode()
    except UnicodeError as error:
        raise CorpusmillError(f"the text is not UTF-8: {error}", where=where) from None
    if not text:
        raise CorpusmillError(
            "there is no text to explain", where=where, hint='give --text "some words", or --text - and write to stdin'
        )
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train.explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--text", required=True, help="what to explain; -: stdin")
    parser.add_argument("--model", default="data/pretrain", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--top", type=int, default=5, metavar="K", help="nearest embeddings shown; default %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(run_module("train.explain"))
