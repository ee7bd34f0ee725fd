"""Kneser-Ney baselines against a slow reading of the paper, and what a baseline must keep."""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from corpora import pre_token_counts

from pipelines.spine.errors import CorpusmillError
from tokenizer.bpe import learn_merges
from tokenizer.encoding import Encoder, tokenizer_json
from train.ngram import FALLBACK_DISCOUNTS, NgramModel, discounts

Gram = tuple[int, ...]


def zipf_documents(seed: int, vocab_size: int, sizes: Sequence[int]) -> list[np.ndarray]:
    """Documents of ids 1 and up after a document start 0; small ids are frequent, each id depends on the one before."""
    rng = np.random.default_rng(seed)
    documents = []
    for size in sizes:
        ids = [0]
        for _ in range(size):
            drawn = int(rng.zipf(1.4)) + ids[-1] // 2
            ids.append(1 + drawn % (vocab_size - 1))
        documents.append(np.array(ids, np.uint16))
    return documents


class SlowKneserNey:
    """The formulas one dictionary at a time, as Chen & Goodman write them."""

    def __init__(self, documents: list[np.ndarray], vocab_size: int, order: int) -> None:
        self.vocab_size = vocab_size
        grams: Counter[Gram] = Counter()
        for document in documents:
            ids = [int(document[0])] * (order - 2) + document.tolist() if order > 1 else document.tolist()
            for end in range(max(order - 1, 1), len(ids)):
                grams[tuple(ids[end - order + 1 : end + 1])] += 1
        self.counts = {order: grams}
        for length in range(order - 1, 0, -1):
            self.counts[length] = Counter(gram[1:] for gram in self.counts[length + 1])

    def probability(self, gram: Gram) -> float:
        if not gram:
            return 1 / self.vocab_size
        counts = self.counts[len(gram)]
        shorter = self.probability(gram[1:])
        siblings = [count for other, count in counts.items() if other[:-1] == gram[:-1]]
        if not siblings:
            return shorter
        total = sum(siblings)
        kept = counts[gram] - self.discount(counts[gram], len(gram)) if gram in counts else 0.0
        return kept / total + sum(self.discount(count, len(gram)) for count in siblings) / total * shorter

    def discount(self, count: int, length: int) -> float:
        n = Counter(self.counts[length].values())
        if not all(n[k] for k in (1, 2, 3, 4)):
            return FALLBACK_DISCOUNTS[min(count, 3) - 1]
        y = Fraction(n[1], n[1] + 2 * n[2])
        estimate = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
        if not all(0 < d <= k for k, d in enumerate(estimate, start=1)):
            return FALLBACK_DISCOUNTS[min(count, 3) - 1]
        return float(estimate[min(count, 3) - 1])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_scores_equal_the_slow_reading_of_the_paper(order: int) -> None:
    train = zipf_documents(1, 40, [30, 1, 60, 25, 40])
    scored = [*zipf_documents(2, 40, [20, 5]), np.array([0, 39])]
    slow = SlowKneserNey(train, 40, order)
    expected = []
    for document in scored:
        ids = [0, *document.tolist()]
        expected += [-math.log(slow.probability(tuple(ids[end - order + 1 : end + 1]))) for end in range(2, len(ids))]
    np.testing.assert_allclose(NgramModel.fit(train, 40, order).nll(scored), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_sum_to_one_after_seen_and_unseen_contexts(order: int) -> None:
    model = NgramModel.fit(zipf_documents(3, 60, [200, 300, 1]), 60, order)
    rng = np.random.default_rng(4)
    for context in [(0,), (59, 58), *map(tuple, rng.integers(0, 60, (20, 3)).tolist())]:
        probabilities = model.probabilities(context)
        assert probabilities.min() > 0
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)


def test_a_worked_example_by_hand() -> None:
    # Two documents, "1 1 2" and "1": counts 1: 3, 2: 1; no counts of counts, so D1 = 0.5 and D3 = 1.5.
    # p(1) = (3 - 1.5) / 4 + g / 4 and p(2) = (1 - 0.5) / 4 + g / 4 with g = (1.5 + 0.5) / 4 and a vocabulary of 4.
    model = NgramModel.fit([np.array([0, 1, 1, 2]), np.array([0, 1])], 4, 1)
    assert model.num_tokens == 4
    np.testing.assert_allclose(model.probabilities(()), [0.125, 0.5, 0.25, 0.125])
    np.testing.assert_allclose(model.nll([np.array([0, 2, 1])]), [-math.log(0.25), -math.log(0.5)])


def test_discounts_follow_the_counts_of_counts() -> None:
    # n1 = 4, n2 = 2, n3 = 1, n4 = 1: Y = 4 / 8; D1 = 1 - 2 Y 2/4, D2 = 2 - 3 Y 1/2, D3 = 3 - 4 Y 1/1
    assert discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])) == (0.5, 1.25, 1.0)
    assert discounts(np.array([7, 7, 8])) == FALLBACK_DISCOUNTS


def test_contexts_never_cross_documents() -> None:
    model = NgramModel.fit(zipf_documents(5, 30, [50, 70]), 30, 3)
    first, second = zipf_documents(6, 30, [9, 11])
    together = model.nll([first, second])
    np.testing.assert_array_equal(together, np.concatenate([model.nll([first]), model.nll([second])]))
    assert len(together) == 9 + 11


def test_batches_do_not_change_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    train, scored = zipf_documents(7, 30, [80] * 6), zipf_documents(8, 30, [15] * 7)
    whole = NgramModel.fit(train, 30, 3).nll(iter(scored))
    monkeypatch.setattr("train.ngram.TOKENS_AT_ONCE", 40)
    np.testing.assert_array_equal(NgramModel.fit(iter(train), 30, 3).nll(scored), whole)


def test_a_document_without_text_is_scored_nowhere() -> None:
    model = NgramModel.fit([np.array([0, 1]), np.array([0])], 3, 2)
    assert model.nll([np.array([0])]).shape == (0,)
    assert model.nll([]).shape == (0,)


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(CorpusmillError, match="no text tokens"):
        NgramModel.fit([np.array([0])], 5, 2)
    with pytest.raises(CorpusmillError, match="outside the vocabulary"):
        NgramModel.fit([np.array([0, 5])], 5, 2)
    with pytest.raises(CorpusmillError, match="order and vocabulary"):
        NgramModel.fit([np.array([0, 1])], 1 << 22, 3)


def test_on_real_news_the_bigram_beats_the_unigram_by_a_bit_a_token(shared_data: Path) -> None:
    articles = (shared_data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines()
    train, test = articles[:270], articles[270:]
    merges = learn_merges(pre_token_counts(train, "gpt2"), 767)
    encoder = Encoder(tokenizer_json(merges, ["<|endoftext|>"], "gpt2"))
    bits = {}
    for order in (1, 2, 3):
        model = NgramModel.fit(_documents(encoder, train), encoder.vocab_size, order)
        bits[order] = model.nll(_documents(encoder, test)).mean() / math.log(2)
    assert bits[2] <= bits[1] - 1
    assert bits[3] < bits[2]


def _documents(encoder: Encoder, texts: list[str]) -> list[np.ndarray]:
    ids, offsets = encoder.encode_documents(texts)
    return np.split(ids, offsets[1:-1])
