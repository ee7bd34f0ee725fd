"""What `shard` does with a unit, in its two passes, and between them with all of val and test.

    clean unit and its lists         ->  DrawUnit    ->  its documents of val and test, as shingles
    all documents of val and test    ->  IndexUnit   ->  the index, and which of val are too like one of test
    joined unit, lists, index        ->  ShardUnit   ->  train, val and test pieces, what leaked

`pipelines.shard` says in which order.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.duplicates.shingles import distinct_sets
from pipelines.duplicates.text_units import row_blocks
from pipelines.spine import storage
from pipelines.spine.schema import DOCUMENT, DUPLICATE, LEAKED
from pipelines.spine.units import Unit, UnitCache, UnitInput
from pipelines.spine.work import Outcome
from pipelines.splitting.applying import Kept, read_kept
from pipelines.splitting.drawing import I64, SPLITS, TEST, TRAIN, VAL, splits_of
from pipelines.splitting.index import U64, Index, Limits, build_index, text_shingles
from pipelines.splitting.joining import Member, members_of
from pipelines.splitting.kept_rows import KeptRows
from pipelines.splitting.leaks import CONTAINED, NEAR, NO_LEAKS, Leaks, find_leaks

#: Text that is checked at a time, so that the arrays stay small: whole documents, at least one.
BLOCK_BYTES = 1 << 20
#: Text that is put in order and written at a time.
WRITTEN_BYTES = 8 << 20


@dataclass(frozen=True)
class ShardParams:
    """``params.yaml: shard``. Shares are in 1/10,000 of documents, with three decimals; the rest is train."""

    val_per_10000: float
    test_per_10000: float
    max_eval_documents: int
    shingle_size: int
    leak_threshold: float
    leak_containment: float
    min_unit_mb: int

    @property
    def limits(self) -> Limits:
        return Limits(Fraction(str(self.leak_threshold)), Fraction(str(self.leak_containment)))

    @property
    def drawing(self) -> dict[str, Any]:
        """What shapes the first pass."""
        return {name: getattr(self, name) for name in ("val_per_10000", "test_per_10000", "shingle_size")}

    @property
    def leaking(self) -> dict[str, Any]:
        """What shapes the index."""
        return {name: getattr(self, name) for name in ("shingle_size", "leak_threshold", "leak_containment")}

    @property
    def writing(self) -> dict[str, Any]:
        """What shapes the second pass: not how units are joined, nor how many documents val and test may have."""
        return {**self.drawing, **self.leaking}

    def splits(self, kept: Kept) -> I64:
        """Places in `SPLITS`."""
        return splits_of(kept.parts, self.val_per_10000, self.test_per_10000)


#: A document of val or test, as the first pass leaves it: where it lies, what it drew, its distinct shingles, ascending.
DRAWN = pa.schema(
    [
        pa.field("doc_id", pa.string(), False),
        pa.field("row", pa.int64(), False),
        pa.field("part", pa.int64(), False),
        pa.field("split", pa.int8(), False),
        pa.field("shingles", pa.large_list(pa.field("item", pa.uint64(), False)), False),
    ]
)

#: A document of the index, in its order; one of val that leaks names the one of test, one that stays has "" there.
INDEXED = pa.schema(
    [
        pa.field("unit", pa.string(), False),
        pa.field("row", pa.int64(), False),
        pa.field("split", pa.int8(), False),
        *DUPLICATE,
    ]
)
POSTINGS, DOCUMENTS = "postings", "documents"


@dataclass(frozen=True)
class DrawUnit:
    """Work: a clean unit -> its documents of val and test. Memory: one row group."""

    params: ShardParams
    stage: ClassVar[str] = "shard"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".arrow"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a batch."""
        (member,), _ = members_of(unit)
        for kept in read_kept(member):
            splits = self.params.splits(kept)
            held_out = np.flatnonzero(splits != TRAIN)
            given = {name: int(np.count_nonzero(splits == place)) for place, name in enumerate(SPLITS)}
            outputs = {"": _drawn(kept, splits, held_out, self.params.shingle_size)} if len(held_out) else {}
            yield Outcome(kept.taken, outputs, given, kept.reasons)


def _drawn(kept: Kept, splits: I64, places: I64, shingle_size: int) -> pa.RecordBatch:
    documents = kept.documents.take(pa.array(places))
    sets, offsets = distinct_sets(*text_shingles(documents.column("text"), shingle_size))
    kind = DRAWN.field("shingles").type
    shingles = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(sets), type=kind)
    rows, parts, places_of = kept.rows[places], kept.parts[places], splits[places].astype(np.int8)
    columns = [documents.column("doc_id"), pa.array(rows), pa.array(parts), pa.array(places_of), shingles]
    return pa.RecordBatch.from_arrays(columns, schema=DRAWN)


