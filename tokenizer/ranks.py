"""Vocabularies in tiktoken's format: a token in base64 and its rank on each line; the lower rank is merged first.

    dGhl 258        "the" has rank 258

We write a token's id as its rank, so ids are equal without a mapping, and the special tokens keep the ids below:
``tiktoken.Encoding(name, pat_str=..., mergeable_ranks=load_tiktoken_bpe(path), special_tokens={"<|endoftext|>": 0})``.

tiktoken merges any two neighbours that spell a token, the lowest rank first; our merges name the pairs. Both give the
same, since no bytes become a token in two ways (``tokenizer.bpe``, fact 1).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from pipelines.spine.errors import CorpusmillError
from tokenizer.encoding import Encoder


def tiktoken_ranks(encoder: Encoder, num_special: int) -> str:
    """The ranks file of a tokenizer whose first ``num_special`` ids are special: all its other tokens by id."""
    tokens = enumerate(encoder.tokens[num_special:], start=num_special)
    return "".join(f"{base64.b64encode(token).decode()} {index}\n" for index, token in tokens)


def parse_ranks(content: str, where: str) -> dict[bytes, int]:
    """Token -> rank of a ranks file.

    Raises:
        CorpusmillError: a line is not a token and a rank, or one of the 256 bytes has none.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(filter(None, content.split("\n")), start=1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise CorpusmillError(
                "not a line of a ranks file", where=f"{where}, line {number}", expected="base64 rank",
                got=repr(line[:60]),
            ) from None  # fmt: skip
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise CorpusmillError(f"{len(missing)} of the 256 bytes have no rank", where=where, got=f"no {missing[0]:#04x}")
    return ranks


def merges_of_ranks(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Every pair of tokens that spells a third one, by that one's rank: tiktoken's rule as a list of merges."""
    merges = []
    for token in sorted(ranks, key=lambda token: ranks[token]):
        cuts = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        pairs = [pair for pair in cuts if pair[0] in ranks and pair[1] in ranks]
        merges += sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    return merges
