"""Unigram, bigram and trigram models of token ids: the baselines that a loss is read against.

    model = NgramModel.fit(train_documents, vocab_size=1024, order=2)   # documents: 1-D id arrays, <|endoftext|> first
    nll = model.nll(test_documents)                                     # float64, one value per text token
    bits_per_byte = nll.sum() / (math.log(2) * text_bytes)

Interpolated modified Kneser-Ney (Chen & Goodman 1999, "An empirical study of smoothing techniques for language
modeling"): p(w | h) = (c(h w) - D(c)) / c(h) + gamma(h) p(w | shorter h), where the highest order counts tokens, the
lower ones count the distinct ids that precede (continuations), and below the unigram stands 1 / vocab_size. The three
discounts of each order come from its counts of counts; nothing is tuned, and no text but train's is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.spine.errors import CorpusmillError

#: Tokens scored at a time: bounds the memory of look-ups to about 100 MB.
TOKENS_AT_ONCE = 1 << 20
#: D1, D2, D3+ where the counts of counts allow no estimate (a tiny or very regular corpus); KenLM's fallback.
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)


class NgramModel:
    """Interpolated modified Kneser-Ney over token ids.

    Attributes:
        order: 1, 2 or 3.
        vocab_size: ids are in ``[0, vocab_size)``.
        num_tokens: text tokens that were counted (document starts are context, never counted).
    """

    def __init__(self, levels: list[_Level], vocab_size: int, num_tokens: int) -> None:
        self._levels = levels
        self.order = len(levels)
        self.vocab_size = vocab_size
        self.num_tokens = num_tokens

    @classmethod
    def fit(cls, documents: Iterable[np.ndarray], vocab_size: int, order: int) -> NgramModel:
        """The model of the given order, from train tokens alone. Memory: about 30 bytes a token at order 3.

        Args:
            documents: 1-D integer arrays, each one document's ids, ``<|endoftext|>`` first. An iterator will do.
            vocab_size: ids are in ``[0, vocab_size)``.
            order: 1, 2 or 3: how many ids an n-gram has.
        Raises:
            CorpusmillError: no text token, an id outside the vocabulary, or n-grams that do not fit in 64 bits.
        """
        if order not in (1, 2, 3) or vocab_size**order >= 1 << 63:
            raise CorpusmillError("cannot model n-grams of this order and vocabulary", got=(order, vocab_size))
        grams = np.concatenate([np.empty(0, np.int64), *_gram_batches(documents, vocab_size, order)])
        if not len(grams):
            raise CorpusmillError("no text tokens to fit an n-gram model on", hint="check that train is not empty")
        keys, counts = np.unique(grams, return_counts=True)
        levels = [_Level.from_counts(keys, counts, vocab_size)]
        for length in range(order - 1, 0, -1):
            # Each distinct longer n-gram counts once for its tail: how many ids precede it.
            keys, counts = np.unique(keys % vocab_size**length, return_counts=True)
            levels.insert(0, _Level.from_counts(keys, counts, vocab_size))
        return cls(levels, vocab_size, len(grams))

    def nll(self, documents: Iterable[np.ndarray]) -> np.ndarray:
        """Natural-log negative log-likelihoods, float64 ``[text tokens]``: every token but each document's first.

        In order of the documents, of any number. Contexts never cross documents; the document start is context, and
        at a document's second id the trigram sees it twice.
        """
        batches = _gram_batches(documents, self.vocab_size, self.order)
        scores = [-np.log(self._score(grams)) for grams in batches]
        return np.concatenate([np.empty(0), *scores])

    def probabilities(self, context: tuple[int, ...]) -> np.ndarray:
        """P(next id | context), float64 ``[vocab_size]``; sums to 1.

        Args:
            context: the ids before; the last ``order - 1`` count. Where fewer are given, the first one is repeated.
        """
        needed = self.order - 1
        if needed and not context:
            raise CorpusmillError("a context needs one id at least", got="none")
        padded = (context[:1] * needed + context)[-needed:] if needed else ()
        prefix = 0
        for index in padded:
            prefix = prefix * self.vocab_size + int(index)
        return self._score(prefix * self.vocab_size + np.arange(self.vocab_size))

    def _score(self, grams: np.ndarray) -> np.ndarray:
        """The probability of each n-gram's last id after the ids before it."""
        # Looked up in ascending order, neighbours share cache lines: 6 times faster than in text order.
        grams, inverse = np.unique(grams, return_inverse=True)
        probability = np.full(len(grams), 1 / self.vocab_size)
        for length, level in enumerate(self._levels, start=1):
            probability = level.interpolate(grams % self.vocab_size**length, probability, self.vocab_size)
        return probability[inverse]


@dataclass(frozen=True)
class _Level:
    """One order: what seen n-grams keep after discounting, and what each context passes down.

    Attributes:
        grams: distinct n-grams as integers, ascending; kept: their discounted share of their context.
        contexts: distinct contexts, ascending; passed: the share that each leaves to the shorter context.
    """

    grams: np.ndarray
    kept: np.ndarray
    contexts: np.ndarray
    passed: np.ndarray

    @classmethod
    def from_counts(cls, grams: np.ndarray, counts: np.ndarray, vocab_size: int) -> _Level:
        context = grams // vocab_size
        starts = np.flatnonzero(np.concatenate([[True], context[1:] != context[:-1]]))
        sizes = np.diff(np.append(starts, len(grams)))
        totals = np.add.reduceat(counts, starts)
        discount = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]
        kept = (counts - discount) / np.repeat(totals, sizes)
        return cls(grams, kept, context[starts], np.add.reduceat(discount, starts) / totals)

    def interpolate(self, grams: np.ndarray, shorter: np.ndarray, vocab_size: int) -> np.ndarray:
        """Mixes this order with the probabilities of the shorter one."""
        kept = _look_up(self.grams, self.kept, grams, missing=0.0)
        passed = _look_up(self.contexts, self.passed, grams // vocab_size, missing=1.0)
        return kept + passed * shorter


def discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """D1, D2, D3+ of modified Kneser-Ney from the counts of counts (Chen & Goodman 1999, equation 17).

    With n_k the number of n-grams counted k times: Y = n1 / (n1 + 2 n2), D_k = k - (k + 1) Y n_(k+1) / n_k.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    estimate = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    sound = all(0 < d <= k for k, d in enumerate(estimate, start=1))
    return estimate if sound else FALLBACK_DISCOUNTS


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, missing: float) -> np.ndarray:
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], missing)


def _gram_batches(documents: Iterable[np.ndarray], vocab_size: int, order: int) -> Iterator[np.ndarray]:
    """N-grams as integers, int64, one for each text token, a million tokens or so at a time."""
    waiting: list[np.ndarray] = []
    tokens = 0
    for document in documents:
        waiting.append(np.asarray(document))
        tokens += len(document)
        if tokens >= TOKENS_AT_ONCE:
            yield _grams(waiting, vocab_size, order)
            waiting, tokens = [], 0
    if tokens:
        yield _grams(waiting, vocab_size, order)


def _grams(documents: list[np.ndarray], vocab_size: int, order: int) -> np.ndarray:
    ids = np.concatenate(documents).astype(np.int64)
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise CorpusmillError("a token id is outside the vocabulary", expected=f"below {vocab_size}", got=ids.max())
    lengths = np.array([len(document) for document in documents])
    position = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    text = np.flatnonzero(position > 0)
    grams = ids[text]
    for back in range(1, order):
        # Before the document's first id stands that id again: the context never leaves the document.
        before = ids[text - np.minimum(back, position[text])]
        grams += before * vocab_size**back
    return grams
