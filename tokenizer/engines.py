"""Engines: texts to token ids. The fastest exact ones, and ``tokenizers``, which they are checked against.

    `gigatoken`   30 times as fast on English, 6 on Chinese; knows the patterns gpt2, cl100k-1, cl100k-3 and o200k-3
    `Chunks`      our other patterns: each distinct chunk once (`tokenizer.chunks`), by gigatoken where one of its patterns
                  is sure to cut alike, by ``tokenizers`` where not
    `reference`   ``tokenizers`` itself, for all else

All take an Arrow string column and give flat ids uint32 ``[tokens]`` and offsets int64 ``[texts + 1]``; none adds a
special token, and none can see one in a text: they load the tokenizer without its added tokens.

gigatoken's Unicode tables are newer than those inside ``tokenizers``: of all code points 4,699 are cut otherwise, every
one unassigned in Python's own tables. Texts that hold an unassigned code point go to the reference, of long ones the
pieces that hold one. Its cache of pre-tokens grows without end, by 12 MB for each MB of new ones (English soon has few,
Chinese clauses are all new): once the process has grown by half a gigabyte it is loaded anew, which takes 0.1 s.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from tokenizer.chunks import chunk_starts, chunks, text_buffer
from tokenizer.counting import WHOLE
from tokenizer.patterns import cuts_after_punctuation, pattern_of, pre_tokenizer
from tokenizer.unassigned import texts_at, texts_with_unassigned, unassigned_places

# One process a core, one shard a process: threads inside an engine would only compete with them.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

#: Set to "tokenizers" to encode everything with the reference: for a text on which the engines differ.
ENGINE_VARIABLE = "CORPUSMILL_ENGINE"
#: gigatoken is loaded anew when the process has grown by so many bytes since, which is looked at after so much text.
RENEW_GROWTH, LOOK_AFTER = 512 << 20, 16 << 20
#: Longer texts with an unassigned code point are cut into pieces of about this size.
PIECE_BYTES = 1 << 16
#: An encoding of ``tokenizers`` takes some 100 bytes a token.
REFERENCE_CHARS = 1 << 20

#: The pattern of gigatoken's that cuts most chunks as the key does, and which chunks those are, or are not. cjk is cl100k
#: for plain words, contractions and signs; the rest is read from `tokenizer.counting`'s whole chunks.
_TWIN = {
    "cl100k-2": "cl100k-3", "o200k-1": "o200k-3", "o200k-2": "o200k-3",
    "cjk-1": "cl100k-1", "cjk-2": "cl100k-3", "cjk-3": "cl100k-3",
}  # fmt: skip
_HAS_NUMBER = r"\pN"
_CJK_ALIKE = r" ?[A-Za-z]+(?:'(?:s|t|re|ve|m|ll|d))?| ?[!-&(-/:-@\[-`{-~]+\n+"

Encoded = tuple[np.ndarray, np.ndarray]
Engine = Callable[[pa.Array], Encoded]


def reference(tokenizer_json: dict[str, Any]) -> Engine:
    """``tokenizers``: what defines the ids.

    Raises:
        Exception: the library does not load it; it raises nothing more exact.
    """
    tokenizer = Tokenizer.from_str(_loaded(tokenizer_json))

    def encode(texts: pa.Array) -> Encoded:
        arrays: list[np.ndarray] = []
        group: list[str] = []
        num_chars = 0
        for text in texts.to_pylist():
            group.append(text)
            num_chars += len(text)
            if num_chars >= REFERENCE_CHARS:
                arrays += _ids(tokenizer, group)
                group, num_chars = [], 0
        arrays += _ids(tokenizer, group)
        return joined(arrays)

    return encode


def fastest(tokenizer_json: dict[str, Any], checked: Engine) -> Engine:
    """The fastest engine that gives the same ids as ``checked``, the reference.

    Only for byte-level tokenizers with one of our patterns and no normalizer: of others it is not known that they are
    cut alike, nor where they are sure to be cut.
    """
    pattern = pattern_of(tokenizer_json.get("pre_tokenizer"))
    if os.environ.get(ENGINE_VARIABLE) == "tokenizers" or pattern is None or not _is_plain(tokenizer_json):
        return checked
    twin = {**tokenizer_json, "pre_tokenizer": json.loads(pre_tokenizer(_TWIN.get(pattern, pattern)).__getstate__())}
    try:
        gigatoken = Gigatoken(_loaded(twin), checked)
    except (RuntimeError, ValueError):  # it does not know the model
        return checked
    return Chunks(pattern, gigatoken, checked) if pattern in _TWIN else gigatoken


def _is_plain(tokenizer_json: dict[str, Any]) -> bool:
    affixes = (tokenizer_json["model"].get(name) for name in ("continuing_subword_prefix", "end_of_word_suffix"))
    return tokenizer_json.get("normalizer") is None and not any(affixes)


class Gigatoken:
    """gigatoken on the calling thread, straight from Arrow's buffers; doubtful texts go to the reference.

    Raises:
        RuntimeError: it does not know the pattern or the model.
    """

    def __init__(self, tokenizer_json: str, checked: Engine) -> None:
        self._json, self._checked = tokenizer_json, checked
        self._num_bytes = self._resident = 0
        self._load()

    def __call__(self, texts: pa.Array) -> Encoded:
        data, offsets = text_buffer(texts)
        self._num_bytes += len(data)
        if self._num_bytes > LOOK_AFTER:
            self._num_bytes = 0
            if resident_bytes() - self._resident > RENEW_GROWTH:
                self._load()
        places = unassigned_places(data)
        if not len(places):
            return self._encode(data, offsets)
        # Of a long text only the pieces around such places need the reference, which is slow and takes much memory.
        pieces = _cut_long(data, offsets, texts_at(places, offsets))
        doubtful = texts_at(places, pieces)
        ids, borders = self._encode(data, pieces)
        arrays = np.split(ids, borders[1:-1])
        strings = [data[pieces[piece] : pieces[piece + 1]].tobytes() for piece in doubtful.tolist()]
        again, begins = self._checked(pa.array(strings, pa.large_string()))
        for place, piece in enumerate(doubtful.tolist()):
            arrays[piece] = again[begins[place] : begins[place + 1]]
        ids, borders = joined(arrays)
        return ids, borders[np.searchsorted(pieces, offsets)]

    def _encode(self, data: np.ndarray, offsets: np.ndarray) -> Encoded:
        import awkward
        from awkward.contents import ListOffsetArray, NumpyArray

        if len(offsets) == 1:
            return joined([])
        chars = NumpyArray(data, parameters={"__array__": "char"})
        strings = ListOffsetArray(awkward.index.Index64(offsets), chars, parameters={"__array__": "string"})
        layout = self._backend.encode_batch(awkward.Array(strings), parallel=False).layout
        return np.asarray(layout.content.data), np.asarray(layout.offsets.data).astype(np.int64, copy=False)

    def _load(self) -> None:
        import gigatoken

        self._backend = gigatoken.Tokenizer.from_json(self._json)
        self._num_bytes = 0
        self._resident = resident_bytes()


class Chunks:
    """The ids of texts by their distinct chunks; ``twin`` encodes those that its own pattern cuts alike."""

    def __init__(self, pattern: str, twin: Engine, checked: Engine) -> None:
        self._pattern, self._twin, self._checked = pattern, twin, checked

    def __call__(self, texts: pa.Array) -> Encoded:
        found = chunks(texts, cuts_after_punctuation(self._pattern)).dictionary_encode()
        ids, borders = self._encode_distinct(found.dictionary.cast(pa.string()))
        chunk = found.indices.to_numpy()
        tokens_in_chunk = np.diff(borders)[chunk]
        token_ends = np.append(0, np.cumsum(tokens_in_chunk))
        places = np.repeat(borders[:-1][chunk] - token_ends[:-1], tokens_in_chunk)
        places += np.arange(len(places))
        # Before each text stand as many chunks as end at or before its first byte.
        chunk_ends = np.cumsum(np.diff(text_buffer(found.dictionary)[1])[chunk])
        return ids[places], token_ends[np.searchsorted(chunk_ends, text_buffer(texts)[1], side="right")]

    def _encode_distinct(self, distinct: pa.Array) -> Encoded:
        alike = self._cut_alike(distinct)
        encoded = [
            engine(distinct.filter(pa.array(mask))) for engine, mask in ((self._twin, alike), (self._checked, ~alike))
        ]
        lengths = np.empty(len(distinct), np.int64)
        starts = np.empty(len(distinct), np.int64)
        shift = 0
        for (ids, offsets), mask in zip(encoded, (alike, ~alike), strict=True):
            lengths[mask], starts[mask] = np.diff(offsets), offsets[:-1] + shift
            shift += len(ids)
        ends = np.append(0, np.cumsum(lengths))
        places = np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])
        return np.concatenate([ids for ids, _ in encoded])[places], ends

    def _cut_alike(self, distinct: pa.Array) -> np.ndarray:
        if self._pattern.startswith("cjk"):
            alike = pc.match_substring_regex(distinct, f"^(?:{_CJK_ALIKE}|{WHOLE})$")
        else:
            alike = pc.invert(pc.match_substring_regex(distinct, _HAS_NUMBER))
        mask = alike.to_numpy(zero_copy_only=False).copy()
        mask[texts_with_unassigned(*text_buffer(distinct))] = False
        return mask


def _cut_long(data: np.ndarray, offsets: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """The offsets, and sure borders between them which cut the named texts into pieces of some 64 kB."""
    cuts = [offsets]
    for text in texts[np.diff(offsets)[texts] > PIECE_BYTES].tolist():
        start, stop = offsets[text], offsets[text + 1]
        borders = chunk_starts(data[start:stop], np.array([0, stop - start]), cuts_after_punctuation=False)
        first = np.searchsorted(borders, np.arange(PIECE_BYTES, stop - start, PIECE_BYTES))
        cuts.append(start + np.unique(borders[first[first < len(borders)]]))
    return np.sort(np.concatenate(cuts))


def resident_bytes() -> int:
    """What this process holds in memory, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def joined(arrays: list[np.ndarray]) -> Encoded:
    """One flat array of ids, and where each begins in it."""
    offsets = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([len(ids) for ids in arrays], out=offsets[1:])
    return np.concatenate([np.empty(0, np.uint32), *arrays]), offsets


def _ids(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    return [
        np.array(encoding.ids, np.uint32) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    ]


def _loaded(tokenizer_json: dict[str, Any]) -> str:
    """Without added tokens, and without what would shorten or pad a text's ids or let chance choose them."""
    plain: dict[str, Any] = {"added_tokens": [], "truncation": None, "padding": None}
    return json.dumps({**tokenizer_json, **plain, "model": {**tokenizer_json["model"], "dropout": None}})
