"""XML to text by mwparserfromhell's ``strip_code``; runs in its environment: ``python -m ... dump.xml texts.jsonl``."""

import json
import sys
from pathlib import Path

import mwparserfromhell

from bench.dumps import read_articles


def main(source: Path, target: Path) -> None:
    """Writes a JSON line for each article: key, title, text."""
    with open(target, "w", encoding="utf-8") as file:
        for article in read_articles(source):
            text = str(mwparserfromhell.parse(article.markup).strip_code())
            file.write(
                json.dumps({"key": article.key, "title": article.title, "text": text}, ensure_ascii=False) + "\n"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
