"""Cleaning: documents are normalised, lose lines, and are dropped where a published rule says so.

    data/extract/<unit>.parquet  ->  CleanUnit  ->  data/clean/<unit>.parquet
                                                    data/clean/dropped/<unit>.parquet  (rule, value, threshold, text)

in = out + dropped(rule); apart: lines removed by rule, texts changed by normalisation

Run by ``dvc repro clean``, or alone:
``python -m pipelines.clean --input data/extract --output data/clean --ledger data/clean/ledger.json``
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from pipelines.cleaning.normalize import normalize_batch
from pipelines.cleaning.readings import RuleParams
from pipelines.cleaning.rules import Verdict, apply_rules, check_params
from pipelines.process import run_units
from pipelines.spine.command import run_module
from pipelines.spine.schema import DOCUMENT, DROPPED, as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Stage, opened
from pipelines.spine.units import Unit, plan_documents
from pipelines.spine.work import Outcome


@dataclass(frozen=True)
class CleanParams:
    """``params.yaml: clean``."""

    rules: RuleParams


def clean_batch(documents: pa.RecordBatch, rules: RuleParams) -> Outcome:
    """Which of the documents stay, with their edited text, and the evidence of those that go.

    Args:
        documents: document columns.
        rules: limits.
    """
    texts, changes = normalize_batch(documents.column("text"))
    verdicts = apply_rules(texts, documents.column("language").to_pylist(), rules)
    kept = [row for row, verdict in enumerate(verdicts) if verdict.rule is None]
    gone = [row for row, verdict in enumerate(verdicts) if verdict.rule is not None]
    edited = pa.array([verdicts[row].text for row in kept], pa.string())
    place = DOCUMENT.get_field_index("text")
    out = documents.take(pa.array(kept, pa.int64())).set_column(place, DOCUMENT.field("text"), edited)
    return Outcome(
        taken=documents.num_rows,
        outputs={"": out},
        dropped=_evidence(documents, gone, texts, verdicts),
        apart=_edits(verdicts, changes),
    )


@dataclass(frozen=True)
class CleanUnit:
    """Work: one unit of documents -> its clean ones and what was dropped. Memory: one row group."""

    params: CleanParams
    stage: ClassVar[str] = "clean"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """One step a row group."""
        path = unit.inputs[0].path
        for batch in read_batches(path):
            yield clean_batch(as_documents(batch, path), self.params.rules)


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv) as job:
        check_params(job.params.rules)
        run_units(job, plan_documents(job.inputs), CleanUnit(job.params))


def _evidence(
    documents: pa.RecordBatch, rows: Sequence[int], texts: Sequence[str], verdicts: Sequence[Verdict]
) -> pa.RecordBatch:
    """The dropped documents as they came to the rules, with what the rule read."""
    doc_ids, sources = documents.column("doc_id").to_pylist(), documents.column("source").to_pylist()
    columns = [
        [doc_ids[row] for row in rows],
        [sources[row] for row in rows],
        [verdicts[row].rule for row in rows],
        [verdicts[row].value for row in rows],
        [verdicts[row].threshold for row in rows],
        [texts[row] for row in rows],
    ]
    arrays = [pa.array(column, pa.string()) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=DROPPED)


def _edits(verdicts: Sequence[Verdict], changes: dict[str, int]) -> Counter[str]:
    edits = Counter({f"texts_changed.{step}": number for step, number in changes.items()})
    for verdict in verdicts:
        edits.update({f"lines_removed.{rule}": number for rule, number in verdict.lines_removed.items()})
    return edits


STAGE = Stage("pipelines.clean", CleanParams, ("python", "pyarrow", "numpy", "ftfy"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.clean"))
