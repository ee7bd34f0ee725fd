"""A linear model of quality: how likely a text is one of the positive sources' rather than of the negative ones'.

    TextTable  ->  hashed_features  ->  weights x features / length of the features  ->  sigmoid  ->  0 ... 1000

A feature is a word, a pair of neighbouring words, or in scripts without spaces also three letters in a row, as
`pipelines.cleaning.text_table` cuts them; it is known by the first bits of its hash alone. Only the beginning of a text
is read, and a feature that comes again and again counts so many times and no more. `pipelines.quality` trains the model.

All arithmetic is on whole numbers, so a text has the same score on every machine and in every batch. A fraction is a
multiple of 2^-24 (`ONE` is 1). Source: hashed features, Weinberger et al. 2009, arXiv 0902.2206; such a classifier as a
filter of web text, Brown et al. 2020, arXiv 2005.14165, appendix A.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.cleaning.hashing import HASH_FACTOR, U64
from pipelines.cleaning.scripts import IDEOGRAM
from pipelines.cleaning.text_table import I64, Bools, TextTable, ends_of
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.units import stamp_of

I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]

FRACTION_BITS = 24
ONE = 1 << FRACTION_BITS
#: Of 1 / (length of a text's counts). Weights below 2^31, the root of 2^18 features, and these make less than 2^63.
INVERSE_BITS = 20
#: The sigmoid is tabled in steps of 2^-8 up to 16, where it is 1 - 2^-23.
STEP_BITS = FRACTION_BITS - 8
TABLED_STEPS = 16 << 8
#: An ideogram says about as much as three letters.
CHARS_PER_IDEOGRAM = 3

MODEL_COLUMN = "weight"
SETTINGS_KEY = b"settings"


@dataclasses.dataclass(frozen=True)
class QualityParams:
    """``params.yaml: clean.rules.quality``."""

    min_score: int  # thousandths


@dataclasses.dataclass(frozen=True)
class FeatureSettings:
    """What of a text becomes features."""

    max_chars: int  # words that begin after so many characters are not read; an ideogram counts as three
    max_count: int  # a feature counts so often at most
    num_bits: int  # of a feature's hash


class Features(NamedTuple):
    """The features of some texts, those of one text side by side, ascending and each once."""

    ends: I64  # [n_texts + 1]: where each text's begin and end
    indices: U32  # [n_features]: below 2^num_bits
    counts: npt.NDArray[np.uint8]  # [n_features]: 1 ... max_count


@dataclasses.dataclass(frozen=True)
class QualityModel:
    """The weights that `pipelines.quality` learned, and all that scoring must know.

    Attributes:
        weights: int32 ``[2^num_bits]``, multiples of 2^-24.
        settings: of the features.
        languages: of the texts that it learned from; it says nothing of others.
    """

    weights: I32
    settings: FeatureSettings
    languages: tuple[str, ...]

    @classmethod
    def load(cls, path: str) -> "QualityModel":
        """The model of a ``model.arrow``, a path or a place; a process reads it once, so pass that around, not the model.

        Raises:
            CorpusmillError: no such file, or no model in it.
        """
        # An object never changes under its name, so it is asked for once.
        return _load(path, None if storage.is_remote(path) else stamp_of(path))

    def metadata(self) -> Mapping[bytes, bytes]:
        """What its file's schema says beside the weights."""
        document = {"features": dataclasses.asdict(self.settings), "languages": list(self.languages)}
        return {SETTINGS_KEY: json.dumps(document, sort_keys=True).encode()}

    def scores(self, table: TextTable) -> I64:
        """How likely each text is a good one, in thousandths, int64 ``[n_texts]``; 500 for a text without words."""
        return thousandths(margins(self.weights, hashed_features(table, self.settings)))

    def judges(self, table: TextTable) -> Bools:
        """Which texts it can say something of: those of its languages that hold a word; bool ``[n_texts]``."""
        return np.isin(np.array(table.languages), self.languages) & (table.num_words > 0)


def hashed_features(table: TextTable, settings: FeatureSettings) -> Features:
    """The features of each text of a table; they do not depend on the other texts."""
    places = first_words(table, settings.max_chars)
    num_texts, bits, shift = len(table.languages), settings.num_bits, np.uint64(64 - settings.num_bits)
    # A key is a text and a feature; short ones are sorted in half the time.
    kind: Any = np.uint32 if (num_texts + 1) << bits < 1 << 32 else np.uint64
    texts = table.words.texts[places].astype(kind) << kind(bits)
    sizes = runs(table, places)
    # The keys alone are sorted, and equal ones are alike: any way of sorting gives the same.
    keys = np.sort(np.concatenate([(texts[: len(h)] | (h >> shift).astype(kind))[whole] for h, whole in sizes]))
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    found = keys[firsts]
    counts = np.minimum(np.diff(firsts, append=len(keys)), settings.max_count)
    ends: I64 = np.searchsorted(found, np.arange(num_texts + 1).astype(kind) << kind(bits))
    indices = found.astype(np.uint32) & np.uint32((1 << bits) - 1)
    return Features(ends, indices, counts.astype(np.uint8))


