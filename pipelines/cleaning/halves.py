"""A batch of documents through cleaning, in two halves: what its own text decides, and what the rest of its source does.

    documents  ->  prepare  ->  PREPARED rows: edited text, verdict, hashes of lines
    PREPARED rows, repeated lines of the source  ->  finish  ->  documents that stay, evidence of those that go

Between the halves lies the count of lines over all units (`pipelines.cleaning.repeated_lines`). Where no line is too
frequent, finishing is nothing but parting what stays from what goes.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cleaning.hashing import U64
from pipelines.cleaning.language_rules import assigned_languages
from pipelines.cleaning.languages import LanguageParams, identify
from pipelines.cleaning.normalize import NormalizeParams, normalize_batch, tidy_lines
from pipelines.cleaning.personal.masking import KINDS, PersonalDataParams, mask_batch
from pipelines.cleaning.personal_rules import PREFIX
from pipelines.cleaning.quality_model import QualityModel
from pipelines.cleaning.readings import Batch, RuleParams
from pipelines.cleaning.repeated_lines import Lines, among, line_hashes, order_keys, place_of, remove_lines
from pipelines.cleaning.repetition import Repetition
from pipelines.cleaning.rules import Verdict, judge, read_table
from pipelines.cleaning.text_table import I64
from pipelines.spine.schema import DOCUMENT, DROPPED
from pipelines.spine.work import Outcome

_VERDICT = ("rule", "value", "threshold")

#: A document with its edited text, the rule that drops it ("" where it stays) and the hashes of its lines.
PREPARED = pa.schema(
    [
        *DOCUMENT,
        *(pa.field(name, pa.string(), False) for name in _VERDICT),
        pa.field("lines", pa.list_(pa.field("item", pa.uint64(), False)), False),
    ]
)

#: What the ledger calls a line that too many documents of its source hold.
REPEATED_LINE = "corpus.repeated_line"


@dataclass(frozen=True)
class CleanParams:
    """``params.yaml: clean``."""

    normalize: NormalizeParams
    personal_data: PersonalDataParams
    rules: RuleParams
    dropped_text_percent: int  # of the dropped documents, those whose text is kept as evidence


class Prepared(NamedTuple):
    """What the first half gives."""

    rows: pa.RecordBatch  # PREPARED, one for each document that came in
    apart: Counter[str]
    tallies: dict[str, Counter[str]]


class Finished(NamedTuple):
    """What the second half gives."""

    outcome: Outcome
    removed: Counter[tuple[str, int]]  # (a repeated line, how many documents hold it) -> how often it went


def prepare(documents: pa.RecordBatch, params: CleanParams, quality_model: QualityModel | None) -> Prepared:
    """Normalises, edits and judges each document by itself.

    Args:
        documents: document columns.
        params: of the stage.
        quality_model: of the stage `quality`, where it has learned one.
    """
    batch, apart = normalized(documents, params)
    judged = judge(batch, params.rules, quality_model)
    columns = {
        **{name: documents.column(name) for name in DOCUMENT.names},
        "language": pa.array(batch.languages, pa.string()),
        **_edited(judged.verdicts),
        "lines": _lists(judged.line_hashes),
    }
    rows = pa.RecordBatch.from_arrays([columns[name] for name in PREPARED.names], schema=PREPARED)
    apart.update(_edits(judged.verdicts))
    return Prepared(rows, apart, _distributions("before", documents))


def normalized(documents: pa.RecordBatch, params: CleanParams) -> tuple[Batch, Counter[str]]:
    """The texts as rules read them, without personal data, and what was changed for that.

    Args:
        documents: document columns.
        params: of the stage.
    """
    texts = documents.column("text").to_pylist()
    languages = _languages(texts, documents.column("language").to_pylist(), params.rules.languages)
    texts, changes = normalize_batch(texts, languages, params.normalize)
    texts, found = mask_batch(texts, languages, params.personal_data)
    apart = Counter({name: number for name, number in changes.items() if number})
    apart.update({f"{PREFIX}{kind}": int(numbers.sum()) for kind, numbers in found.items() if numbers.any()})
    dropping = {kind: found[kind] for kind in KINDS if params.personal_data.kind(kind).action == "drop"}
    return Batch(texts, languages, documents.column("source").to_pylist(), dropping), apart


def finish(rows: pa.RecordBatch, repeated: Lines, params: CleanParams, quality_model: QualityModel | None) -> Finished:
    """Takes the repeated lines out, judges anew what lost one, and parts the documents that stay from those that go.

    Args:
        rows: PREPARED.
        repeated: lines of the source that are too frequent, at least all those that the rows hold, ascending by hash.
        params: of the stage.
        quality_model: as in `prepare`.
    """
    rows, removed, apart = _without_repeated(rows, repeated, params.rules, quality_model)
    stays = pc.equal(rows.column("rule"), "")
    out = rows.filter(stays).select(DOCUMENT.names).cast(DOCUMENT)
    gone = rows.filter(pc.invert(stays))
    evidence = gone.select(DROPPED.names).cast(DROPPED)
    place = DROPPED.get_field_index("text")
    evidence = evidence.set_column(place, DROPPED.field("text"), _kept_texts(gone, params.dropped_text_percent))
    tallies: dict[str, Counter[str]] = _distributions("after", out)
    tallies["repeated_lines"] = Counter()
    for (line, _), number in removed.items():
        tallies["repeated_lines"][line[:TALLIED_CHARS]] += number
    apart[f"lines_removed.{REPEATED_LINE}"] += removed.total()
    return Finished(Outcome(rows.num_rows, {"": out}, dropped=evidence, apart=apart, tallies=tallies), removed)


#: A repeated line stands in the ledger under its beginning; whole in the evidence.
TALLIED_CHARS = 200


def _languages(texts: Sequence[str], declared: Sequence[str], params: LanguageParams) -> list[str]:
    """The declared languages, and the identified ones of texts that declare none."""
    unknown = [place for place, language in enumerate(declared) if not language]
    identified = identify([texts[place] for place in unknown], [frozenset()] * len(unknown), params)
    found = iter(assigned_languages([""] * len(unknown), identified))
    return [language or next(found) for language in declared]


def _edited(verdicts: Sequence[Verdict]) -> dict[str, pa.Array]:
    """The columns that a verdict fills."""
    return {
        "text": pa.array([verdict.text for verdict in verdicts], pa.string()),
        "rule": pa.array([verdict.rule or "" for verdict in verdicts], pa.string()),
        "value": pa.array([verdict.value for verdict in verdicts], pa.string()),
        "threshold": pa.array([verdict.threshold for verdict in verdicts], pa.string()),
    }


def _edits(verdicts: Sequence[Verdict]) -> Counter[str]:
    """What rules took out of texts, for the ledger."""
    edits: Counter[str] = Counter()
    for verdict in verdicts:
        edits.update({f"lines_removed.{rule}": number for rule, number in verdict.lines_removed.items()})
        edits.update({"loops_cut.texts": bool(verdict.chars_cut), "loops_cut.characters": verdict.chars_cut})
    return edits


class RowLines(NamedTuple):
    """The lines of PREPARED rows."""

    hashes: U64  # [n_lines]
    rows: I64  # [n_lines]: the row of each, ascending
    keys: U64  # [n_rows]: by which the keeper of a line is chosen


def row_lines(rows: pa.RecordBatch) -> RowLines:
    """The lines of some PREPARED rows, and the order of these."""
    lists = rows.column("lines")
    hashes = lists.flatten().to_numpy(zero_copy_only=False)
    row_of = np.repeat(np.arange(len(rows)), pc.list_value_length(lists).to_numpy(zero_copy_only=False))
    dropped = pc.not_equal(rows.column("rule"), "").to_numpy(zero_copy_only=False)
    return RowLines(hashes, row_of, order_keys(rows.column("doc_id").to_pylist(), dropped, hashes, row_of))


def _without_repeated(
    rows: pa.RecordBatch, repeated: Lines, params: RuleParams, quality_model: QualityModel | None
) -> tuple[pa.RecordBatch, Counter[tuple[str, int]], Counter[str]]:
    """The rows without the lines that another document keeps, those lines, and what else was edited away then."""
    removed: Counter[tuple[str, int]] = Counter()
    lines = row_lines(rows)
    affected = _rows_that_lose(rows, lines, repeated)
    if not len(affected):
        return rows, removed, Counter()
    some = rows.take(pa.array(affected))
    texts, languages, sources = (some.column(name).to_pylist() for name in ("text", "language", "source"))
    table = read_table(Batch(texts, languages, sources, {}))
    hashes, counted = line_hashes(table, Repetition(table), params.repeated_lines.min_words)
    places = place_of(hashes, repeated)
    kept_here = repeated["keeper"][places] == lines.keys[affected][table.lines.texts]
    goes = counted & among(hashes, repeated) & ~kept_here
    edited = []
    for place, text in enumerate(texts):
        of_text = slice(table.text_lines[place], table.text_lines[place + 1])
        left, gone = remove_lines(text, table.lines.numbers[of_text][goes[of_text]].tolist())
        documents = repeated["documents"][places[of_text][goes[of_text]]].tolist()
        removed.update(zip(gone, documents, strict=True))
        edited.append(tidy_lines(left))
    verdicts = judge(Batch(edited, languages, sources, {}), params, quality_model).verdicts
    return _replaced(rows, affected, _edited(verdicts)), removed, _edits(verdicts)


def _rows_that_lose(rows: pa.RecordBatch, lines: RowLines, repeated: Lines) -> I64:
    """The rows that hold a repeated line which another document keeps, ascending.

    A document that is dropped for personal data stays dropped, whatever lines it loses.
    """
    if not len(repeated) or not len(lines.hashes):
        return np.empty(0, np.int64)
    judged = ~pc.starts_with(rows.column("rule"), PREFIX).to_numpy(zero_copy_only=False)[lines.rows]
    kept_here = repeated["keeper"][place_of(lines.hashes, repeated)] == lines.keys[lines.rows]
    return np.unique(lines.rows[among(lines.hashes, repeated) & ~kept_here & judged])


def _replaced(rows: pa.RecordBatch, places: np.ndarray, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The rows with new values of some columns in some places."""
    source = np.arange(len(rows))
    source[places] = len(rows) + np.arange(len(places))
    for name, values in columns.items():
        both = pa.concat_arrays([rows.column(name), values])
        rows = rows.set_column(rows.schema.get_field_index(name), PREPARED.field(name), both.take(pa.array(source)))
    return rows


