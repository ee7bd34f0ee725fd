"""Token shards to batches: which targets count, documents put together again, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_shards import TEXTS, write_pack, write_rows, write_tokenizer

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Manifest, read_manifest, write_manifest
from pipelines.token_shards import Row
from tokenizer.encoding import Encoder
from train.data import IGNORED, TokenRows, make_batch

#: The worked example of the module: a document from its start, then a continuing piece, then padding.
EXAMPLE = {
    "tokens": [0, 11, 12, 13, 25, 26, 27, 0],
    "segment_lengths": [4, 3],
    "doc_offsets": [0, 9],
    "doc_ids": ["s:a", "s:b"],
}
TWO_STARTS = {
    "tokens": [24, 25, 0, 31, 32, 0, 41, 42],
    "segment_lengths": [2, 3, 3],
    "doc_offsets": [8, 0, 0],
    "doc_ids": ["s:b", "s:c", "s:d"],
}
X = IGNORED


def test_context_and_padding_are_no_targets(tmp_path: Path) -> None:
    rows = TokenRows(write_rows(tmp_path, "train", [EXAMPLE]), "train")
    batch = rows.training_batch([0])
    assert batch.tokens.tolist() == [[0, 11, 12, 13, 25, 26, 27]]
    assert batch.segments.tolist() == [[1, 1, 1, 1, 2, 2, 2]]
    assert batch.targets.tolist() == [[11, 12, 13, X, 26, 27, X]]


def test_a_document_start_is_a_target_in_training_and_is_not_scored(tmp_path: Path) -> None:
    rows = TokenRows(write_rows(tmp_path, "train", [EXAMPLE, TWO_STARTS]), "train")
    assert rows.training_batch([1]).targets.tolist() == [[25, 0, 31, 32, 0, 41, 42]]
    assert rows.scoring_batch([1]).targets.tolist() == [[25, X, 31, 32, X, 41, 42]]
    assert (rows.row(1).num_trained, rows.row(1).num_scored) == (7, 5)
    assert (rows.row(0).num_trained, rows.row(0).num_scored) == (5, 5)
    assert rows.num_text_tokens == 10


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seq_len=st.integers(1, 30), score_starts=st.booleans())
def test_a_batch_is_what_the_words_say_position_by_position(
    data: st.DataObject, seq_len: int, score_starts: bool
) -> None:
    rows = []
    for _ in range(data.draw(st.integers(1, 6))):
        cuts = sorted(data.draw(st.sets(st.integers(1, seq_len + 1), min_size=1)))
        lengths = np.diff([0, *cuts]).astype(np.int32)
        offsets = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(cuts), max_size=len(cuts))), np.int32)
        tokens = np.array(data.draw(st.lists(st.integers(0, 9), min_size=seq_len + 1, max_size=seq_len + 1)), np.uint16)
        rows.append(Row(tokens, lengths, offsets))
    batch = make_batch(rows, seq_len, score_starts)
    assert all(part.dtype == np.int64 for part in (batch.tokens, batch.segments, batch.targets))
    for number, row in enumerate(rows):
        tokens = row.tokens.tolist()
        segments, targets = [0] * len(tokens), [IGNORED] * len(tokens)
        start = 0
        for segment, (length, offset) in enumerate(zip(row.lengths.tolist(), row.offsets.tolist(), strict=True), 1):
            for position in range(start, start + length):
                segments[position] = segment
                if position > start or (score_starts and offset == 0):
                    targets[position] = tokens[position]
            start += length
        assert batch.tokens[number].tolist() == tokens[:-1]
        assert batch.segments[number].tolist() == segments[:-1]
        assert batch.targets[number].tolist() == targets[1:]


def test_every_text_token_is_a_target_exactly_once(tmp_path: Path) -> None:
    encoder = Encoder(write_tokenizer(tmp_path / "tokenizer.json"))
    rows = TokenRows(write_pack(tmp_path / "pack", tmp_path / "tokenizer.json"), "val")
    targets = rows.scoring_batch(range(rows.num_rows)).targets
    scored = np.sort(targets[targets != IGNORED])
    expected = np.sort(encoder.encode_batch([text for _, text in TEXTS[::5]])[0])
    assert scored.tolist() == expected.tolist()
    assert len(scored) == rows.num_text_tokens == rows.text_bytes == 713


def test_documents_come_back_whole_from_their_pieces(tmp_path: Path) -> None:
    encoder = Encoder(write_tokenizer(tmp_path / "tokenizer.json"))
    (shard,) = TokenRows(write_pack(tmp_path / "pack", tmp_path / "tokenizer.json", seq_len=7), "val").shards
    documents = list(shard.documents())
    assert all(ids[0] == 0 for ids in documents)
    assert sorted(encoder.decode(ids[1:]) for ids in documents) == sorted(text for _, text in TEXTS[::5])


def test_a_gap_in_a_document_is_refused(tmp_path: Path) -> None:
    (shard,) = TokenRows(write_rows(tmp_path, "val", [EXAMPLE]), "val").shards
    with pytest.raises(CorpusmillError, match="overlap or leave a gap") as caught:
        list(shard.documents())
    assert (caught.value.expected, caught.value.got) == ("a piece at token 0", "one at 9")


def test_rows_are_numbered_through_all_shards_and_batches(tmp_path: Path) -> None:
    many = [{**EXAMPLE, "tokens": [0, *[index % 90 + 1] * 7], "segment_lengths": [8], "doc_offsets": [0],
             "doc_ids": [f"s:{index}"]} for index in range(1500)]  # fmt: skip
    first = read_manifest(write_rows(tmp_path, "train", many)).shards[0]
    (tmp_path / "train-t-0123456789ab.arrow").write_bytes((tmp_path / first.name).read_bytes())
    second = type(first)("train-t-0123456789ab.arrow", first.rows, first.bytes, first.sha256)
    write_manifest(tmp_path, [first, second])
    rows = TokenRows(tmp_path, "train")
    assert (rows.num_rows, rows.first_rows) == (3000, [0, 1500])
    assert rows.sources == (("s", 1500), ("s", 1500))
    assert [int(rows.row(index).tokens[1]) for index in (0, 1023, 1024, 1499, 1500, 2999)] == [1, 34, 35, 60, 1, 60]
    assert rows.token_batch([1500, 1023]).tolist() == [[0, *[1] * 7], [0, *[34] * 7]]
    assert rows.token_batch([0]).dtype == np.int64
    assert rows.tokens(2999).tolist() == [0, *[60] * 7]


def test_a_split_without_rows_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="no rows in split val") as caught:
        TokenRows(write_rows(tmp_path, "train", [EXAMPLE]), "val")
    assert caught.value.got == "train"


def test_a_shard_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    (shard,) = read_manifest(write_rows(tmp_path, "train", [EXAMPLE])).shards
    whole = (tmp_path / shard.name).read_bytes()
    (tmp_path / shard.name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusmillError, match="the manifest and the folder do not agree"):
        TokenRows(tmp_path, "train")
    cut = type(shard)(shard.name, 1, len(whole) // 2, shard.sha256)
    write_manifest(tmp_path, [cut])
    with pytest.raises(CorpusmillError, match="not a whole Arrow stream"):
        TokenRows(tmp_path, "train")


def test_shards_of_two_tokenizers_in_one_folder_are_refused(tmp_path: Path) -> None:
    manifest: Manifest = read_manifest(write_rows(tmp_path, "train", [EXAMPLE]))
    other = read_manifest(write_rows(tmp_path / "other", "train", [EXAMPLE], tokenizer_sha256="u" * 64)).shards[0]
    moved = type(other)("train-z-0123456789ab.arrow", other.rows, other.bytes, other.sha256)
    (tmp_path / moved.name).write_bytes((tmp_path / "other" / other.name).read_bytes())
    write_manifest(tmp_path, [*manifest.shards, moved])
    with pytest.raises(CorpusmillError, match="packed in different ways"):
        TokenRows(tmp_path, "train")
