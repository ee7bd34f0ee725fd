"""Clusters of duplicates, counted from the drop lists alone: a kept document and those that were dropped for it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.reporting.flow import StageFolder
from pipelines.spine.schema import DUPLICATE
from pipelines.spine.shards import open_parquet, read_batches
from pipelines.spine.units import source_of

#: Documents dropped for one that is kept: (what the table says, the most of them).
SIZES = (("1", 1), ("2", 2), ("3–4", 4), ("5–9", 9), ("10–99", 99), ("100 and more", 1 << 62))
#: Where kept documents are from that are not among those that were cleaned.
OLDER = "an older corpus"
#: Similarities are counted in millionths, so that no bar's edge depends on how a fraction is rounded.
MILLION = 1_000_000
BAR_MILLIONTHS = 20_000


@dataclass(frozen=True)
class Drops:
    """The drop lists of all units.

    Attributes:
        rows: doc_id, kept_id, similarity, measure of each dropped document.
        sources: the names that ``of`` and ``kept_of`` number; the last is `OLDER`.
        of: source of each dropped document, int64 ``[rows]``.
        kept_ids: the distinct kept documents.
        kept: which of them each row was dropped for, int64 ``[rows]``.
        kept_of: source of each kept document, int64 ``[kept_ids]``.
    """

    rows: pa.Table
    sources: list[str]
    of: npt.NDArray[np.int64]
    kept_ids: pa.Array
    kept: npt.NDArray[np.int64]
    kept_of: npt.NDArray[np.int64]


def read_drops(dedup: StageFolder, clean: StageFolder) -> Drops:
    """The drop lists, with the sources of both sides; of the cleaned documents the ids are read, a shard at a time."""
    lists = [(source_of(shard.stem, False), path) for shard, path in dedup.shard_places()]
    searched = [(source_of(shard.stem, False), path) for shard, path in clean.shard_places()]
    sources = [*sorted({source for source, _ in (*lists, *searched)}), OLDER]
    parts = [(sources.index(source), _table(path)) for source, path in lists]
    rows = pa.concat_tables([DUPLICATE.empty_table(), *(table for _, table in parts)])
    of = np.repeat([number for number, _ in parts], [table.num_rows for _, table in parts]).astype(np.int64)
    kept_ids = pc.unique(rows["kept_id"])
    kept = pc.index_in(rows["kept_id"], value_set=kept_ids).to_numpy().astype(np.int64)
    kept_of = _sources_of(kept_ids, ((sources.index(source), path) for source, path in searched), len(sources) - 1)
    return Drops(rows, sources, of, kept_ids, kept, kept_of)


def _table(path: str) -> pa.Table:
    return pa.Table.from_batches(read_batches(path, DUPLICATE.names), DUPLICATE)


def _sources_of(ids: pa.Array, shards: Iterable[tuple[int, str]], otherwise: int) -> npt.NDArray[np.int64]:
    """The number of the first shard's source that holds each id."""
    found = np.full(len(ids), otherwise, np.int64)
    for number, path in shards:
        with open_parquet(path) as file:
            here = file.read(columns=["doc_id"], use_threads=False)["doc_id"].cast(pa.string())
        holds = pc.is_in(ids, value_set=here).to_numpy(zero_copy_only=False)
        found[holds & (found == otherwise)] = number
    return found


def by_size(drops: Drops) -> list[tuple[str, int, int]]:
    """(documents dropped for one, such clusters, documents dropped in them), sizes without a cluster left out."""
    sizes = np.bincount(drops.kept, minlength=len(drops.kept_ids))
    places = np.searchsorted([most for _, most in SIZES], sizes)
    rows = [(said, sizes[places == place]) for place, (said, _) in enumerate(SIZES)]
    return [(said, len(found), int(found.sum())) for said, found in rows if len(found)]


def largest(drops: Drops, number: int) -> list[tuple[str, str, int]]:
    """(kept document, its source, documents dropped for it) of the clusters with most, equal ones by id."""
    sizes = np.bincount(drops.kept, minlength=len(drops.kept_ids))
    table = pa.table({"id": drops.kept_ids, "of": drops.kept_of, "size": sizes})
    rows = table.sort_by([("size", "descending"), ("id", "ascending")]).slice(0, number).to_pylist()
    return [(row["id"], drops.sources[row["of"]], row["size"]) for row in rows]


def by_sources(drops: Drops) -> list[tuple[str, str, int]]:
    """(source of the dropped, source of the kept, documents), the most first."""
    pairs, numbers = np.unique(np.stack([drops.of, drops.kept_of[drops.kept]]), axis=1, return_counts=True)
    named = [(drops.sources[a], drops.sources[b], n) for a, b, n in zip(*pairs.tolist(), numbers.tolist(), strict=True)]
    return sorted(named, key=lambda row: (-row[2], row[0], row[1]))


def similarity_bars(drops: Drops, measure: str, threshold: float) -> tuple[list[str], list[int]]:
    """Similarities of one measure in bars of 0.02 from the threshold up; the last bar ends at 1 and holds it."""
    similar = drops.rows.filter(pc.equal(drops.rows["measure"], measure))["similarity"].to_numpy()
    low = round(threshold * MILLION)
    num_bars = max(1, -(-(MILLION - low) // BAR_MILLIONTHS))
    places = (np.rint(similar * MILLION).astype(np.int64) - low) // BAR_MILLIONTHS
    counts = np.bincount(np.clip(places, 0, num_bars - 1), minlength=num_bars).tolist() if len(similar) else []
    return [_hundredths(low + place * BAR_MILLIONTHS) for place in range(num_bars)], counts


def _hundredths(millionths: int) -> str:
    """With two decimals, more where there are more.

    >>> _hundredths(800_000), _hundredths(855_000)
    ('0.80', '0.855')
    """
    whole, rest = divmod(millionths, MILLION)
    decimals = f"{rest:06}"
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"
