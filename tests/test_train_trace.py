"""The trace of training: each step's documents are those of its batch, each document's steps hold it, or a clear error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from corpora import write_params
from token_shards import KEY, PRETRAIN, TEXTS, changed_params, write_pack, write_tokenizer, write_unit

from pipelines.pack import PackParams
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest, write_manifest
from pipelines.spine.params import load_params
from pipelines.trace_index import documents_of_row
from tokenizer.encoding import Encoder
from train import trace
from train.data import TokenRows
from train.order import Order
from train.recipe import PretrainParams

ROOT = Path(__file__).resolve().parents[1]
#: Two sources, one of which shows its 119 rows every other epoch. 12 steps of 32 rows: 2.4 epochs of 159 slots.
WEIGHTS = {"s": 0.5, "t": 1.0}
CHANGED = {"source_weights": WEIGHTS, "steps": 12, "rows_per_step": 32}


class Place:
    """Shards, parameters and metrics of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tokenizer = write_tokenizer(folder / "tokenizer.json")
        self.pack = write_pack(folder / "pack", tokenizer)
        params = PackParams(16, "best_fit", "split")
        more = write_unit(self.pack, f"train-t-{KEY}", TEXTS[:20], Encoder(tokenizer), params, "t")
        write_manifest(self.pack, [*read_manifest(self.pack).shards, more])
        self.params = write_params(folder / "params.yaml", pretrain=changed_params(PRETRAIN, CHANGED))
        self.metrics = folder / "metrics.json"

    def argv(self, *asked: str) -> list[str]:
        return [*asked, "--input", str(self.pack), "--params", str(self.params), "--metrics", str(self.metrics)]

    def run(self) -> trace.Run:
        return trace.Run.of(str(self.pack), load_params(PretrainParams, "pretrain", self.params), self.metrics)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_step_holds_the_documents_of_the_rows_that_training_takes(place: Place) -> None:
    run, rows = place.run(), TokenRows(place.pack, "train")
    order = Order(PRETRAIN["seed"], rows.sources, WEIGHTS)
    for step in range(1, 13):
        seen = run.documents(step)
        assert [s.sample for s in seen if s.segment == 1] == list(range(32 * (step - 1), 32 * step))
        expected = [
            (row, place_.doc_id, rows.source_of(row), place_.start, place_.length, place_.doc_offset)
            for row in order.rows(32 * (step - 1), 32).tolist()
            for place_ in documents_of_row(place.pack, "train", row)
        ]
        assert [(s.row, s.doc_id, s.source, s.start, s.length, s.doc_offset) for s in seen] == expected


def test_a_row_was_seen_in_exactly_the_steps_that_hold_it(place: Place) -> None:
    run = place.run()
    found = {(s.row, s.step, s.sample) for step in range(1, 13) for s in run.documents(step)}
    told = {
        (row, step, sample)
        for row in range(TokenRows(place.pack, "train").num_rows)
        for _, step, sample in run.steps_of_row(row)
    }
    assert told == found
    assert len({sample for *_, sample in told}) == 12 * 32


def test_the_command_prints_documents_and_steps(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    trace.main(place.argv("--step", "3-4"))
    lines = capsys.readouterr().out.splitlines()
    documents = len({s.doc_id for s in place.run().documents(3)})
    assert lines[0] == f"step 3 of 12: 32 rows of epoch 0, {documents} documents"
    first = place.run().documents(3)[0]
    assert lines[2].split()[:5] == ["64", str(first.row), "1", f"0-{first.length - 1}", first.source]
    assert f" of {first.doc_id}" in lines[2]
    assert any(line.startswith("step 4 of 12: ") for line in lines)
    trace.main(place.argv("--doc", first.doc_id))
    head, columns, *times = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{first.doc_id}: ")
    assert columns.split()[:4] == ["epoch", "step", "sample", "row"]
    assert ["0", "3", str(first.sample), str(first.row)] in [line.split()[:4] for line in times]
    assert f"seen in {len({line.split()[1] for line in times})} of 12 steps" in head


def test_steps_that_were_left_out_are_told_and_an_early_end_is_the_end(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.metrics.write_text(json.dumps({"steps": 6, "stopped_early": True, "left_out": [3]}))
    trace.main(place.argv("--step", "3"))
    told, _, first, *_ = capsys.readouterr().out.splitlines()
    assert told.endswith(" documents, its update was left out")
    trace.main(place.argv("--doc", first.split(" of ")[1].partition(",")[0]))
    assert "  (update left out)" in capsys.readouterr().out
    with pytest.raises(CorpusmillError, match="the run has no such step"):
        trace.main(place.argv("--step", "7"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--step", "0"), "--step: the run has no such step\n  expected: 1 to 12\n  got: 0"),
        (("--step", "13"), "--step: the run has no such step\n  expected: 1 to 12\n  got: 13"),
        (("--step", "5-4"), "--step: no step\n  expected: N, or A-B with A before B\n  got: 5-4"),
        (("--doc", "s:none"), "no row holds this document\n  got: s:none"),
        (("--doc", f"s:{TEXTS[0][0]}"), "no step saw this document: it is in val"),
        (("--doc", f"s:{TEXTS[1][0]}"), "no step saw this document: it is in test"),
    ],
)
def test_what_no_step_holds_is_refused_with_the_reason(place: Place, asked: tuple[str, str], message: str) -> None:
    with pytest.raises(CorpusmillError) as refused:
        trace.main(place.argv(*asked))
    assert message in str(refused.value)


def test_a_whole_run_of_fewer_steps_is_no_early_end(place: Place) -> None:
    steps = place.run().steps
    place.metrics.write_text(json.dumps({"steps": 6, "stopped_early": False, "left_out": []}))
    assert place.run().steps == steps > 6


def test_damaged_metrics_are_named(place: Place) -> None:
    place.metrics.write_text("{")
    with pytest.raises(CorpusmillError, match="not a run's metrics"):
        trace.main(place.argv("--step", "1"))


def test_it_starts_without_torch(place: Place) -> None:
    code = "import sys; from train import trace; trace.main(sys.argv[1:]); assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code, *place.argv("--step", "1")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("step 1 of 12: ")
