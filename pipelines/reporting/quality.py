"""The quality model, as plain values for the data card: how well it tells texts apart, and which words speak for what.

Reads ``data/quality/metrics.json`` and ``words.json`` as the stage `quality` writes them. The model is optional: where
it is off, or the stage has not run, there is nothing to show.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.reporting.flow import StageFolder
from pipelines.reporting.samples import excerpt

MEASURES = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "roc_auc": "area under the ROC curve"}
CLASSES = {"positive": "for quality", "negative": "against it"}
WORDS_SHOWN, WORD_CHARS = 20, 60
#: Every second threshold that the metrics have; nine columns fit no phone.
THRESHOLDS = ("100", "300", "500", "700", "900")


def quality_section(stage: StageFolder) -> dict[str, Any] | None:
    """What the section on the quality model shows; None where there is no model."""
    metrics = stage.json("metrics.json")
    if not isinstance(metrics, dict) or metrics.get("model") != "on":
        return None
    found = stage.json("words.json") or {}
    return {
        "train": metrics.get("train", {}),
        "held_out": metrics.get("held_out", {}),
        "languages": metrics.get("languages", []),
        "measures": [(said, metrics[name]) for name, said in MEASURES.items() if name in metrics],
        "thresholds": THRESHOLDS,
        "sources": [_source(name, part) for name, part in sorted(metrics.get("sources", {}).items())],
        "words": [(said, shown) for name, said in CLASSES.items() if (shown := _words(found.get(name, [])))],
    }


def _source(name: str, part: Mapping[str, Any]) -> tuple[str, int, list[float | None]]:
    """(source, texts scored, percent of them that each of `THRESHOLDS` would drop)."""
    return name, part["scored"], [part["percent_below"].get(threshold) for threshold in THRESHOLDS]


def _words(features: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """(the most frequent run of words behind a feature, its weight), the strongest first."""
    return [
        (excerpt(feature["words"][0][0], WORD_CHARS), feature["weight"])
        for feature in features[:WORDS_SHOWN]
        if feature["words"]
    ]
