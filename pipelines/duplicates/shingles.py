"""Texts -> the hashed shingles that duplicates are judged by, for a whole batch at array speed.

    texts  ->  shingle_hashes     ->  (hashes, offsets)   near duplicates: shingle sets, true Jaccard
    texts  ->  normalized_hashes  ->  128 bits a text     exact duplicates

A *unit* is what a shingle counts. In a script with spaces it is a word: a run of letters, marks and digits. In a script
without spaces (Chinese, kana, Thai, Lao, Khmer, Burmese, Yi, ...) it is one character with the marks that follow it.
Everything else (punctuation, symbols, emoji, white space, controls) separates. Letters are case-folded. A *shingle* is
``shingle_size`` neighbouring units of one document:

    "The cat, the CAT!"  ->  the cat the cat        size 2  ->  {the cat, cat the}
    "東京タワー tower"    ->  東 京 タ ワ ー tower    size 5  ->  {東京タワー, 京タワーtower}

The work is done on UTF-8 bytes, as Arrow holds them: only characters outside ASCII are decoded. Numbers come from
integer arithmetic alone, so they are the same on every machine with the same Python minor version (Unicode tables).
"""

import functools
import hashlib
import itertools
import unicodedata
from collections.abc import Callable, Iterator, Sequence
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

#: 1 for the white space of ASCII, as `str.isspace` has it.
_SPACE_BYTES = bytes(b < 0x80 and chr(b).isspace() for b in range(256))

#: Text bytes handled at a time, so that the arrays stay in the second-level cache (whole documents, at least one).
BLOCK_BYTES = 1 << 18
#: A unit of more bytes than this goes through blake2b, lest a megabyte without a space cost 100,000 array passes.
LONG_UNIT_BYTES = 64
#: Where one byte in so many is outside ASCII, characters are gone through one by one.
DENSE = 3


def shingle_hashes(texts: Texts, shingle_size: int) -> tuple[U64, I64]:
    """The hashed shingles of each text, in reading order, repeats included.

    A text of fewer units than ``shingle_size`` gives one shingle, the whole text: two such texts are equal exactly when
    their units are. A text without any unit ("", "!!!", emoji alone) gives none: it has no near duplicates, and only
    `normalized_hashes` can say that it equals another.

    Args:
        texts: strings, or an Arrow array of (large) strings without nulls.
        shingle_size: units a shingle, at least 1.
    Returns:
        ``(hashes, offsets)``: hashes uint64 ``[n_shingles]``; offsets int64 ``[n_texts + 1]``: the shingles of text i
        are ``hashes[offsets[i] : offsets[i + 1]]``.
    Raises:
        ValueError: ``shingle_size`` < 1, a null, or an array that is not of strings.
    """
    if shingle_size < 1:
        raise ValueError(f"shingle_size is {shingle_size}, expected at least 1")
    data, ends = _utf8(texts)
    hashes, counts = [], []
    for first, last in row_blocks(ends, BLOCK_BYTES):
        text_ends = ends[first : last + 1] - ends[first]
        block = bytes(data[ends[first] : ends[last]])
        block_hashes, block_counts = _shingle_block(block, text_ends, shingle_size)
        hashes.append(block_hashes)
        counts.append(block_counts)
    offsets = np.zeros(len(ends), np.int64)
    np.cumsum(np.concatenate([np.empty(0, np.int64), *counts]), out=offsets[1:])
    return np.concatenate([np.empty(0, np.uint64), *hashes]), offsets


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
    data, ends = _utf8(texts)
    for first, last in row_blocks(ends, BLOCK_BYTES):
        text_ends = ends[first : last + 1] - ends[first]
        folded, starts, stops = _units(bytes(data[ends[first] : ends[last]]), text_ends)
        high = _high_characters(folded)
        alone = np.zeros(len(folded), bool)
        alone[high.leads] = _tables()[1].take(high.codes) >= UNIT
        hashes = _unit_hashes(folded, starts, stops)
        unit_ends = np.searchsorted(starts, text_ends + 1)  # the padding moved all by one
        yield first, last, TextUnits(folded, starts, stops, hashes, alone.take(starts), unit_ends, text_ends + 1)


