"""Packing what should not be: a clear message, or a defined result."""

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import write_documents, write_params
from token_shards import write_tokenizer

from pipelines import pack
from pipelines.pack import PackParams, PackUnit, pack_documents
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from pipelines.spine.units import Unit, UnitInput
from pipelines.token_shards import SplitRows
from tokenizer.encoding import Encoder

PACK = {"seq_len": 8, "strategy": "best_fit", "long_documents": "split"}


def run(folder: Path, **changed: object) -> Path:
    params = write_params(folder / "params.yaml", pack={**PACK, **changed})
    given = ["--params", str(params), "--input", str(folder / "in"), "--output", str(folder / "out")]
    pack.main([*given, "--cache", str(folder / "cache"), "--tokenizer", str(write_tokenizer(folder / "t" / "t.json"))])
    return folder / "out"


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"seq_len": 0}, "pack.seq_len"),
        ({"seq_len": -1}, "pack.seq_len"),
        ({"strategy": "first_fit"}, "pack.strategy"),
        ({"long_documents": "drop"}, "pack.long_documents"),
        ({"strategy": "concatenate", "long_documents": "truncate"}, "pack.long_documents"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(tmp_path: Path, changed: dict, where: str) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "one")])
    with pytest.raises(CorpusmillError) as error:
        run(tmp_path, **changed)
    assert error.value.where == f"params.yaml: {where}"
    assert error.value.expected


def test_an_empty_text_shard_gives_no_token_shard_and_readers_say_that_the_split_is_empty(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [])
    output = run(tmp_path)
    assert read_manifest(output).shards == ()
    assert sorted(path.name for path in output.iterdir()) == [
        "languages.json",
        "ledger.json",
        "lineage.json",
        "manifest.json",
    ]
    with pytest.raises(CorpusmillError, match="no rows in split val"):
        SplitRows(output, "val")
    with pytest.raises(FileNotFoundError):
        datasets.load_from_disk(str(output))


def test_empty_documents_are_a_document_start_each(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", ""), ("2", "ab"), ("3", "")])
    rows = SplitRows(run(tmp_path), "train")  # a and b are the 65th and 66th byte of the alphabet
    assert {name: ids.tolist() for name, ids in rows.shards[0].whole_documents()} == {
        "s:1": [0], "s:2": [0, 65, 66], "s:3": [0],
    }  # fmt: skip
    assert rows.text_bytes == 2


def test_documents_of_several_sources_in_one_shard_are_refused(tmp_path: Path) -> None:
    for source in "ab":
        write_documents(tmp_path / f"{source}.parquet", [("1", "text")], source=source)
    batches = [batch for source in "ab" for batch in pq.read_table(tmp_path / f"{source}.parquet").to_batches()]
    encoder = Encoder(write_tokenizer(tmp_path / "t.json"))
    with pytest.raises(CorpusmillError, match="several sources") as error:
        list(pack_documents(batches, encoder, PackParams(**PACK), "train", Unit("train-a-0", "a", ())))
    assert (error.value.where, error.value.got) == ("train-a-0", "a, b")


def test_two_documents_of_one_id_are_refused(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "one"), ("2", "two"), ("1", "other")])
    with pytest.raises(CorpusmillError, match="have one id") as error:
        run(tmp_path)
    assert error.value.got == "s:1"


#: Reads the unit with so little address space left that its one document cannot be held.
STARVED = """
import resource, sys
from pathlib import Path
from pipelines.pack import PackParams, PackUnit
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.units import Unit, UnitInput
path, tokenizer, spare = sys.argv[1], sys.argv[2], int(sys.argv[3])
work = PackUnit(PackParams(8, "best_fit", "split"), tokenizer)
work._loaded().encode_batch(["the engine is loaded before memory ends"])
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + spare, used + spare))
try:
    list(work.outcomes(Unit("train-s-0", "s", (UnitInput(path, "", 7),))))
except CorpusmillError as error:
    print(error)
"""


def test_a_document_larger_than_the_memory_is_named_with_its_unit(tmp_path: Path) -> None:
    write_documents(tmp_path / "a.parquet", [("long", "a" * (64 << 20))])
    tokenizer = write_tokenizer(tmp_path / "t.json")
    given = [sys.executable, "-c", STARVED, str(tmp_path / "a.parquet"), str(tokenizer), str(48 << 20)]
    # Arrow's own pool may hold address space in reserve that the limit does not see.
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(given, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("train-s-0: ")
    assert "does not fit in memory" in done.stdout
    assert "hint: give the worker more memory" in done.stdout


class Exhausted:
    """The encoder of a machine without memory for the tokens of more than 1,000 bytes."""

    vocab_size, document_start_id, sha256 = 257, 0, "t" * 64

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def encode_documents(self, texts):
        if sum(len(text.as_py()) for text in texts) >= 1000:
            raise MemoryError
        return self._encoder.encode_documents(texts)


def test_a_batch_whose_tokens_do_not_fit_names_its_longest_document(tmp_path: Path) -> None:
    write_documents(tmp_path / "a.parquet", [("1", "one"), ("long", "é" * 1000), ("2", "two")])
    encoder = Exhausted(Encoder(write_tokenizer(tmp_path / "t.json")))
    batches = pq.read_table(tmp_path / "a.parquet").to_batches()
    with pytest.raises(CorpusmillError, match="does not fit in memory with its tokens") as error:
        list(pack_documents(batches, encoder, PackParams(**PACK), "train", Unit("train-s-0", "s", ())))
    assert (error.value.where, error.value.got) == ("train-s-0", "the longest is s:long with 2,000 bytes")


def test_memory_that_ends_while_rows_are_planned_names_the_unit(tmp_path: Path, monkeypatch) -> None:
    write_documents(tmp_path / "a.parquet", [("1", "one")])

    def exhausted(*arguments: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    monkeypatch.setattr(pack, "index_rows", exhausted)
    work = PackUnit(PackParams(**PACK), str(write_tokenizer(tmp_path / "t.json")))
    with pytest.raises(CorpusmillError, match="the tokens of this unit do not fit in memory") as error:
        list(work.outcomes(Unit("train-s-0", "s", (UnitInput(str(tmp_path / "a.parquet"), "", 7),))))
    assert error.value.where == "train-s-0"
