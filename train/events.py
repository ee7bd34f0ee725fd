"""TensorBoard's event files, written without TensorBoard: starting takes no half second more, and no package.

An event file is a run of records: length uint64, masked CRC-32C of the length uint32, an ``Event`` message, masked
CRC-32C of the message uint32, all little-endian. The messages are Protocol Buffers, of which three kinds of field are
needed: a tag is ``number << 3 | kind``; kind 0 a varint, 1 a double, 2 bytes after their length, 5 a float.
Source: tensorboard/compat/proto/{event,summary,tensor}.proto and tensorflow/core/lib/io/record_writer.h, Apache-2.0.
``tests/test_train_events.py`` reads the files back with the package itself.
"""

import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_DT_STRING, _SESSION_START = 7, 1


class EventFile:
    """One life of a run; its folder is the run.

    Args:
        folder: made when missing; what other lives left there stays.
        first: steps that were done before. What an earlier life showed of later ones is void, and TensorBoard drops it.
    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, first: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads a folder's files in the order of their names: that of their beginnings.
        path = folder / f"events.out.tfevents.{time.time_ns() // 1000:016d}.{first}"
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by close)
        self._write(first + 1, _field(3, b"brain.Event:2"))
        self.restart(first)

    def restart(self, first: int) -> None:
        """Makes what was shown of steps after ``first`` void."""
        self._write(first + 1, _field(7, _field(1, _SESSION_START)))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by tag; tags before a slash are drawn in one group."""
        parts = [_field(1, _field(1, tag.encode()) + _field(2, value)) for tag, value in values.items()]
        self._write(step, _field(5, b"".join(parts)))

    def text(self, step: int, tag: str, text: str) -> None:
        """A text; Markdown."""
        shape = _field(2, _field(1, 1))
        tensor = _field(1, _DT_STRING) + _field(2, shape) + _field(8, text.encode())
        metadata = _field(1, _field(1, b"text"))
        self._write(step, _field(5, _field(1, _field(1, tag.encode()) + _field(8, tensor) + _field(9, metadata))))

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, what: bytes) -> None:
        event = _tag(1, _DOUBLE) + struct.pack("<d", time.time()) + _field(2, step) + what
        length = struct.pack("<Q", len(event))
        # One write, so that a kill leaves no half record but at the disk's own whim.
        self._file.write(length + _masked_crc(length) + event + _masked_crc(event))


def _field(number: int, value: int | float | bytes) -> bytes:
    """One field of a message."""
    if isinstance(value, bytes):
        return _tag(number, _BYTES) + _varint(len(value)) + value
    if isinstance(value, int):
        return _tag(number, _VARINT) + _varint(value)
    return _tag(number, _FLOAT) + _float(value)


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # beyond fp32
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _crc_table() -> Iterator[int]:
    """CRC-32C (Castagnoli) of each single byte."""
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


_CRCS = tuple(_crc_table())


def crc32c(data: bytes) -> int:
    """The checksum.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRCS[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked_crc(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
