"""BPE-dropout: the same texts in other tokens, by the published algorithm, equal wherever and whenever it is computed."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from corpora import pre_token_counts
from hypothesis import given, settings
from hypothesis import strategies as st
from token_shards import write_pack, write_rows

from pipelines.spine.errors import CorpusmillError
from tokenizer.bpe import learn_merges
from tokenizer.encoding import Encoder, tokenizer_json
from train.bpe_dropout import _cutter, dropped_rows
from train.data import IGNORED, TokenRows

TEXTS = [
    "The lowest of the lower rivers, they're lowering: 12345678 and 0.5%!  \n\n Then\tthe   newest and the widest.",
    "我们在2026年见面。中华人民共和国的首都是北京，人民大会堂在北京。",
    "日本語の文章、カタカナとひらがな。東京都は日本の首都です。ー",
    "한국어 문장입니다. 대한민국의 수도는 서울입니다.",
    "हिन्दी में एक वाक्य। भारत की राजधानी नई दिल्ली है।",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ กรุงเทพมหานครเป็นเมืองหลวง",
    "جملة عربية قصيرة: القاهرة عاصمة مصر. שלום עולם",
    "Ελληνικά, русский язык, українська мова, tiếng Việt 👩‍👩‍👧‍👦🏳️‍🌈 ﷽",
] * 3


def make_tokenizer(path: Path, pattern: str = "gpt2", num_merges: int = 300) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(pre_token_counts(TEXTS, pattern), num_merges)
    path.write_text(tokenizer_json(merges, ["<|endoftext|>"], pattern), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder(make_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"))


def packed(folder: Path, pattern: str = "gpt2", seq_len: int = 20) -> tuple[TokenRows, Encoder]:
    tokenizer = make_tokenizer(folder / "tokenizer.json", pattern)
    texts = [(f"{index:03}", text) for index, text in enumerate(TEXTS)]
    return TokenRows(write_pack(folder / "pack", tokenizer, seq_len, texts), "train"), Encoder(tokenizer)


def probabilities(ids: tuple[int, ...], merges: dict[tuple[int, int], tuple[int, int]], dropout: float) -> Counter:
    """The exact distribution of algorithm 1: of the merges by rank, then place, the first that is not left out."""
    pairs = list(itertools.pairwise(ids))
    order = sorted((merges[pair][0], at) for at, pair in enumerate(pairs) if pair in merges)
    found, reached = Counter(), 1.0
    for _, at in order:
        after = (*ids[:at], merges[pairs[at]][1], *ids[at + 2 :])
        for end, share in probabilities(after, merges, dropout).items():
            found[end] += reached * (1 - dropout) * share
        reached *= dropout
    found[ids] += reached
    return found


def test_pre_tokens_come_out_with_the_probabilities_of_the_published_algorithm() -> None:
    merges = [(b"a", b"b"), (b"ab", b"ab"), (b"b", b"a"), (b"ba", b"c")]
    encoder = Encoder(tokenizer_json(merges, ["<|endoftext|>"], "gpt2"))
    number = {token: index for index, token in enumerate(encoder.tokens)}
    table = {(number[a], number[b]): (rank, number[a + b]) for rank, (a, b) in enumerate(merges)}
    word, times = [number[bytes([byte])] for byte in b"ababac"], 20_000
    chance = [np.random.Generator(np.random.Philox(key=[7, 1]))]
    ((ids, places),) = _cutter(encoder).merged([word * times], [[len(word)] * times], 0.3, chance)
    found = Counter(tuple(part.tolist()) for part in np.split(ids, np.searchsorted(places, range(6, 6 * times, 6))))
    expected = probabilities(tuple(word), table, 0.3)
    assert abs(sum(expected.values()) - 1) < 1e-12
    assert set(found) <= set(expected)
    # Pearson's statistic has as many degrees of freedom as outcomes but one; beyond 40 is a chance of one in 30,000.
    chi_square = sum((found[ids] - times * share) ** 2 / (times * share) for ids, share in expected.items())
    assert (len(expected), chi_square < 40) == (12, True)


@pytest.mark.parametrize("pattern", ["gpt2", "cl100k-3", "cjk-3"])
def test_every_segment_spells_what_it_spelled_and_nothing_crosses_a_document(tmp_path: Path, pattern: str) -> None:
    rows, encoder = packed(tmp_path, pattern)
    indices = list(range(rows.num_rows))
    changed = 0
    for epoch in range(3):
        samples = [epoch * rows.num_rows + index for index in indices]
        step = dropped_rows(rows, indices, samples, encoder, 0.2, seed=5)
        cut = 0
        for index in indices:
            new, old, num_same = step.row(index), rows.row(index), 0
            for place, (start, length) in enumerate(zip(new.starts.tolist(), new.lengths.tolist(), strict=True)):
                a = old.tokens[old.starts[place] : old.starts[place] + old.lengths[place]].tolist()
                b = new.tokens[start : start + length].tolist()
                spelled = [b"".join(encoder.tokens[i] for i in ids[1:]) for ids in (a, b)]
                assert a[0] == b[0]  # the document's start, or the token of context
                whole = start + length < len(new.tokens)
                assert spelled[0] == spelled[1] if whole else spelled[0].startswith(spelled[1])
                num_same += spelled[0] == spelled[1]
                changed += a != b
            assert num_same >= len(new.lengths) - 1
            assert new.offsets.tolist() == old.offsets[: len(new.lengths)].tolist()
            assert set(new.tokens[int(new.lengths.sum()) :].tolist()) <= {0}
            cut += num_same < len(old.lengths)
        assert (step.num_cut > 0) == (cut > 0)
        assert step.num_targets == int((step.batch(indices).targets != IGNORED).sum())
    assert changed > rows.num_rows


def test_a_row_depends_on_seed_and_sample_alone_and_not_on_its_company(tmp_path: Path) -> None:
    rows, encoder = packed(tmp_path)

    def tokens(indices: list[int], samples: list[int], seed: int = 5) -> list[list[int]]:
        step = dropped_rows(rows, indices, samples, encoder, 0.4, seed)
        return step.batch(range(len(indices))).tokens.tolist()

    together = tokens([3, 1, 4], [10, 11, 12])
    assert [tokens([index], [sample])[0] for index, sample in ((3, 10), (1, 11), (4, 12))] == together
    assert tokens([3, 1, 4], [10, 11, 13])[:2] == together[:2]
    assert tokens([3, 1, 4], [10, 11, 13])[2] != together[2]
    assert tokens([3], [10], seed=6)[0] != together[0]
    _cutter.cache_clear()  # what was remembered changes nothing
    assert tokens([3, 1, 4], [10, 11, 12]) == together


def test_without_dropout_the_rows_are_those_of_the_shard_and_so_they_are_at_its_limit(tmp_path: Path) -> None:
    rows, encoder = packed(tmp_path, "cjk-3", seq_len=9)
    indices = list(range(rows.num_rows))
    plain = rows.training_batch(indices)
    for dropout in (0.0, 1e-12):
        step = dropped_rows(rows, indices, indices, encoder, dropout, seed=0)
        batch = step.batch(indices)
        assert batch.tokens.tolist() == plain.tokens.tolist()
        assert batch.targets.tolist() == plain.targets.tolist()
        assert batch.segments.tolist() == plain.segments.tolist()
        assert (step.num_cut, [step.row(place).tokens.tolist() for place in indices]) == (
            0, [rows.row(index).tokens.tolist() for index in indices]
        )  # fmt: skip
        assert (step.num_rows, step.num_targets) == (rows.num_rows, int((plain.targets != IGNORED).sum()))


def test_all_merges_left_out_but_few_cut_the_row_at_its_end(tmp_path: Path) -> None:
    encoder = Encoder(tokenizer_json([(b"a", b"b"), (b"ab", b"ab")], ["<|endoftext|>"], "gpt2"))
    number = {token: index for index, token in enumerate(encoder.tokens)}
    ab, abab, a, b = number[b"ab"], number[b"abab"], number[b"a"], number[b"b"]
    row = {
        "tokens": [0, abab, 0, abab, ab, 0], "segment_lengths": [2, 3], "doc_offsets": [0, 0], "doc_ids": ["s:a", "s:b"],
    }  # fmt: skip
    rows = TokenRows(write_rows(tmp_path, "train", [row]), "train")
    step = dropped_rows(rows, [0], [0], encoder, 1 - 1e-12, seed=1)
    # 0 abab | 0 abab ab becomes 0 a b a b | 0 a b a b a b, of which six ids fit.
    assert step.row(0).tokens.tolist() == [0, a, b, a, b, 0]
    assert (step.row(0).lengths.tolist(), step.num_cut) == ([5, 1], 6)
    assert step.batch([0]).targets.tolist() == [[a, b, a, b, 0]]
    assert step.num_targets == 5


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=40), cut=st.tuples(st.integers(0, 40), st.integers(0, 40)), data=st.data())
def test_any_text_cut_anywhere_keeps_its_bytes(
    encoder: Encoder, text: str, cut: tuple[int, int], data: st.DataObject
) -> None:
    ids = encoder.encode_batch([text + data.draw(st.sampled_from(TEXTS))])[0].tolist()
    first, last = min(cut[0], len(ids) - 1), max(len(ids) - cut[1], 1)
    old = [0, *ids[first:last]]
    new, lengths = [], []
    cutter = _cutter(encoder)
    cutter._add_segment(old, new, lengths)
    assert sum(lengths) == len(new)
    chance = [np.random.Generator(np.random.Philox(key=[0, 0]))]
    for dropout in (0.5, 0.0):
        ((merged, _),) = cutter.merged([new], [lengths], dropout, chance)
        spelled, again = (b"".join(encoder.tokens[i] for i in found) for found in (old, merged.tolist()))
        assert again == spelled
    assert merged.tolist() == old  # without dropout the shard's own tokens come back


def test_a_tokenizer_that_changes_texts_is_refused(tmp_path: Path) -> None:
    rows, encoder = packed(tmp_path)
    encoder.document["normalizer"] = {"type": "Lowercase"}
    with pytest.raises(CorpusmillError, match="changes texts before it cuts them"):
        dropped_rows(rows, [0], [0], encoder, 0.1, seed=0)
