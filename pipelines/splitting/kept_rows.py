"""The documents of a unit that stay, put into the order of their shards without a second copy of their texts."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipelines.duplicates.text_units import row_blocks
from pipelines.spine.shards import row_bytes
from pipelines.splitting.drawing import I64, SPLITS


class KeptRows:
    """Batches of documents with their splits, gathered as they are read, given back by split and doc_id.

    Memory: each batch once, and what is given back at a time. A table of all of them would be copied twice more: by
    making one chunk of it, and by taking its rows in another order.
    """

    def __init__(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._splits: list[I64] = []

    def add(self, documents: pa.RecordBatch, splits: I64) -> None:
        """Holds the documents and the places of their splits in `SPLITS`."""
        if documents.num_rows:
            self._batches.append(documents)
            self._splits.append(splits)

    def in_order(self, block_bytes: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Split after split, documents by doc_id; of several with one id the first stays first.

        Args:
            block_bytes: text that is given at a time: whole documents, at least one.
        """
        if not self._batches:
            return
        doc_ids = [doc_id for batch in self._batches for doc_id in batch.column("doc_id").to_pylist()]
        order = np.array(sorted(range(len(doc_ids)), key=doc_ids.__getitem__), np.int64)
        splits = np.concatenate(self._splits)
        sizes = np.concatenate([row_bytes(batch) for batch in self._batches])
        for split in range(len(SPLITS)):
            rows = order[splits[order] == split]
            ends = np.append(0, np.cumsum(sizes[rows]))
            for begin, end in row_blocks(ends, block_bytes):
                yield split, self._take(rows[begin:end])

    def _take(self, rows: I64) -> pa.RecordBatch:
        """Some rows, at least one, counted through all batches, in that order."""
        firsts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        batch_of = np.searchsorted(firsts, rows, side="right") - 1
        by_batch = np.argsort(batch_of, kind="stable")
        parts = [
            self._batches[number].take(pa.array(rows[batch_of == number] - firsts[number]))
            for number in np.unique(batch_of).tolist()
        ]
        place = np.empty(len(rows), np.int64)
        place[by_batch] = np.arange(len(rows))
        return pa.concat_batches(parts).take(pa.array(place))
