"""Documents gathered batch by batch come back by split and doc_id, the same rows in blocks of any size."""

import numpy as np
import pyarrow as pa
import pytest

from pipelines.spine.schema import DOCUMENT
from pipelines.splitting.drawing import TEST, TRAIN, VAL
from pipelines.splitting.kept_rows import KeptRows


def batch(*rows: tuple[str, str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [dict.fromkeys(DOCUMENT.names, "") | {"doc_id": doc_id, "text": text} for doc_id, text in rows], DOCUMENT
    )


@pytest.mark.parametrize(("block_bytes", "blocks"), [(1, 6), (6, 4), (1 << 20, 3)])
def test_blocks_of_any_size_hold_the_rows_of_one_sort(block_bytes: int, blocks: int) -> None:
    rows = KeptRows()
    rows.add(batch(("d", "1"), ("b", "22"), ("a", "3")), np.array([TRAIN, TEST, TRAIN]))
    rows.add(batch(), np.empty(0, np.int64))
    rows.add(batch(("c", "篇"), ("a", "5"), ("b", "6")), np.array([TRAIN, TRAIN, VAL]))
    found = [(split, list(zip(*(part.column(name).to_pylist() for name in ("doc_id", "text")), strict=True)))
             for split, part in rows.in_order(block_bytes)]  # fmt: skip
    assert len(found) == blocks
    assert [(split, *row) for split, part in found for row in part] == [
        (TRAIN, "a", "3"), (TRAIN, "a", "5"), (TRAIN, "c", "篇"), (TRAIN, "d", "1"), (VAL, "b", "6"), (TEST, "b", "22"),
    ]  # fmt: skip


def test_no_rows_give_no_blocks() -> None:
    assert list(KeptRows().in_order(1)) == []
