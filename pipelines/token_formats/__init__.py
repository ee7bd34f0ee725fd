"""The token formats of other trainers, each a module with one writer from tokens to files.

A new format is a function ``(folder, facts, shards) -> tokens written``, an entry in `FORMATS`, and a test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.token_formats.datatrove import write_datatrove
from pipelines.token_formats.facts import UINT16_IDS, SplitFacts
from pipelines.token_formats.huggingface import write_huggingface
from pipelines.token_formats.litdata import write_litdata
from pipelines.token_formats.llmc import write_llmc
from pipelines.token_formats.mds import write_mds
from pipelines.token_formats.megatron import write_megatron
from pipelines.token_formats.nanogpt import write_nanogpt

#: Largest vocabulary of a format that stores ids of any size (as int32 where it has no uint32).
INT32_IDS = 1 << 31


@dataclass(frozen=True)
class TokenFormat:
    """One way to write a split.

    Attributes:
        write: writes into a folder and returns how many tokens.
        holds: ``rows`` as packed, or whole ``documents`` in the order of the shards.
        document_token: where the format's readers expect the document token of a document: ``start`` or ``end``. Rows
            are as packed: the token begins each document.
        largest_vocab: more ids than this do not fit.
    """

    write: Callable[[Path, SplitFacts, Any], int]
    holds: str
    document_token: str
    largest_vocab: int


FORMATS = {
    "datatrove": TokenFormat(write_datatrove, "documents", "end", INT32_IDS),
    "huggingface": TokenFormat(write_huggingface, "rows", "start", INT32_IDS),
    "litdata": TokenFormat(write_litdata, "rows", "start", INT32_IDS),
    "llmc": TokenFormat(write_llmc, "documents", "start", INT32_IDS),
    "mds": TokenFormat(write_mds, "rows", "start", INT32_IDS),
    "megatron": TokenFormat(write_megatron, "documents", "end", INT32_IDS),
    "nanogpt": TokenFormat(write_nanogpt, "documents", "end", UINT16_IDS),
}
