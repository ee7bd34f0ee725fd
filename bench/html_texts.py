"""One extractor's text for each gold page, run by the interpreter that has it: JSON out, nothing of the project in.

``<python> -m bench.html_texts TOOL FOLDER TARGET`` writes ``{"seconds": CPU seconds for all pages, "texts": {name: text}}``.
The pages are read and one is extracted before the clock starts; it stops when the last text is there. Each library is
called as its own documentation shows it, given bytes, so it finds the encoding itself.
"""

import gzip
import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def ours(extractor: str) -> Callable[[bytes], str]:
    """``extract``'s own reader with that extractor."""
    from pipelines.readers.web.main_text import HtmlSettings
    from pipelines.readers.web.page import read_page

    settings = HtmlSettings(extractor)
    return lambda raw: read_page(raw, "", settings).text


def trafilatura(**options: Any) -> Callable[[bytes], str]:
    """Its ``extract`` without readers' comments, which no gold text holds."""
    from trafilatura import extract

    return lambda raw: extract(raw, include_comments=False, **options) or ""


def resiliparse(**options: Any) -> Callable[[bytes], str]:
    """Its main-content mode."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    return lambda raw: extract_plain_text(
        bytes_to_str(raw, detect_encoding(raw) or "utf-8"), main_content=True, **options
    )


def justext() -> Callable[[bytes], str]:
    """With its English stop words: most gold pages are English."""
    from justext import get_stoplist
    from justext import justext as paragraphs_of

    words = get_stoplist("English")
    return lambda raw: "\n".join(p.text for p in paragraphs_of(raw, words) if not p.is_boilerplate)


def readability() -> Callable[[bytes], str]:
    """The text of its summary's elements."""
    from lxml import html
    from readability import Document

    return lambda raw: "\n".join(html.fromstring(Document(raw.decode("utf-8", "replace")).summary()).itertext())


TOOLS: Mapping[str, Callable[[], Callable[[bytes], str]]] = {
    "ours": lambda: ours("trafilatura"),
    "ours: resiliparse": lambda: ours("resiliparse"),
    "ours: justext": lambda: ours("justext"),
    "trafilatura": trafilatura,
    "trafilatura fast": lambda: trafilatura(fast=True),
    "trafilatura precise": lambda: trafilatura(favor_precision=True),
    "resiliparse": resiliparse,
    "resiliparse bare": lambda: resiliparse(comments=False, post_meta=False, alt_texts=False, list_bullets=False),
    "justext": justext,
    "readability-lxml": readability,
}


def main(tool: str, folder: str, target: str) -> None:
    """Writes the texts and the CPU seconds that they took."""
    logging.disable(logging.CRITICAL)
    paths = sorted(Path(folder).glob("*.html.gz"))
    pages = {path.name.removesuffix(".html.gz"): gzip.decompress(path.read_bytes()) for path in paths}
    extract = TOOLS[tool]()
    extract(next(iter(pages.values())))
    begin = time.process_time()
    texts = {name: _text(extract, raw) for name, raw in pages.items()}
    seconds = time.process_time() - begin
    Path(target).write_text(json.dumps({"seconds": seconds, "texts": texts}), encoding="utf-8")


def _text(extract: Callable[[bytes], str], raw: bytes) -> str:
    try:
        return extract(raw)
    except Exception:  # a library that fails on a page has found nothing there
        return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
