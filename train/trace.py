"""From a step of pretraining to the documents it saw, and from a document to the steps that saw it.

    python -m train.trace --step 120
    python -m train.trace --step 118-120
    python -m train.trace --doc enwiki:12

Nothing is recorded while training: the order of the rows is a pure function (``train.order``), and the shards say
which documents a row holds (``pipelines.trace_index``). So it answers for any step that was or will be, in a second,
and needs no torch. Steps whose update was left out are told where the run's metrics list them.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Manifest, Shard, read_manifest
from pipelines.spine.params import load_params
from pipelines.spine.units import source_of
from pipelines.terminal import printable
from pipelines.token_shards import MappedShard
from pipelines.trace_index import find_document
from train.order import Order
from train.recipe import PretrainParams

OPENED_AT_ONCE = 16


@dataclass(frozen=True)
class Seen:
    """One document's run of tokens in one row of a step.

    Attributes:
        sample: counted since training began; ``row`` in the train split.
        segment: from 1; ``start``, ``length``: its places in the row.
        doc_offset: the document's token at ``start``; > 0: that token is repeated context.
    """

    step: int
    sample: int
    row: int
    segment: int
    doc_id: str
    source: str
    start: int
    length: int
    doc_offset: int


@dataclass(frozen=True)
class Run:
    """A run of pretraining as far as its order goes.

    Attributes:
        steps: the last step; fewer than the parameters say where training stopped early.
        left_out: steps that were computed and whose update was left out.
    """

    manifest: Manifest
    shards: tuple[tuple[Shard, str], ...]
    order: Order
    rows_per_step: int
    steps: int
    left_out: frozenset[int]

    @classmethod
    def of(cls, pack: str, params: PretrainParams, metrics: Path) -> "Run":
        """The run of these parameters on these shards.

        Raises:
            CorpusmillError: no shards, no train rows, or weights that do not fit them.
        """
        manifest = read_manifest(pack)
        shards = tuple((shard, _source_of(manifest, shard)) for shard in manifest.of_split("train"))
        order = Order(params.seed, tuple((source, shard.rows) for shard, source in shards), params.source_weights)
        ended = _metrics(metrics)
        return cls(
            manifest, shards, order, params.rows_per_step, min(params.steps, ended.get("steps", params.steps)),
            frozenset(ended.get("left_out", ())),
        )  # fmt: skip

    def documents(self, step: int) -> list[Seen]:
        """What the step's global batch holds, in the order of its rows. Opens each shard once.

        Raises:
            CorpusmillError: the run has no such step.
        """
        if not 1 <= step <= self.steps:
            raise CorpusmillError(
                "the run has no such step", where="--step", expected=f"1 to {self.steps:,}", got=f"{step:,}"
            )
        first = (step - 1) * self.rows_per_step
        places = [self._place(row) for row in self.order.rows(first, self.rows_per_step).tolist()]
        shards = {shard for shard, *_ in places}
        # On a cold disk opening waits for it; 32 shards of 10 million documents took 3 s one by one.
        with ThreadPoolExecutor(OPENED_AT_ONCE) as pool:
            opened = dict(
                zip(shards, pool.map(lambda shard: MappedShard.of(self.manifest, shard), shards), strict=True)
            )
        found = []
        for number, (shard, source, row, local) in enumerate(places):
            mapped = opened[shard]
            view = mapped.row(local)
            columns = (view.starts.tolist(), view.lengths.tolist(), view.offsets.tolist())
            for segment, (doc_id, *numbers) in enumerate(zip(mapped.doc_ids(local), *columns, strict=True), 1):
                found.append(Seen(step, first + number, row, segment, doc_id, source, *numbers))
        return found

    def steps_of_row(self, row: int) -> list[tuple[int, int, int]]:
        """(epoch, step, sample) of each time that the run shows a row of train, in that order."""
        num_slots, samples = self.order.num_slots, self.steps * self.rows_per_step
        found = []
        for epoch in range(-(-samples // num_slots)):
            for place in self.order.places(row, epoch):
                sample = epoch * num_slots + place
                if sample < samples:
                    found.append((epoch, sample // self.rows_per_step + 1, sample))
        return found

    def _place(self, row: int) -> tuple[Shard, str, int, int]:
        """The shard that holds a row of train, its source, the row, and the row's number in the shard."""
        local = row
        for shard, source in self.shards:
            if local < shard.rows:
                return shard, source, row, local
            local -= shard.rows
        raise ValueError("a row beyond the split")


