"""Decontamination: the documents that hold text of an evaluation set, and where.

    data/clean/<unit>.parquet + data/fetch/evaluation.json  ->  FindContaminated
                ->  data/decontaminate/<unit>.parquet  (doc_id, set, item, start, stop, matched, action), sets.json

in = clean + contaminated

Shared are runs of so many words, or characters where a script has no spaces (``pipelines.contamination.windows``),
whatever their case and punctuation. This stage decides; `shard` drops the documents, or cuts the spans. `evaluate`
reports no set that ``sets.json`` does not list. Where no sets are listed the stage reads nothing, and says so there.

Run by ``dvc repro decontaminate``, or alone:
``python -m pipelines.decontaminate --input data/clean --sets data/fetch/evaluation.json --output data/decontaminate``
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from pipelines.contamination.index import Coverage, build_index
from pipelines.contamination.items import SetTexts, read_texts
from pipelines.contamination.spans import Span, find_spans
from pipelines.contamination.stored import read_index, write_index
from pipelines.contamination.windows import NgramSizes
from pipelines.evaluation_sets import FetchedSet, read_sets
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import dump
from pipelines.spine.schema import CONTAMINATED, as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Unit, UnitCache, plan_documents
from pipelines.spine.work import Outcome

SETS = "sets.json"
SCHEMA_VERSION = 1
ACTIONS = ("drop", "cut")
#: The tally of documents by the sets of which they hold text.
DOCUMENTS_BY_SET = "documents_by_set"


@dataclass(frozen=True)
class DecontaminateParams:
    """``params.yaml: decontaminate``."""

    ngram_words: int
    ngram_characters: int
    min_words: int
    action: str
    cut_margin_chars: int

    @property
    def sizes(self) -> NgramSizes:
        return NgramSizes(self.ngram_words, self.ngram_characters, self.min_words)


@dataclass(frozen=True)
class FindContaminated:
    """Work: a unit of clean documents -> the spans that sets hold too. Memory: a row group, and the index, mapped.

    Args:
        index: the folder of the index, a path or a place in a store, named by what it holds.
    """

    index: str
    action: str
    margin_chars: int
    stage: ClassVar[str] = "decontaminate"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a row group."""
        path = unit.inputs[0].path
        for batch in read_batches(path, sha256=unit.inputs[0].sha256):
            documents = as_documents(batch, path)
            found = dict(find_spans(read_index(self.index), documents.column("text"), self.margin_chars))
            by_set: Counter[str] = Counter()
            for spans in found.values():
                by_set.update(frozenset[str]().union(*(span.sets for span in spans)))
            yield Outcome(
                taken=documents.num_rows,
                outputs={"": contaminated_rows(documents.column("doc_id"), found, self.action)},
                given={"clean": documents.num_rows - len(found), "contaminated": len(found)},
                apart={"spans": sum(map(len, found.values()))},
                tallies={DOCUMENTS_BY_SET: by_set},
            )


def contaminated_rows(doc_ids: pa.Array, found: Mapping[int, Sequence[Span]], action: str) -> pa.RecordBatch:
    """CONTAMINATED rows of the documents with spans, in row order."""
    rows = [
        (doc_ids[row].as_py(), span.set, span.item, span.start, span.stop, span.matched, action)
        for row in sorted(found)
        for span in found[row]
    ]
    columns = list(zip(*rows, strict=True)) or [()] * len(CONTAMINATED)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, CONTAMINATED, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=CONTAMINATED)


def sets_document(
    sets: Sequence[FetchedSet],
    read: Mapping[str, SetTexts],
    coverage: Mapping[str, Coverage],
    documents: Mapping[str, int],
    params: DecontaminateParams,
) -> dict[str, Any]:
    """What ``sets.json`` holds: how was looked, for which sets, and in how many documents each was found."""
    entries = [
        {
            **one.to_entry(), **vars(coverage[one.name]), "texts_unreadable": read[one.name].num_unreadable,
            "documents": documents.get(one.name, 0),
        }
        for one in sorted(sets, key=lambda one: one.name)
    ]  # fmt: skip
    ngram = {"words": params.ngram_words, "characters": params.ngram_characters, "min_words": params.min_words}
    return {"schema_version": SCHEMA_VERSION, "action": params.action, "ngram": ngram, "sets": entries}


def check_params(params: DecontaminateParams) -> None:
    """Raises CorpusmillError for a parameter out of its range."""
    where = "params.yaml: decontaminate"
    limits = {"ngram_words": (1, 1000), "ngram_characters": (1, 1000), "min_words": (1, params.ngram_words),
              "cut_margin_chars": (0, 100_000)}  # fmt: skip
    for name, (least, most) in limits.items():
        number = getattr(params, name)
        if not least <= number <= most:
            raise CorpusmillError(
                "out of range", where=f"{where}.{name}", expected=f"{least:,} to {most:,}", got=f"{number:,}"
            )
    if params.action not in ACTIONS:
        raise CorpusmillError(
            "no such action", where=f"{where}.action", expected=" or ".join(ACTIONS), got=params.action
        )


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv, _add_options) as job:
        params: DecontaminateParams = job.params
        check_params(params)
        sets = read_sets(job.args.sets, job.cache_root)
        job.also_read.append(str(Path(job.args.sets).parent))
        if not sets:
            job.begin()
            storage.write_text(job.output / SETS, dump(sets_document([], {}, {}, {}, params)))
            job.publish([], Ledger("documents"), others=[SETS])
            print("decontaminate: no evaluation sets are listed, nothing was looked for", file=sys.stderr)
            return
        read = {one.name: read_texts(one) for one in sets}
        index, coverage = build_index([(name, one.texts) for name, one in read.items()], params.sizes)
        place = write_index(index, storage.join(job.store, "contamination"))
        units = job.units_for_workers(plan_documents(job.inputs))
        # By its name, which is its content: the cache may be moved.
        cache = job.unit_cache("", [params, storage.name_of(place)])
        _find(job, units, FindContaminated(place, params.action, params.cut_margin_chars), cache)
        documents = _documents_by_set(units, cache)
        text = dump(sets_document(sets, read, coverage, documents, params))
        job.publish_units(units, "documents", cache=cache, texts={SETS: text})
    for one in sets:
        of_set = coverage[one.name]
        print(
            f"decontaminate: {one.name} found in {documents[one.name]:,} documents; {of_set.items_unchecked:,} of its "
            f"{of_set.items:,} items are too short to be looked for",
            file=sys.stderr,
        )


def _find(job: Job, units: Sequence[Unit], work: FindContaminated, cache: UnitCache) -> None:
    from pipelines.process import process_units  # Beam: a second that a stage without sets does not spend

    process_units(job, units, work, cache)


def _documents_by_set(units: Sequence[Unit], cache: UnitCache) -> Counter[str]:
    documents: Counter[str] = Counter()
    for receipt in cache.receipts(units):
        if receipt is not None:
            documents.update(receipt.ledger.tallies.get(DOCUMENTS_BY_SET, {}))
    return documents


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sets", required=True, metavar="FILE", help="evaluation.json of fetch, or its folder")


STAGE = Stage("pipelines.decontaminate", DecontaminateParams, ("python", "pyarrow", "numpy", "zstandard"), True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.decontaminate"))
