"""Texts -> the units that shingles and windows count, for a whole batch at array speed.

A *unit* is a word in a script with spaces: a run of letters, marks and digits. In a script without spaces (Chinese,
kana, Thai, Lao, Khmer, Burmese, Yi, ...) it is one character with the marks that follow it. Everything else
(punctuation, symbols, emoji, white space, controls) separates. Letters are case-folded.

    "東京タワー tower"  ->  東 京 タ ワ ー tower

The work is done on UTF-8 bytes, as Arrow holds them; text that is mostly outside ASCII goes character by character.
Numbers come from integer arithmetic alone, so they are the same on every machine with the same Python minor version
(Unicode tables).
"""

import functools
import hashlib
import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Texts: TypeAlias = Sequence[str] | pa.Array

# Kinds of characters; the first two separate.
SPACE, SEPARATOR, WORD, UNIT, MARK = range(5)


#: Blocks of code points whose writing puts no spaces between words: a letter there is a unit of its own.
UNSPACED = (
    (0x0E00, 0x0F00),  # Thai, Lao
    (0x1000, 0x10A0),  # Burmese
    (0x1780, 0x1800),  # Khmer
    (0x1950, 0x19E0),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AB0),  # Tai Tham
    (0x3000, 0x3130),  # 々 〆 〇, kana, bopomofo
    (0x3190, 0x3200),  # bopomofo and katakana extensions
    (0x3400, 0xA4D0),  # Chinese characters, Yi
    (0xA9E0, 0xAA00),  # Burmese extension B
    (0xAA60, 0xAAE0),  # Burmese extension A, Tai Viet
    (0xF900, 0xFB00),  # compatibility Chinese characters
    (0xFF66, 0xFFA0),  # half-width katakana
    (0x16FE0, 0x18E00),  # Tangut, Khitan
    (0x1AFF0, 0x1B300),  # kana supplements, Nushu
)
#: What the categories are worth there; elsewhere letters, marks and numbers all make words.
UNSPACED_KINDS = {"Lo": UNIT, "Lm": UNIT, "Nl": UNIT, "No": UNIT, "Mn": MARK, "Mc": MARK, "Nd": WORD}
#: Planes 2 and 3 hold Chinese characters alone, assigned or yet to come.
IDEOGRAPHIC_PLANES = slice(0x20000, 0x40000)
#: Attached to the character before, whatever it is: variation selectors, half-width voicing marks.
ATTACHED = (slice(0xFE00, 0xFE10), slice(0xFF9E, 0xFFA0), slice(0xE0100, 0xE01F0))

#: Text bytes handled at a time, so that the arrays stay in the second-level cache (whole documents, at least one).
BLOCK_BYTES = 1 << 18
#: A unit of more bytes than this goes through blake2b, lest a megabyte without a space cost 100,000 array passes.
LONG_UNIT_BYTES = 64
#: Where one byte in so many is outside ASCII, characters are gone through one by one.
DENSE = 3


class TextUnits(NamedTuple):
    """The units of some texts, end to end in reading order.

    Attributes:
        folded: the letters, case-folded; 0 stands for what separates. Byte b of the texts lies at b + 1.
        starts: where each unit begins in ``folded``; int64, as ``stops``.
        hashes: of each unit, uint64; units with equal letters have equal ones.
        alone: whether the unit is a character of a script without spaces, and no word.
        text_ends: the units of text i are ``text_ends[i] : text_ends[i + 1]``; int64 ``[n_texts + 1]``.
        byte_ends: its bytes are ``byte_ends[i] : byte_ends[i + 1]`` of ``folded``.
    """

    folded: U8
    starts: I64
    stops: I64
    hashes: U64
    alone: npt.NDArray[np.bool_]
    text_ends: I64
    byte_ends: I64


def unit_blocks(texts: Texts) -> Iterator[tuple[int, int, TextUnits]]:
    """(first, last, units of ``texts[first:last]``), a few texts at a time, until all had their turn.

    Raises:
        ValueError: a null, or an array that is not of strings.
    """
    data, ends = utf8_bytes(texts)
    for first, last in row_blocks(ends, BLOCK_BYTES):
        text_ends = ends[first : last + 1] - ends[first]
        folded, starts, stops = find_units(bytes(data[ends[first] : ends[last]]), text_ends)
        high = high_characters(folded)
        alone = np.zeros(len(folded), bool)
        alone[high.leads] = character_tables()[1].take(high.codes) >= UNIT
        hashes = hash_units(folded, starts, stops)
        unit_ends = np.searchsorted(starts, text_ends + 1)  # the padding moved all by one
        yield first, last, TextUnits(folded, starts, stops, hashes, alone.take(starts), unit_ends, text_ends + 1)


