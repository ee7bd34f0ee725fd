"""Random row reads a second: our token shards beside a raw memmap and beside the formats of `datasets`.

    synthetic rows of 2,049 uint16 ids  ->  our shards, one raw file, a `save_to_disk` folder  ->  two tables

The same ids in every format. Every reader answers the same random row numbers with int64 ids (`datasets` without a format
with lists of ints), first one row at a time, ``[2049]``, then a batch at a time, ``[rows, 2049]``; first answers are held
to the raw file's. One process and one thread but for the DataLoader, files in the page cache; the readers take turns, and
the median of the rounds counts. "with its segments" gets views of the row's segments too; "batches to train on" makes each
position's segment and target beside the tokens. Parquet is left out: `datasets` copies it into its own Arrow format before
it reads the first row.

``python -m bench.token_rows`` prints the tables and writes ``logs/bench-token-rows.json``.
"""

import argparse
import functools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import datasets
import numpy as np
import torch

from bench.token_rows_formats import SEQ_LEN, write_formats
from pipelines.spine.errors import CorpusmillError
from train.data import TokenRows
from train.order import Order

LOG = Path("logs/bench-token-rows.json")
RAW = "raw memmap"

#: Row number -> ids.
RowReader: TypeAlias = Callable[[int], Any]
#: Row numbers of each batch -> each batch's ids.
BatchReader: TypeAlias = Callable[[Sequence[np.ndarray]], Iterator[Any]]


class _Indexed(torch.utils.data.Dataset[torch.Tensor]):
    """Our rows as a map-style dataset whose index is a batch of row numbers."""

    def __init__(self, rows: TokenRows) -> None:
        self._rows = rows

    def __getitem__(self, batch: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self._rows.token_batch(batch.tolist()))


class Formats:
    """The three formats, opened.

    Args:
        folder: what ``write_formats`` wrote.
    """

    def __init__(self, folder: Path) -> None:
        # As a plain array: numpy's subclass for memory maps takes half a microsecond more for each view.
        self.raw = np.memmap(folder / "raw.bin", np.uint16, "r").view(np.ndarray).reshape(-1, SEQ_LEN + 1)
        self.ours = TokenRows(folder / "shards", "train")
        shards = [datasets.Dataset.from_file(str(shard.path)) for shard in self.ours.shards]
        ours = datasets.concatenate_datasets(shards).select_columns("tokens").rename_column("tokens", "input_ids")
        saved = datasets.load_from_disk(str(folder / "saved"))
        self.of_datasets = {
            f"datasets, {place}, {name or 'lists'}": data.with_format(name)
            for place, data in (("our shards", ours), ("save_to_disk", saved))
            for name in ("numpy", "torch", None)
        }

    def row_readers(self) -> dict[str, RowReader]:
        """Name -> reader of single rows, the raw memmap first."""
        return {
            RAW: lambda index: self.raw[index].astype(np.int64),
            "ours": lambda index: self.ours.tokens(index).astype(np.int64),
            "ours, with its segments": lambda index: self.ours.row(index).tokens.astype(np.int64),
            **{name: functools.partial(_ids, data) for name, data in self.of_datasets.items()},
        }

    def batch_readers(self) -> dict[str, BatchReader]:
        """Name -> reader of batches, the raw memmap first."""
        single: dict[str, Callable[[np.ndarray], Any]] = {
            RAW: lambda batch: self.raw[batch].astype(np.int64),
            "ours": lambda batch: self.ours.token_batch(batch.tolist()),
            "ours, batches to train on": lambda batch: self.ours.training_batch(batch.tolist()).tokens,
            **{name: functools.partial(_ids, data) for name, data in self.of_datasets.items()},
        }
        readers: dict[str, BatchReader] = {name: _one_by_one(read) for name, read in single.items()}
        return readers | {"ours, torch DataLoader, 1 worker": _loading(self.ours)}


