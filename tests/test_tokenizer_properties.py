"""What holds for every pattern and every size: no special ids from text, all text comes back, all libraries agree."""

import random
from pathlib import Path

import numpy as np
import pytest
import tiktoken
from corpora import pre_token_counts, words
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bpe import library_merges, one_thread  # noqa: F401
from tiktoken.load import load_tiktoken_bpe
from tokenizers import Tokenizer

from bench.hostile_strings import exponent, long_strings
from tokenizer.bpe import learn_merges
from tokenizer.encoding import DOCUMENT_START, Encoder
from tokenizer.learn import LearnParams, learn_tokenizers
from tokenizer.patterns import PATTERNS, pattern_regex, pre_tokenizer
from tokenizer.ranks import tiktoken_ranks

SPECIALS = (DOCUMENT_START, "<|pad|>", "<|user|>")
SIZES = (300, 280, 340)
#: Enough words that more merges can be learned than any of the sizes needs.
TEXTS = [
    "the cat and the hat, the cat's 1999 hats", "<|endoftext|> endoftext <|pad|> user <|user|> |><|",
    "猫は帽子をかぶる。猫と帽子。らーめんタワー", "我们的猫，我们的帽子，我们在这里",
    "हिन्दी में हिन्दी ไทยไม้ไทย", "Ünïcödé Ünïcödé IT's IT'S",
]  # fmt: skip
HOSTILE = [
    "", " ", "\x00", "\n\n\r\n\r \t\u3000\u00a0\u2028", "a" * 300, " " * 300, "1234567890" * 30, "猫" * 300,
    "e" + "\u0301" * 300, "👩\u200d👩\u200d👧\u200d👦" * 40, "\u202eright\u202c \ufeff\ufffd\U0010ffff",
    "<|endoftext|>", "<|endoftext|" + ">" * 9, "--->>>===\n\n\n  x", "ÀÀÀ Ünïcödé IT'S", "a b  c   d    e     ",
    "．．。。！!?", "½²Ⅷ४५६٣", "thethethethe hethe", "猫猫は帽子帽", "\ue000\ue001" * 20, "aA" * 100, "\r\n" * 50 + "x",
    "don'T I'LL we'Re 's''s",
]  # fmt: skip
any_text = st.text() | st.text(st.sampled_from("the cat's猫は我们 \n\r\t<|endoftext|>pad1９\u3000\u200d\u0301🏴ÀIT"))


def made(pattern: str) -> dict[int, str]:
    counts = pre_token_counts(TEXTS, pattern)
    return learn_tokenizers(counts, pattern, LearnParams(SIZES[0], SIZES[1:], 100_000, SPECIALS))


CONTENTS = {pattern: made(pattern) for pattern in PATTERNS}
ENCODERS = {(pattern, size): Encoder(text) for pattern, texts in CONTENTS.items() for size, text in texts.items()}
KEYS = list(ENCODERS)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_special_tokens_in_a_text_never_become_special_ids(key: tuple[str, int]) -> None:
    encoder = ENCODERS[key]
    texts = [
        f"{left}{special}{right}" for special in SPECIALS for left in ("", "a", " ", "猫") for right in ("", "b", "\n")
    ]
    ids, _ = encoder.encode_batch([*texts, "".join(SPECIALS * 3)])
    assert ids.min() >= len(SPECIALS)
    assert encoder.decode(ids) == "".join([*texts, *SPECIALS * 3])


@settings(max_examples=300, deadline=None)
@given(any_text, st.sampled_from(KEYS))
def test_any_text_round_trips_without_special_ids(text: str, key: tuple[str, int]) -> None:
    ids, _ = ENCODERS[key].encode_batch([text])
    assert ENCODERS[key].decode(ids) == text
    assert not len(ids) or ids.min() >= len(SPECIALS)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KEYS).flatmap(lambda key: st.tuples(st.just(key), st.lists(st.integers(0, key[1] - 1)))))
def test_any_ids_decode(key_and_ids: tuple[tuple[str, int], list[int]]) -> None:
    key, ids = key_and_ids
    decoded = ENCODERS[key].decode(np.array(ids, np.uint32))
    assert (decoded.encode() == b"") == (ids == [])  # and valid Unicode: a surrogate would not encode


