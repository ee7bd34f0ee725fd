"""Exporting end to end: the whole split and nothing else, the same bytes each time, whole or not at all."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from corpora import digests
from token_shards import KEY, TEXTS, write_pack, write_rows, write_tokenizer

from pipelines import export_tokens
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard, write_manifest
from pipelines.token_formats import FORMATS
from pipelines.token_formats.folders import publishing_folder
from pipelines.token_shards import SplitRows
from tokenizer.encoding import Encoder, tokenizer_json
from train.data import TokenRows

#: English, Chinese and Japanese, an empty document, one of a single byte, and one of many rows.
DOCUMENTS = [*TEXTS, ("empty", ""), ("", ""), ("one", "x"), ("long", "长文档 and more " * 40), ("last", "end")]


def write_ledger(pack: Path, **taken: int) -> None:
    """What pack's ledger says of the splits: here, what stands in the rows, unless said otherwise."""
    given = {}
    for split in ("train", "val", "test"):
        shards = SplitRows(pack, split).shards
        given[split] = sum(len(tokens) for shard in shards for tokens in shard.documents())
    (pack / "ledger.json").write_text(json.dumps({"out": given | taken}))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    texts = [(key or "blank", text) for key, text in DOCUMENTS]
    found = write_pack(folder / "pack", write_tokenizer(folder / "tokenizer.json"), texts=texts)
    write_ledger(found)
    return found


def encoded(pack: Path, split: str) -> list[list[int]]:
    """The documents of a split as the tokenizer encodes their texts, sorted."""
    rest = {"train": (2, 3, 4), "val": (0,), "test": (1,)}[split]
    texts = [text for index, (_, text) in enumerate(DOCUMENTS) if index % 5 in rest]
    ids, offsets = Encoder(pack.parent / "tokenizer.json").encode_documents(texts)
    return sorted(ids[a:b].tolist() for a, b in itertools.pairwise(offsets))


def export(pack: Path, to: str, output: Path, split: str = "train", place: str | None = None) -> Path:
    export_tokens.export_tokens(pack, split, to, output, place, "data/export")
    return output


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_megatron_documents_are_the_encoded_texts_with_the_token_at_the_end(
    tmp_path: Path, pack: Path, split: str
) -> None:
    folder = export(pack, "megatron", tmp_path / "out", split)
    index = (folder / f"{split}.idx").read_bytes()
    count = int.from_bytes(index[18:26], "little")
    lengths = np.frombuffer(index, "<i4", count, 34)
    ids = np.fromfile(folder / f"{split}.bin", "<u2")
    found = [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]
    assert sorted([0, *document[:-1]] for document in found) == encoded(pack, split)
    assert all(document[-1] == 0 for document in found)


def test_the_document_token_leads_where_it_is_asked_to(tmp_path: Path, pack: Path) -> None:
    first = np.fromfile(export(pack, "megatron", tmp_path / "a", place="start") / "train.bin", "<u2")
    assert first[0] == 0
    np.testing.assert_array_equal(
        first[1:], np.fromfile(export(pack, "nanogpt", tmp_path / "b") / "train.bin", "<u2")[:-1]
    )
    assert json.loads((tmp_path / "a" / "export.json").read_text())["document_token"] == "start"


def test_documents_come_shard_by_shard_in_the_order_of_the_manifest(tmp_path: Path, pack: Path) -> None:
    ids = np.fromfile(export(pack, "llmc", tmp_path / "out") / "train_000000.bin", "<u2", offset=1024)
    wanted = [tokens for shard in SplitRows(pack, "train").shards for _, tokens in shard.whole_documents()]
    np.testing.assert_array_equal(ids, np.concatenate(wanted))


def test_export_json_says_what_the_folder_holds(tmp_path: Path, pack: Path) -> None:
    rows = SplitRows(pack, "train")
    said = json.loads((export(pack, "mds", tmp_path / "out") / "export.json").read_text())
    ledger = json.loads((pack / "ledger.json").read_text())["out"]["train"]
    assert (said["format"], said["split"], said["holds"], said["seq_len"]) == ("mds", "train", "rows", 16)
    assert (said["rows"], said["row_tokens"], said["tokens"]) == (rows.num_rows, 17, rows.num_rows * 17)
    assert said["tokens"] - said["context"] - said["padding"] == ledger
    assert said["documents"] == len(encoded(pack, "train"))
    assert said["tokenizer_sha256"] == rows.facts.tokenizer_sha256
    assert [entry["name"] for entry in said["files"]] == ["index.json", "shard.00000.mds"]
    assert [entry["name"] for entry in said["shards"]] == [f"train-s-{KEY}.arrow"]


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_rows_give_the_same_bytes_and_nothing_else_is_left(tmp_path: Path, pack: Path, to: str) -> None:
    first, second = (digests(export(pack, to, tmp_path / name)) for name in ("a", "b"))
    assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert set(first) == {e["name"] for e in json.loads((tmp_path / "a" / "export.json").read_text())["files"]} | {
        "export.json"
    }