def mix64(values: U64) -> U64:
    """The values, scrambled in place by the finalizer of SplitMix64 (Steele et al. 2014): a bijection of 64 bits."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)
    return values


def constants64(count: int, seed: int) -> U64:
    """``count`` odd pseudo-random multipliers, a pure function of the seed; uint64 ``[count]``."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mix64(steps ^ mix64(np.array([seed], np.uint64))) | np.uint64(1)


def utf8_bytes(texts: Texts) -> tuple[bytes | memoryview, I64]:
    """The UTF-8 bytes of all texts, end to end, and where each begins and ends, int64 ``[n_texts + 1]``."""
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        raise ValueError(f"texts are of type {array.type}, expected string or large_string")
    if array.null_count:
        raise ValueError(f"{array.null_count} of {len(array)} texts are null")
    if not len(array):
        return b"", np.zeros(1, np.int64)
    _, offsets, values = array.buffers()
    width = np.int32 if pa.types.is_string(array.type) else np.int64
    ends = np.frombuffer(offsets, width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    return memoryview(values) if values is not None else b"", ends


def row_blocks(ends: I64, size: int) -> Iterator[tuple[int, int]]:
    """(first, last) of runs of rows that begin in the same ``size``; ``ends`` int64 ``[n_rows + 1]``, ascending."""
    cuts = np.arange(ends[0], ends[-1], size)[1:]
    edges = np.unique(np.concatenate([[0], np.searchsorted(ends[:-1], cuts), [len(ends) - 1]]))
    yield from itertools.pairwise(edges.tolist())


def find_units(block: bytes, text_ends: I64) -> tuple[U8, I64, I64]:
    """The block with letters folded and separators 0, zeros around it, and where its units start and stop in that."""
    if _is_dense(block):
        return _units_of_characters(block, text_ends)
    ascii_folds, kinds, folds = character_tables()
    padded = b"\0%b%b" % (block, bytes(8))
    raw = np.frombuffer(padded, np.uint8)
    folded = np.frombuffer(bytearray(padded.translate(ascii_folds)), np.uint8)
    split = np.zeros(len(raw), bool)
    high = high_characters(raw)
    if len(high.codes):
        kind = kinds.take(high.codes)
        letters = np.frombuffer(folds.take(high.codes).tobytes().decode("utf-32-le").encode("utf-8"), np.uint8)
        folded[high.places] = letters * np.repeat(kind > SEPARATOR, high.num_bytes)
        split[high.leads + high.num_bytes] = kind >= UNIT
        split[high.leads] = (kind == UNIT) | ((kind != MARK) & split.take(high.leads))
    split[text_ends + 1] = True

    text = folded != 0
    before = np.zeros(len(text), bool)
    before[1:] = text[:-1]
    starts = np.flatnonzero(text & (split | ~before))
    stops = np.flatnonzero(before & (split | ~text))
    return folded, starts, stops


def _is_dense(block: bytes) -> bool:
    return bool(DENSE * np.count_nonzero(np.frombuffer(block, np.int8) < 0) > len(block))


def _units_of_characters(block: bytes, text_ends: I64) -> tuple[U8, I64, I64]:
    """What `find_units` gives, character by character: twice as fast where most are outside ASCII, as in Chinese."""
    _, kinds, folds = character_tables()
    codes = np.frombuffer(block.decode("utf-8").encode("utf-32-le"), "<u4")
    kind, forms = kinds.take(codes), folds.take(codes)
    text = kind > SEPARATOR
    places = np.empty(len(codes) + 1, np.int64)
    places[:-1] = np.flatnonzero(np.frombuffer(block, np.int8) >= -64)  # the first byte of each character
    places[-1] = len(block)
    places += 1  # the padding moves all by one
    folded = np.zeros(len(block) + 9, np.uint8)
    folded[1 : len(block) + 1] = np.frombuffer(block, np.uint8)
    changed = np.flatnonzero(forms != codes)
    if len(changed):
        letters = forms[changed].tobytes().decode("utf-32-le").encode("utf-8")
        folded[_bytes_of(changed, places)] = np.frombuffer(letters, np.uint8)
    folded[_bytes_of(np.flatnonzero(~text), places)] = 0

    # A unit begins or ends before each character, and behind the last one.
    cut = np.ones(len(codes) + 1, bool)
    np.equal(kind, UNIT, out=cut[:-1])
    cut[1:-1] |= (kind[:-1] >= UNIT) & (kind[1:] != MARK)
    cut[np.searchsorted(places, text_ends + 1)] = True
    begins, stops = np.zeros(len(cut), bool), np.zeros(len(cut), bool)
    begins[:-1], stops[1:] = text, text
    both = begins & stops
    begins &= cut | ~both
    stops &= cut | ~both
    return folded, places.take(np.flatnonzero(begins)), places.take(np.flatnonzero(stops))


def _bytes_of(characters: I64, places: I64) -> I64:
    """Where the bytes of some characters lie; ``places`` int64 ``[n_characters + 1]``: where each begins."""
    starts = places.take(characters)
    lengths = places.take(characters + 1) - starts
    return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())


