"""Extraction: raw files to documents, every record accounted for.

    data/fetch/manifest.json  ->  ExtractUnit per file  ->  data/extract/<source>-<key>.parquet
                                                            data/extract/quarantined/<source>-<key>.parquet

records = documents + skipped(reason) + quarantined(reason)

Run by ``dvc repro extract``, or alone, on any files:
``python -m pipelines.extract --kind mediawiki --source enwiki --language en --input dump.xml.bz2 --output documents``
"""

import itertools
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, ClassVar

import pyarrow as pa

from pipelines.divide import plan_files
from pipelines.named_files import add_options, named_files
from pipelines.process import run_units
from pipelines.readers.archives.reader import archive_format, read_archive
from pipelines.readers.mail import read_mail
from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.mediawiki.wikitext import WikitextSettings
from pipelines.readers.parts import PartSizes, open_part
from pipelines.readers.plain import read_text
from pipelines.readers.records import Item, Quarantined, ReadContext, Record, Skipped, WrongFormatError
from pipelines.readers.sgml import read_sgml
from pipelines.readers.tables.columnar import read_arrow, read_parquet
from pipelines.readers.tables.hub import read_hf
from pipelines.readers.tables.reader import read_csv, read_jsonl
from pipelines.readers.web.main_text import HtmlSettings
from pipelines.readers.web.reader import read_html, read_warc
from pipelines.sources import OPTIONS, read_fetch_manifest
from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import PLACES
from pipelines.spine.schema import DOCUMENT, QUARANTINED, SKIPPED
from pipelines.spine.shards import read_batches
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import Unit, UnitInput, source_of, stamp_of, unit_key
from pipelines.spine.work import Outcome

RECORDS_PER_STEP = 256  # bounds memory; bytes do not depend on it

EXAMPLE_CHARS = 300
#: Reasons of entries that stand for all that followed in their file.
CUT_OFF = ("damaged", "truncated")

Reader = Callable[[BinaryIO, ReadContext], Iterator[Item]]

#: kind -> reader. `hf` is not here: it reads a dataset by name, not a stream of bytes.
READERS: Mapping[str, Reader] = {
    "mediawiki": read_mediawiki,
    "warc": read_warc,
    "html": read_html,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "text": read_text,
    "sgml": read_sgml,
    "mail": read_mail,
}


@dataclass(frozen=True)
class ExtractParams:
    """``params.yaml: extract``."""

    max_quarantined_percent: int
    max_units_per_file: int
    min_unit_mb: int
    wikitext: WikitextSettings
    html: HtmlSettings

    def __post_init__(self) -> None:
        limits = {"max_quarantined_percent": (0, 100), "max_units_per_file": (1, 100_000), "min_unit_mb": (0, 1 << 20)}
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise CorpusmillError(
                    "out of range", where=f"params.yaml: extract.{name}", expected=f"{least} to {most:,}",
                    got=getattr(self, name),
                )  # fmt: skip

    @property
    def sizes(self) -> PartSizes:
        """How large files are cut."""
        return PartSizes(self.max_units_per_file, self.min_unit_mb << 20)


@dataclass(frozen=True)
class ExtractUnit:
    """Work: raw files, or a part of one -> their documents."""

    stage: ClassVar[str] = "extract"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"
    wikitext: WikitextSettings
    html: HtmlSettings

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """Reads the unit a few hundred records at a time."""
        items = self.read_items(unit)
        while group := list(itertools.islice(items, RECORDS_PER_STEP)):
            yield sort_out(group, unit)

    def read_items(self, unit: Unit) -> Iterator[Item]:
        """Every record of the unit's files, in file order; the reader is chosen by the unit's kind."""
        for one in unit.inputs:
            context = ReadContext(
                file_key=unit_key(one.sha256),
                language=unit.setting("language"),
                wikitext=self.wikitext,
                html=self.html,
                columns=json.loads(unit.setting("columns") or "{}"),
                options=json.loads(unit.setting("options") or "{}"),
                part=one.part,
            )
            items = _unchanged(one, _read_file(one, unit.setting("kind"), context))
            yield from items if len(unit.inputs) == 1 else _told_apart(items, context.file_key)


def _read_file(one: UnitInput, kind: str, context: ReadContext) -> Iterator[Item]:
    if kind == "hf":
        yield from read_hf(one.path, context)
        return
    if "members" in OPTIONS[kind] and archive_format(one.path):
        yield from read_archive(one.path, kind, READERS[kind], context)
        return
    with open_part(one.path, kind, one.part) as opened:
        placed = replace(context, begin=opened.begin, head_bytes=opened.head_bytes, packed=opened.packed)
        yield from READERS[kind](opened.stream, placed)


def _unchanged(one: UnitInput, items: Iterable[Item]) -> Iterator[Item]:
    """The items of a file, once it is sure that it was the planned one from its first byte to its last.

    Raises:
        CorpusmillError: it was written to since it was planned; what was read is not published.
    """
    try:
        yield from items
    except WrongFormatError as error:
        yield Quarantined("byte 0", "wrong_format", " ".join(str(error).split()), b"")
    if one.stamp is not None and stamp_of(one.path) != one.stamp:
        raise CorpusmillError("the file changed while it was read", where=one.path, hint="run again when it is whole")


def _told_apart(items: Iterable[Item], file_key: str) -> Iterator[Item]:
    """The items of one of a unit's files; a place in it is only a place together with the file's key."""
    for item in items:
        if isinstance(item, Record):
            yield item
        else:
            yield replace(item, locator=f"file {file_key}, {item.locator}")


