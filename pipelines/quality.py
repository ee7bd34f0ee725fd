"""A model of quality, learned from sources that are good and sources that are not; `clean` may drop what it scores low.

    data/extract/<unit>.parquet  ->  ReadUnit (features of drawn documents, in the cache)
                                 ->  data/quality/model.arrow, metrics.json, words.json

in = train + held_out + scored + not_drawn + repeated + in_both_classes + without_words

Of each class, and of each source that has none, so many texts are drawn by a hash. A second hash holds some of a class
back from training for the metrics; texts of other sources are only scored. Where no sources are named the stage reads
nothing, and publishes a folder without a model.

Texts are read as `extract` left them, so that a setting of `clean` trains no other model: features are words, and
normalising moves a score by a few thousandths.

Run by ``dvc repro quality``, or alone:
``python -m pipelines.quality --input data/extract --output data/quality --ledger data/quality/ledger.json``
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.classifying.examples import (
    CLASSES,
    FEATURE_COLUMNS,
    NEGATIVE,
    POSITIVE,
    Division,
    Examples,
    divide,
    last_drawn,
)
from pipelines.classifying.measuring import metrics, words
from pipelines.classifying.reading import TEXTS_PER_TABLE, ReadUnit
from pipelines.classifying.training import train
from pipelines.cleaning.quality_model import MODEL_COLUMN, FeatureSettings, QualityModel
from pipelines.spine import faults, storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import Shard, dump
from pipelines.spine.shards import ArrowShard, read_batches
from pipelines.spine.stage import Job, Stage, opened
from pipelines.spine.units import REQUESTS_AT_ONCE, Unit, UnitCache, plan_documents

MODEL, METRICS, WORDS = "model.arrow", "metrics.json", "words.json"

#: The end of a Parquet file, with its number of rows.
FOOTER_BYTES = 1 << 16
#: Training texts of each class in which the words behind the strongest features are looked up.
TEXTS_EXPLAINED = 2000
#: A language is the model's when it has so many of 1,000 training texts; what it never saw it cannot judge.
LANGUAGE_PER_1000 = 10


@dataclass(frozen=True)
class QualityStageParams:
    """``params.yaml: quality``."""

    positive: tuple[str, ...]  # names of sources; none in both lists: no model
    negative: tuple[str, ...]
    documents_per_class: int
    documents_per_other_source: int
    held_out_per_1000: int
    features: FeatureSettings
    epochs: int
    learning_rate: int
    words_shown: int

    @property
    def classes(self) -> dict[str, str]:
        """The class of each source that has one."""
        return {**dict.fromkeys(self.positive, POSITIVE), **dict.fromkeys(self.negative, NEGATIVE)}


def draw(units: Sequence[Unit], params: QualityStageParams) -> dict[str, int]:
    """The last key that is drawn of each source: by the number of documents that its class, or the source, has."""
    numbers: Counter[str] = Counter()
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
        for unit, num_rows in zip(units, threads.map(_num_rows, units), strict=True):
            numbers[unit.source] += num_rows
    by_class: Counter[str] = Counter()
    for source, name in params.classes.items():
        by_class[name] += numbers[source]
    return {
        source: last_drawn(params.documents_per_class, by_class[params.classes[source]])
        if source in params.classes
        else last_drawn(params.documents_per_other_source, number)
        for source, number in numbers.items()
    }


def _num_rows(unit: Unit) -> int:
    with storage.open_input(unit.inputs[0].path, FOOTER_BYTES) as file:
        return pq.read_metadata(file).num_rows


def check_params(params: QualityStageParams) -> None:
    """Raises CorpusmillError for a class without sources, a source of both classes, or a number that makes no sense."""
    where = "params.yaml: quality"
    for mine, other in ((params.positive, NEGATIVE), (params.negative, POSITIVE)):
        if mine and not getattr(params, other):
            raise CorpusmillError(
                "sources of one class alone", where=f"{where}.{other}", expected="a source or more", got="[]",
                hint="a model learns to tell two kinds apart: name sources of both, or none to do without a model",
            )  # fmt: skip
    for source in params.positive:
        if source in params.negative:
            raise CorpusmillError(f"{source} is in both classes", where=where, hint="take it out of one of them")
    limits = {"documents_per_class": (2, 10**6), "documents_per_other_source": (0, 10**6), "epochs": (1, 1000),
              "held_out_per_1000": (1, 999), "learning_rate": (1, 1000), "words_shown": (0, 10**4)}  # fmt: skip
    numbers = {name: (getattr(params, name), limit) for name, limit in limits.items()}
    of_features = {"max_chars": (1, 10**5), "max_count": (1, 255), "num_bits": (4, 24)}
    numbers |= {f"features.{name}": (getattr(params.features, name), limit) for name, limit in of_features.items()}
    for name, (number, (least, most)) in numbers.items():
        if not least <= number <= most:
            raise CorpusmillError(
                "out of range", where=f"{where}.{name}", expected=f"{least:,} to {most:,}", got=f"{number:,}"
            )


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv) as job:
        check_params(job.params)
        if not job.params.classes:
            job.begin()
            storage.write_text(job.output / METRICS, dump({"model": "off"}))
            job.publish([], Ledger("documents"), others=[METRICS])
            return
        planned = plan_documents(job.inputs)
        _check_sources(planned, job.params)
        units = job.units_for_workers(planned)
        work = ReadUnit(job.params.features, tuple(sorted(draw(units, job.params).items())))
        cache = job.unit_cache(".read", work)
        _read_units(job, units, work, cache)
        _learn(job, units, cache)


def _check_sources(units: Sequence[Unit], params: QualityStageParams) -> None:
    known = sorted({unit.source for unit in units})
    for name in CLASSES:
        for source in getattr(params, name):
            if source not in known:
                raise CorpusmillError(
                    f"no source {source} in the input; known: {', '.join(known)}", where=f"params.yaml: quality.{name}"
                )


def _read_units(job: Job, units: Sequence[Unit], work: ReadUnit, cache: UnitCache) -> None:
    from pipelines.process import process_units  # Beam: a second that a stage without a model does not spend

    process_units(job, units, work, cache)


def _learn(job: Job, units: Sequence[Unit], cache: UnitCache) -> None:
    """Trains on what the units left, and publishes the model with its metrics."""
    params: QualityStageParams = job.params
    examples = Examples.gather(_rows(units, cache, FEATURE_COLUMNS))
    division = divide(examples, params.classes, params.held_out_per_1000)
    for name in CLASSES:
        if not division.train[name]:
            raise CorpusmillError(
                f"no {name} text to learn from", where=f"params.yaml: quality.{name}",
                got=f"{len(division.held_out[name])} texts held out, {division.num_in_both // 2} of both classes",
                hint="name sources that hold other texts than those of the other class",
            )  # fmt: skip
    weights = train(
        examples.features, division.train[POSITIVE], division.train[NEGATIVE], params.epochs, params.learning_rate,
        params.features.num_bits,
    )  # fmt: skip
    model = QualityModel(weights, params.features, _languages(examples, division))
    explained = {examples.keys[row] for name in CLASSES for row in division.train[name][:TEXTS_EXPLAINED]}
    told = words(model, examples, division, _texts(units, cache, explained), params.words_shown)
    job.begin()
    shard = _write_model(job, model)
    storage.write_text(job.output / METRICS, dump(metrics(model, examples, division)))
    storage.write_text(job.output / WORDS, dump(told))
    faults.reach("quality:written")
    job.publish([shard], _ledger(units, cache, division), others=[METRICS, WORDS])


def _rows(units: Sequence[Unit], cache: UnitCache, columns: list[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(source, FEATURE_ROWS) of what the units left."""
    for unit, receipt in zip(units, cache.receipts(units), strict=True):
        if receipt is None:
            raise CorpusmillError("the unit left no receipt", where=unit.name, hint="run again")
        for shard in receipt.shards:
            for batch in read_batches(cache.place(unit, shard.name), columns, shard.sha256):
                yield unit.source, batch


