"""Compressed bytes: every format, several streams in one file, and what is left of a damaged one."""

import bz2
import gzip
import io
import lzma
import pickle
from collections.abc import Callable

import pytest
import zstandard

from pipelines.readers import compression
from pipelines.readers.compression import DamagedStream, open_decompressed

TEXT = "第一行 mill\n".encode() * 5000
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "bz2": bz2.compress,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


class Trickle(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._data.readinto(memoryview(buffer)[:7])


def read_all(data: bytes) -> bytes:
    stream = open_decompressed(io.BytesIO(data))
    return b"".join(iter(lambda: stream.read(1000), b""))


def read_until_damage(data: bytes) -> tuple[bytes, DamagedStream]:
    stream, parts = open_decompressed(io.BytesIO(data)), []
    try:
        while part := stream.read(1000):
            parts.append(part)
    except DamagedStream as damage:
        return b"".join(parts), damage
    pytest.fail("the damage was not noticed")


@pytest.mark.parametrize("name", COMPRESSORS)
def test_the_first_bytes_and_not_the_name_tell_the_compression(name):
    assert read_all(COMPRESSORS[name](TEXT)) == TEXT


@pytest.mark.parametrize("name", COMPRESSORS)
def test_streams_one_after_another_are_one_file(name):
    compress = COMPRESSORS[name]
    assert read_all(compress(TEXT) + compress(b"") + compress(b"end")) == TEXT + b"end"


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_stream_that_cannot_seek_is_read_too(name):
    stream = open_decompressed(Trickle(COMPRESSORS[name](b"abc" * 100)))
    assert b"".join(iter(lambda: stream.read(10), b"")) == b"abc" * 100


def test_plain_bytes_come_back_as_they_are_from_any_stream():
    assert read_all(TEXT) == TEXT
    assert read_all(b"") == b""
    stream = open_decompressed(Trickle(TEXT))
    assert b"".join(iter(lambda: stream.read(99), b"")) == TEXT


def test_opening_twice_changes_nothing():
    stream = open_decompressed(open_decompressed(io.BytesIO(bz2.compress(TEXT))))
    assert b"".join(iter(lambda: stream.read(1000), b"")) == TEXT


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_file_that_breaks_off_gives_its_good_bytes_first(name):
    compress = COMPRESSORS[name]
    cut = compress(TEXT)[:-3]
    good, damage = read_until_damage(compress(b"whole stream\n") + cut)
    assert good.startswith(b"whole stream\n")
    assert TEXT.startswith(good[13:])
    assert damage.offset == len(good)
    assert f"the {name} data break off before their end" in str(damage)


@pytest.mark.parametrize("name", COMPRESSORS)
def test_rubbish_after_a_stream_is_damage_and_not_silence(name):
    good, damage = read_until_damage(COMPRESSORS[name](TEXT) + b"rubbish that is no stream of any kind")
    assert good == TEXT
    assert damage.offset == len(TEXT)
    assert f"damaged {name} data" in str(damage)


def test_zeros_that_pad_a_gzip_file_are_no_damage():
    assert read_all(gzip.compress(TEXT) + bytes(512)) == TEXT


@pytest.mark.parametrize("name", ["bz2", "gzip", "xz"])
def test_a_flipped_byte_is_noticed(name):
    data = bytearray(COMPRESSORS[name](TEXT))
    data[len(data) // 2] ^= 0xFF
    _, damage = read_until_damage(bytes(data))
    assert damage.offset <= len(TEXT)


def test_a_bomb_is_handed_out_in_pieces():
    bomb = bz2.compress(bytes(50 << 20))
    stream = open_decompressed(io.BytesIO(bomb))
    assert len(stream.read(50 << 20)) <= 1 << 20


def test_a_file_that_grows_more_than_text_can_is_refused(monkeypatch):
    monkeypatch.setattr(compression, "BOMB_BYTES", 10 << 20)
    good, damage = read_until_damage(bz2.compress(bytes(50 << 20)))
    assert len(good) == 10 << 20
    assert damage.message == "bz2 data that grow more than 1,000fold"
    text = b"".join(b"line %d of an ordinary text\n" % number for number in range(500_000))
    assert read_all(gzip.compress(text)) == text


def test_a_stream_that_is_damaged_from_its_first_byte_is_opened_and_says_so_when_it_is_read():
    class Damaged(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            raise DamagedStream("damaged member", 0)

    stream = open_decompressed(Damaged())
    with pytest.raises(DamagedStream, match="damaged member"):
        stream.read(1)


def test_damage_survives_the_way_from_a_worker_process():
    damage = pickle.loads(pickle.dumps(DamagedStream("broken", 17)))
    assert (damage.offset, damage.message) == (17, "broken")


def test_an_empty_bz2_stream_is_known_by_its_first_bytes():
    assert read_all(bz2.compress(b"", 1)) == b""
    assert read_all(b"BZh9 is text") == b"BZh9 is text"
    assert read_all(b"BZh0" + bz2.compress(TEXT)[4:]).startswith(b"BZh01AY&SY")
