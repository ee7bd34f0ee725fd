"""dolma's Gopher and C4 taggers as functions alone, run in its own environment.

``python -m bench.clean_dolma <texts.jsonl> <result.json>``: the CPU seconds of the taggers, without reading and writing.
As a whole process dolma runs by its own command, ``dolma tag``.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from dolma.core.data_types import Document
from dolma.core.registry import TaggerRegistry

TAGGERS = ("gopher_v1", "c4_v1")


def time_functions(texts: Sequence[str]) -> dict[str, Any]:
    """CPU seconds of the taggers; they name what a text has and drop nothing."""
    taggers = [TaggerRegistry.get(name)() for name in TAGGERS]
    begin = time.process_time()
    for text in texts:
        document = Document(source="bench", version=None, id="", text=text)
        for tagger in taggers:
            tagger.predict(document)
    return {"cpu_seconds": time.process_time() - begin, "kept": len(texts)}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        result = time_functions([json.loads(row)["text"] for row in source])
    with open(sys.argv[2], "w", encoding="utf-8") as target:
        json.dump(result, target)
