"""Extraction: raw files to documents, every record accounted for.

    data/fetch/manifest.json  ->  ExtractUnit per file  ->  data/extract/<source>-<key>.parquet
                                                            data/extract/quarantined/<source>-<key>.parquet

records = documents + skipped(reason) + quarantined(reason)

Run by ``dvc repro extract``, or alone, on any files:
``python -m pipelines.extract --kind mediawiki --source enwiki --language en --input dump.xml.bz2 --output documents``
"""

import argparse
import hashlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

import pyarrow as pa

from pipelines.process import run_units
from pipelines.readers.compression import open_decompressed
from pipelines.readers.mediawiki import read_mediawiki
from pipelines.readers.plain import read_text
from pipelines.readers.records import Item, Quarantined, ReadContext, Record, Skipped
from pipelines.readers.tables import read_csv, read_hf, read_jsonl, read_parquet
from pipelines.readers.web import read_html, read_warc
from pipelines.sources import KINDS, SOURCE_NAME, FetchedFile, is_source_name, read_fetch_manifest
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.schema import DOCUMENT, QUARANTINED
from pipelines.spine.stage import Stage, opened
from pipelines.spine.units import Unit, UnitInput, unit_key
from pipelines.spine.work import Outcome

RECORDS_PER_STEP = 256  # bounds memory; bytes do not depend on it

Reader = Callable[[BinaryIO, ReadContext], Iterator[Item]]


@dataclass(frozen=True)
class ExtractParams:
    """``params.yaml: extract``."""

    max_quarantined_percent: int


def _read_mediawiki(stream: BinaryIO, context: ReadContext) -> Iterator[Item]:
    return read_mediawiki(stream, context.language)


#: kind -> reader. `hf` is not here: it reads a dataset by name, not a stream of bytes.
READERS: Mapping[str, Reader] = {
    "mediawiki": _read_mediawiki,
    "warc": read_warc,
    "html": read_html,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
    "text": read_text,
}


def read_items(unit: Unit) -> Iterator[Item]:
    """Every record of the unit's file, in file order; the reader is chosen by the unit's kind."""
    context = ReadContext(
        file_key=unit_key(unit.inputs[0].sha256),
        columns=json.loads(unit.setting("columns") or "{}"),
        language=unit.setting("language"),
        split=unit.setting("split") or "line",
    )
    kind = unit.setting("kind")
    if kind == "hf":
        yield from read_hf(unit.inputs[0].path, context)
        return
    with open(unit.inputs[0].path, "rb") as raw, open_decompressed(raw) as stream:
        yield from READERS[kind](stream, context)


def quarantine(item: Item, seen: set[bytes]) -> Quarantined | None:
    """Why a record that was read cannot be a document: its id came before, or its text is no valid text.

    Args:
        item: what the reader found.
        seen: digests of the unit's keys so far; grows by this one.
    """
    if not isinstance(item, Record):
        return item if isinstance(item, Quarantined) else None
    digest = hashlib.blake2b(item.key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if digest in seen:
        return _refused(item, "repeated_id", f"the id {item.key!r} came before in this file")
    for name in ("key", "title", "text", "url"):
        value = getattr(item, name)
        if "\x00" in value:
            return _refused(item, "nul_character", f"{name} holds a NUL character")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return _refused(item, "lone_surrogate", f"{name} holds half of a surrogate pair")
    seen.add(digest)
    return None


def sort_out(items: Sequence[Item], unit: Unit, seen: set[bytes]) -> Outcome:
    """Documents, skips and quarantine of some records of a unit."""
    documents, refused = [], []
    skipped: Counter[str] = Counter()
    for item in items:
        bad = quarantine(item, seen)
        if bad is not None:
            refused.append(bad)
        elif isinstance(item, Skipped):
            skipped[f"skipped.{item.reason}"] += 1
        elif isinstance(item, Record) and not item.text:
            skipped["skipped.empty"] += 1
        elif isinstance(item, Record):
            documents.append(item)
    return Outcome(
        taken=len(items),
        outputs={"": _document_batch(documents, unit)},
        reasons=skipped,
        quarantined=_quarantine_batch(refused, unit),
    )


@dataclass(frozen=True)
class ExtractUnit:
    """Work: one raw file -> its documents."""

    stage: ClassVar[str] = "extract"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """Reads the file a few hundred records at a time."""
        seen: set[bytes] = set()
        items = read_items(unit)
        while group := list(itertools.islice(items, RECORDS_PER_STEP)):
            yield sort_out(group, unit, seen)


def plan_files(files: Iterable[FetchedFile]) -> list[Unit]:
    """A unit per distinct content and source, sorted by name: names and order of the files do not matter."""
    units = {}
    for file in files:
        name = f"{file.source}-{unit_key(file.sha256)}"
        settings = (
            ("columns", json.dumps(dict(file.columns), sort_keys=True)),
            ("kind", file.kind),
            ("language", file.language),
            ("licence", file.licence),
            ("split", file.split),
        )
        # A hub dataset is named, not found: its path is the name, or a file of fetch's that holds it.
        path = file.path if file.kind == "hf" and not Path(file.path).exists() else str(Path(file.path).resolve())
        part = UnitInput(path, file.sha256, file.bytes)
        units[name] = Unit(name, file.source, (part,), settings)
    return [units[name] for name in sorted(units)]


def judge_quarantine(limit_percent: int) -> Callable[[Ledger, Mapping[str, Ledger]], None]:
    """A check that no source has more than the limit's share of its records in quarantine."""

    def judge(total: Ledger, by_source: Mapping[str, Ledger]) -> None:
        for source, ledger in sorted(by_source.items()):
            refused = {r: n for r, n in ledger.reasons.items() if r.startswith("quarantined.")}
            number = sum(refused.values())
            if 100 * number > limit_percent * ledger.taken:
                raise CorpusmillError(
                    f"{number:,} of {ledger.taken:,} records are in quarantine: {dict(sorted(refused.items()))}",
                    where=f"source {source}",
                    expected=f"at most {limit_percent} %",
                    hint="look at data/extract/quarantined, mend the source, or raise extract.max_quarantined_percent",
                )

    return judge


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv, _add_options) as job:
        if job.args.kind:
            files = [file for path in job.inputs for file in _named_file(path, job.args)]
        else:
            files = [file for path in job.inputs for file in read_fetch_manifest(path, job.cache_root)]
        run_units(job, plan_files(files), ExtractUnit(), judge_quarantine(job.params.max_quarantined_percent))


