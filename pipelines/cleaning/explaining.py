"""What cleaning does with one document, rule by rule, for a person: ``python -m pipelines.clean --explain ID_OR_FILE``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipelines.cleaning.halves import CleanParams, normalized, prepare
from pipelines.cleaning.quality_model import QualityModel
from pipelines.cleaning.rules import Finding, explain
from pipelines.cleaning.steps import load_model, published_model
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import NAME
from pipelines.spine.params import load_params
from pipelines.spine.schema import DOCUMENT, as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.units import plan_documents

OPTION = "--explain"


def explain_command(argv: Sequence[str]) -> None:
    """Prints what cleaning says of the document that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.clean", description=__doc__, allow_abbrev=False)
    parser.add_argument(OPTION, nargs="?", metavar="ID_OR_FILE", help="a doc_id of --input, or a file of text")
    parser.add_argument("--input", nargs="+", default=["data/extract"], metavar="PATH", help="documents (%(default)s)")
    parser.add_argument("--params", default="params.yaml", metavar="FILE", help="parameters (default: %(default)s)")
    parser.add_argument("--quality", default="data/quality", metavar="DIR", help="folder of a model (%(default)s)")
    parser.add_argument("--language", default="", help="of the file's text: en, zh, ...")
    parser.add_argument("--source", default="file", help="source that the file's text is judged as")
    args = parser.parse_args(argv)
    if not args.explain:
        parser.error(f"{OPTION}: of which document? a doc_id of --input, or a file of text")
    params: CleanParams = load_params(CleanParams, "clean", args.params)
    if Path(args.explain).is_file():
        document = _document_of_file(Path(args.explain), args.language, args.source)
    else:
        document = find_document(args.explain, args.input)
    model = published_model(args.quality) if Path(args.quality, NAME).exists() else None
    path = str(Path(args.quality, model.name)) if model else ""
    sys.stdout.write(explanation(document, params, load_model(path)))


def find_document(doc_id: str, inputs: Sequence[str]) -> pa.RecordBatch:
    """The one document of an id, as a batch.

    Raises:
        CorpusmillError: no unit of the inputs holds it, or an input is not there.
    """
    missing = [path for path in inputs if not storage.is_remote(path) and not Path(path).exists()]
    if missing:
        raise CorpusmillError(
            "no file of this name, and no folder of documents to find an id in", where=doc_id, got=", ".join(missing),
            hint="--input names the folder that `python -m pipelines.extract` wrote",
        )  # fmt: skip
    for unit in plan_documents(inputs):
        path = unit.inputs[0].path
        for batch in read_batches(path, sha256=unit.inputs[0].sha256):
            ids = batch.column("doc_id").to_pylist() if "doc_id" in batch.schema.names else []
            if doc_id in ids:
                return as_documents(batch.slice(ids.index(doc_id), 1), path)
    raise CorpusmillError(
        "no document of this id, and no file of this name", where=doc_id, expected="source:key, or a path",
        hint=f"ids stand in the column doc_id of {', '.join(inputs)}; give another folder by --input",
    )  # fmt: skip


def explanation(document: pa.RecordBatch, params: CleanParams, quality_model: QualityModel | None) -> str:
    """What each step and rule reads from a document, against which limit, and what follows.

    Args:
        document: document columns, one row.
        params: of the stage.
        quality_model: where there is one.
    """
    row = document.to_pylist()[0]
    batch, _ = normalized(document, params)
    prepared = prepare(document, params, quality_model)
    verdict = prepared.rows.to_pylist()[0]
    findings = explain(batch, params.rules, quality_model)
    language = row["language"] or f"not declared, read as {verdict['language'] or 'none'}"
    lines = [f"{row['doc_id']}  language {language}  {len(row['text']):,} characters", ""]
    changes = sorted((name, number) for name, number in prepared.apart.items() if number)
    lines += [f"{name:<40} {number:,}" for name, number in changes] or ["no step changes the text"]
    lines += ["", f"{'rule':<36} {'value':<34} {'drops if':<10} verdict"]
    lines += [_row(finding, verdict["rule"]) for finding in findings]
    lines += ["", _outcome(verdict), "Lines that recur in its source are counted over a whole run: repeated_lines/."]
    return "\n".join(lines) + "\n"


def _row(finding: Finding, deciding: str) -> str:
    mark = " <- this one decides" if finding.rule == deciding else ""
    return f"{finding.rule:<36} {finding.value:<34} {finding.threshold:<10} {finding.verdict}{mark}"


def _outcome(verdict: dict[str, str]) -> str:
    if verdict["rule"]:
        return f"dropped by {verdict['rule']}: {verdict['value']}, and the limit is {verdict['threshold']}"
    return f"stays, with {len(verdict['text']):,} characters"


def _document_of_file(path: Path, language: str, source: str) -> pa.RecordBatch:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CorpusmillError(f"not UTF-8: {error.reason} at byte {error.start:,}", where=str(path)) from None
    known = {"doc_id": f"{source}:{path.name}", "source": source, "language": language, "text": text}
    return pa.RecordBatch.from_pylist([{name: known.get(name, "") for name in DOCUMENT.names}], schema=DOCUMENT)
