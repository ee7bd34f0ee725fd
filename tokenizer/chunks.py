"""Texts -> chunks: cuts that every pattern makes, so that a chunk which stands a thousand times is looked at once.

    "The cat, the cat.\\nIt ran"  ->  "The", " cat", ",", " the", " cat", ".\\n", "It", " ran"

A pattern matches from left to right and looks behind nowhere, so a text may be cut where a match is sure to end and the
parts pre-tokenised apart. Sure, in each pattern of ``tokenizer.patterns``, are the borders

    space      non-whitespace | " " before non-whitespace   only a match's first character may be a space
    sign       letter or digit | punctuation other than "'" no match goes on from a letter to a sign but to "'s"
    number     letter | digit, digit | letter, sign | digit no match holds digits and anything else but a space
    newline    non-whitespace, "\\n" | ASCII letter or digit (before two newlines gpt2 looks ahead)
    wide       Han, kana | Chinese and Japanese punctuation as "sign"
    after      punctuation of either kind | letter          not in cl100k and o200k, where a sign may begin a word

for characters that are cheap to tell in UTF-8: a border that is not seen costs time, never exactness. A chunk has no
sure border inside it; it may still hold several pre-tokens. English falls into chunks of 5.5 bytes, of which one in
eighteen is new in 13 MB; Chinese into clauses.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

#: Bytes looked at together: a dozen temporaries of this size stay in the processor's cache.
_BLOCK = 1 << 18


def _bytes_where(codes: str) -> np.ndarray:
    table = np.zeros(256, bool)
    table[np.frombuffer(codes.encode(), np.uint8)] = True
    return table


_DIGIT = _bytes_where("0123456789")
_LETTER = _bytes_where("".join(chr(byte) for byte in range(128) if chr(byte).isalpha()))
_ALNUM = _LETTER | _DIGIT
_PUNCTUATION = _bytes_where(
    "".join(chr(byte) for byte in range(0x21, 0x7F) if not chr(byte).isalnum()).replace("'", "")
)


def text_buffer(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes of an Arrow string column as one array, and where each text begins in it, int64 ``[texts + 1]``.

    Args:
        texts: a string, large_string or binary array without nulls.
    """
    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return np.empty(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    borders = np.frombuffer(offsets, np.int64 if wide else np.int32)[texts.offset :][: len(texts) + 1].astype(np.int64)
    return np.frombuffer(data, np.uint8)[borders[0] : borders[-1]], borders - borders[0]


def chunk_starts(data: np.ndarray, offsets: np.ndarray, cuts_after_punctuation: bool) -> np.ndarray:
    """Where chunks begin in the texts' bytes, int64, ascending; every text that is not empty begins one.

    Args:
        data: UTF-8 of all texts, uint8.
        offsets: where each text begins, int64 ``[texts + 1]``.
        cuts_after_punctuation: the pattern makes the cut "after"; see `tokenizer.patterns.cuts_after_punctuation`.
    """
    begins = np.zeros(len(data), bool)
    for start in range(0, len(data), _BLOCK):
        # A block sees four bytes of its neighbours; zeros after the last, so that its last character is seen whole too.
        first, last = max(0, start - 4), start + _BLOCK + 4
        block = data[first:last] if last <= len(data) else np.append(data[first:], np.zeros(2, np.uint8))
        begins[start : start + _BLOCK] = _borders_in(block, cuts_after_punctuation)[start - first :][
            : len(data) - start
        ][:_BLOCK]
    begins[offsets[:-1][np.diff(offsets) > 0]] = True
    return np.flatnonzero(begins)


def chunks(texts: pa.Array, cuts_after_punctuation: bool) -> pa.BinaryArray:
    """The chunks of all texts in their order, without a copy of the bytes; together they are the texts.

    Raises:
        pa.ArrowInvalid: the texts hold 2 GiB or more; hand them over in batches.
    """
    data, offsets = text_buffer(texts)
    if len(data) >= 1 << 31:
        raise pa.ArrowInvalid(f"{len(data)} bytes of text in one batch")
    borders = np.append(chunk_starts(data, offsets, cuts_after_punctuation), len(data)).astype(np.int32)
    buffers = [None, pa.py_buffer(borders), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(borders) - 1, buffers)


def _borders_in(block: np.ndarray, cuts_after_punctuation: bool) -> np.ndarray:
    """Mask of the sure borders in a block of text; near its ends they may be missed, never invented."""
    size = len(block)
    border = np.zeros(size, bool)
    whitespace = block <= 0x20  # and other control characters, which is harmless
    letter = _ALNUM[block]  # the last byte of a letter or digit
    high = np.flatnonzero(block >= 0xC2)
    high = high[high < size - 2]
    if len(high):
        wide_punctuation, wide_letter = _mark_characters(block, high, whitespace, letter)
        border[wide_punctuation[letter[wide_punctuation - 1]]] = True
        if cuts_after_punctuation:
            is_letter = np.zeros(size, bool)
            is_letter[wide_letter] = True
            after = wide_punctuation[wide_punctuation < size - 3] + 3
            border[after[is_letter[after]]] = True
    sign, digit, ascii_letter = _PUNCTUATION[block], _DIGIT[block], _LETTER[block]
    border[1:] |= letter[:-1] & sign[1:]
    border[1:] |= (digit[1:] & (sign[:-1] | ascii_letter[:-1])) | (digit[:-1] & ascii_letter[1:])
    if cuts_after_punctuation:
        border[1:] |= sign[:-1] & ascii_letter[1:]
    border[2:] |= ~whitespace[:-2] & (block[1:-1] == 0x0A) & (ascii_letter | digit)[2:]
    border[1:-1] |= (block[1:-1] == 0x20) & ~whitespace[:-2] & ~whitespace[2:]
    return border


def _mark_characters(
    block: np.ndarray, lead: np.ndarray, whitespace: np.ndarray, letter: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Marks whitespace (all its bytes) and letters (their last byte) beyond ASCII in the two masks.

    Returns:
        where Chinese and Japanese punctuation begins (never at 0), and where Han and kana letters begin.
    """
    a, b, c = block[lead], block[lead + 1], block[lead + 2]
    two = lead[(a == 0xC2) & ((b == 0x85) | (b == 0xA0))]  # U+0085, U+00A0
    spaces = (c <= 0x8A) | (c == 0xA8) | (c == 0xA9) | (c == 0xAF)  # U+2000..U+200A, U+2028, U+2029, U+202F
    general = (a == 0xE2) & (((b == 0x80) & spaces) | ((b == 0x81) & (c == 0x9F)))  # U+205F
    ogham = (a == 0xE1) & ((b == 0x9A) | (b == 0xA0))  # U+1680 and its block, U+180E and its block
    three = lead[general | ogham | ((a == 0xE3) & (b == 0x80) & (c == 0x80))]
    for place in (two, two + 1, three, three + 1, three + 2):
        whitespace[place] = True
    # U+00C0..U+00FF without the signs of multiplication and division; U+0410..U+045F.
    latin = (a == 0xC3) & (b != 0x97) & (b != 0xB7)
    cyrillic = ((a == 0xD0) & (b >= 0x90)) | ((a == 0xD1) & (b <= 0x9F))
    letter[lead[latin | cyrillic] + 1] = True
    # U+4E00..U+9F7F; U+3041..U+3096 and U+30A1..U+30FA without the marks between them.
    han = ((a == 0xE4) & (b >= 0xB8)) | ((a >= 0xE5) & (a <= 0xE8)) | ((a == 0xE9) & (b <= 0xBD))
    kana = (a == 0xE3) & (
        ((b == 0x81) & (c >= 0x81)) | ((b == 0x82) & ((c <= 0x96) | (c >= 0xA1))) | ((b == 0x83) & (c <= 0xBA))
    )
    wide_letter = lead[han | kana]
    letter[wide_letter + 2] = True
    # U+3001, U+3002, U+300A..U+300F; ！（），：；？
    wide = (a == 0xE3) & (b == 0x80) & ((c == 0x81) | (c == 0x82) | ((c >= 0x8A) & (c <= 0x8F)))
    full = (a == 0xEF) & (b == 0xBC) & np.isin(c, (0x81, 0x88, 0x89, 0x8C, 0x9A, 0x9B, 0x9F))
    punctuation = lead[wide | full]
    return punctuation[punctuation > 0], wide_letter