def _lists(hashes: Sequence[np.ndarray]) -> pa.Array:
    offsets = np.zeros(len(hashes) + 1, np.int32)
    np.cumsum([len(part) for part in hashes], out=offsets[1:])
    values = pa.array(np.concatenate([np.empty(0, np.uint64), *hashes]), pa.uint64())
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=PREPARED.field("lines").type)


def _kept_texts(gone: pa.RecordBatch, percent: int) -> pa.Array:
    """The texts of the dropped documents, "" but for so many in a hundred, drawn by their ids."""
    ids, texts = gone.column("doc_id").to_pylist(), gone.column("text").to_pylist()
    return pa.array([text if _draw(i) < percent else "" for i, text in zip(ids, texts, strict=True)], pa.string())


def _draw(doc_id: str) -> int:
    """0 to 99, by the id alone."""
    return (
        int.from_bytes(hashlib.blake2b(b"dropped text of " + doc_id.encode(), digest_size=8).digest(), "little") % 100
    )


def _distributions(when: str, documents: pa.RecordBatch) -> dict[str, Counter[str]]:
    """How many documents have how many characters (by powers of two), and which language."""
    chars = pc.utf8_length(documents.column("text")).to_numpy(zero_copy_only=False)
    sizes = Counter(str(1 << int(number).bit_length() - 1) if number else "0" for number in chars.tolist())
    languages = Counter(language or "und" for language in documents.column("language").to_pylist())
    return {f"chars.{when}": sizes, f"languages.{when}": languages}