def measure(
    single: Mapping[str, RowReader],
    batched: Mapping[str, BatchReader],
    num_rows: int,
    num_read: int,
    rows_per_batch: int,
    rounds: int,
) -> dict[str, dict[str, float]]:
    """ "rows" and "batches" -> reader -> rows a second; which rows are read follows from the round's number alone."""
    order = Order(0, (("synthetic", num_rows),), {})
    expect_equal(single, batched, order.rows(0, rows_per_batch))
    speeds: dict[str, dict[str, list[float]]] = {
        "rows": {name: [] for name in single}, "batches": {name: [] for name in batched},
    }  # fmt: skip
    for number in range(rounds):
        chosen = order.rows(number * num_read, num_read)
        batches = np.array_split(chosen, max(num_read // rows_per_batch, 1))
        for name, read_row in single.items():
            speeds["rows"][name].append(_speed(map(read_row, chosen.tolist()), num_read))
        for name, read_batches in batched.items():
            speeds["batches"][name].append(_speed(read_batches(batches), num_read))
    return {table: {name: median(found) for name, found in lines.items()} for table, lines in speeds.items()}


def expect_equal(single: Mapping[str, RowReader], batched: Mapping[str, BatchReader], batch: np.ndarray) -> None:
    """Passes when every reader gives the ids of the raw file, as int64.

    Raises:
        CorpusmillError: one does not.
    """
    (expected,) = batched[RAW]([batch])
    answers = {name: np.stack([np.asarray(read(index)) for index in batch.tolist()]) for name, read in single.items()}
    answers |= {f"{name}, batches": np.asarray(next(iter(read([batch])))) for name, read in batched.items()}
    for name, got in answers.items():
        # Batches to train on hold the inputs alone, one id less.
        if got.dtype != np.int64 or not np.array_equal(got, expected[:, : got.shape[1]]):
            raise CorpusmillError("a reader gives other ids than the raw file", where=name)


def _one_by_one(read: Callable[[np.ndarray], Any]) -> BatchReader:
    return lambda batches: map(read, batches)


def _loading(rows: TokenRows) -> BatchReader:
    """Batches through a worker process, which starts when the answers are compared and stays."""
    waiting: list[np.ndarray] = []
    loader = torch.utils.data.DataLoader(
        _Indexed(rows), sampler=waiting, batch_size=None, num_workers=1, persistent_workers=True
    )

    def read(batches: Sequence[np.ndarray]) -> Iterator[Any]:
        waiting[:] = batches
        return iter(loader)

    return read


def _ids(data: Any, rows: Any) -> Any:
    """The ids of one row, or of an array of rows; torch's are int64 already, and lists stay lists."""
    found = data[rows.tolist() if isinstance(rows, np.ndarray) else rows]["input_ids"]
    return found.astype(np.int64) if isinstance(found, np.ndarray) else found


def _speed(items: Iterator[Any], num_read: int) -> float:
    begin = time.perf_counter()
    for _ in items:
        pass
    return num_read / (time.perf_counter() - begin)


def _print(title: str, speeds: Mapping[str, float]) -> None:
    print(f"\n{title:36} {'rows/s':>10} {'x memmap':>9}")
    for name, speed in speeds.items():
        print(f"{name:36} {speed:10,.0f} {speed / speeds[RAW]:9.2f}")


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.token_rows", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=48_000, help="rows of 4,098 bytes")
    parser.add_argument("--read", type=int, default=4096, help="rows read a round")
    parser.add_argument("--batch", type=int, default=64, help="rows a batch")
    parser.add_argument("--rounds", type=int, default=9, help="how often each reader has its turn")
    args = parser.parse_args(argv)
    datasets.disable_progress_bars()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        write_formats(Path(scratch), args.rows)
        formats = Formats(Path(scratch))
        readers = formats.row_readers(), formats.batch_readers()
        speeds = measure(*readers, args.rows, args.read, args.batch, args.rounds)
    print(f"random rows of {SEQ_LEN + 1:,} uint16 ids out of {args.rows:,}, as int64; median of {args.rounds} rounds")
    _print("a row at a time", speeds["rows"])
    _print(f"{args.batch} rows at a time", speeds["batches"])
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps({**vars(args), "rows_per_second": speeds}, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
