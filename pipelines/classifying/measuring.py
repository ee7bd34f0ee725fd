"""What a trained model is worth, and why it says what it says: scores of texts it has not seen, and words with weight.

Shares are whole numbers of 10,000 until they are written, so they are the same on every machine.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.classifying.examples import CLASSES, NEGATIVE, POSITIVE, Division, Examples, take_rows
from pipelines.cleaning.quality_model import (
    I32,
    ONE,
    Features,
    FeatureSettings,
    QualityModel,
    first_words,
    margins,
    runs,
    thousandths,
)
from pipelines.cleaning.scripts import IDEOGRAM
from pipelines.cleaning.text_table import I64, TextTable

#: Thousandths at which a text is as likely good as bad.
EVEN = 500
#: Thousandths below which the metrics say how much of each source would fall.
THRESHOLDS = (100, 200, 300, 400, 500, 600, 700, 800, 900)
#: A feature explains a class when one of so many of its texts holds it.
RARE = 100
#: A word without an end is shown by its beginning.
SHOWN_CHARS = 60
#: Of the runs of words that share a feature those are shown that make up one in so many of its occurrences.
RUNS_SHARE = 10


class Measures(NamedTuple):
    """How well scores tell held-out good texts from bad ones, in parts of 10,000; good is a score of 500 or more."""

    accuracy: int  # of all, those on their side of 500; each class counts half
    precision: int  # of those at 500 or above, good ones
    recall: int  # of good ones, those at 500 or above
    roc_auc: int  # of pairs of a good and a bad one, those where the good one has the larger margin; a tie is half


def metrics(model: QualityModel, examples: Examples, division: Division) -> dict[str, Any]:
    """What ``metrics.json`` holds: numbers of texts, how well held-out ones are told apart, and what would fall."""
    rows = division.measured()
    margin_of = dict(zip(rows, margins(model.weights, take_rows(examples.features, rows)).tolist(), strict=True))
    held = {name: np.array([margin_of[row] for row in division.held_out[name]], np.int64) for name in CLASSES}
    found: dict[str, Any] = {
        "model": "on",
        "languages": list(model.languages),
        "train": {name: len(division.train[name]) for name in CLASSES},
        "held_out": {name: len(held[name]) for name in CLASSES},
        "sources": _by_source(examples, margin_of),
    }
    if all(map(len, held.values())):
        found |= {name: part / 10_000 for name, part in measure(*held.values())._asdict().items()}
    return found


def _by_source(examples: Examples, margin_of: Mapping[int, int]) -> dict[str, Any]:
    """Of each source: texts that were scored and did not train, and what percent of them each threshold would drop."""
    found = defaultdict(list)
    for row, margin in margin_of.items():
        found[examples.sources[row]].append(margin)
    sources = {}
    for source in sorted(found):
        scores = thousandths(np.array(found[source], np.int64))
        falls = {str(limit): _share(int(np.count_nonzero(scores < limit)), len(scores)) / 100 for limit in THRESHOLDS}
        sources[source] = {"scored": len(scores), "percent_below": falls}
    return sources


def measure(positive: I64, negative: I64) -> Measures:
    """How well margins tell two classes apart.

    Args:
        positive, negative: margins of held-out texts of each class, neither empty.
    """
    right, wrong = (int(np.count_nonzero(thousandths(part) >= EVEN)) for part in (positive, negative))
    num_positive, num_negative = len(positive), len(negative)
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left") + np.searchsorted(ordered, positive, side="right")
    return Measures(
        accuracy=_share(right * num_negative + (num_negative - wrong) * num_positive, 2 * num_positive * num_negative),
        precision=_share(right * num_negative, right * num_negative + wrong * num_positive),
        recall=_share(right, num_positive),
        roc_auc=_share(int(below.sum()), 2 * num_positive * num_negative),
    )


def words(
    model: QualityModel, examples: Examples, division: Division, texts: Iterable[pa.RecordBatch], number: int
) -> dict[str, Any]:
    """What ``words.json`` holds: the strongest features of either class, and which words stand behind them.

    Args:
        model, examples, division: as trained.
        texts: FEATURE_ROWS in which the words are looked up.
        number: of features of either class.
    """
    found = {}
    for name, weights in ((POSITIVE, model.weights), (NEGATIVE, -model.weights)):
        found[name] = strongest(weights, take_rows(examples.features, division.train[name]), number)
    seen: dict[int, Counter[str]] = {feature: Counter() for features in found.values() for feature in features}
    for batch in texts:
        table = TextTable.read(batch.column("text").to_pylist(), batch.column("language").to_pylist())
        for feature, runs_found in runs_seen(table, model.settings, list(seen)).items():
            seen[feature] += runs_found
    return {name: [_told(int(model.weights[feature]), seen[feature]) for feature in found[name]] for name in found}


def _told(weight: int, seen: Counter[str]) -> dict[str, Any]:
    # What is rarer than that shares the feature's bits by chance.
    often = [pair for pair in seen.items() if RUNS_SHARE * pair[1] >= seen.total()]
    most = sorted(often, key=lambda pair: (-pair[1], pair[0]))
    return {"weight": (100 * weight + ONE // 2) // ONE / 100, "words": [list(pair) for pair in most]}


def strongest(weights: I32, features: Features, number: int) -> list[int]:
    """The features of some texts with the largest weights above 0, the largest first.

    Those that fewer than one text in `RARE` holds are left out: they speak of single texts.
    """
    holders = np.bincount(features.indices, minlength=len(weights))
    common = np.flatnonzero((RARE * holders >= len(features.ends) - 1) & (holders > 1) & (weights > 0))
    return [int(feature) for feature in common[np.argsort(-weights[common], kind="stable")][:number]]


def runs_seen(table: TextTable, settings: FeatureSettings, wanted: Sequence[int]) -> dict[int, Counter[str]]:
    """How often which words stand behind some features: feature -> run of words -> number."""
    places = first_words(table, settings.max_chars)
    seen: dict[int, Counter[str]] = {feature: Counter() for feature in wanted}
    for size, (hashes, whole) in enumerate(runs(table, places), start=1):
        found = np.flatnonzero(
            whole & np.isin(hashes >> np.uint64(64 - settings.num_bits), np.array(wanted, np.uint64))
        )
        # One look at the text for each run, however often it stands there.
        different, firsts, counts = np.unique(hashes[found], return_index=True, return_counts=True)
        for run, first, count in zip(different.tolist(), places[found[firsts]].tolist(), counts.tolist(), strict=True):
            seen[run >> 64 - settings.num_bits][_text_of(table, first, size)] += count
    return seen


def _text_of(table: TextTable, first: int, size: int) -> str:
    words = table.words
    text = ""
    for place in range(first, first + size):
        stop, chars = int(words.stops[place]), int(words.chars[place])
        spaced = place > first and words.kinds[place - 1 : place + 1].min() < IDEOGRAM
        word = table.data[max(0, stop - 4 * chars) : stop].decode(errors="ignore")[-chars:]
        text += (" " if spaced else "") + word
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _share(part: int, whole: int) -> int:
    """Part of the whole in 10,000, rounded half up; 0 of nothing."""
    return (20_000 * part + whole) // (2 * whole) if whole else 0
