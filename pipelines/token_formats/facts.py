"""What every writer is told about a split, and what it is handed: rows or whole documents, a token shard at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipelines.token_shards import Row

#: The largest vocabulary whose ids fit in uint16.
UINT16_IDS = 1 << 16

#: (name of the token shard, its whole documents as ids); consumed once and in order.
Documents = Iterable[tuple[str, Iterable[np.ndarray]]]
#: (name of the token shard, its rows); consumed once and in order.
Rows = Iterable[tuple[str, Iterable[Row]]]


@dataclass(frozen=True)
class SplitFacts:
    """What a writer needs to know beside the tokens.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        seq_len: targets a row; a row holds one token more.
        vocab_size: ids are in ``[0, vocab_size)``.
        tokenizer_sha256: of ``tokenizer.json``.
        tokenizer: what a trainer gives to ``AutoTokenizer.from_pretrained``: a folder or a name on the hub.
    """

    split: str
    seq_len: int
    vocab_size: int
    tokenizer_sha256: str
    tokenizer: str

    @property
    def dtype(self) -> np.dtype:
        """Little-endian uint16 up to 65,536 ids, else uint32."""
        return np.dtype("<u2" if self.vocab_size <= UINT16_IDS else "<u4")