@dataclass(frozen=True)
class IndexUnit:
    """Work: what `DrawUnit` left of all units -> the index, and what becomes of each document in it.

    Those of test come first. Between val and test, test stays. Memory: 140 bytes for each shingle of val and test, the
    number of whose documents is bounded by ``max_eval_documents``.
    """

    params: ShardParams
    stage: ClassVar[str] = "shard"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".arrow"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step."""
        table = _read_drawn(unit)
        splits = table["split"].to_numpy()
        shingles = table["shingles"].combine_chunks()
        offsets = shingles.offsets.to_numpy()
        hashes, offsets = shingles.values.to_numpy()[offsets[0] : offsets[-1]], offsets - offsets[0]
        index = build_index(hashes, offsets, self.params.limits)
        leaks = _leaks_to_test(hashes, offsets, index, self.params.limits, splits == TEST)
        given = {
            SPLITS[TEST]: int((splits == TEST).sum()),
            SPLITS[VAL]: int((splits == VAL).sum()) - len(leaks.documents),
        }
        outputs = {POSTINGS: index.to_row(), DOCUMENTS: _indexed(table, leaks)}
        yield Outcome(len(splits), outputs, given, {LEAKED_REASON: len(leaks.documents)})


LEAKED_REASON = "dropped.leaked"


def index_unit(drawn: Sequence[Unit], cache: UnitCache) -> Unit | None:
    """The unit that `IndexUnit` takes, of all that `DrawUnit` left; None where no document is in val or test."""
    names, inputs = [], []
    for unit, receipt in zip(drawn, cache.receipts(drawn), strict=True):
        for shard in receipt.shards if receipt is not None else ():
            names.append(unit.name)
            inputs.append(UnitInput(cache.place(unit, shard.name), shard.sha256, shard.bytes))
    return Unit("index", "", tuple(inputs), (("units", json.dumps(names, ensure_ascii=False)),)) if inputs else None


def _read_drawn(unit: Unit) -> pa.Table:
    """The rows of all units with the units' names, those of test first, else in the order of the units."""
    tables = []
    for name, part in zip(json.loads(unit.setting("units")), unit.inputs, strict=True):
        rows = read_arrow(part.path, part.sha256)
        tables.append(rows.append_column(INDEXED.field("unit"), pa.array([name] * rows.num_rows, pa.string())))
    table = pa.concat_tables(tables)
    return table.take(np.argsort(-table["split"].to_numpy(), kind="stable"))


def _leaks_to_test(hashes: U64, offsets: I64, index: Index, limits: Limits, is_test: np.ndarray) -> Leaks:
    """The documents of val that are too like one of test, by their numbers in the index."""
    first_val = int(is_test.sum())
    found = [NO_LEAKS]
    for begin, end in row_blocks(offsets[first_val:], BLOCK_BYTES):
        rows = offsets[first_val + begin : first_val + end + 1]
        leaks = find_leaks(hashes[rows[0] : rows[-1]], rows - rows[0], index, limits, is_test)
        found.append(leaks._replace(documents=leaks.documents + first_val + begin))
    return Leaks(*map(np.concatenate, zip(*found, strict=True)))


def _indexed(table: pa.Table, leaks: Leaks) -> pa.RecordBatch:
    """INDEXED rows."""
    doc_ids = table["doc_id"].to_pylist()
    kept_ids, measures, similarities = [""] * len(doc_ids), [""] * len(doc_ids), np.zeros(len(doc_ids))
    for document, kept, contained in zip(leaks.documents.tolist(), leaks.kept.tolist(), leaks.contained, strict=True):
        kept_ids[document], measures[document] = doc_ids[kept], CONTAINED if contained else NEAR
    similarities[leaks.documents] = leaks.similarity
    columns = {
        **{name: table[name].combine_chunks() for name in ("unit", "row", "split", "doc_id")},
        "kept_id": pa.array(kept_ids, pa.string()),
        "similarity": pa.array(similarities),
        "measure": pa.array(measures, pa.string()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in INDEXED.names], schema=INDEXED)


