"""What the model says while it trains: a prompt continued by the likeliest token each time."""

from collections.abc import Callable

import torch
from torch import Tensor

from tokenizer.encoding import Encoder

#: Tokens [1, T] -> logits [1, T, V], or None where the layout has none (pipeline parallel).
Logits = Callable[[Tensor], Tensor | None]


def continued(
    logits_of: Logits,
    encoder: Encoder,
    prompt: str,
    num_tokens: int,
    context: int,
    agree: Callable[[int], int] = lambda number: number,
) -> str | None:
    """The prompt with up to ``num_tokens`` tokens more, cut at the end of the document; None: there are no logits.

    Greedy, so no random number is drawn: training stays what it was. Every process makes the same calls, so their
    number does not depend on the text.

    Args:
        context: positions that the model is trained on; what is longer loses its beginning.
        agree: the leading process's token, in every process: on several devices equal weights may differ in the last
            bit of a logit.
    """
    document_start = encoder.document_start_id
    prompt_ids, _ = encoder.encode_batch([prompt])
    ids = [document_start, *prompt_ids.tolist()]
    first = len(ids)
    for _ in range(num_tokens):
        logits_BTV = logits_of(torch.tensor([ids[-context:]]))
        if logits_BTV is None:
            return None
        ids.append(agree(int(logits_BTV[0, -1].argmax())))
    new = ids[first:]
    end = new.index(document_start) if document_start in new else len(new)
    return prompt + encoder.decode(new[:end])
