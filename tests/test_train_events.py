"""TensorBoard's own reader takes our event files; a resumed run replaces what the killed one had shown."""

import struct
from pathlib import Path

import pytest

from train.events import EventFile, crc32c


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_a_record_is_its_length_its_bytes_and_their_checksums(tmp_path: Path) -> None:
    events = EventFile(tmp_path, 0)
    events.close()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    event = data[12 : 12 + length]
    assert event[9:] == b"\x10\x01" + b"\x1a\x0dbrain.Event:2"  # step 1, file version; before them the time
    crc = crc32c(event)
    assert struct.unpack("<I", data[12 + length : 16 + length]) == (
        ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF,
    )


def test_tensorboard_reads_numbers_and_texts_and_drops_what_a_killed_run_had_shown(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    killed = EventFile(tmp_path, 0)
    for step in (1, 2, 300):
        killed.scalars(step, {"train/loss": 5.5 - step, "train/accuracy": 1e300})
    killed.close()
    resumed = EventFile(tmp_path, 1)
    resumed.scalars(2, {"train/loss": 9.0})
    resumed.text(2, "sample", "日本 " + "x" * 200)
    resumed.close()
    read = reader.EventAccumulator(str(tmp_path)).Reload()
    assert sorted(read.Tags()["scalars"]) == ["train/accuracy", "train/loss"]
    assert [(event.step, event.value) for event in read.Scalars("train/loss")] == [(1, 4.5), (2, 9.0)]
    assert read.Scalars("train/accuracy")[0].value == float("inf")  # beyond fp32
    (text,) = read.Tensors("sample")
    assert (text.step, text.tensor_proto.string_val[0].decode()) == (2, "日本 " + "x" * 200)
    assert read.SummaryMetadata("sample").plugin_data.plugin_name == "text"
