"""The merges are those of the library's trainer, on made and on real text, whatever the order of the counts."""

import bz2
import gzip
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from corpora import pre_token_counts
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Split
from tokenizers.trainers import BpeTrainer

from tokenizer import bpe
from tokenizer.bpe import ALPHABET, byte_chars, learn_merges
from tokenizer.patterns import pre_tokenizer

Merges = list[tuple[bytes, bytes]]

#: Few bytes, so that ties, repeats and runs of one byte are the rule.
words = st.dictionaries(
    st.lists(st.sampled_from(b"aab c\xe4\xff"), min_size=1, max_size=12).map(bytes), st.integers(1, 6), max_size=12
)


def library_merges(texts: Iterable[str], cut: PreTokenizer, num_merges: int) -> Merges:
    """What ``tokenizers.BpeTrainer`` learns."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = cut
    size = len(ALPHABET) + num_merges
    trainer = BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    byte_of = {char: byte for byte, char in byte_chars().items()}
    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(bytes(byte_of[char] for char in token) for token in pair) for pair in pairs]


def as_text(counts: Iterable[tuple[bytes, int]]) -> str:
    """The pre-tokens in byte characters, as often as they count, with spaces (which are no byte character) between."""
    chars = byte_chars()
    return " ".join(" ".join(["".join(chars[byte] for byte in word)] * count) for word, count in counts)


def test_the_docstring_example() -> None:
    # lo: 7, ow: 7 (tie, the smaller ids first), then we: 2 has become (low, e): 2, behind (e, r): 2 by its ids.
    merges = learn_merges([(b"low", 5), (b"lower", 2)], 10)
    assert merges == [(b"l", b"o"), (b"lo", b"w"), (b"e", b"r"), (b"low", b"er")]


def test_a_run_of_one_byte_is_merged_from_the_left() -> None:
    # aa aa a; then (aa, aa) and (aa, a) both stand once, and "a" has the smaller id.
    assert learn_merges([(b"aaaaa", 1)], 10) == [(b"a", b"a"), (b"aa", b"a"), (b"aa", b"aaa")]


def test_equal_counts_go_by_the_order_of_byte_characters() -> None:
    # A space is written U+0120 and comes after "z", unlike in the order of bytes.
    assert learn_merges([(b" x", 1), (b"zx", 1)], 2) == [(b"z", b"x"), (b" ", b"x")]


def test_counts_beyond_32_bits_are_counted() -> None:
    # In the library's 32 bits, 3e9 wraps below zero and "ab" would never be merged.
    assert learn_merges([(b"ab", 3_000_000_000), (b"cd", 5), (b"ef", 9_000_000_000_000)], 3) == [
        (b"e", b"f"), (b"a", b"b"), (b"c", b"d"),
    ]  # fmt: skip


def test_nothing_to_merge_gives_no_merges() -> None:
    assert learn_merges([], 5) == []
    assert learn_merges([(b"a", 3), (b"", 2), (b"b", 1)], 5) == []
    assert learn_merges([(b"ab", 1)], 0) == []


@settings(max_examples=60, deadline=None)
@given(words)
def test_generated_words_give_the_merges_of_the_library(counts: dict[bytes, int]) -> None:
    expected = library_merges([as_text(counts.items())], Split(" ", "removed"), 40)
    assert learn_merges(list(counts.items()), 40) == expected


@settings(max_examples=40, deadline=None)
@given(words, st.randoms(use_true_random=False), st.integers(1, 6), st.integers(0, 30))
def test_neither_order_nor_queue_size_nor_length_changes_the_merges(
    counts: dict[bytes, int], random: object, pairs_at_once: int, fewer: int
) -> None:
    entries = list(counts.items())
    merges = learn_merges(entries, 30)
    random.shuffle(entries)  # type: ignore[attr-defined]
    assert learn_merges(entries, 30, pairs_at_once) == merges
    assert learn_merges(entries, fewer) == merges[:fewer]


@pytest.mark.parametrize("places_at_once", [1, 2, 7])
def test_pairs_counted_in_blocks_of_places_give_the_same_merges(
    places_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = [(b"abcabc", 3), (b"aaaaa", 2), (b"abab", 2), (b"", 4), (b"cab", 7), (b"bcbcbc", 1)]
    table = pa.table({"pre_token": pa.array([w for w, _ in counts], pa.binary()), "count": [n for _, n in counts]})
    merges = learn_merges(counts, 30)
    assert merges[:3] == [(b"a", b"b"), (b"c", b"ab"), (b"a", b"a")]
    monkeypatch.setattr(bpe, "PLACES_AT_ONCE", places_at_once)
    for pairs_at_once in (1, 2, 100):
        assert learn_merges(table, 30, pairs_at_once) == merges


@settings(max_examples=60, deadline=None)
@given(words)
def test_no_two_merges_spell_the_same_token(counts: dict[bytes, int]) -> None:
    tokens = [left + right for left, right in learn_merges(list(counts.items()), 100)]
    assert len(set(tokens)) == len(tokens)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The library's threads wait busily for each other where cores are shared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        yield


@pytest.mark.parametrize(
    ("corpora", "pattern"), [(("en",), "gpt2"), (("zh",), "cjk-3"), (("en", "zh", "ja"), "cl100k-1")]
)
def test_real_text_gives_the_merges_of_the_library(shared_data: Path, corpora: Sequence[str], pattern: str) -> None:
    texts = [text for corpus in corpora for text in read_texts(shared_data, corpus)]
    merges = learn_merges(pre_token_counts(texts, pattern), 8000)
    assert len(merges) == 8000
    assert merges == library_merges(texts, pre_tokenizer(pattern), 8000)


def read_texts(shared_data: Path, corpus: str) -> list[str]:
    """Some 150 to 400 kB of text in one language."""
    if corpus == "en":
        return (shared_data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines()
    if corpus == "ja":  # raw wikitext will do: what is asked is equality
        with bz2.open(next((shared_data / "wikidumps").glob("jawiki-*.xml.bz2"))) as file:
            return file.read(150_000).decode("utf-8", errors="ignore").splitlines(keepends=True)
    path = shared_data / "news" / "thucnews-zh-1k.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in itertools.islice(file, 100)]
