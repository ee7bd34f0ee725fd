"""What a reader is told of a file, as tests need it."""

from typing import Any

from pipelines.readers.mediawiki.wikitext import WikitextSettings
from pipelines.readers.records import ReadContext
from pipelines.readers.web.main_text import HtmlSettings

WIKITEXT = WikitextSettings(
    headings="plain", tables="drop", infoboxes="drop", ipa="keep", disambiguation="keep", variant="", opencc="",
    templates={},
)  # fmt: skip
HTML = HtmlSettings("trafilatura")


def reading(file_key: str = "0123456789ab", language: str = "en", **others: Any) -> ReadContext:
    """The context of a whole file, with the settings of ``params.yaml``."""
    return ReadContext(file_key, language, WIKITEXT, HTML, **others)
