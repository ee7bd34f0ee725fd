"""The measurement of row reads: formats with equal ids, readers that are held to them, rows from the first to the last."""

import numpy as np
import pytest

from bench.token_rows import RAW, Formats, expect_equal, measure
from bench.token_rows_formats import SEQ_LEN, write_formats
from pipelines.spine.errors import CorpusmillError


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Formats:
    folder = tmp_path_factory.mktemp("formats")
    write_formats(folder, 1100)
    return Formats(folder)


def test_every_reader_has_a_speed(formats: Formats) -> None:
    batched = formats.batch_readers()
    del batched["ours, torch DataLoader, 1 worker"]  # no worker process in a test
    speeds = measure(formats.row_readers(), batched, num_rows=1100, num_read=64, rows_per_batch=16, rounds=1)
    assert (len(speeds["rows"]), len(speeds["batches"])) == (9, 9)
    assert all(speed > 0 for table in speeds.values() for speed in table.values())


def test_a_reader_with_other_ids_or_types_is_refused(formats: Formats) -> None:
    row, batch = formats.row_readers()[RAW], formats.batch_readers()[RAW]
    wanted = np.array([3, 1099])
    expect_equal({RAW: row}, {RAW: batch}, wanted)
    wrong = {"shifted": lambda index: row(index - 1), "narrow": lambda index: row(index).astype(np.uint16)}
    for name, reader in wrong.items():
        with pytest.raises(CorpusmillError, match=name):
            expect_equal({RAW: row, name: reader}, {RAW: batch}, wanted)


def test_rows_are_full_of_whole_documents(formats: Formats) -> None:
    row = formats.ours.row(1099)
    assert int(row.lengths.sum()) == SEQ_LEN + 1
    assert len(row.lengths) == len(row.offsets)
    assert not row.offsets.any()
