"""tokenizer.json, ids and back: any text round-trips, and no text becomes a special id."""

import json
from pathlib import Path

import numpy as np
import pytest
from corpora import pre_token_counts
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipelines.spine.errors import CorpusmillError
from tokenizer.bpe import learn_merges
from tokenizer.encoding import Encoder, tokenizer_json

TEXTS = [
    "the cat and the hat, the cat's 1999 hats",
    "猫は帽子をかぶる。猫と帽子。",
    "<|endoftext|> 我们的猫，我们的帽子",
]
SPECIALS = ["<|endoftext|>", "<|pad|>"]


def made_json(num_merges: int = 40, pattern: str = "cjk-2") -> str:
    merges = learn_merges(pre_token_counts(TEXTS, pattern), num_merges)
    return tokenizer_json(merges, SPECIALS, pattern)


ENCODER = Encoder(made_json())


def test_ids_are_specials_then_bytes_then_merges() -> None:
    merges = [(b"t", b"h"), (b"th", b"e"), (b" ", b"the"), (b"\xe7", b"\x8c"), (b"\xe7\x8c", b"\xab")]
    encoder = Encoder(tokenizer_json(merges, SPECIALS, "gpt2"))
    assert encoder.tokens[:4] == (b"<|endoftext|>", b"<|pad|>", b"!", b'"')
    assert encoder.tokens[257:] == (b"\xad", b"th", b"the", b" the", b"\xe7\x8c", "猫".encode())
    assert (encoder.document_start_id, encoder.vocab_size) == (0, 263)


def test_ids_mean_the_same_in_a_smaller_vocabulary() -> None:
    assert Encoder(made_json(20)).tokens == ENCODER.tokens[: 2 + 256 + 20]


def test_a_batch_is_one_array_and_where_each_text_begins() -> None:
    encoder = Encoder(tokenizer_json([(b"a", b"b")], SPECIALS, "gpt2"))
    a, c, ab = (encoder.tokens.index(token) for token in (b"a", b"c", b"ab"))
    ids, offsets = encoder.encode_batch(["abc", "", "aab"])
    assert (ids.tolist(), offsets.tolist()) == ([ab, c, a, ab], [0, 2, 2, 4])
    assert (ids.dtype, offsets.dtype) == (np.uint32, np.int64)
    ids, offsets = encoder.encode_documents(["abc", "", "aab"])
    assert (ids.tolist(), offsets.tolist()) == ([0, ab, c, 0, 0, a, ab], [0, 3, 4, 7])


def test_no_texts_give_no_ids() -> None:
    ids, offsets = ENCODER.encode_batch([])
    assert (ids.tolist(), offsets.tolist()) == ([], [0])
    ids, offsets = ENCODER.encode_documents([])
    assert (ids.tolist(), offsets.tolist()) == ([], [0])


def test_long_batches_are_encoded_in_groups_with_the_same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, offsets = ENCODER.encode_batch(TEXTS * 3)
    monkeypatch.setattr("tokenizer.encoding.GROUP_BYTES", 50)
    grouped_ids, grouped_offsets = ENCODER.encode_batch(TEXTS * 3)
    np.testing.assert_array_equal(ids, grouped_ids)
    np.testing.assert_array_equal(offsets, grouped_offsets)


@pytest.mark.parametrize("text", ["<|endoftext|>", "a<|pad|>b", "<|endoftext|><|endoftext|>", " <|endoftext|>\n"])
def test_special_tokens_in_a_text_never_become_special_ids(text: str) -> None:
    ids, _ = ENCODER.encode_batch([text])
    assert ids.min() >= len(SPECIALS)
    assert ENCODER.decode(ids) == text


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text(st.sampled_from("the cat's猫は我们 \n<|endoftext|>1９\u3000\u200d🏴")))
def test_any_text_round_trips(text: str) -> None:
    ids, offsets = ENCODER.encode_batch([text])
    assert ENCODER.decode(ids) == text
    assert offsets.tolist() == [0, len(ids)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, ENCODER.vocab_size - 1)))
def test_any_ids_decode(ids: list[int]) -> None:
    assert isinstance(ENCODER.decode(ids), str)


def test_every_code_point_of_unicode_round_trips() -> None:
    # In blocks of 4,096; surrogates are no characters.
    blocks = ["".join(map(chr, range(first, first + 4096))) for first in range(0, 0x110000, 4096) if first != 0xD000]
    blocks.append("".join(map(chr, [*range(0xD000, 0xD800), *range(0xE000, 0xE100)])))
    ids, offsets = ENCODER.encode_batch(blocks)
    assert [ENCODER.decode(part) for part in np.split(ids, offsets[1:-1])] == blocks


def test_the_library_loads_the_file_and_agrees(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(made_json(), encoding="utf-8")
    library, encoder = Tokenizer.from_file(str(path)), Encoder(path)
    assert [library.token_to_id(token) for token in SPECIALS] == [0, 1]
    assert library.get_vocab_size() == encoder.vocab_size
    # With its special tokens in place the library takes them out of a text, which is what generation needs.
    assert library.encode(TEXTS[2]).ids[0] == encoder.document_start_id
    ids, _ = encoder.encode_batch(TEXTS[:2])
    assert [i for text in TEXTS[:2] for i in library.encode(text).ids] == ids.tolist()
    assert library.decode(ids.tolist()) == encoder.decode(ids)


def test_a_file_and_its_content_are_the_same_encoder(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(made_json(), encoding="utf-8")
    assert Encoder(path).sha256 == Encoder(str(path)).sha256 == ENCODER.sha256
    assert Encoder(made_json(39)).sha256 != ENCODER.sha256


def test_specials_that_could_not_work_are_refused() -> None:
    merges = [(b"h", b"i")]
    with pytest.raises(CorpusmillError, match=r"<\|endoftext\|> is missing"):
        tokenizer_json(merges, ["<|pad|>"], "gpt2")
    with pytest.raises(CorpusmillError, match="stands twice"):
        tokenizer_json(merges, ["<|endoftext|>", "<|endoftext|>"], "gpt2")
    with pytest.raises(CorpusmillError, match="plain text merges"):
        tokenizer_json(merges, ["<|endoftext|>", "hi"], "gpt2")


def test_what_is_no_byte_level_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="no such tokenizer"):
        Encoder(tmp_path / "none.json")
    with pytest.raises(CorpusmillError, match=r"not a tokenizer\.json"):
        Encoder('{"model": 3}')
    document = json.loads(made_json())
    with pytest.raises(CorpusmillError, match="not a byte-level BPE"):
        Encoder(json.dumps({**document, "model": {**document["model"], "type": "WordPiece"}}))
    with pytest.raises(CorpusmillError, match="no special token"):
        Encoder(json.dumps({**document, "added_tokens": document["added_tokens"][1:]}))
    model = {**document["model"], "merges": ["x yz"]}
    with pytest.raises(CorpusmillError, match="the engine does not load it"):
        Encoder(json.dumps({**document, "model": model}))
    vocab = {token: index for token, index in document["model"]["vocab"].items() if index != 7}
    with pytest.raises(CorpusmillError, match="gaps"):
        Encoder(json.dumps({**document, "model": {**document["model"], "vocab": vocab}}))