def _texts(units: Sequence[Unit], cache: UnitCache, wanted: set[int]) -> Iterator[pa.RecordBatch]:
    """The texts with some keys, each once."""
    for _, batch in _rows(units, cache, ["key", "language", "text"]):
        chosen = []
        for row, key in enumerate(batch.column("key").to_pylist()):
            if key in wanted:
                wanted.remove(key)
                chosen.append(row)
        for begin in range(0, len(chosen), TEXTS_PER_TABLE):
            yield batch.take(pa.array(chosen[begin : begin + TEXTS_PER_TABLE]))


def _languages(examples: Examples, division: Division) -> tuple[str, ...]:
    rows = [*division.train[POSITIVE], *division.train[NEGATIVE]]
    numbers = Counter(examples.languages[row] for row in rows)
    return tuple(sorted(code for code, number in numbers.items() if 1000 * number >= LANGUAGE_PER_1000 * len(rows)))


def _write_model(job: Job, model: QualityModel) -> Shard:
    schema = pa.schema([pa.field(MODEL_COLUMN, pa.int32(), False)], model.metadata())
    with ArrowShard(job.output / MODEL, schema) as shard:
        shard.write(pa.RecordBatch.from_arrays([pa.array(model.weights)], schema=schema))
    return shard.published()


def _ledger(units: Sequence[Unit], cache: UnitCache, division: Division) -> Ledger:
    """What became of every document of the input."""
    ledger = Ledger("documents")
    for receipt in cache.receipts(units):
        if receipt is not None:
            ledger.add(receipt.ledger)
    del ledger.given["drawn"]
    for part in ("train", "held_out"):
        ledger.give(part, sum(map(len, getattr(division, part).values())))
    ledger.give("scored", len(division.scored))
    ledger.count("repeated", division.num_repeated)
    ledger.count("in_both_classes", division.num_in_both)
    return ledger


STAGE = Stage("pipelines.quality", QualityStageParams, ("python", "pyarrow", "numpy"), has_runner=True)

if __name__ == "__main__":
    sys.exit(run_module("pipelines.quality"))