def quarantine(item: Item) -> Quarantined | None:
    """Why a record that was read cannot be a document: what it holds is no valid text.

    Repeated ids are left to `dedup`, where all of them meet: whether two share a unit depends on how files are cut.
    """
    if not isinstance(item, Record):
        return item if isinstance(item, Quarantined) else None
    for name in ("key", "title", "text", "url", "date", "author", "revision", "language"):
        value = getattr(item, name)
        if "\x00" in value:
            return _refused(item, "nul_character", f"{name} holds a NUL character")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return _refused(item, "lone_surrogate", f"{name} holds half of a surrogate pair")
    return None


def sort_out(items: Sequence[Item], unit: Unit) -> Outcome:
    """Documents, skips and quarantine of some records of a unit."""
    documents, refused, skipped = [], [], []
    tallies: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        bad = quarantine(item)
        if bad is not None:
            refused.append(bad)
        elif isinstance(item, Skipped):
            skipped.append(item)
        elif isinstance(item, Record):
            for name, numbers in item.counts.items():
                tallies[name].update(numbers)
            if item.text:
                documents.append(item)
            else:
                skipped.append(Skipped("empty", f"record {item.key!r}"))
    return Outcome(
        taken=len(items),
        outputs={"": _document_batch(documents, unit)},
        skipped=_skipped_batch(skipped, unit),
        quarantined=_quarantine_batch(refused, unit),
        tallies=tallies,
    )


def judge_quarantine(limit_percent: int, job: Job) -> Callable[[Ledger, Mapping[str, Ledger]], None]:
    """A check that no source has more than the limit's share of its records in quarantine."""

    def judge(total: Ledger, by_source: Mapping[str, Ledger]) -> None:
        for source, ledger in sorted(by_source.items()):
            refused = {r: n for r, n in ledger.reasons.items() if r.startswith("quarantined.")}
            number = sum(refused.values())
            if cut := sum(refused.get(f"quarantined.{reason}", 0) for reason in CUT_OFF):
                print(f"extract: {source}: what follows {cut:,} damaged places could not be read", file=sys.stderr)
            if 100 * number > limit_percent * ledger.taken:
                raise CorpusmillError(
                    f"{number:,} of {ledger.taken:,} records are in quarantine: {dict(sorted(refused.items()))}; "
                    f"such as {_example(job.places, source)}",
                    where=f"source {source}",
                    expected=f"at most {limit_percent} %",
                    hint=f"look at {_quarantine(job, source)}, mend the source, or raise extract.max_quarantined_percent",
                )

    return judge


def _quarantined(places: Mapping[str, str], source: str) -> list[str]:
    """Where the quarantine of a source lies, by unit."""
    names = [name for name in sorted(places) if name.startswith(f"quarantined/{source}-")]
    return [places[name] for name in names if source_of(storage.name_of(name), with_split=False) == source]


def _example(places: Mapping[str, str], source: str) -> str:
    """The first quarantined record of a source: place and error."""
    for place in _quarantined(places, source):
        for batch in read_batches(place, ["locator", "error"]):
            for row in batch.slice(0, 1).to_pylist():
                return f"{row['locator']}: {row['error'][:EXAMPLE_CHARS]}"
    return "none"


def _quarantine(job: Job, source: str) -> str:
    """Where a person finds it."""
    if not job.root:
        return f"{job.output}/quarantined"
    return ", ".join([*_quarantined(job.places, source)[:1], f"all in {job.output / PLACES} under quarantined/"])


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv, add_options) as job:
        if job.args.kind:
            files = [file for path in job.inputs for file in named_files(path, job.args)]
            if repeats := len(files) - len({file.sha256 for file in files}):
                print(
                    f"extract: {repeats:,} of {len(files):,} files hold what another holds; read once", file=sys.stderr
                )
        else:
            files = [file for path in job.inputs for file in read_fetch_manifest(path, job.cache_root)]
        units = job.units_for_workers(plan_files(files, job.params.sizes))
        work = ExtractUnit(job.params.wikitext, job.params.html)
        judge = judge_quarantine(job.params.max_quarantined_percent, job)
        # How files are cut and how much may be refused shapes no unit's bytes: finished units stay good.
        run_units(job, units, work, judge, job.unit_cache(shaping=work), "records")


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
        [record.author for record in records],
        [record.revision for record in records],
        [licence] * len(records),
        [record.text for record in records],
    ]
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], schema=DOCUMENT)


def _skipped_batch(skipped: Sequence[Skipped], unit: Unit) -> pa.RecordBatch:
    columns = [
        [unit.name] * len(skipped),
        [_storable(item.locator) for item in skipped],
        [item.reason for item in skipped],
        [_storable(item.detail) for item in skipped],
    ]
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], schema=SKIPPED)


def _storable(text: str) -> str:
    """The text with what UTF-8 cannot hold written as ``\\udc80``."""
    return text.encode("utf-8", "backslashreplace").decode()


def _quarantine_batch(refused: Sequence[Quarantined], unit: Unit) -> pa.RecordBatch:
    columns = [
        [unit.name] * len(refused),
        [_storable(item.locator) for item in refused],
        [item.reason for item in refused],
        [_storable(item.error) for item in refused],
        [item.raw for item in refused],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, QUARANTINED, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINED)


STAGE = Stage(
    "pipelines.extract",
    ExtractParams,
    ("python", "pyarrow", "brotli", "datasets", "justext", "lxml", "opencc", "resiliparse", "trafilatura", "zstandard"),
    has_runner=True,
)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.extract"))