def _refused(record: Record, reason: str, error: str) -> Quarantined:
    return Quarantined(f"record {record.key!r}", reason, error, record.text.encode("utf-8", "surrogatepass")[:65536])


def _document_batch(records: Sequence[Record], unit: Unit) -> pa.RecordBatch:
    source, language, licence = unit.source, unit.setting("language"), unit.setting("licence")
    columns = [
        [f"{source}:{record.key}" for record in records],
        [source] * len(records),
        [record.language or language for record in records],
        [record.title for record in records],
        [record.url for record in records],
        [record.date for record in records],
        [licence] * len(records),
        [record.text for record in records],
    ]
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], schema=DOCUMENT)


def _quarantine_batch(refused: Sequence[Quarantined], unit: Unit) -> pa.RecordBatch:
    columns = [
        [unit.name] * len(refused),
        [item.locator.encode("utf-8", "backslashreplace").decode() for item in refused],
        [item.reason for item in refused],
        [item.error.encode("utf-8", "backslashreplace").decode() for item in refused],
        [item.raw for item in refused],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, QUARANTINED, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINED)


def _named_file(path: str, args: argparse.Namespace) -> Iterator[FetchedFile]:
    """The files that ``--kind --source --language --input`` name; a folder means the files in it."""
    if not is_source_name(args.source):
        raise CorpusmillError("--kind needs --source NAME", expected=SOURCE_NAME, got=repr(args.source))
    given = {
        "source": args.source, "kind": args.kind, "language": args.language, "licence": args.licence,
        "columns": _columns(args.column), "split": args.split,
    }  # fmt: skip
    if args.kind == "hf":
        yield FetchedFile(path=path, sha256=storage.sha256_text(path), bytes=0, **given)
        return
    place = Path(path)
    if not place.exists():
        raise CorpusmillError("no such file or folder", where=path, hint="check --input")
    for file in sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]:
        yield FetchedFile(path=str(file), sha256=storage.sha256_file(file), bytes=file.stat().st_size, **given)


def _columns(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise CorpusmillError("not a column mapping", where="--column", expected="text=body", got=pair)
    return dict(pair.split("=", 1) for pair in pairs)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kind", choices=KINDS, help="what the input files are; without it, --input is fetch's manifest"
    )
    parser.add_argument("--source", default="", help="name of the source, first part of every doc_id")
    parser.add_argument("--language", default="", help="language code of the documents")
    parser.add_argument("--licence", default="", help="licence of the text")
    parser.add_argument("--column", action="append", default=[], metavar="FIELD=COLUMN", help="where a field stands")
    parser.add_argument("--split", default="line", choices=("line", "file"), help="text: what is one document")


STAGE = Stage(
    "pipelines.extract",
    ExtractParams,
    ("python", "pyarrow", "trafilatura", "lxml", "resiliparse", "fastwarc"),
    has_runner=True,
)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.extract"))
