"""The exported ONNX graph beside the model: close logits and the same likeliest tokens, by ONNX Runtime on the CPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from train.data import TokenRows
from train.model import LanguageModel
from train.onnx_model import ONNX

#: Greatest difference of a logit, and how many likeliest tokens in a row must be the same.
TOLERANCE = 1e-3
GREEDY_TOKENS = 50
#: Tokens of a val row that the likeliest ones follow.
PROMPT_TOKENS = 8


def expect_onnx_installed() -> None:
    """Passes when graph and engine can be imported.

    Raises:
        CorpusmillError: one is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise CorpusmillError(
            f"{error.name} is not installed", where="params.yaml: export.onnx",
            hint="run `pip install -c constraints.txt -e '.[train]'`, or write `onnx: false`",
        ) from None  # fmt: skip


def load_in_onnxruntime(folder: Path, num_threads: int) -> Callable[[Tensor], Tensor]:
    """A function from tokens [B, T] to logits [B, T, V]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(str(folder / ONNX), options, providers=["CPUExecutionProvider"])

    def forward(tokens_BT: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"input_ids": tokens_BT.numpy()})[0])

    return forward


def count_close_logits(
    model: LanguageModel, rows: TokenRows, folder: Path, num_rows: int, num_threads: int, ledger: Ledger
) -> float:
    """Compares the logits of val rows and then the likeliest tokens; the greatest difference of a logit.

    Raises:
        CorpusmillError: a logit differs by more than ``TOLERANCE``, or a token does.
    """
    engine = load_in_onnxruntime(folder, num_threads)
    where, greatest = f"{folder / ONNX}, row {{}} of val", 0.0
    for index in range(min(num_rows, rows.num_rows)):
        tokens = torch.from_numpy(rows.scoring_batch([index]).tokens.copy())
        with torch.no_grad():
            ours, theirs = model(tokens), engine(tokens)
        greatest = max(greatest, float((ours - theirs).abs().max()))
        if not greatest <= TOLERANCE:
            raise _differs(
                "other logits", where.format(index), f"a greatest difference of {TOLERANCE}", f"{greatest:.3g}"
            )
        ledger.take(ours.numel())
        ledger.give("onnx", ours.numel())
    prompt, context = rows.tokens(0)[:PROMPT_TOKENS].tolist(), rows.facts.seq_len
    ours_greedy, theirs_greedy = likeliest(model, prompt, context), likeliest(engine, prompt, context)
    if ours_greedy != theirs_greedy:
        first = int(np.argmax(np.array(ours_greedy) != np.array(theirs_greedy)))
        raise _differs(
            f"another token {first + 1} of the {GREEDY_TOKENS} likeliest", where.format(0), str(ours_greedy[first]),
            str(theirs_greedy[first]),
        )  # fmt: skip
    ledger.apart("onnx_greedy_tokens", GREEDY_TOKENS)
    return greatest


@torch.no_grad()
def likeliest(forward: Callable[[Tensor], Tensor], prompt: list[int], context: int) -> list[int]:
    """The tokens that follow, each the likeliest after at most ``context`` ones before it."""
    ids = list(prompt)
    for _ in range(GREEDY_TOKENS):
        ids.append(int(forward(torch.tensor([ids[-context:]]))[0, -1].argmax()))
    return ids[len(prompt) :]


def _differs(what: str, where: str, expected: str, got: str) -> CorpusmillError:
    return CorpusmillError(
        f"ONNX Runtime computes {what}", where=where, expected=expected, got=got,
        hint="is this the version of onnxruntime that constraints.txt names? `onnx: false` exports without it",
    )  # fmt: skip
