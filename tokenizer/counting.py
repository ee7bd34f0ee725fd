"""Texts -> how often each pre-token stands in them, by looking at each distinct chunk once.

    ["the cat, the cat"], gpt2  ->  (the, 1) ( cat, 2) (",", 1) ( the, 1)

Chunks (`tokenizer.chunks`) are counted in columns. Most distinct ones are plain words, which every pattern leaves whole:
a regular expression of the column engine finds them; the engine inside ``tokenizers`` cuts the rest, so that counting
and encoding cut alike on every string.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.spine.schema import COUNT
from tokenizer.chunks import WIDE_SIGNS, chunks
from tokenizer.patterns import cuts_after_punctuation, split

#: Row groups of counts that are looked at together: about 130,000 pre-tokens.
BATCHES_AT_ONCE = 128
_WIDE_LETTER = "[\u4e00-\u9f7f\u3041-\u3096\u30a1-\u30fa]"
#: One pre-token in every pattern. o200k cuts "iPhone", so a capital stands first or not at all; cjk cuts at a change of
#: script. Letters are named by ranges, not classes: the column engine's Unicode is another one.
WHOLE = (
    rf" ?[A-Z]?[a-z]+|[0-9]| ?[!-&(-/:-@\[-`{{-~{WIDE_SIGNS}]+| ?[\x{{400}}-\x{{42f}}]?[\x{{430}}-\x{{45f}}]+"
    r"|[\x{4e00}-\x{9f7f}]+|[\x{3041}-\x{3096}]+|[\x{30a1}-\x{30fa}]+"
)
#: One pre-token in some patterns: runs of digits; Han and kana together, in cl100k and o200k after at most one sign.
_WHOLE_BY_STYLE = {
    "gpt2": f"|[0-9]+|{_WIDE_LETTER}+",
    "cl100k": f"|[{WIDE_SIGNS}]?{_WIDE_LETTER}+",
    "cjk": "",
}
_WHOLE_BY_STYLE["o200k"] = _WHOLE_BY_STYLE["cl100k"]


def count_pre_tokens(texts: pa.Array, pattern: str) -> pa.Table:
    """The distinct pre-tokens (binary ``pre_token``) and their ``count`` (int64), in no order.

    The counts times the pre-tokens' lengths sum to the bytes of the texts.

    Args:
        texts: a string column without nulls, below 2 GiB; its distinct chunks are held.
        pattern: a name in ``tokenizer.patterns.PATTERNS``.
    """
    counted = chunks(texts, cuts_after_punctuation(pattern)).value_counts()
    values, number = counted.field("values"), counted.field("counts")
    whole = pc.match_substring_regex(values.cast(pa.string()), _whole_regex(pattern))
    rest = pc.invert(whole)
    pieces: Counter[str] = Counter()
    for chunk, count in zip(values.filter(rest).to_pylist(), number.filter(rest).to_pylist(), strict=True):
        for piece in split(chunk.decode(), pattern):
            pieces[piece] += count
    cut = _table(pa.array([piece.encode() for piece in pieces], pa.binary()), pa.array(pieces.values(), pa.int64()))
    return add_counts([_table(values.filter(whole), number.filter(whole)), cut])


def add_counts(tables: Sequence[pa.Table]) -> pa.Table:
    """One table (pre_token, count): the counts of equal pre-tokens added, in no order."""
    total = pa.concat_tables(tables).group_by("pre_token", use_threads=False).aggregate([("count", "sum")])
    return _table(total["pre_token"], total["count_sum"])


def gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows, some hundred thousand together: the encoder checks a part of every call."""
    rest = iter(batches)
    while some := list(itertools.islice(rest, BATCHES_AT_ONCE)):
        yield pa.Table.from_batches(some).combine_chunks()


def _table(pre_tokens: pa.Array | pa.ChunkedArray, counts: pa.Array | pa.ChunkedArray) -> pa.Table:
    return pa.Table.from_arrays([pre_tokens, counts], schema=COUNT)


def _whole_regex(pattern: str) -> str:
    return f"^(?:{WHOLE}{_WHOLE_BY_STYLE[pattern.partition('-')[0]]})$"