class HeldOut:
    """The index of val and test, and what became of its documents, as a worker of the second pass reads them.

    Args:
        files: what `IndexUnit` left, by name: "documents", "postings".
    """

    def __init__(self, files: Sequence[UnitInput], limits: Limits) -> None:
        by_name = {storage.name_of(one.path).partition("-")[0]: one for one in files}
        postings, documents = by_name[POSTINGS], by_name[DOCUMENTS]
        self._limits = limits
        self._index = Index.mapped(storage.local_copy(postings.path, postings.sha256))
        self._documents = read_arrow(documents.path, documents.sha256)
        self._stays = pc.equal(self._documents["measure"], "").to_numpy()

    def leaks_of_val(self, unit: str) -> dict[int, dict[str, Any]]:
        """Row -> LEAKED row, of the documents of a clean unit that would be in val but are too like one of test."""
        leaked = pc.and_(pc.equal(self._documents["unit"], unit), pc.not_equal(self._documents["measure"], ""))
        rows = self._documents.filter(leaked).to_pylist()
        return {row["row"]: {**{name: row[name] for name in DUPLICATE.names}, "split": SPLITS[TEST]} for row in rows}

    def leaks_of_train(self, documents: pa.RecordBatch, shingle_size: int) -> dict[int, dict[str, Any]]:
        """Place -> LEAKED row, of the documents of a batch that are too like one of val or test."""
        texts, found = documents.column("text"), {}
        ends = np.concatenate([[0], np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False), dtype=np.int64)])
        for begin, end in row_blocks(ends, BLOCK_BYTES):
            hashes, offsets = text_shingles(texts.slice(begin, end - begin), shingle_size)
            leaks = find_leaks(hashes, offsets, self._index, self._limits, self._stays)
            kept = self._documents.take(leaks.kept).select(["doc_id", "split"]).to_pylist()
            for place, of, similarity, contained in zip(
                (leaks.documents + begin).tolist(), kept, leaks.similarity.tolist(), leaks.contained, strict=True
            ):
                doc_id = documents.column("doc_id")[place].as_py()
                measure = CONTAINED if contained else NEAR
                row = (doc_id, of["doc_id"], similarity, measure, SPLITS[of["split"]])
                found[place] = dict(zip(LEAKED.names, row, strict=True))
        return found


@dataclass(frozen=True)
class ShardUnit:
    """Work: a joined unit, with its lists and the index -> its train, val and test pieces, by doc_id.

    Memory: the text of the unit once, to put it in order (``min_unit_mb`` to twice that of Parquet, where no single
    clean unit is larger), a row group of each split, and what `find_leaks` needs for a megabyte. The index is mapped,
    not copied.
    """

    params: ShardParams
    stage: ClassVar[str] = "shard"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a batch for what goes; then what stays, some megabytes of text at a time."""
        members, files = members_of(unit)
        held_out = HeldOut(files, self.params.limits) if files else None
        kept_rows = KeptRows()
        for member in members:
            for kept in read_kept(member):
                drawn = self.params.splits(kept)
                leaked = self._leaked(member, kept, drawn, held_out)
                stays = np.ones(len(drawn), bool)
                stays[list(leaked)] = False
                kept_rows.add(kept.documents.filter(pa.array(stays)), drawn[stays])
                yield _gone(kept, leaked, kept.cut[stays])
        yield Outcome(outputs={name: DOCUMENT.empty_table() for name in SPLITS})  # counts a split that nobody is in
        for split, documents in kept_rows.in_order(WRITTEN_BYTES):
            yield Outcome(outputs={SPLITS[split]: documents})

    def _leaked(self, member: Member, kept: Kept, drawn: I64, held_out: HeldOut | None) -> dict[int, dict[str, Any]]:
        """Place in the batch -> LEAKED row."""
        if held_out is None:
            return {}
        train = np.flatnonzero(drawn == TRAIN)
        found = held_out.leaks_of_train(kept.documents.take(pa.array(train)), self.params.shingle_size)
        leaked = {int(train[place]): row for place, row in found.items()}
        of_val = held_out.leaks_of_val(member.name)
        leaked.update({place: of_val[row] for place, row in enumerate(kept.rows.tolist()) if row in of_val})
        return dict(sorted(leaked.items()))


def _gone(kept: Kept, leaked: Mapping[int, dict[str, Any]], cut: I64) -> Outcome:
    """What did not come out of a batch, and what was cut from what did."""
    reasons = Counter(kept.reasons)
    reasons[LEAKED_REASON] += len(leaked)
    evidence = pa.RecordBatch.from_pylist(list(leaked.values()), schema=LEAKED)
    apart = {"documents_cut": int(np.count_nonzero(cut)), "characters_cut": int(cut.sum())}
    return Outcome(taken=kept.taken, reasons=reasons, evidence={"leaked": evidence}, apart=apart)


def read_arrow(place: str, sha256: str) -> pa.Table:
    """The rows of an Arrow file, mapped; of an object there will be a local copy with those bytes."""
    with pa.memory_map(str(storage.local_copy(place, sha256))) as file:
        return pa.ipc.open_stream(file).read_all()
