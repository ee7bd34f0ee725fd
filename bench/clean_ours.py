"""Our normalisation and rules as functions alone: ``python -m bench.clean_ours texts.jsonl result.json copies``.

The result is the CPU seconds that they take for so many copies of the texts, without reading and writing, and how many
texts stay.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.clean import CleanParams
from pipelines.cleaning.normalize import normalize_batch
from pipelines.cleaning.personal.masking import KINDS
from pipelines.cleaning.rules import apply_rules
from pipelines.spine.params import load_params

#: Texts of one call, as many as a row group of the stage has.
TEXTS = 1000


def peer_params() -> CleanParams:
    """``params.yaml: clean`` with every rule of Gopher, C4 and FineWeb, and nothing that the peers' filters do not do."""
    params = load_params(CleanParams, "clean")
    rules, personal = params.rules, params.personal_data
    kept: dict[str, Any] = {kind: dataclasses.replace(personal.kind(kind), action="keep") for kind in KINDS}
    rules = dataclasses.replace(
        rules,
        skip=("language.other", "quality.low_score", "repetition.loops"),
        loops=dataclasses.replace(rules.loops, action="keep"),
        repeated_lines=dataclasses.replace(rules.repeated_lines, max_documents=0),
    )
    return dataclasses.replace(params, rules=rules, personal_data=dataclasses.replace(personal, **kept))


def normalize(texts: Sequence[str], language: str) -> list[str]:
    """The texts, normalised as ``params.yaml: clean.normalize`` says."""
    return normalize_batch(texts, [language] * len(texts), load_params(CleanParams, "clean").normalize).texts


def time_functions(texts: Sequence[str], copies: int) -> dict[str, Any]:
    """CPU seconds of normalisation and rules, and how many texts stay."""
    params = peer_params()
    count_kept(["Builds the tables of characters."], "en", params)
    begin = time.process_time()
    kept = count_kept(list(texts) * copies, "en", params)
    return {"cpu_seconds": time.process_time() - begin, "kept": kept}


def count_kept(texts: Sequence[str], language: str, params: CleanParams) -> int:
    """How many of the texts stay, `TEXTS` of them at a time."""
    kept = 0
    for first in range(0, len(texts), TEXTS):
        some = texts[first : first + TEXTS]
        languages = [language] * len(some)
        normalized = normalize_batch(some, languages, params.normalize).texts
        kept += sum(verdict.rule is None for verdict in apply_rules(normalized, languages, params.rules))
    return kept


if __name__ == "__main__":
    rows = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    result = time_functions([json.loads(row)["text"] for row in rows], int(sys.argv[3]))
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