@pytest.mark.parametrize("to", FORMATS)
def test_run_twice_the_folder_stays_as_it_is(tmp_path: Path, pack: Path, to: str) -> None:
    folder = export(pack, to, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    export(pack, to, folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_an_empty_folder_is_filled(tmp_path: Path, pack: Path) -> None:
    (tmp_path / "out").mkdir()
    assert (export(pack, "nanogpt", tmp_path / "out") / "train.bin").exists()


def test_huggingface_targets_are_those_of_our_own_training(tmp_path: Path, pack: Path) -> None:
    opened = datasets.load_from_disk(str(export(pack, "huggingface", tmp_path / "out"))).with_format("numpy")
    ours = TokenRows(pack, "train")
    batch = ours.training_batch(range(ours.num_rows))
    np.testing.assert_array_equal(opened["input_ids"][:], [ours.row(i).tokens for i in range(ours.num_rows)])
    np.testing.assert_array_equal(opened["labels"][:][:, 1:], batch.targets)
    assert opened.split == "train"


def test_a_model_of_transformers_trains_on_batches_of_a_torch_data_loader(tmp_path: Path, pack: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, default_data_collator  # seconds

    opened = datasets.load_from_disk(str(export(pack, "huggingface", tmp_path / "out")))
    loader = torch.utils.data.DataLoader(opened, batch_size=32, collate_fn=default_data_collator)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        use_cache=False,  # as the Trainer has it: with a cache, positions do not separate the segments
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    batch = next(iter(loader))
    logits = model(**{name: batch[name] for name in ("input_ids", "position_ids")}).logits
    targets = torch.from_numpy(TokenRows(pack, "train").training_batch(range(32)).targets)
    ours = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 257), targets.reshape(-1))
    assert torch.allclose(model(**batch).loss, ours)
    # Positions alone keep attention within a segment: another first segment leaves the second one's logits alone.
    row = next(i for i in range(32) if (batch["position_ids"][i] == 0).sum() > 1)
    second = int((batch["position_ids"][row] == 0).nonzero()[1])
    changed = {name: batch[name][row : row + 1].clone() for name in ("input_ids", "position_ids")}
    changed["input_ids"][0, :second] = 200
    assert torch.allclose(model(**changed).logits[0, second:], logits[row, second:], atol=1e-6)


@pytest.fixture(scope="module")
def large_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Token shards of a vocabulary of 65,793 ids: every pair of bytes is a token, hexadecimal digits with the last ids."""
    folder = tmp_path_factory.mktemp("large")
    pairs = sorted(
        itertools.product(range(256), repeat=2), key=lambda pair: (set(pair) <= set(b"0123456789abcdef"), pair)
    )
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer_json([(bytes([a]), bytes([b])) for a, b in pairs], ["<|endoftext|>"], "gpt2"))
    found = write_pack(folder / "pack", tokenizer, texts=TEXTS[:10])
    write_ledger(found)
    return found


def test_a_vocabulary_above_65_536_ids_is_refused_by_nanogpt(tmp_path: Path, large_pack: Path) -> None:
    said = refused(large_pack, tmp_path, "vocabulary is too large for nanogpt", to="nanogpt")
    assert "at most 65,536 ids" in said
    assert "65,793" in said


def test_ids_above_65_535_are_written_as_32_bits(tmp_path: Path, large_pack: Path) -> None:
    wanted = np.concatenate(list(SplitRows(large_pack, "train").shards[0].documents()))
    assert wanted.max() > 65_535
    given = {"megatron": "train.bin", "llmc": "train_000000.bin", "datatrove": f"train-s-{KEY}.ds"}
    for to, name in given.items():
        folder = export(large_pack, to, tmp_path / to, place="start")
        offset = 1024 if to == "llmc" else 0
        np.testing.assert_array_equal(np.fromfile(folder / name, "<u4", offset=offset), wanted)
    for to in ("mds", "litdata", "huggingface"):
        rows = SplitRows(large_pack, "train").num_rows
        said = json.loads((export(large_pack, to, tmp_path / to) / "export.json").read_text())
        assert (said["vocab_size"], said["tokens"]) == (65_793, rows * 17)


DEFAULTS = {"document_token": None, "tokenizer": "data/export"}


def refused(pack: Path, tmp_path: Path, message: str, to: str = "megatron", split: str = "train", **other) -> str:
    """The message of an export that fails with ``message`` and leaves nothing."""
    output = other.pop("output", tmp_path / "out")
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(CorpusmillError, match=message) as caught:
        export_tokens.export_tokens(pack, split, to, output, **{**DEFAULTS, **other})
    assert sorted(path for path in tmp_path.rglob("*")) == before
    return str(caught.value)


def test_bad_input_is_refused_with_what_would_have_been_right(tmp_path: Path, pack: Path) -> None:
    assert "datatrove, huggingface, litdata" in refused(pack, tmp_path, "unknown format", to="gguf")
    assert "train, val, test" in refused(pack, tmp_path, "unknown split", split="dev")
    assert "start, end" in refused(pack, tmp_path, "unknown place", document_token="middle")
    refused(pack, tmp_path, "not a name", tokenizer="a|b")
    said = refused(pack, tmp_path, "mds holds rows as they were packed", to="mds", document_token="end")
    assert "datatrove, llmc, megatron, nanogpt" in said
    assert "dvc repro" in refused(tmp_path / "nowhere", tmp_path, "no manifest")


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    row = {"tokens": [0, 99, 5], "segment_lengths": [3], "doc_offsets": [0], "doc_ids": ["s:1"]}
    write_rows(tmp_path / "pack", "train", [row])
    refused(tmp_path / "pack", tmp_path, "no rows in split val", split="val")


def test_a_folder_with_other_content_is_refused_and_left_alone(tmp_path: Path, pack: Path) -> None:
    folder = export(pack, "nanogpt", tmp_path / "out")
    refused(pack, tmp_path, "holds something else", to="llmc")
    refused(pack, tmp_path, "holds something else", to="nanogpt", split="val")
    refused(pack, tmp_path, "holds something else", to="nanogpt", document_token="start")
    (folder / "train.bin").write_bytes(b"short")
    refused(pack, tmp_path, "missing or damaged", to="nanogpt")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    refused(pack, tmp_path, "holds something else", output=tmp_path / "mine")
    (tmp_path / "file").write_text("a file")
    refused(pack, tmp_path, "holds something else", output=tmp_path / "file")


def test_tokens_that_are_not_those_of_the_ledger_are_refused(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "pack", write_tokenizer(tmp_path / "tokenizer.json"))
    refused(folder, tmp_path, "no ledger")
    write_ledger(folder, train=7)
    assert "7 tokens" in refused(folder, tmp_path, "does not hold the tokens of the split")
    assert "7 tokens" in refused(folder, tmp_path, "does not hold the tokens of the split", to="litdata")


def test_a_document_that_does_not_begin_with_the_document_start_is_refused(tmp_path: Path) -> None:
    row = {"tokens": [3, 99, 5], "segment_lengths": [3], "doc_offsets": [0], "doc_ids": ["s:1"]}
    write_rows(tmp_path / "pack", "train", [row])
    (tmp_path / "pack" / "ledger.json").write_text('{"out": {"train": 3}}')
    refused(tmp_path / "pack", tmp_path, "does not begin with the document start")


def test_shards_packed_in_different_ways_are_refused(tmp_path: Path) -> None:
    row = {"tokens": [0, 9, 5], "segment_lengths": [3], "doc_offsets": [0], "doc_ids": ["s:1"]}
    folder = write_rows(tmp_path / "pack", "train", [row])
    write_rows(tmp_path / "other", "train", [row], tokenizer_sha256="u" * 64)
    (tmp_path / "other" / f"train-s-{KEY}.arrow").rename(folder / "train-t-0.arrow")
    shards = [folder / f"train-s-{KEY}.arrow", folder / "train-t-0.arrow"]
    write_manifest(folder, [Shard(p.name, 1, p.stat().st_size, storage.sha256_file(p)) for p in shards])
    (folder / "ledger.json").write_text('{"out": {"train": 6}}')
    assert "train-t-0.arrow" in refused(folder, tmp_path, "packed in different ways", to="mds")
    shards[1].write_bytes(shards[1].read_bytes()[:-9])
    refused(folder, tmp_path, "manifest and the folder do not agree")


@pytest.mark.parametrize("to", ["megatron", "mds"])
def test_a_shard_of_other_bytes_than_the_manifest_names_is_refused(tmp_path: Path, to: str) -> None:
    row = {"tokens": [0, 77, 78], "segment_lengths": [3], "doc_offsets": [0], "doc_ids": ["s:1"]}
    folder = write_rows(tmp_path / "pack", "train", [row])
    (folder / "ledger.json").write_text('{"out": {"train": 3}}')
    shard = folder / f"train-s-{KEY}.arrow"
    shard.write_bytes(shard.read_bytes().replace(b"\x4d\x00\x4e\x00", b"\x4d\x00\x4f\x00"))  # one id is another
    assert SplitRows(folder, "train").tokens(0).tolist() == [0, 77, 79]
    assert "dvc checkout" in refused(folder, tmp_path, "a token shard is damaged, or has changed", to=to)


def test_the_current_folder_and_places_in_the_token_shards_are_refused(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for output in (Path("."), Path(""), Path("../here")):
        assert "current folder" in refused(pack, tmp_path, "an export cannot lie here", output=output)
    inside = pack / "exports" / "megatron"
    assert "which `pack` clears" in refused(pack, tmp_path, "an export cannot lie here", output=inside)
    assert not inside.parent.exists()


def test_a_link_to_an_empty_folder_is_followed(tmp_path: Path, pack: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    export(pack, "nanogpt", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["export.json", "train.bin"]


def test_what_an_export_killed_after_its_last_rename_left_goes_with_the_next_one(tmp_path: Path, pack: Path) -> None:
    folder = export(pack, "nanogpt", tmp_path / "out")
    (folder / ".lock").touch()
    export(pack, "nanogpt", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["export.json", "train.bin"]


def test_a_folder_that_is_filled_while_an_export_is_written_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="filled meanwhile"), publishing_folder(tmp_path / "out") as folder:
        (folder / "train.bin").write_bytes(b"ours")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "train.bin").write_bytes(b"theirs")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "train.bin").read_bytes() == b"theirs"


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "no space left on device", "x")

    monkeypatch.setattr("pipelines.token_formats.folders.storage.write_text", fail)
    refused(pack, tmp_path, "no space left", to="nanogpt")


def test_a_killed_export_leaves_no_folder_and_the_next_one_clears_up(tmp_path: Path, pack: Path) -> None:
    slow = (
        "import sys, time; from pathlib import Path; from pipelines import export_tokens, token_formats as f\n"
        "import dataclasses\n"
        "def write(folder, facts, shards):\n"
        "    (folder / 'half.bin').write_bytes(b'half'); print('written', flush=True); time.sleep(60)\n"
        "f.FORMATS['nanogpt'] = dataclasses.replace(f.FORMATS['nanogpt'], write=write)\n"
        "export_tokens.export_tokens(sys.argv[1], 'train', 'nanogpt', Path(sys.argv[2]), None, 'data/export')\n"
    )
    command = [sys.executable, "-c", slow, str(pack), str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[1])
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"written\n"
        # While it writes, another export of the same folder is refused.
        with pytest.raises(CorpusmillError, match="another process is writing here"):
            export(pack, "nanogpt", tmp_path / "out")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".tmp-out"]
    export(pack, "nanogpt", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "train.bin"]


def test_the_command_needs_no_beam_and_says_what_it_wrote(tmp_path: Path, pack: Path) -> None:
    root = Path(__file__).resolve().parents[1]
    given = ["--to", "megatron", "--input", str(pack), "--split", "val", "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipelines.export_tokens", *given],
        capture_output=True, text=True, cwd=root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "documents; folder" in done.stderr
    assert not any(name in done.stderr for name in ("apache_beam", " torch", " datasets"))
    bad = subprocess.run(
        [sys.executable, "-m", "pipelines.export_tokens", *given[:1], "gguf", *given[2:]],
        capture_output=True, text=True, cwd=root,
    )  # fmt: skip
    assert bad.returncode == 1
    assert bad.stderr.startswith("error: --to: unknown format")
