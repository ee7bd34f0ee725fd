"""What keeps evaluation honest, as plain values for the data card: evaluation sets looked for, and leaks across splits.

Reads ``data/decontaminate`` (``sets.json`` and its rows) and the evidence of `shard` on leaks; either may be absent.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.duplicates.lookup import find_documents
from pipelines.reporting.flow import Flow, StageFolder
from pipelines.reporting.pairs import Pair, with_texts
from pipelines.reporting.samples import excerpt, lot
from pipelines.spine.shards import read_batches

SETS = "sets.json"
EXAMPLES_SHOWN = 3
MATCHED_CHARS = 200
MEASURES = {"exact": "copies", "jaccard": "near copies", "contained": "contained texts"}


def splits_section(flow: Flow, example_chars: int) -> dict[str, Any] | None:
    """What the section shows; None where no set was looked for and `shard` checked nothing."""
    sets = flow["decontaminate"].json(SETS)
    looked_for = _looked_for(flow["decontaminate"], sets) if isinstance(sets, dict) else None
    leaks = _leaks(flow, example_chars)
    return {"sets": looked_for, "leaks": leaks} if looked_for or leaks else None


def _looked_for(stage: StageFolder, document: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation sets with what was found of each, and examples of matched text."""
    ledger, ngram = stage.ledger, document.get("ngram", {})
    return {
        "action": document.get("action", "drop"),
        "words": ngram.get("words"),
        "characters": ngram.get("characters"),
        "taken": ledger.taken if ledger else 0,
        "contaminated": ledger.given["contaminated"] if ledger else 0,
        "rows": [
            {name: entry.get(name, 0) for name in ("name", "items", "items_unchecked", "documents")}
            for entry in document.get("sets", [])
        ],
        "examples": _matched(stage),
    }


def _matched(stage: StageFolder) -> list[dict[str, str]]:
    """A few matched texts of each set, drawn by a hash of their documents; the set's name first."""
    drawn: dict[str, list[tuple[int, str, dict[str, str]]]] = {}
    for row in _rows(path for _, path in stage.shard_paths()):
        held = drawn.setdefault(row["set"], [])
        example = {
            **{name: row[name] for name in ("set", "item", "doc_id")},
            "matched": excerpt(row["matched"], MATCHED_CHARS),
        }
        heapq.heappush(held, (-lot(row["doc_id"]), f"{row['doc_id']} {row['start']:020}", example))
        if len(held) > EXAMPLES_SHOWN:
            heapq.heappop(held)
    return [
        example for name in sorted(drawn) for *_, example in sorted(drawn[name], key=lambda held: (-held[0], held[1]))
    ]


def _leaks(flow: Flow, example_chars: int) -> dict[str, Any] | None:
    """Documents that were too like one of another split, by the split that keeps it and by measure, and a few of them."""
    numbers: Counter[tuple[str, str]] = Counter()
    drawn: list[tuple[int, str, Pair]] = []
    for row in _rows(flow["shard"].evidence_paths("leaked")):
        numbers[row["split"], row["measure"]] += 1
        pair = Pair(row["doc_id"], row["kept_id"], row["similarity"], row["measure"])
        heapq.heappush(drawn, (-lot(row["doc_id"]), f"{row['doc_id']} {numbers.total():020}", pair))
        if len(drawn) > EXAMPLES_SHOWN:
            heapq.heappop(drawn)
    if not numbers:
        return None
    pairs = [pair for *_, pair in sorted(drawn, key=lambda held: (-held[0], held[1]))]
    paths = [place for _, place in flow["clean"].shard_places()]
    found = find_documents([name for pair in pairs for name in (pair.doc_id, pair.kept_id)], paths, ["text"])
    return {
        "rows": [(split, MEASURES.get(measure, measure), n) for (split, measure), n in sorted(numbers.items())],
        "total": sum(numbers.values()),
        "pairs": with_texts(pairs, found, example_chars),
        "names": MEASURES,
    }


def _rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        for batch in read_batches(path):
            yield from batch.to_pylist()
