"""Texts -> chunks: cuts that every pattern makes, so that a chunk which stands a thousand times is looked at once.

    "The cat, the cat.\\nIt ran"  ->  "The", " cat", ",", " the", " cat", ".\\n", "It", " ran"

A pattern matches from left to right and looks behind nowhere, so a text may be cut where a match is sure to end and the
parts pre-tokenised apart. Sure, in each pattern of ``tokenizer.patterns``, are the borders

    space      non-whitespace | " " before non-whitespace   only a match's first character may be a space
    sign       letter or digit | sign                       no match goes on from a letter to a sign but to "'s"
    number     letter or sign | digit, digit | letter       no match holds digits and anything else but a space
    newline    non-whitespace, "\\n" | ASCII letter or digit (before two newlines gpt2 looks ahead)
    after      sign | letter                                in gpt2 and cjk
    signs      space or sign but "/", sign | letter         in cl100k and o200k, where one sign may begin a word; "/" may
                                                            end o200k's match of a sign, newlines and slashes

where signs are ASCII's punctuation but "'", and the common ones of Chinese and Japanese; letters and digits are those that
are cheap to tell in UTF-8. A border that is not seen costs time, never exactness. A chunk has no sure border inside it
that is seen; it may still hold several pre-tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

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
_SIGN = _bytes_where("".join(chr(byte) for byte in range(0x21, 0x7F) if not chr(byte).isalnum()).replace("'", ""))
_SLASH = ord("/")
_FULL_WIDTH = np.isin(np.arange(256), (0x81, 0x88, 0x89, 0x8C, 0x9A, 0x9B, 0x9F))
#: The signs beyond ASCII, three bytes each, as a class of a regular expression: “”‘’…—、。《》「」『』！（），：；？
WIDE_SIGNS = "\u2014\u2018\u2019\u201c\u201d\u2026\u3001\u3002\u300a-\u300f\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"


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
    texts = offsets[:-1][np.diff(offsets) > 0]
    begins[texts] = True
    for start in range(0, len(data), _BLOCK):
        # A block sees eight bytes of its neighbours; zeros after the last, so that its last character is seen whole too.
        first, last = max(0, start - 8), start + _BLOCK + 8
        block = data[first:last] if last <= len(data) else np.append(data[first:], np.zeros(2, np.uint8))
        text_begins = texts[np.searchsorted(texts, first) : np.searchsorted(texts, last)] - first
        borders = _borders_in(block, text_begins, cuts_after_punctuation)[start - first :]
        begins[start : start + _BLOCK] |= borders[: min(_BLOCK, len(data) - start)]
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


@dataclass
class _Classes:
    """Masks over a block's bytes: whitespace, all bytes of a character; where letters, digits and signs begin and end."""

    whitespace: np.ndarray
    letter_begins: np.ndarray
    letter_ends: np.ndarray
    digit_begins: np.ndarray
    digit_ends: np.ndarray
    sign_begins: np.ndarray
    sign_ends: np.ndarray


def _borders_in(block: np.ndarray, text_begins: np.ndarray, cuts_after_punctuation: bool) -> np.ndarray:
    """Mask of the sure borders in a block of text; near its ends they may be missed, never invented.

    Args:
        block: bytes of texts, one after another.
        text_begins: where texts begin in it. Only for "signs" it matters that what stands before is another text's.
        cuts_after_punctuation: as in `chunk_starts`.
    """
    of = _classes(block)
    before = slice(None, -1)
    border = np.zeros(len(block), bool)
    border[1:] = (of.letter_ends | of.digit_ends)[before] & of.sign_begins[1:]
    border[1:] |= (of.letter_ends | of.sign_ends)[before] & of.digit_begins[1:]
    border[1:] |= of.digit_ends[before] & of.letter_begins[1:]
    if cuts_after_punctuation:
        border[1:] |= of.sign_ends[before] & of.letter_begins[1:]
    else:
        first_sign = (of.sign_ends | (block == 0x20)) & (block != _SLASH)
        second_sign = np.append(False, of.sign_begins[1:] & first_sign[before])
        second_sign[text_begins] = False
        second = np.flatnonzero(second_sign)
        behind = second + np.where(block[second] < 0x80, 1, 3)
        behind = behind[behind < len(block)]
        border[behind[of.letter_begins[behind]]] = True
    border[2:] |= ~of.whitespace[:-2] & (block[1:-1] == 0x0A) & _ALNUM[block[2:]]
    border[1:-1] |= (block[1:-1] == 0x20) & ~of.whitespace[:-2] & ~of.whitespace[2:]
    return border


