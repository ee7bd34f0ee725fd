"""What the benchmark of readers expects, written out, and that it notices one wrong token."""

from pathlib import Path

import numpy as np
import pytest
from token_shards import write_rows

from bench.peers import requirements
from bench.reader_corpora import _wide_merges, texts_of
from bench.readers import EXPECTED, READERS, differing
from tokenizer.encoding import Encoder, tokenizer_json
from train.data import TokenRows


def test_one_other_token_a_missing_array_and_one_too_many_are_noticed() -> None:
    ours = {"tokens": np.array([[1, 2], [3, 4]], np.uint16), "lengths": np.array([2])}
    assert differing({**ours, "tokens": ours["tokens"].astype(np.int64)}, ours) == []
    assert differing({**ours, "tokens": np.array([[1, 2], [3, 5]])}, ours) == ["tokens"]
    assert differing({**ours, "tokens": np.array([1, 2, 3, 4])}, ours) == ["tokens"]
    assert differing({"tokens": ours["tokens"]}, ours) == ["lengths"]
    assert differing({**ours, "more": np.array([1])}, ours) == ["more"]


def test_what_readers_must_give_of_two_rows(tmp_path: Path) -> None:
    # Documents 0 5 6 7 8 (cut: 6 is repeated as context) and 0 9; one place of padding.
    folder = write_rows(
        tmp_path / "pack", "train",
        [
            {"tokens": [0, 5, 6, 0, 9], "segment_lengths": [3, 2], "doc_offsets": [0, 0], "doc_ids": ["s:1", "s:2"]},
            {"tokens": [6, 7, 8, 0, 0], "segment_lengths": [3], "doc_offsets": [2], "doc_ids": ["s:1"]},
        ],
    )  # fmt: skip
    rows = TokenRows(folder, "train")
    found = {to: {name: array.tolist() for name, array in EXPECTED[to](rows).items()} for to in EXPECTED}
    packed = [[0, 5, 6, 0, 9], [6, 7, 8, 0, 0]]
    flat = [5, 6, 7, 8, 0, 9, 0]
    megatron = {"tokens": flat, "lengths": [5, 2], "document_indices": [0, 1, 2], "same_files": [True, True]}
    assert found["megatron"] == megatron
    windows = {"windows": [flat[:5]], "positions": [[0, 1, 2, 3, 4]]}
    assert found["datatrove"] == {"tokens": flat, **windows, "same_files": [[True] * 3]}
    segments = {"num_segments": [2, 1], "segment_lengths": [3, 2, 3], "doc_offsets": [0, 0, 2]}
    assert found["mds"] == {"tokens": packed, **segments, "same_files": True}
    assert found["litdata"] == {"tokens": packed, "loaded": packed}
    assert found["huggingface"] == {
        "input_ids": packed, "labels": [[-100, 5, 6, 0, 9], [-100, 7, 8, -100, -100]],
        "position_ids": [[0, 1, 2, 0, 1], [0, 1, 2, 0, 1]], "steps": 2,
    }  # fmt: skip


def test_the_corpora_hold_an_empty_document_a_byte_and_ids_above_65_535_in_both_languages() -> None:
    texts = texts_of("en") + texts_of("zh")
    encoder = Encoder(tokenizer_json(_wide_merges(texts), ["<|endoftext|>"], "gpt2"))
    for language in ("en", "zh"):
        found = texts_of(language)
        assert {"", "x"} <= set(found)
        assert encoder.encode_batch(found)[0].max() > 65_535


@pytest.mark.parametrize("to", READERS)
def test_every_version_of_a_readers_environment_is_pinned(to: str) -> None:
    assert all(pin.count("==") == 1 for pin in requirements(f"read_{to}"))