def of_tiktoken(encoder: Encoder, pattern: str, folder: Path) -> tiktoken.Encoding:
    """The encoding as a person builds it from the ranks file, by the card."""
    path = folder / f"{pattern}-{encoder.vocab_size}.tiktoken"
    path.write_text(tiktoken_ranks(encoder, len(SPECIALS)))
    return tiktoken.Encoding(
        pattern, pat_str=pattern_regex(pattern), mergeable_ranks=load_tiktoken_bpe(str(path)),
        special_tokens={token: index for index, token in enumerate(SPECIALS)}, explicit_n_vocab=encoder.vocab_size,
    )  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_tiktoken_gives_equal_ids_from_our_ranks(pattern: str, tmp_path: Path) -> None:
    for size in SIZES:
        encoder = ENCODERS[pattern, size]
        theirs = of_tiktoken(encoder, pattern, tmp_path)
        for text in [*TEXTS, *HOSTILE]:
            assert theirs.encode_ordinary(text) == encoder.encode_batch([text])[0].tolist(), text[:40]
            assert theirs.encode(text, disallowed_special=()) == theirs.encode_ordinary(text)
        assert theirs.encode(SPECIALS[1], allowed_special="all") == [1]
        assert [theirs.decode_single_token_bytes(index) for index in range(size)] == list(encoder.tokens)


@settings(max_examples=200, deadline=None)
@given(any_text)
def test_tiktoken_gives_equal_ids_on_generated_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    for pattern in ("gpt2", "o200k-3", "cjk-3"):
        theirs = THEIRS.get(pattern)
        if theirs is None:
            folder = tmp_path_factory.mktemp("ranks")
            theirs = THEIRS[pattern] = of_tiktoken(ENCODERS[pattern, 340], pattern, folder)
        assert theirs.encode_ordinary(text) == ENCODERS[pattern, 340].encode_batch([text])[0].tolist()


THEIRS: dict[str, tiktoken.Encoding] = {}


def test_transformers_and_tokenizers_load_the_file_and_give_equal_ids(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    path = tmp_path / "tokenizer.json"
    path.write_text(CONTENTS["cjk-3"][340], encoding="utf-8")
    encoder, library = ENCODERS["cjk-3", 340], Tokenizer.from_file(str(path))
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path), bos_token=DOCUMENT_START, eos_token=DOCUMENT_START)
    assert (theirs.bos_token_id, len(theirs)) == (0, 340)
    texts = [text for text in [*TEXTS, *HOSTILE] if not any(special in text for special in SPECIALS)]
    for text in texts:
        ids = encoder.encode_batch([text])[0].tolist()
        assert theirs(text).input_ids == library.encode(text).ids == ids
        assert theirs.decode(ids, clean_up_tokenization_spaces=False) == text


def test_the_exponent_of_a_quadratic_time_is_two() -> None:
    assert (exponent([1, 2, 4], [1.0, 4.0, 16.0]), exponent([10, 100], [3.0, 30.0])) == (2.0, 1.0)


@pytest.mark.parametrize(("pattern", "size"), [("gpt2", 340), ("cjk-3", 340), ("o200k-1", 340)])
def test_a_megabyte_without_a_space_is_encoded_and_comes_back(pattern: str, size: int) -> None:
    encoder = ENCODERS[pattern, size]
    for kind, text in long_strings(1_000_000):
        assert encoder.decode(encoder.encode_batch([text])[0]) == text, kind


@pytest.mark.parametrize("pattern", ["gpt2", "cjk-3"])
def test_a_made_corpus_gives_the_merges_of_the_library(pattern: str) -> None:
    # Words of letters and of ideograms, the earlier the more often.
    latin = words(1, 3000)
    han = [
        "".join(chr(0x4E00 + ord(char) % 97 * 31 + place) for place, char in enumerate(word)) for word in latin[:1500]
    ]
    draws = random.Random(1)
    texts = [
        " ".join(draws.choices(latin[: 30 << n % 7], k=40)) + "".join(draws.choices(han[: 20 << n % 7], k=20))
        for n in range(600)
    ]
    merges = learn_merges(pre_token_counts(texts, pattern), 8000)
    assert len(merges) == 8000
    assert merges == library_merges(texts, pre_tokenizer(pattern), 8000)