def _classes(block: np.ndarray) -> _Classes:
    letter, digit, sign = _LETTER[block], _DIGIT[block], _SIGN[block]
    lead = np.flatnonzero(block[:-2] >= 0xC2)
    if not len(lead):
        return _Classes(block <= 0x20, letter, letter, digit, digit, sign, sign)
    # Control characters count as whitespace too, which is harmless.
    of = _Classes(block <= 0x20, letter, letter.copy(), digit, digit.copy(), sign, sign.copy())
    a, b, c = block[lead], block[lead + 1], block[lead + 2]
    for place in _whitespace(lead, a, b, c):
        of.whitespace[place] = True
    # U+00C0..U+00FF without the signs of multiplication and division; U+0410..U+045F.
    two = lead[((a == 0xC3) & (b != 0x97) & (b != 0xB7)) | ((a == 0xD0) & (b >= 0x90)) | ((a == 0xD1) & (b <= 0x9F))]
    of.letter_begins[two] = of.letter_ends[two + 1] = True
    # U+4E00..U+9F7F; U+3041..U+3096 and U+30A1..U+30FA without the marks between them.
    han = ((a == 0xE4) & (b >= 0xB8)) | ((a >= 0xE5) & (a <= 0xE8)) | ((a == 0xE9) & (b <= 0xBD))
    hiragana = ((b == 0x81) & (c >= 0x81)) | ((b == 0x82) & (c <= 0x96))
    katakana = ((b == 0x82) & (c >= 0xA1)) | ((b == 0x83) & (c <= 0xBA))
    three = lead[han | ((a == 0xE3) & (hiragana | katakana))]
    of.letter_begins[three] = of.letter_ends[three + 2] = True
    full = lead[(a == 0xEF) & (b == 0xBC) & (c >= 0x90) & (c <= 0x99)]  # U+FF10..U+FF19
    of.digit_begins[full] = of.digit_ends[full + 2] = True
    signs = _wide_signs(lead, a, b, c)
    of.sign_begins[signs] = of.sign_ends[signs + 2] = True
    return of


def _whitespace(lead: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    """The places of the bytes of whitespace beyond ASCII, and of a few look-alikes; a, b, c: the bytes from ``lead`` on."""
    two = lead[(a == 0xC2) & ((b == 0x85) | (b == 0xA0))]  # U+0085, U+00A0
    spaces = (c <= 0x8A) | (c == 0xA8) | (c == 0xA9) | (c == 0xAF)  # U+2000..U+200A, U+2028, U+2029, U+202F
    general = (a == 0xE2) & (((b == 0x80) & spaces) | ((b == 0x81) & (c == 0x9F)))  # U+205F
    ogham = (a == 0xE1) & ((b == 0x9A) | (b == 0xA0))  # U+1680 and its block, U+180E and its block
    three = lead[general | ogham | ((a == 0xE3) & (b == 0x80) & (c == 0x80))]  # U+3000
    return two, two + 1, three, three + 1, three + 2


def _wide_signs(lead: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Where `WIDE_SIGNS` begin."""
    marks = (c == 0x94) | (c == 0x98) | (c == 0x99) | (c == 0x9C) | (c == 0x9D) | (c == 0xA6)
    general = (a == 0xE2) & (b == 0x80) & marks
    wide = (a == 0xE3) & (b == 0x80) & ((c == 0x81) | (c == 0x82) | ((c >= 0x8A) & (c <= 0x8F)))
    full = (a == 0xEF) & (b == 0xBC) & _FULL_WIDTH[c]
    return lead[general | wide | full]