def runs(table: TextTable, places: I64) -> list[tuple[U64, Bools]]:
    """For runs of 1, 2 and 3 words: the hash of the run that begins at each place, and which of them are features.

    Args:
        table: of the texts.
        places: of words, as `first_words` gives them.
    Returns:
        a pair of arrays for each size, ``[n_places]``, ``[n_places - 1]`` and ``[n_places - 2]``.
    """
    words, texts = table.words.hashes[places], table.words.texts[places]
    # Words' hashes are even over 64 bits, and so is the sum of two; the factor tells "a b" from "b a".
    pairs = words[:-1] * HASH_FACTOR + words[1:]
    in_one_text = texts[1:] == texts[:-1]
    sizes = [(words, np.ones(len(words), np.bool_)), (pairs, in_one_text)]
    units = table.words.kinds[places] >= IDEOGRAM
    if units.any():
        spelt = in_one_text & units[1:] & units[:-1]
        sizes.append((pairs[:-1] * HASH_FACTOR + words[2:], spelt[1:] & spelt[:-1]))
    return sizes


def first_words(table: TextTable, max_chars: int) -> I64:
    """The places of the words that begin within the first characters of their text, white space not counted."""
    words = table.words
    widths = words.chars + (CHARS_PER_IDEOGRAM - 1) * (words.kinds == IDEOGRAM)
    before = ends_of(widths)
    starts = np.repeat(before[table.text_words[:-1]], table.num_words)
    return np.flatnonzero(before[:-1] - starts < max_chars)


def margins(weights: npt.NDArray[np.signedinteger], features: Features) -> I64:
    """The sum of each text's weights x features, by the length of its features, in multiples of 2^-24; ``[n_texts]``."""
    counts = features.counts.astype(np.int64)
    sums = np.diff(ends_of(weights.take(features.indices) * counts)[features.ends])
    return sums * inverse_lengths(features) >> INVERSE_BITS


def inverse_lengths(features: Features) -> I64:
    """1 / (Euclidean length of a text's counts) in multiples of 2^-20, 0 for a text without features; ``[n_texts]``."""
    counts = features.counts.astype(np.int64)
    squares = np.diff(ends_of(counts * counts)[features.ends])
    inverses = [math.isqrt((1 << 2 * INVERSE_BITS) // square) if square else 0 for square in squares.tolist()]
    return np.array(inverses, np.int64)


def thousandths(margins: I64) -> I64:
    """The probabilities of margins, 0 to 1000."""
    return sigmoid(margins) * 1000 + ONE // 2 >> FRACTION_BITS


def sigmoid(margins: I64) -> I64:
    """1 / (1 + e^-margin) for multiples of 2^-24, in such; of -m exactly 1 - that of m."""
    table = sigmoid_table()
    steps = np.minimum(np.abs(margins) >> STEP_BITS, TABLED_STEPS - 1)
    return np.where(margins < 0, ONE - table[steps], table[steps])


@functools.cache
def sigmoid_table() -> I64:
    """The sigmoid of 0, 1/256, 2/256, ... to 16, by decimal arithmetic, which unlike `math.exp` rounds alike everywhere."""
    exponentials = [(Decimal(-step) / 256).exp() for step in range(TABLED_STEPS)]
    return np.array([round(ONE / (1 + exponential)) for exponential in exponentials], np.int64)


@functools.lru_cache(maxsize=1)
def _load(path: str, stamp: tuple[int, int] | None) -> QualityModel:
    """The model of a file, read again when its stamp is another."""
    try:
        with pa.OSFile(str(storage.local_copy(path))) as file, pa.ipc.open_stream(file) as stream:
            document = json.loads((stream.schema.metadata or {})[SETTINGS_KEY])
            weights = stream.read_all().column(MODEL_COLUMN).to_numpy()
        model = QualityModel(weights, FeatureSettings(**document["features"]), tuple(document["languages"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorpusmillError(
            f"not a quality model: {error}",
            where=path,
            hint="run `dvc repro quality` with sources named in params.yaml",
        ) from None
    if len(weights) != 1 << model.settings.num_bits:
        raise CorpusmillError(
            "a damaged quality model", where=path, expected=f"{1 << model.settings.num_bits:,} weights",
            got=f"{len(weights):,}", hint="run `dvc repro quality`",
        )  # fmt: skip
    return model
