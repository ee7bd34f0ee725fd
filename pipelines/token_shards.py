"""Token shards as rows of a split: what `pack` wrote, for training, exports, traces and people to read.

Words (see ``docs``): a *row* holds ``seq_len`` + 1 tokens; a *segment* is one document's run of tokens inside it; a
*continuing* segment starts in the middle of its document (``doc_offset`` > 0) and repeats the token before as context.
"""

import bisect
import functools
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipelines.mapped_shard import Integers as Integers
from pipelines.mapped_shard import MappedShard as MappedShard
from pipelines.mapped_shard import Row as Row
from pipelines.mapped_shard import ShardFacts as ShardFacts
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Manifest, read_manifest
from pipelines.split_shards import SplitShards

SPLITS = ("train", "val", "test")


class SplitRows:
    """All rows of one split of a folder, in the order of its manifest.

    Args:
        folder: what ``pipelines.pack`` wrote.
        split: ``train``, ``val`` or ``test``.
        checked: that all shards are in their store was found out before, by the process that leads.
    Attributes:
        shards: open themselves: see ``pipelines/split_shards.py``.
        first_rows: the number in the split of each shard's first row.
    Raises:
        CorpusmillError: no shard of the split, a damaged one, or shards that do not fit together.
    """

    def __init__(self, folder: str | Path, split: str, checked: bool = False) -> None:
        manifest = read_manifest(folder)
        entries = manifest.of_split(split)
        if not checked or not manifest.places:
            manifest.check()
        self.where = f"{manifest.folder}: {split}"
        if not sum(entry.rows for entry in entries):
            raise CorpusmillError(
                f"no rows in split {split}", where=str(manifest.path), got=_splits(manifest),
                hint="shard names start with their split; is the corpus large enough for the shares of `shard`?",
            )  # fmt: skip
        self.shards = SplitShards(manifest, entries)
        self.facts = self.shards.facts
        self._ends = list(itertools.accumulate(entry.rows for entry in entries))
        self.first_rows = [0, *self._ends[:-1]]

    @property
    def num_rows(self) -> int:
        return self._ends[-1]

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of all documents of the split."""
        return sum(shard.facts.text_bytes for shard in self.shards)

    @functools.cached_property
    def num_text_tokens(self) -> int:
        """Text tokens of the split: what scoring all rows counts."""
        return sum(shard.num_text_tokens for shard in self.shards)

    def row(self, index: int) -> Row:
        """One row by its number in the split."""
        shard, place = self.place(index)
        return shard.row(place)

    def place(self, index: int) -> tuple[MappedShard, int]:
        """The shard that holds a row of the split, and the row's number in it."""
        shard = bisect.bisect_right(self._ends, index)
        return self.shards[shard], index - self.first_rows[shard]

    def tokens(self, index: int) -> Integers:
        """The ids of one row alone, by its number in the split: a view."""
        shard, place = self.place(index)
        return shard.tokens(place)

    @property
    def all_opened(self) -> bool:
        """Whether every shard of the split is on this machine and open."""
        return self.shards.num_opened == len(self.shards)

    def bring(self, indices: Iterable[int]) -> None:
        """Opens the shards of these rows, several at a time where they lie in a store."""
        if not self.all_opened:
            self.shards.bring(self._holding(indices))

    def ahead(self, indices: Iterable[int]) -> None:
        """Begins to do so, for rows that are needed soon."""
        if not self.all_opened:
            self.shards.ahead(self._holding(indices))

    def _holding(self, indices: Iterable[int]) -> list[int]:
        """The numbers of the shards that hold these rows, each once, in that order."""
        return list(dict.fromkeys(bisect.bisect_right(self._ends, index) for index in indices))

    def rows(self) -> Iterator[Row]:
        return (self.row(index) for index in range(self.num_rows))


def _splits(manifest: Manifest) -> str:
    return ", ".join(sorted({shard.split for shard in manifest.shards})) or "no shards at all"
