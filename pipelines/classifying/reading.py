"""A unit of documents -> the features of those drawn, in the unit cache; no text leaves its unit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipelines.classifying.examples import FEATURE_ROWS, draw_keys
from pipelines.cleaning.hashing import U64
from pipelines.cleaning.quality_model import CHARS_PER_IDEOGRAM, FeatureSettings, hashed_features
from pipelines.cleaning.scripts import IDEOGRAM, SPACE, character_tables
from pipelines.cleaning.text_table import TextTable
from pipelines.spine.schema import as_documents
from pipelines.spine.shards import read_batches
from pipelines.spine.units import Unit
from pipelines.spine.work import Outcome

#: Texts whose first characters are looked at together: for 3,000 of them each, 10 to 20 MB of arrays.
TEXTS_PER_TABLE = 64
TEXT = pa.string()
#: White space does not count among a text's first characters, but beyond so many times their number none is looked for.
CHARS_READ = 4
#: The word at the end of what is read stays whole, up to so many characters.
WORD_CHARS = 100


@dataclass(frozen=True)
class ReadUnit:
    """Work: one unit of documents -> FEATURE_ROWS of those drawn. Memory: one row group, and a hash a drawn text."""

    features: FeatureSettings
    last_drawn: tuple[tuple[str, int], ...]  # of each source
    stage: ClassVar[str] = "quality"
    counts: ClassVar[str] = "documents"
    extension: ClassVar[str] = ".parquet"

    def outcomes(self, unit: Unit) -> Iterator[Outcome]:
        """A step for each row group, then steps of some texts of it."""
        path, last = unit.inputs[0].path, dict(self.last_drawn)[unit.source]
        seen: set[tuple[int, str]] = set()
        for batch in read_batches(path, sha256=unit.inputs[0].sha256):
            documents = as_documents(batch, path)
            texts, languages = documents.column("text").to_pylist(), languages_of(documents)
            keys = draw_keys(texts)
            drawn = [row for row, key in enumerate(keys.tolist()) if key <= last]
            new = _unseen(drawn, keys, languages, seen)
            reasons = {"not_drawn": len(texts) - len(drawn), "repeated": len(drawn) - len(new)}
            yield Outcome(taken=len(texts), reasons=reasons)
            for begin in range(0, len(new), TEXTS_PER_TABLE):
                rows = new[begin : begin + TEXTS_PER_TABLE]
                yield self._read(keys[rows], [texts[row] for row in rows], [languages[row] for row in rows])

    def _read(self, keys: U64, texts: Sequence[str], languages: Sequence[str]) -> Outcome:
        begun = [beginning(text, self.features.max_chars) for text in texts]
        features = hashed_features(TextTable.read(begun, languages), self.features)
        offsets = pa.array(features.ends.astype(np.int32))
        lists = [(features.indices, FEATURE_ROWS.field("indices")), (features.counts, FEATURE_ROWS.field("counts"))]
        arrays = [
            *(pa.array(column, kind) for column, kind in ((keys, pa.uint64()), (languages, TEXT), (begun, TEXT))),
            *(pa.ListArray.from_arrays(offsets, pa.array(values), type=field.type) for values, field in lists),
        ]
        rows = pa.RecordBatch.from_arrays(arrays, schema=FEATURE_ROWS).filter(pa.array(np.diff(features.ends) > 0))
        reasons = {"without_words": len(texts) - rows.num_rows}
        return Outcome(outputs={"": rows}, given={"drawn": rows.num_rows}, reasons=reasons)


def beginning(text: str, max_chars: int) -> str:
    """As much of a text as holds the words that begin within its first characters, as `first_words` counts them."""
    head = text[: CHARS_READ * max_chars]
    kinds = character_tables().kinds[np.frombuffer(head.encode("utf-32-le"), "<u4")]
    widths = (kinds != SPACE) + (CHARS_PER_IDEOGRAM - 1) * (kinds == IDEOGRAM)
    return head[: int(np.searchsorted(np.cumsum(widths), max_chars)) + WORD_CHARS]


def languages_of(documents: pa.RecordBatch) -> list[str]:
    """The language codes as `clean` takes them: without what follows a hyphen."""
    return [code.partition("-")[0].lower() for code in documents.column("language").to_pylist()]


def _unseen(rows: Sequence[int], keys: U64, languages: Sequence[str], seen: set[tuple[int, str]]) -> list[int]:
    """The rows whose text did not stand in the unit before, in that language."""
    new = []
    for row in rows:
        one = (int(keys[row]), languages[row])
        if one not in seen:
            seen.add(one)
            new.append(row)
    return new