def jaccard(a: U64, b: U64) -> tuple[int, int]:
    """(intersection, union) of two sets of shingle hashes, each sorted and without repeats (`numpy.unique`).

    Integers, so that a threshold is compared without rounding: ``100 * intersection >= 80 * union``. Two texts without
    units give (0, 0), which that comparison would accept: ask for ``union > 0`` too.
    """
    few, many = (a, b) if len(a) <= len(b) else (b, a)
    if not len(few):
        return 0, len(many)
    found = many.take(np.searchsorted(many, few), mode="clip") == few
    intersection = int(np.count_nonzero(found))
    return intersection, len(a) + len(b) - intersection


def normalized_hashes(texts: Texts, normalization: str = "whitespace") -> U64:
    """128 bits of each normalised text: equal for exact duplicates, and for nothing else that will ever be met.

    What two texts must have in common is a parameter: every byte ("none"); all but the amount and kind of white space
    ("whitespace": each run, line ends and U+3000 included, counts as one space, none at either end; no visible
    difference is forgiven); the letters and digits alone, case-folded ("letters"). A text of which nothing would remain
    is taken as it is written, so that "!!!" and "???" are never the same. Unicode forms are not: `clean` made them NFC.

    Args:
        texts: strings, or an Arrow array of (large) strings without nulls.
        normalization: a key of `NORMALIZATIONS`.
    Returns:
        uint64 ``[n_texts, 2]``: the two little-endian halves of BLAKE2b with a 16-byte digest.
    Raises:
        ValueError: an unknown normalization, a null, or an array that is not of strings.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization {normalization!r} is not one of {', '.join(NORMALIZATIONS)}")
    data, ends = _utf8(texts)
    digests = []
    for first, last in row_blocks(ends, BLOCK_BYTES):
        text_ends = ends[first : last + 1] - ends[first]
        block = bytes(data[ends[first] : ends[last]])
        normal, starts, stops = NORMALIZATIONS[normalization](block, text_ends)
        for text, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            taken = normal[start:stop] or block[text_ends[text] : text_ends[text + 1]]
            digests.append(hashlib.blake2b(taken, digest_size=16).digest())
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64, copy=False).reshape(-1, 2)


def _as_written(block: bytes, text_ends: I64) -> tuple[bytes, I64, I64]:
    return block, text_ends[:-1], text_ends[1:]


def _spaces_closed(block: bytes, text_ends: I64) -> tuple[bytes, I64, I64]:
    raw = np.frombuffer(block, np.uint8)
    if _is_dense(block):
        codes = np.frombuffer(block.decode("utf-8").encode("utf-32-le"), "<u4")
        return _close_gaps(raw, np.repeat(_tables()[1].take(codes) == SPACE, _num_bytes(codes)), text_ends)
    gaps = np.frombuffer(block.translate(_SPACE_BYTES), bool).copy()
    high = _high_characters(raw)
    gaps[high.places] = np.repeat(_tables()[1].take(high.codes) == SPACE, high.num_bytes)
    return _close_gaps(raw, gaps, text_ends)


def _letters_alone(block: bytes, text_ends: I64) -> tuple[bytes, I64, I64]:
    folded = _units(block, text_ends)[0][1 : len(block) + 1]
    return _close_gaps(folded, folded == 0, text_ends)


#: Parameter -> (bytes of a block of texts, where they end) -> (normalised bytes, where each text starts and stops).
NORMALIZATIONS: dict[str, Callable[[bytes, I64], tuple[bytes, I64, I64]]] = {
    "none": _as_written,
    "whitespace": _spaces_closed,
    "letters": _letters_alone,
}


def _close_gaps(letters: U8, gaps: npt.NDArray[np.bool_], text_ends: I64) -> tuple[bytes, I64, I64]:
    """The letters with each run of gaps as one space, but for those at the ends of a text."""
    # Few bytes are gaps and fewer go: the work is done at their places alone.
    places = np.flatnonzero(gaps)
    first_of_text = np.zeros(len(letters) + 1, bool)
    first_of_text[text_ends] = True
    goes = first_of_text.take(places)
    goes[1:] |= places[1:] == places[:-1] + 1
    closed = letters.copy()
    closed[places] = 0x20
    gone = places[goes]
    kept = np.ones(len(letters), bool)
    kept[gone] = False
    closed = closed[kept] if len(gone) else closed
    ends = text_ends - np.searchsorted(gone, text_ends)
    starts, stops = ends[:-1], ends[1:]
    ends_in_gap = (stops > starts) & (closed.take(stops - 1, mode="clip") == 0x20) if len(closed) else 0
    return closed.tobytes(), starts, stops - ends_in_gap


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


def _utf8(texts: Texts) -> tuple[bytes | memoryview, I64]:
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


def _shingle_block(block: bytes, text_ends: I64, size: int) -> tuple[U64, I64]:
    """Shingle hashes of a few texts and how many each has."""
    folded, starts, stops = _units(block, text_ends)
    units = _unit_hashes(folded, starts, stops)
    unit_ends = np.searchsorted(starts, text_ends + 1)  # the padding moved all by one
    num_units = np.diff(unit_ends)
    factors = constants64(size, seed=0)

    grams = np.zeros(len(units), np.uint64)
    for k in range(min(size, len(units))):
        grams[: len(units) - k] += units[k:] * factors[k]
    short = np.flatnonzero((num_units > 0) & (num_units < size))
    grams[unit_ends[short]] = 0
    for k in range(size - 1):
        long_enough = short[num_units[short] > k]
        grams[unit_ends[long_enough]] += units[unit_ends[long_enough] + k] * factors[k]

    # The last size - 1 units of a text begin no shingle, but for the first of a short text.
    counts = np.where(num_units > 0, np.maximum(num_units - (size - 1), 1), 0)
    firsts = np.cumsum(counts) - counts
    chosen = np.repeat(unit_ends[:-1] - firsts, counts) + np.arange(counts.sum())
    return mix64(grams.take(chosen)), counts


def _units(block: bytes, text_ends: I64) -> tuple[U8, I64, I64]:
    """The block with letters folded and separators 0, zeros around it, and where its units start and stop in that."""
    if _is_dense(block):
        return _units_of_characters(block, text_ends)
    ascii_folds, kinds, folds = _tables()
    padded = b"\0%b%b" % (block, bytes(8))
    raw = np.frombuffer(padded, np.uint8)
    folded = np.frombuffer(bytearray(padded.translate(ascii_folds)), np.uint8)
    split = np.zeros(len(raw), bool)
    high = _high_characters(raw)
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
    """What `_units` gives, character by character: twice as fast where most are outside ASCII, as in Chinese."""
    _, kinds, folds = _tables()
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


def _num_bytes(codes: npt.NDArray[np.uint32]) -> U8:
    """Bytes of each character in UTF-8."""
    return (codes >= 0x80).view(np.uint8) + (codes >= 0x800) + (codes >= 0x10000) + np.uint8(1)


class _HighCharacters(NamedTuple):
    """Those outside ASCII: where their bytes lie, where the first one of each lies, code points, bytes of each."""

    places: I64
    leads: I64
    codes: npt.NDArray[np.uint32]
    num_bytes: I64


def _high_characters(raw: U8) -> _HighCharacters:
    places = np.flatnonzero(raw >= 0x80)
    codes = np.frombuffer(raw.take(places).tobytes().decode("utf-8").encode("utf-32-le"), "<u4")
    num_bytes = 2 + (codes >= 0x800).astype(np.int64) + (codes >= 0x10000)
    return _HighCharacters(places, places.take(np.cumsum(num_bytes) - num_bytes), codes, num_bytes)


def _unit_hashes(folded: U8, starts: I64, stops: I64) -> U64:
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
def _tables() -> tuple[bytes, U8, npt.NDArray[np.uint32]]:
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
