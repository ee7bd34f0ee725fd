"""XML to text by our reader: ``python -m bench.extract_ours dump.xml texts.jsonl language settings-as-json``."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.mediawiki.wikitext import WikitextSettings
from pipelines.readers.records import ReadContext, Record

if TYPE_CHECKING:
    from pipelines.readers.web.main_text import HtmlSettings

# A dump has no pages of HTML, and importing what reads them would take half of the start-up.
_NO_HTML = cast("HtmlSettings", None)


def convert(stream: BinaryIO, language: str, settings: WikitextSettings) -> Iterator[Record]:
    """The documents of an uncompressed dump: the one place that calls the reader."""
    context = ReadContext(file_key="bench", language=language, wikitext=settings, html=_NO_HTML)
    for item in read_mediawiki(stream, context):
        if isinstance(item, Record):
            yield item


def main(source: Path, target: Path, language: str, settings: str) -> None:
    """Writes a JSON line for each article: key, title, text."""
    with open(source, "rb") as stream, open(target, "w", encoding="utf-8") as file:
        for record in convert(stream, language, WikitextSettings(**json.loads(settings))):
            row = {"key": record.key, "title": record.title, "text": record.text}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
