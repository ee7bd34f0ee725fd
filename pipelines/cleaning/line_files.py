"""The file of a unit's lines: LINE records, ascending by hash, of which a range of hashes can be read by itself."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cleaning.repeated_lines import LINE, Lines
from pipelines.spine import storage
from pipelines.spine.shards import GROUP_BYTES_KEY

#: So many records in a row of the file. A range of hashes is found by the first and the last of each row.
LINE_FILE = pa.schema(
    [
        pa.field("first", pa.uint64(), False),
        pa.field("last", pa.uint64(), False),
        pa.field("records", pa.binary(), False),
    ],
    metadata={GROUP_BYTES_KEY: b"1"},  # each row can be read without its neighbours
)
LINES_A_ROW = 1 << 14
#: Read at a time of a file in a store: its list of rows, or a row of it.
LINES_READ_BYTES = 1 << 18


def line_rows(lines: Lines) -> Iterator[pa.RecordBatch]:
    """The rows of a file, one at a time, of records that ascend by hash."""
    for begin in range(0, len(lines), LINES_A_ROW):
        some = lines[begin : begin + LINES_A_ROW]
        columns = [[int(some["hash"][0])], [int(some["hash"][-1])], [some.tobytes()]]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, LINE_FILE, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=LINE_FILE)


def read_lines(place: str, first: int, last: int) -> Lines:
    """The records of a file whose hashes lie within a range, both ends included; reads the rows that meet it.

    Raises:
        FileNotFoundError: nothing is there.
    """
    within = [("first", "<=", pa.scalar(last, pa.uint64())), ("last", ">=", pa.scalar(first, pa.uint64()))]
    with storage.open_input(place, LINES_READ_BYTES) as file:
        rows = pq.read_table(file, columns=["records"], filters=within, use_threads=False)
    lines = np.frombuffer(b"".join(rows["records"].to_pylist()), LINE)
    begin = np.searchsorted(lines["hash"], np.uint64(first), side="left")
    return lines[begin : np.searchsorted(lines["hash"], np.uint64(last), side="right")]