def main(argv: Sequence[str]) -> None:
    """Prints the documents of some steps, or the steps of a document."""
    parser = argparse.ArgumentParser(
        prog="python -m train.trace", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--step", metavar="N or A-B", help="steps, from 1, as curve.csv counts them")
    asked.add_argument("--doc", metavar="ID", help="a doc_id")
    parser.add_argument("--input", default="data/pack", metavar="DIR", help="token shards (default: %(default)s)")
    parser.add_argument("--params", default="params.yaml", metavar="FILE", help="the run's (default: %(default)s)")
    parser.add_argument("--metrics", default="data/pretrain/metrics.json", metavar="FILE",
                        help="the run's, for the steps that it left out; may be missing (default: %(default)s)")  # fmt: skip
    args = parser.parse_args(argv)
    params = load_params(PretrainParams, "pretrain", args.params)
    run = Run.of(args.input, params, Path(args.metrics))
    if args.doc is not None:
        print(*_told_document(run, args.doc), sep="\n")
    else:
        for step in _steps(args.step):
            print(*_told_step(run, step), sep="\n")


def _steps(text: str) -> range:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise CorpusmillError("no step", where="--step", expected="N, or A-B with A before B", got=text)
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _told_step(run: Run, step: int) -> Iterator[str]:
    seen = run.documents(step)
    first, last = seen[0].sample, seen[-1].sample
    epochs = " and ".join(str(n) for n in sorted({first // run.order.num_slots, last // run.order.num_slots}))
    documents = len({found.doc_id for found in seen})
    yield (
        f"step {step:,} of {run.steps:,}: {run.rows_per_step:,} rows of epoch {epochs}, {documents:,} documents"
        f"{', its update was left out' if step in run.left_out else ''}"
    )
    yield f"{'sample':>10} {'row':>10} {'segment':>7} {'places':>11}  {'source':<12} tokens of the document"
    for found in seen:
        places = f"{found.start}-{found.start + found.length - 1}"
        tokens = f"{found.doc_offset}-{found.doc_offset + found.length - 1}"
        context = ", the first as context" if found.doc_offset else ""
        yield (
            f"{found.sample:>10} {found.row:>10} {found.segment:>7} {places:>11}  {printable(found.source):<12} "
            f"{tokens} of {printable(found.doc_id)}{context}"
        )


def _told_document(run: Run, doc_id: str) -> Iterator[str]:
    places = find_document(run.manifest.folder, doc_id)
    trained = [place for place in places if place.split == "train"]
    if not trained:
        raise CorpusmillError(
            f"no step saw this document: it is in {places[0].split}", where=str(run.manifest.folder),
            expected="one of train", got=doc_id, hint=f"`python -m pipelines.trace --doc {doc_id}` shows its rows",
        )  # fmt: skip
    runs_of: dict[int, str] = {}
    for place in trained:
        tokens = f"{place.doc_offset}-{place.doc_offset + place.length - 1}"
        runs_of[place.split_row] = f"{runs_of[place.split_row]}, {tokens}" if place.split_row in runs_of else tokens
    times = sorted((*time, row) for row in runs_of for time in run.steps_of_row(row))
    steps = {step for _, step, *_ in times}
    yield (
        f"{printable(doc_id)}: {len(runs_of):,} rows of train, seen in {len(steps):,} of {run.steps:,} steps "
        f"({run.steps * run.rows_per_step / run.order.num_slots:.2f} epochs)"
    )
    if times:
        yield f"{'epoch':>6} {'step':>10} {'sample':>10} {'row':>10}  tokens of the document"
    for epoch, step, sample, row in times:
        left_out = "  (update left out)" if step in run.left_out else ""
        yield f"{epoch:>6} {step:>10} {sample:>10} {row:>10}  {runs_of[row]}{left_out}"


def _source_of(manifest: Manifest, shard: Shard) -> str:
    """What the shard's metadata say, and nothing else of it read; of one in a store its name says it."""
    place = manifest.place_of(shard)
    if storage.is_remote(place):
        return source_of(shard.stem, with_split=True)
    try:
        with pa.memory_map(place) as file:
            return str(pa.ipc.open_stream(file).schema.metadata[b"source"].decode())
    except (pa.ArrowInvalid, OSError, KeyError, TypeError):
        return MappedShard.of(manifest, shard).facts.source  # says what is wrong with it


def _metrics(path: Path) -> dict[str, Any]:
    """The run's metrics; none where it has not ended.

    Raises:
        CorpusmillError: something else stands there.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        # A whole run's last step is that of the parameters, which may ask for more by now.
        ended = {"steps": int(document["steps"])} if document.get("stopped_early") else {}
        return {**ended, "left_out": [int(step) for step in document.get("left_out", [])]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CorpusmillError(f"not a run's metrics: {error}", where=str(path), hint="run `dvc checkout`") from None


if __name__ == "__main__":
    sys.exit(run_module("train.trace"))
