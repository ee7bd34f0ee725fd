"""The card of a learned tokenizer: what it is, what it was learned from, and how to load it anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenizer.bpe import ALPHABET
from tokenizer.encoding import DOCUMENT_START
from tokenizer.patterns import pattern_regex


@dataclass(frozen=True)
class CardFacts:
    """What the card says.

    Attributes:
        fits: by vocabulary size: ``train_bytes``, ``train_tokens``, ``bytes_per_token``; the main size first.
        files: by vocabulary size, the names of its tokenizer.json and its tiktoken ranks.
        counts_sha256: of the manifests of the folders with the counts.
    """

    pattern: str
    special_tokens: Sequence[str]
    fits: Mapping[int, Mapping[str, int | float]]
    files: Mapping[int, tuple[str, str]]
    distinct_pre_tokens: int
    counts_sha256: Sequence[str]


def tokenizer_card(facts: CardFacts) -> str:
    """The text of ``card.md``."""
    main = next(iter(facts.fits))
    json_name, ranks_name = facts.files[main]
    num_special = len(facts.special_tokens)
    train_bytes = facts.fits[main]["train_bytes"]
    rows = [
        f"| {size:,} | {size - num_special - len(ALPHABET):,} | {fit['bytes_per_token']:.4f} | `{facts.files[size][0]}` "
        f"| `{facts.files[size][1]}` |"
        for size, fit in facts.fits.items()
    ]
    specials = {token: index for index, token in enumerate(facts.special_tokens)}
    return _TEMPLATE.format(
        train_bytes=f"{train_bytes:,}", distinct=f"{facts.distinct_pre_tokens:,}", pattern=facts.pattern,
        regex=pattern_regex(facts.pattern), rows="\n".join(rows), json_name=json_name, ranks_name=ranks_name,
        specials=specials, last_special=num_special - 1, first_byte=num_special,
        last_byte=num_special + len(ALPHABET) - 1, first_merge=num_special + len(ALPHABET), last=main - 1, main=main,
        names=", ".join(f"`{token}` {index}" for token, index in specials.items()),
        start=DOCUMENT_START, lineage="\n".join(f"- `{digest}`" for digest in facts.counts_sha256),
    )  # fmt: skip


_TEMPLATE = """\
# Tokenizer

Byte-level BPE, learned from {train_bytes} bytes of train text ({distinct} different pre-tokens). Any text can be encoded,
and decodes to itself.

| vocabulary | merges | bytes per token, train text | tokenizer | tiktoken ranks |
|---:|---:|---:|---|---|
{rows}

All sizes come from one training: the merges of a smaller one are the first of a larger one, and an id means the same in
each.

## Ids

| ids | what |
|---|---|
| 0 to {last_special} | special: {names} |
| {first_byte} to {last_byte} | the 256 bytes, in the order of GPT-2's byte characters |
| {first_merge} to {last} | merges, in the order learned |

Merges go by frequency; of equally frequent pairs the one with the smaller ids comes first. Text is cut by the pattern
`{pattern}` before any merge, and no token crosses a cut:

```text
{regex}
```

## Load it

`{start}` begins each document. Where it stands in a text, `tokenizers` and `transformers` make its id of it, tiktoken
refuses the text unless told what to do, and Corpusmill's encoder takes it for text like any other.

```python
from tokenizers import Tokenizer
Tokenizer.from_file("{json_name}").encode("text").ids

from transformers import PreTrainedTokenizerFast
PreTrainedTokenizerFast(tokenizer_file="{json_name}", bos_token="{start}", eos_token="{start}")("text").input_ids

import tiktoken
from tiktoken.load import load_tiktoken_bpe
tiktoken.Encoding(  # ranks are ids; pat_str is the expression above
    "corpusmill", pat_str=pattern, mergeable_ranks=load_tiktoken_bpe("{ranks_name}"),
    special_tokens={specials}, explicit_n_vocab={main},
).encode("text")
```

## Lineage

Learned from pre-token counts whose `manifest.json` has the sha256

{lineage}
"""
