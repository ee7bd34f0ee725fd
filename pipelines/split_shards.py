"""The token shards of a split as a list that opens them: those on a disk at once, those in a store when they are needed.

Not all before the first step, because a run may need few: a split of evaluation, some steps, a source without weight.
The order of training mixes the rows of all shards, so a step reads up to as many shards as it has rows and a long run
soon has them all; what it gains is that it computes meanwhile. `bring` fetches several at once, `ahead` in the
background: the order says which rows come next.

A fetched shard is a file of the machine's local cache, whole and of the declared sha256, which all its processes share.
"""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import overload

import pyarrow as pa

from pipelines.mapped_shard import MappedShard, ShardFacts, expect_common, facts_of
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Manifest, Shard
from pipelines.spine.units import source_of

#: Downloads at a time: one connection of an object store gives some 50 to 100 MB/s.
AT_ONCE = 8


class SplitShards(Sequence[MappedShard]):
    """The shards of one split, in the order of the manifest.

    Args:
        manifest: of the folder.
        entries: the split's shards, at least one.
    Raises:
        CorpusmillError: a shard on a disk is damaged, or was packed in another way than the first.
    """

    def __init__(self, manifest: Manifest, entries: Sequence[Shard]) -> None:
        self._manifest, self.entries = manifest, entries
        self._places = [manifest.place_of(entry) for entry in entries]
        self._opened: dict[int, MappedShard] = {}
        self._wanted: dict[int, Future[MappedShard]] = {}  # failed ones are not kept
        self._lock, self._queue, self._num_threads = threading.Lock(), queue.Queue[int](), 0
        here = {n: MappedShard.of(manifest, entries[n]) for n, p in enumerate(self._places) if not storage.is_remote(p)}
        self.facts = here[0].facts if 0 in here else self._head()
        for number, shard in here.items():
            self._opened[number] = self._checked(number, shard)

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, number: int) -> MappedShard: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[MappedShard]: ...
    def __getitem__(self, number: int | slice) -> MappedShard | Sequence[MappedShard]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number %= len(self)
        return self._opened.get(number) or self._fetch(number).result()

    def __iter__(self) -> Iterator[MappedShard]:
        for number in range(len(self)):
            self.ahead((number + 1,))
            yield self[number]

    @property
    def num_opened(self) -> int:
        """How many are on this machine and open."""
        return len(self._opened)

    def bring(self, numbers: Iterable[int]) -> None:
        """Opens these shards, several at a time.

        Raises:
            CorpusmillError: one is gone, damaged, or was packed in another way; or the store fails.
        """
        for future in [self._fetch(number) for number in numbers if number not in self._opened]:
            future.result()

    def ahead(self, numbers: Iterable[int]) -> None:
        """Begins to open these shards; one that fails is tried again when it is asked for, and what goes wrong is told."""
        for number in numbers:
            if number < len(self) and number not in self._opened:
                self._fetch(number)

    def sources(self) -> Iterator[str]:
        """The source of each shard; of those in a store their name says it."""
        for number, entry in enumerate(self.entries):
            if storage.is_remote(self._places[number]):
                yield source_of(entry.stem, with_split=True)
            else:
                yield self[number].facts.source

    def _fetch(self, number: int) -> "Future[MappedShard]":
        with self._lock:
            if number not in self._wanted:
                if self._num_threads < AT_ONCE:
                    self._num_threads += 1
                    # Daemons: a run that ends waits for no download.
                    threading.Thread(target=self._serve, daemon=True).start()
                self._wanted[number] = Future()
                self._queue.put(number)
            return self._wanted[number]

    def _serve(self) -> None:
        while True:
            number = self._queue.get()
            try:
                shard = self._checked(number, MappedShard.of(self._manifest, self.entries[number]))
            except BaseException as error:
                # Who waits for it now is told; who asks later has it tried again, perhaps hours after a store was away.
                with self._lock:
                    failed = self._wanted.pop(number)
                failed.set_exception(error)
            else:
                self._opened[number] = shard
                self._wanted[number].set_result(shard)

    def _checked(self, number: int, shard: MappedShard) -> MappedShard:
        """The shard, once it is what the manifest says and packed as the first one was."""
        entry, place = self.entries[number], self._places[number]
        expect_common(shard, self.facts, self.entries[0].name)
        source = source_of(entry.stem, with_split=True) if storage.is_remote(place) else shard.facts.source
        if (shard.num_rows, shard.facts.source) != (entry.rows, source):
            raise CorpusmillError(
                "the shard is not what its manifest and its name say", where=place,
                expected=f"{entry.rows:,} rows of source {source}",
                got=f"{shard.num_rows:,} rows of source {shard.facts.source}", hint="run `dvc repro pack`",
            )  # fmt: skip
        return shard

    def _head(self) -> ShardFacts:
        """What the first kilobytes of the first shard say, without fetching it."""
        place = self._places[0]
        try:
            with storage.open_input(place) as file:
                return facts_of(pa.ipc.open_stream(file).schema, place)
        except (FileNotFoundError, pa.ArrowInvalid):
            return MappedShard.of(self._manifest, self.entries[0]).facts  # says what is wrong with it
