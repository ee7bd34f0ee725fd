"""The texts of an evaluation set, read as `extract` reads sources of the same kinds; no Beam here.

    FetchedSet(columns=("question", "answer"))  ->  ItemText("17", "Which ...?"), ItemText("17", "The ..."), ...

An item is a row of a table, or a document of a text file; each of its columns is a text of its own, a list of choices
too. Items are numbered from 1 in the order of their file, and named by the file too where a set has several.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from pipelines.evaluation_sets import FetchedSet
from pipelines.readers.plain import read_text
from pipelines.readers.records import Item, Quarantined, ReadContext, Record, WrongFormatError
from pipelines.readers.tables.columnar import read_parquet
from pipelines.readers.tables.reader import read_csv, read_jsonl
from pipelines.sources import raw_place
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.units import unit_key

if TYPE_CHECKING:
    from pipelines.readers.mediawiki.wikitext import WikitextSettings
    from pipelines.readers.web.main_text import HtmlSettings

READERS: Mapping[str, Callable[[BinaryIO, ReadContext], Iterator[Item]]] = {
    "jsonl": read_jsonl, "csv": read_csv, "parquet": read_parquet, "text": read_text,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ItemText:
    """One text of an item, and what the item is called in its set."""

    item: str
    text: str


@dataclass(frozen=True)
class SetTexts:
    """What a set holds.

    Attributes:
        texts: file by file, within a file column by column, in the order of the rows.
        num_unreadable: texts that are missing, null or no text.
    """

    texts: tuple[ItemText, ...]
    num_unreadable: int


def read_texts(one: FetchedSet) -> SetTexts:
    """The texts of a set.

    Raises:
        CorpusmillError: a column is missing, or a file is not what the set's kind says or holds no text.
    """
    texts: list[ItemText] = []
    num_unreadable = 0
    for sha256 in one.sha256s:
        prefix = f"{unit_key(sha256)}:" if len(one.files) > 1 else ""
        for column in one.columns or ("",):
            found, first_error = 0, None
            for number, item in enumerate(_items(one, sha256, column), 1):
                if isinstance(item, Record):
                    found += 1
                    texts.append(ItemText(prefix + (item.key if one.key else str(number)), item.text))
                elif isinstance(item, Quarantined):
                    num_unreadable += 1
                    first_error = first_error or item
            if not found:
                raise CorpusmillError(
                    f"an evaluation set without a text{f' in column {column}' if column else ''}",
                    where=f"{one.name}, file {unit_key(sha256)}",
                    got=f"{first_error.locator}: {first_error.error}" if first_error else "nothing but empty texts",
                    hint="name the columns of its texts in params.yaml: fetch.evaluation_sets",
                )  # fmt: skip
    return SetTexts(tuple(texts), num_unreadable)


def _items(one: FetchedSet, sha256: str, column: str) -> Iterator[Item]:
    columns = {"text": column} if column else {}
    context = ReadContext(
        file_key=unit_key(sha256),
        language="",
        # Only dumps and pages are read by these, and no set is one.
        wikitext=cast("WikitextSettings", None),
        html=cast("HtmlSettings", None),
        columns={**columns, "key": one.key} if one.key else columns,
        options=dict(one.options),
        joins_lists=True,
    )
    try:
        with storage.open_input(raw_place(one.cache, sha256)) as stream:
            yield from READERS[one.kind](stream, context)
    except WrongFormatError as error:
        raise CorpusmillError(
            error.message, where=f"evaluation set {one.name}, file {unit_key(sha256)}", expected=error.expected,
            got=error.got, hint="name its columns in params.yaml: fetch.evaluation_sets",
        ) from None  # fmt: skip