class HighCharacters(NamedTuple):
    """Those outside ASCII: where their bytes lie, where the first one of each lies, code points, bytes of each."""

    places: I64
    leads: I64
    codes: npt.NDArray[np.uint32]
    num_bytes: I64


def high_characters(raw: U8) -> HighCharacters:
    places = np.flatnonzero(raw >= 0x80)
    codes = np.frombuffer(raw.take(places).tobytes().decode("utf-8").encode("utf-32-le"), "<u4")
    num_bytes = 2 + (codes >= 0x800).astype(np.int64) + (codes >= 0x10000)
    return HighCharacters(places, places.take(np.cumsum(num_bytes) - num_bytes), codes, num_bytes)


def hash_units(folded: U8, starts: I64, stops: I64) -> U64:
    """A hash of the bytes of each unit: eight bytes at a time, for all units that have so many."""
    # A view of the eight bytes from each position on; no unit holds a zero, so zeros can fill up the last eight.
    eights = np.ndarray((len(folded) - 7,), "<u8", folded, strides=(1,))
    factor, seed = (int(value) for value in constants64(2, seed=1))
    masks = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)
    lengths = stops - starts
    hashes = np.full(len(starts), seed, np.uint64)
    for done in range(0, LONG_UNIT_BYTES, 8):
        chosen = np.flatnonzero(lengths > done) if done else slice(None)
        places = starts[chosen] + done
        if not len(places):
            break
        part = eights[places] & masks.take(lengths[chosen] - done, mode="clip")
        part ^= hashes[chosen]
        part *= np.uint64(factor)
        part ^= part >> np.uint64(32)
        hashes[chosen] = part
    for unit in np.flatnonzero(lengths > LONG_UNIT_BYTES).tolist():
        digest = hashlib.blake2b(folded[starts[unit] : stops[unit]].tobytes(), digest_size=8).digest()
        hashes[unit] = int.from_bytes(digest, "little")
    return hashes


@functools.cache
def character_tables() -> tuple[bytes, U8, npt.NDArray[np.uint32]]:
    """Folded ASCII bytes with 0 for separators; kind and folded form of each code point. Built on first use (0.1 s)."""
    ascii_folds = bytes(b if b >= 0x80 else chr(b).isalnum() * ord(chr(b).lower()) for b in range(256))
    kinds = np.full(0x110000, SEPARATOR, np.uint8)
    folds = np.arange(0x110000, dtype=np.uint32)
    categories = [unicodedata.category(chr(code)) for code in range(0x20000)]
    kinds[: len(categories)] = [WORD if category[0] in "LMN" else SEPARATOR for category in categories]
    for begin, end in UNSPACED:
        kinds[begin:end] = [UNSPACED_KINDS.get(category, SEPARATOR) for category in categories[begin:end]]
    kinds[IDEOGRAPHIC_PLANES] = UNIT
    for attached in ATTACHED:
        kinds[attached] = MARK
    kinds[[code for code in range(0x3001) if chr(code).isspace()]] = SPACE
    for code, category in enumerate(categories):
        if category in ("Lu", "Ll", "Lt", "Nl"):
            letter = chr(code)
            # A form of another length in UTF-8 cannot stand in its letter's place: U+212A and 32 others stay.
            for form in (letter.lower(), letter.casefold()):
                if len(form) == 1 and len(form.encode()) == len(letter.encode()):
                    folds[code] = ord(form)
    return ascii_folds, kinds, folds
