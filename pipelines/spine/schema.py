"""The columns of everything that stages pass on, in one place."""

import pyarrow as pa

from pipelines.spine.errors import CorpusmillError


def _strings(*names: str) -> list[pa.Field]:
    return [pa.field(name, pa.string(), nullable=False) for name in names]


#: A document, the thing that flows from `extract` to `pack`. Unknown title, url, date, author, ... are "". The
#: revision is which version of the record it is, as its source names it: that of a wiki page.
DOCUMENT = pa.schema(
    _strings("doc_id", "source", "language", "title", "url", "date", "author", "revision", "licence", "text")
)

#: What standing documents of other tools must at least have; the rest is filled with "".
REQUIRED = ("doc_id", "source", "language", "title", "url", "text")

#: A record that could not be read: where it lay (never a path), why, and its first bytes.
QUARANTINED = pa.schema([*_strings("source", "locator", "reason", "error"), pa.field("raw", pa.binary(), False)])

#: A record that is no document by rule; detail: a redirect's target, an HTTP status.
SKIPPED = pa.schema(_strings("source", "locator", "reason", "detail"))

#: A document that a rule dropped, kept as evidence.
DROPPED = pa.schema(_strings("doc_id", "source", "rule", "value", "threshold", "text"))

#: A line that `clean` took from documents of a unit because too many of the source's documents hold it.
REPEATED_LINE = pa.schema(
    [*_strings("source", "line"), pa.field("documents", pa.int64(), False), pa.field("removed", pa.int64(), False)]
)

#: A document that `dedup` drops for one that is kept. measure: exact, jaccard, contained or repeated_id.
DUPLICATE = pa.schema(
    [
        *_strings("doc_id", "kept_id"),
        pa.field("similarity", pa.float64(), False),
        pa.field("measure", pa.string(), False),
    ]
)

#: A span of a document that an evaluation set holds too, ``[start, stop)`` in characters of the clean text: one row a
#: span, those of one document ascending and disjoint. action: drop or cut.
CONTAMINATED = pa.schema(
    [
        *_strings("doc_id", "set", "item"),
        pa.field("start", pa.int64(), False),
        pa.field("stop", pa.int64(), False),
        *_strings("matched", "action"),
    ]
)

#: A document that `shard` drops because one of val or test is too like it. measure: jaccard or contained; split: of the
#: one that is kept.
LEAKED = pa.schema([*DUPLICATE, *_strings("split")])

#: How often a pre-token (bytes) stands in the train text; the metadata name the pattern that cut it.
PATTERN_KEY = b"pattern"
COUNT = pa.schema([pa.field("pre_token", pa.binary(), False), pa.field("count", pa.int64(), False)])


def as_documents(batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
    """The batch with exactly the document columns, in order and without nulls.

    Raises:
        CorpusmillError: a required column is missing, is not text, or holds nulls.
    """
    arrays = [
        text_column(batch, field.name, where)
        if field.name in REQUIRED or field.name in batch.schema.names
        else pa.array([""] * batch.num_rows, pa.string())
        for field in DOCUMENT
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT)


def text_column(batch: pa.RecordBatch, name: str, where: str) -> pa.StringArray:
    """A column of text, without nulls.

    Raises:
        CorpusmillError: the column is missing, is not text, or holds nulls.
    """
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise CorpusmillError(
            f"no column {name}", where=where, expected=", ".join(REQUIRED), got=", ".join(batch.schema.names),
            hint="run `python -m pipelines.extract` on it first, with the columns mapped",
        )  # fmt: skip
    column = batch.column(index)
    if column.null_count:
        raise CorpusmillError(f"column {name} holds {column.null_count} nulls", where=where)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise CorpusmillError(f"column {name} is not text", where=where, got=column.type)
    return _valid(column, name, where).cast(pa.string())


def _valid(column: pa.Array, name: str, where: str) -> pa.Array:
    """The column, once all its bytes are UTF-8: other writers' Parquet may say text and hold anything."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()).to_pylist()
        row = next(number for number, value in enumerate(raw) if not _is_utf8(value))
        raise CorpusmillError(
            f"column {name} holds bytes that are not UTF-8", where=f"{where}, row {row} of its batch",
            got=repr(raw[row][:40]), hint="write the file anew with text in that column",
        ) from None  # fmt: skip
    return column


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
