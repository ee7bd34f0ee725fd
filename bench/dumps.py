"""The dumps that are measured, and their pages as they stand in the XML.

    ../shared/data/wikidumps/<name>*.xml.bz2  ->  .cache/bench/xml/<name>.xml  ->  Article(key, title, markup)

Only the standard library: the scripts that run in a peer's environment read dumps with this module too.
"""

import bz2
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

UNPACKED = Path(".cache/bench/xml")


@dataclass(frozen=True)
class Dump:
    """One dump.

    Args:
        name: its file's name up to ``.xml.bz2``, as a path below ``wikidumps``.
        language: of its text.
        held_back: nobody looks at it while working on the converter.
    """

    name: str
    language: str
    held_back: bool = False

    @property
    def label(self) -> str:
        """How tables name it: ``ukwiki-20230501``."""
        return self.name.removesuffix("-multistream")


DUMPS = (
    Dump("enwiki-2016-sample", "en"),
    Dump("enwiki-tables", "en"),
    Dump("bgwiki-utf16", "bg"),
    Dump("jawiki-20230501-multistream", "ja"),
    Dump("ukwiki-20230501-multistream", "uk"),
    Dump("viwiki-20230501-multistream", "vi"),
    Dump("viwiki-20240701-export011", "vi"),
    *(
        Dump(f"mini/{language}wiki", language)
        for language in ("ar", "de", "en", "es", "fa", "fr", "he", "hi", "it", "ko", "ru", "th", "zh")
    ),
    Dump("ltgwiki-2017-complete", "ltg", held_back=True),
    Dump("mrwiki-20230501-multistream", "mr", held_back=True),
)


@dataclass(frozen=True)
class Article:
    """A page of the article namespace that is no redirect."""

    key: str
    title: str
    markup: str


def unpack(dump: Dump, data: Path) -> Path:
    """The dump's uncompressed XML, in UTF-8 whatever the dump is written in: peers read nothing else.

    Args:
        data: the folder that holds ``wikidumps``.
    """
    source = data / "wikidumps" / f"{dump.name}.xml.bz2"
    target = UNPACKED / f"{dump.name.replace('/', '-')}.xml"
    if not target.is_file() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        with bz2.open(source) as packed, open(partial, "wb") as plain:
            _copy_as_utf8(packed, plain)
        partial.rename(target)
    return target


def _copy_as_utf8(packed: IO[bytes], plain: IO[bytes]) -> None:
    head = packed.read(2)
    if head in (b"\xff\xfe", b"\xfe\xff"):
        # The one UTF-16 dump is small. Its declaration says UTF-16, which the copy no longer is.
        text = (head + packed.read()).decode("utf-16")
        plain.write(text.replace("UTF-16", "UTF-8", 1).encode())
    else:
        plain.write(head)
        shutil.copyfileobj(packed, plain, 1 << 20)


def read_articles(source: Path | IO[bytes]) -> Iterator[Article]:
    """Every article of the XML, in its order, in constant memory."""
    root = None
    for event, element in ElementTree.iterparse(source, ("start", "end")):
        if root is None:
            root = element
        elif event == "end" and _name(element) == "page":
            children = {_name(child): child for child in element}
            if "redirect" not in children and _text(children.get("ns")) == "0":
                revision = children.get("revision", element)
                markup = next((_text(part) for part in revision if _name(part) == "text"), "")
                yield Article(_text(children.get("id")), _text(children.get("title")), markup)
            root.clear()


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element | None) -> str:
    return (element.text or "") if element is not None else ""
