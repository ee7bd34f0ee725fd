"""Merges -> ``tokenizer.json``; ``tokenizer.json`` -> texts to ids and back.

Ids: special tokens first (``<|endoftext|>`` is 0), then the 256 bytes, then one id a merge. So an id means the same
in every vocabulary size of one training, and padding with the document start is padding with zeros.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.spine.errors import CorpusmillError
from tokenizer.bpe import ALPHABET, byte_chars
from tokenizer.chunks import chunk_starts, text_buffer
from tokenizer.engines import ENGINE_VARIABLE, Engine, fastest, reference
from tokenizer.patterns import pre_tokenizer

#: Begins each document, pads rows, and ends generation.
DOCUMENT_START = "<|endoftext|>"
#: Texts go to the engine in groups of about this many bytes, and in so many places of each group texts, or parts of long
#: ones, of so many bytes together are encoded by the reference too: 16 kB of 16 MB, 5 ms of 200.
GROUP_BYTES = 16 << 20
WINDOWS, WINDOW_BYTES = 2, 8 << 10
#: In each place so many texts are tried: in some long ones there is no border to be found.
WINDOW_TEXTS = 256


def tokenizer_json(merges: Sequence[tuple[bytes, bytes]], special_tokens: Sequence[str], pattern: str) -> str:
    """The text of ``tokenizer.json``, as ``tokenizers`` and ``transformers`` load it; equal input, equal bytes.

    Args:
        merges: in the order learned.
        special_tokens: get the first ids; ``<|endoftext|>`` is one of them.
        pattern: a name in ``tokenizer.patterns.PATTERNS``.
    Raises:
        CorpusmillError: a special token is repeated or missing, or text could merge into one.
    """
    chars = byte_chars()
    spelled = {token: "".join(chars[byte] for byte in token) for pair in merges for token in (*pair, b"".join(pair))}
    learned = [*(chars[token[0]] for token in ALPHABET), *(spelled[left + right] for left, right in merges)]
    _check_specials(special_tokens, set(learned))
    added = [
        {"id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for index, content in enumerate(special_tokens)
    ]  # fmt: skip
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        "vocab": {token: index for index, token in enumerate([*special_tokens, *learned])},
        "merges": [f"{spelled[left]} {spelled[right]}" for left, right in merges],
    }  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    document = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": json.loads(pre_tokenizer(pattern).__getstate__()), "post_processor": None,
        "decoder": byte_level, "model": model,
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


class Encoder:
    """Texts to token ids and back, by one ``tokenizer.json``; special tokens in a text stay text.

    Args:
        path_or_json: a file, or its content (a string that begins with ``{``).
    Attributes:
        tokens: the bytes that each id stands for.
        vocab_size: ids are in ``[0, vocab_size)``.
        document_start_id: the id of ``<|endoftext|>``.
        sha256: of the file's bytes; token shards carry it.
    Raises:
        CorpusmillError: no such file, not a byte-level BPE tokenizer, or one without ``<|endoftext|>``.
    """

    def __init__(self, path_or_json: str | Path) -> None:
        content, where = _read(path_or_json)
        document = _parse(content, where)
        self.sha256 = hashlib.sha256(content.encode()).hexdigest()
        self.tokens = _token_table(document, where)
        self.vocab_size = len(self.tokens)
        starts = [entry["id"] for entry in document["added_tokens"] if entry["content"] == DOCUMENT_START]
        if not starts:
            raise CorpusmillError(f"no special token {DOCUMENT_START}", where=where, hint="add it and train again")
        self.document_start_id: int = starts[0]
        self._token_bytes = np.array([len(token) for token in self.tokens], np.int64)
        self._document, self._where = document, where
        try:
            self._reference = reference(document)
        except Exception as error:  # the library raises nothing more exact
            raise CorpusmillError(f"the engine does not load it: {error}", where=where) from None

    def encode_batch(self, texts: Sequence[str] | pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Ids uint32 ``[tokens]`` of all texts, and where each text begins: offsets int64 ``[texts + 1]``.

        No special token is added, and none is recognised in the text. Of every 16 MB, 16 kB are encoded by the
        reference engine too and compared.

        Args:
            texts: strings, or an Arrow string column without nulls.
        Raises:
            CorpusmillError: the engines differ.
        """
        encoded = []
        for group in _groups(texts):
            ids, offsets = self._engine(group)
            self._compare(group, ids, offsets)
            encoded.append((ids, np.diff(offsets)))
        lengths = np.concatenate([np.empty(0, np.int64), *(counts for _, counts in encoded)])
        return np.concatenate([np.empty(0, np.uint32), *(ids for ids, _ in encoded)]), np.append(0, np.cumsum(lengths))

    def encode_documents(self, texts: Sequence[str] | pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """As ``encode_batch``, with the document start before each text: what ``pack`` puts into rows."""
        ids, offsets = self.encode_batch(texts)
        starts = offsets[:-1] + np.arange(len(texts))
        documents = np.empty(len(ids) + len(texts), np.uint32)
        text = np.ones(len(documents), bool)
        text[starts] = False
        documents[starts], documents[text] = self.document_start_id, ids
        return documents, offsets + np.arange(len(texts) + 1)

    @property
    def document(self) -> dict[str, Any]:
        """The parsed ``tokenizer.json``: its merges, its pattern, its vocabulary."""
        return self._document

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of any sequence of ids in ``[0, vocab_size)``; bytes that are not UTF-8 become U+FFFD."""
        return b"".join([self.tokens[index] for index in ids]).decode("utf-8", errors="replace")

    def forget(self) -> None:
        """Gives back what the engine remembers of the texts that it saw; loading it anew takes 0.1 s."""
        vars(self).pop("_engine", None)

    @functools.cached_property
    def _engine(self) -> Engine:
        return fastest(self._document, self._reference)

    def _compare(self, texts: pa.Array, ids: np.ndarray, offsets: np.ndarray) -> None:
        """Encodes windows of a few texts, spread over the group, with the reference too."""
        if self._engine is self._reference:
            return
        windows = list(_windows(texts))
        encoded, places = self._reference(pa.array([window for _, _, window in windows], pa.large_string()))
        for number, (index, start, window) in enumerate(windows):
            tokens = ids[offsets[index] : offsets[index + 1]]
            ends = np.cumsum(self._token_bytes[tokens])
            first, last = np.searchsorted(ends, (start, start + len(window)), side="right")
            found, expected = tokens[first:last], encoded[places[number] : places[number + 1]]
            if not np.array_equal(found, expected):
                raise CorpusmillError(
                    "two engines cut a text into different tokens", where=f"{self._where}: {window.decode()[:80]!r}",
                    expected=f"{expected[:8].tolist()} … ({len(expected)} tokens)",
                    got=f"{found[:8].tolist()} … ({len(found)} tokens)",
                    hint=f"{ENGINE_VARIABLE}=tokenizers encodes with the slow engine alone; please report the text",
                )  # fmt: skip


def _windows(texts: pa.Array) -> Iterator[tuple[int, int, bytes]]:
    """What is compared of a group: which text, from which byte on, and the bytes. In each place 8 kB of texts or more."""
    for part in range(WINDOWS):
        first, last = (len(texts) * side // WINDOWS for side in (part, part + 1))
        num_bytes = 0
        for index in range(first, min(last, first + WINDOW_TEXTS)):
            text = texts[index].as_buffer()
            start, stop = _window(np.frombuffer(text, np.uint8), index)
            if start < stop:
                yield index, start, text.slice(start, stop - start).to_pybytes()
            num_bytes += stop - start
            if num_bytes >= WINDOW_BYTES * 3 // 4:
                break


def _window(text: np.ndarray, index: int) -> tuple[int, int]:
    """Where a piece of at most 8 kB of a text begins and ends, both at sure borders; empty where none are near."""
    if len(text) <= WINDOW_BYTES:
        return 0, len(text)
    start = index * 7919 % len(text)
    near = text[start : start + WINDOW_BYTES]
    borders = chunk_starts(near, np.array([0, len(near)]), cuts_after_punctuation=False)
    # What lies at the ends of the slice looks like a border, and is one only at the ends of the text.
    borders = start + borders[(borders >= 4) & (borders <= len(near) - 4)]
    ends = [0] * (start == 0), [len(text)] * (start + len(near) == len(text))
    borders = np.concatenate([ends[0], borders, ends[1]]).astype(np.int64)
    return (int(borders[0]), int(borders[-1])) if len(borders) else (0, 0)


def _groups(texts: Sequence[str] | pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """The texts in order, as Arrow arrays of about 16 MB."""
    column = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.large_string())
    for array in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        _, offsets = text_buffer(array)
        start = 0
        while start < len(array):
            stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + GROUP_BYTES, side="right")) - 1)
            yield array.slice(start, stop - start)
            start = stop


def _check_specials(special_tokens: Sequence[str], learned: set[str]) -> None:
    where = "special_tokens"
    if DOCUMENT_START not in special_tokens:
        raise CorpusmillError(f"{DOCUMENT_START} is missing", where=where, hint=f"add {DOCUMENT_START} as the first")
    for index, token in enumerate(special_tokens):
        if not token or token in special_tokens[:index]:
            raise CorpusmillError("a special token is empty or stands twice", where=where, got=repr(token))
        if token in learned:
            raise CorpusmillError(
                "plain text merges into this special token", where=where, got=repr(token),
                hint="choose one that the pattern cuts, in the manner of <|name|>",
            )  # fmt: skip


def _read(path_or_json: str | Path) -> tuple[str, str]:
    if isinstance(path_or_json, str) and path_or_json.lstrip().startswith("{"):
        return path_or_json, "tokenizer.json"
    try:
        return Path(path_or_json).read_bytes().decode("utf-8"), str(path_or_json)
    except FileNotFoundError:
        raise CorpusmillError("no such tokenizer", where=str(path_or_json), hint="run `dvc repro learn`") from None
    except UnicodeDecodeError:
        raise CorpusmillError("not a tokenizer.json: not UTF-8", where=str(path_or_json)) from None


def _parse(content: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
        kind, decoder = document["model"]["type"], document["decoder"]["type"]
        document["added_tokens"], document["model"]["vocab"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusmillError(f"not a tokenizer.json: {error!r}", where=where) from None
    if (kind, decoder) != ("BPE", "ByteLevel"):
        got = f"{kind} with {decoder}"
        raise CorpusmillError("not a byte-level BPE tokenizer", where=where, expected="BPE with ByteLevel", got=got)
    return document


def _token_table(document: dict[str, Any], where: str) -> tuple[bytes, ...]:
    """The bytes of each id."""
    byte_of = {char: byte for byte, char in byte_chars().items()}
    specials = {entry["id"]: entry["content"].encode() for entry in document["added_tokens"]}
    table = dict(specials)
    for token, index in document["model"]["vocab"].items():
        if index not in specials:
            try:
                table[index] = bytes([byte_of[char] for char in token])
            except KeyError:
                raise CorpusmillError("a token is not spelled in byte characters", where=where, got=token) from None
    if sorted(table) != list(range(len(table))):
        raise CorpusmillError("the ids have gaps", where=where, expected=f"0..{len(table) - 1}", got=max(table))
    return tuple(table[index] for index in range(len(table)))
