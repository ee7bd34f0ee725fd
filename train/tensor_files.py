"""Tensors in files that tell when they are damaged: safetensors, written one tensor at a time, and an index of them.

<folder>/
  part-00000.safetensors   a process's share of the tensors; safetensors' own format
  index.json               each file's bytes and sha256, each tensor's file, and facts beside them; written last
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError

INDEX = "index.json"
SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class TensorFile:
    """What the index says about one file."""

    name: str
    bytes: int
    sha256: str
    tensors: tuple[str, ...]


class TensorWriter:
    """One safetensors file of fp32 tensors whose names and shapes are known before their numbers; holds none.

    Source of the format: huggingface.co/docs/safetensors: 8 bytes of header length, a JSON header, the numbers.
    """

    def __init__(self, path: Path, shapes: Mapping[str, Sequence[int]]) -> None:
        self.path, self.names = path, tuple(shapes)
        header, end = {}, 0
        for name, shape in shapes.items():
            start, end = end, end + 4 * math.prod(shape)
            header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._digest, self._bytes = hashlib.sha256(), 0
        self._file = open(path, "wb")  # noqa: SIM115 (closed by close)
        self._write(struct.pack("<Q", len(text)) + text)

    def add(self, tensor: Tensor) -> None:
        """The next tensor, in the order of the names."""
        self._write(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())

    def close(self) -> TensorFile:
        """Brings the file to the disk."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        return TensorFile(self.path.name, self._bytes, self._digest.hexdigest(), self.names)

    def abandon(self) -> None:
        """Closes a file that will not be finished."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)


def write_index(folder: Path, files: Iterable[TensorFile], facts: Mapping[str, Any]) -> None:
    """Writes the index: from now on the folder is whole."""
    files = list(files)
    document = {
        "schema": SCHEMA,
        **facts,
        "files": {file.name: {"bytes": file.bytes, "sha256": file.sha256} for file in files},
        "tensors": {name: file.name for file in files for name in file.tensors},
    }
    storage.write_text(folder / INDEX, json.dumps(document, indent=1, sort_keys=True) + "\n")


def read_index(folder: Path, hint: str) -> dict[str, Any]:
    """The index of a folder.

    Raises:
        CorpusmillError: there is none, or it cannot be read.
    """
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["schema"] != SCHEMA:
            raise _damaged(folder / INDEX, "another schema", SCHEMA, index["schema"], hint)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / INDEX, str(error), "", "", hint) from error
    return index


def check_file(folder: Path, name: str, index: Mapping[str, Any], hint: str) -> None:
    """Compares a file with what the index says about it.

    Raises:
        CorpusmillError: it is missing, or has other bytes.
    """
    expected, path = index["files"][name], folder / name
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise _damaged(path, "another size", f"{expected['bytes']} bytes", f"{size} bytes", hint)
        sha256 = storage.sha256_file(path)
    except OSError as error:
        raise _damaged(path, os.strerror(error.errno or 0).lower(), "", "", hint) from error
    if sha256 != expected["sha256"]:
        raise _damaged(path, "other bytes", expected["sha256"][:12], sha256[:12], hint)


@contextlib.contextmanager
def open_tensors(folder: Path, index: Mapping[str, Any]) -> Iterator["TensorReader"]:
    """The tensors of a checked folder, read from the disk as they are asked for."""
    with contextlib.ExitStack() as stack:
        yield TensorReader(folder, index, stack)


class TensorReader:
    """Tensors by name."""

    def __init__(self, folder: Path, index: Mapping[str, Any], stack: contextlib.ExitStack) -> None:
        self.folder, self._places, self._stack = folder, index["tensors"], stack
        self._open: dict[str, Any] = {}

    def read(self, name: str) -> Tensor:
        """One tensor, fp32 on the CPU."""
        from safetensors import safe_open

        file = self._places[name]
        if file not in self._open:
            self._open[file] = self._stack.enter_context(safe_open(self.folder / file, framework="pt"))
        tensor: Tensor = self._open[file].get_tensor(name)
        return tensor


def _damaged(path: Path, what: str, expected: Any, got: Any, hint: str) -> CorpusmillError:
    return CorpusmillError(
        f"the checkpoint cannot be read: {what}", where=str(path), expected=expected, got=got, hint=hint
    )
