"""The folder as others open it: `datasets` and a torch `DataLoader` see every token id that pack wrote."""

import dataclasses
import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from corpora import words, write_documents, write_params
from token_shards import write_tokenizer
from torch.utils.data import DataLoader

from pipelines import pack
from pipelines.packing.dataset_files import dataset_files
from pipelines.spine.manifest import read_manifest
from pipelines.token_shards import SplitRows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train shards of two sources, whose schema metadata differ."""
    root = tmp_path_factory.mktemp("datasets")
    for source in ("en", "新聞"):
        texts = [(f"{n}", " ".join(words(n, 3 + 11 * n % 40)) + " 日本語") for n in range(30)]
        write_documents(root / "in" / f"{source}.parquet", texts, source=source)
    params = write_params(root / "p.yaml", pack={"seq_len": 31, "strategy": "best_fit", "long_documents": "split"})
    given = ["--params", str(params), "--input", str(root / "in"), "--output", str(root / "pack")]
    pack.main([*given, "--cache", str(root / "cache"), "--tokenizer", str(write_tokenizer(root / "t" / "t.json"))])
    return root / "pack"


@pytest.fixture(scope="module")
def tokens(folder: Path) -> np.ndarray:
    return np.stack([row.tokens for row in SplitRows(folder, "train").rows()])


def test_load_from_disk_opens_the_train_split_with_every_row_and_column(folder: Path, tokens: np.ndarray) -> None:
    opened = datasets.load_from_disk(str(folder))
    assert str(opened.split) == "train"
    assert np.array_equal(np.array(opened["tokens"][:]), tokens)
    first = SplitRows(folder, "train").row(0)
    assert opened[0]["segment_starts"] == first.starts.tolist()
    assert set(opened["source"][:]) == {"en", "新聞"}


def test_from_file_opens_each_shard_alone(folder: Path, tokens: np.ndarray) -> None:
    shards = read_manifest(folder).of_split("train")
    opened = [datasets.Dataset.from_file(str(folder / shard.name)) for shard in shards]
    assert np.array_equal(np.concatenate([np.array(one["tokens"][:]) for one in opened]), tokens)


def test_the_fingerprint_is_of_the_content(folder: Path) -> None:
    state = json.loads((folder / "state.json").read_text())
    assert [file["filename"] for file in state["_data_files"]] == [s.name for s in read_manifest(folder).shards]
    assert (
        state["_fingerprint"] == json.loads(dataset_files(read_manifest(folder).shards)["state.json"])["_fingerprint"]
    )
    # `datasets` derives its own from it: the same each time, so that what it caches is found again.
    first, again = (datasets.load_from_disk(str(folder))._fingerprint for _ in range(2))
    assert first == again
    changed = [dataclasses.replace(shard, sha256="0" * 64) for shard in read_manifest(folder).shards]
    assert state["_fingerprint"] not in dataset_files(changed)["state.json"]


def collate(rows: list[dict]) -> dict[str, torch.Tensor]:
    """The three lines with which another trainer uses the rows: inputs, and labels that padding does not count in."""
    tokens = torch.stack([row["tokens"] for row in rows]).long()
    used = torch.tensor([[int(row["segment_lengths"].sum())] for row in rows])
    labels = tokens.masked_fill(torch.arange(tokens.shape[1]) >= used, -100)
    return {"input_ids": tokens, "labels": labels}


def test_a_data_loader_yields_every_token_id(folder: Path, tokens: np.ndarray) -> None:
    opened = datasets.load_from_disk(str(folder)).with_format("torch", columns=["tokens", "segment_lengths"])
    batches = list(DataLoader(opened, batch_size=8, collate_fn=collate))
    assert np.array_equal(torch.cat([batch["input_ids"] for batch in batches]).numpy(), tokens)
    labels = torch.cat([batch["labels"] for batch in batches])
    used = [int(row.lengths.sum()) for row in SplitRows(folder, "train").rows()]
    assert (labels != -100).sum(1).tolist() == used


def test_the_lines_of_the_documentation_give_the_borders_and_positions_of_a_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs/tokens.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0].replace("data/pack", str(folder))
    rows = SplitRows(folder, "train")
    for number in (0, rows.num_rows // 2, rows.num_rows - 1):
        found: dict = {}
        exec(code.replace("[0]\n", f"[{number}]\n", 1), found)
        row = rows.row(number)
        used = int(row.lengths.sum())
        expected = [start for start in row.starts.tolist() if start < 31] + ([used] if used < 31 else []) + [31]
        assert found["cu_seqlens"].tolist() == expected
        assert found["positions"][row.starts[row.starts < 31]].tolist() == [0] * int((row.starts < 31).sum())
        assert found["positions"].max() == np.diff(expected).max() - 1
