"""Evaluation sets: which may be reported, and the model's score on their texts.

    params.yaml: evaluate.sets + evaluation.json + sets.json  ->  ChosenSet  ->  Score

A set may be reported when `decontaminate` looked for the same files, columns and options in the corpus. Its texts are packed
as `pack` packs documents, so every text token is scored once.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluation_sets import FetchedSet, read_sets
from pipelines.packing import pack_rows, split_documents
from pipelines.spine.errors import CorpusmillError
from pipelines.token_shards import Row
from tokenizer.encoding import Encoder
from train.data import Batch, make_batch
from train.model import LanguageModel
from train.saved import ModelConfig
from train.scoring import Score, batch_scores, cut_batches

#: What of an entry of ``sets.json`` metrics repeat.
_COUNTS = ("documents", "items", "items_unchecked")
PARAM = "params.yaml: evaluate.sets"


@dataclass(frozen=True)
class ChosenSet:
    """A set to score.

    Attributes:
        entry: what ``sets.json`` says of it; None: it was not looked for.
        action: what became of the documents that hold text of it.
    """

    fetched: FetchedSet
    entry: dict[str, Any] | None
    action: str

    @property
    def name(self) -> str:
        return self.fetched.name

    def facts(self) -> dict[str, Any]:
        """What metrics say of the search: in how many documents the set was found, and how many items were too short."""
        if self.entry is None:
            return {"decontaminated": False}
        found, items, unchecked = (self.entry[name] for name in _COUNTS)
        acted = {"drop": "documents_dropped", "cut": "documents_cut"}[self.action]
        return {"decontaminated": True, acted: found, "items": items, "items_unchecked": unchecked}


def choose_sets(names: Sequence[str], sets: str, decontaminated: str, cache: Path) -> list[ChosenSet]:
    """The sets of those names, each with what is known of its search.

    Args:
        names: ``evaluate.sets``.
        sets: ``evaluation.json`` of `fetch`; may be "" where no set is named.
        decontaminated: ``sets.json`` of `decontaminate`; "" or no such file: nothing was looked for.
        cache: where `fetch` keeps the bytes.
    Raises:
        CorpusmillError: `fetch` has no set of that name, or a file is damaged.
    """
    if not names:
        return []
    if not sets:
        raise CorpusmillError("evaluation sets are named", where=PARAM, hint="give --sets data/fetch/evaluation.json")
    known = {one.name: one for one in read_sets(sets, cache)}
    document = _read_searched(decontaminated)
    searched = {entry["name"]: entry for entry in document["sets"]}
    chosen = []
    for name in dict.fromkeys(names):
        if name not in known:
            raise CorpusmillError(
                f"no evaluation set {name}; known: {', '.join(sorted(known)) or 'none'}", where=PARAM,
                hint="list it in params.yaml: fetch.evaluation_sets",
            )  # fmt: skip
        entry = searched.get(name, {})
        same = all(entry.get(key) == value for key, value in known[name].to_entry().items())
        chosen.append(ChosenSet(known[name], entry if same else None, document["action"]))
    return chosen


def expect_decontaminated(chosen: Sequence[ChosenSet], allow_contaminated: bool, place: str) -> None:
    """Passes when every set was looked for in the corpus, or may be reported all the same.

    Raises:
        CorpusmillError: naming the set that was not.
    """
    for one in chosen:
        if one.entry is None and not allow_contaminated:
            raise CorpusmillError(
                f"{one.name} was not looked for in the corpus: what the model was trained on may hold it", where=PARAM,
                expected=f"{place or 'sets.json of decontaminate'} lists it with files "
                f"{', '.join(sha256[:12] for sha256 in one.fetched.sha256s)}, columns {list(one.fetched.columns)}",
                got="another content or other settings, or no such set",
                hint="run `dvc repro`, which decontaminates first; or set evaluate.allow_contaminated: true, and "
                "metrics.json will say that it was not decontaminated",
            )  # fmt: skip


class PackedTexts:
    """Texts as rows of tokens, each text a document.

    Args:
        seq_len: targets a row.
    """

    def __init__(self, texts: Sequence[str], encoder: Encoder, seq_len: int) -> None:
        ids, offsets = encoder.encode_documents(texts)
        pieces = split_documents(offsets, seq_len + 1)
        self._packed = pack_rows(ids, pieces, seq_len + 1, encoder.document_start_id, encoder.vocab_size)
        self._seq_len = seq_len
        self.num_text_tokens = len(ids) - len(texts)
        self.num_bytes = sum(len(text.encode()) for text in texts)

    @property
    def num_rows(self) -> int:
        return len(self._packed.tokens)

    def row(self, index: int) -> Row:
        """One row by its number."""
        first, last = self._packed.row_offsets[index : index + 2]
        segments = self._packed.segments
        return Row(self._packed.tokens[index], segments.length[first:last], segments.doc_offset[first:last])

    def scoring_batch(self, indices: Sequence[int]) -> Batch:
        """The rows with text tokens alone as targets."""
        return make_batch([self.row(index) for index in indices], self._seq_len, score_starts=False)


def score_texts(model: LanguageModel, config: ModelConfig, rows: PackedTexts, rows_per_batch: int) -> Score:
    """The model's score on all texts together."""
    device = next(model.parameters()).device
    batches = cut_batches(range(rows.num_rows), rows_per_batch)
    parts = list(batch_scores(model, rows, batches, device, config.within_documents))
    nll, tokens, right = (math.fsum(p[0] for p in parts), sum(p[1] for p in parts), sum(p[2] for p in parts))
    return Score(nll, tokens, rows.num_bytes, right)


def _read_searched(place: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {"action": "drop", "sets": []}
    if not place:
        return nothing
    try:
        document: dict[str, Any] = json.loads(Path(place).read_text(encoding="utf-8"))
        document["action"], [(entry["name"], *(entry[key] for key in _COUNTS)) for entry in document["sets"]]
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusmillError(f"damaged: {error!r}", where=place, hint="run `dvc repro -f decontaminate`") from None
    return document
